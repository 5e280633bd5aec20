# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two tasks that request one total at the same time."""

from __future__ import annotations

from typing import Any, Callable

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils._vm.devices.memory.total import plan_total
from ansible_collections.vmops.qemu.plugins.module_utils._vm.errors import Conflict
from ansible_collections.vmops.qemu.plugins.module_utils._vm.model.hardware import Hardware
from ansible_collections.vmops.qemu.plugins.module_utils._vm.plan.plan import PlanFailed
from ansible_collections.vmops.qemu.plugins.module_utils.qmp import Monitor, UnixAddress
from ansible_collections.vmops.qemu.tests.vm.machine import VM


def test_a_dimm_over_the_total_is_rolled_back(make_vm: Callable[..., VM]) -> None:
    vm = make_vm()
    with Monitor.connect(UnixAddress(str(vm.qmp_socket)), timeout=10) as monitor:
        base = vm.query("query-memory-size-summary")["base-memory"]
        plan = plan_total(Hardware(monitor), base + (128 << 20))
        vm.execute("object-add", {"qom-type": "memory-backend-ram", "id": "other.mem", "size": 128 << 20})
        vm.query("device_add", driver="pc-dimm", id="other", memdev="other.mem")
        with pytest.raises(PlanFailed) as failed:
            plan.apply(monitor, 30)
    assert isinstance(failed.value.cause, Conflict) and str(base + (128 << 20)) in str(failed.value), failed.value
    assert failed.value.left == [] and [one["execute"] for one in failed.value.undone] == ["device_del", "object-del"]
    assert vm.query("query-memory-size-summary")["plugged-memory"] == 128 << 20


def test_a_total_that_is_reached_is_kept(make_vm: Callable[..., VM]) -> None:
    vm: Any = make_vm(boot=False)
    with Monitor.connect(UnixAddress(str(vm.qmp_socket)), timeout=10) as monitor:
        base = vm.query("query-memory-size-summary")["base-memory"]
        plan_total(Hardware(monitor), base + (128 << 20)).apply(monitor, 10)
    assert vm.query("query-memory-size-summary")["plugged-memory"] == 128 << 20
