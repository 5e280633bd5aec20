# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory that comes, grows, shrinks and goes, as the guest sees it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from ansible_collections.vmops.qemu.tests.support.modules import Modules, refused, unchanged
from ansible_collections.vmops.qemu.tests.support.values import MiB
from ansible_collections.vmops.qemu.tests.vm.binaries import Binary
from ansible_collections.vmops.qemu.tests.vm.machine import VM

from .memory import memory, room


def total(vm: VM) -> int:
    """MiB that the guest has."""
    return int(vm.report()["memory"]) // 1024


def wait_total(vm: VM, holds: Callable[[int], bool]) -> None:
    vm.wait_guest(lambda guest: holds(guest["memory"] // 1024))


@pytest.fixture(scope="module")
def memory_vm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VM]:
    with VM(tmp_path_factory.mktemp("vm"), extra=("-device", "virtio-balloon-pci,id=balloon0")) as vm:
        yield vm


@pytest.fixture
def vm(memory_vm: VM) -> Iterator[VM]:
    """A VM with a balloon and a running guest. The test must leave it as it was."""
    before = memory_vm.hardware()
    yield memory_vm
    assert memory_vm.hardware() == before


@pytest.mark.parametrize(
    "backend", [{}, {"backend": "memfd", "share": True}, {"backend": "file", "mem_path": "{dir}"}], ids=["RAM", "memfd", "file"]
)
def test_a_dimm_comes_and_goes(vm: VM, backend: dict[str, Any], tmp_path: Path) -> None:
    options = {"id": "m1", "size": "128M", **backend}
    options = {name: value.format(dir=tmp_path) if name == "mem_path" else value for name, value in options.items()}
    before, has = vm.hardware(), total(vm)
    planned = memory(vm, check=True, **options)
    assert planned["changed"] and vm.hardware() == before
    added = memory(vm, **options)
    assert added.get("commands") == planned["commands"], added
    assert added["memory"].items() >= {"id": "m1", "size": 128 * MiB, "type": "pc-dimm", "slot": 0, "at_launch": False}.items()
    assert added["memory"]["backend"] == options.get("backend", "ram")
    wait_total(vm, lambda now: now > has + 100)
    assert unchanged(memory(vm, **options))
    removed = memory(vm, id="m1", state="absent")
    assert removed.get("status") == "absent", removed
    assert unchanged(memory(vm, id="m1", state="absent"))
    wait_total(vm, lambda now: now < has + 10)


def test_the_vm_is_brought_to_a_total(vm: VM) -> None:
    has = total(vm)
    planned = memory(vm, check=True, total="512M")
    grown = memory(vm, total="512M")
    assert grown.get("changed") and grown["commands"] == planned["commands"], grown
    assert planned["memory"]["plugged"] == grown["memory"]["plugged"] == 256 * MiB
    assert grown["memory"]["total"] == 512 * MiB and [one["id"] for one in grown["memory"]["devices"]] == ["dimm1"]
    assert unchanged(memory(vm, total="512M"))
    assert memory(vm, total="640M")["changed"]
    wait_total(vm, lambda now: now > has + 300)
    refused(memory(vm, total="576M"), "invalid_option", "requires to remove", "134217728", str(512 * MiB), str(640 * MiB))
    refused(memory(vm, total="128M"), "invalid_option", "268435456")
    shrunk = memory(vm, total="512M")
    assert [command["execute"] for command in shrunk["commands"]] == ["device_del", "object-del"], shrunk
    assert memory(vm, total="256M")["memory"]["devices"] == []


def test_memory_that_grows_and_shrinks(make_vm: Callable[..., VM], binary: Binary) -> None:
    vm = make_vm(binary=binary)
    before, has = vm.hardware(), total(vm)
    device: dict[str, Any] = {"id": "e1", "type": "virtio-mem", "size": "512M"}
    added = memory(vm, requested_size="128M", **device)
    assert added.get("changed") and added["memory"]["plugged"] == added["memory"]["requested_size"] == 128 * MiB, added
    assert added["memory"]["bus"] == "rp0"
    assert unchanged(memory(vm, requested_size="128M", **device))
    wait_total(vm, lambda now: now > has + 100)
    assert unchanged(memory(vm, id="e1", requested_size="128M")) and unchanged(memory(vm, id="e1"))
    refused(memory(vm, id="e1", type="pc-dimm"), "conflict", "'virtio-mem'", "'pc-dimm'")
    planned = memory(vm, check=True, requested_size="384M", id="e1")
    assert [command["execute"] for command in planned["commands"]] == ["qom-set"]
    assert memory(vm, requested_size="384M", **device)["memory"]["plugged"] == 384 * MiB
    assert memory(vm, total="512M")["memory"]["devices"][0]["plugged"] == 256 * MiB
    refused(memory(vm, total="2G"), "invalid_option", "e1", "at most")
    removed = memory(vm, id="e1", type="virtio-mem", state="absent", timeout=10)
    if removed.get("error_code") == "unplug_pending":  # the guest gave the memory back only at the end of the time
        removed = memory(vm, id="e1", type="virtio-mem", state="absent")
    if binary.version < "8" and not binary.version.startswith("1"):
        refused(removed, "unsupported", "requested_size: 0")
    elif removed.get("failed"):  # a guest may keep some of it
        assert removed["error_code"] == "outcome_unknown" and removed["details"]["remainder"] > 0, removed
    else:
        assert vm.hardware() == before


def test_a_paused_guest_has_not_reached_it_yet_and_the_next_run_waits_on(make_vm: Callable[..., VM]) -> None:
    vm = make_vm()
    device: dict[str, Any] = {"id": "e1", "type": "virtio-mem", "size": "512M"}
    assert memory(vm, requested_size="128M", **device)["changed"]
    vm.query("stop")
    waiting = memory(vm, requested_size="256M", **device)
    assert waiting["changed"] and waiting["memory"]["plugged"] == 128 * MiB, waiting
    in_all = memory(vm, total="512M")
    assert unchanged(in_all) and in_all["memory"]["devices"][0]["plugged"] == 128 * MiB, in_all
    vm.query("cont")
    reached = memory(vm, total="512M")
    assert unchanged(reached) and reached["memory"]["devices"][0]["plugged"] == 256 * MiB, reached
    refused(memory(vm, bus="rp3", **device), "conflict", "bus", "'rp0'", "'rp3'")


def test_an_nvdimm_stays_and_says_so(make_vm: Callable[..., VM], tmp_path: Path) -> None:
    vm = make_vm(boot=False, extra=("-machine", "nvdimm=on"))
    options: dict[str, Any] = {
        "id": "nv1",
        "type": "nvdimm",
        "size": "128M",
        "backend": "file",
        "mem_path": str(tmp_path / "nv"),
        "share": True,
    }
    added = memory(vm, **options)
    assert added.get("changed") and added["memory"]["type"] == "nvdimm", added
    assert unchanged(memory(vm, **options))
    refused(memory(vm, id="nv1", state="absent"), "unsupported", "NVDIMM")


def test_a_guest_that_has_it_in_use_refuses(make_vm: Callable[..., VM]) -> None:
    vm = make_vm()
    vm.guest("echo online_kernel > /sys/devices/system/memory/auto_online_blocks")
    assert memory(vm, id="m1", size="128M")["changed"]
    vm.guest("cd /dev && n=0; while [ $n -lt 2000 ]; do mkdir d$n; n=$((n+1)); done", timeout=60)
    result = memory(vm, id="m1", state="absent", timeout=120)
    refused(result, "unplug_refused", "m1", "in use")
    assert "m1" in vm.hardware()["devices"] and "m1.mem" in vm.hardware()["objects"]


def test_other_properties_are_a_conflict_or_recreated(vm: VM) -> None:
    assert memory(vm, id="m1", size="128M")["changed"]
    refused(memory(vm, id="m1", size="256M"), "conflict", "134217728", "268435456", "recreate")
    refused(memory(vm, id="m1", size="128M", backend="memfd"), "conflict", "'ram'", "'memfd'")
    refused(memory(vm, id="m1", size="128M", share=True), "conflict", "share")
    refused(memory(vm, id="m1", size="128M", node=3), "conflict", "node is 0 and the task sets 3")
    refused(memory(vm, id="m1", size="128M", slot=2), "conflict", "slot is 0 and the task sets 2")
    refused(memory(vm, id="m1", size="4G", recreate=True), "no_free_slot", "maxmem")
    assert memory(vm, id="m1")["memory"]["size"] == 128 * MiB
    assert memory(vm, id="m1", size="256M", recreate=True)["memory"]["size"] == 256 * MiB
    assert memory(vm, id="m1", state="absent")["changed"]


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ({"id": "m1"}, "invalid_option", ["size"]),
        ({"id": "m1", "size": "0"}, "invalid_option", ["size 0"]),
        ({"id": "m1", "size": "lots"}, "invalid_option", ["lots"]),
        ({"id": "m1", "size": "4G"}, "no_free_slot", ["maxmem"]),
        ({"id": "m1", "size": "128M", "backend": "file"}, "invalid_option", ["mem_path"]),
        (
            {"id": "m1", "size": "128M", "backend": "file", "mem_path": "/nosuch/d/x"},
            "command_failed",
            ["/nosuch/d/x", "No such"],
        ),
        ({"id": "m1", "size": "128M", "requested_size": "64M"}, "invalid_option", ["virtio-mem"]),
        ({"id": "m1", "type": "virtio-mem", "size": "128M", "requested_size": "1M"}, "invalid_option", ["multiple", "2097152"]),
        ({"id": "scsi0", "size": "128M"}, "conflict", ["not a memory device"]),
    ],
    ids=str,
)
def test_what_is_refused(vm: VM, options: dict[str, Any], code: str, words: list[str]) -> None:
    refused(memory(vm, **options), code, *words)


