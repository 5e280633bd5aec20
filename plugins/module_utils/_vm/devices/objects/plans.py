# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""User-creatable objects: secrets, I/O threads, throttle groups, credentials and whatever else ``object-add`` makes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Mapping

from ...errors import Conflict, InvalidOption, Unsupported
from ...model.hardware import Hardware
from ...model.users import refuse_monitor, refuse_users_of_object
from ...model.values import check_id, known_part
from ...plan.command_line import object_argument
from ...plan.plan import Delete, Execute, Plan, Step
from ..frontend import refuse
from ..option_table import Difference
from . import properties as object_properties
from .rules import SECRET

_IN_PLACE = {("throttle-group", "limits")}
"""What QEMU changes of an object while others use it, by type and property."""
SECRET_FILE = "FILE_WITH_THE_SECRET"
"""Stands in launch arguments for a file, for a secret does not belong on a command line."""


@dataclass(frozen=True)
class ObjectSpec:
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


def delete_object(object_id: str, undo_step: Step | None = None) -> Delete:
    return Delete("object-del", {"id": object_id}, undo_step)


def plan_present(hardware: Hardware, spec: ObjectSpec) -> Plan:
    check_id(spec.id)
    refuse_monitor(hardware, spec.id)
    present_type = hardware.objects.get(spec.id)
    qom_type = spec.qom_type or present_type
    if qom_type is None:
        raise InvalidOption(f"Object {spec.id} does not exist yet: say with qom_type what it is to be.")
    if qom_type.startswith("monitor-"):
        raise Unsupported(f"qmp_object does not manage monitors, so it adds no {qom_type}. Use qmp_command.")
    specified = object_properties.specified(hardware, qom_type, spec.properties)
    kept = object_properties.present(hardware, spec.id, qom_type) if present_type == qom_type else {}
    before = describe(hardware, spec.id)
    differences, unverified = _differences(hardware, spec, qom_type, specified) if present_type else ([], [])
    properties = specified
    if spec.secret is not None:
        properties = {**specified, SECRET: spec.secret}
        unverified.append("secret")
    whole = object_properties.together(qom_type, kept, properties)
    if differences or not present_type:
        object_properties.check(hardware, qom_type, whole)
    steps: list[Step] = []
    after: dict[str, Any] | None = before
    if before and differences and all((qom_type, one.option) in _IN_PLACE for one in differences):
        steps = [_set(spec.id, one) for one in differences]
        after = {**before, "properties": {**before["properties"], **{one.option: _merged(one) for one in differences}}}
    elif differences and spec.recreate:
        refuse_users_of_object(hardware, spec.id, spec.force)
        steps = _recreate(hardware, spec.id, qom_type, whole)
        after = _planned(spec.id, qom_type, whole)
    else:
        refuse(f"Object {spec.id}", differences)
        if present_type is None:
            steps = [add_object(hardware, qom_type, spec.id, properties)]
            after = _planned(spec.id, qom_type, properties)
            unverified = []
    return Plan(tuple(steps), before, after, tuple(unverified), ("-object", launch_argument(qom_type, spec.id, whole)))


def _recreate(hardware: Hardware, object_id: str, qom_type: str, properties: Mapping[str, Any]) -> list[Step]:
    """Delete the object that is there and add it with other properties. If QEMU refuses these, the old one is added again."""
    old_type = hardware.objects[object_id]
    old = add_object(hardware, old_type, object_id, object_properties.present(hardware, object_id, old_type))
    return [delete_object(object_id, old), add_object(hardware, qom_type, object_id, properties)]


def _planned(object_id: str, qom_type: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    shown = {name: value for name, value in properties.items() if name != SECRET}
    return {"id": object_id, "qom_type": qom_type, "properties": shown}


def plan_absent(hardware: Hardware, spec: ObjectSpec) -> Plan:
    check_id(spec.id)
    refuse_monitor(hardware, spec.id)
    if spec.id not in hardware.objects:
        return Plan()
    if spec.qom_type is not None and hardware.objects[spec.id] != spec.qom_type:
        raise Conflict(f"The object {spec.id} is a {hardware.objects[spec.id]}, not a {spec.qom_type}. Take another id.")
    refuse_users_of_object(hardware, spec.id, spec.force)
    return Plan((delete_object(spec.id),), describe(hardware, spec.id), None)


def describe(hardware: Hardware, object_id: str) -> dict[str, Any] | None:
    """The object with its readable properties; never those that hold a secret."""
    if object_id not in hardware.objects:
        return None
    return _described(hardware, [object_id])[0]


def describe_all(hardware: Hardware) -> list[dict[str, Any]]:
    return _described(hardware, sorted(hardware.objects))


def _described(hardware: Hardware, ids: list[str]) -> list[dict[str, Any]]:
    """Those with these *ids*, in two round trips however many they are."""
    listed = hardware.cache.qom_list(f"/objects/{one}" for one in ids)
    names = [
        [
            name
            for name, kind in known.items()
            if name not in ("type", "data", "rawdata") and not kind.startswith(("child<", "link<"))
        ]
        for known in listed
    ]
    values = iter(hardware.cache.qom_get((f"/objects/{one}", name) for one, those in zip(ids, names) for name in those))
    return [
        {
            "id": one,
            "qom_type": hardware.objects[one],
            "properties": {name: value for name, value in zip(those, values) if value is not None},
        }
        for one, those in zip(ids, names)
    ]


def launch_argument(qom_type: str, object_id: str, properties: Mapping[str, Any]) -> str:
    """The value of ``-object``, with the name of a file in the place of a secret."""
    shown = [("file", SECRET_FILE) if name == "data" else (name, value) for name, value in properties.items()]
    return object_argument(qom_type, object_id, dict(shown))


def _differences(
    hardware: Hardware, spec: ObjectSpec, qom_type: str, properties: Mapping[str, Any]
) -> tuple[list[Difference], list[str]]:
    present_type = hardware.objects[spec.id]
    if present_type != qom_type:
        return [Difference("qom_type", present_type, qom_type)], []
    values = hardware.cache.qom_get((f"/objects/{spec.id}", name) for name in properties)
    unverified = [name for name, value in zip(properties, values) if value is None]
    different = [
        Difference(name, now, wanted)
        for (name, wanted), now in zip(properties.items(), values)
        if now is not None and known_part(now, wanted) != wanted
    ]
    return different, unverified


def _set(object_id: str, one: Difference) -> Execute:
    """Change a property in place, of a structure the members that the task states; taken back to what they were."""
    place = {"path": f"/objects/{object_id}", "property": one.option}
    back = Execute("qom-set", {**place, "value": known_part(one.present, one.desired)})
    return Execute("qom-set", {**place, "value": one.desired}, back)


def _merged(one: Difference) -> Any:
    """What a property will be: of a structure, the members that the task does not state stay."""
    return {**one.present, **one.desired} if isinstance(one.present, dict) and isinstance(one.desired, dict) else one.desired
