# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""User-creatable objects: secrets, I/O threads, throttle groups, credentials and whatever else ``object-add`` makes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Mapping

from .device import Difference, refuse
from .errors import Conflict, InvalidOption
from .launch import object_argument
from .model import Device, Hardware
from .plan import Delete, Execute, Plan, Step
from .values import check_id, known_part, nearest, typed

_IN_PLACE = {("throttle-group", "limits")}
"""What QEMU changes of an object while others use it, by type and property."""
SECRET_FILE = "FILE_WITH_THE_SECRET"
"""Stands in launch arguments for a file, for a secret does not belong on a command line."""


@dataclass(frozen=True)
class Object:
    """What a task says of an object. ``secret`` is the data of a secret object, which is never read back nor shown."""

    id: str
    qom_type: str | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)
    secret: str | None = None
    recreate: bool = False
    force: bool = False


def add_object(hardware: Hardware, qom_type: str, object_id: str, properties: Mapping[str, Any]) -> Execute:
    """``object-add``, in the form of this QEMU; taken back by ``object-del``."""
    nested = hardware.schema.has_member("object-add", "props")  # before QEMU 6.0
    arguments = {"qom-type": qom_type, "id": object_id, **({"props": properties} if nested else properties)}
    return Execute("object-add", arguments, delete_object(object_id))


def delete_object(object_id: str) -> Delete:
    return Delete("object-del", {"id": object_id})


def plan_present(hardware: Hardware, wish: Object) -> Plan:
    check_id(wish.id)
    present_type = hardware.objects.get(wish.id)
    qom_type = wish.qom_type or present_type
    if qom_type is None:
        raise InvalidOption(f"Object {wish.id} does not exist yet: say with qom_type what it is to be.")
    properties = _typed(hardware, qom_type, wish.properties)
    before = describe(hardware, wish.id)
    differences, unverified = _differences(hardware, wish, qom_type, properties) if present_type else ([], [])
    if wish.secret is not None:
        properties = {**properties, "data": wish.secret}
        unverified.append("secret")
    steps: list[Step] = []
    after: dict[str, Any] | None = {"id": wish.id, "qom_type": qom_type,
                                    "properties": {name: value for name, value in properties.items() if name != "data"}}
    if before and differences and all((qom_type, one.option) in _IN_PLACE for one in differences):
        steps = [_set(wish.id, one) for one in differences]
        after = {**before, "properties": {**before["properties"], **{one.option: _merged(one) for one in differences}}}
    elif differences and wish.recreate:
        _refuse_users(hardware, wish)
        steps = [delete_object(wish.id), add_object(hardware, qom_type, wish.id, properties)]
    else:
        refuse(f"Object {wish.id}", differences)
        if present_type is None:
            steps = [add_object(hardware, qom_type, wish.id, properties)]
            unverified = []
    return Plan(tuple(steps), before, after if steps else before, tuple(unverified),
                ("-object", launch_argument(qom_type, wish.id, properties)))


def plan_absent(hardware: Hardware, wish: Object) -> Plan:
    check_id(wish.id)
    if wish.id not in hardware.objects:
        return Plan()
    if wish.qom_type is not None and hardware.objects[wish.id] != wish.qom_type:
        raise Conflict(f"The object {wish.id} is a {hardware.objects[wish.id]}, not a {wish.qom_type}. Take another id.")
    _refuse_users(hardware, wish)
    return Plan((delete_object(wish.id),), describe(hardware, wish.id), None)


def describe(hardware: Hardware, object_id: str) -> dict[str, Any] | None:
    """The object with its readable properties; never those that hold a secret."""
    if object_id not in hardware.objects:
        return None
    return _described(hardware, [object_id])[0]


def describe_all(hardware: Hardware) -> list[dict[str, Any]]:
    return _described(hardware, sorted(hardware.objects))


