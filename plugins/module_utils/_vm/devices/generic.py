# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Any device by its driver and properties: passthrough, controllers, balloon, random numbers, vsock, vhost-user."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import partial
from typing import Any, Mapping

from ..errors import Conflict, InvalidOption, Unsupported
from ..model.hardware import Device, Hardware
from ..model.slots import slot_of, slot_options
from ..model.values import check_id, nearest
from ..plan.command_line import device_argument
from ..plan.hotplug import Plug, Unplug, plug
from ..plan.plan import PassDescriptor, Plan, Step
from .current import backends_of, settled_arguments
from .frontend import FrontendSpec, device_arguments, device_differences, recreated_arguments, refuse
from .memory.plans import is_memory
from .option_table import Option

_OWN_MODULES = {"drive": "qmp_blockdev", "netdev": "qmp_netdev", "memdev": "qmp_memory_hotplug"}
_PCI_HOST = re.compile(r"([0-9A-Fa-f]{4}:)?[0-9A-Fa-f]{2}:[01][0-9A-Fa-f]\.[0-7]\Z")
VHOST_VSOCK = "/dev/vhost-vsock"
_DIMMS = {"pc-dimm", "nvdimm", "virtio-mem-pci", "virtio-pmem-pci"}
_FIRST_CID = 3  # 0 to 2 are the hypervisor, loopback and the host


PROPERTIES = (
    Option("chardev", "chardev"),
    Option("guest_cid", "guest-cid"),
)
"""The options that are properties of the device."""


@dataclass(frozen=True)
class DeviceSpec:
    """What a task says of a device. With ``descriptors`` the vhost device of a vsock is opened here and passed to QEMU."""

    frontend: FrontendSpec
    descriptors: bool | None = None
    recreate: bool = False
    force: bool = False

    @property
    def id(self) -> str:
        return self.frontend.id


def plan_present(hardware: Hardware, spec: DeviceSpec) -> Plan:
    check_id(spec.id)
    device = hardware.device(spec.id)
    if device:
        _refuse_own_modules(device)
    driver = spec.frontend.driver or (device.driver if device else None)
    if driver is None:
        raise InvalidOption(f"Device {spec.id} does not exist yet: say with driver what it is to be.")
    _check(hardware, spec, driver, device)
    before = describe(hardware, spec.id)
    differences, unverified = device_differences(hardware, spec.frontend, device) if device else ([], [])
    steps: list[Step] = []
    arguments: dict[str, Any] = {}
    if differences and spec.recreate and device:
        _refuse_deadly(device.driver)
        _refuse_children(hardware, device, spec.force)
        if _taken_along(device):
            raise Unsupported(
                f"A {device.driver} cannot be removed and made anew at once, for QEMU removes the character device "
                f"{device.properties['chardev']} with it. Remove it (state: absent), then add both again."
            )
        steps.append(Unplug(spec.id, Plug(_as_it_is(hardware, device))))
        arguments = recreated_arguments(hardware, spec.frontend, driver, {}, device)
    else:
        refuse(f"Device {spec.id}", differences)
        if device is None:
            arguments = device_arguments(hardware, spec.frontend, driver, {})
    launch = arguments
    if arguments:
        passing, arguments = _descriptors(hardware, spec, arguments)
        steps += [*passing, *plug(arguments)]
    elif device:
        launch = _as_it_is(hardware, device)
    after = before
    if arguments:
        after = {"id": spec.id, "driver": driver, **slot_options(arguments), "at_launch": False}
    return Plan(tuple(steps), before, after, tuple(unverified), ("-device", device_argument(launch, hardware.version)))


def plan_absent(hardware: Hardware, spec: DeviceSpec) -> Plan:
    check_id(spec.id)
    device = hardware.device(spec.id)
    if device is None:
        return Plan()
    _refuse_own_modules(device)
    _refuse_deadly(device.driver)
    _refuse_children(hardware, device, spec.force)
    return Plan((Unplug(spec.id),), describe(hardware, spec.id), None, warnings=_taken_along(device))


