# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The life of an object with a guest: check mode, plug, seen by the guest, again, unplug, again."""

from __future__ import annotations

from typing import Any, Callable

from ansible_collections.vmops.qemu.tests.support.modules import unchanged
from ansible_collections.vmops.qemu.tests.vm.machine import VM


def plugged_and_unplugged(
    module: Callable[..., dict[str, Any]], vm: VM, options: dict[str, Any], seen: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    """Take one object through its life and return the result of plugging it."""
    before = vm.hardware()
    planned = module(check=True, **options)
    assert planned["changed"], planned
    assert vm.hardware() == before
    added = module(**options)
    assert not added.get("failed"), added
    assert added["commands"] == planned["commands"]
    assert added["diff"] == planned["diff"]
    vm.wait_guest(seen)
    again = module(**options)
    assert unchanged(again) and again["commands"] == [], again
    identity = {"id": options["id"], "state": "absent"}
    planned = module(check=True, **identity)
    removed = module(**identity)
    assert removed.get("commands"), removed
    assert removed["changed"] and removed["status"] == "absent"
    assert removed["commands"] == planned["commands"]
    vm.wait_guest(lambda report: not seen(report))
    assert unchanged(module(**identity))
    assert vm.hardware() == before
    return added


def has_disk(**expected: Any) -> Callable[[dict[str, Any]], bool]:
    return lambda report: any(expected.items() <= disk.items() for disk in report["disks"])


def has_nic(mac: str) -> Callable[[dict[str, Any]], bool]:
    return lambda report: any(nic["mac"] == mac for nic in report["nics"])
