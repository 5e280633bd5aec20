# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of hardware and of operations in which faults are injected.

A kind that is added here goes through every fault. No new fault code is needed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ansible_collections.vmops.qemu.tests.support.values import NULL, SECRET

WRITES = "the guest writes to its disk"


@dataclass(frozen=True)
class Kind:
    """Options of a module that add an object or begin an operation, and those that remove or end it.

    Words in braces stand for what each VM or test gets: ``{tap}``, a tap; ``{image}``, ``{target}``, ``{qcow2}``, ``{luks}``,
    images; ``{directory}``, a directory; ``{uri}``, an address to migrate to.
    """

    name: str
    module: str
    present: dict[str, Any]
    absent: dict[str, Any]
    setup: tuple[Any, ...] = ()
    """Modules with options that prepare each new VM. WRITES among them lets the guest write another block."""
    irremovable: str = ""
    """Why ``absent`` does not remove it, so that each test needs a new VM."""
    once: bool = False
    """Whether only a new VM can have it again."""
    descriptors: tuple[str, ...] = ()
    """Names of descriptors that may be left in QEMU."""
    sample: bool = True
    """Whether ``make test`` takes the kind. ``make torture`` takes all."""
    machine: dict[str, Any] = field(default_factory=dict)
    """How the VM differs from one without a guest, which releases at once whatever needs no guest."""
    newest: bool = False
    """Whether the VM runs the newest QEMU of this machine."""

    # operations on a VM whose guest writes to a disk

    data: str = ""
    """The id of the guest's disk. Its content is compared after each run and after QEMU's death."""
    copy: str = ""
    """A raw image that has the same content at the end."""
    core: str = ""
    """A file that has the guest's memory at the end."""
    repeats: bool = False
    """Whether each run does the work again."""
    busy: str = ""
    """Words of the refusal of a run while the work of an earlier one still goes on, which ends by itself."""
    peer: tuple[Any, ...] = ()
    """Modules with options that prepare a second VM, to which the guest can migrate."""
    at_peer: bool = False
    """Whether the module runs on the second VM."""
    then: tuple[Any, ...] = ()
    """Modules with options that migrate the guest to the second VM in the end."""


def _disk(name: str, sample: bool = True, **options: Any) -> Kind:
    return Kind(name, "qmp_blockdev", {"id": "x1", **options}, {"id": "x1", "state": "absent"}, sample=sample)


