# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hardware that the VM depends on is not removed without force: the reason is reported, and the VM stays as it was."""

from __future__ import annotations

from typing import Any, Callable

import pytest

from ansible_collections.vmops.qemu.tests.support.modules import Modules
from ansible_collections.vmops.qemu.tests.support.values import NULL
from ansible_collections.vmops.qemu.tests.vm.machine import VM

from .tally import survives

LAUNCH = (
    "-blockdev",
    '{"driver": "null-co", "size": 1048576, "node-name": "root"}',
    "-device",
    "virtio-blk-pci,id=root,drive=root,bus=rp0,addr=0",
    "-netdev",
    "user,id=net0",
    "-device",
    "virtio-net-pci,id=net0,netdev=net0,bus=rp1,addr=0",
)


def _plug(vm: VM) -> None:
    assert Modules(vm).blockdev(id="d1", backend=NULL, driver="scsi-hd")["changed"]


def _with_job(vm: VM) -> None:
    _plug(vm)
    vm.query("blockdev-add", driver="null-co", size=1 << 20, node_name="target")
    vm.query("blockdev-mirror", job_id="j1", device="d1", target="target", sync="full")


def _with_export(vm: VM) -> None:
    _plug(vm)
    address = {"type": "unix", "data": {"path": str(vm.directory / "nbd.sock")}}
    vm.query("nbd-server-start", addr=address)
    vm.query("block-export-add", type="nbd", id="e1", node_name="d1")


def _with_iothread(vm: VM) -> None:
    vm.query("object-add", qom_type="iothread", id="io1")
    assert Modules(vm).blockdev(id="d2", backend=NULL, iothread="io1")["changed"]


GUARDED: dict[str, tuple[Callable[[VM], None], str, dict[str, Any], str, str]] = {
    "boot disk": (lambda vm: None, "qmp_blockdev", {"id": "root"}, "unsupported", "boots from"),
    "only NIC": (lambda vm: None, "qmp_netdev", {"id": "net0"}, "unsupported", "only NIC"),
    "boot CPU": (lambda vm: None, "qmp_cpu_hotplug", {"topology": {"socket-id": 0, "core-id": 0}}, "unsupported", "booted on"),
    "node of a block job": (_with_job, "qmp_blockdev", {"id": "d1"}, "conflict", "j1"),
    "node of an export": (_with_export, "qmp_blockdev", {"id": "d1"}, "conflict", "used by"),
    "I/O thread in use": (_with_iothread, "qmp_object", {"id": "io1"}, "conflict", "d2"),
}


@pytest.mark.parametrize("what", GUARDED)
def test_it_is_not_removed_without_force(make_vm: Callable[..., VM], what: str) -> None:
    prepare, module, options, code, words = GUARDED[what]
    vm = make_vm(boot=False, native=True, extra=LAUNCH)
    prepare(vm)
    before = vm.hardware()
    result = Modules(vm).run(module, state="absent", **options)
    true = result.get("failed") and result["error_code"] == code and words in result["msg"]
    survives("removal without force", bool(true) and vm.hardware() == before, result)


@pytest.mark.parametrize("what", ["boot disk", "only NIC", "I/O thread in use"])
def test_it_is_removed_by_force(make_vm: Callable[..., VM], what: str) -> None:
    prepare, module, options, _code, _words = GUARDED[what]
    vm = make_vm(extra=LAUNCH)
    prepare(vm)
    result = Modules(vm).run(module, state="absent", force=True, **options)
    survives("removal by force", result.get("status") == "absent", result)