def _described(hardware: Hardware, ids: list[str]) -> list[dict[str, Any]]:
    """Those with these *ids*, in two round trips however many they are."""
    listed = hardware.snapshot.qom_list(f"/objects/{one}" for one in ids)
    names = [[name for name, kind in known.items()
              if name not in ("type", "data", "rawdata") and not kind.startswith(("child<", "link<"))] for known in listed]
    values = iter(hardware.snapshot.qom_get((f"/objects/{one}", name) for one, those in zip(ids, names) for name in those))
    return [{"id": one, "qom_type": hardware.objects[one],
             "properties": {name: value for name, value in zip(those, values) if value is not None}}
            for one, those in zip(ids, names)]


def launch_argument(qom_type: str, object_id: str, properties: Mapping[str, Any]) -> str:
    """The value of ``-object``, with the name of a file in the place of a secret."""
    shown = [("file", SECRET_FILE) if name == "data" else (name, value) for name, value in properties.items()]
    return object_argument(qom_type, object_id, dict(shown))


def _typed(hardware: Hardware, qom_type: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    """*properties* in the types that QEMU's schema has for this type of object; QEMU before 6.0 tells none."""
    for name in ("id", "qom-type", "data"):
        if name in properties:
            option = {"id": "id", "qom-type": "qom_type", "data": "secret"}[name]
            raise InvalidOption(f"properties has {name!r}, which the option {option!r} is for.")
    if hardware.schema.has_member("object-add", "props"):
        return dict(properties)
    types = hardware.snapshot.ask_or([], "qom-list-types", implements="user-creatable", abstract=False)
    names = {entry["name"] for entry in types}
    if qom_type not in names:
        raise InvalidOption(f"This QEMU ({hardware.version_text}) has no object type {qom_type!r}{nearest(qom_type, names)}.")
    known = {name: member.type for name, member in hardware.schema.command_arguments("object-add", qom_type).items()}
    return typed(f"object type {qom_type}", properties, known)


def _differences(hardware: Hardware, wish: Object, qom_type: str,
                 properties: Mapping[str, Any]) -> tuple[list[Difference], list[str]]:
    present_type = hardware.objects[wish.id]
    if present_type != qom_type:
        return [Difference("qom_type", present_type, qom_type)], []
    values = hardware.snapshot.qom_get((f"/objects/{wish.id}", name) for name in properties)
    unverified = [name for name, value in zip(properties, values) if value is None]
    different = [Difference(name, now, wanted) for (name, wanted), now in zip(properties.items(), values)
                 if now is not None and known_part(now, wanted) != wanted]
    return different, unverified


def _set(object_id: str, one: Difference) -> Execute:
    """Change a property in place, of a structure the members that the task states; taken back to what they were."""
    place = {"path": f"/objects/{object_id}", "property": one.option}
    back = Execute("qom-set", {**place, "value": known_part(one.present, one.wanted)})
    return Execute("qom-set", {**place, "value": one.wanted}, back)


def _merged(one: Difference) -> Any:
    """What a property will be: of a structure, the members that the task does not state stay."""
    return {**one.present, **one.wanted} if isinstance(one.present, dict) and isinstance(one.wanted, dict) else one.wanted


def _iothreads(device: Device) -> set[str]:
    """The ids of the I/O threads that serve a device: its one, or those of its queues."""
    names = [device.properties.get("iothread")]
    names += [one.get("iothread") for one in device.properties.get("iothread-vq-mapping", ()) if isinstance(one, dict)]
    return {str(name).rsplit("/", 1)[-1] for name in names if name}


def _refuse_users(hardware: Hardware, wish: Object) -> None:
    """Raise Conflict for an I/O thread that serves a device: QEMU lets it be deleted, and the device goes without."""
    users = [device.id or device.path for device in hardware.devices if wish.id in _iothreads(device)]
    if users and not wish.force:
        raise Conflict(f"The object {wish.id} serves {', '.join(sorted(users))}. Unplug that first, or set force: true.",
                       users=sorted(users))
