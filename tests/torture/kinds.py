# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of hardware to be tortured. A kind that is added here goes through every fault, with no new fault code."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

SECRET = "correct-horse-battery-staple"


@dataclass(frozen=True)
class Kind:
    """Options to have one and to have it no more; ``{tap}``, ``{image}``, ``{luks}`` and ``{directory}`` stand for a
    tap, an image, an encrypted image and the directory of the test.

    ``given``: modules with options that bring each new VM to where the kind begins. ``removable``: whether the VM gives it up;
    ``once``: whether only a new VM can have it again. ``descriptors``: names that may be left in QEMU. ``sample``: whether
    ``make test`` takes it, besides ``make torture``. ``machine``: how the VM differs from one that has no guest, and so gives
    up at once whatever needs no guest's consent; ``newest``: whether it is of the newest QEMU at hand.
    """

    name: str
    module: str
    present: dict[str, Any]
    absent: dict[str, Any]
    given: tuple[tuple[str, dict[str, Any]], ...] = ()
    removable: bool = True
    once: bool = False
    descriptors: tuple[str, ...] = ()
    sample: bool = True
    machine: dict[str, Any] = field(default_factory=dict)
    newest: bool = False


def _disk(name: str, sample: bool = True, **options: Any) -> Kind:
    return Kind(name, "qmp_blockdev", {"id": "x1", **options}, {"id": "x1", "state": "absent"}, sample=sample)


def _other_disk(name: str, present: dict[str, Any], absent: dict[str, Any]) -> Kind:
    """A change of a disk that is there."""
    return Kind(name, "qmp_blockdev", {"id": "x1", **present}, {"id": "x1", **absent}, sample=False,
                given=(("qmp_blockdev", {"id": "x1", "file": "{image}"}),))


def _nic(name: str, sample: bool = True, descriptors: tuple[str, ...] = (), **options: Any) -> Kind:
    return Kind(name, "qmp_netdev", {"id": "x1", "mac": "52:54:00:00:00:01", **options}, {"id": "x1", "state": "absent"},
                descriptors=descriptors, sample=sample)


KINDS = (
    _disk("disk", file="{image}", size="32M"),
    _disk("disk with limits", sample=False, file="{image}", limits={"iops": 500}),
    _disk("SCSI disk", sample=False, file="{image}", driver="scsi-hd"),
    _disk("NVMe disk without a file", sample=False, backend={"driver": "null-co", "size": 1 << 20}, driver="nvme"),
    _disk("encrypted disk", sample=False, file="{luks}", format="luks", passphrase=SECRET),
    _other_disk("disk that grows", {"size": "32M"}, {"size": "16M", "allow_shrink": True}),
    _other_disk("disk with other limits", {"limits": {"iops": 500}}, {"limits": {}}),
    _other_disk("disk that stays in the back", {"attach": False}, {}),
    _other_disk("disk made anew", {"file": "{image}", "read_only": True, "recreate": True},
                {"file": "{image}", "read_only": False, "recreate": True}),
    Kind("serial port", "qmp_chardev", {"id": "x1", "type": "null", "driver": "virtserialport", "name": "x"},
         {"id": "x1", "state": "absent"}, sample=False, machine={"extra": ("-device", "virtio-serial-pci,id=serial0")}),
    Kind("character device", "qmp_chardev", {"id": "x1", "type": "socket", "path": "{directory}/x1"},
         {"id": "x1", "state": "absent"}, sample=False),
    Kind("random numbers", "qmp_device", {"id": "x1", "driver": "virtio-rng-pci"}, {"id": "x1", "state": "absent"}, sample=False),
    Kind("property", "qmp_qom", {"path": "/machine", "property": "graphics", "value": False},
         {"path": "/machine", "property": "graphics", "value": True}, sample=False),
    Kind("memory", "qmp_memory_hotplug", {"id": "x1", "size": "128M"}, {"id": "x1", "state": "absent"}, sample=False,
         machine={"boot": True}),
    Kind("memory that grows", "qmp_memory_hotplug", {"id": "x1", "type": "virtio-mem", "size": "128M", "requested_size": "0"},
         {"id": "x1", "state": "absent"}, sample=False, newest=True),
    Kind("medium", "qmp_media", {"id": "cd0", "file": "{image}"}, {"id": "cd0", "state": "absent"}, sample=False,
         machine={"extra": ("-device", "scsi-cd,id=cd0")}),
    Kind("secret", "qmp_object", {"id": "x1", "qom_type": "secret", "secret": SECRET}, {"id": "x1", "state": "absent"},
         sample=False),
    Kind("mirror of a disk", "qmp_block_job", {"id": "j1", "type": "mirror", "disk": "x1", "target": "t1", "state": "ready"},
         {"id": "j1", "state": "cancelled"}, sample=False,
         given=(("qmp_blockdev", {"id": "x1", "file": "{image}"}),
                ("qmp_blockdev", {"id": "t1", "backend": {"driver": "null-co", "size": 16 << 20}, "attach": False}))),
    Kind("VM that stands still", "qmp_power", {"state": "paused"}, {"state": "running"}, sample=False, machine={"paused": False}),
    Kind("migration settings", "qmp_migrate",
         {"state": "status", "capabilities": {"xbzrle": True}, "parameters": {"max-bandwidth": 1 << 20}},
         {"state": "status", "capabilities": {"xbzrle": False}, "parameters": {"max-bandwidth": 128 << 20}}, sample=False),
    Kind("balloon", "qmp_balloon", {"size": "192M"}, {"size": "256M"}, sample=False,
         machine={"boot": True, "extra": ("-device", "virtio-balloon-pci,id=balloon0")}),
    Kind("I/O thread", "qmp_object", {"id": "x1", "qom_type": "iothread"}, {"id": "x1", "state": "absent"}, sample=False),
    _nic("NIC over a tap", type="tap", ifname="{tap}", descriptors=("x1-fd0",)),
    _nic("NIC with its cable out", sample=False, type="user", link="down"),
    Kind("vCPUs", "qmp_cpu_hotplug", {"count": 3}, {"count": 1}, removable=False),
    Kind("vCPUs of a guest", "qmp_cpu_hotplug", {"count": 3}, {"count": 1}, once=True, sample=False, machine={"boot": True}),
)
