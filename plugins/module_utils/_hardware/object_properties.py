# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The properties of user-creatable objects: typed and checked before anything is sent, and read back from one that is there."""

from __future__ import annotations

from typing import Any, Callable, Mapping

from .arguments import check_members, natural
from .errors import InvalidOption
from .model import Hardware
from .values import nearest, typed

SECRET = "data"
_OPTIONS = {"id": "id", "qom-type": "qom_type", SECRET: "secret"}
_STATES = {"opened", "loaded"}
"""Properties that say how an object is, and are no part of what it was made with."""
_DEFAULTS: dict[str, tuple[Any, ...]] = {
    "share": (False,), "dump": (True,), "merge": (True,), "prealloc": (False,), "prealloc-threads": (1,), "reserve": (True,),
    "policy": ("default",), "readonly": (False,), "rom": ("auto", "off"), "align": (0,), "offset": (0,), "pmem": (False,),
    "discard-data": (False,), "hugetlb": (False,), "hugetlbsize": (0,), "seal": (True,),
    "poll-max-ns": (32768,), "aio-max-batch": (0,), "thread-pool-min": (0,), "thread-pool-max": (64,),
    "format": ("raw",), "verify-peer": (True,), "sanity-check": (True,), "endpoint": ("client",), "refresh": (True,),
    "queue": ("all",), "insert": ("behind",), "position": ("tail",), "status": ("on",),
}
"""What QEMU gives a property by itself, by name. To send one of these would change nothing; QEMU does not tell its defaults."""
_POLLS = {"poll-grow": (0,), "poll-shrink": (0,)}
_POLLS_WEIGHTED = {"poll-grow": (2,), "poll-shrink": (2,), "poll-weight": (3,)}
_LIMIT_MAX = 10 ** 15  # QEMU: THROTTLE_VALUE_MAX


