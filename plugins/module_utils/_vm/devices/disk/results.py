# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk as a result has it: as the options that would make it, and what else is known of it."""

from __future__ import annotations

from typing import Any

from ...model.block_graph import Disk, find_disk
from ...model.hardware import Hardware
from ..frontend import PROPERTIES as FRONTEND_PROPERTIES
from ..frontend import frontend_results, planned_results
from ..option_table import planned_options, results
from . import throttle
from .backend import backend_results
from .options import NODE, PROPERTIES
from .spec import DiskSpec

_GUEST_PATHS = {
    "virtio-blk": "/dev/disk/by-id/virtio-{serial}",
    "scsi-hd": "/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_{serial}",
    "scsi-cd": "/dev/disk/by-id/scsi-0QEMU_QEMU_CD-ROM_{serial}",
    "nvme": "/dev/disk/by-id/nvme-QEMU_NVMe_Ctrl_{serial}",
}


def guest_path(driver: str, serial: str | None) -> str | None:
    """The path that udev in a Linux guest gives the disk, None if no stable one is known."""
    form = next((path for name, path in _GUEST_PATHS.items() if driver.startswith(name)), None)
    if form is None or not serial:
        return None
    return form.format(serial=serial[:20] if driver.startswith("virtio") else serial)


def describe(hardware: Hardware, disk_id: str) -> dict[str, Any] | None:
    """The disk as it is now; None if there is neither a device nor a node."""
    return describe_disk(hardware, find_disk(hardware, disk_id))


def describe_disk(hardware: Hardware, disk: Disk) -> dict[str, Any] | None:
    if disk.device is None and disk.top is None:
        return None
    return {
        "id": disk.id,
        "attach": disk.device is not None,
        **_device_results(hardware, disk),
        **_node_results(hardware, disk),
    }


def describe_all(hardware: Hardware) -> list[dict[str, Any]]:
    """All disks of the VM that have an id."""
    devices = [device for device in hardware.devices if device.id and "drive" in device.properties]
    rows = (*FRONTEND_PROPERTIES, *PROPERTIES)
    hardware.cache.qom_get((device.path, row.qemu) for device in devices for row in rows if row.qemu in device.types)  # at once
    found = (describe(hardware, str(device.id)) for device in devices)
    return [disk for disk in found if disk]


def planned(hardware: Hardware, spec: DiskSpec, disk: Disk, driver: str, arguments: dict[str, Any] | None) -> dict[str, Any]:
    """The disk as it will be, as far as that is known beforehand: *disk*, or a new one if the VM has none, with what the task
    changes. *arguments* are those of ``device_add`` for a new device."""
    result: dict[str, Any] = {"id": spec.id, "attach": spec.attach}
    if arguments:
        frontend = planned_results(arguments, PROPERTIES)
        result.update({**frontend, "guest_path": guest_path(driver, frontend.get("serial")), "limits": {}})
    elif spec.attach:
        result.update(_device_results(hardware, disk))
    if disk.top is None and spec.backend is not None:
        values = {**spec.node, "format": spec.format, "read_only": spec.is_read_only(driver)}
        on = {"file": spec.file} if spec.file else {"backend": spec.backend}
        result.update({"node": spec.id, **on, **planned_options(NODE, values), "snapshots": []})
    else:
        result.update(_node_results(hardware, disk))
    if spec.size is not None:
        result["size"] = spec.size
    if spec.attach and spec.limits is not None:
        result["limits"] = throttle.in_force(spec.limits)
    return result


def _device_results(hardware: Hardware, disk: Disk) -> dict[str, Any]:
    if disk.device is None:
        return {}
    frontend = frontend_results(hardware, disk.device, PROPERTIES)
    path = guest_path(disk.device.driver, frontend.get("serial"))
    return {**frontend, "guest_path": path, "limits": throttle.present(disk.block_info)}


def _node_results(hardware: Hardware, disk: Disk) -> dict[str, Any]:
    """The options of the image that the task is about, and what the node on top of it has."""
    if disk.image is None or disk.top is None:
        return {}
    return {
        "node": disk.top.name,
        **backend_results(hardware, disk.image),
        **results(NODE, disk.image),
        "size": disk.top.size,
        "snapshots": [hardware.nodes[name].filename for name in disk.snapshots],
    }
