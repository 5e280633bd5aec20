# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The properties of user-creatable objects: typed and checked before anything is sent, and read back from one that is there."""

from __future__ import annotations

from typing import Any, Mapping

from ...errors import InvalidOption
from ...model.arguments import check_members, natural
from ...model.hardware import Hardware
from ...model.values import nearest, typed
from .rules import SECRET, check_rules

_OPTIONS = {"id": "id", "qom-type": "qom_type", SECRET: "secret"}
_STATES = {"opened", "loaded"}
"""Properties that say how an object is, and are no part of what it was made with."""
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
"""What QEMU gives a property by itself, by name. To send one of these would change nothing; QEMU does not tell its defaults."""
_POLLS = {"poll-grow": (0,), "poll-shrink": (0,)}
_POLLS_WEIGHTED = {"poll-grow": (2,), "poll-shrink": (2,), "poll-weight": (3,)}


def specified(hardware: Hardware, qom_type: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    """*properties* of a task in the types that QEMU's schema has for this type of object; QEMU before 6.0 tells none."""
    for name, option in _OPTIONS.items():
        if name in properties:
            raise InvalidOption(f"properties has {name!r}, which the option {option!r} is for.")
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
    """Raise InvalidOption for what QEMU would refuse to make an object of: members, types and enumerations by its schema, and
    the rules that it has besides."""
    if not hardware.schema.has_member("object-add", "props"):
        check_members(
            hardware.schema,
            "object-add",
            {"qom-type": qom_type, "id": "x", **properties},
            f"The object type {qom_type}",
            "properties",
        )
    check_rules(hardware, qom_type, properties)


def present(hardware: Hardware, object_id: str, qom_type: str) -> dict[str, Any]:
    """What the object was made with, as far as QEMU reports it: its properties but for those that QEMU gives by itself. The
    secret of a secret object is among them, so this is for ``object-add`` alone."""
    path = f"/objects/{object_id}"
    types = hardware.cache.qom_list([path])[0]
    takes = set(hardware.schema.command_arguments("object-add", qom_type))
    if hardware.schema.has_member("object-add", "props"):
        takes = {name for name, kind in types.items() if kind in ("string", "int", "bool")}
    names = [name for name in types if name in takes - _STATES - {"type"} and not name.startswith("x-")]
    defaults = {**_DEFAULTS, **(_POLLS_WEIGHTED if "poll-weight" in types else _POLLS)}
    if qom_type == "memory-backend-memfd":
        defaults["share"] = (True,)
    found: dict[str, Any] = {}
    for name, value in zip(names, hardware.cache.qom_get((path, name) for name in names)):
        if value in (None, "", []) or value in defaults.get(name, ()):
            continue
        if types[name].startswith("link<"):
            value = str(value).rsplit("/", 1)[-1]
        found[name] = set_limits(value) if (qom_type, name) == ("throttle-group", "limits") else value
    return found


def set_limits(limits: Mapping[str, Any]) -> dict[str, Any]:
    """Of a throttle group's limits those that limit something."""
    return {name: value for name, value in limits.items() if value != (1 if name.endswith("-max-length") else 0)}


def together(qom_type: str, kept: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """What an object has, when of *kept* all stays that *new* does not specify. A secret is in a file or in the task, not in
    both."""
    exclusive = {SECRET: "file", "file": SECRET}
    left = {name: value for name, value in kept.items() if exclusive.get(name) not in new}
    if qom_type == "throttle-group" and isinstance(left.get("limits"), dict) and isinstance(new.get("limits"), dict):
        return {**left, **new, "limits": set_limits({**left["limits"], **new["limits"]})}
    return {**left, **new}
