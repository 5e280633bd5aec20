# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of vmops.qemu.qmp_command, and what they mean to the domain."""

from __future__ import annotations

from typing import Any, Mapping, NamedTuple

from ..._vm.operations import command
from ...qmp.secrets import Redactor
from ..masking import as_dict, as_list
from ..run import Operation

OPTIONS = {
    "execute": {"type": "str"},
    "arguments": {"type": "dict"},
    "commands": {"type": "list", "elements": "dict"},
    "changed": {"type": "bool"},
}


class Request(NamedTuple):
    """The commands in the form of the wire, and whether they change the VM; None means by their names."""

    commands: list[Mapping[str, Any]]
    changed: bool | None


def spec(params: Mapping[str, Any]) -> Request:
    """The domain's spec from the module's options."""
    one = {"execute": params["execute"], "arguments": params["arguments"] or {}}
    return Request(params["commands"] or [one], params["changed"])


def secret_places(params: Mapping[str, Any], redactor: Redactor) -> dict[str, Any]:
    """The options without the secrets in commands, even if these are malformed."""
    single = {name: as_dict(params[name]) for name in ("execute", "arguments") if params.get(name) is not None}
    shown: dict[str, Any] = redactor.request(single)
    if params.get("commands") is not None:
        given = as_list(params["commands"])
        entries = [as_dict(one) for one in given] if isinstance(given, list) else given
        shown["commands"] = [*map(redactor.request, entries)] if isinstance(entries, list) else redactor.hide(given)
    return shown


OPERATION = Operation(
    spec=spec,
    plan=lambda hardware, spec: command.plan(hardware, spec.commands, spec.changed),
    report=lambda _hardware, _spec: {},
    preview=lambda hardware, spec: {"replies": command.reading(hardware, spec.commands)},
    options=OPTIONS,
    secret_places=secret_places,
    reads=False,
    rules={
        "required_one_of": [("execute", "commands")],
        "mutually_exclusive": [("execute", "commands"), ("arguments", "commands")],
    },
)
