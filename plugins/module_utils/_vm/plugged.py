# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was plugged into a VM since its QEMU was started, by the kind that manages it."""

from __future__ import annotations

import re
from typing import Collection, NamedTuple

from .devices.disk.secrets import secrets_of
from .devices.memory.present import is_memory
from .model.hardware import Device, Hardware
from .model.users import users_of_object

_PORTS = ("virtserialport", "virtconsole")
_OF_QEMU = re.compile(r"(serial|parallel|compat_monitor|vc|gdb|spice|qtest)[\w.-]*\Z")
"""Ids of character devices that QEMU makes at its start for options other than -chardev."""
_NEVER_DELETED = ("can-bus", "main-loop")


class Plugged(NamedTuple):
    """Ids by kind. ``known`` were plugged. ``unclear`` are objects and character devices of which neither QEMU nor its command
    line shows whether they were.

    Both have only what is complete: a node, a backend or an object that belongs to something else is not among them.
    """

    known: dict[str, set[str]]
    unclear: dict[str, set[str]]


def plugged(hardware: Hardware, kinds: Collection[str]) -> Plugged:
    """What was plugged of these *kinds*."""
    known: dict[str, set[str]] = {kind: set() for kind in kinds}
    unclear: dict[str, set[str]] = {}
    for device in hardware.devices:
        if device.id and not device.at_launch:
            known.setdefault(_kind_of(hardware, device), set()).add(device.id)
    for kind, find in (("objects", _objects), ("chardevs", _chardevs)):
        if kind in kinds:
            others = find(hardware)
            if hardware.command_line.complete:
                known[kind] |= others
            else:
                unclear[kind] = others - known[kind]
    return Plugged({kind: known[kind] for kind in kinds}, unclear)


def _kind_of(hardware: Hardware, device: Device) -> str:
    """Which of the kinds manages *device*."""
    if "drive" in device.types:
        return "blockdevs"
    if "netdev" in device.types:
        return "netdevs"
    if is_memory(device):
        return "memory"
    if device.driver in _PORTS and device.properties.get("chardev") == device.id:
        return "chardevs"
    return "cpus" if any(device.path == cpu.path for cpu in hardware.cpu_slots) else "devices"


def _objects(hardware: Hardware) -> set[str]:
    """The objects that QEMU's command line does not have and that belong to nothing else: not the secrets of a disk, the backends
    of memory, nor what the machine made for itself."""
    return {
        name
        for name, kind in hardware.objects.items()
        if name not in hardware.command_line.objects
        and kind not in _NEVER_DELETED
        and not (kind.startswith("memory-backend-") and (name.endswith(".mem") or users_of_object(hardware, name)))
        and not (kind == "secret" and name in secrets_of(hardware, name.rpartition(".")[0]))
    }


def _chardevs(hardware: Hardware) -> set[str]:
    """The character devices that QEMU's command line does not have. Each may have a port, or be used by something else."""
    return {name for name in hardware.chardevs if name not in hardware.command_line.chardevs and not _OF_QEMU.match(name)}