def _taken_along(device: Device) -> tuple[str, ...]:
    """A warning of the backend that goes with a device though nobody names it."""
    chardev = device.properties.get("chardev")
    if device.driver not in _TAKES_CHARDEV or not chardev:
        return ()
    return (
        f"QEMU removes the character device {chardev} with {device.id}, as with each {device.driver}. Add it again with "
        "qmp_chardev where it is still needed.",
    )


_TAKES_CHARDEV = ("usb-redir",)


def describe(hardware: Hardware, device_id: str) -> dict[str, Any] | None:
    device = hardware.device(device_id)
    if device is None:
        return None
    return {"id": device_id, "driver": device.driver, **slot_of(device), "at_launch": device.at_launch}


def _as_it_is(hardware: Hardware, device: Device) -> dict[str, Any]:
    """The arguments of ``device_add`` that make a device again as it is, on what is behind it now."""
    settled = settled_arguments(hardware, device)
    return {"driver": settled.pop("driver"), "id": device.id, **backends_of(hardware, device), **settled}


def _check(hardware: Hardware, spec: DeviceSpec, driver: str, device: Device | None) -> None:
    """Refuse what QEMU would refuse late or not at all."""
    properties = spec.frontend.properties
    types = hardware.cache.ask_or([], "qom-list-types", implements="device", abstract=False)
    names = [entry["name"] for entry in types]
    if names and driver not in names:
        raise InvalidOption(f"This QEMU ({hardware.version_text}) has no device {driver!r}{nearest(driver, names)}.")
    hardware.refuse_incomplete(driver)
    same = device is not None and device.driver == driver
    if not same:
        _refuse_deadly(driver)
    _check_ranges(hardware, driver, properties)
    if driver == "ivshmem-doorbell" or driver.startswith(_WAITS):
        _check_server(hardware, driver, properties, device if same else None)
    if driver.startswith("vfio-pci") and "host" in properties and not _PCI_HOST.match(str(properties["host"])):
        raise InvalidOption(f"host {properties['host']!r} is no PCI address of the host: write it as 0000:3b:00.0.")
    for name, module in _OWN_MODULES.items():
        if name in properties and (name != "memdev" or driver in _DIMMS):
            raise InvalidOption(
                f"properties has {name!r}, and a device with something behind it is not for qmp_device. Use "
                f"{module}, which adds both."
            )
    if driver.startswith("vhost-vsock") and not (same and "guest-cid" not in properties):
        cid = _number(properties.get("guest-cid"))
        if not _FIRST_CID <= cid < (1 << 32) - 1:
            raise InvalidOption(f"A {driver} needs guest_cid, a number from {_FIRST_CID} that no other VM of the host has.")


_DEADLY = {
    "rocker": "QEMU aborts when a rocker is removed",
    "dc390": "once a dc390 was removed, QEMU aborts at the next device with an EEPROM, such as an i82550",
}
"""Drivers that QEMU does not survive the removal of, with what happens."""


def _refuse_deadly(driver: str) -> None:
    if driver in _DEADLY:
        raise Unsupported(
            f"A {driver} is neither plugged into a running VM nor removed from one: {_DEADLY[driver]}. Give it to "
            "the VM at its start, or take it away there."
        )


_WAITS = ("vhost-user-blk", "vhost-user-scsi")
"""Drivers that wait for their server, as ivshmem-doorbell does, for as long as the socket is not connected."""


def _check_server(hardware: Hardware, driver: str, properties: Mapping[str, Any], present: Device | None) -> None:
    """Raise for a device without a server on its character device: QEMU, all of it, waits for the server for ever."""
    now = present.properties.get("chardev") if present else None
    name = str(properties.get("chardev", now or ""))
    if now and name == now:
        return
    chardev = hardware.chardevs.get(name)
    if chardev is None and driver.startswith("vhost-user"):  # QEMU says so
        return
    if chardev is None:
        raise InvalidOption(
            f"chardev {name!r} is not a character device of the VM. Device {driver} needs one, a socket that is "
            "connected to its server."
        )
    if chardev.type != "socket" or chardev.told.startswith("disconnected:"):
        state = "is not connected" if chardev.type == "socket" else f"is a {chardev.type}"
        raise Conflict(
            f"The character device {name} {state}. Device {driver} needs a socket that is connected to its server, "
            "without which QEMU would stand still. Start the server first."
        )


