# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Launch arguments of memory and of vCPUs: a new QEMU started with them has nothing to do for the same task."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.vmops.qemu.tests.support.modules import Modules, unchanged
from ansible_collections.vmops.qemu.tests.support.values import MiB
from ansible_collections.vmops.qemu.tests.vm.binaries import Binary
from ansible_collections.vmops.qemu.tests.vm.machine import VM

from .memory import memory

KINDS: list[dict[str, Any]] = [
    {"size": "128M"},
    {"size": "130M", "slot": 2, "node": 0, "prealloc": True},
    {"size": "128M", "share": True, "host_nodes": [0], "policy": "bind"},
    {"size": "128M", "backend": "memfd"},
    {"size": "128M", "backend": "memfd", "share": False},
    {"size": "128M", "backend": "file", "mem_path": "{dir}"},
    {"size": "128M", "backend": "file", "mem_path": "{dir}/a,b", "share": True},
    {"size": "128M", "addr": "0x108000000"},
    {"size": "512M", "type": "virtio-mem"},
    {"size": "512M", "type": "virtio-mem", "requested_size": "0"},
    {
        "size": "512M",
        "type": "virtio-mem",
        "requested_size": "128M",
        "backend": "memfd",
        "bus": "rp2",
        "properties": {"block-size": "4M"},
    },
]


def options_of(kind: dict[str, Any], directory: Path) -> dict[str, Any]:
    return {"id": "m1", **{name: value.format(dir=directory) if name == "mem_path" else value for name, value in kind.items()}}


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_memory_is_the_same_at_the_next_start(
    binary: Binary, make_vm: Callable[..., VM], tmp_path: Path, kind: dict[str, Any]
) -> None:
    task = options_of(kind, tmp_path)
    vm = make_vm(binary=binary, boot=False)
    planned, added = memory(vm, check=True, **task), memory(vm, **task)
    assert added.get("changed") and added["commands"] == planned["commands"], added
    assert added["launch_args"] == planned["launch_args"]
    again = memory(vm, **task)
    assert unchanged(again)
    vm.stop()
    later = [again["launch_args"]]
    for launch_args in (added["launch_args"], *later):
        vm = make_vm(binary=binary, boot=False, extra=tuple(launch_args))
        result = memory(vm, **task)
        assert unchanged(result) and result["memory"] == {**added["memory"], "at_launch": True}, launch_args
        assert sorted(result["launch_args"]) == sorted(later[0])
        vm.stop()


def test_memory_that_changed_its_size_is_the_same_at_the_next_start(binary: Binary, make_vm: Callable[..., VM]) -> None:
    vm = make_vm(binary=binary, boot=False)
    task: dict[str, Any] = {"id": "m1", "size": "512M", "type": "virtio-mem"}
    assert memory(vm, **task, requested_size="128M")["changed"]
    resized = memory(vm, id="m1", requested_size="256M")
    assert resized["changed"] and resized["memory"]["requested_size"] == 256 * MiB
    same = memory(vm, id="m1", requested_size="256M")
    assert unchanged(same) and same["launch_args"] == resized["launch_args"]
    in_all = memory(vm, total="640M")
    assert in_all["changed"], in_all
    vm.stop()
    vm = make_vm(binary=binary, boot=False, extra=tuple(resized["launch_args"]))
    assert unchanged(memory(vm, **task, requested_size="256M"))
    vm.stop()
    assert unchanged(memory(make_vm(binary=binary, boot=False, extra=tuple(in_all["launch_args"])), total="640M"))


def test_a_total_is_the_same_at_the_next_start(binary: Binary, make_vm: Callable[..., VM]) -> None:
    vm = make_vm(binary=binary, native=True, boot=False)
    results = [memory(vm, total=total) for total in ("384M", "640M")]
    assert all(result.get("changed") for result in results), results
    assert len(results[-1]["launch_args"]) == 8, results[-1]
    same = memory(vm, total="640M")
    assert unchanged(same)
    vm.stop()
    for launch_args in (results[-1]["launch_args"], same["launch_args"]):
        vm = make_vm(binary=binary, boot=False, extra=tuple(launch_args))
        result = memory(vm, total="640M")
        assert unchanged(result) and sorted(result["launch_args"]) == sorted(same["launch_args"])
        vm.stop()


@pytest.mark.parametrize("machine", ["q35", "pc"])
def test_vcpus_are_the_same_at_the_next_start(binary: Binary, make_vm: Callable[..., VM], machine: str) -> None:
    def start(launch_args: list[str]) -> VM:
        return make_vm(binary=binary, machine=machine, boot=False, smp=launch_args[1], extra=tuple(launch_args[2:]))

    vm = make_vm(binary=binary, machine=machine, boot=False)
    topology = {"socket-id": 1, "core-id": 0, "thread-id": 0}
    added = Modules(vm).cpus(topology=topology)
    assert added.get("changed") and added["launch_args"][0] == "-smp" and "-device" in added["launch_args"], added
    assert unchanged(again := Modules(vm).cpus(topology=topology)) and again["launch_args"] == added["launch_args"]
    vm.stop()
    vm = start(added["launch_args"])
    result = Modules(vm).cpus(topology=topology)
    assert unchanged(result) and result["launch_args"] == added["launch_args"]
    assert [one["present"] for one in result["cpus"]["slots"]] == [True, False, True, False]
    filled = Modules(vm).cpus(count=3)
    assert filled.get("changed") and filled["launch_args"] == [*filled["launch_args"][:2]], filled
    vm.stop()
    assert unchanged(Modules(start(filled["launch_args"])).cpus(count=3))
