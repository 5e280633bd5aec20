# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory that is recreated, and backends that are somebody else's."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.vmops.qemu.tests.support.modules import Modules, refused, unchanged
from ansible_collections.vmops.qemu.tests.support.values import MiB
from ansible_collections.vmops.qemu.tests.vm.binaries import Binary
from ansible_collections.vmops.qemu.tests.vm.machine import VM

from .memory import memory

SYNC = "device_del", "object-del"


def names(result: dict[str, Any]) -> list[str]:
    assert "commands" in result, result
    return [command["execute"] for command in result["commands"]]


def test_what_a_task_does_not_specify_is_carried_over(make_vm: Callable[..., VM], tmp_path: Path) -> None:
    vm = make_vm()
    assert memory(
        vm, id="m1", size="128M", backend="memfd", share=False, slot=2, prealloc=True, host_nodes=[0], policy="bind"
    ).get("changed")
    planned = memory(vm, check=True, id="m1", size="256M", recreate=True)
    grown = memory(vm, id="m1", size="256M", recreate=True)
    assert names(grown) == ["device_del", "object-del", "object-add", "device_add"] and grown["commands"] == planned["commands"]
    assert grown["commands"][2]["arguments"] == {
        "qom-type": "memory-backend-memfd",
        "id": "m1.mem",
        "size": 256 * MiB,
        "share": False,
        "prealloc": True,
        "host-nodes": [0],
        "policy": "bind",
    }
    assert grown["memory"].items() >= {"size": 256 * MiB, "slot": 2, "backend": "memfd"}.items()
    filed = memory(vm, id="m1", backend="file", mem_path=str(tmp_path), recreate=True)
    assert filed["memory"].items() >= {"size": 256 * MiB, "slot": 2, "backend": "file"}.items(), filed
    assert filed["commands"][2]["arguments"] == {
        "qom-type": "memory-backend-file",
        "id": "m1.mem",
        "size": 256 * MiB,
        "prealloc": True,
        "host-nodes": [0],
        "policy": "bind",
        "mem-path": str(tmp_path),
    }
    assert unchanged(memory(vm, id="m1", backend="file"))
    assert memory(vm, id="m1", state="absent")["changed"]


def test_a_virtio_mem_device_keeps_what_it_gives(make_vm: Callable[..., VM], binary: Binary) -> None:
    vm = make_vm(binary=binary)
    device: dict[str, Any] = {"id": "e1", "type": "virtio-mem", "size": "512M"}
    assert memory(vm, **device, requested_size="0", bus="rp2", properties={"block-size": "4M"}).get("changed")
    result = memory(vm, id="e1", size="256M", recreate=True)
    if binary.version.startswith("7."):
        refused(result, "unsupported", "requested_size: 0")
        return
    assert result.get("changed"), result
    assert result["memory"].items() >= {"size": 256 * MiB, "requested_size": 0, "bus": "rp2"}.items()
    assert result["commands"][-1]["arguments"]["block-size"] == 4 * MiB
    refused(memory(vm, id="e1", size="128M", requested_size="256M", recreate=True), "invalid_option", "requested_size")


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ({"size": "100000000"}, "invalid_option", ["multiple of 2097152"]),
        ({"size": "8G"}, "no_free_slot", ["maxmem"]),
        ({"backend": "file"}, "invalid_option", ["mem_path"]),
        ({"backend": "file", "mem_path": "/nosuch/d/x"}, "command_failed", ["/nosuch/d/x", "No such"]),
        ({"backend": "file", "mem_path": "{dir}/small"}, "invalid_option", ["1048576", "134217728"]),
        ({"backend": "memfd", "hugetlb": True, "hugetlbsize": "3M"}, "invalid_option", ["hugetlbsize"]),
        ({"slot": 9}, "invalid_option", ["slot 9"]),
        ({"node": 5}, "invalid_option", ["node 5"]),
        ({"slot": 3, "properties": {"nosuch": 1}}, "invalid_option", ["nosuch"]),
        ({"type": "virtio-mem", "requested_size": "1M"}, "invalid_option", ["multiple"]),
        ({"type": "virtio-mem", "bus": "nosuch"}, "invalid_option", ["nosuch"]),
        ({"type": "nvdimm", "mem_path": "{dir}/nv"}, "unsupported", ["nvdimm=on"]),
    ],
    ids=str,
)
def test_the_new_device_is_checked_before_the_old_one_is_removed(
    binary: Binary, make_vm: Callable[..., VM], tmp_path: Path, options: dict[str, Any], code: str, words: list[str]
) -> None:
    vm = make_vm(binary=binary, boot=False)
    (tmp_path / "small").write_bytes(b"x" * MiB)
    options = {name: value.format(dir=tmp_path) if name == "mem_path" else value for name, value in options.items()}
    assert memory(vm, id="m1", size="128M").get("changed")
    before = vm.hardware()
    for check in (True, False):
        refused(memory(vm, check, id="m1", recreate=True, **options), code, *words)
    assert vm.hardware() == before


