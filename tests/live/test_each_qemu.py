# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each QEMU there is does with the modules, without a guest, and what the code believes of QEMU."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.vmops.qemu.tests.support.modules import Modules, refused, unchanged
from ansible_collections.vmops.qemu.tests.support.values import NULL
from ansible_collections.vmops.qemu.tests.support.waiting import until
from ansible_collections.vmops.qemu.tests.vm.binaries import Binary
from ansible_collections.vmops.qemu.tests.vm.machine import VM


@pytest.mark.parametrize("machine", ["q35", "pc"])
def test_each_kind_is_planned_sent_and_equal_again(binary: Binary, make_vm: Callable[..., VM], machine: str) -> None:
    vm = make_vm(binary=binary, machine=machine, boot=False)
    modules = Modules(vm)
    for module, options in (
        (
            modules.blockdev,
            {"id": "d1", "backend": NULL, "serial": "s1", "queues": 1, "share_rw": True, "properties": {"seg-max-adjust": "on"}},
        ),
        (modules.blockdev, {"id": "d2", "backend": NULL, "driver": "scsi-hd"}),
        (modules.netdev, {"id": "n1", "type": "user", "mac": "52:54:00:aa:bb:01", "options": {"restrict": "on"}}),
        (modules.cpus, {"count": 3}),
    ):
        planned = module(check=True, **options)
        applied = module(**options)
        assert applied.get("changed") and applied["commands"] == planned["commands"], applied
        assert unchanged(module(**options))
    assert modules.blockdev(id="d2", state="absent")["changed"]


def test_a_root_port_with_native_hotplug_gives_up_its_disk_at_once(binary: Binary, make_vm: Callable[..., VM]) -> None:
    vm = make_vm(binary=binary, native=True, boot=False)
    modules, before = Modules(vm), vm.hardware()
    assert modules.blockdev(id="d1", backend=NULL)["changed"]
    assert modules.blockdev(id="d1", state="absent")["changed"]
    assert vm.hardware() == before


def test_launch_args_give_the_next_vm_the_same(
    binary: Binary, make_vm: Callable[..., VM], image: Callable[..., str], make_tap: Callable[..., str]
) -> None:
    modules = Modules(make_vm(binary=binary, boot=False))
    tasks: list[tuple[Callable[..., dict[str, Any]], dict[str, Any]]] = [
        (
            modules.blockdev,
            {
                "id": "d1",
                "file": image("a.qcow2", "8M", "qcow2"),
                "format": "qcow2",
                "serial": "a,b",
                "cache": {"direct": True},
                "discard": "unmap",
            },
        ),
        (modules.blockdev, {"id": "d2", "backend": NULL, "driver": "scsi-hd", "scsi_id": 3}),
        (modules.netdev, {"id": "n1", "type": "user", "options": {"restrict": True, "hostfwd": ["tcp:127.0.0.1:0-:22"]}}),
        (modules.netdev, {"id": "n2", "type": "tap", "ifname": make_tap("multi_queue"), "queues": 2}),
        (
            modules.netdev,
            {
                "id": "n3",
                "type": "stream",
                "options": {"addr": {"type": "inet", "host": "127.0.0.1", "port": "0"}, "server": True},
            },
        ),
    ]
    results = [module(**options) for module, options in tasks]
    assert all(result.get("changed") for result in results), results
    cpus = modules.cpus(count=2)["launch_args"]
    facts = modules.info(gather_subset=["disks", "nics"])
    modules.vm.stop()
    extra = tuple(word for result in results for word in result["launch_args"])
    again = make_vm(binary=binary, boot=False, smp=cpus[1], extra=extra)
    reported = Modules(again).info(gather_subset=["disks", "nics", "cpus"])
    assert reported["cpus"]["count"] == 2
    at_launch = {"at_launch": True}
    assert reported["disks"] == [{**disk, **at_launch} for disk in facts["disks"]]
    by_qemu = ("script", "downscript")  # of the launch, QEMU opens the tap and so reports these
    nics = [{name: value for name, value in nic.items() if name not in by_qemu} for nic in reported["nics"]]
    assert nics == [{**nic, **at_launch} for nic in facts["nics"]]


