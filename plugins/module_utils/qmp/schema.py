# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the present QEMU can do, as ``query-qmp-schema`` and ``device-list-properties`` report it.

Ask here and not by version: distributions build QEMU without some parts and with features of later versions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Dict, NamedTuple

from .errors import ProtocolError
from .monitor import Monitor
from .shapes import check

_ENTITIES = [{"name": str, "meta-type": str}]
_ENTITY = {
    "command": {"arg-type": str},
    "builtin": {"json-type": str},
    "array": {"element-type": str},
    "object": {"members": [{"name": str, "type": str}], "variants?": [{"case": str, "type": str}]},
    "alternate": {"members": [{"type": str}]},
}
"""The further members of an entity, by its meta-type."""
_PROPERTIES = [{"name": str, "type": str, "description?": str}]


class _Entities(Dict[str, Dict[str, Any]]):
    """By name. Each is checked when it is first read: there are a thousand, of which a task reads a few.

    Raises ProtocolError for one that is not as documented, and for a name that the schema refers to but does not describe.
    """

    def __init__(self, listing: list[dict[str, Any]]) -> None:
        super().__init__()
        check("query-qmp-schema", listing, _ENTITIES)
        self._unchecked = {entity["name"]: entity for entity in listing}

    def __contains__(self, name: object) -> bool:
        return name in self._unchecked

    def __missing__(self, name: str) -> dict[str, Any]:
        if name not in self._unchecked:
            raise ProtocolError(f"QEMU's schema refers to {name} but does not describe it.", "query-qmp-schema")
        entity = self._unchecked[name]
        check("query-qmp-schema", entity, _ENTITY.get(entity["meta-type"], {}))
        self[name] = entity
        return entity


class Member(NamedTuple):
    """A member of a command's arguments; ``type``: "object", "array", "enum", "alternate" or a plain JSON type."""

    optional: bool
    type: str


class Schema:
    """What the QEMU of *monitor* can do. Each part is queried on first use and kept: it does not change while QEMU runs."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self._kept_entities: _Entities | None = None
        self._devices: dict[str, dict[str, dict[str, Any]]] = {}

    def has_command(self, name: str) -> bool:
        """Whether QEMU has the command *name*."""
        return self._is("command", name)

    def has_event(self, name: str) -> bool:
        """Whether QEMU can emit the event *name*."""
        return self._is("event", name)

    def command_arguments(self, name: str, case: str | None = None) -> dict[str, Member]:
        """The arguments of command *name*, in any of its variants or in that of *case* (an object type, a block driver …), by
        name; empty if QEMU does not have the command."""
        arguments: dict[str, Member] = {}
        for type_name in self._argument_types(name):
            for member in self._members(type_name, case):
                entity = self._entities[member["type"]]
                kind = entity["json-type"] if entity["meta-type"] == "builtin" else entity["meta-type"]
                arguments.setdefault(member["name"], Member("default" in member, kind))
        return arguments

    def has_member(self, command: str, *path: str) -> bool:
        """Whether *command* has the argument path[0], that one the member path[1] and so on, in any of its variants."""
        types = self._argument_types(command)
        for name in path:
            types = [member["type"] for type_ in types for member in self._members(type_) if member["name"] == name]
        return bool(types)

    def argument_type(self, command: str) -> str | None:
        """The name of the type of a command's arguments, for ``type_named``; None if QEMU does not have the command."""
        return next(iter(self._argument_types(command)), None)

    def type_named(self, name: str) -> dict[str, Any]:
        """A type as ``query-qmp-schema`` returns it: its ``meta-type`` and what QEMU documents for that (SchemaInfo)."""
        return self._entities[name]

    def member_types(self, type_name: str, case: str | None = None) -> dict[str, str]:
        """The members of a type, in any of its variants or in that of *case*, each with the name of its type."""
        return {member["name"]: member["type"] for member in self._members(type_name, case)}

    def device_properties(self, driver: str) -> dict[str, dict[str, Any]]:
        """The properties that ``device_add`` takes for *driver*: for each its ``type``, ``description`` ("" if QEMU has none)
        and, if QEMU reports it, ``default``. Raises CommandError of class DeviceNotFound for an unknown driver."""
        if driver not in self._devices:
            properties = self._monitor.execute("device-list-properties", {"typename": driver})
            self._monitor.keep(self, properties)
            check("device-list-properties", properties, _PROPERTIES)
            self._devices[driver] = {entry["name"]: _property(entry) for entry in properties}
        return self._devices[driver]

    @property
    def _entities(self) -> _Entities:
        """Commands, events and types by name; QEMU names types by numbers, so that they do not clash."""
        if self._kept_entities is None:
            listing = self._monitor.execute("query-qmp-schema")
            self._monitor.keep(self, listing)
            self._kept_entities = _Entities(listing)
        return self._kept_entities

    def _is(self, meta_type: str, name: str) -> bool:
        return name in self._entities and bool(self._entities[name]["meta-type"] == meta_type)

    def _argument_types(self, command: str) -> list[str]:
        return [self._entities[command]["arg-type"]] if self._is("command", command) else []

    def _members(self, type_name: str, case: str | None = None) -> Iterator[dict[str, Any]]:
        """The members of an object type, of all its variants or that of *case*, of an array's elements, of an alternate's
        objects."""
        pending, seen = [type_name], {type_name}
        for name in pending:  # it grows meanwhile, by each type once at most
            entity, inner = self._entities[name], []
            if entity["meta-type"] == "object":
                yield from entity["members"]
                inner = [variant["type"] for variant in entity.get("variants", ()) if case in (None, variant["case"])]
                case = None
            elif entity["meta-type"] == "alternate":
                inner = [member["type"] for member in entity["members"]]
            elif entity["meta-type"] == "array":
                inner = [entity["element-type"]]
            pending += dict.fromkeys(one for one in inner if one not in seen)
            seen.update(inner)


def _property(entry: dict[str, Any]) -> dict[str, Any]:
    """One entry of the reply to ``device-list-properties``."""
    about = {"type": entry["type"], "description": entry.get("description", "")}
    if "default-value" in entry:
        about["default"] = entry["default-value"]
    return about
