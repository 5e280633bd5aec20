# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a tracer gets to see: the messages of an exchange without the secrets in them."""

from __future__ import annotations

from typing import Any, Callable, Dict

Tracer = Callable[[str, Dict[str, Any]], None]
"""Called with ``"send"`` or ``"receive"`` and the redacted message."""

HIDDEN = "********"

# Members that hold a secret itself. Those like key-secret and password-secret only name a secret object.
_SECRET_MEMBERS = frozenset(("password", "passphrase", "passwd", "secret"))


def redact_request(message: dict[str, Any]) -> dict[str, Any]:
    """A copy of a request that may be shown."""
    command, arguments = message["execute"], message.get("arguments") or {}
    hidden = _SECRET_MEMBERS
    if command == "object-add" and str(arguments.get("qom-type")).startswith("secret"):
        hidden |= {"data"}
    elif command == "qom-set" and _is_secret(arguments):
        hidden |= {"value"}
    elif command == "human-monitor-command" and not str(arguments.get("command-line")).startswith("info "):
        hidden |= {"command-line"}
    copy: dict[str, Any] = _redact(message, hidden)
    return copy


def redact_reply(message: dict[str, Any], command: str = "", arguments: dict[str, Any] | None = None) -> dict[str, Any]:
    """A copy of what came that may be shown; the reply to *command* with *arguments*, if it is a reply."""
    hidden = _SECRET_MEMBERS
    if command == "qom-get" and _is_secret(arguments or {}):
        hidden |= {"return"}
    copy: dict[str, Any] = _redact(message, hidden)
    return copy


def _is_secret(arguments: dict[str, Any]) -> bool:
    """Whether a qom-get or qom-set is about a property that QEMU gives in clear, such as a secret object's data."""
    return arguments.get("property") in _SECRET_MEMBERS | {"data", "rawdata"}


def _redact(value: Any, hidden: frozenset[str]) -> Any:
    """A copy of *value*, made without recursion, for a message may nest deeper than Python's stack has room."""
    whole = [value]
    pending: list[Any] = [whole]
    while pending:
        copy = pending.pop()
        for key, member in list(copy.items() if isinstance(copy, dict) else enumerate(copy)):
            if isinstance(copy, dict) and key in hidden:
                copy[key] = HIDDEN
            elif isinstance(member, (dict, list)):
                copy[key] = member.copy()
                pending.append(copy[key])
    return whole[0]