def test_the_capacity_counts_down_to_a_reason(bare_vm: VM) -> None:
    modules = Modules(bare_vm)
    for left in (4, 3, 2, 1):
        disk = modules.info(gather_subset=["capacity"])["capacity"]["disk"]
        assert disk["count"] == left and disk["slots"] == [{"bus": f"rp{port}", "addr": "0"} for port in range(4 - left, 4)]
        assert modules.blockdev(id=f"d{left}", backend=NULL)["changed"]
    full = modules.info(gather_subset=["capacity"])["capacity"]["nic"]
    assert full["count"] == 0 and full["reason"] and full["launch_args"] == ["-device", "pcie-root-port,id=rp4,chassis=5"]
    assert modules.cpus(count=4)["changed"]
    cpu = modules.info(gather_subset=["capacity"])["capacity"]["cpu"]
    assert (cpu["count"], cpu["launch_args"]) == (0, ["-smp", "4,maxcpus=8"])


def test_facts_of_vcpus_name_their_type_path_and_thread(bare_vm: VM) -> None:
    modules = Modules(bare_vm)
    planned, result = modules.cpus(check=True, count=2), modules.cpus(count=2)
    assert result.get("changed"), result
    facts = modules.info(gather_subset=["cpus"])["cpus"]
    assert facts == result["cpus"]
    reported = {one["qom-path"]: one for one in bare_vm.query("query-cpus-fast")}
    assert {one["qom_path"]: (one["index"], one["thread_id"]) for one in facts["vcpus"]} == {
        path: (one["cpu-index"], one["thread-id"]) for path, one in reported.items()
    }
    assert {one["type"] for one in (*facts["vcpus"], *facts["slots"])} == {"qemu64-x86_64-cpu"}
    present = [one for one in facts["slots"] if one["present"]]
    assert [one["thread_id"] for one in present] == [reported[one["qom_path"]]["thread-id"] for one in present]
    assert all((one["qom_path"], one["thread_id"]) == (None, None) for one in facts["slots"] if not one["present"])
    assert [one["qom_path"] for one in planned["cpus"]["slots"]] == [one["qom_path"] for one in facts["slots"]]
    assert Path(f"/proc/{bare_vm.pid}/task/{present[0]['thread_id']}").exists()


def test_facts_report_the_parts_that_are_asked_for(bare_vm: VM) -> None:
    facts = Modules(bare_vm).info(gather_subset=["vm", "memory", "chardevs", "devices"])
    assert facts["vm"]["qemu_version"].startswith(bare_vm.binary.version)
    assert (facts["vm"]["status"], facts["vm"]["target"], facts["vm"]["accelerator"]) == ("prelaunch", "x86_64", "tcg")
    assert facts["memory"] == {
        "base": 256 << 20,
        "plugged": 0,
        "total": 256 << 20,
        "maximum": 2 << 30,
        "slots": 4,
        "devices": [],
    }
    assert {"rp0", "scsi0"} <= {device["id"] for device in facts["devices"]}
    assert "disks" not in facts


@pytest.mark.parametrize(
    ("topology", "words"),
    [
        ({}, ["matches 4 CPU slots"]),
        ({"socket-id": 1}, ["matches 2 CPU slots"]),
        ({"socket_id": 1}, ["'socket_id'", "'socket-id'"]),
        ({"nosuch": 1}, ["'nosuch'"]),
        ({"socket-id": -1}, ["-1", "whole number"]),
        ({"socket-id": "x"}, ["'x'", "whole number"]),
        ({"socket-id": 2, "core-id": 0}, ["no CPU slot"]),
        ({"socket-id": True, "core-id": 0}, ["True"]),
    ],
    ids=str,
)
def test_a_topology_that_is_not_one_slot_is_refused(bare_vm: VM, topology: dict[str, Any], words: list[str]) -> None:
    for state in ("present", "absent"):
        for check in (True, False):
            refused(Modules(bare_vm).run("qmp_cpu_hotplug", check, topology=topology, state=state), "invalid_option", *words)


