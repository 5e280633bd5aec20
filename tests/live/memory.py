# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory of a VM, for the tests that change it."""

from __future__ import annotations

from typing import Any

from ansible_collections.vmops.qemu.tests.support.modules import Modules
from ansible_collections.vmops.qemu.tests.vm.machine import VM


def memory(vm: VM, check: bool = False, **options: Any) -> dict[str, Any]:
    """Run qmp_memory_hotplug."""
    return Modules(vm).run("qmp_memory_hotplug", check, **options)


def room(vm: VM) -> dict[str, Any]:
    """How much more memory the VM can take, as qmp_info returns it."""
    capacity: dict[str, Any] = Modules(vm).info(gather_subset=["capacity"])["capacity"]["memory"]
    return capacity
