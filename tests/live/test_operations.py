# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every operation that an engine for live QEMU VMs needs, and the task that performs it.

Each is planned in check mode and compared with the commands that QEMU is to get, and then performed on a VM; those whose
hardware is not here (vfio, vhost) end at QEMU's own refusal, and are held to the commands alone. Channel devices and the CPUs
of other architectures are in test_each_qemu.py, memory that comes and goes with a guest in test_memory.py, and so on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.vmops.qemu.tests.support.modules import Modules
from ansible_collections.vmops.qemu.tests.vm.machine import VM

Task = tuple[str, dict[str, Any]]


@dataclass(frozen=True)
class Operation:
    """A task, the commands that it sends, and what it needs: tasks ``before`` it, arguments of QEMU.

    ``has``: arguments that the last command must have. ``refused``: words of QEMU's refusal, for hardware that is not here.
    ``reads``: keys of the result of a task that sends nothing.
    """

    task: Task
    sends: tuple[str, ...] = ()
    has: dict[str, Any] = field(default_factory=dict)
    before: tuple[Task, ...] = ()
    extra: tuple[str, ...] = ()
    machine: str = "q35"
    refused: str | None = None
    reads: tuple[str, ...] = ()
    planned_only: bool = False


def disk(**options: Any) -> Task:
    return "qmp_blockdev", {"id": "d1", "backend": {"driver": "null-co", "size": 1 << 20}, **options}


def nic(**options: Any) -> Task:
    return "qmp_netdev", {"id": "n1", "mac": "52:54:00:00:00:01", **options}


def memory(**options: Any) -> Task:
    return "qmp_memory_hotplug", {"id": "m1", "size": "128M", **options}


def device(**options: Any) -> Task:
    return "qmp_device", {"id": "x1", **options}


NODE, PLUG = "blockdev-add", "device_add"
SERIAL = ("-device", "virtio-serial-pci,id=serial0")
SOCKET: Task = ("qmp_chardev", {"id": "c1", "type": "socket", "path": "{dir}/c.sock"})
NVDIMM = ("-machine", "nvdimm=on")

