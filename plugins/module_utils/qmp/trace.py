# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The messages of an exchange without their secrets, for a tracer."""

from __future__ import annotations

from typing import Any, Callable, Dict

from .secrets import HIDDEN, Redactor, is_secret_property

Tracer = Callable[[str, Dict[str, Any]], None]
"""Called with ``"send"`` or ``"receive"`` and the redacted message."""


def redact_request(message: dict[str, Any]) -> dict[str, Any]:
    """A copy of a request that may be shown."""
    copy: dict[str, Any] = Redactor().request(message)
    return copy


def redact_reply(message: dict[str, Any], command: str = "", arguments: dict[str, Any] | None = None) -> dict[str, Any]:
    """A copy of a received message that may be shown; the reply to *command* with *arguments*, if it is a reply."""
    copy: dict[str, Any] = Redactor().value(message)
    if command == "qom-get" and "return" in copy and is_secret_property((arguments or {}).get("property")):
        copy["return"] = HIDDEN
    if command == "qom-list-get":
        _hide_values(copy.get("return"))
    return copy


def _hide_values(value: Any) -> None:
    """Hide the values of properties that are secrets, in entries such as ``{"name": "data", "value": "…"}`` at any depth."""
    pending = [value]
    for one in pending:  # it grows meanwhile
        if isinstance(one, list):
            pending += one
        elif isinstance(one, dict):
            if "value" in one and is_secret_property(one.get("name")):
                one["value"] = HIDDEN
            pending += one.values()