def _changed_disk(name: str, present: dict[str, Any], absent: dict[str, Any]) -> Kind:
    """A change of a disk that exists."""
    return Kind(
        name,
        "qmp_blockdev",
        {"id": "x1", **present},
        {"id": "x1", **absent},
        sample=False,
        setup=(("qmp_blockdev", {"id": "x1", "file": "{image}"}),),
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


WHOLE: dict[str, Any] = {
    "objects": [{"id": "io1", "qom_type": "iothread"}],
    "chardevs": [
        {"id": "port1", "type": "null", "driver": "virtserialport", "name": "x", "bus": "ctl1.0"},
        {"id": "line1", "type": "socket", "path": "{directory}/line1"},
    ],
    "devices": [{"id": "ctl1", "driver": "virtio-serial-pci"}],
    "blockdevs": [
        {"id": "x1", "file": "{image}", "iothread": "io1", "limits": {"iops": 500}},
        {"id": "x2", "backend": {"driver": "null-co", "size": 1 << 20}, "driver": "scsi-hd"},
    ],
    "netdevs": [{"id": "n1", "type": "tap", "ifname": "{tap}", "mac": "52:54:00:00:00:01"}],
}
"""Items of all kinds that a VM without a guest releases, some of which need each other."""
NOTHING: dict[str, Any] = {kind: [{"id": one["id"], "state": "absent"} for one in items] for kind, items in WHOLE.items()}
DIMM: dict[str, Any] = {"memory": [{"id": "m1", "size": "128M"}]}

DISK = ("qmp_blockdev", {"id": "x1", "file": "{qcow2}", "format": "qcow2"})
TARGET = ("qmp_blockdev", {"id": "t1", "file": "{target}", "attach": False})
SNAPSHOT = ("qmp_block_job", {"id": "s1", "type": "snapshot", "disk": "x1", "file": "{directory}/overlay"})
INCOMING = ("qmp_migrate", {"state": "incoming", "uri": "{uri}", "capabilities": {"xbzrle": True}})
OUTGOING = ("qmp_migrate", {"uri": "{uri}", "capabilities": {"xbzrle": True}, "parameters": {"max-bandwidth": 48 << 20}})
RUNS = ("qmp_power", {"state": "running"})
NOT_UNDONE = "the effect on the guest's disk cannot be undone"


def _operation(name: str, task: tuple[str, dict[str, Any]], setup: tuple[Any, ...] = (DISK, WRITES), **more: Any) -> Kind:
    """An operation on a VM whose guest writes to the disk x1."""
    module, present = task
    absent = {"id": present["id"], "state": "cancelled"} if module == "qmp_block_job" else {}
    return Kind(
        name,
        module,
        present,
        **{
            "absent": absent,
            "setup": setup,
            "irremovable": NOT_UNDONE,
            "once": True,
            "data": "x1",
            "machine": {"boot": True},
            "sample": False,
            **more,
        },
    )


def _job(type: str, **options: Any) -> tuple[str, dict[str, Any]]:
    """A job that takes about a second."""
    return "qmp_block_job", {"id": "j1", "type": type, "disk": "x1", "speed": "4M", **options}


OPERATIONS = (
    _operation("snapshot", SNAPSHOT, absent={}),
    _operation("mirror with pivot", _job("mirror", target="t1"), (DISK, TARGET, WRITES)),
    _operation("commit", _job("commit"), (DISK, WRITES, SNAPSHOT, WRITES)),
    _operation("stream", _job("stream"), (DISK, WRITES, SNAPSHOT, WRITES)),
    _operation("backup", _job("backup", target="t1"), (DISK, TARGET, WRITES), copy="{target}", repeats=True),
    _operation(
        "dump",
        ("qmp_dump", {"path": "{directory}/core", "force": True}),
        core="{directory}/core",
        repeats=True,
        busy="being written",
    ),
    _operation("outgoing migration", OUTGOING, absent={"state": "cancelled"}, peer=(DISK, INCOMING)),
    _operation("incoming migration", INCOMING, peer=(DISK,), at_peer=True, then=(OUTGOING,)),
)


KINDS = (
    _disk("disk", file="{image}", size="32M"),
    _disk("disk with limits", sample=False, file="{image}", limits={"iops": 500}),
    _disk("SCSI disk", sample=False, file="{image}", driver="scsi-hd"),
    _disk("NVMe disk without a file", sample=False, backend=NULL, driver="nvme"),
    _disk("encrypted disk", sample=False, file="{luks}", format="luks", passphrase=SECRET),
    _changed_disk("disk that is resized", {"size": "32M"}, {"size": "16M", "allow_shrink": True}),
    _changed_disk("disk whose limits change", {"limits": {"iops": 500}}, {"limits": {}}),
    _changed_disk("disk that is detached", {"attach": False}, {}),
    _changed_disk(
        "disk that is recreated",
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
    Kind(
        "random number device",
        "qmp_device",
        {"id": "x1", "driver": "virtio-rng-pci"},
        {"id": "x1", "state": "absent"},
        sample=False,
    ),
    Kind(
        "QOM property",
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
        "virtio-mem",
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
        "mirror that is ready",
        "qmp_block_job",
        {"id": "j1", "type": "mirror", "disk": "x1", "target": "t1", "state": "ready"},
        {"id": "j1", "state": "cancelled"},
        sample=False,
        setup=(
            ("qmp_blockdev", {"id": "x1", "file": "{image}"}),
            ("qmp_blockdev", {"id": "t1", "backend": {"driver": "null-co", "size": 16 << 20}, "attach": False}),
        ),
    ),
    Kind("paused VM", "qmp_power", {"state": "paused"}, {"state": "running"}, sample=False, machine={"paused": False}),
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
    _nic("NIC with link down", sample=False, type="user", link="down"),
    Kind("vCPUs", "qmp_cpu_hotplug", {"count": 3}, {"count": 1}, irremovable="only a guest can release a vCPU"),
    Kind("vCPUs of a guest", "qmp_cpu_hotplug", {"count": 3}, {"count": 1}, once=True, sample=False, machine={"boot": True}),
    Kind("whole VM", "qmp_hotplug", WHOLE, NOTHING, descriptors=("n1-fd0",)),
    Kind(
        "whole VM with a guest",
        "qmp_hotplug",
        {**WHOLE, **DIMM},  # without vCPUs: with TCG, QEMU damages its own memory when one is removed, and aborts later
        {**NOTHING, "memory": [{"id": "m1", "state": "absent"}]},
        once=True,
        sample=False,
        machine={"boot": True},
        descriptors=("n1-fd0",),
    ),
    *OPERATIONS,
)