def test_no_slot_left(make_vm: Callable[..., VM]) -> None:
    vm = make_vm(boot=False)
    for number in range(4):
        assert room(vm)["count"] == 4 - number
        assert memory(vm, id=f"m{number}", size="128M")["changed"]
    refused(memory(vm, id="m4", size="128M"), "no_free_slot", "slots=8")
    full = room(vm)
    assert full["count"] == 0 and "slot" in full["reason"] and "slots=8" in full["launch_args"][1]


def test_the_reported_room_is_the_room_that_there_is(make_vm: Callable[..., VM]) -> None:
    """A virtio-mem device takes bytes, all that it may ever give, and no slot."""
    vm = make_vm(boot=False)
    start = room(vm)
    assert (start["count"], start["bytes"]) == (4, (2048 - 256) * MiB)
    assert memory(vm, id="e1", type="virtio-mem", size="512M", requested_size="0")["changed"]
    assert memory(vm, id="m1", size="256M")["changed"]
    now = room(vm)
    assert (now["count"], now["bytes"]) == (3, start["bytes"] - 768 * MiB)
    refused(memory(vm, id="m2", size=str(now["bytes"] + 128 * MiB)), "no_free_slot", str(now["bytes"]))
    refused(memory(vm, id="e2", type="virtio-mem", size=str(now["bytes"] + 2 * MiB)), "no_free_slot", str(now["bytes"]))
    assert memory(vm, id="m2", size=str(now["bytes"])).get("changed")
    full = room(vm)
    assert full["count"] == 0 and "no bytes left" in full["reason"]