def test_topology_ids_can_be_text(bare_vm: VM) -> None:
    topology = {"socket-id": "1", "core-id": "0", "thread-id": "0"}
    assert Modules(bare_vm).cpus(topology=topology).get("changed")
    assert unchanged(Modules(bare_vm).cpus(topology=topology))


def test_the_boot_disk_and_the_only_nic_are_not_taken_without_force(make_vm: Callable[..., VM]) -> None:
    vm = make_vm(
        extra=(
            "-blockdev",
            json.dumps({"node-name": "root", **NULL}),
            "-device",
            "virtio-blk-pci,drive=root,id=root,bus=rp0,bootindex=1",
            "-blockdev",
            json.dumps({"node-name": "data", **NULL}),
            "-device",
            "virtio-blk-pci,drive=data,id=data,bus=rp1",
            "-netdev",
            "user,id=u0",
            "-device",
            "virtio-net-pci,netdev=u0,id=net0,bus=rp2",
        )
    )
    modules = Modules(vm)
    for result in (modules.blockdev(id="root", state="absent"), modules.netdev(id="net0", state="absent")):
        assert result["error_code"] == "unsupported" and "force" in result["msg"], result
    assert unchanged(modules.blockdev(id="root", backend=NULL, format="null-co"))
    assert modules.blockdev(id="data", state="absent")["changed"]
    assert modules.blockdev(id="root", state="absent", force=True)["changed"]
    removed = modules.netdev(id="net0", state="absent", force=True)
    assert [command["arguments"]["id"] for command in removed["commands"]] == ["net0", "u0"]
    assert vm.hardware()["nodes"] == vm.hardware()["netdevs"] == []


NODES = [word for name in ("a", "b", "c") for word in ("-blockdev", json.dumps({"node-name": name, **NULL}))]


@pytest.mark.parametrize(
    ("devices", "first", "others"),
    [
        (
            ["scsi-hd,id=root,drive=a,bus=scsi0.0,scsi-id=0", "scsi-hd,id=adata,drive=b,bus=scsi0.0,scsi-id=1"],
            ["root"],
            ["adata"],
        ),
        (["virtio-blk-pci,id=d10,drive=a,bus=rp10", "virtio-blk-pci,id=d2,drive=b,bus=rp2"], ["d2"], ["d10"]),
        (
            ["virtio-blk-pci,id=v1,drive=a,bus=rp1", "scsi-hd,id=s1,drive=b,bus=scsi0.0", "scsi-cd,id=cd,drive=c,bus=scsi0.0"],
            ["v1", "s1"],
            ["cd"],
        ),
        (["scsi-hd,id=s1,drive=a,bus=scsi0.0,bootindex=2", "virtio-blk-pci,id=v1,drive=b,bus=rp1,bootindex=1"], ["v1"], ["s1"]),
    ],
    ids=["SCSI targets", "ports in natural order", "of each driver", "bootindex"],
)
def test_which_disk_the_vm_may_have_booted_from(
    make_vm: Callable[..., VM], devices: list[str], first: list[str], others: list[str]
) -> None:
    vm = make_vm(boot=False, ports=11, extra=(*NODES, *(word for device in devices for word in ("-device", device))))
    for name in first:
        refused(Modules(vm).run("qmp_blockdev", True, id=name, state="absent"), "unsupported", "boots from")
    for name in others:
        assert Modules(vm).run("qmp_blockdev", True, id=name, state="absent").get("changed")


@pytest.mark.parametrize("work", ["backup", "mirror", "export"])
def test_what_works_on_the_nodes_of_a_drive_option_is_not_ended(
    make_vm: Callable[..., VM], work: str, image: Callable[..., str], tmp_path: Path
) -> None:
    vm = make_vm(
        boot=False,
        native=True,
        extra=(
            "-blockdev",
            f"raw,node-name=target,file.driver=file,file.filename={image('a')}",
            "-drive",
            f"if=none,id=drive1,format=raw,file={image('b')}",
            "-device",
            "scsi-hd,drive=drive1,id=d1",
        ),
    )
    drive1 = next(one["inserted"]["node-name"] for one in vm.query("query-block") if one["device"] == "drive1")
    if work in ("backup", "mirror"):
        vm.query(f"blockdev-{work}", job_id="work1", device=drive1, target="target", sync="none")
    else:
        vm.query("nbd-server-start", addr={"type": "unix", "data": {"path": str(tmp_path / "nbd.sock")}})
        vm.query("block-export-add", type="nbd", id="work1", node_name=drive1)
    before = vm.hardware()
    refused(Modules(vm).blockdev(id="d1", state="absent", force=True), "conflict", "work1")
    assert vm.hardware() == before


