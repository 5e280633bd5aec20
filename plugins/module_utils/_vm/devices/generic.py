# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Any device by its driver and properties: passthrough, controllers, balloon, random numbers, vsock, vhost-user."""

from __future__ import annotations

import os
import re
from functools import partial
from typing import Any, Mapping

from ..errors import Conflict, InvalidOption, Unsupported
from ..lazy import dataclass
from ..model.dependents import removed_with
from ..model.hardware import Device, Hardware
from ..model.slots import refuse_fixed
from ..model.values import check_id, nearest
from ..plan.command_line import device_argument
from ..plan.hotplug import Plug, Unplug, plug
from ..plan.plan import PassDescriptor, Plan, Step
from .current import backends_of, current_arguments
from .frontend import (
    FrontendSpec,
    device_arguments,
    device_differences,
    frontend_results,
    planned_results,
    recreated_arguments,
    refuse,
)
from .memory.present import is_memory
from .option_table import Option

_OWN_MODULES = {"drive": "qmp_blockdev", "netdev": "qmp_netdev", "memdev": "qmp_memory_hotplug"}
"""Properties that name a backend, with the module that manages such devices together with their backend."""
_PCI_HOST = re.compile(r"([0-9A-Fa-f]{4}:)?[0-9A-Fa-f]{2}:[01][0-9A-Fa-f]\.[0-7]\Z")
VHOST_VSOCK = "/dev/vhost-vsock"
_DIMMS = {"pc-dimm", "nvdimm", "virtio-mem-pci", "virtio-pmem-pci"}
_FIRST_CID = 3  # 0 to 2 are the hypervisor, loopback and the host


PROPERTIES = (
    Option("chardev", "chardev"),
    Option("guest_cid", "guest-cid"),
)
"""The options of this kind that are properties of the device."""


@dataclass(frozen=True)
class DeviceSpec:
    """What a task specifies of a device. ``descriptors``: whether this host opens the vhost device of a vsock and passes it to
    QEMU; None means if possible."""

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
        _refuse_other_modules(device)
    driver = spec.frontend.driver or (device.driver if device else None)
    if driver is None:
        raise InvalidOption(f"Device {spec.id} does not exist, and no driver is set. Set driver to add it.")
    _check(hardware, spec, driver, device)
    before = describe(hardware, spec.id)
    differences, unverified = device_differences(hardware, spec.frontend, device) if device else ([], [])
    steps: list[Step] = []
    arguments: dict[str, Any] = {}
    if differences and spec.recreate and device:
        _refuse_removal(hardware, device, spec.force)
        if _removed_chardev(device):
            raise Unsupported(
                f"A {device.driver} cannot be recreated: when QEMU removes it, it also removes the character device "
                f"{device.properties['chardev']}. Remove it (state: absent), then add both again."
            )
        steps.append(Unplug(spec.id, Plug(_present_arguments(hardware, device))))
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
        launch = _present_arguments(hardware, device)
    after = before
    if arguments:
        after = {"id": spec.id, **planned_results(arguments, PROPERTIES)}
    return Plan(tuple(steps), before, after, tuple(unverified), ("-device", device_argument(launch, hardware.version)))


def plan_absent(hardware: Hardware, spec: DeviceSpec) -> Plan:
    check_id(spec.id)
    device = hardware.device(spec.id)
    if device is None:
        return Plan()
    _refuse_other_modules(device)
    _refuse_removal(hardware, device, spec.force)
    chardev = _removed_chardev(device)
    warnings = (
        (
            f"When QEMU removes the {device.driver} {device.id}, it also removes the character device {chardev}. If you still "
            "need that, add it again with qmp_chardev.",
        )
        if chardev
        else ()
    )
    return Plan((Unplug(spec.id),), describe(hardware, spec.id), None, warnings=warnings)


_REMOVES_CHARDEV = ("usb-redir",)


def _removed_chardev(device: Device) -> str | None:
    """The character device that QEMU removes together with *device*, though no command names it."""
    return device.properties.get("chardev") or None if device.driver in _REMOVES_CHARDEV else None


def describe(hardware: Hardware, device_id: str) -> dict[str, Any] | None:
    """The device as the options that create it, and ``at_launch``; None if the VM does not have it."""
    device = hardware.device(device_id)
    if device is None:
        return None
    chardev = {"chardev": device.properties["chardev"]} if device.properties.get("chardev") else {}
    return {"id": device_id, **chardev, **frontend_results(hardware, device, PROPERTIES)}


def _present_arguments(hardware: Hardware, device: Device) -> dict[str, Any]:
    """The arguments of ``device_add`` that create *device* again as it is, with its present backends."""
    arguments = current_arguments(hardware, device)
    return {"driver": arguments.pop("driver"), "id": device.id, **backends_of(hardware, device), **arguments}


def _check(hardware: Hardware, spec: DeviceSpec, driver: str, present: Device | None) -> None:
    """Raise for what QEMU would reject late, or not at all."""
    properties = spec.frontend.untyped
    types = hardware.cache.ask_or([], "qom-list-types", implements="device", abstract=False)
    names = [entry["name"] for entry in types]
    if names and driver not in names:
        raise InvalidOption(f"This QEMU ({hardware.version_text}) has no device {driver!r}{nearest(driver, names)}.")
    hardware.refuse_incomplete(driver)
    kept = present if present is not None and present.driver == driver else None
    if kept is None:
        _refuse_deadly(driver)
    _check_ranges(hardware, spec.frontend, driver)
    if driver == "ivshmem-doorbell" or driver.startswith(_WAITS):
        _check_server(hardware, driver, properties, kept)
    if driver.startswith("vfio-pci") and "host" in properties and not _PCI_HOST.match(str(properties["host"])):
        raise InvalidOption(
            f"properties.host {properties['host']!r} is not a PCI address of the host: write it like 0000:3b:00.0, in quotes."
        )
    for name, module in _OWN_MODULES.items():
        if name in properties and (name != "memdev" or driver in _DIMMS):
            raise InvalidOption(
                f"properties contains {name!r}, but qmp_device does not manage devices with such a backend. Use {module}: it "
                "adds both."
            )
    if driver.startswith("vhost-vsock") and not (kept and "guest-cid" not in properties):
        cid = _number(properties.get("guest-cid"))
        if not _FIRST_CID <= cid < (1 << 32) - 1:
            raise InvalidOption(
                f"A {driver} needs guest_cid: set a number of {_FIRST_CID} or more that no other VM of this host has."
            )


