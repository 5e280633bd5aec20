# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a VM is, what it has, and what more it can take: the facts that an operator asks for before a change."""

from __future__ import annotations

from typing import Any, Callable

from .devices import cpu
from .devices.chardev import plans as chardev
from .devices.disk import spec as disk
from .devices.memory.capacity import lack, obstacle, room_beside
from .devices.nic import spec as nic
from .devices.objects import plans as objects
from .errors import Unsupported
from .model.hardware import Device, Hardware
from .model.slots import default_driver, free_slots, launch_argument, slot_of, slot_options
from .operations import balloon, migration
from .operations import block_job as blockjob

_PLACES = 32
"""How many free places are told one by one; a SCSI bus has hundreds."""


def vm(hardware: Hardware) -> dict[str, Any]:
    """Identity and state of the VM."""
    ask = hardware.cache.ask
    return {
        "name": ask("query-name").get("name"),
        "uuid": ask("query-uuid")["UUID"],
        "status": ask("query-status")["status"],
        "qemu_version": hardware.version_text,
        "machine": hardware.machine,
        "target": hardware.target,
        "accelerator": hardware.accelerator,
    }


def devices(hardware: Hardware) -> list[dict[str, Any]]:
    """Every device that was given to QEMU, with or without an id."""
    return [_device(device) for device in hardware.devices]


def _device(device: Device) -> dict[str, Any]:
    return {"id": device.id, "path": device.path, "driver": device.driver, **slot_of(device), "at_launch": device.at_launch}


def memory(hardware: Hardware) -> dict[str, Any]:
    """Bytes of RAM at start and plugged, and the memory devices; ``maximum`` and ``slots`` None where QEMU does not tell."""
    summary = hardware.cache.ask("query-memory-size-summary")
    room = room_beside(hardware)
    devices = hardware.memory_devices
    return {
        "base": summary["base-memory"],
        "plugged": summary.get("plugged-memory", 0),
        "maximum": room.base + room.held + room.size if room else None,
        "slots": room.total_slots if room else None,
        "devices": [{"type": one["type"], **one["data"]} for one in devices],
    }


def capacity(hardware: Hardware) -> dict[str, dict[str, Any]]:
    """For each kind: how many more this VM can take, and if none, why and with which launch arguments it could."""
    return {
        "disk": _places(hardware, "virtio-blk"),
        "scsi_disk": _places(hardware, "scsi-hd"),
        "nic": _places(hardware, "virtio-net"),
        "cpu": _cpus(hardware),
        "memory": _dimms(hardware),
        "serial_port": _places(hardware, "virtserialport"),
    }


def _places(hardware: Hardware, device: str) -> dict[str, Any]:
    try:
        driver = default_driver(hardware, device) if device.startswith("virtio-") else device
        places = [slot_options(slot) for slot in free_slots(hardware, driver)]
        remedy = [] if places else launch_argument(hardware, driver)
    except Unsupported as error:
        return _none(str(error))
    if places:
        return {"count": len(places), "places": places[:_PLACES], "driver": driver, "reason": None, "launch_args": []}
    return {**_none(f"The VM has no free place for a {driver} that takes devices while it runs.", *remedy), "driver": driver}


def _cpus(hardware: Hardware) -> dict[str, Any]:
    places = hardware.cpus
    if not places:
        return _none(f"The machine {hardware.machine} of QEMU {hardware.version_text} has no CPU hotplug.")
    free = cpu.total(place for place in places if not place.path)
    try:
        cpu.refuse_readd(hardware)
    except Unsupported as error:
        return _none(str(error))
    if free:
        return {"count": free, "reason": None, "launch_args": []}
    count = cpu.total(places)
    return _none(f"The VM has all {count} vCPUs that it may have.", "-smp", f"{count},maxcpus={2 * count}")


def _dimms(hardware: Hardware) -> dict[str, Any]:
    """DIMMs, by slots and bytes. A VM without slots may still take a virtio-mem device: ``bytes`` has the room for it."""
    against = obstacle(hardware)
    room = room_beside(hardware)
    size = max(room.size, 0) if room else 0
    if against:
        reason, remedy = against
        return {**_none(reason, *remedy), "bytes": size}
    if room is None:
        return _none(f"QEMU {hardware.version_text} does not tell whether it has memory slots.")
    reason_now = lack(room, virtio=False)
    if reason_now:
        return {**_none(reason_now, *room.launch_args(room.base)), "bytes": size}
    return {"count": room.slots, "bytes": size, "reason": None, "launch_args": []}


def _none(reason: str, *launch_args: str) -> dict[str, Any]:
    return {"count": 0, "places": [], "reason": reason, "launch_args": list(launch_args)}


def balloon_now(hardware: Hardware) -> dict[str, Any] | None:
    """What the guest has of its memory; None where there is no balloon."""
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
    "block_jobs": blockjob.describe_all,
    "balloon": balloon_now,
    "migration": migration.describe,
    "devices": devices,
    "capacity": capacity,
}
"""Each part of the facts, by the name it has in ``gather_subset`` and in the result."""
