# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The facts of a VM: what it has, and how much more hardware it accepts while it runs.

A task often asks for one part, and the code of all kinds takes long to load. So the parts that need the code of a kind import it
when they are asked for.
"""

from __future__ import annotations

from typing import Any, Callable

from .errors import Unsupported
from .model.hardware import Device, Hardware
from .model.identity import identity
from .model.slots import count_free, slot_of

Reader = Callable[[Hardware], Any]


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


# -- the functions of the parts that need the code of a kind


def _disks() -> Reader:
    from .devices.disk.results import describe_all

    return describe_all


def _nics() -> Reader:
    from .devices.nic.spec import describe_all

    return describe_all


def _cpus() -> Reader:
    from .devices.cpu import describe

    return describe


def _memory() -> Reader:
    from .capacity import memory

    return memory


def _chardevs() -> Reader:
    from .devices.chardev.plans import describe_all

    return describe_all


def _objects() -> Reader:
    from .devices.objects.plans import describe_all

    return describe_all


def _block_jobs() -> Reader:
    from .operations.block_job.plans import describe_all

    return describe_all


def _migration() -> Reader:
    from .operations.migration import describe

    return describe


def _capacity() -> Reader:
    from .capacity import capacity

    return capacity


def _plugged() -> Reader:
    from .launch import describe

    return describe


def _balloon() -> Reader:
    from .operations.balloon import describe

    def describe_or_none(hardware: Hardware) -> dict[str, Any] | None:
        try:
            return describe(hardware)
        except Unsupported:
            return None

    return describe_or_none


SUBSETS: dict[str, Callable[[], Reader]] = {
    "vm": lambda: vm,
    "disks": _disks,
    "nics": _nics,
    "cpus": _cpus,
    "memory": _memory,
    "chardevs": _chardevs,
    "objects": _objects,
    "block_jobs": _block_jobs,
    "balloon": _balloon,
    "migration": _migration,
    "devices": lambda: devices,
    "buses": lambda: buses,
    "capacity": _capacity,
    "plugged": _plugged,
}
"""What returns the function that reads each part of the facts, by its name in ``gather_subset`` and in the result."""

SLOW = frozenset({"plugged"})
"""Those that are read only if they are named: they take longer than all others together."""
