# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Any command of QMP, checked against what this QEMU says of it before it is sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping, Sequence

from .errors import InvalidOption
from .model import Hardware
from .plan import Execute, Plan, Run, Step
from .qom import refuse_secret
from .values import nearest

_READING = {"qom-get", "qom-list", "qom-list-types", "qom-list-properties", "device-list-properties", "x-debug-query-block-graph"}
_TAKES_ANY = {"device_add"}  # besides what the schema tells: the properties of the device
_JSON_TYPES = {"boolean": (bool,), "string": (str,), "enum": (str,), "int": (int,), "integer": (int,), "number": (int, float),
               "object": (dict,), "array": (list,)}


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
        raise InvalidOption(f"The arguments of {name} are a dict, not {arguments!r}.")
    known_commands = [one["name"] for one in hardware.snapshot.ask("query-commands")]
    if name not in known_commands:
        raise InvalidOption(f"This QEMU ({hardware.version_text}) has no command {name!r}{nearest(name, known_commands)}.")
    known = hardware.schema.command_arguments(name)
    for argument, value in arguments.items():
        if argument in known:
            _check_type(name, argument, value, known[argument].type)
        elif name not in _TAKES_ANY:
            others = nearest(argument, known) or f"; it takes {', '.join(map(repr, sorted(known))) or 'none'}"
            raise InvalidOption(f"{name} has no argument {argument!r}{others}.")
    always = hardware.schema.command_arguments(name, case="")  # those of no variant
    missing = [argument for argument, member in always.items() if not member.optional and argument not in arguments]
    if missing:
        raise InvalidOption(f"{name} needs {', '.join(map(repr, missing))}.")
    if name == "qom-get":
        refuse_secret(hardware, arguments["path"], arguments["property"])
    return name, arguments


def _check_type(command: str, argument: str, value: Any, type_name: str) -> None:
    types = _JSON_TYPES.get(type_name)
    if types and (not isinstance(value, types) or (isinstance(value, bool) and bool not in types)):
        raise InvalidOption(f"{command} takes for {argument!r} a JSON {type_name}, not {value!r}.")