_MOST = {"vectors": (0, 65535), "max_ports": (1, 511)}
"""The ranges of properties that QEMU, or its memory, does not survive, or refuses: it allocates room for each vector at once."""


def _check_ranges(hardware: Hardware, driver: str, properties: Mapping[str, Any]) -> None:
    known = hardware.device_properties(driver)
    for name, value in properties.items():
        least, most = _MOST.get(name, (0, -1))
        if name in _MOST and name in known and not least <= _number(value) <= most:
            raise InvalidOption(f"properties.{name} is {value!r}. A {driver} takes there a number from {least} to {most}.")
        if known.get(name, "").startswith("link<") and not isinstance(value, str):
            raise InvalidOption(f"properties.{name} is {value!r}. A {driver} takes there the id of an object.")


def _number(value: Any) -> int:
    """A number in any of the forms that properties may have; -1 for what is none."""
    try:
        return int(str(value), 0)
    except ValueError:
        return -1


def _descriptors(hardware: Hardware, spec: DeviceSpec, arguments: dict[str, Any]) -> tuple[list[Step], dict[str, Any]]:
    """Have the vhost device of a vsock opened by this host, where that is possible and not told otherwise."""
    vsock = str(arguments["driver"]).startswith("vhost-vsock") and "vhostfd" not in arguments
    if not vsock:
        if spec.descriptors:
            raise InvalidOption(f"descriptors is for vhost-vsock devices, not {arguments['driver']}.")
        return [], arguments
    passes = hardware.cache.monitor.passes_fds
    if spec.descriptors and not passes:
        raise Unsupported("Descriptors only travel over a unix socket: connect by socket, or set descriptors: false.")
    if spec.descriptors is False or not passes:
        return [], arguments
    if not os.path.exists(VHOST_VSOCK):
        raise Unsupported(
            f"{arguments['driver']} needs {VHOST_VSOCK}, which this host does not have. Load it (modprobe vhost_vsock)."
        )
    name = f"{spec.id}-vhostfd"
    return [PassDescriptor(name, partial(os.open, VHOST_VSOCK, os.O_RDWR | os.O_CLOEXEC))], {**arguments, "vhostfd": name}


def _refuse_own_modules(device: Device) -> None:
    for name, module in _OWN_MODULES.items():
        if device.properties.get(name) and (name != "memdev" or is_memory(device)):
            raise Conflict(f"{device.id} is a {device.driver} with something behind it; use {module}, which removes both.")


def _refuse_children(hardware: Hardware, device: Device, force: bool) -> None:
    """Raise Conflict for a device that others go with, whatever these are."""
    children = [one.id or one.path for one in goes_along(hardware, device)]
    if children and not force:
        raise Conflict(
            f"{device.id} carries {', '.join(sorted(children))}, which would go with it. Unplug these first, or set force: true.",
            children=sorted(children),
        )


def goes_along(hardware: Hardware, device: Device) -> list[Device]:
    """The devices that QEMU takes away with *device*, though nobody names them: those on its buses and on theirs, those behind a
    USB hub, the other functions of its PCI slot, and the companions of a USB controller."""
    found: dict[str, Device] = {}
    pending = [device]
    while pending:
        one = pending.pop(0)
        for other in hardware.devices:
            if other.path not in found and other.path != device.path and _goes_with(hardware, other, one):
                found[other.path] = other
                pending.append(other)
    return list(found.values())


def _goes_with(hardware: Hardware, other: Device, device: Device) -> bool:
    bus = other.properties.get("parent_bus", "")
    same_bus = bus == device.properties.get("parent_bus")
    if bus.startswith(f"{device.path}/"):
        return True
    if device.driver == "usb-hub" and same_bus:  # its children sit on the controller's bus, at ports such as 1.2
        port = hardware.property_of(device, "port")
        return bool(port) and str(hardware.property_of(other, "port")).startswith(f"{port}.")
    if "masterbus" in other.types and device.id:
        return str(hardware.property_of(other, "masterbus")).rpartition(".")[0] == device.id
    return same_bus and bool(device.addr and other.addr) and _slot(device) == _slot(other) and "multifunction" in device.types


def _slot(device: Device) -> str:
    return str(device.addr).partition(".")[0]
