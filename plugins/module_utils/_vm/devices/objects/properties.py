# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The properties of user-creatable objects: typed and checked before anything is sent, and read back from a present one."""

from __future__ import annotations

from typing import Any, Iterable, Mapping

from ...errors import InvalidOption
from ...model.arguments import check_members, natural
from ...model.hardware import Hardware
from ...model.values import nearest, typed
from .rules import SECRET, check_rules

_OPTIONS = {"id": "id", "qom-type": "qom_type", SECRET: "secret"}
_OBJECTS = "/objects"
_NOT_SET = {"type", "opened", "loaded", "rawdata"}
"""Properties that are states of the object, though some versions of ``object-add`` accept them."""
_DEFAULTS: dict[str, tuple[Any, ...]] = {
    "share": (False,),
    "dump": (True,),
    "merge": (True,),
    "prealloc": (False,),
    "prealloc-threads": (1,),
    "reserve": (True,),
    "policy": ("default",),
    "readonly": (False,),
    "rom": ("auto", "off"),
    "align": (0,),
    "offset": (0,),
    "pmem": (False,),
    "discard-data": (False,),
    "hugetlb": (False,),
    "hugetlbsize": (0,),
    "seal": (True,),
    "poll-max-ns": (32768,),
    "aio-max-batch": (0,),
    "thread-pool-min": (0,),
    "thread-pool-max": (64,),
    "format": ("raw",),
    "verify-peer": (True,),
    "sanity-check": (True,),
    "endpoint": ("client",),
    "refresh": (True,),
    "queue": ("all",),
    "insert": ("behind",),
    "position": ("tail",),
    "status": ("on",),
}
"""The defaults of properties, by name. To send one of them changes nothing. QEMU does not report the defaults of objects."""
_POLLS = {"poll-grow": (0,), "poll-shrink": (0,)}
_POLLS_WEIGHTED = {"poll-grow": (2,), "poll-shrink": (2,), "poll-weight": (3,)}


def specified(hardware: Hardware, qom_type: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    """*properties* of a task in the types of QEMU's schema for this type of object. QEMU before 6.0 does not report them."""
    for name, option in _OPTIONS.items():
        if name in properties:
            raise InvalidOption(f"properties contains {name!r}. Use the option {option!r} instead.")
    if hardware.schema.has_member("object-add", "props"):
        return dict(properties)
    types = hardware.cache.ask_or([], "qom-list-types", implements="user-creatable", abstract=False)
    names = {entry["name"] for entry in types}
    members = hardware.schema.command_arguments("object-add", qom_type)
    if qom_type not in names or not members:
        raise InvalidOption(f"This QEMU ({hardware.version_text}) has no object type {qom_type!r}{nearest(qom_type, names)}.")
    owner = f"object type {qom_type}"
    return {
        name: natural(hardware.schema, "object-add", qom_type, name, value)
        for name, value in typed(owner, properties, {name: one.type for name, one in members.items()}).items()
    }


def check(hardware: Hardware, qom_type: str, properties: Mapping[str, Any]) -> None:
    """Raise InvalidOption for properties that QEMU would refuse: by members, types and enumerations of its schema, and by its
    further rules."""
    if not hardware.schema.has_member("object-add", "props"):
        check_members(
            hardware.schema,
            "object-add",
            {"qom-type": qom_type, "id": "x", **properties},
            f"The object type {qom_type}",
            "properties",
        )
    check_rules(hardware, qom_type, properties)


def settable(hardware: Hardware, ids: Iterable[str]) -> list[list[str]]:
    """For each object its properties that ``object-add`` takes, except those that hold a secret or are not stable."""
    ids = list(ids)
    listed = hardware.cache.qom_list(f"{_OBJECTS}/{one}" for one in ids)
    return [
        [name for name in _taken(hardware, hardware.objects[one], types) if name != SECRET] for one, types in zip(ids, listed)
    ]


def _taken(hardware: Hardware, qom_type: str, types: Mapping[str, str]) -> list[str]:
    """Those of the properties in *types* that ``object-add`` takes for this type of object."""
    takes = set(hardware.schema.command_arguments("object-add", qom_type))
    if hardware.schema.has_member("object-add", "props"):
        takes = {name for name, kind in types.items() if kind in ("string", "int", "bool")}
    return [name for name in types if name in takes - _NOT_SET and not name.startswith("x-")]


def read(hardware: Hardware, properties: Iterable[tuple[str, Iterable[str]]]) -> list[dict[str, Any]]:
    """For each object, given by its id, the values of these properties, without those that it does not have. A link has the id
    of its target."""
    asked = [(f"{_OBJECTS}/{one}", list(names)) for one, names in properties]
    types = hardware.cache.qom_list(path for path, _names in asked)
    values = iter(hardware.cache.qom_get((path, name) for path, names in asked for name in names))
    found = [{name: _linked(known.get(name, ""), next(values)) for name in names} for known, (_path, names) in zip(types, asked)]
    return [{name: value for name, value in one.items() if value is not None} for one in found]


def _linked(kind: str, value: Any) -> Any:
    return value.rsplit("/", 1)[-1] if kind.startswith("link<") and isinstance(value, str) else value


def present(hardware: Hardware, object_id: str, qom_type: str) -> dict[str, Any]:
    """The properties that the object was created with, as far as QEMU reports them: those without their default. The secret of a
    secret object is among them, so this is for ``object-add`` alone."""
    types = hardware.cache.qom_list([f"{_OBJECTS}/{object_id}"])[0]
    defaults = {**_DEFAULTS, **(_POLLS_WEIGHTED if "poll-weight" in types else _POLLS)}
    if qom_type == "memory-backend-memfd":
        defaults["share"] = (True,)
    (values,) = read(hardware, [(object_id, _taken(hardware, qom_type, types))])
    found = {name: value for name, value in values.items() if value not in ("", []) and value not in defaults.get(name, ())}
    if qom_type == "throttle-group" and "limits" in found:
        found["limits"] = set_limits(found["limits"])
    return found


def set_limits(limits: Mapping[str, Any]) -> dict[str, Any]:
    """Those limits of a throttle group that limit something."""
    return {name: value for name, value in limits.items() if value != (1 if name.endswith("-max-length") else 0)}


def together(qom_type: str, kept: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The properties *new*, and those of *kept* that these do not set. A secret is in a file or in the task, not in both."""
    exclusive = {SECRET: "file", "file": SECRET}
    left = {name: value for name, value in kept.items() if exclusive.get(name) not in new}
    if qom_type == "throttle-group" and isinstance(left.get("limits"), dict) and isinstance(new.get("limits"), dict):
        return {**left, **new, "limits": set_limits({**left["limits"], **new["limits"]})}
    return {**left, **new}
