# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much more hardware a VM accepts while it runs."""

from __future__ import annotations

from typing import Any

from .devices import cpu
from .devices.memory.capacity import lack, obstacle, room_beside
from .devices.memory.total import describe_total
from .errors import Unsupported
from .model.hardware import Hardware
from .model.slots import default_driver, free_slots, launch_argument, slot_options

_MOST_SLOTS = 32
"""How many free slots are listed; a SCSI bus has hundreds."""


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


def memory(hardware: Hardware) -> dict[str, Any]:
    """What a task with ``total`` reports, and how much the VM may have: ``maximum`` and ``slots``, None if QEMU does not report
    them."""
    room = room_beside(hardware)
    return {
        **describe_total(hardware),
        "maximum": room.base + room.held + room.size if room else None,
        "slots": room.total_slots if room else None,
    }
