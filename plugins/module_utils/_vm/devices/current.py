# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The arguments of device_add that make the very same device again, read from the device as it is.

What is not the default of its driver has been set, by whoever plugged it or by QEMU when it came up. Values that QEMU works
out by itself are left out where they are what it would work out again: the device then follows what they depend on.
"""

from __future__ import annotations

import re
from typing import Any, Callable, Collection, Mapping

from ..model.hardware import PERIPHERAL, Device, Hardware
from ..model.slots import SLOT_ARGUMENTS, slot_arguments
from .nic.backend import queues_of

BACKENDS = ("drive", "netdev", "chardev", "memdev")
"""The properties that say what is behind a device."""

_NOT_ARGUMENTS = {
    "id",
    "driver",
    "type",
    "parent_bus",
    "realized",
    "hotplugged",
    "hotpluggable",
    *BACKENDS,
    *SLOT_ARGUMENTS,
    "dev_id",
    "memaddr",  # with addr the address of a memory device, which depends on all the others
    "fd",
    "vhostfd",  # names of descriptors, used up when the device was made
}
_NUMBERS_WITHOUT_DEFAULT: dict[str, int] = {
    "bootindex": 0,
    "label-size": 1,
    "block-size": 1,
    "requested-size": 1,
    "guest-stats-polling-interval": 1,
}
"""Numbers of which QEMU does not report a default, each with the least that means something. Others of that sort are not
arguments but states, such as ``size`` of a DIMM."""

_NOTHING: tuple[Any, ...] = ("", [], {}, None, "00000000-0000-0000-0000-000000000000", "00:00:00:00:00:00")
_TEXT_TYPES = re.compile(r"str(ing)?\Z|QemuUUID\Z|.*List\Z")
_OWN_ROM = re.compile(r"(efi|pxe|vgabios)-[\w.-]+\Z")
CHOSEN = (-1, 0, 0xFFFF, 0xFFFFFFFF, "auto")
"""Defaults by which a driver leaves the choice to QEMU."""


def settled_arguments(hardware: Hardware, device: Device) -> dict[str, Any]:
    """What ``device_add``, or ``-device`` of the next start, needs to make *device* again in the same slot with the same
    properties. The backends behind it are not part of it."""
    slot = {name: value for name, value in slot_arguments(device).items() if value is not None}
    named = {"id": device.id} if device.id else {}
    return {"driver": device.driver, **named, **slot, **settled_properties(hardware, device)}


def backends_of(hardware: Hardware, device: Device) -> dict[str, Any]:
    """The backends behind *device*, as its ``device_add`` arguments name them."""
    values = present_properties(hardware, device, [name for name in BACKENDS if name in device.types])
    return {name: value for name, value in values.items() if value not in _NOTHING}


def settled_properties(hardware: Hardware, device: Device, only: Collection[str] | None = None) -> dict[str, Any]:
    """The properties of *device* that differ from what a new one of its driver would have by itself. With *only*, no others."""
    known = hardware.schema.device_properties(device.driver)
    names = [
        name
        for name, about in known.items()
        if name in device.types
        and name not in _NOT_ARGUMENTS
        and not about["type"].startswith("child<")
        and (only is None or name in only)
    ]
    values = present_properties(hardware, device, names)
    result = {}
    for name, value in values.items():
        about = known[name]
        if value is None or "default" in about and value == about["default"]:
            continue
        if "default" not in about and not _means_something(name, value, device.types[name], "netdev" in known):
            continue
        chosen = _CHOOSES.get(name)
        if chosen and about.get("default", -1) in CHOSEN and chosen(hardware, device, values):
            continue
        result[name] = value
    return result


def present_properties(hardware: Hardware, device: Device, names: list[str]) -> dict[str, Any]:
    """The present values of properties, links by the id of what they lead to; None for what cannot be read or named."""
    values = hardware.cache.qom_get((device.path, name) for name in names)
    return {
        name: _linked(device, value) if device.types[name].startswith("link<") else value for name, value in zip(names, values)
    }


def _linked(device: Device, path: Any) -> str | None:
    """The id behind a link; None for a part of the device itself, and for what has no id."""
    if not isinstance(path, str) or path == device.path or path.startswith(f"{device.path}/"):
        return None
    parent, _slash, name = path.rpartition("/")
    return name if parent in ("/objects", PERIPHERAL) else None


def _means_something(name: str, value: Any, type_name: str, has_rom: bool) -> bool:
    if name in _NUMBERS_WITHOUT_DEFAULT:
        return isinstance(value, int) and bool(_NUMBERS_WITHOUT_DEFAULT[name] <= value)
    if name == "romfile" and value == "" and has_rom:
        return True  # a NIC comes with a ROM unless it is told not to
    return bool(_TEXT_TYPES.match(type_name) or type_name.startswith("link<")) and value not in _NOTHING


# What QEMU chooses by itself, by property: whether the present value is its own choice.

Choice = Callable[[Hardware, Device, Mapping[str, Any]], bool]


def _queues(hardware: Hardware, _device: Device, values: Mapping[str, Any]) -> bool:
    """virtio gives a disk or a controller one queue for each CPU that the VM was started with."""
    smp = hardware.cache.qom_get([("/machine", "smp")], dict)[0] or {}
    return bool(values.get("num-queues", values.get("num_queues")) == smp.get("cpus"))


def _vectors(hardware: Hardware, device: Device, values: Mapping[str, Any]) -> bool:
    if "netdev" in device.types:  # virtio-net: one for each direction of each queue pair, control queue, and configuration
        netdev = hardware.netdevs.get(str(device.properties.get("netdev")))
        return bool(netdev and values["vectors"] == 2 * queues_of(hardware, netdev) + 2)
    if "num_queues" in values:  # virtio-scsi: one for each queue, control and event queue, and configuration
        return bool(values["vectors"] == values["num_queues"] + 3)
    return bool(values["vectors"] == values.get("num-queues", 1) + 1)


def _geometry(_hardware: Hardware, _device: Device, values: Mapping[str, Any]) -> bool:
    return (values.get("heads"), values.get("secs")) == (16, 63)


def _discard_granularity(_hardware: Hardware, _device: Device, values: Mapping[str, Any]) -> bool:
    return bool(values["discard_granularity"] == max(4096, values.get("logical_block_size") or 0))


def _legacy(hardware: Hardware, device: Device, values: Mapping[str, Any]) -> bool:
    """On a port of PCI Express a virtio device is modern only, elsewhere it is both."""
    bus = str(device.properties.get("parent_bus"))
    kind = hardware.cache.qom_get([(bus, "type")])[0]
    return bool(values["disable-legacy"] == ("on" if kind == "PCIE" and bus.startswith(f"{PERIPHERAL}") else "off"))


_CHOOSES: dict[str, Choice] = {
    "num-queues": _queues,
    "num_queues": _queues,
    "vectors": _vectors,
    "disable-legacy": _legacy,
    "cyls": _geometry,
    "heads": _geometry,
    "secs": _geometry,
    "logical_block_size": lambda _hardware, _device, values: values["logical_block_size"] == 512,
    "physical_block_size": lambda _hardware, _device, values: values["physical_block_size"] == 512,
    "discard_granularity": _discard_granularity,
    "device_id": lambda _hardware, _device, values: values["device_id"] == values.get("serial"),
    "vendor": lambda _hardware, _device, values: values["vendor"] == "QEMU",
    "product": lambda _hardware, _device, values: values["product"].startswith("QEMU "),
    "ver": lambda _hardware, _device, values: values["ver"] == "2.5+",
    "romfile": lambda _hardware, _device, values: bool(_OWN_ROM.match(values["romfile"])),
    "romsize": lambda _hardware, _device, values: not values.get("romfile") or bool(_OWN_ROM.match(values["romfile"])),
}

_ALSO_CHOSEN = {"nr", "port", "scsi-id", "lun", "sas_address", "xres", "yres", "class", "msi", "msix"}
"""What QEMU chooses too, of which it cannot be told whether the present value is its choice."""


def leaves_the_choice(name: str, value: Any, default: Any) -> bool:
    """Whether a task that sets the property *name* to *value*, by default *default*, has QEMU choose, which then reports what it
    has chosen. Of most properties a default such as 0 or -1 is a value like any other, and reported as it is."""
    return name in _CHOOSES.keys() | _ALSO_CHOSEN and not isinstance(value, bool) and value in CHOSEN and bool(value == default)