_DEADLY = {
    "rocker": "QEMU aborts when a rocker is removed",
    "dc390": "after the removal of a dc390, QEMU aborts at the next device with an EEPROM, such as an i82550",
}
"""Drivers whose removal makes QEMU abort, with the reason."""


def _refuse_deadly(driver: str) -> None:
    if driver in _DEADLY:
        raise Unsupported(
            f"A {driver} can neither be added to a running VM nor removed from it: {_DEADLY[driver]}. Add or remove it on QEMU's "
            "command line."
        )


_WAITS = ("vhost-user-blk", "vhost-user-scsi")
"""Drivers that, like ivshmem-doorbell, block QEMU until their socket is connected to its server."""


def _check_server(hardware: Hardware, driver: str, properties: Mapping[str, Any], kept: Device | None) -> None:
    """Raise for a device whose character device is not connected to a server: QEMU would stop and wait for the server."""
    present = kept.properties.get("chardev") if kept else None
    name = str(properties.get("chardev", present or ""))
    if present and name == present:
        return
    chardev = hardware.chardevs.get(name)
    if chardev is None and driver.startswith("vhost-user"):  # QEMU rejects it
        return
    if chardev is None:
        raise InvalidOption(
            f"A {driver} needs a character device, and the VM has none with the id {name!r}. Add it with qmp_chardev: a socket "
            "that is connected to its server."
        )
    if chardev.type != "socket" or chardev.filename.startswith("disconnected:"):
        state = "is not connected" if chardev.type == "socket" else f"is a {chardev.type}"
        raise Conflict(
            f"A {driver} needs a socket that is connected to its server, but the character device {name} {state}: QEMU would "
            "stop and wait for the server. Start the server first."
        )


_RANGES = {"vectors": (0, 65535), "max_ports": (1, 511)}
"""Ranges of properties outside of which QEMU aborts or runs out of memory: it allocates all vectors at once."""


def _check_ranges(hardware: Hardware, frontend: FrontendSpec, driver: str) -> None:
    known = hardware.device_properties(driver)
    for name, value in frontend.properties.items():
        if name in _RANGES and name in known:
            least, most = _RANGES[name]
            if not least <= _number(value) <= most:
                raise InvalidOption(
                    f"properties.{name} {value!r} is not valid for a {driver}: set a number from {least} to {most}."
                )
        if known.get(name, "").startswith("link<") and not isinstance(value, str):
            raise InvalidOption(f"properties.{name} {value!r} is not valid for a {driver}: set the id of an object.")


def _number(value: Any) -> int:
    """A number in any form that properties may have; -1 for anything else."""
    try:
        return int(str(value), 0)
    except ValueError:
        return -1


def _descriptors(hardware: Hardware, spec: DeviceSpec, arguments: dict[str, Any]) -> tuple[list[Step], dict[str, Any]]:
    """The step that opens the vhost device of a vsock on this host, if that is possible and not disabled, and the arguments."""
    vsock = str(arguments["driver"]).startswith("vhost-vsock") and "vhostfd" not in arguments
    if not vsock:
        if spec.descriptors:
            raise InvalidOption(
                f"descriptors: true is only for vhost-vsock devices without the property vhostfd, not for a "
                f"{arguments['driver']}. Remove it."
            )
        return [], arguments
    passes = hardware.cache.monitor.passes_fds
    if spec.descriptors and not passes:
        raise Unsupported(
            "descriptors: true needs a unix socket, and this connection is over TCP. Connect with socket, or set "
            "descriptors: false."
        )
    if spec.descriptors is False or not passes:
        return [], arguments
    if not os.path.exists(VHOST_VSOCK):
        raise Unsupported(
            f"A {arguments['driver']} needs {VHOST_VSOCK}, and this host does not have it. Load the kernel module: modprobe "
            "vhost_vsock."
        )
    name = f"{spec.id}-vhostfd"
    return [PassDescriptor(name, partial(os.open, VHOST_VSOCK, os.O_RDWR | os.O_CLOEXEC))], {**arguments, "vhostfd": name}


def _refuse_other_modules(device: Device) -> None:
    """Raise Conflict for a device that another module manages together with its backend."""
    for name, module in _OWN_MODULES.items():
        if device.properties.get(name) and (name != "memdev" or is_memory(device)):
            raise Conflict(
                f"{device.id} is a {device.driver} with a backend ({name}), which qmp_device does not manage. Use {module}: it "
                "manages both."
            )


def _refuse_removal(hardware: Hardware, device: Device, force: bool) -> None:
    """Raise for a device whose removal QEMU does not survive, or that would remove other devices as well."""
    _refuse_deadly(device.driver)
    others = sorted(one.id or one.path for one in removed_with(hardware, device))
    if others and not force:
        raise Conflict(
            f"The removal of {device.id} would also remove {', '.join(others)}. Remove these first, or set force: true.",
            children=others,
        )
    refuse_fixed(hardware, device)
