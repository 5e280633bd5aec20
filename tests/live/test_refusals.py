# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input: one clear sentence, its error_code, and the VM as it was."""

from __future__ import annotations

import subprocess
from typing import Any, Callable

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils._vm.plan.hotplug import plug
from ansible_collections.vmops.qemu.plugins.module_utils._vm.plan.plan import Delete, Execute, Plan, PlanFailed
from ansible_collections.vmops.qemu.plugins.module_utils.qmp import CommandError, Monitor, UnixAddress
from ansible_collections.vmops.qemu.tests.support.modules import Modules, refused
from ansible_collections.vmops.qemu.tests.support.values import NULL
from ansible_collections.vmops.qemu.tests.vm.machine import VM


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ({"id": "1disk", "backend": NULL}, "invalid_option", ["1disk", "letter"]),
        ({"id": "a" * 32, "backend": NULL}, "invalid_option", ["31"]),
        ({"id": "d1"}, "invalid_option", ["neither file nor backend"]),
        ({"id": "d1", "file": "disk.img"}, "invalid_option", ["disk.img", "absolute path"]),
        ({"id": "d1", "file": "/nosuch/disk.img"}, "command_failed", ["/nosuch/disk.img", "No such file"]),
        ({"id": "d1", "file": "/etc"}, "command_failed", ["Is a directory"]),
        ({"id": "d1", "file": "/etc/hostname", "format": "qcow2"}, "command_failed", ["qcow2", "qemu-img info"]),
        ({"id": "d1", "file": "/etc/hostname", "size": "ten"}, "invalid_option", ["'ten'", "10G"]),
        ({"id": "d1", "backend": {"driver": "nosuch"}}, "command_failed", ["nosuch"]),
        ({"id": "d1", "backend": NULL, "driver": "virtio-blk-isa"}, "invalid_option", ["virtio-blk-isa", "7.2"]),
        ({"id": "d1", "backend": NULL, "properties": {"num-queus": 2}}, "invalid_option", ["num-queus", "'num-queues'"]),
        ({"id": "d1", "backend": NULL, "properties": {"drive": "x"}}, "invalid_option", ["drive", "'file'"]),
        ({"id": "d1", "backend": NULL, "properties": {"num-queues": "many"}}, "invalid_option", ["num-queues", "whole number"]),
        ({"id": "d1", "backend": NULL, "bus": "rp9"}, "invalid_option", ["rp9", "rp0"]),
        ({"id": "d1", "backend": NULL, "bus": "pcie.0"}, "unsupported", ["pcie.0", "while the VM runs", "rp0"]),
        ({"id": "d1", "backend": NULL, "bus": "scsi0.0"}, "invalid_option", ["does not fit", "rp0"]),
        ({"id": "d1", "backend": NULL, "bus": "rp0", "addr": "1"}, "invalid_option", ["root port", "0"]),
        ({"id": "d1", "backend": NULL, "addr": "slot3"}, "invalid_option", ["slot3", "hexadecimal"]),
        ({"id": "d1", "backend": NULL, "scsi_id": 3}, "invalid_option", ["scsi_id"]),
        ({"id": "d1", "backend": NULL, "driver": "scsi-hd", "addr": "3"}, "invalid_option", ["scsi_id and lun"]),
        ({"id": "d1", "backend": NULL, "driver": "scsi-hd", "scsi_id": 300}, "invalid_option", ["255"]),
        ({"id": "d1", "backend": NULL, "serial": "x" * 21}, "invalid_option", ["21 bytes", "20"]),
        ({"id": "rp0", "backend": NULL}, "conflict", ["rp0", "not a disk"]),
        ({"id": "rp0", "state": "absent"}, "conflict", ["rp0", "not a disk"]),
        ({"id": "d1", "file": "/etc/hostname", "aio": "native"}, "command_failed", ["cache.direct"]),
    ],
)
def test_a_disk_that_cannot_be(modules: Modules, options: dict[str, Any], code: str, words: list[str]) -> None:
    refused(modules.blockdev(**options), code, *words)


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ({"id": "n1"}, "invalid_option", ["type"]),
        ({"id": "n 1", "type": "user"}, "invalid_option", ["n 1"]),
        ({"id": "n1", "type": "user", "mac": "52:54:00:12:34"}, "invalid_option", ["52:54:00:12:34", "six pairs"]),
        ({"id": "n1", "type": "user", "mac": "53:54:00:12:34:56"}, "invalid_option", ["multicast"]),
        ({"id": "n1", "type": "user", "mac": "41135085241"}, "invalid_option", ["quotes"]),
        ({"id": "n1", "type": "tap"}, "invalid_option", ["ifname"]),
        ({"id": "n1", "type": "tap", "ifname": "nosuchtap"}, "invalid_option", ["nosuchtap", "ip tuntap add"]),
        ({"id": "n1", "type": "tap", "ifname": "lo"}, "invalid_option", ["lo", "not a tap"]),
        ({"id": "n1", "type": "tap", "ifname": "x" * 16}, "invalid_option", ["1 to 15"]),
        ({"id": "n1", "type": "tap", "ifname": "tap0", "vhost": True}, "unsupported", ["/dev/vhost-net", "vhost: false"]),
        ({"id": "n1", "type": "user", "descriptors": True}, "invalid_option", ["descriptors", "tap"]),
        ({"id": "n1", "type": "user", "options": {"restrct": True}}, "invalid_option", ["restrct", "'restrict'"]),
        ({"id": "n1", "type": "user", "options": {"restrict": "perhaps"}}, "invalid_option", ["restrict", "boolean"]),
        ({"id": "n1", "type": "vhost-user", "chardev": "nosuch"}, "invalid_option", ["nosuch"]),
        ({"id": "n1", "type": "vhost-vdpa", "vhostdev": "/dev/vhost-vdpa-0"}, "command_failed", ["/dev/vhost-vdpa-0"]),
        ({"id": "n1", "type": "bridge", "options": {"br": "nosuchbr"}}, "command_failed", ["bridge helper"]),
        ({"id": "n1", "type": "user", "driver": "e1000", "queues": 2}, "invalid_option", ["e1000", "one queue"]),
        ({"id": "rp0", "type": "user"}, "conflict", ["rp0", "not a NIC"]),
    ],
)
def test_a_nic_that_cannot_be(modules: Modules, options: dict[str, Any], code: str, words: list[str]) -> None:
    refused(modules.netdev(**options), code, *words)


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ({"count": 0}, "invalid_option", ["0", "booted"]),
        ({"count": 5}, "no_free_slot", ["5", "4 vCPUs", "maxcpus"]),
        ({"topology": {"socket-id": 7}}, "invalid_option", ["socket-id", "no CPU slot"]),
        ({"topology": {"socket-id": 0}}, "invalid_option", ["2 CPU slots"]),
        ({"topology": {"socket-id": 0, "core-id": 0, "thread-id": 0}, "state": "absent"}, "unsupported", ["booted on"]),
    ],
)
def test_cpu_tasks_that_are_refused(modules: Modules, options: dict[str, Any], code: str, words: list[str]) -> None:
    refused(modules.cpus(**options), code, *words)


