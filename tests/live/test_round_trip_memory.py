# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What qmp_memory_hotplug returns can be fed back to it as options, and changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.vmops.qemu.tests.support.modules import Modules, unchanged
from ansible_collections.vmops.qemu.tests.support.round_trip import returned_options
from ansible_collections.vmops.qemu.tests.support.values import MiB
from ansible_collections.vmops.qemu.tests.vm.binaries import Binary
from ansible_collections.vmops.qemu.tests.vm.machine import VM

from .memory import memory

SORTS: dict[str, dict[str, Any]] = {
    "RAM": {"size": "128M"},
    "RAM with all options": {
        "size": "128M",
        "share": True,
        "prealloc": True,
        "host_nodes": [0],
        "policy": "bind",
        "node": 0,
        "slot": 2,
        "addr": "0x108000000",
    },
    "memfd": {"size": "128M", "backend": "memfd", "share": False},
    "file": {"size": "128M", "backend": "file", "mem_path": "{dir}", "share": True},
    "NVDIMM": {"size": "128M", "type": "nvdimm", "mem_path": "{dir}/nv", "properties": {"label-size": 128 << 10}},
    "virtio-mem": {"size": "512M", "type": "virtio-mem", "requested_size": "128M", "bus": "rp2"},
}
OF_THE_LAUNCH = (
    *("-object", "memory-backend-ram,id=lm1,size=128M,share=on", "-device", "pc-dimm,id=d1,memdev=lm1"),
    *("-object", "memory-backend-memfd,id=lm2,size=128M", "-device", "pc-dimm,id=d2,memdev=lm2,slot=3"),
    *("-object", "memory-backend-file,id=lm3,size=128M,mem-path={dir}/nv", "-device", "nvdimm,id=nv,memdev=lm3"),
    *("-object", "memory-backend-ram,id=lm4,size=256M", "-device", "virtio-mem-pci,id=e1,memdev=lm4,bus=rp1,requested-size=64M"),
)
WITHOUT_ID = ("-object", "memory-backend-ram,id=lm5,size=128M", "-device", "pc-dimm,memdev=lm5,slot=2")


def assert_round_trip(vm: VM, described: dict[str, Any]) -> None:
    options = returned_options("qmp_memory_hotplug", described)
    again = memory(vm, **options)
    assert unchanged(again) and again["commands"] == [] and again["unverified"] == [], again
    assert again["memory"] == described


@pytest.mark.parametrize("sort", SORTS)
def test_a_memory_device_that_is_returned_changes_nothing(
    binary: Binary, make_vm: Callable[..., VM], tmp_path: Path, sort: str
) -> None:
    task = {name: value.format(dir=tmp_path) if name == "mem_path" else value for name, value in SORTS[sort].items()}
    vm = make_vm(binary=binary, boot=False, extra=("-machine", "nvdimm=on"))
    planned, added = memory(vm, check=True, id="m1", **task), memory(vm, id="m1", **task)
    assert added.get("changed"), added
    described = added["memory"]
    assert {*task} - {"properties"} <= {*described}, described
    assert_round_trip(vm, described)
    chosen = {"addr", "plugged"}  # by QEMU, and by the guest, of which there is none
    assert {name: value for name, value in described.items() if name not in chosen} == {
        name: value for name, value in planned["memory"].items() if name not in chosen
    }
    vm.stop()
    vm = make_vm(binary=binary, boot=False, extra=("-machine", "nvdimm=on"))
    properties = {"properties": task["properties"]} if "properties" in task else {}
    again = memory(vm, **returned_options("qmp_memory_hotplug", described), **properties)
    assert again.get("changed") and again["memory"] == described, again


def test_memory_devices_of_the_launch_and_their_total_change_nothing(
    binary: Binary, make_vm: Callable[..., VM], tmp_path: Path
) -> None:
    extra = (word.format(dir=tmp_path) for word in OF_THE_LAUNCH)
    vm = make_vm(binary=binary, boot=False, extra=("-machine", "nvdimm=on", *extra))
    total = memory(vm, total=str((256 + 3 * 128 + 64) * MiB))
    assert unchanged(total) and len(total["memory"]["devices"]) == 4, total
    assert_round_trip(vm, total["memory"])
    for one in total["memory"]["devices"]:
        assert one["at_launch"] is True
        assert_round_trip(vm, one)


def test_facts_have_the_memory_as_a_total_reports_it(binary: Binary, make_vm: Callable[..., VM], tmp_path: Path) -> None:
    extra = (word.format(dir=tmp_path) for word in (*OF_THE_LAUNCH, *WITHOUT_ID))
    vm = make_vm(binary=binary, boot=False, extra=("-machine", "nvdimm=on", *extra))
    total = memory(vm, total=str((256 + 4 * 128 + 64) * MiB))
    facts = Modules(vm).info(gather_subset=["memory"])["memory"]
    assert unchanged(total) and facts == {**total["memory"], "maximum": 2048 * MiB, "slots": 4}
    (nameless,) = (one for one in facts["devices"] if one["id"] is None)
    assert nameless.items() >= {"type": "pc-dimm", "size": 128 * MiB, "backend": "ram", "slot": 2, "at_launch": True}.items()


def test_a_planned_total_is_the_one_that_is_returned(binary: Binary, make_vm: Callable[..., VM]) -> None:
    vm = make_vm(binary=binary, boot=False)
    for total in ("384M", "640M"):
        planned, added = memory(vm, check=True, total=total)["memory"], memory(vm, total=total)["memory"]
        for one in (*planned["devices"], *added["devices"]):
            one.pop("addr", None)  # QEMU chooses it
        assert planned == added
    assert memory(vm, id="e1", type="virtio-mem", size="512M", requested_size="128M").get("changed")
    planned, added = memory(vm, check=True, total="1G")["memory"], memory(vm, total="1G")["memory"]
    assert planned["devices"][-1].pop("plugged") == planned["devices"][-1]["requested_size"] == 384 * MiB
    assert added["devices"][-1].pop("plugged") == 0  # without a guest
    assert planned == added
