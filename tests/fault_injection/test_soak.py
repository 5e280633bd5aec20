# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Thousands of cycles on one VM whose guest reads and writes: nothing leaks in QEMU or here, and the guest keeps its data."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import Any, Callable

from ansible_collections.vmops.qemu.plugins.module_utils._vm.devices.disk import plans as blockdev
from ansible_collections.vmops.qemu.plugins.module_utils._vm.devices.disk.spec import DiskSpec
from ansible_collections.vmops.qemu.plugins.module_utils._vm.devices.frontend import FrontendSpec
from ansible_collections.vmops.qemu.plugins.module_utils._vm.devices.nic import plans as netdev
from ansible_collections.vmops.qemu.plugins.module_utils._vm.devices.nic.spec import NicSpec
from ansible_collections.vmops.qemu.plugins.module_utils._vm.devices.objects import plans as objects
from ansible_collections.vmops.qemu.plugins.module_utils._vm.model.hardware import Hardware
from ansible_collections.vmops.qemu.plugins.module_utils.qmp import Monitor, UnixAddress
from ansible_collections.vmops.qemu.tests.support.modules import Modules
from ansible_collections.vmops.qemu.tests.support.values import ALL, NULL
from ansible_collections.vmops.qemu.tests.vm.machine import VM

from .tally import survives

CYCLES = 2000 if ALL else 25
STEP_SECONDS = 60.0
GROWN_KIB = 16 << 10  # growth of this process's memory, for thousands of cycles

WORK = Path(__file__).with_name("work_on_disk.sh")


def specs(image: str, tap: str) -> list[tuple[Any, Any]]:
    """The module with the plans of a kind, and a spec of it, for each cycle in turn."""
    return [
        (blockdev, DiskSpec(FrontendSpec("s1", driver="scsi-hd"), file=image)),
        (blockdev, DiskSpec(FrontendSpec("v1"), backend=NULL)),
        (objects, objects.ObjectSpec("io1", "iothread")),
        (netdev, NicSpec(FrontendSpec("n1"), {"type": "tap", "ifname": tap})),
        (netdev, NicSpec(FrontendSpec("n2"), {"type": "user"})),
    ]


def test_many_cycles_leave_nothing_behind_and_the_guest_keeps_its_data(
    make_vm: Callable[..., VM], image: Callable[..., str], make_tap: Callable[..., str]
) -> None:
    vm = make_vm()
    assert Modules(vm).blockdev(id="keep", file=image("keep", "8M"))["changed"]
    assert Modules(vm).cpus(count=2)["changed"]
    vm.wait_guest(lambda guest: [disk["serial"] for disk in guest["disks"]] == ["keep"])
    vm.guest(WORK.read_text())
    kinds = specs(image("cycled"), make_tap())
    before, descriptors = vm.hardware(), _descriptors(vm.pid)
    own, grown_from = _descriptors(os.getpid()), 0
    with Monitor.connect(UnixAddress(str(vm.qmp_socket))) as monitor:
        for cycle in range(CYCLES):
            kind, spec = kinds[cycle % len(kinds)]
            for plan in (kind.plan_present, kind.plan_absent):
                planned = plan(Hardware(monitor), spec)
                assert planned.changed
                planned.apply(monitor, STEP_SECONDS)
            if cycle == CYCLES // 10:
                grown_from = _memory()
    grown = _memory() - grown_from
    vm.guest("touch /tmp/stop; while [ ! -e /tmp/stopped ]; do :; done", timeout=STEP_SECONDS)
    after = vm.hardware()
    survives("soak: cycles", after == before, (before, after))
    survives("soak: descriptors of QEMU", _descriptors(vm.pid) <= descriptors + 1, (descriptors, _descriptors(vm.pid)))
    survives("soak: descriptors and memory here", _descriptors(os.getpid()) <= own and grown < GROWN_KIB, (own, grown))
    rounds = int(vm.guest("cat /tmp/rounds"))
    survives("soak: the guest's data", rounds > 0 and vm.guest("cat /tmp/bad 2>/dev/null || true") == "", rounds)
    print(f"soak: {CYCLES} cycles, {rounds} rounds of the guest, {grown} KiB more memory here")


def _descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def _memory() -> int:
    """The most memory that this process has used so far, in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