def specified(hardware: Hardware, qom_type: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    """*properties* of a task in the types that QEMU's schema has for this type of object; QEMU before 6.0 tells none."""
    for name, option in _OPTIONS.items():
        if name in properties:
            raise InvalidOption(f"properties has {name!r}, which the option {option!r} is for.")
    if hardware.schema.has_member("object-add", "props"):
        return dict(properties)
    types = hardware.snapshot.ask_or([], "qom-list-types", implements="user-creatable", abstract=False)
    names = {entry["name"] for entry in types}
    members = hardware.schema.command_arguments("object-add", qom_type)
    if qom_type not in names or not members:
        raise InvalidOption(f"This QEMU ({hardware.version_text}) has no object type {qom_type!r}{nearest(qom_type, names)}.")
    owner = f"object type {qom_type}"
    return {name: natural(hardware.schema, "object-add", qom_type, name, value)
            for name, value in typed(owner, properties, {name: one.type for name, one in members.items()}).items()}


def check(hardware: Hardware, qom_type: str, properties: Mapping[str, Any]) -> None:
    """Raise InvalidOption for what QEMU would refuse to make an object of: members, types and enumerations by its schema, and the
    rules that it has besides."""
    if not hardware.schema.has_member("object-add", "props"):
        check_members(hardware.schema, "object-add", {"qom-type": qom_type, "id": "x", **properties},
                      f"The object type {qom_type}", "properties")
    for name, value in properties.items():
        if isinstance(value, int) and value < 0:
            raise InvalidOption(f"properties.{name} is {value}. A {qom_type} takes no negative number there.")
    for prefix, rule in _RULES.items():
        if qom_type.startswith(prefix):
            rule(qom_type, properties)


def present(hardware: Hardware, object_id: str, qom_type: str) -> dict[str, Any]:
    """What the object was made with, as far as QEMU reports it: its properties but for those that QEMU gives by itself. The secret
    of a secret object is among them, so this is for ``object-add`` alone."""
    path = f"/objects/{object_id}"
    types = hardware.snapshot.qom_list([path])[0]
    takes = set(hardware.schema.command_arguments("object-add", qom_type))
    if hardware.schema.has_member("object-add", "props"):
        takes = {name for name, kind in types.items() if kind in ("string", "int", "bool")}
    names = [name for name in types if name in takes - _STATES - {"type"} and not name.startswith("x-")]
    defaults = {**_DEFAULTS, **(_POLLS_WEIGHTED if "poll-weight" in types else _POLLS)}
    if qom_type == "memory-backend-memfd":
        defaults["share"] = (True,)
    found: dict[str, Any] = {}
    for name, value in zip(names, hardware.snapshot.qom_get((path, name) for name in names)):
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
    """What an object has, when of *kept* all stays that *new* does not specify. A secret is in a file or in the task, not both."""
    exclusive = {SECRET: "file", "file": SECRET}
    left = {name: value for name, value in kept.items() if exclusive.get(name) not in new}
    if qom_type == "throttle-group" and isinstance(left.get("limits"), dict) and isinstance(new.get("limits"), dict):
        return {**left, **new, "limits": set_limits({**left["limits"], **new["limits"]})}
    return {**left, **new}


def _check_limits(_qom_type: str, properties: Mapping[str, Any]) -> None:
    limits = properties.get("limits", {})

    def value(name: str) -> int:
        return int(limits.get(name, 1 if name.endswith("-max-length") else 0))

    def refuse(name: str, why: str) -> None:
        raise InvalidOption(f"properties.limits.{name} is {value(name)}, {why}.")

    for name in limits:
        if not 0 <= value(name) <= _LIMIT_MAX:
            refuse(name, f"which is not from 0 to {_LIMIT_MAX}")
    for unit in ("bps", "iops"):
        for ending in ("", "-max"):
            split = [f"{unit}-{side}{ending}" for side in ("read", "write") if value(f"{unit}-{side}{ending}")]
            if value(f"{unit}-total{ending}") and split:
                refuse(f"{unit}-total{ending}", f"and {split[0]} is {value(split[0])}. Set the total, or reads and writes, not both")
        for side in ("total", "read", "write"):
            rate, burst, length = (f"{unit}-{side}{ending}" for ending in ("", "-max", "-max-length"))
            if value(length) == 0:
                refuse(length, "and has to be 1 second or more")
            if value(length) > 1 and not value(burst):
                refuse(length, f"which needs {burst}")
            if value(burst) and not value(rate):
                refuse(burst, f"which needs {rate}")
            if value(burst) and value(burst) < value(rate):
                refuse(burst, f"which is less than {rate}, {value(rate)}")
            if value(burst) and value(length) > _LIMIT_MAX // value(burst):
                refuse(length, f"which is too long for {burst}, {value(burst)}")
    if value("iops-size") and not any(value(f"iops-{side}") for side in ("total", "read", "write")):
        refuse("iops-size", "which needs iops-total, iops-read or iops-write")


def _check_memory(qom_type: str, properties: Mapping[str, Any]) -> None:
    if properties.get("size") == 0:
        raise InvalidOption(f"properties.size is 0. A {qom_type} needs a size in bytes.")


def _check_secret(_qom_type: str, properties: Mapping[str, Any]) -> None:
    if (SECRET in properties) == bool(properties.get("file")):
        raise InvalidOption("A secret needs what it holds: set secret, or properties.file with the path of a file, and not both.")
    if bool(properties.get("keyid")) != bool(properties.get("iv")):
        raise InvalidOption("properties has only one of keyid and iv. An encrypted secret needs both.")


def _check_iothread(_qom_type: str, properties: Mapping[str, Any]) -> None:
    least, most = properties.get("thread-pool-min", 0), properties.get("thread-pool-max", 64)
    if not most or least > most:
        raise InvalidOption(f"properties.thread-pool-min is {least} and thread-pool-max is {most}. The most has to be 1 or more, and "
                            "not less than the least.")
    for name, value in properties.items():
        if isinstance(value, int) and value >= 1 << 63:
            raise InvalidOption(f"properties.{name} is {value}, which is more than QEMU takes.")


Rule = Callable[[str, Mapping[str, Any]], None]
_RULES: dict[str, Rule] = {"throttle-group": _check_limits, "memory-backend-": _check_memory, "secret": _check_secret,
                           "iothread": _check_iothread}
