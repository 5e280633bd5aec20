# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""User-creatable objects: secrets, I/O threads, throttle groups, credentials and all others of ``object-add``."""

from __future__ import annotations

from dataclasses import field
from typing import Any, Iterable, Mapping, NamedTuple

from ...errors import Conflict, InvalidOption, Unsupported
from ...lazy import dataclass
from ...model.hardware import Hardware
from ...model.users import refuse_monitor, refuse_users_of_object
from ...model.values import check_id, known_part
from ...plan.command_line import SECRET_FILE, object_argument
from ...plan.plan import Execute, Plan, Step
from ..frontend import refuse
from ..option_table import Difference, Option, Values, arguments, compare, results
from . import properties as object_properties
from .rules import SECRET, is_set
from .steps import add_object, delete_object

_IN_PLACE = {("throttle-group", "properties.limits")}
"""The type and the option that QEMU can change while others use the object."""


@dataclass(frozen=True)
class ObjectSpec:
    """What a task specifies of an object. ``values`` are those of OPTIONS that are set."""

    id: str
    qom_type: str | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)
    values: Values = field(default_factory=dict)
    recreate: bool = False
    force: bool = False


class PresentObject(NamedTuple):
    """An object as QEMU reports it. ``properties`` are those that were read, None if this object does not have one."""

    id: str
    qom_type: str
    properties: Mapping[str, Any]


_TYPE = Option("qom_type", "qom-type", lambda present: present.qom_type)
OPTIONS = (Option("secret", SECRET),)
"""The properties that have an option of their own. That of a secret is its content, which is never read back nor shown."""


def _rows(names: Iterable[str]) -> list[Option]:
    """The options of an object, with a row for each of these properties."""
    return [_TYPE, *OPTIONS, *map(_property, names)]


def _property(name: str) -> Option:
    """The row of a property. A task that sets a structure, such as limits, sets those members of it that it has."""
    return Option(
        f"properties.{name}",
        name,
        lambda present: present.properties.get(name),
        lambda present, value: bool(known_part(present.properties[name], value) == value),
    )


def plan_present(hardware: Hardware, spec: ObjectSpec) -> Plan:
    """Have the object. Raises Conflict for a present one that differs, unless it can be changed in place or recreated."""
    check_id(spec.id)
    refuse_monitor(hardware, spec.id)
    present_type = hardware.objects.get(spec.id)
    qom_type = spec.qom_type or present_type
    if qom_type is None:
        raise InvalidOption(f"Object {spec.id} does not exist yet. Set qom_type to add it.")
    if qom_type.startswith("monitor-"):
        raise Unsupported(f"qmp_object does not manage monitors, so it adds no {qom_type}. Use qmp_command.")
    specified = object_properties.specified(hardware, qom_type, spec.properties)
    kept = object_properties.present(hardware, spec.id, qom_type) if present_type == qom_type else {}
    values = {**{f"properties.{name}": value for name, value in specified.items()}, **spec.values}
    before = describe(hardware, spec.id)
    differences, unverified = _differences(hardware, spec.id, qom_type, specified, values)
    properties = {**specified, **arguments(OPTIONS, spec.values)}
    whole = object_properties.together(qom_type, kept, properties)
    if differences or not present_type:
        object_properties.check(hardware, qom_type, whole)
    steps: list[Step] = []
    after: dict[str, Any] | None = before
    if before and differences and all((qom_type, one.option) in _IN_PLACE for one in differences):
        steps = [_set(spec.id, one) for one in differences]
        after = {**before, "properties": {**before["properties"], **{_name(one): _merged(one) for one in differences}}}
    elif differences and spec.recreate:
        refuse_users_of_object(hardware, spec.id, spec.force)
        steps = _recreate(hardware, spec.id, qom_type, whole)
        after = _description(PresentObject(spec.id, qom_type, whole), whole)
    else:
        refuse(f"Object {spec.id}", differences)
        if present_type is None:
            steps = [add_object(hardware, qom_type, spec.id, properties)]
            after = _description(PresentObject(spec.id, qom_type, properties), properties)
    return Plan(tuple(steps), before, after, tuple(unverified), ("-object", launch_argument(qom_type, spec.id, whole)))