def test_the_old_device_is_restored_when_the_new_one_fails(make_vm: Callable[..., VM]) -> None:
    vm = make_vm()
    assert memory(vm, id="m1", size="128M", share=True, slot=1).get("changed")
    before = vm.hardware()
    failed = memory(vm, id="m1", backend="memfd", hugetlb=True, recreate=True)  # this host has no huge pages to give
    refused(failed, "command_failed", "Cannot allocate memory")
    assert vm.hardware() == before
    assert unchanged(memory(vm, id="m1", size="128M", backend="ram", share=True, slot=1))


def test_an_object_of_the_user_with_this_id_is_not_touched(binary: Binary, make_vm: Callable[..., VM]) -> None:
    vm = make_vm(binary=binary, boot=False)
    vm.query("object-add", qom_type="memory-backend-ram", id="x1.mem", size=256 * MiB)
    vm.query("object-add", qom_type="memory-backend-ram", id="x2.mem", size=128 * MiB, share=True)
    vm.query("device_add", driver="ivshmem-plain", id="iv", memdev="x2.mem", bus="rp0")
    vm.query("object-add", qom_type="secret", id="x3.mem", data="s")
    vm.query("object-add", qom_type="memory-backend-ram", id="x4.mem", size=128 * MiB)
    vm.query("device_add", driver="pc-dimm", id="other", memdev="x4.mem")
    before = vm.hardware()
    for name, share, words in (
        ("x1", None, ["size is 268435456", "134217728"]),
        ("x2", True, ["iv"]),
        ("x3", None, ["secret"]),
        ("x4", None, ["other"]),
    ):
        for check in (True, False):
            refused(memory(vm, check, id=name, size="128M", share=share), "conflict", f"{name}.mem", *words)
    for name in ("x2", "x3", "x4"):
        assert unchanged(memory(vm, id=name, state="absent"))
    assert vm.hardware() == before
    assert names(memory(vm, id="x1", state="absent")) == ["object-del"]


def test_an_equal_backend_that_nothing_uses_is_used(binary: Binary, make_vm: Callable[..., VM]) -> None:
    vm = make_vm(binary=binary, boot=False)
    vm.query("object-add", qom_type="memory-backend-memfd", id="x1.mem", size=128 * MiB)
    refused(memory(vm, id="x1", size="128M", backend="memfd", share=False), "conflict", "share is True and the task sets False")
    refused(memory(vm, id="x1", size="128M", backend="memfd", hugetlb=True, share=True), "conflict", "hugetlb")
    refused(memory(vm, id="x1", size="128M"), "conflict", "memory-backend-memfd")
    result = memory(vm, id="x1", size="128M", backend="memfd")
    assert names(result) == ["device_add"]
    assert unchanged(memory(vm, id="x1", size="128M", backend="memfd"))


def test_a_dimm_of_the_launch_is_removed_with_its_backend(make_vm: Callable[..., VM]) -> None:
    vm = make_vm(extra=("-object", "memory-backend-ram,id=mem1,size=128M", "-device", "pc-dimm,id=d1,memdev=mem1"))
    assert unchanged(memory(vm, id="d1", size="128M"))
    vm.guest(
        "for b in /sys/devices/system/memory/memory*/; do [ $(cat $b/valid_zones) = Movable ] && echo 1 > $b/online; done; true"
    )
    result = memory(vm, id="d1", state="absent", timeout=60)
    assert names(result) == ["device_del", "object-del"] and result["commands"][1]["arguments"] == {"id": "mem1"}
    assert "mem1" not in vm.hardware()["objects"]


def test_a_total_uses_what_a_killed_run_left(binary: Binary, make_vm: Callable[..., VM]) -> None:
    vm = make_vm(binary=binary, boot=False)
    vm.query("object-add", qom_type="memory-backend-ram", id="dimm1.mem", size=128 * MiB)
    assert names(memory(vm, check=True, total="512M")) == ["object-add", "device_add"]
    assert memory(vm, total="384M")["commands"] == [
        {"execute": "device_add", "arguments": {"driver": "pc-dimm", "id": "dimm1", "memdev": "dimm1.mem"}}
    ]
    for total, word in (
        ("384M1", "384M1"),
        (str(384 * MiB + 4096), "2097152"),
        ("0", "268435456"),
        ("9E", "more than"),
        (str((1 << 64) - 1), "more than"),
    ):
        refused(memory(vm, True, total=total), "invalid_option", word)
    assert Modules(vm).info(gather_subset=["memory"])["memory"]["plugged"] == 128 * MiB
