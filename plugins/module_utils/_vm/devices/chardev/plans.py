# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Character devices, and the virtio serial ports and consoles through which the guest sees them. Both have the same id."""

from __future__ import annotations

from typing import Any, Mapping

from ...errors import Conflict, InvalidOption
from ...lazy import dataclass
from ...model.forecast import planned_chardev
from ...model.hardware import Chardev, Device, Hardware
from ...model.references import refuse_missing_objects
from ...model.users import refuse_monitor_chardev, users_of_chardev
from ...model.values import check_id, nearest
from ...plan.command_line import chardev_argument, device_argument
from ...plan.hotplug import Plug, Unplug, plug
from ...plan.plan import Command, Delete, Execute, Plan, Run, Step
from ..current import backends_of, current_arguments
from ..frontend import (
    device_arguments,
    device_differences,
    frontend_results,
    planned_results,
    recreated_arguments,
    refuse,
)
from ..option_table import Difference, compare, results
from . import data as chardev_data
from .spec import OPTIONS, PROPERTIES, ChardevSpec


def plan_present(hardware: Hardware, spec: ChardevSpec) -> Plan:
    """Have the character device and, if a driver is set, its port. Raises Conflict for a port with other properties, unless
    ``recreate`` is set."""
    check_id(spec.id)
    refuse_monitor_chardev(hardware, spec.id)
    _refuse_others(hardware, spec.id)
    chardev, device = hardware.chardevs.get(spec.id), _port(hardware, spec.id)
    kind = spec.type or (chardev.type if chardev else None)
    if kind is None:
        raise InvalidOption(f"Character device {spec.id} does not exist. Set type to add it.")
    if spec.type is not None:
        _check_type(hardware, spec.type)
    chardev_data.check_address(spec, kind)
    data = chardev_data.specified(hardware, kind, spec.data(kind))
    before = describe(hardware, spec.id)
    steps: list[Step] = []
    changed, unverified = _differences(chardev, spec, kind, data) if chardev else ([], [])
    known = chardev_data.present(chardev) if chardev and chardev.type == kind else None
    is_new = chardev is None or bool(changed)
    if is_new:
        chardev_data.check(hardware, kind, data, spec.names(kind))
        refuse_missing_objects(hardware, "options", data)
    differences: list[Difference] = []
    if device and spec.frontend.driver:
        differences, unread = device_differences(hardware, spec.frontend, device)
        unverified += unread
    arguments: dict[str, Any] = {}
    if differences and spec.recreate and device:
        steps.append(Unplug(spec.id, Plug(_port_arguments(hardware, device))))
        arguments = recreated_arguments(hardware, spec.frontend, str(spec.frontend.driver), {"chardev": spec.id}, device)
    else:
        refuse(f"Port {spec.id}", differences)
    backend: dict[str, Any] = {"type": kind, "data": data}
    if chardev is None:
        steps.append(Execute("chardev-add", {"id": spec.id, "backend": backend}, Delete("chardev-remove", {"id": spec.id})))
    elif changed:
        steps += _change(hardware, chardev, backend, spec.recreate)
    if device is None and spec.frontend.driver:
        _refuse_in_use(hardware, spec.id)
        arguments = device_arguments(hardware, spec.frontend, spec.frontend.driver, {"chardev": spec.id})
    if arguments:
        steps += plug(arguments)
    planned = planned_chardev(spec.id, backend)._replace(open=bool(chardev and chardev.open)) if is_new else chardev
    after = _describe(hardware, spec.id, planned, device, arguments)
    port = arguments or (_port_arguments(hardware, device) if device and spec.frontend.driver else {})
    launch, warnings = _launch_args(hardware, spec.id, kind, data if changed else {**(known or {}), **data}, port)
    return Plan(tuple(steps), before, after, tuple(unverified), launch, warnings)


def _change(hardware: Hardware, chardev: Chardev, backend: dict[str, Any], recreate: bool) -> list[Step]:
    """Give a character device another backend in place, and the old one again if QEMU rejects the new one.

    QEMU deletes a character device that nothing uses before it opens the new backend. So if QEMU does not report the options of
    the old one, it is removed only with ``recreate``.
    """
    data = chardev_data.present(chardev)
    old = {"id": chardev.id, "backend": {"type": chardev.type, "data": data}}
    new = {"id": chardev.id, "backend": backend}
    undo = None if data is None else Execute("chardev-change", old)
    if chardev.type == "mux" or users_of_chardev(hardware, chardev.id):
        return [Execute("chardev-change", new, undo)]
    if undo:
        restore = RestoreIfDeleted(old)
        return [restore, Execute("chardev-change", new, undo, uses=(restore,))]
    if not recreate:
        raise Conflict(
            f"type of the character device {chardev.id} is {chardev.type} and the task sets {backend['type']}. QEMU deletes the "
            "old one first and does not report its options, so it could not be restored if the new one fails. Remove it first "
            "(state: absent), or set recreate: true."
        )
    return [
        Delete("chardev-remove", {"id": chardev.id}),
        Execute("chardev-add", new, Delete("chardev-remove", {"id": chardev.id})),
    ]


@dataclass(frozen=True)
class RestoreIfDeleted(Step):
    """Does nothing. Its undo adds a character device again, which QEMU has deleted if it rejected a change."""

    old: dict[str, Any]
    changes = False

    def commands(self) -> list[Command]:
        return []

    def apply(self, run: Run) -> None:
        pass

    def undo(self) -> Step:
        return AddIfDeleted("chardev-add", self.old)