OPERATIONS: dict[str, Operation] = {
    "stop": Operation(("qmp_power", {"state": "paused"}), ("stop",), before=(("qmp_power", {"state": "running"}),)),
    "cont": Operation(("qmp_power", {"state": "running"}), ("cont",)),
    "system powerdown": Operation(
        ("qmp_power", {"state": "shutdown"}),
        ("system_powerdown",),
        planned_only=True,
        before=(("qmp_power", {"state": "running"}),),
    ),
    "quit": Operation(("qmp_power", {"state": "quit"}), ("quit",)),
    "query status": Operation(("qmp_info", {"gather_subset": ["vm"]}), reads=("vm",)),
    "blockdev add": Operation(disk(attach=False), (NODE,), {"driver": "raw", "node-name": "d1"}),
    "blockdev add, cache": Operation(
        disk(attach=False, cache={"direct": True, "no_flush": True}), (NODE,), {"cache": {"direct": True, "no-flush": True}}
    ),
    "blockdev add, driver": Operation(
        disk(attach=False, backend={"driver": "host_device", "filename": "/dev/nosuch"}),
        (NODE,),
        {"file": {"driver": "host_device", "filename": "/dev/nosuch"}},
        refused="/dev/nosuch",
    ),
    "blockdev add, read-only": Operation(disk(attach=False, read_only=True), (NODE,), {"read-only": True}),
    "blockdev del": Operation(
        ("qmp_blockdev", {"id": "d1", "state": "absent"}), ("blockdev-del",), {"node-name": "d1"}, before=(disk(attach=False),)
    ),
    "device add, disk": Operation(
        disk(bus="rp1", share_rw=True, romfile="", disable_modern=False),
        (NODE, PLUG),
        {"bus": "rp1", "share-rw": True, "romfile": "", "disable-modern": False},
    ),
    "device add, SCSI disk": Operation(disk(driver="scsi-hd", scsi_id=3, lun=1), (NODE, PLUG), {"scsi-id": 3, "lun": 1}),
    "device add, SCSI CD": Operation(disk(driver="scsi-cd"), (NODE, PLUG), {"driver": "scsi-cd"}),
    "device add, PCI disk": Operation(
        disk(bus="pci.0", addr="0x9", queues=4, share_rw=True),
        (NODE, PLUG),
        {"bus": "pci.0", "addr": "9", "num-queues": 4, "share-rw": True},
        machine="pc",
    ),
    "device del": Operation(("qmp_blockdev", {"id": "d1", "state": "absent"}), ("device_del", "blockdev-del"), before=(disk(),)),
    "netdev add": Operation(
        nic(type="tap", ifname="nosuchtap", script="no", downscript="no", queues=2),
        ("netdev_add", PLUG),
        {"mq": True, "vectors": 6},
        planned_only=True,
    ),
    "netdev add, chardev": Operation(
        nic(type="vhost-user", chardev="c1", queues=2), ("netdev_add", PLUG), before=(SOCKET,), planned_only=True
    ),
    "netdev add, descriptors": Operation(nic(type="tap", ifname="{tap}"), ("getfd", "netdev_add", PLUG)),
    "netdev del": Operation(
        ("qmp_netdev", {"id": "n1", "state": "absent"}), ("device_del", "netdev_del"), before=(nic(type="user"),)
    ),
    "NIC, PCI": Operation(
        nic(type="user", bus="pci.0", addr="0x8", romfile="", disable_modern=True),
        ("netdev_add", PLUG),
        {"bus": "pci.0", "addr": "8", "romfile": "", "disable-modern": True},
        machine="pc",
    ),
    "CPU add": Operation(
        ("qmp_cpu_hotplug", {"topology": {"socket-id": 1, "core-id": 0, "thread-id": 0}}),
        (PLUG,),
        {"socket-id": 1, "core-id": 0, "thread-id": 0},
    ),
    "query hotpluggable CPUs": Operation(("qmp_info", {"gather_subset": ["cpus"]}), reads=("cpus",)),
    "query CPUs fast": Operation(("qmp_command", {"execute": "query-cpus-fast"}), ("query-cpus-fast",), reads=("replies",)),
    "memory, RAM": Operation(memory(), ("object-add", PLUG), {"driver": "pc-dimm"}),
    "memory, file": Operation(memory(backend="file", mem_path="{dir}/mem", share=True), ("object-add", PLUG)),
    "memory, memfd": Operation(memory(backend="memfd"), ("object-add", PLUG)),
    "NVDIMM": Operation(
        memory(type="nvdimm", backend="file", mem_path="{dir}/mem", share=True),
        ("object-add", PLUG),
        {"driver": "nvdimm"},
        extra=NVDIMM,
    ),
    "query memory devices": Operation(("qmp_info", {"gather_subset": ["memory"]}), reads=("memory",)),
    "balloon": Operation(
        ("qmp_balloon", {"size": "128M"}),
        ("balloon",),
        {"value": 128 << 20},
        planned_only=True,
        extra=("-device", "virtio-balloon-pci"),
    ),
    "chardev add": Operation(SOCKET, ("chardev-add",)),
    "chardev remove": Operation(("qmp_chardev", {"id": "c1", "state": "absent"}), ("chardev-remove",), before=(SOCKET,)),
    "virtio serial port": Operation(
        ("qmp_chardev", {"id": "c1", "type": "null", "driver": "virtserialport", "name": "org.x"}),
        ("chardev-add", PLUG),
        {"name": "org.x", "chardev": "c1"},
        extra=SERIAL,
    ),
    "vhost-user device": Operation(
        device(driver="vhost-user-fs-pci", chardev="c1", properties={"tag": "x"}, bus="rp1"),
        (PLUG,),
        {"chardev": "c1", "tag": "x", "bus": "rp1"},
        before=(SOCKET,),
        planned_only=True,
    ),
    "VFIO PCI": Operation(
        device(driver="vfio-pci", properties={"host": "0000:3b:00.0"}), (PLUG,), {"host": "0000:3b:00.0"}, refused="vfio"
    ),
    "VFIO PCI on a bridge": Operation(
        device(driver="vfio-pci", bus="br0", addr="0x2", properties={"host": "0000:3b:00.0"}),
        (PLUG,),
        {"bus": "br0", "addr": "2"},
        machine="pc",
        refused="vfio",
        extra=("-device", "pci-bridge,id=br0,chassis_nr=1"),
    ),
    "VFIO mediated": Operation(
        device(driver="vfio-pci", properties={"sysfsdev": "/sys/nosuch"}), (PLUG,), {"sysfsdev": "/sys/nosuch"}, refused="vfio"
    ),
    "vsock": Operation(
        device(driver="vhost-vsock-pci", guest_cid=42, descriptors=False, romfile="", disable_modern=False),
        (PLUG,),
        {"guest-cid": 42, "romfile": "", "disable-modern": False},
        refused="vhost-vsock",
    ),
    "get fd": Operation(nic(type="tap", ifname="{tap}"), ("getfd", "netdev_add", PLUG)),
    "migration capabilities": Operation(
        ("qmp_migrate", {"state": "status", "capabilities": {"xbzrle": True}}), ("migrate-set-capabilities",)
    ),
    "migrate": Operation(("qmp_migrate", {"uri": "exec:cat>/dev/null"}), ("migrate",), {"uri": "exec:cat>/dev/null"}),
    "migrate incoming": Operation(
        ("qmp_migrate", {"state": "incoming", "uri": "unix:{dir}/in.sock"}), ("migrate-incoming",), extra=("-incoming", "defer")
    ),
    "query migration": Operation(("qmp_migrate", {"state": "status"}), reads=("migration",)),
    "QMP schema": Operation(("qmp_command", {"execute": "query-qmp-schema"}), ("query-qmp-schema",), reads=("replies",)),
    "QOM set": Operation(("qmp_qom", {"path": "/machine", "property": "graphics", "value": False}), ("qom-set",)),
    "QOM get": Operation(("qmp_qom", {"path": "/machine", "property": "type"}), reads=("qom",)),
    "dump guest memory": Operation(("qmp_dump", {"path": "{dir}/dump"}), ("dump-guest-memory",)),
    "any other command": Operation(
        ("qmp_command", {"execute": "query-balloon"}),
        ("query-balloon",),
        reads=("replies",),
        extra=("-device", "virtio-balloon-pci"),
        planned_only=True,
    ),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_operation(name: str, make_vm: Callable[..., VM], make_tap: Callable[..., str], tmp_path: Path) -> None:
    operation = OPERATIONS[name]
    words = {"dir": str(tmp_path), "tap": make_tap()}
    vm = make_vm(boot=False, native=operation.machine == "q35", machine=operation.machine, extra=operation.extra)
    modules = Modules(vm)
    for module, options in operation.before:
        assert modules.run(module, **_filled(options, words)).get("changed")
    module, options = operation.task
    options = _filled(options, words)
    planned = modules.run(module, check=True, **options)
    assert not planned.get("failed"), planned
    assert tuple(command["execute"] for command in planned.get("commands", [])) == operation.sends
    if operation.has:
        assert _filled(operation.has, words).items() <= planned["commands"][-1]["arguments"].items()
    if operation.planned_only:
        return
    done = modules.run(module, **options)
    if operation.refused:
        assert done["error_code"] == "command_failed" and operation.refused in done["msg"], done
        assert done["details"]["sent"] == planned["commands"]
        return
    assert not done.get("failed"), done
    assert done.get("commands", []) == planned.get("commands", [])
    for key in operation.reads:
        assert done[key], done


def test_why_no_cpu_can_be_added_after_one_was_removed_is_reported(make_vm: Callable[..., VM]) -> None:
    """The tests run QEMU without KVM, which aborts then."""
    vm = make_vm()
    modules = Modules(vm)

    def room() -> dict[str, Any]:
        return dict(modules.info(gather_subset=["capacity"])["capacity"]["cpu"])

    assert room()["count"] == 3
    assert modules.cpus(count=2)["changed"] and room()["count"] == 2
    assert modules.cpus(count=1)["changed"]
    now = room()
    assert now["count"] == 0 and now["launch_args"] == [] and "TCG" in now["reason"]
    refused = modules.cpus(count=2)
    assert refused["error_code"] == "unsupported" and refused["msg"] == now["reason"], refused


def _filled(options: dict[str, Any], words: dict[str, str]) -> dict[str, Any]:
    return {name: value.format(**words) if isinstance(value, str) else value for name, value in options.items()}