def test_what_a_task_does_not_state_is_not_compared(binary: Binary, make_vm: Callable[..., VM]) -> None:
    modules = Modules(make_vm(binary=binary, native=True, boot=False))
    assert modules.blockdev(id="d1", backend=NULL, read_only=True)["changed"]
    limited = modules.blockdev(id="d1", limits={"iops": 100})
    assert [command["execute"] for command in limited.get("commands", ())] == ["block_set_io_throttle"], limited
    refused(modules.blockdev(id="d1", read_only=False), "conflict", "read_only")


def test_a_disk_of_the_drive_option_goes_with_its_node(
    binary: Binary, make_vm: Callable[..., VM], image: Callable[..., str]
) -> None:
    path = image("a")
    vm = make_vm(
        binary=binary,
        boot=False,
        extra=("-drive", f"if=none,id=drive0,format=raw,file={path}", "-device", "scsi-hd,drive=drive0,id=d0"),
    )
    modules = Modules(vm)
    (disk,) = modules.info(gather_subset=["disks"])["disks"]
    assert (disk["id"], disk["file"], disk["format"]) == ("d0", path, "raw")
    assert unchanged(modules.blockdev(id="d0", file=path))
    assert modules.blockdev(id="d0", state="absent", force=True)["changed"]
    until(lambda: not vm.hardware()["nodes"])  # QEMU frees the nodes of a -drive a moment after the device


def test_a_disk_under_a_snapshot_is_still_that_disk(
    binary: Binary, make_vm: Callable[..., VM], image: Callable[..., str], tmp_path: Path
) -> None:
    vm = make_vm(binary=binary, native=True, boot=False)
    modules, before = Modules(vm), vm.hardware()
    options = {"id": "d1", "file": image("a.qcow2", "8M", "qcow2"), "format": "qcow2"}
    assert modules.blockdev(**options)["changed"]
    snapshot = str(tmp_path / "snap.qcow2")
    vm.query("blockdev-snapshot-sync", node_name="d1", snapshot_file=snapshot, snapshot_node_name="snap1")
    assert unchanged(modules.blockdev(**options))
    refused(modules.blockdev(**options, attach=False), "conflict", "snap1")
    removed = modules.blockdev(id="d1", state="absent")
    arguments = [command["arguments"] for command in removed["commands"]]
    assert arguments == [{"id": "d1"}, {"node-name": "snap1"}, {"node-name": "d1"}]
    assert vm.hardware() == before


def test_a_disk_whose_node_has_another_user_is_not_taken(binary: Binary, make_vm: Callable[..., VM], tmp_path: Path) -> None:
    vm = make_vm(binary=binary, native=True, boot=False)
    modules = Modules(vm)
    assert modules.blockdev(id="d1", backend=NULL)["changed"]
    vm.query("nbd-server-start", addr={"type": "unix", "data": {"path": str(tmp_path / "nbd.sock")}})
    vm.query("block-export-add", type="nbd", id="export1", node_name="d1")
    result = modules.blockdev(id="d1", state="absent")
    assert result["error_code"] == "conflict" and result["changed"] is False, result
    vm.query("block-export-del", id="export1")
    assert modules.blockdev(id="d1", state="absent")["changed"]


