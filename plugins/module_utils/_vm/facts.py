# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The facts of a VM: what it has, and how much more hardware it accepts while it runs."""

from __future__ import annotations

from typing import Any, Callable

from .devices import cpu
from .devices.chardev import plans as chardev
from .devices.disk import results as disk
from .devices.memory.capacity import lack, obstacle, room_beside
from .devices.memory.total import describe_total
from .devices.nic import spec as nic
from .devices.objects import plans as objects
from .errors import Unsupported
from .launch import describe as plugged
from .model.hardware import Device, Hardware
from .model.identity import identity
from .model.slots import count_free, default_driver, free_slots, launch_argument, slot_of, slot_options
from .operations import balloon, migration
from .operations.block_job import plans as block_job

_MOST_SLOTS = 32
"""How many free slots are listed; a SCSI bus has hundreds."""


def vm(hardware: Hardware) -> dict[str, Any]:
    """Identity and state of the VM."""
    ask = hardware.cache.ask
    return {
        **identity(hardware.cache),
        "status": ask("query-status")["status"],
        "qemu_version": hardware.version_text,
        "machine": hardware.machine,
        "target": hardware.target,
        "accelerator": hardware.accelerator,
    }


def devices(hardware: Hardware) -> list[dict[str, Any]]:
    """Every device that QEMU was started with or that was added since, with or without an id."""
    return [_device(device) for device in hardware.devices]


def _device(device: Device) -> dict[str, Any]:
    return {"id": device.id, "path": device.path, "driver": device.driver, **slot_of(device), "at_launch": device.at_launch}


def buses(hardware: Hardware) -> list[dict[str, Any]]:
    """Every bus, with the path of the device that has it, None for a bus of the machine."""
    paths = [device.path for device in hardware.devices]
    return [
        {
            "name": bus.name,
            "type": bus.kind,
            "device": next((path for path in paths if f"{bus.path}/".startswith(f"{path}/")), None),
            "hotplug": bus.hotpluggable,
            "free": count_free(hardware, bus),
        }
        for bus in hardware.buses
    ]


def memory(hardware: Hardware) -> dict[str, Any]:
    """What a task with ``total`` reports, and how much the VM may have: ``maximum`` and ``slots``, None if QEMU does not report
    them."""
    room = room_beside(hardware)
    return {
        **describe_total(hardware),
        "maximum": room.base + room.held + room.size if room else None,
        "slots": room.total_slots if room else None,
    }


def capacity(hardware: Hardware) -> dict[str, dict[str, Any]]:
    """For each kind: how many more of it this VM accepts. If none: why, and the launch arguments that would allow one."""
    return {
        "disk": _slots(hardware, "virtio-blk"),
        "scsi_disk": _slots(hardware, "scsi-hd"),
        "nic": _slots(hardware, "virtio-net"),
        "cpu": _cpus(hardware),
        "memory": _dimms(hardware),
        "serial_port": _slots(hardware, "virtserialport"),
    }


def _slots(hardware: Hardware, device: str) -> dict[str, Any]:
    try:
        driver = default_driver(hardware, device) if device.startswith("virtio-") else device
        slots = [slot_options(slot) for slot in free_slots(hardware, driver)]
        remedy = [] if slots else launch_argument(hardware, driver)
    except Unsupported as error:
        return _none(str(error))
    if slots:
        return {"count": len(slots), "slots": slots[:_MOST_SLOTS], "driver": driver, "reason": None, "launch_args": []}
    reason = f"The VM has no free slot for a {driver} on a bus that accepts devices while it runs."
    return {**_none(reason, *remedy), "driver": driver}


def _cpus(hardware: Hardware) -> dict[str, Any]:
    slots = hardware.cpu_slots
    if not slots:
        return _none(f"The machine {hardware.machine} of QEMU {hardware.version_text} has no CPU hotplug.")
    free = cpu.total(slot for slot in slots if not slot.path)
    try:
        cpu.refuse_readd(hardware)
    except Unsupported as error:
        return _none(str(error))
    if free:
        return {"count": free, "reason": None, "launch_args": []}
    count = cpu.total(slots)
    return _none(f"The VM has all of its {count} vCPUs.", "-smp", f"{count},maxcpus={2 * count}")


def _dimms(hardware: Hardware) -> dict[str, Any]:
    """DIMMs, by slots and bytes. A VM without slots may still accept a virtio-mem device: ``bytes`` is the room for it."""
    blocked = obstacle(hardware)
    room = room_beside(hardware)
    size = max(room.size, 0) if room else 0
    if blocked:
        reason, remedy = blocked
        return {**_none(reason, *remedy), "bytes": size}
    if room is None:
        return _none(f"QEMU {hardware.version_text} does not report whether it has memory slots.")
    reason_now = lack(room, virtio=False)
    if reason_now:
        return {**_none(reason_now, *room.launch_args(room.base)), "bytes": size}
    return {"count": room.slots, "bytes": size, "reason": None, "launch_args": []}


def _none(reason: str, *launch_args: str) -> dict[str, Any]:
    return {"count": 0, "slots": [], "reason": reason, "launch_args": list(launch_args)}


def balloon_now(hardware: Hardware) -> dict[str, Any] | None:
    """The memory that the guest uses; None for a VM without a balloon."""
    try:
        return balloon.describe(hardware)
    except Unsupported:
        return None


SUBSETS: dict[str, Callable[[Hardware], Any]] = {
    "vm": vm,
    "disks": disk.describe_all,
    "nics": nic.describe_all,
    "cpus": cpu.describe,
    "memory": memory,
    "chardevs": chardev.describe_all,
    "objects": objects.describe_all,
    "block_jobs": block_job.describe_all,
    "balloon": balloon_now,
    "migration": migration.describe,
    "devices": devices,
    "buses": buses,
    "capacity": capacity,
    "plugged": plugged,
}
"""The parts of the facts, by their names in ``gather_subset`` and in the result."""

SLOW = frozenset({"plugged"})
"""Those that are read only if they are named: they take longer than all others together."""
