# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of hardware and of operations to be tortured.

A kind that is added here goes through every fault, with no new fault code.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ansible_collections.vmops.qemu.tests.support.values import NULL, SECRET

KEEP = "the guest writes to its disk"


@dataclass(frozen=True)
class Kind:
    """Options to have one and to have it no more. Words in braces stand for what is made for each test or VM: ``{tap}``, a tap;
    ``{image}``, ``{target}``, ``{qcow2}``, ``{luks}``, images; ``{directory}``, a directory; ``{uri}``, a place to migrate to.

    ``given``: modules with options that bring each new VM to where the kind begins; KEEP among them has the guest write more.
    ``stays``: why the VM does not give it up by ``absent``, and so a new VM is taken; ``once``: whether only a new VM can have it
    again. ``descriptors``: names that may be left in QEMU. ``sample``: whether ``make test`` takes it, besides ``make torture``.
    ``machine``: how the VM differs from one that has no guest, and so gives up at once whatever needs no guest's consent;
    ``newest``: whether it is of the newest QEMU at hand.

    ``data``: the id of the disk on which a guest keeps bytes, which are compared after each run and after QEMU's death;
    ``copy``: a raw image that has these bytes at the end too; ``core``: a file that has the guest's memory at the end.
    ``repeats``: whether each run does it again. ``busy``: what a run is refused with while what another began goes on, which
    ends by itself. ``peer``: what is given, as above, to a second VM, to which the guest can move; ``at_peer``: whether the
    module is run there; ``then``: what moves the guest there in the end.
    """

    name: str
    module: str
    present: dict[str, Any]
    absent: dict[str, Any]
    given: tuple[Any, ...] = ()
    stays: str = ""
    once: bool = False
    descriptors: tuple[str, ...] = ()
    sample: bool = True
    machine: dict[str, Any] = field(default_factory=dict)
    newest: bool = False
    data: str = ""
    copy: str = ""
    core: str = ""
    repeats: bool = False
    busy: str = ""
    peer: tuple[Any, ...] = ()
    at_peer: bool = False
    then: tuple[Any, ...] = ()


def _disk(name: str, sample: bool = True, **options: Any) -> Kind:
    return Kind(name, "qmp_blockdev", {"id": "x1", **options}, {"id": "x1", "state": "absent"}, sample=sample)


def _other_disk(name: str, present: dict[str, Any], absent: dict[str, Any]) -> Kind:
    """A change of a disk that is there."""
    return Kind(
        name,
        "qmp_blockdev",
        {"id": "x1", **present},
        {"id": "x1", **absent},
        sample=False,
        given=(("qmp_blockdev", {"id": "x1", "file": "{image}"}),),
    )


def _nic(name: str, sample: bool = True, descriptors: tuple[str, ...] = (), **options: Any) -> Kind:
    return Kind(
        name,
        "qmp_netdev",
        {"id": "x1", "mac": "52:54:00:00:00:01", **options},
        {"id": "x1", "state": "absent"},
        descriptors=descriptors,
        sample=sample,
    )


DISK = ("qmp_blockdev", {"id": "x1", "file": "{qcow2}", "format": "qcow2"})
TARGET = ("qmp_blockdev", {"id": "t1", "file": "{target}", "attach": False})
SNAPSHOT = ("qmp_block_job", {"id": "s1", "type": "snapshot", "disk": "x1", "file": "{directory}/overlay"})
INCOMING = ("qmp_migrate", {"state": "incoming", "uri": "{uri}", "capabilities": {"xbzrle": True}})
GOES = ("qmp_migrate", {"uri": "{uri}", "capabilities": {"xbzrle": True}, "parameters": {"max-bandwidth": 48 << 20}})
RUNS = ("qmp_power", {"state": "running"})
NO_WAY_BACK = "what it does to the guest's disk is not undone"


def _operation(name: str, act: tuple[str, dict[str, Any]], given: tuple[Any, ...] = (DISK, KEEP), **more: Any) -> Kind:
    """An act on a VM whose guest keeps bytes on the disk x1."""
    module, present = act
    absent = {"id": present["id"], "state": "cancelled"} if module == "qmp_block_job" else {}
    return Kind(
        name,
        module,
        present,
        **{
            "absent": absent,
            "given": given,
            "stays": NO_WAY_BACK,
            "once": True,
            "data": "x1",
            "machine": {"boot": True},
            "sample": False,
            **more,
        },
    )


def _job(type: str, **options: Any) -> tuple[str, dict[str, Any]]:
    """A job that is under way for a second or so."""
    return "qmp_block_job", {"id": "j1", "type": type, "disk": "x1", "speed": "4M", **options}


