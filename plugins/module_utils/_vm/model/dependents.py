# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The devices that leave the VM together with another one."""

from __future__ import annotations

from .hardware import Device, Hardware


def removed_with(hardware: Hardware, device: Device) -> list[Device]:
    """The devices that QEMU removes together with *device*, though no command names them.

    These are the devices on its buses and on their buses, those behind a USB hub, the other functions of its PCI slot, and the
    companions of a USB controller.
    """
    found: dict[str, Device] = {}
    pending = [device]
    while pending:
        one = pending.pop(0)
        for other in hardware.devices:
            if other.path not in found and other.path != device.path and _depends_on(hardware, other, one):
                found[other.path] = other
                pending.append(other)
    return list(found.values())


def _depends_on(hardware: Hardware, other: Device, device: Device) -> bool:
    bus = other.properties.get("parent_bus", "")
    same_bus = bus == device.properties.get("parent_bus")
    if bus.startswith(f"{device.path}/"):
        return True
    if device.driver == "usb-hub" and same_bus:  # devices behind a hub are on the controller's bus, at ports such as 1.2
        port = hardware.property_of(device, "port")
        return bool(port) and str(hardware.property_of(other, "port")).startswith(f"{port}.")
    if "masterbus" in other.types and device.id:
        return str(hardware.property_of(other, "masterbus")).rpartition(".")[0] == device.id
    return same_bus and bool(device.addr and other.addr) and _slot(device) == _slot(other) and "multifunction" in device.types


def _slot(device: Device) -> str:
    return str(device.addr).partition(".")[0]
