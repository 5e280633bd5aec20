# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The arguments of a command, whole and nested, checked against QEMU's own schema before anything is sent.

QEMU would refuse the same at the same command, but perhaps half way. What the schema does not describe (ranges, members that
exclude each other, names that must exist) is left to QEMU. The rules are those of QEMU's input visitor: native JSON types, no
unknown members, each union by its tag, each alternate by its JSON type.
"""

from __future__ import annotations

import re
from typing import Any, Mapping

from ...qmp import Schema
from ..errors import InvalidOption
from .values import nearest

_OPEN = {"device_add"}  # takes, besides the arguments in the schema, the properties of the device
_NUMBER = re.compile(r"-?[0-9]{1,20}\Z")
_BOOLEANS = {"on": True, "yes": True, "true": True, "off": False, "no": False, "false": False}
_INTEGERS = range(-(1 << 63), 1 << 64)
_CALLED = {
    "boolean": "boolean",
    "string": "string",
    "int": "int",
    "number": "number",
    "null": "null",
    "object": "object",
    "array": "array",
    "enum": "string",
}


def check_arguments(schema: Schema, command: str, arguments: Mapping[str, Any]) -> None:
    """Raise InvalidOption where *command* does not take *arguments*, with the path of what is wrong (``backend.data.addr``)."""
    name = schema.argument_type(command)
    if name is not None:
        _Check(schema, command).object("", name, arguments, open_=command in _OPEN)
    if command == "blockdev-reopen" and not arguments["options"]:
        raise InvalidOption("blockdev-reopen takes for 'options' one node or more. An empty list makes QEMU abort.")
    if command in ("blockdev-add", "blockdev-reopen"):
        refuse_negative_sizes(command, arguments)
    if command == "object-add" and arguments["qom-type"].startswith("memory-backend-") and not 0 <= arguments["size"] < 1 << 63:
        raise InvalidOption("object-add takes for 'size' a number from 0 to 2^63. This one makes QEMU abort.")


def check_members(
    schema: Schema, command: str, arguments: Mapping[str, Any], subject: str, path: str, options: Mapping[str, str] | None = None
) -> None:
    """The same for arguments that a task has under the option *path*, and calls the *subject*. *options*: see check_type."""
    name = schema.argument_type(command)
    if name is not None:
        _Check(schema, subject, options).object(path, name, arguments)


def natural(schema: Schema, command: str, case: str, member: str, value: Any) -> Any:
    """*value* of a *member* that the variant *case* of a command has, with text in it as the numbers and booleans that the schema
    has there, at any depth: a task from a survey has text only."""
    name = schema.argument_type(command)
    kinds = schema.member_types(name, case) if name else {}
    return _natural(schema, kinds[member], value) if member in kinds else value


def check_type(
    schema: Schema, type_name: str, value: Any, subject: str, path: str, options: Mapping[str, str] | None = None
) -> None:
    """Raise InvalidOption where *value*, which a task has under the option *path*, is not of the type.

    *options*: the paths that have an option of their own, each with its name, for the messages.
    """
    _Check(schema, subject, options).value(path, type_name, value)


def natural_type(schema: Schema, type_name: str, value: Any) -> Any:
    """*value* with text in it as the numbers and booleans that the type has there, at any depth."""
    return _natural(schema, type_name, value)


def _natural(schema: Schema, type_name: str, value: Any) -> Any:
    kind = schema.type_named(type_name)
    if kind["meta-type"] == "object" and isinstance(value, Mapping):
        case = value.get(kind.get("tag"))
        kinds = schema.member_types(type_name, case if isinstance(case, str) else None)
        return {name: _natural(schema, kinds[name], one) if name in kinds else one for name, one in value.items()}
    if kind["meta-type"] == "array" and isinstance(value, (list, tuple)):
        return [_natural(schema, kind["element-type"], one) for one in value]
    json_type = kind.get("json-type")
    if isinstance(value, int) and not isinstance(value, bool) and json_type == "string":
        return str(value)
    if isinstance(value, str) and json_type == "int" and _NUMBER.match(value):
        return int(value)
    if isinstance(value, str) and json_type == "boolean":
        return _BOOLEANS.get(value.lower(), value)
    return value


def refuse_negative_sizes(command: str, arguments: Mapping[str, Any]) -> None:
    """Raise InvalidOption for a null block device of a negative size, wherever it is in the graph: QEMU aborts."""
    pending: list[tuple[str, Any]] = [("", dict(arguments))]
    while pending:
        path, value = pending.pop()
        if isinstance(value, Mapping):
            size = value.get("size")
            if value.get("driver") in ("null-co", "null-aio") and isinstance(size, int) and size < 0:
                raise InvalidOption(f"{command} takes for {_join(path, 'size')!r} no negative number. This one makes QEMU abort.")
            pending += [(_join(path, name), inside) for name, inside in value.items()]
        elif isinstance(value, (list, tuple)):
            pending += [(f"{path}[{number}]", inside) for number, inside in enumerate(value)]


class _Check:
    """One command's check. *command* is what the messages begin with."""

    def __init__(self, schema: Schema, command: str, options: Mapping[str, str] | None = None) -> None:
        self._schema = schema
        self._command = command
        self._options = options or {}

    def value(self, path: str, type_name: str, value: Any) -> None:
        kind = self._schema.type_named(type_name)
        meta = kind["meta-type"]
        if meta == "builtin":
            self._builtin(path, kind["json-type"], value)
        elif meta == "enum":
            self._enum(path, kind, value)
        elif meta == "array":
            if not isinstance(value, (list, tuple)):
                self._wrong_type(path, "array", value)
            for number, element in enumerate(value):
                self.value(f"{path}[{number}]", kind["element-type"], element)
        elif meta == "alternate":
            self._alternate(path, kind, value)
        elif meta == "object":
            self.object(path, type_name, value)

    def object(self, path: str, type_name: str, value: Any, open_: bool = False) -> None:
        if not isinstance(value, Mapping):
            self._wrong_type(path, "object", value)
        members = self._members(path, type_name, value)
        for name, inside in value.items():
            member = members.get(name)
            if member:
                self.value(self._path(path, name), member["type"], inside)
            elif not open_:
                others = nearest(str(name), members) or f"; it takes {', '.join(map(repr, sorted(members))) or 'none'}"
                raise InvalidOption(f"{self._command} has no argument {self._path(path, str(name))!r}{others}.")
        missing = [name for name, member in members.items() if "default" not in member and name not in value]
        if missing:
            raise InvalidOption(f"{self._command} needs {', '.join(repr(self._path(path, name)) for name in missing)}.")

    def _path(self, path: str, name: str) -> str:
        """The path of a member, or the option of its own that sets it."""
        return self._options.get(_join(path, name), _join(path, name))

    def _members(self, path: str, type_name: str, value: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """The members of an object type; of a union those of the variant that *value* names by its tag."""
        members: dict[str, dict[str, Any]] = {}
        pending = [type_name]
        for name in pending:  # it grows meanwhile
            kind = self._schema.type_named(name)
            members.update((member["name"], member) for member in kind["members"])
            tag = kind.get("tag")
            if tag in members and tag in value:
                self.value(self._path(path, tag), members[tag]["type"], value[tag])
                pending += [
                    one["type"] for one in kind.get("variants", ()) if one["case"] == value[tag] and one["type"] not in pending
                ]
        return members

    def _builtin(self, path: str, json_type: str, value: Any) -> None:
        fits = {
            "boolean": isinstance(value, bool),
            "string": isinstance(value, str),
            "int": isinstance(value, int) and not isinstance(value, bool) and value in _INTEGERS,
            "number": isinstance(value, (int, float)) and not isinstance(value, bool),
            "null": value is None,
        }.get(json_type, True)
        if not fits:
            self._wrong_type(path, json_type, value)

    def _enum(self, path: str, kind: Mapping[str, Any], value: Any) -> None:
        if not isinstance(value, str):
            self._wrong_type(path, "enum", value)
        values = _values(kind)
        if values and value not in values:
            raise InvalidOption(
                f"{self._command} takes no {value!r} for {path!r}"
                f"{nearest(value, values) or '; it takes ' + ', '.join(map(repr, values))}."
            )

    def _alternate(self, path: str, kind: Mapping[str, Any], value: Any) -> None:
        """An alternate's branches are of different JSON types, but for numbers, so that at most one has the type of the value."""
        branches = [member["type"] for member in kind["members"]]
        fitting = [name for name in branches if _is_of(self._schema.type_named(name), value)]
        if not fitting:
            kinds = (self._schema.type_named(name) for name in branches)
            self._wrong_type(path, " or ".join(sorted({_CALLED.get(_json_type(kind), "value") for kind in kinds})), value)
        if len(fitting) == 1:
            self.value(path, fitting[0], value)

    def _wrong_type(self, path: str, expected: str, value: Any) -> None:
        """Raise InvalidOption. It does not show *value*, which may be a secret in the wrong place."""
        raise InvalidOption(f"{self._command} takes for {path!r} a JSON {_CALLED.get(expected, expected)}, not {_a(value)}.")


def _values(kind: Mapping[str, Any]) -> list[str]:
    """The values of an enumeration (``members`` since QEMU 6.2, before that ``values``)."""
    return [member["name"] for member in kind["members"]] if "members" in kind else list(kind.get("values", ()))


def _json_type(kind: Mapping[str, Any]) -> str:
    return str(kind["json-type"] if kind["meta-type"] == "builtin" else kind["meta-type"])


def _is_of(kind: Mapping[str, Any], value: Any) -> bool:
    """Whether *value* is of the JSON type of a branch of an alternate."""
    types: dict[str, Any] = {
        "boolean": bool,
        "string": str,
        "enum": str,
        "int": int,
        "number": (int, float),
        "null": type(None),
        "object": Mapping,
        "array": (list, tuple),
    }
    name = _json_type(kind)
    return isinstance(value, types.get(name, object)) and (name == "boolean" or not isinstance(value, bool))


def _a(value: Any) -> str:
    """What *value* is, as JSON calls it."""
    kinds = (
        (bool, "a boolean"),
        (str, "a string"),
        (int, "a whole number"),
        (float, "a number"),
        (Mapping, "an object"),
        ((list, tuple), "an array"),
        (type(None), "null"),
    )
    if isinstance(value, int) and not isinstance(value, bool) and value not in _INTEGERS:
        return "a number that 64 bits do not hold"
    return next((name for kind, name in kinds if isinstance(value, kind)), "a value of another type")


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else str(name)