def _differences(
    hardware: Hardware, object_id: str, qom_type: str, names: Iterable[str], values: Values
) -> tuple[list[Difference], list[str]]:
    """How the object, if there is one, differs from these values, and which of them QEMU does not report."""
    if object_id not in hardware.objects:
        return [], []
    names = list(names)
    (read,) = object_properties.read(hardware, [(object_id, names)])
    present = PresentObject(object_id, hardware.objects[object_id], read)
    if present.qom_type != qom_type:
        return [Difference("qom_type", present.qom_type, qom_type)], []
    return compare(_rows(names), values, present)


def _recreate(hardware: Hardware, object_id: str, qom_type: str, properties: Mapping[str, Any]) -> list[Step]:
    """Delete the present object and add it with other properties. If QEMU refuses these, the old one is restored."""
    old_type = hardware.objects[object_id]
    old = add_object(hardware, old_type, object_id, object_properties.present(hardware, object_id, old_type))
    return [delete_object(object_id, old), add_object(hardware, qom_type, object_id, properties)]


def plan_absent(hardware: Hardware, spec: ObjectSpec) -> Plan:
    """Have no object with this id. Raises Conflict for one that is in use."""
    check_id(spec.id)
    refuse_monitor(hardware, spec.id)
    if spec.id not in hardware.objects:
        return Plan()
    if spec.qom_type is not None and hardware.objects[spec.id] != spec.qom_type:
        raise Conflict(f"The object {spec.id} is a {hardware.objects[spec.id]}, not a {spec.qom_type}. Use another id.")
    refuse_users_of_object(hardware, spec.id, spec.force)
    return Plan((delete_object(spec.id),), describe(hardware, spec.id), None)


def describe(hardware: Hardware, object_id: str) -> dict[str, Any] | None:
    """The object as the options that would create it, without a secret; None if there is no object with this id."""
    return _described(hardware, [object_id])[0] if object_id in hardware.objects else None


def describe_all(hardware: Hardware) -> list[dict[str, Any]]:
    """All objects, each as the options that would create it, without secrets."""
    return _described(hardware, sorted(hardware.objects))


def _described(hardware: Hardware, ids: list[str]) -> list[dict[str, Any]]:
    """The objects with these *ids*, in two round trips however many they are."""
    names = object_properties.settable(hardware, ids)
    values = object_properties.read(hardware, zip(ids, names))
    return [
        _description(PresentObject(one, hardware.objects[one], read), [name for name in read if is_set(name, read[name])])
        for one, read in zip(ids, values)
    ]


def _description(present: PresentObject, names: Iterable[str]) -> dict[str, Any]:
    shown = {"id": present.id, **results(_rows(name for name in names if name != SECRET), present)}
    shown.setdefault("properties", {})
    return shown


def launch_argument(qom_type: str, object_id: str, properties: Mapping[str, Any]) -> str:
    """The value of ``-object``, with the name of a file instead of a secret."""
    shown = [("file", SECRET_FILE) if name == SECRET else (name, value) for name, value in properties.items()]
    return object_argument(qom_type, object_id, dict(shown))


def _name(one: Difference) -> str:
    """The property that differs, by QEMU's name."""
    return one.option.partition(".")[2]


def _set(object_id: str, one: Difference) -> Execute:
    """Change a property in place. Of a structure only those members change that the task sets, and a rollback restores them."""
    target = {"path": f"/objects/{object_id}", "property": _name(one)}
    back = Execute("qom-set", {**target, "value": known_part(one.present, one.desired)})
    return Execute("qom-set", {**target, "value": one.desired}, back)


def _merged(one: Difference) -> Any:
    """The value of a property after the change: of a structure the members that the task does not set stay."""
    return {**one.present, **one.desired} if isinstance(one.present, dict) and isinstance(one.desired, dict) else one.desired
