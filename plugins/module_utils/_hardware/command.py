# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Any command of QMP, checked against what this QEMU says of it before it is sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping, Sequence

from .arguments import check_arguments
from .errors import InvalidOption
from .model import Hardware
from .plan import Execute, Plan, Run, Step
from .qom import refuse_secret
from .values import nearest

_READING = {"qom-get", "qom-list", "qom-list-types", "qom-list-properties", "device-list-properties", "x-debug-query-block-graph"}


def only_reads(command: str) -> bool:
    """Whether *command* changes nothing, by its name."""
    return command.startswith("query-") or command in _READING


@dataclass(frozen=True)
class Send(Execute):
    """One command whose reply goes into the result, in order."""

    changes: bool = True

    def apply(self, run: Run) -> None:
        run.told.setdefault("replies", []).append(run.execute(self.command, self.arguments))


def plan(hardware: Hardware, commands: Sequence[Mapping[str, Any]], changed: bool | None) -> Plan:
    """Send *commands*, each ``{"execute": …, "arguments": {…}}``, in order. *changed* overrides what their names say."""
    steps: list[Step] = []
    for entry in commands:
        name, arguments = _checked(hardware, entry)
        steps.append(Send(name, arguments, changes=not only_reads(name) if changed is None else changed))
    return Plan(tuple(steps))


def reading(hardware: Hardware, commands: Sequence[Mapping[str, Any]]) -> list[Any]:
    """The replies of those commands that only read, None for the others: what check mode can tell."""
    return [hardware.snapshot.ask(entry["execute"], **(entry.get("arguments") or {})) if only_reads(entry["execute"]) else None
            for entry in commands]


def _checked(hardware: Hardware, entry: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Name and arguments of a command. Raises InvalidOption where this QEMU has none such, or not with such arguments."""
    unknown = set(entry) - {"execute", "arguments"}
    if unknown or not isinstance(entry.get("execute"), str):
        raise InvalidOption("Write each command as {execute: NAME, arguments: {…}}, as QMP has it.")
    name, arguments = str(entry["execute"]), entry.get("arguments") or {}
    if not isinstance(arguments, dict):
        raise InvalidOption(f"The arguments of {name} are a dict, as QMP has them.")
    known_commands = [one["name"] for one in hardware.snapshot.ask("query-commands")]
    if name not in known_commands:
        raise InvalidOption(f"This QEMU ({hardware.version_text}) has no command {name!r}{nearest(name, known_commands)}.")
    check_arguments(hardware.schema, name, arguments)
    if name == "qom-get":
        refuse_secret(hardware, arguments["path"], arguments["property"])
    return name, arguments
