# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much memory a VM can still take, and with which launch arguments it could take more.

QEMU reports memory slots only where there are any (``-m slots=N,maxmem=M``). With ``maxmem`` alone there is an address range for
virtio-mem devices, which need no slot, and no DIMM fits.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ...errors import InvalidOption, NoFreeSlot, Unsupported
from ...model.hardware import Hardware

_REGION = "device-memory[0]"
"""The address range for memory devices, below ``/machine``; there is one where the VM was started with ``maxmem``."""
X86 = ("x86_64", "i386")
_MODEST = 512 << 30
"""Up to this many bytes, suggested launch arguments leave room for more than the requested memory. Address spaces are limited."""


class Room(NamedTuple):
    """The memory that a VM can still get: DIMM slots and bytes.

    ``base`` are the bytes that it was started with, ``taken`` the numbers of the occupied slots, ``held`` the bytes of all memory
    devices, and ``total_slots`` the slots that it was started with.
    """

    slots: int
    size: int
    base: int
    taken: frozenset[int]
    held: int
    total_slots: int

    def launch_args(self, size: int) -> list[str]:
        """The arguments that give the VM more slots, and room for *size* more bytes, or for several times as much if that is
        little."""
        needed = max(self.size, 0) + self.base + self.held
        maximum = needed + 8 * size if needed + 8 * size <= _MODEST else self.base + self.held + size
        return ["-m", f"size={_with_unit(self.base)},slots={self.total_slots + 4},maxmem={_with_unit(maximum)}"]


def room_beside(hardware: Hardware, memory_id: str | None = None) -> Room | None:
    """The room without all memory devices but the one with this id; None if QEMU does not report it, as before 7.1."""
    machine, region = hardware.cache.qom_get([("/machine", "memory"), (f"/machine/{_REGION}", "size")])
    if not isinstance(machine, dict):
        return None
    base = int(hardware.cache.ask("query-memory-size-summary")["base-memory"])
    slots = _number(machine.get("slots")) or 0
    maximum = _number(machine.get("max-size")) or base + (_number(region) or 0)
    others = [entry["data"] for entry in hardware.memory_devices if memory_id is None or entry["data"].get("id") != memory_id]
    taken = frozenset(one["slot"] for one in others if "slot" in one)
    held = sum(one.get("max-size", one.get("size", 0)) for one in others)
    return Room(slots - len(taken), maximum - base - held, base, taken, held, slots)


def region(hardware: Hardware) -> tuple[int, int] | None:
    """The first address of the range for memory devices, and the first one after it; None if there is no such range, or if QEMU
    does not report it."""
    start, size = hardware.cache.qom_get([(f"/machine/{_REGION}", name) for name in ("addr", "size")], int)
    return (start, start + size) if size else None


def numa_nodes(hardware: Hardware) -> int | None:
    """How many NUMA nodes the guest has; None if QEMU does not report it. A VM with memory slots has at least one."""
    text = str(hardware.cache.ask_or("", "human-monitor-command", **{"command-line": "info numa"}))
    count, _space, rest = text.partition(" ")
    return int(count) if count.isdigit() and rest.startswith("nodes") else None


def obstacle(hardware: Hardware) -> tuple[str, list[str]] | None:
    """Why this machine cannot have DIMMs, and the launch arguments that would change it, if there are any; None if it can."""
    names = hardware.cache.qom_list(["/machine"])[0]
    none = f"The machine {hardware.machine} of QEMU {hardware.version_text} has no memory hotplug."
    if _REGION not in names and "nvdimm" not in names:  # machines with either have memory hotplug
        return none, []
    try:
        hardware.device_properties("pc-dimm")
    except InvalidOption:
        return none, []
    if "acpi" not in names:
        return None
    if hardware.cache.qom_get([("/machine", "acpi")])[0] == "off":
        return "The VM was started without ACPI, which memory hotplug needs.", ["-machine", "acpi=on"]
    if hardware.target in X86:
        return None if "acpi-device" in names else (none, [])
    if "child<acpi-ged>" in hardware.cache.qom_list(["/machine/unattached"])[0].values():
        return None
    return (
        f"The machine {hardware.machine} has memory hotplug only if it was started with UEFI firmware, which it creates ACPI "
        "tables for.",
        ["-bios", "QEMU_EFI.fd"],
    )


def lack(room: Room, virtio: bool) -> str | None:
    """Why a DIMM of any size, or a *virtio* memory device, does not fit; None if one fits."""
    if not virtio and not room.total_slots:
        more = f" It has room for {room.size} bytes, which a virtio-mem device can use." if room.size > 0 else ""
        return f"The VM was started without memory slots.{more}"
    if virtio and not room.size + room.held > 0:
        return "The VM was started without room for more memory (maxmem)."
    if not virtio and not room.slots:
        return "The VM has no free memory slot."
    if room.size <= 0:
        return f"The VM has {'' if virtio else 'free memory slots, but '}no bytes left of its maxmem."
    return None


def refuse_lack(hardware: Hardware, memory_id: str, size: int, virtio: bool) -> None:
    """Raise Unsupported or NoFreeSlot if a memory device of *size* bytes with this id does not fit into the VM."""
    against = None if virtio else obstacle(hardware)
    if against:
        reason, remedy = against
        raise Unsupported(f"{reason}{_start(remedy)}")
    room = room_beside(hardware, memory_id)
    if room is None:
        return
    reason_now = lack(room, virtio)
    if reason_now is None and size > room.size:
        reason_now = f"{memory_id} needs {size} bytes, but the VM has room for {room.size} bytes more."
    if reason_now:
        raise NoFreeSlot(f"{reason_now}{_start(room.launch_args(size))}", free=room.size)


def _start(launch_args: list[str]) -> str:
    return f" Start it with {' '.join(launch_args)}." if launch_args else ""


def _with_unit(size: int) -> str:
    """A size for ``-m``, which takes a bare number for MiB in one place and for bytes in another."""
    units = ((30, "G"), (20, "M"), (10, "K"))
    return next((f"{size >> shift}{unit}" for shift, unit in units if size % (1 << shift) == 0), f"{size}B")


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