def test_recreate_keeps_the_place(binary: Binary, make_vm: Callable[..., VM]) -> None:
    vm = make_vm(binary=binary, native=True, boot=False)
    modules = Modules(vm)
    assert modules.blockdev(id="d1", backend=NULL, bus="rp2")["changed"]
    result = modules.blockdev(id="d1", backend=NULL, serial="other", recreate=True)
    assert [command["execute"] for command in result["commands"]] == ["device_del", "blockdev-del", "blockdev-add", "device_add"]
    assert (result["disk"]["bus"], result["disk"]["serial"]) == ("rp2", "other")
    assert modules.netdev(id="n1", type="user", bus="rp3")["changed"]
    result = modules.netdev(id="n1", type="hubport", options={"hubid": 1}, recreate=True)
    assert (result["nic"]["bus"], result["nic"]["type"]) == ("rp3", "hubport")


def test_a_disk_without_a_device_gets_one_and_gives_it_up_again(binary: Binary, make_vm: Callable[..., VM]) -> None:
    vm = make_vm(binary=binary, native=True, boot=False)
    modules = Modules(vm)
    result = modules.blockdev(id="d1", backend=NULL, attach=False)
    assert [command["execute"] for command in result["commands"]] == ["blockdev-add"] and result["disk"]["attach"] is False
    assert unchanged(modules.blockdev(id="d1", backend=NULL, attach=False))
    assert modules.blockdev(id="d1", backend=NULL)["disk"]["attach"] is True
    result = modules.blockdev(id="d1", backend=NULL, attach=False)
    assert [command["execute"] for command in result["commands"]] == ["device_del"]
    assert modules.blockdev(id="d1", state="absent")["changed"]


def test_a_disk_is_grown_in_place(binary: Binary, make_vm: Callable[..., VM], image: Callable[..., str]) -> None:
    modules = Modules(make_vm(binary=binary, boot=False))
    path = image("a", "8M")
    assert modules.blockdev(id="d1", file=path, size="16M")["disk"]["size"] == 16 << 20
    assert unchanged(modules.blockdev(id="d1", file=path, size="16M"))
    result = modules.blockdev(id="d1", file=path, size="1G")
    assert [command["execute"] for command in result["commands"]] == ["block_resize"] and result["disk"]["size"] == 1 << 30


def test_a_cd_is_read_only_by_itself(bare_vm: VM, image: Callable[..., str]) -> None:
    modules = Modules(bare_vm)
    options = {"id": "cd1", "file": image("a.iso"), "driver": "scsi-cd"}
    assert modules.blockdev(**options)["disk"]["read_only"] is True
    assert unchanged(modules.blockdev(**options))
    assert modules.blockdev(id="cd1", state="absent")["changed"]


def test_vcpus_of_the_start_can_go_but_for_the_one_that_boots(make_vm: Callable[..., VM]) -> None:
    vm = make_vm(smp="3,maxcpus=4,sockets=2,cores=2,threads=1")
    result = Modules(vm).cpus(count=1)
    assert result.get("changed") and result["cpus"]["count"] == 1, result
    vm.wait_guest(lambda report: report["cpus"]["present"] == "0")


def test_only_ports_that_take_devices_are_offered(binary: Binary, make_vm: Callable[..., VM]) -> None:
    extra = ("-device", "pcie-root-port,id=off,chassis=9,hotplug=off", "-device", "pcie-root-port,chassis=10")
    for native in (False, True):
        modules = Modules(make_vm(binary=binary, native=native, boot=False, ports=1, extra=extra))
        assert modules.info(gather_subset=["capacity"])["capacity"]["disk"]["count"] == 1
        for bus in ("off", "pcie.0"):
            result = modules.blockdev(id="d1", backend=NULL, bus=bus)
            assert result["error_code"] in ("unsupported", "invalid_option") and "rp0" in result["msg"], result


def test_a_descriptor_of_the_same_name_takes_the_place_of_the_one_before(bare_vm: VM, make_tap: Callable[..., str]) -> None:
    """A run that was killed after it passed a descriptor is finished by the next."""
    modules = Modules(bare_vm)
    tap = make_tap()
    result = modules.netdev(id="n1", type="tap", ifname=tap, properties={"rx_queue_size": 7})
    assert result["error_code"] == "command_failed"
    assert modules.netdev(id="n1", type="tap", ifname=tap)["nic"]["ifname"] == tap
