# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole life of each kind with a guest: check, plug, seen by the guest, again, unplug, again."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.vmops.qemu.tests.support.modules import Modules, unchanged
from ansible_collections.vmops.qemu.tests.support.values import MiB
from ansible_collections.vmops.qemu.tests.vm.machine import VM

from .life import has_disk, has_nic, plugged_and_unplugged


def test_a_qcow2_disk(modules: Modules, vm: VM, image: Callable[..., str]) -> None:
    options = {"id": "data1", "file": image("a.qcow2", "64M", "qcow2"), "format": "qcow2"}
    result = plugged_and_unplugged(modules.blockdev, vm, options, has_disk(serial="data1", size=64 * MiB, read_only=False))
    assert result["disk"]["guest_path"] == "/dev/disk/by-id/virtio-data1"
    assert result["disk"]["size"] == 64 * MiB


def test_a_disk_that_a_server_on_the_network_has(modules: Modules, vm: VM, image: Callable[..., str], tmp_path: Path) -> None:
    path = image("served", "24M")
    server = subprocess.Popen(
        [
            "qemu-nbd",
            "--format=raw",
            "--persistent",
            "--socket",
            tmp_path / "nbd",
            "--export-name=vol1",
            "--pid-file",
            tmp_path / "pid",
            path,
        ]
    )
    try:
        while not (tmp_path / "pid").exists():
            assert server.poll() is None
        backend = {"driver": "nbd", "server": {"type": "unix", "path": str(tmp_path / "nbd")}, "export": "vol1"}
        result = plugged_and_unplugged(modules.blockdev, vm, {"id": "data1", "backend": backend}, has_disk(size=24 * MiB))
        assert result["disk"]["format"] == "raw", result
        refused = modules.blockdev(id="data1", backend={**backend, "export": "vol2"})
        assert refused["error_code"] == "command_failed" and "export not available" in refused["msg"], refused
    finally:
        server.kill()
        server.wait()


def test_a_read_only_disk_is_read_only_in_the_guest(modules: Modules, vm: VM, image: Callable[..., str]) -> None:
    options = {"id": "data1", "file": image("a"), "read_only": True}
    plugged_and_unplugged(modules.blockdev, vm, options, has_disk(serial="data1", read_only=True))


def test_a_scsi_disk_at_a_place_of_its_own(modules: Modules, vm: VM, image: Callable[..., str]) -> None:
    options = {"id": "data1", "file": image("a", "32M"), "driver": "scsi-hd", "scsi_id": 5, "lun": 3}
    plugged_and_unplugged(modules.blockdev, vm, options, has_disk(scsi="0:0:5:3", size=32 * MiB))


def test_an_nvme_disk(modules: Modules, vm: VM, image: Callable[..., str]) -> None:
    options = {"id": "data1", "file": image("a", "32M"), "driver": "nvme"}
    plugged_and_unplugged(modules.blockdev, vm, options, has_disk(serial="data1", size=32 * MiB))


def test_every_option_of_a_disk(modules: Modules, vm: VM, image: Callable[..., str]) -> None:
    vm.query("object-add", qom_type="iothread", id="io1")
    try:
        options = {
            "id": "data1",
            "file": image("a"),
            "cache": {"direct": True, "no_flush": True},
            "aio": "native",
            "discard": "unmap",
            "detect_zeroes": "unmap",
            "serial": "s1",
            "queues": 2,
            "share_rw": True,
            "bootindex": 3,
            "iothread": "io1",
            "romfile": "",
            "disable_modern": False,
            "bus": "rp2",
            "addr": "0",
            "properties": {"write-cache": True, "physical_block_size": "4096"},
        }
        result = plugged_and_unplugged(modules.blockdev, vm, options, has_disk(serial="s1"))
    finally:
        vm.query("object-del", id="io1")
    assert (result["disk"]["bus"], result["disk"]["addr"]) == ("rp2", "0")


def test_a_nic_with_user_networking(modules: Modules, vm: VM) -> None:
    options = {"id": "net1", "type": "user", "mac": "52:54:00:aa:bb:01", "options": {"restrict": "yes"}}
    plugged_and_unplugged(modules.netdev, vm, options, has_nic("52:54:00:aa:bb:01"))


def test_a_nic_over_a_tap_that_qemu_gets_as_a_descriptor(modules: Modules, vm: VM, make_tap: Callable[..., str]) -> None:
    options = {"id": "net1", "type": "tap", "ifname": make_tap(), "mac": "52:54:00:aa:bb:02"}
    result = plugged_and_unplugged(modules.netdev, vm, options, has_nic("52:54:00:aa:bb:02"))
    assert [command["execute"] for command in result["commands"]] == ["getfd", "netdev_add", "device_add"]
    assert result["nic"]["ifname"] == options["ifname"]


