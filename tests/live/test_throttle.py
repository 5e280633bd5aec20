# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits of a disk: with the disk, changed in place, lifted, read back."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.vmops.qemu.tests.support.modules import Modules, refused, unchanged
from ansible_collections.vmops.qemu.tests.support.values import NULL
from ansible_collections.vmops.qemu.tests.vm.machine import VM


@pytest.mark.parametrize("driver", ["virtio-blk-pci", "scsi-hd"])
def test_limits_come_with_the_disk_change_in_place_and_go(bare_vm: VM, driver: str) -> None:
    modules = Modules(bare_vm)
    disk = {"id": "d1", "backend": NULL, "driver": driver}
    planned = modules.blockdev(check=True, limits={"iops": 500, "bps_wr": "20M"}, **disk)
    added = modules.blockdev(limits={"iops": 500, "bps_wr": "20M"}, **disk)
    assert added.get("changed") and added["commands"] == planned["commands"], added
    assert added["disk"]["limits"] == planned["disk"]["limits"] == {"iops": 500, "bps_wr": 20 << 20}
    assert unchanged(modules.blockdev(limits={"iops": 500, "bps_wr": "20M"}, **disk))
    assert unchanged(modules.blockdev(**disk))

    changed = modules.blockdev(id="d1", limits={"iops_rd": 100, "iops_rd_max": 200, "iops_rd_max_length": 5})
    assert [command["execute"] for command in changed["commands"]] == ["block_set_io_throttle"], changed
    assert changed["disk"]["limits"] == {"iops_rd": 100, "iops_rd_max": 200, "iops_rd_max_length": 5}
    assert changed["diff"]["before"]["limits"] == {"iops": 500, "bps_wr": 20 << 20}
    assert unchanged(modules.blockdev(id="d1", limits={"iops_rd": 100, "iops_rd_max": 200, "iops_rd_max_length": 5}))

    lifted = modules.blockdev(id="d1", limits={})
    assert lifted["changed"] and lifted["disk"]["limits"] == {}, lifted
    assert unchanged(modules.blockdev(id="d1", limits={}))


def test_limits_that_contradict_each_other_leave_nothing(modules: Modules) -> None:
    refused(modules.blockdev(id="d1", backend=NULL, limits={"iops": 100, "iops_rd": 50}), "invalid_option", "iops_rd")
    refused(modules.blockdev(id="d1", backend=NULL, limits={"bps": "much"}), "invalid_option", "much")
    refused(modules.blockdev(id="d1", backend=NULL, driver="nvme", limits={"iops": 1}), "unsupported", "NVMe")


def test_a_burst_of_one_second_is_the_default(modules: Modules) -> None:
    disk = {
        "id": "d9",
        "backend": {"driver": "null-co", "size": 1 << 20},
        "limits": {"iops": 100, "iops_max": 200, "iops_max_length": 1},
    }
    assert modules.blockdev(**disk)["changed"]
    assert unchanged(modules.blockdev(**disk))
    assert modules.blockdev(id="d9", state="absent")["changed"]


@pytest.mark.parametrize(
    "limits",
    [
        {"iops": -1},
        {"bps": 1, "bps_rd": 1},
        {"iops_max": 5},
        {"iops": 5, "iops_max": 4},
        {"iops": 1, "iops_max_length": 5},
        {"iops": 1, "iops_max": 2, "iops_max_length": 0},
        {"iops_size": 4096},
        {"iops": 10**15 + 1},
        {"bps": "1000001G"},
        {"iops": 1, "iops_max": 10**15, "iops_max_length": 2},
        {"bps_wr": 1, "bps_max": 1, "bps": 1},
        {"iops_max_length": 2},
    ],
    ids=str,
)
def test_limits_that_qemu_would_refuse_are_refused_before(bare_vm: VM, limits: dict[str, Any]) -> None:
    modules = Modules(bare_vm)
    for options in ({"backend": NULL}, {}):
        for check in (True, False):
            refused(modules.blockdev(check=check, id="d1", limits=limits, **options), "invalid_option", "limits.")
        assert modules.blockdev(id="d1", backend=NULL).get("failed") is None


def test_a_shared_group_changes_only_by_force(bare_vm: VM) -> None:
    modules = Modules(bare_vm)
    for name in ("d1", "d2"):
        assert modules.blockdev(id=name, backend=NULL, driver="scsi-hd")["changed"]
        limits = dict.fromkeys(("bps", "bps_rd", "bps_wr", "iops_rd", "iops_wr"), 0)
        bare_vm.execute("block_set_io_throttle", {"id": name, **limits, "iops": 100, "group": "shared"})
    for check in (True, False):
        refused(modules.blockdev(check=check, id="d1", limits={"iops": 50}), "conflict", "shared", "d2", "force")
    assert unchanged(modules.blockdev(id="d1", limits={"iops": 100}))
    assert modules.blockdev(id="d1", limits={"iops": 50}, force=True)["changed"]
