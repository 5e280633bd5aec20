# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits of a disk: with the disk, changed in place, lifted, read back."""

from __future__ import annotations

import pytest

from ansible_collections.vmops.qemu.tests.vm.machine import VM

from .conftest import Modules, unchanged
from .test_refusals import refused

NULL = {"driver": "null-co", "size": 1 << 20}


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
    result = modules.blockdev(id="d1", backend=NULL, limits={"iops": 100, "iops_rd": 50})
    refused(result, "command_failed", "iops", "taken back")
    refused(modules.blockdev(id="d1", backend=NULL, limits={"bps": "much"}), "invalid_option", "much")
    refused(modules.blockdev(id="d1", backend=NULL, driver="nvme", limits={"iops": 1}), "unsupported", "NVMe")


def test_a_burst_of_one_second_is_no_limit(modules: Modules) -> None:
    disk = {"id": "d9", "backend": {"driver": "null-co", "size": 1 << 20}, "limits": {"iops": 100, "iops_max": 200,
                                                                                      "iops_max_length": 1}}
    assert modules.blockdev(**disk)["changed"]
    assert unchanged(modules.blockdev(**disk))
    assert modules.blockdev(id="d9", state="absent")["changed"]