def test_an_occupied_root_port_is_refused_and_the_disk_there_stays(modules: Modules, vm: VM, image: Callable[..., str]) -> None:
    assert modules.blockdev(id="d1", file=image("a"), bus="rp1")["changed"]
    vm.wait_guest(lambda report: [disk["serial"] for disk in report["disks"]] == ["d1"])
    refused(modules.blockdev(id="d2", file=image("b"), bus="rp1"), "no_free_slot", "rp1", "d1")
    assert vm.guest("dd if=/dev/vda of=/dev/null bs=1M count=1 2>/dev/null && echo read") == "read\n"
    assert modules.blockdev(id="d1", state="absent")["changed"]


def test_a_full_vm_says_what_it_would_have_to_be_started_with(modules: Modules) -> None:
    for number in range(4):
        assert modules.blockdev(id=f"d{number}", backend=NULL)["changed"]
    result = modules.blockdev(id="d4", backend=NULL)
    refused(result, "no_free_slot", "rp0, rp1, rp2, rp3", "-device pcie-root-port,id=rp4,chassis=5")
    for number in range(4):
        assert modules.blockdev(id=f"d{number}", state="absent")["changed"]


def test_a_disk_of_the_same_id_with_other_properties_is_a_conflict_that_reports_both(
    modules: Modules, image: Callable[..., str]
) -> None:
    path, other = image("a"), image("b")
    assert modules.blockdev(id="d1", file=path, serial="one")["changed"]
    refused(
        modules.blockdev(id="d1", file=other, serial="two", format="qcow2"),
        "conflict",
        path,
        other,
        "'one'",
        "'two'",
        "'raw'",
        "'qcow2'",
        "recreate",
    )
    assert modules.blockdev(id="d1", state="absent")["changed"]