OPERATIONS = (
    _operation("snapshot", SNAPSHOT, absent={}),
    _operation("mirror and its pivot", _job("mirror", target="t1"), (DISK, TARGET, KEEP)),
    _operation("commit", _job("commit"), (DISK, KEEP, SNAPSHOT, KEEP)),
    _operation("stream", _job("stream"), (DISK, KEEP, SNAPSHOT, KEEP)),
    _operation("backup", _job("backup", target="t1"), (DISK, TARGET, KEEP), copy="{target}", repeats=True),
    _operation(
        "dump",
        ("qmp_dump", {"path": "{directory}/core", "force": True}),
        core="{directory}/core",
        repeats=True,
        busy="being written",
    ),
    _operation("guest that moves away", GOES, absent={"state": "cancelled"}, peer=(DISK, INCOMING)),
    _operation("guest that is awaited", INCOMING, peer=(DISK,), at_peer=True, then=(GOES,)),
)


KINDS = (
    _disk("disk", file="{image}", size="32M"),
    _disk("disk with limits", sample=False, file="{image}", limits={"iops": 500}),
    _disk("SCSI disk", sample=False, file="{image}", driver="scsi-hd"),
    _disk("NVMe disk without a file", sample=False, backend=NULL, driver="nvme"),
    _disk("encrypted disk", sample=False, file="{luks}", format="luks", passphrase=SECRET),
    _other_disk("disk that grows", {"size": "32M"}, {"size": "16M", "allow_shrink": True}),
    _other_disk("disk with other limits", {"limits": {"iops": 500}}, {"limits": {}}),
    _other_disk("disk that stays in the back", {"attach": False}, {}),
    _other_disk(
        "disk made anew",
        {"file": "{image}", "read_only": True, "recreate": True},
        {"file": "{image}", "read_only": False, "recreate": True},
    ),
    Kind(
        "serial port",
        "qmp_chardev",
        {"id": "x1", "type": "null", "driver": "virtserialport", "name": "x"},
        {"id": "x1", "state": "absent"},
        sample=False,
        machine={"extra": ("-device", "virtio-serial-pci,id=serial0")},
    ),
    Kind(
        "character device",
        "qmp_chardev",
        {"id": "x1", "type": "socket", "path": "{directory}/x1"},
        {"id": "x1", "state": "absent"},
        sample=False,
    ),
    Kind("random numbers", "qmp_device", {"id": "x1", "driver": "virtio-rng-pci"}, {"id": "x1", "state": "absent"}, sample=False),
    Kind(
        "property",
        "qmp_qom",
        {"path": "/machine", "property": "graphics", "value": False},
        {"path": "/machine", "property": "graphics", "value": True},
        sample=False,
    ),
    Kind(
        "memory",
        "qmp_memory_hotplug",
        {"id": "x1", "size": "128M"},
        {"id": "x1", "state": "absent"},
        sample=False,
        machine={"boot": True},
    ),
    Kind(
        "memory that grows",
        "qmp_memory_hotplug",
        {"id": "x1", "type": "virtio-mem", "size": "128M", "requested_size": "0"},
        {"id": "x1", "state": "absent"},
        sample=False,
        newest=True,
    ),
    Kind(
        "medium",
        "qmp_media",
        {"id": "cd0", "file": "{image}"},
        {"id": "cd0", "state": "absent"},
        sample=False,
        machine={"extra": ("-device", "scsi-cd,id=cd0")},
    ),
    Kind(
        "secret",
        "qmp_object",
        {"id": "x1", "qom_type": "secret", "secret": SECRET},
        {"id": "x1", "state": "absent"},
        sample=False,
    ),
    Kind(
        "mirror of a disk",
        "qmp_block_job",
        {"id": "j1", "type": "mirror", "disk": "x1", "target": "t1", "state": "ready"},
        {"id": "j1", "state": "cancelled"},
        sample=False,
        given=(
            ("qmp_blockdev", {"id": "x1", "file": "{image}"}),
            ("qmp_blockdev", {"id": "t1", "backend": {"driver": "null-co", "size": 16 << 20}, "attach": False}),
        ),
    ),
    Kind("VM that stands still", "qmp_power", {"state": "paused"}, {"state": "running"}, sample=False, machine={"paused": False}),
    Kind(
        "migration settings",
        "qmp_migrate",
        {"state": "status", "capabilities": {"xbzrle": True}, "parameters": {"max-bandwidth": 1 << 20}},
        {"state": "status", "capabilities": {"xbzrle": False}, "parameters": {"max-bandwidth": 128 << 20}},
        sample=False,
    ),
    Kind(
        "balloon",
        "qmp_balloon",
        {"size": "192M"},
        {"size": "256M"},
        sample=False,
        machine={"boot": True, "extra": ("-device", "virtio-balloon-pci,id=balloon0")},
    ),
    Kind("I/O thread", "qmp_object", {"id": "x1", "qom_type": "iothread"}, {"id": "x1", "state": "absent"}, sample=False),
    _nic("NIC over a tap", type="tap", ifname="{tap}", descriptors=("x1-fd0",)),
    _nic("NIC with its cable out", sample=False, type="user", link="down"),
    Kind("vCPUs", "qmp_cpu_hotplug", {"count": 3}, {"count": 1}, stays="a guest has to let go of a vCPU"),
    Kind("vCPUs of a guest", "qmp_cpu_hotplug", {"count": 3}, {"count": 1}, once=True, sample=False, machine={"boot": True}),
    *OPERATIONS,
)