def test_there_is_a_warning_about_an_odd_size(make_vm: Callable[..., VM]) -> None:
    assert "128 MiB" in str(memory(make_vm(boot=False), id="m1", size="64M")["warnings"])


def test_a_backend_that_a_killed_run_left_is_used_or_removed(vm: VM) -> None:
    vm.query("object-add", qom_type="memory-backend-ram", id="m1.mem", size=128 * MiB)
    result = memory(vm, id="m1", size="128M")
    assert [command["execute"] for command in result.get("commands", ())] == ["device_add"], result
    assert memory(vm, id="m1", state="absent")["changed"]
    vm.query("object-add", qom_type="memory-backend-ram", id="m1.mem", size=2 * MiB)
    assert [command["execute"] for command in memory(vm, id="m1", state="absent")["commands"]] == ["object-del"]


def balloon(vm: VM, size: str, check: bool = False, **options: Any) -> dict[str, Any]:
    return Modules(vm).run("qmp_balloon", check, size=size, **options)


def test_a_balloon_takes_and_gives(vm: VM) -> None:
    has = total(vm)
    planned = balloon(vm, "192M", check=True)
    assert planned["changed"] and planned["balloon"] == {"actual": 192 * MiB}
    result = balloon(vm, "192M")
    assert result.get("changed") and result["balloon"] == {"actual": 192 * MiB}, result
    assert unchanged(balloon(vm, "192M"))
    wait_total(vm, lambda now: now < has - 50)
    assert balloon(vm, "256M")["balloon"] == {"actual": 256 * MiB}
    refused(balloon(vm, "1G"), "invalid_option", "268435456")
    refused(balloon(vm, "0"), "invalid_option", "268435456")


def test_a_balloon_takes_whole_pages(vm: VM) -> None:
    assert balloon(vm, "200000001")["balloon"] == {"actual": 200003584}
    assert unchanged(balloon(vm, "200000001"))
    assert balloon(vm, "256M")["changed"]


def test_a_balloon_reaches_dimms_and_not_virtio_mem(make_vm: Callable[..., VM]) -> None:
    vm = make_vm(extra=("-device", "virtio-balloon-pci,id=balloon0"))
    assert memory(vm, id="e1", type="virtio-mem", size="512M", requested_size="128M")["changed"]
    refused(balloon(vm, "384M"), "invalid_option", "268435456")
    assert memory(vm, id="m1", size="128M")["changed"]
    assert balloon(vm, "320M")["balloon"] == {"actual": 320 * MiB}
    assert balloon(vm, "384M")["balloon"] == {"actual": 384 * MiB}


def test_a_balloon_that_does_not_answer_is_reported(vm: VM) -> None:
    vm.query("stop")
    result = balloon(vm, "192M", timeout=1)
    assert result["error_code"] == "outcome_unknown" and result["details"]["remainder"] == 64 * MiB and result["changed"], result
    vm.query("cont")
    assert balloon(vm, "192M")["balloon"] == {"actual": 192 * MiB}
    assert balloon(vm, "256M")["changed"]


def test_a_vm_without_a_balloon(make_vm: Callable[..., VM]) -> None:
    refused(balloon(make_vm(boot=False), "128M"), "unsupported", "virtio-balloon-pci")
