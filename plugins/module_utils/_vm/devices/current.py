# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The arguments of device_add that create the same device again, read from the present device.

A property that does not have the default of its driver was set, by the one who plugged the device or by QEMU when it created the
device. A value that QEMU has computed is left out if QEMU would compute the same value again: so the new device follows the
values that it is computed from.
"""

from __future__ import annotations

import re
from typing import Any, Callable, Collection, Mapping

from ..model.hardware import PERIPHERAL, Device, Hardware
from ..model.slots import SLOT_ARGUMENTS, slot_arguments

BACKENDS = ("drive", "netdev", "chardev", "memdev")
"""The properties that name the backend of a device."""

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
    "memaddr",  # like addr, the address of a memory device: QEMU assigns it by what other memory devices there are
    "fd",
    "vhostfd",  # names of descriptors, which QEMU has consumed when it created the device
}
_NUMBERS_WITHOUT_DEFAULT: dict[str, int] = {
    "bootindex": 0,
    "label-size": 1,
    "block-size": 1,
    "requested-size": 1,
    "guest-stats-polling-interval": 1,
}
"""Numbers without a reported default that are arguments, each with its least meaningful value. Other numbers without a reported
default are states, such as ``size`` of a DIMM."""

_NO_VALUE: tuple[Any, ...] = ("", [], {}, None, "00000000-0000-0000-0000-000000000000", "00:00:00:00:00:00")
_TEXT_TYPES = re.compile(r"str(ing)?\Z|QemuUUID\Z|.*List\Z")
_OWN_ROM = re.compile(r"(efi|pxe|vgabios)-[\w.-]+\Z")
CHOSEN = (-1, 0, 0xFFFF, 0xFFFFFFFF, "auto")
"""Defaults that mean "QEMU chooses the value"."""


def current_arguments(hardware: Hardware, device: Device) -> dict[str, Any]:
    """The arguments of ``device_add``, or of ``-device`` at the next start, that create *device* again in the same slot with the
    same properties, without its backends."""
    slot = {name: value for name, value in slot_arguments(device).items() if value is not None}
    named = {"id": device.id} if device.id else {}
    return {"driver": device.driver, **named, **slot, **current_properties(hardware, device)}


def backends_of(hardware: Hardware, device: Device) -> dict[str, Any]:
    """The backends of *device*, as arguments of ``device_add``."""
    values = present_properties(hardware, device, [name for name in BACKENDS if name in device.types])
    return {name: value for name, value in values.items() if value not in _NO_VALUE}


def current_properties(hardware: Hardware, device: Device, only: Collection[str] | None = None) -> dict[str, Any]:
    """The properties of *device* that differ from those of a new device of its driver; with *only*, those of these names."""
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
        if "default" not in about and not _is_set(name, value, device.types[name], "netdev" in known):
            continue
        is_choice = _IS_CHOICE.get(name)
        if is_choice and about.get("default", -1) in CHOSEN and is_choice(hardware, device, values):
            continue
        result[name] = value
    return result


def present_properties(hardware: Hardware, device: Device, names: list[str]) -> dict[str, Any]:
    """The present values of properties. A link has the id of its target; None if it cannot be read or its target has no id."""
    values = hardware.cache.qom_get((device.path, name) for name in names)
    return {
        name: _link_target(device, value) if device.types[name].startswith("link<") else value
        for name, value in zip(names, values)
    }


def _link_target(device: Device, path: Any) -> str | None:
    """The id of the target of a link; None for the device itself or a part of it, and for a target without id."""
    if not isinstance(path, str) or path == device.path or path.startswith(f"{device.path}/"):
        return None
    parent, _slash, name = path.rpartition("/")
    return name if parent in ("/objects", PERIPHERAL) else None


def _is_set(name: str, value: Any, type_name: str, has_rom: bool) -> bool:
    """Whether a property without a reported default has a value that somebody set."""
    if name in _NUMBERS_WITHOUT_DEFAULT:
        return isinstance(value, int) and bool(_NUMBERS_WITHOUT_DEFAULT[name] <= value)
    if name == "romfile" and value == "" and has_rom:
        return True  # a NIC has an option ROM unless it was set to none
    return bool(_TEXT_TYPES.match(type_name) or type_name.startswith("link<")) and value not in _NO_VALUE


# The properties that QEMU chooses, each with a function that returns whether the present value is QEMU's choice.

IsChoice = Callable[[Hardware, Device, Mapping[str, Any]], bool]


def _queues(hardware: Hardware, _device: Device, values: Mapping[str, Any]) -> bool:
    """QEMU gives a virtio disk or controller one queue for each CPU that the VM was started with."""
    smp = hardware.cache.qom_get([("/machine", "smp")], dict)[0] or {}
    return bool(values.get("num-queues", values.get("num_queues")) == smp.get("cpus"))


def _vectors(hardware: Hardware, device: Device, values: Mapping[str, Any]) -> bool:
    if "netdev" in device.types:  # virtio-net: one for each direction of each queue pair, control queue, and configuration
        netdev = hardware.netdevs.get(str(device.properties.get("netdev")))
        return bool(netdev and values["vectors"] == 2 * netdev.queues + 2)
    if "num_queues" in values:  # virtio-scsi: one for each queue, control and event queue, and configuration
        return bool(values["vectors"] == values["num_queues"] + 3)
    return bool(values["vectors"] == values.get("num-queues", 1) + 1)


def _geometry(_hardware: Hardware, _device: Device, values: Mapping[str, Any]) -> bool:
    return (values.get("heads"), values.get("secs")) == (16, 63)


def _discard_granularity(_hardware: Hardware, _device: Device, values: Mapping[str, Any]) -> bool:
    return bool(values["discard_granularity"] == max(4096, values.get("logical_block_size") or 0))


def _legacy(hardware: Hardware, device: Device, values: Mapping[str, Any]) -> bool:
    """On a PCI Express port a virtio device is modern only; elsewhere it is both legacy and modern."""
    bus = str(device.properties.get("parent_bus"))
    kind = hardware.cache.qom_get([(bus, "type")])[0]
    return bool(values["disable-legacy"] == ("on" if kind == "PCIE" and bus.startswith(f"{PERIPHERAL}") else "off"))


_IS_CHOICE: dict[str, IsChoice] = {
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
"""Further properties that QEMU chooses. Their present value does not show whether it is QEMU's choice."""


def leaves_the_choice(name: str, value: Any, default: Any) -> bool:
    """Whether setting the property *name* to *value* means that QEMU chooses. QEMU then reports its choice instead of *value*.
    For most properties a *default* such as 0 or -1 is a value like any other, and QEMU reports it."""
    return name in _IS_CHOICE.keys() | _ALSO_CHOSEN and not isinstance(value, bool) and value in CHOSEN and bool(value == default)