def test_a_nic_over_a_tap_that_qemu_opens(modules: Modules, vm: VM, make_tap: Callable[..., str]) -> None:
    options = {"id": "net1", "type": "tap", "ifname": make_tap(), "script": "no", "downscript": "no", "mac": "52:54:00:aa:bb:03"}
    result = plugged_and_unplugged(modules.netdev, vm, options, has_nic("52:54:00:aa:bb:03"))
    assert [command["execute"] for command in result["commands"]] == ["netdev_add", "device_add"]


def test_a_nic_of_two_queues_passes_a_descriptor_for_each(modules: Modules, vm: VM, make_tap: Callable[..., str]) -> None:
    options = {"id": "net1", "type": "tap", "ifname": make_tap("multi_queue"), "queues": 2, "mac": "52:54:00:aa:bb:04"}
    result = plugged_and_unplugged(modules.netdev, vm, options, has_nic("52:54:00:aa:bb:04"))
    device = result["commands"][-1]["arguments"]
    assert (device["mq"], device["vectors"]) == (True, 6)
    assert result["commands"][-2]["arguments"]["fds"] == "net1-fd0:net1-fd1"


@pytest.mark.parametrize(
    "backend",
    [
        {"type": "socket", "options": {"listen": "127.0.0.1:0"}},
        {"type": "stream", "options": {"addr": {"type": "inet", "host": "127.0.0.1", "port": "0"}, "server": True}},
        {
            "type": "dgram",
            "options": {
                "local": {"type": "inet", "host": "127.0.0.1", "port": "0"},
                "remote": {"type": "inet", "host": "127.0.0.1", "port": "9"},
            },
        },
        {"type": "hubport", "options": {"hubid": "7"}},
        {"type": "l2tpv3", "options": {"src": "127.0.0.1", "dst": "127.0.0.1", "txsession": 1, "rxsession": 2}},
    ],
    ids=lambda backend: backend["type"],
)
def test_a_nic_of_each_type(modules: Modules, vm: VM, backend: dict[str, Any]) -> None:
    options = {"id": "net1", "mac": "52:54:00:aa:bb:05", **backend}
    plugged_and_unplugged(modules.netdev, vm, options, has_nic("52:54:00:aa:bb:05"))


def test_pulling_the_cable_is_seen_by_the_guest(modules: Modules, vm: VM) -> None:
    added = modules.netdev(id="net1", type="user", link="down")
    assert added["changed"], added
    vm.wait_guest(lambda report: [nic["carrier"] for nic in report["nics"]] == [False])
    result = modules.netdev(id="net1", link="up")
    assert result["changed"] and result["unverified"] == ["link"]
    vm.wait_guest(lambda report: [nic["carrier"] for nic in report["nics"]] == [True])
    assert modules.netdev(id="net1", state="absent")["changed"]


@pytest.mark.parametrize("machine", ["q35", "pc"])
def test_vcpus_up_and_down(make_vm: Callable[..., VM], machine: str) -> None:
    vm = make_vm(machine=machine)
    modules, before = Modules(vm), vm.hardware()
    planned = modules.cpus(count=3, check=True)
    added = modules.cpus(count=3)
    assert added["commands"] == planned["commands"] and added["diff"] == planned["diff"]
    assert added["cpus"]["count"] == 3
    vm.wait_guest(lambda report: report["cpus"]["present"] == "0-2")
    assert unchanged(modules.cpus(count=3))
    vm.guest("echo 1 > /sys/devices/system/cpu/cpu2/online")
    removed = modules.cpus(count=1)
    assert [command["arguments"]["id"] for command in removed["commands"]] == ["cpu-1-0-0", "cpu-0-1-0"]
    vm.wait_guest(lambda report: report["cpus"]["present"] == "0")
    assert unchanged(modules.cpus(count=1))
    assert vm.hardware() == before


@pytest.mark.parametrize("options", [{"machine": "pc"}, {"native": True}], ids=["pc", "native PCIe hotplug"])
def test_a_disk_and_a_nic_on_other_machines(
    make_vm: Callable[..., VM], image: Callable[..., str], options: dict[str, Any]
) -> None:
    vm = make_vm(**options)
    modules = Modules(vm)
    plugged_and_unplugged(modules.blockdev, vm, {"id": "data1", "file": image("a")}, has_disk(serial="data1"))
    nic = {"id": "net1", "type": "user", "mac": "52:54:00:aa:bb:06"}
    plugged_and_unplugged(modules.netdev, vm, nic, has_nic("52:54:00:aa:bb:06"))