@dataclass(frozen=True)
class AddIfDeleted(Execute):
    """``chardev-add`` of a character device, unless it still exists."""

    def apply(self, run: Run) -> None:
        if self.arguments["id"] not in {entry["label"] for entry in run.read("query-chardev")}:
            super().apply(run)


def plan_absent(hardware: Hardware, spec: ChardevSpec) -> Plan:
    """Have neither the port nor the character device behind it."""
    check_id(spec.id)
    refuse_monitor_chardev(hardware, spec.id)
    _refuse_others(hardware, spec.id)
    device = _port(hardware, spec.id)
    steps: list[Step] = [Unplug(spec.id)] if device else []
    if spec.id in hardware.chardevs:
        _refuse_in_use(hardware, spec.id)
        steps.append(Delete("chardev-remove", {"id": spec.id}))
    return Plan(tuple(steps), describe(hardware, spec.id), None)


def describe(hardware: Hardware, chardev_id: str) -> dict[str, Any] | None:
    """The character device and its port as the options that add them, as far as QEMU reports them; None if there is neither."""
    chardev, device = hardware.chardevs.get(chardev_id), _port(hardware, chardev_id)
    return None if chardev is None and device is None else _describe(hardware, chardev_id, chardev, device, {})


def _describe(
    hardware: Hardware, chardev_id: str, chardev: Chardev | None, device: Device | None, arguments: Mapping[str, Any]
) -> dict[str, Any]:
    """The same for a port that ``device_add`` *arguments* will add, if there are any, or else for *device*."""
    result: dict[str, Any] = {"id": chardev_id, "attached": bool(device or arguments)}
    if chardev:
        result.update({"type": chardev.type, "open": chardev.open, **results(OPTIONS.get(chardev.type, ()), chardev)})
        terminal = chardev.filename.partition("pty:")[2] if chardev.type == "pty" else ""
        result.update({"pty": terminal} if terminal else {})
    if arguments:
        result.update(planned_results(arguments, PROPERTIES))
    elif device:
        result.update(frontend_results(hardware, device, PROPERTIES))
    path = guest_path(result.get("driver"), result.get("name"))
    return {**result, "guest_path": path} if path else result


def describe_all(hardware: Hardware) -> list[dict[str, Any]]:
    """All character devices of the VM, without those of monitors."""
    found = (describe(hardware, name) for name in sorted(hardware.chardevs))
    return [one for one in found if one]


def guest_path(driver: str | None, name: str | None) -> str | None:
    """The path of a named port in a Linux guest with udev."""
    return f"/dev/virtio-ports/{name}" if driver == "virtserialport" and name else None


def _port(hardware: Hardware, chardev_id: str) -> Device | None:
    """The device on the character device of the same id. A device of this id on another one, or on none, is not its port."""
    device = hardware.device(chardev_id)
    return device if device and device.properties.get("chardev") == chardev_id else None


def _refuse_others(hardware: Hardware, chardev_id: str) -> None:
    """Raise Conflict if the id belongs to a device that is not the port of the character device of this id."""
    device = hardware.device(chardev_id)
    if device is None or _port(hardware, chardev_id):
        return
    other = device.properties.get("chardev")
    if other:
        raise Conflict(
            f"The {device.driver} {chardev_id} is on the character device {other}, which has another id. Choose another id, or "
            f"manage the port with qmp_device and the character device by its id {other}.",
            chardev=other,
        )
    raise Conflict(f"The id {chardev_id} belongs to a {device.driver}, which has no character device. Choose another id.")


def _refuse_in_use(hardware: Hardware, chardev_id: str) -> None:
    """Raise Conflict if anything but the port of the same id uses the character device, which can have one user."""
    others = [one for one in users_of_chardev(hardware, chardev_id) if one != chardev_id]
    if others:
        raise Conflict(f"The character device {chardev_id} is used by {', '.join(others)}. Remove that first.", users=others)


def _check_type(hardware: Hardware, name: str) -> None:
    known = [entry["name"] for entry in hardware.cache.ask("query-chardev-backends")]
    if name not in known:
        raise InvalidOption(
            f"type {name!r} is not a character device of this QEMU ({hardware.version_text}){nearest(name, known)}."
        )


def _differences(chardev: Chardev, spec: ChardevSpec, kind: str, data: Mapping[str, Any]) -> tuple[list[Difference], list[str]]:
    """How the character device differs from the *data* of *spec*, and the options that QEMU does not report."""
    if kind != chardev.type:
        return [Difference("type", chardev.type, kind)], []
    rows, values = spec.rows_for(kind), spec.values_for(kind)
    different, unverified = compare(rows, {row.name: data.get(row.qemu, values[row.name]) for row in rows}, chardev)
    return different, sorted(unverified)


def _port_arguments(hardware: Hardware, device: Device) -> dict[str, Any]:
    """The arguments of ``device_add`` that add a port again as it is."""
    present = current_arguments(hardware, device)
    return {"driver": present.pop("driver"), "id": present.pop("id"), **backends_of(hardware, device), **present}


def _launch_args(
    hardware: Hardware, chardev_id: str, kind: str, data: Mapping[str, Any], port: Mapping[str, Any]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The launch arguments of the character device and its port, and a warning if there are none."""
    try:
        chardev_data.check(hardware, kind, data)
        argument = chardev_argument(kind, chardev_id, data, hardware.version)
        why = "QEMU's command line cannot express it. Add it with this task after the next start."
    except InvalidOption:  # QEMU does not report all options of a present one
        argument, why = None, "QEMU does not report its options. Set all of them in the task."
    if argument is None:
        return (), (f"launch_args is empty for the character device {chardev_id} ({kind}): {why}",)
    return ("-chardev", argument, *(("-device", device_argument(port, hardware.version)) if port else ())), ()
