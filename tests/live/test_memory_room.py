# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A VM that cannot take memory says so beforehand, and with which launch arguments it could; started with these, it can."""

from __future__ import annotations

from typing import Any, Callable

import pytest

from ansible_collections.vmops.qemu.tests.support.modules import Modules, refused
from ansible_collections.vmops.qemu.tests.support.values import MiB
from ansible_collections.vmops.qemu.tests.vm.binaries import Binary
from ansible_collections.vmops.qemu.tests.vm.machine import VM

from .memory import memory, room


def start(make_other: Callable[..., VM], binary: Binary, *words: str) -> VM:
    return make_other(*binary.command, "-machine", "q35", "-device", "pcie-root-port,id=rp0", *words)


@pytest.mark.parametrize(
    ("words", "reason", "bytes_left"),
    [
        (("-m", "256"), "without memory slots", 0),
        (("-m", "256,maxmem=1G"), "without memory slots", 768 * MiB),
        (("-m", "256,slots=0,maxmem=1G"), "without memory slots", 768 * MiB),
        (
            ("-m", "256,slots=1,maxmem=1G", "-object", "memory-backend-ram,id=a,size=128M", "-device", "pc-dimm,id=a1,memdev=a"),
            "no free memory slot",
            640 * MiB,
        ),
        (
            (
                "-m",
                "256,slots=2,maxmem=384M",
                "-object",
                "memory-backend-ram,id=a,size=128M",
                "-device",
                "pc-dimm,id=a1,memdev=a",
            ),
            "no bytes left",
            0,
        ),
    ],
    ids=lambda value: value[1] if isinstance(value, tuple) else None,
)
def test_what_was_not_prepared_for_at_the_start(
    make_other: Callable[..., VM], binary: Binary, words: tuple[str, ...], reason: str, bytes_left: int
) -> None:
    vm = start(make_other, binary, *words)
    capacity = room(vm)
    assert capacity["count"] == 0 and reason in capacity["reason"] and capacity["bytes"] == bytes_left, capacity
    for task in ({"id": "m1", "size": "128M"}, {"total": "1G"}):
        for check in (True, False):
            refused(memory(vm, check, **task), "no_free_slot", reason, "slots=", "maxmem=")
    facts = Modules(vm).info(gather_subset=["memory"])["memory"]
    assert facts["slots"] is not None and facts["maximum"] >= 256 * MiB, facts
    vm.stop()
    vm = start(make_other, binary, *capacity["launch_args"], *words[2:])
    assert memory(vm, id="m1", size="128M").get("changed")


def test_room_without_slots_is_for_virtio_mem(make_other: Callable[..., VM], binary: Binary) -> None:
    vm = start(make_other, binary, "-m", "256,maxmem=1G")
    assert "virtio-mem" in room(vm)["reason"]
    task: dict[str, Any] = {"id": "e1", "type": "virtio-mem", "requested_size": "0"}
    refused(memory(vm, True, **task, size="1G"), "no_free_slot", str(768 * MiB), "maxmem")
    assert memory(vm, **task, size="768M").get("changed")
    vm.stop()
    vm = start(make_other, binary, "-m", "256")
    for check in (True, False):
        refused(memory(vm, check, **task, size="128M"), "no_free_slot", "maxmem")


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        (("qemu-system-x86_64", "-machine", "microvm", "-m", "256"), []),
        (("qemu-system-x86_64", "-machine", "microvm", "-m", "256,slots=2,maxmem=1G"), []),
        (("qemu-system-x86_64", "-machine", "isapc", "-m", "256"), []),
        (("qemu-system-x86_64", "-machine", "q35,acpi=off", "-m", "256,slots=2,maxmem=1G"), ["-machine", "acpi=on"]),
        (
            ("qemu-system-aarch64", "-machine", "virt", "-cpu", "cortex-a57", "-m", "256,slots=2,maxmem=1G"),
            ["-bios", "QEMU_EFI.fd"],
        ),
        (("qemu-system-s390x", "-machine", "s390-ccw-virtio", "-m", "256"), []),
        (("qemu-system-riscv64", "-machine", "virt", "-m", "256"), []),
    ],
    ids=lambda value: " ".join(value[1:]) if isinstance(value, tuple) else None,
)
def test_a_machine_without_memory_hotplug(make_other: Callable[..., VM], words: tuple[str, ...], remedy: list[str]) -> None:
    vm = make_other(*words)
    before, capacity = vm.hardware(), room(vm)
    assert capacity["count"] == 0 and capacity["reason"] and capacity["launch_args"] == remedy, capacity
    assert not Modules(vm).info().get("failed")
    for check in (True, False):
        refused(memory(vm, check, id="m1", size="128M"), "unsupported", *(remedy or ["no memory hotplug"]))
    assert vm.hardware() == before


def test_machines_with_memory_hotplug_of_other_kinds(make_other: Callable[..., VM]) -> None:
    vm = make_other("qemu-system-ppc64", "-machine", "pseries", "-m", "512,slots=2,maxmem=2G")
    assert room(vm)["count"] == 2
    assert memory(vm, id="m1", size="256M").get("changed")
