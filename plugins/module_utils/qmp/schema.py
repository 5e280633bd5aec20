# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What this very QEMU can do, by its own word: ``query-qmp-schema`` and ``device-list-properties``.

Ask here and not by version: distributions build QEMU with parts left out and with features brought back.
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
"""What an entity has besides, by its meta-type."""
_PROPERTIES = [{"name": str, "type": str, "description?": str}]


class _Entities(Dict[str, Dict[str, Any]]):
    """By name, and each that is spoken of is there."""

    def __missing__(self, name: str) -> Any:
        raise ProtocolError(f"QEMU's schema speaks of {name} and does not say what it is.", "query-qmp-schema")


class Member(NamedTuple):
    """A member of a command's arguments; ``type``: "object", "array", "enum", "alternate" or a plain JSON type."""

    optional: bool
    type: str


class Schema:
    """The answers of *monitor*'s QEMU. Each is asked for on first use and kept, for none changes while QEMU runs."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self._kept_entities: dict[str, dict[str, Any]] = {}
        self._devices: dict[str, dict[str, dict[str, Any]]] = {}

    def has_command(self, name: str) -> bool:
        """Whether QEMU has the command *name*."""
        return self._is("command", name)

    def has_event(self, name: str) -> bool:
        """Whether QEMU can emit the event *name*."""
        return self._is("event", name)

    def command_arguments(self, name: str, case: str | None = None) -> dict[str, Member]:
        """What command *name* takes, by member, in any of its variants or in that of *case* (an object type, a block driver …);
        empty if there is no such command."""
        arguments: dict[str, Member] = {}
        for type_name in self._argument_types(name):
            for member in self._members(type_name, case):
                entity = self._entities[member["type"]]
                kind = entity["json-type"] if entity["meta-type"] == "builtin" else entity["meta-type"]
                arguments.setdefault(member["name"], Member("default" in member, kind))
        return arguments

    def has_member(self, command: str, *path: str) -> bool:
        """Whether *command* takes the member path[0], that in turn path[1] and so on, in any of its variants."""
        types = self._argument_types(command)
        for name in path:
            types = [member["type"] for type_ in types for member in self._members(type_) if member["name"] == name]
        return bool(types)

    def argument_type(self, command: str) -> str | None:
        """The name of the type of what *command* takes, for ``type_named``; None if there is no such command."""
        return next(iter(self._argument_types(command)), None)

    def type_named(self, name: str) -> dict[str, Any]:
        """What ``query-qmp-schema`` says of a type: its ``meta-type`` and what QEMU documents for that (SchemaInfo)."""
        return self._entities[name]

    def member_types(self, type_name: str, case: str | None = None) -> dict[str, str]:
        """The members of a type, in any of its variants or in that of *case*, each with the name of its type."""
        return {member["name"]: member["type"] for member in self._members(type_name, case)}

    def device_properties(self, driver: str) -> dict[str, dict[str, Any]]:
        """What ``device_add`` takes for *driver*: by property its ``type``, ``description`` ("" if QEMU has none) and,
        where QEMU tells it, ``default``. Raises CommandError of class DeviceNotFound if there is no such driver."""
        if driver not in self._devices:
            properties = self._monitor.execute("device-list-properties", {"typename": driver})
            self._monitor.keep(self, properties)
            check("device-list-properties", properties, _PROPERTIES)
            self._devices[driver] = {entry["name"]: _property(entry) for entry in properties}
        return self._devices[driver]

    @property
    def _entities(self) -> dict[str, dict[str, Any]]:
        """Commands, events and types by name; QEMU gives types numbers for names, so that they do not clash."""
        if not self._kept_entities:
            entities = self._monitor.execute("query-qmp-schema")
            self._monitor.keep(self, entities)
            check("query-qmp-schema", entities, _ENTITIES)
            for entity in entities:
                check("query-qmp-schema", entity, _ENTITY.get(entity["meta-type"], {}))
            self._kept_entities = _Entities((entity["name"], entity) for entity in entities)
        return self._kept_entities

    def _is(self, meta_type: str, name: str) -> bool:
        return name in self._entities and bool(self._entities[name]["meta-type"] == meta_type)

    def _argument_types(self, command: str) -> list[str]:
        return [self._entities[command]["arg-type"]] if self._is("command", command) else []

    def _members(self, type_name: str, case: str | None = None) -> Iterator[dict[str, Any]]:
        """The members of an object type, of all its variants or that of *case*, of an array's elements, of an alternate's
        objects."""
        pending, seen = [type_name], {type_name}
        for name in pending:  # it grows meanwhile, by each type once
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
