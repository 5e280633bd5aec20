# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recreated disks: what the task does not set is carried over, the new one is checked first, the present one is restored."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.vmops.qemu.tests.support.modules import Modules, refused, unchanged
from ansible_collections.vmops.qemu.tests.support.values import NULL, SECRET
from ansible_collections.vmops.qemu.tests.vm.binaries import Binary
from ansible_collections.vmops.qemu.tests.vm.images import make_encrypted
from ansible_collections.vmops.qemu.tests.vm.machine import VM


@pytest.fixture
def vm(binary: Binary, make_vm: Callable[..., VM]) -> VM:
    """A QEMU of each version that gives up its devices at once."""
    return make_vm(binary=binary, boot=False, native=True)


def hardware(vm: VM) -> dict[str, Any]:
    """What QEMU has, with nodes that it named itself only counted."""
    found = vm.hardware()
    return {**found, "nodes": ["#" if name.startswith("#") else name for name in found["nodes"]]}


def disk(vm: VM, name: str = "d1") -> dict[str, Any]:
    return next(one for one in Modules(vm).info(gather_subset=["disks"])["disks"] if one["id"] == name)


def properties(vm: VM, name: str = "d1") -> dict[str, Any]:
    """What the device is, as QEMU reports it, but for what is counted."""
    path = f"/machine/peripheral/{name}"
    listed = [one["name"] for one in vm.query("qom-list", path=path) if not one["type"].startswith(("child<", "link<"))]
    found = {}
    for one in listed:
        with suppress(RuntimeError):  # not readable
            found[one] = vm.query("qom-get", path=path, property=one)
    return {one: value for one, value in found.items() if one not in ("hotplugged", "drive")}


@pytest.mark.parametrize("driver", ["virtio-blk-pci", "scsi-hd", "nvme"])
def test_what_the_task_does_not_specify_is_carried_over(vm: VM, image: Callable[..., str], driver: str) -> None:
    modules = Modules(vm)
    more: dict[str, Any] = {
        "virtio-blk-pci": {"queues": 2, "bootindex": 3, "properties": {"logical_block_size": 4096, "physical_block_size": 4096}},
        "scsi-hd": {"bootindex": 3, "scsi_id": 7, "properties": {"product": "mine"}},
        "nvme": {},
    }[driver]
    limits = {} if driver == "nvme" else {"limits": {"iops": 300}}
    path = image("a", "16M", "qcow2")
    first = {
        "id": "d1",
        "file": path,
        "format": "qcow2",
        "driver": driver,
        "cache": {"direct": True},
        "detect_zeroes": "on",
        **limits,
    }
    assert modules.blockdev(**first, **more)["changed"]
    before, device = disk(vm), properties(vm)
    planned = modules.blockdev(check=True, id="d1", read_only=True, recreate=True)
    result = modules.blockdev(id="d1", read_only=True, recreate=True)
    assert result.get("changed") and result["commands"] == planned["commands"], result
    assert disk(vm) == {**before, "read_only": True} and properties(vm) == device
    assert unchanged(modules.blockdev(**first, **more, read_only=True))


def test_a_disk_under_a_snapshot_is_not_recreated_without_it(vm: VM, image: Callable[..., str], tmp_path: Path) -> None:
    modules = Modules(vm)
    first = {"id": "d1", "file": image("a", "16M", "qcow2"), "format": "qcow2"}
    assert modules.blockdev(**first)["changed"]
    assert modules.run("qmp_block_job", id="snap1", type="snapshot", disk="d1", file=str(tmp_path / "snap1"))["changed"]
    before = hardware(vm)
    for check in (True, False):
        for options in ({"serial": "other"}, {"read_only": True}, {"file": image("b"), "format": "raw"}):
            refused(modules.blockdev(check=check, **{**first, **options}, recreate=True), "conflict", "snap1", "Commit")
    assert hardware(vm) == before


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        ({"file": "/nosuch"}, "command_failed", "/nosuch"),
        ({"file": "/etc/hostname", "format": "qcow2"}, "command_failed", "qcow2"),
        ({"backend": {"driver": "nosuch"}}, "command_failed", "nosuch"),
        ({"driver": "nvme", "serial": "x" * 21}, "invalid_option", "20"),
        ({"serial": "new", "queues": 0}, "invalid_option", "queues"),
        ({"serial": "new", "iothread": "nosuch"}, "invalid_option", "nosuch"),
        ({"serial": "new", "size": "1G"}, "invalid_option", "size"),
        ({"driver": "scsi-hd", "bus": "rp1"}, "invalid_option", "rp1"),
    ],
)
def test_a_new_disk_that_cannot_be_leaves_the_old_one_untouched(vm: VM, options: dict[str, Any], code: str, said: str) -> None:
    modules = Modules(vm)
    assert modules.blockdev(id="d1", backend=NULL)["changed"]
    before, device = hardware(vm), properties(vm)
    result = modules.blockdev(id="d1", recreate=True, **options)
    refused(result, code, said)
    assert hardware(vm) == before and properties(vm) == device
    assert "device_del" not in [one["execute"] for one in result["details"].get("sent", [])]