def test_a_nic_of_the_same_id_with_other_properties_is_a_conflict(modules: Modules) -> None:
    assert modules.netdev(id="n1", type="user", mac="52:54:00:aa:bb:01")["changed"]
    refused(modules.netdev(id="n1", type="user", mac="52:54:00:aa:bb:02"), "conflict", "52:54:00:aa:bb:01", "52:54:00:aa:bb:02")
    refused(modules.netdev(id="n1", type="hubport", options={"hubid": 1}), "conflict", "'user'", "'hubport'")
    refused(modules.blockdev(id="n1", backend=NULL), "conflict", "not a disk")
    assert modules.netdev(id="n1", state="absent")["changed"]


def test_an_image_that_another_process_has_locked(
    modules: Modules, image: Callable[..., str], make_vm: Callable[..., VM]
) -> None:
    path = image("a", "16M", "qcow2")
    other = make_vm(boot=False)
    assert Modules(other).blockdev(id="d1", file=path, format="qcow2")["changed"]
    refused(modules.blockdev(id="d1", file=path, format="qcow2"), "command_failed", "write", "fuser")


def test_the_same_image_twice_in_one_vm(modules: Modules, image: Callable[..., str]) -> None:
    path = image("a")
    assert modules.blockdev(id="d1", file=path)["changed"]
    result = modules.blockdev(id="d2", file=path)
    refused(result, "command_failed", "write", "rolled back")
    assert [command["execute"] for command in result["details"]["undone"]] == ["blockdev-del"]
    assert modules.blockdev(id="d1", state="absent")["changed"]


def test_shrinking_is_refused_before_anything_is_cut(modules: Modules, image: Callable[..., str]) -> None:
    path = image("a", "32M")
    refused(modules.blockdev(id="d1", file=path, size="16M"), "invalid_option", "allow_shrink")
    assert modules.blockdev(id="d1", file=path)["changed"]
    refused(modules.blockdev(id="d1", file=path, size="16M"), "invalid_option", "allow_shrink")
    assert modules.blockdev(id="d1", state="absent")["changed"]


def test_a_disk_that_qemu_refuses_after_its_node_was_added_leaves_nothing(modules: Modules) -> None:
    result = modules.blockdev(id="d1", backend=NULL, properties={"logical_block_size": 513})
    refused(result, "command_failed", "513", "rolled back")
    assert result["details"]["command"] == "device_add"


def test_an_unknown_property_that_only_qemu_finds_leaves_nothing_and_is_the_error(vm: VM) -> None:
    node = Execute("blockdev-add", {"driver": "null-co", "node-name": "d1"}, Delete("blockdev-del", {"node-name": "d1"}))
    steps = plug({"driver": "virtio-blk-pci", "id": "d1", "drive": "d1", "bus": "rp0", "addr": "0", "bogus": 1})
    with Monitor.connect(UnixAddress(str(vm.qmp_socket))) as monitor, pytest.raises(PlanFailed) as failure:
        Plan((node, *steps)).apply(monitor, 5)
    assert isinstance(failure.value.cause, CommandError)
    assert failure.value.cause.desc == "Property 'virtio-blk-pci.bogus' not found"
    assert [command["execute"] for command in failure.value.undone] == ["blockdev-del"]
    assert failure.value.left == []


def test_a_nic_whose_device_is_refused_leaves_neither_backend_nor_descriptor(
    modules: Modules, vm: VM, make_tap: Callable[..., str]
) -> None:
    tap = make_tap()
    result = modules.netdev(id="n1", type="tap", ifname=tap, properties={"rx_queue_size": 7})
    refused(result, "command_failed", "rx_queue_size", "rolled back")
    with pytest.raises(RuntimeError, match="not found"):
        vm.query("closefd", over="qmp", fdname="n1-fd0")
    assert subprocess.run(["cat", f"/sys/class/net/{tap}/carrier"], capture_output=True, check=False).returncode != 0


def test_a_tap_that_another_vm_holds(modules: Modules, make_tap: Callable[..., str], make_vm: Callable[..., VM]) -> None:
    tap = make_tap()
    assert Modules(make_vm(boot=False)).netdev(id="n1", type="tap", ifname=tap)["changed"]
    result = modules.netdev(id="n1", type="tap", ifname=tap)
    refused(result, "unsupported", tap, "busy")
