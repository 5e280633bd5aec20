# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who uses an object, a character device or a network backend: read from QEMU, in this one place.

QEMU guards only some of them. It deletes an I/O thread or a source of random numbers under the device that uses it, and with a
network backend all filters on it. What it does guard (throttle groups, memory, character devices) it names no user of, and it
says so only when the command is sent.
"""

from __future__ import annotations

import json
import re
from typing import Any, Iterable, Mapping

from ..errors import Conflict, Unsupported
from .hardware import Device, Hardware

_OBJECTS = "/objects"
_CHARDEV = re.compile(r"chardev\d*\Z")  # pci-serial-4x has chardev1 to chardev4
_CHARDEV_OF_OBJECT = {"chardev", "indev", "outdev", "primary_in", "secondary_in", "notify_dev"}
_OBJECT_OF_OBJECT = {"keyid", "passwordid", "iothread", "canbus", "prealloc-context"}
_OBJECT_OF_MIGRATION = ("tls-creds", "tls-authz")
_GUARDED = ("throttle-group", "memory-backend-", "cryptodev-backend")
"""The types of object that QEMU itself does not delete while they are in use, whatever is asked for."""
_OBJECT_OF_MACHINE = ("memory-backend", "memory-encryption", "confidential-guest-support")


def users_of_object(hardware: Hardware, object_id: str) -> list[str]:
    """The ids (or QOM paths) of what uses the object: devices, other objects, block nodes, the machine, migration's settings.

    Block exports that may use an I/O thread are not among them; see ``exports_on_iothreads``.
    """
    target = f"{_OBJECTS}/{object_id}"
    found = {
        name
        for name, property_name, value in _links_and_names(hardware)
        if value == target or (property_name in _OBJECT_OF_OBJECT and value == object_id)
    }
    found |= {_name(device) for device in hardware.devices if object_id in _mapped_iothreads(device)}
    machine = hardware.cache.qom_get((("/machine", name) for name in _OBJECT_OF_MACHINE), str)
    if any(value.rsplit("/", 1)[-1] == object_id for value in machine if value):
        found.add("the machine itself")
    kind = hardware.objects.get(object_id, "")
    if kind == "throttle-group":
        found |= _throttled(hardware, object_id)
    if kind.startswith(("tls-creds", "authz")):
        parameters = hardware.cache.ask_or({}, "query-migrate-parameters")
        found |= {f"the migration parameter {name}" for name in _OBJECT_OF_MIGRATION if parameters.get(name) == object_id}
    return sorted(found - {object_id})


def users_of_chardev(hardware: Hardware, chardev_id: str) -> list[str]:
    """The ids (or QOM paths) of the devices, objects, vhost-user backends and monitors on the character device.

    A multiplexer does not report what it is on; there only QEMU itself refuses.
    """
    found = {
        name
        for name, property_name, value in _links_and_names(hardware)
        if value == chardev_id and (_CHARDEV.match(property_name) or property_name in _CHARDEV_OF_OBJECT)
    }
    found |= _boards_devices(hardware, chardev_id)
    found |= {
        netdev.id for netdev in hardware.netdevs.values() if any(word.endswith(f" to {chardev_id}") for word in netdev.info)
    }
    if chardev_id in hardware.monitor_chardevs:
        found.add("a monitor of this VM")
    return sorted(found)


def users_of_netdev(hardware: Hardware, netdev_id: str) -> list[str]:
    """The ids of the NIC and of the filters (``filter-*``) on the network backend; QEMU deletes the filters with it."""
    nic = hardware.netdevs[netdev_id].nic if netdev_id in hardware.netdevs else None
    filters = {
        name for name, property_name, value in _links_and_names(hardware) if property_name == "netdev" and value == netdev_id
    }
    return sorted(filters | ({nic} if nic else set()))


def exports_on_iothreads(hardware: Hardware, object_id: str) -> list[str]:
    """The block exports that may be served by this I/O thread: all there are, because QEMU does not report which thread an
    export has, and deletes it under the export. QEMU 10.0 then crashes when the next client comes."""
    if hardware.objects.get(object_id) != "iothread":
        return []
    return sorted(str(one["id"]) for one in hardware.cache.ask_or([], "query-block-exports"))


def refuse_monitor(hardware: Hardware, object_id: str) -> None:
    """Raise Conflict where the id is that of a monitor, which is an object since QEMU 11."""
    if object_id in hardware.monitors:
        raise Conflict(
            f"The object {object_id} is a monitor of this VM, through which it is managed. It is neither changed nor "
            "removed. Take another id."
        )


def refuse_monitor_chardev(hardware: Hardware, chardev_id: str) -> None:
    """Raise Conflict where the id is that of the character device of a monitor."""
    if chardev_id in hardware.monitor_chardevs:
        raise Conflict(
            f"The character device {chardev_id} carries a monitor of this VM, through which it is managed. It is "
            "neither changed nor removed. Take another id."
        )


def refuse_users_of_object(hardware: Hardware, object_id: str, force: bool) -> None:
    """Raise Conflict for an object that is in use, or where that cannot be excluded, unless forced."""
    kind = hardware.objects.get(object_id, "")
    if kind in ("can-bus", "main-loop"):
        raise Unsupported(
            f"The object {object_id} is a {kind}, which QEMU never deletes. It is gone at the VM's next start without it."
        )
    users = users_of_object(hardware, object_id)
    if users and kind.startswith(_GUARDED):
        raise Conflict(
            f"The object {object_id} is used by {', '.join(users)}, and QEMU does not delete a {kind} in use. Remove that first.",
            users=users,
        )
    if users and not force:
        raise Conflict(
            f"The object {object_id} is used by {', '.join(users)}. Remove that first, or set force: true.", users=users
        )
    exports = exports_on_iothreads(hardware, object_id)
    if exports and not force:
        raise Conflict(
            f"The I/O thread {object_id} may serve the block export {', '.join(exports)}: QEMU does not report which "
            "I/O thread an export uses, and may crash without it. Remove the export first (block-export-del), or set "
            "force: true if it uses another.",
            exports=exports,
        )


def _links_and_names(hardware: Hardware) -> list[tuple[str, str, Any]]:
    """Of every device and every object: its name, and each property that is a link to something or names it, with its value."""
    places: list[tuple[str, str, str]] = []
    for device in hardware.devices:
        places += [
            (_name(device), device.path, name)
            for name, kind in device.types.items()
            if kind.startswith("link<") and name != "parent_bus" or _CHARDEV.match(name)
        ]
    objects = [*hardware.objects, *hardware.monitors]
    paths = [f"{_OBJECTS}/{name}" for name in objects]
    for name, path, types in zip(objects, paths, hardware.cache.qom_list(paths)):
        places += [
            (name, path, one)
            for one, kind in types.items()
            if kind.startswith("link<") or one in _CHARDEV_OF_OBJECT | _OBJECT_OF_OBJECT | {"netdev"}
        ]
    values = hardware.cache.qom_get(((path, one) for _name_, path, one in places), str)
    return [(name, one, value) for (name, _path, one), value in zip(places, values) if value]


def _name(device: Device) -> str:
    return device.id or device.path


def _mapped_iothreads(device: Device) -> set[str]:
    """The ids of the I/O threads of a disk's queues (``iothread-vq-mapping``)."""
    mapping = device.properties.get("iothread-vq-mapping", ())
    return {str(one["iothread"]).rsplit("/", 1)[-1] for one in mapping if isinstance(one, dict) and one.get("iothread")}