def test_when_the_new_disk_fails_the_present_one_is_restored(vm: VM, image: Callable[..., str]) -> None:
    modules = Modules(vm)
    path = image("a")
    first = {"id": "d1", "file": path, "serial": "mine", "limits": {"iops": 300}}
    assert modules.blockdev(**first)["changed"]
    before, shown, device = hardware(vm), disk(vm), properties(vm)
    result = modules.blockdev(id="d1", recreate=True, properties={"cyls": 70000, "heads": 1, "secs": 1})
    refused(result, "command_failed", "cyls", "Restored")
    assert hardware(vm) == before and disk(vm) == shown and properties(vm) == device
    assert unchanged(modules.blockdev(**first))


def test_a_disk_of_the_launch_is_restored_too(binary: Binary, make_vm: Callable[..., VM], image: Callable[..., str]) -> None:
    path = image("a", "16M", "qcow2")
    vm = make_vm(
        binary=binary,
        boot=False,
        native=True,
        extra=(
            "-drive",
            f"if=none,id=x,format=qcow2,file={path}",
            "-device",
            "scsi-hd,bus=scsi0.0,id=d1,drive=x,serial=mine",
            "-blockdev",
            f"file,node-name=p2,filename={image('b')}",
            "-blockdev",
            "raw,node-name=f2,file=p2",
            "-device",
            "scsi-hd,bus=scsi0.0,id=d2,drive=f2",
        ),
    )
    modules = Modules(vm)
    for name in ("d1", "d2"):
        shown = disk(vm, name)
        result = modules.blockdev(id=name, recreate=True, force=True, properties={"cyls": 70000, "heads": 1, "secs": 1})
        refused(result, "command_failed", "cyls", "Restored")
        assert {key: value for key, value in disk(vm, name).items() if key not in ("node", "at_launch")} == {
            key: value for key, value in shown.items() if key not in ("node", "at_launch")
        }


def test_an_encrypted_disk_keeps_its_secret(vm: VM, tmp_path: Path) -> None:
    modules = Modules(vm)
    path = str(make_encrypted(tmp_path / "luks", "luks", SECRET))
    first = {"id": "d1", "file": path, "format": "luks"}
    assert modules.blockdev(**first, passphrase=SECRET)["changed"]
    before = hardware(vm)
    assert modules.blockdev(**first, serial="other", recreate=True).get("changed")
    assert hardware(vm) == before
    result = modules.blockdev(**first, passphrase=f"{SECRET}2", serial="third", recreate=True)
    refused(result, "command_failed", "nvalid password", "Restored")
    assert hardware(vm) == before and disk(vm)["serial"] == "other"
    assert modules.blockdev(id="d1", state="absent")["changed"]
    assert "d1.secret" not in hardware(vm)["objects"]


def test_a_forgotten_format_is_warned_of_and_never_replaces_a_disk(vm: VM, image: Callable[..., str]) -> None:
    modules = Modules(vm)
    path = image("a", "16M", "qcow2")
    added = modules.blockdev(id="d1", file=path)
    assert added["changed"] and "format: qcow2" in str(added["warnings"]), added
    assert modules.blockdev(id="d1", state="absent")["changed"]
    quiet = modules.blockdev(id="d1", file=path, format="raw")
    assert quiet["changed"] and not quiet.get("warnings"), quiet
    assert modules.blockdev(id="d1", state="absent")["changed"]
    assert modules.blockdev(id="d1", backend=NULL)["changed"]
    before = hardware(vm)
    for check in (True, False):
        refused(modules.blockdev(check=check, id="d1", file=path, recreate=True), "invalid_option", "qcow2", "format")
    assert hardware(vm) == before
    assert modules.blockdev(id="d1", file=path, format="qcow2", recreate=True)["changed"]
    assert unchanged(modules.blockdev(id="d1", file=path))


def test_an_nvme_disk_needs_a_serial_that_fits(vm: VM) -> None:
    modules = Modules(vm)
    long = {"id": "a" * 21, "backend": NULL, "driver": "nvme"}
    for check in (True, False):
        refused(modules.blockdev(check=check, **long), "invalid_option", "serial", "20")
        refused(modules.blockdev(check=check, id="d1", backend=NULL, driver="nvme", serial=""), "invalid_option", "serial")
    assert modules.blockdev(**long, serial="short")["changed"]
    assert modules.blockdev(id=long["id"], state="absent")["changed"]
