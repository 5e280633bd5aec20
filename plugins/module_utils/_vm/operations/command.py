# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Any QMP command, checked with the schema of this QEMU before it is sent."""

from __future__ import annotations

import re
from typing import Any, Mapping, Sequence

from ..errors import InvalidOption
from ..lazy import dataclass
from ..model.arguments import check_arguments
from ..model.hardware import Hardware
from ..model.values import nearest
from ..plan.plan import Execute, Plan, Run, Step
from .qom import SECRET, refuse_secret, without_secrets

_READING = {"qom-get", "qom-list", "qom-list-types", "qom-list-properties", "device-list-properties", "x-debug-query-block-graph"}

_OF_DRIVERS = {"device-list-properties": "typename", "qom-list-properties": "typename", "device_add": "driver"}
"""Commands that create a device of a driver, some of them only to inspect it, with the argument that names the driver."""
_HUMAN_QOM_GET = re.compile(r"\s*qom-get\s(.*)", re.DOTALL)


def only_reads(command: str) -> bool:
    """Whether *command* changes nothing, judged by its name."""
    return command.startswith("query-") or command in _READING


@dataclass(frozen=True)
class Send(Execute):
    """One command, whose reply is appended to the result."""

    changes: bool = True

    def apply(self, run: Run) -> None:
        reply = run.execute(self.command, self.arguments)
        if self.command == "qom-list-get":
            reply = without_secrets(reply)
        run.results.setdefault("replies", []).append(reply)


def plan(hardware: Hardware, commands: Sequence[Mapping[str, Any]], changed: bool | None) -> Plan:
    """Send *commands*, each ``{"execute": …, "arguments": {…}}``, in order. *changed* overrides whether they change the VM."""
    steps: list[Step] = []
    for entry in commands:
        name, arguments = _checked(hardware, entry)
        steps.append(Send(name, arguments, changes=not only_reads(name) if changed is None else changed))
    return Plan(tuple(steps))


def reading(hardware: Hardware, commands: Sequence[Mapping[str, Any]]) -> list[Any]:
    """The replies of those commands that only read, for check mode; None for the others."""
    return [
        hardware.cache.ask(entry["execute"], **(entry.get("arguments") or {})) if only_reads(entry["execute"]) else None
        for entry in commands
    ]


def _refuse_human_secret(line: str) -> None:
    """Raise InvalidOption for an HMP command that would show the secret of a secret object, and for one with quotes or escapes,
    which could hide the name of the property."""
    found = _HUMAN_QOM_GET.match(line)
    if found and (set(found[1].split()) & set(SECRET) or '"' in found[1] or "\\" in found[1]):
        raise InvalidOption("The HMP command qom-get could show a secret. Use the QMP command qom-get, which is checked.")


def _checked(hardware: Hardware, entry: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Name and arguments of a command. Raises InvalidOption if this QEMU has no such command, or not with such arguments."""
    unknown = set(entry) - {"execute", "arguments"}
    if unknown or not isinstance(entry.get("execute"), str):
        raise InvalidOption("An entry of commands is not a QMP command: write it as {execute: NAME, arguments: {…}}.")
    name, arguments = str(entry["execute"]), entry.get("arguments") or {}
    if not isinstance(arguments, dict):
        raise InvalidOption(f"The arguments of {name} are not a dictionary: write them as {{NAME: VALUE, …}}.")
    known_commands = [one["name"] for one in hardware.cache.ask("query-commands")]
    if name not in known_commands:
        raise InvalidOption(f"This QEMU ({hardware.version_text}) has no command {name!r}{nearest(name, known_commands)}.")
    check_arguments(hardware.schema, name, arguments)
    if name == "qom-get":
        refuse_secret(hardware, arguments["path"], arguments["property"])
    if name == "human-monitor-command":
        _refuse_human_secret(str(arguments["command-line"]))
    if name in _OF_DRIVERS:
        hardware.refuse_incomplete(str(arguments[_OF_DRIVERS[name]]))
    return name, arguments
