# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans for the total memory of a VM without virtio-mem, over a recorded VM."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils._vm.errors import Conflict, InvalidOption, NoFreeSlot
from ansible_collections.vmops.qemu.plugins.module_utils._vm.plan.plan import Plan, Run
from ansible_collections.vmops.qemu.tests.support import recordings
from ansible_collections.vmops.qemu.tests.support.recordings import Recording
from ansible_collections.vmops.qemu.tests.support.values import MiB


@pytest.fixture(params=recordings.of("dimms"), ids=str)
def dimms(request: pytest.FixtureRequest) -> Recording:
    found: Recording = request.param
    return found


def plan(dimms: Recording, **options: Any) -> Plan:
    return recordings.plan(recordings.hardware(dimms), "qmp_memory_hotplug", **options)


def sent(made: Plan) -> list[tuple[str, str]]:
    return [(command["execute"], command["arguments"]["id"]) for command in made.commands()]


def test_the_total_that_the_vm_has_is_not_changed(dimms: Recording) -> None:
    made = plan(dimms, total="768M")
    assert made.steps == () and made.before == made.after and made.launch_args.count("-object") == 3


def test_a_dimm_of_the_missing_size_is_plugged(dimms: Recording) -> None:
    made = plan(dimms, total="896M")
    assert sent(made) == [("object-add", "dimm4.mem"), ("device_add", "dimm4")]
    assert made.after and [one["id"] for one in made.after["devices"]] == ["dimm1", "big", "dimm2", "dimm4"]
    assert made.after["total"] == 896 * MiB and made.after["devices"][-1]["slot"] == 3
    left = plan(dimms, total="1280M")
    assert sent(left) == [("device_add", "dimm3")]


def test_a_total_that_is_exceeded_in_the_meantime_is_a_conflict(dimms: Recording) -> None:
    last = plan(dimms, total="896M").steps[-1]
    monitor: Any = recordings.monitor(dimms)
    last.apply(Run(monitor, 0))
    assert last.commands() == []
    last.__dict__["total"] = 640 * MiB
    with pytest.raises(Conflict, match="total is 805306368 .* requested 671088640"):
        last.apply(Run(monitor, 0))


@pytest.mark.parametrize(
    ("total", "removed"),
    [("640M", ["dimm2"]), ("512M", ["big"]), ("384M", ["dimm2", "big"]), ("256M", ["dimm2", "big", "dimm1"])],
)
def test_dimms_of_the_surplus_size_are_removed(dimms: Recording, total: str, removed: list[str]) -> None:
    made = plan(dimms, total=total)
    assert sorted(name for execute, name in sent(made) if execute == "device_del") == sorted(removed)
    assert made.after and [one["id"] for one in made.after["devices"]] == [
        name for name in ("dimm1", "big", "dimm2") if name not in removed
    ]


@pytest.mark.parametrize(
    ("total", "error", "words"),
    [
        ("700M", InvalidOption, r"sizes of the plugged DIMMs are \[134217728, 268435456, 134217728\]. .* 671088640 or 805306368"),
        ("128M", InvalidOption, "less than the 268435456 bytes that the VM was started with"),
        ("9E", InvalidOption, "more than any VM can have"),
        ("some", InvalidOption, "total 'some' is not a size"),
        ("769M", InvalidOption, "requires a DIMM of 1048576 is not a multiple of 2097152"),
        ("4G", NoFreeSlot, "maxmem"),
    ],
)
def test_totals_that_are_refused(dimms: Recording, total: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        plan(dimms, total=total)
