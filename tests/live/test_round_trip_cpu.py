# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What qmp_cpu_hotplug returns can be fed back to it as options, and changes nothing."""

from __future__ import annotations

from typing import Any, Callable

import pytest

from ansible_collections.vmops.qemu.tests.support.modules import Modules, unchanged
from ansible_collections.vmops.qemu.tests.support.round_trip import returned_options
from ansible_collections.vmops.qemu.tests.vm.binaries import Binary
from ansible_collections.vmops.qemu.tests.vm.machine import VM


def assert_round_trip(vm: VM, cpus: dict[str, Any]) -> None:
    """Feed back the number of vCPUs, and then each slot: with a CPU as present, without as absent."""
    modules = Modules(vm)
    options = returned_options("qmp_cpu_hotplug", cpus)
    assert options == {"count": cpus["count"]}
    assert unchanged(again := modules.cpus(**options)) and again["cpus"] == cpus
    for slot in cpus["slots"]:
        of_slot = returned_options("qmp_cpu_hotplug", slot)
        assert of_slot == {"topology": slot["topology"]}
        assert unchanged(again := modules.cpus(state="present" if slot["present"] else "absent", **of_slot)), slot
        assert again["cpus"] == cpus


@pytest.mark.parametrize("smp", ["2,maxcpus=4,sockets=2,cores=2,threads=1", "1,maxcpus=8,sockets=2,dies=2,cores=1,threads=2"])
def test_vcpus_and_slots_that_are_returned_change_nothing(make_vm: Callable[..., VM], binary: Binary, smp: str) -> None:
    vm = make_vm(binary=binary, boot=False, smp=smp)
    assert_round_trip(vm, Modules(vm).info(gather_subset=["cpus"])["cpus"])
    added = Modules(vm).cpus(topology=Modules(vm).info(gather_subset=["cpus"])["cpus"]["slots"][-1]["topology"])
    assert added.get("changed"), added
    assert_round_trip(vm, added["cpus"])


@pytest.mark.parametrize(
    "words",
    [
        ("qemu-system-ppc64", "-machine", "pseries", "-smp", "2,maxcpus=4", "-m", "512"),
        ("qemu-system-s390x", "-machine", "s390-ccw-virtio", "-smp", "1,maxcpus=3", "-m", "256"),
    ],
    ids=lambda words: str(words[0]),
)
def test_slots_of_other_machines_change_nothing(make_other: Callable[..., VM], words: tuple[str, ...]) -> None:
    vm = make_other(*words)
    before = Modules(vm).info(gather_subset=["cpus"])["cpus"]
    assert_round_trip(vm, before)
    added = Modules(vm).cpus(topology=before["slots"][-1]["topology"])
    assert added.get("changed"), added
    assert_round_trip(vm, added["cpus"])