def _boards_devices(hardware: Hardware, chardev_id: str) -> set[str]:
    """The QOM paths of devices that came with the machine, such as the serial ports of ``-serial``, on the character device."""
    parent = "/machine/unattached"
    children = [f"{parent}/{name}" for name, kind in hardware.cache.qom_list([parent])[0].items() if kind.startswith("child<")]
    values = hardware.cache.qom_get(((path, "chardev") for path in children), str)
    return {path for path, value in zip(children, values) if value == chardev_id}


def _throttled(hardware: Hardware, group: str) -> set[str]:
    """The throttle nodes in the group, and the disks that joined it by ``block_set_io_throttle``."""
    nodes = {node.name for node in hardware.nodes.values() if group in _groups(node.filename)}
    return nodes | {
        str(entry.get("qdev") or entry["device"])
        for entry in hardware.block_devices
        if entry.get("inserted", {}).get("group") == group
    }


def _groups(filename: str) -> Iterable[str]:
    """The throttle groups that a node's ``json:`` file name speaks of, at any depth. One too long is cut off by QEMU."""
    if not filename.startswith("json:"):
        return
    try:
        pending = [json.loads(filename[len("json:") :])]
    except (ValueError, RecursionError):
        yield from re.findall(r'"throttle-group": "([^"\\]*)"', filename)
        return
    for value in pending:  # it grows meanwhile
        if isinstance(value, Mapping):
            group = value.get("throttle-group")
            if isinstance(group, str):
                yield group
            pending += value.values()
        elif isinstance(value, list):
            pending += value
