# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects that other things refer to: added, compared, changed anew, removed, and kept while they are in use."""

from __future__ import annotations

from typing import Any, Callable

import pytest

from ansible_collections.vmops.qemu.tests.vm.binaries import binaries
from ansible_collections.vmops.qemu.tests.vm.machine import VM

from .conftest import Modules, unchanged
from .test_refusals import refused

NULL = {"driver": "null-co", "size": 1 << 20}


def life(vm: VM, **options: Any) -> dict[str, Any]:
    """Have an object, have it again, have it no more and again."""
    modules, before = Modules(vm), vm.hardware()
    planned = modules.run("qmp_object", check=True, **options)
    assert planned["changed"] and vm.hardware() == before, planned
    added = modules.run("qmp_object", **options)
    assert added.get("commands") == planned["commands"], added
    again = modules.run("qmp_object", **options)
    assert unchanged(again), again
    assert modules.run("qmp_object", id=options["id"], state="absent")["changed"]
    assert unchanged(modules.run("qmp_object", id=options["id"], state="absent"))
    assert vm.hardware() == before
    return added


def test_an_io_thread(bare_vm: VM) -> None:
    added = life(bare_vm, id="io1", qom_type="iothread", properties={"poll-max-ns": "10000"})
    assert added["object"]["properties"]["poll-max-ns"] == 10000
    assert added["launch_args"] == ["-object", "iothread,id=io1,poll-max-ns=10000"]


def test_a_throttle_group(bare_vm: VM) -> None:
    added = life(bare_vm, id="slow", qom_type="throttle-group", properties={"limits": {"iops-total": 500}})
    assert added["object"]["properties"]["limits"]["iops-total"] == 500
    assert added["launch_args"] == ["-object", "throttle-group,id=slow,limits.iops-total=500"]


def test_a_memory_backend(bare_vm: VM) -> None:
    added = life(bare_vm, id="m1", qom_type="memory-backend-ram", properties={"size": 2 << 20})
    assert added["object"]["properties"]["size"] == 2 << 20


def test_an_authorization_list(bare_vm: VM) -> None:
    life(bare_vm, id="allow", qom_type="authz-simple", properties={"identity": "CN=me"})


def test_other_properties_are_a_conflict_or_made_anew(modules: Modules, vm: VM) -> None:
    assert modules.run("qmp_object", id="m1", qom_type="memory-backend-ram", properties={"size": 2 << 20})["changed"]
    wish = {"id": "m1", "qom_type": "memory-backend-ram", "properties": {"size": 4 << 20}}
    refused(modules.run("qmp_object", **wish), "conflict", "2097152", "4194304", "recreate")
    refused(modules.run("qmp_object", id="m1", qom_type="iothread"), "conflict", "memory-backend-ram", "iothread")
    result = modules.run("qmp_object", recreate=True, **wish)
    assert [command["execute"] for command in result["commands"]] == ["object-del", "object-add"]
    assert result["object"]["properties"]["size"] == 4 << 20
    assert modules.run("qmp_object", id="m1", state="absent")["changed"]


def test_limits_of_a_throttle_group_are_changed_while_a_disk_has_them(bare_vm: VM) -> None:
    modules, group = Modules(bare_vm), {"id": "slow", "qom_type": "throttle-group"}
    assert modules.run("qmp_object", properties={"limits": {"iops-total": 500, "bps-total": 1 << 20}}, **group)["changed"]
    backend = {"driver": "throttle", "throttle-group": "slow", "file": NULL}
    assert modules.blockdev(id="d1", backend=backend).get("changed")
    wish = {**group, "properties": {"limits": {"iops-total": 100}}}
    planned = modules.run("qmp_object", check=True, **wish)
    result = modules.run("qmp_object", **wish)
    assert result.get("changed") and result["commands"] == planned["commands"], result
    assert result["commands"] == [{"execute": "qom-set", "arguments": {
        "path": "/objects/slow", "property": "limits", "value": {"iops-total": 100}}}]
    limits = result["object"]["properties"]["limits"]
    assert (limits["iops-total"], limits["bps-total"]) == (100, 1 << 20)
    assert planned["object"]["properties"]["limits"] == limits
    assert unchanged(modules.run("qmp_object", **wish))
    both = modules.run("qmp_object", **group, properties={"limits": {"iops-read": 5}})
    refused(both, "command_failed", "same time")


def test_words_that_qemu_does_not_know(modules: Modules) -> None:
    refused(modules.run("qmp_object", id="a", qom_type="iothred"), "invalid_option", "'iothread'")
    refused(modules.run("qmp_object", id="a", qom_type="iothread", properties={"poll-max": 1}), "invalid_option", "'poll-max-ns'")
    refused(modules.run("qmp_object", id="1 a", qom_type="iothread"), "invalid_option", "letter")
    refused(modules.run("qmp_object", id="a"), "invalid_option", "qom_type")
    refused(modules.run("qmp_object", id="a", qom_type="secret", properties={"data": "x"}), "invalid_option", "secret")


def test_an_io_thread_that_serves_one_queue_of_a_disk_stays_unless_forced(make_vm: Callable[..., VM]) -> None:
    vm = make_vm(binary=binaries()[-1], boot=False)
    if "iothread-vq-mapping" not in {one["name"] for one in vm.query("device-list-properties", typename="virtio-blk-pci")}:
        pytest.skip("this QEMU has one I/O thread for all queues of a disk")
    modules = Modules(vm)
    for name in ("io1", "io2", "io3"):
        assert modules.run("qmp_object", id=name, qom_type="iothread")["changed"]
    mapping = {"iothread-vq-mapping": [{"iothread": "io1"}, {"iothread": "io2"}], "num-queues": 2}
    assert modules.blockdev(id="d1", backend=NULL, properties=mapping).get("changed")
    for name in ("io1", "io2"):
        refused(modules.run("qmp_object", id=name, state="absent"), "conflict", "d1", "force")
        assert modules.run("qmp_object", check=True, id=name, state="absent", force=True)["changed"]
    assert modules.run("qmp_object", id="io3", state="absent")["changed"]


def test_an_io_thread_that_serves_a_disk_stays_unless_forced(modules: Modules, vm: VM) -> None:
    assert modules.run("qmp_object", id="io1", qom_type="iothread")["changed"]
    assert modules.blockdev(id="d1", backend=NULL, iothread="io1")["changed"]
    refused(modules.run("qmp_object", id="io1", state="absent"), "conflict", "d1", "force")
    assert "io1" in vm.hardware()["objects"]
    assert modules.run("qmp_object", id="io1", state="absent", force=True)["changed"]
    assert modules.blockdev(id="d1", state="absent")["changed"]
