# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The start of a module's process: it loads what its kind needs, because loading is most of the time that a task takes."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

MODULES = "ansible_collections.vmops.qemu.plugins.modules"
UTILS = "ansible_collections.vmops.qemu.plugins.module_utils."
_LOADED = f"""
import json, sys
import {MODULES}.{{}}
print(json.dumps([*sys.modules]))
"""


def loaded(module: str) -> set[str]:
    """The Python modules that are loaded with *module* in a process of its own."""
    child = subprocess.run([sys.executable, "-c", _LOADED.format(module)], capture_output=True, text=True, check=True)
    return set(json.loads(child.stdout))


@pytest.mark.parametrize(
    ("module", "others"),
    [
        ("qmp_blockdev", ["objects.plans", "nic.plans", "chardev.plans", "cpu", "memory.plans", "generic"]),
        ("qmp_netdev", ["disk.plans", "cpu", "memory.plans"]),
        ("qmp_cpu_hotplug", ["disk.plans", "nic.plans", "chardev.plans", "memory.plans"]),
        ("qmp_power", ["disk.plans", "nic.plans", "chardev.plans", "cpu", "memory.plans"]),
    ],
)
def test_a_module_does_not_load_the_other_kinds(module: str, others: list[str]) -> None:
    names = loaded(module)
    assert UTILS + "_vm.model.hardware" in names
    assert not {UTILS + "_vm.facts", *(f"{UTILS}_vm.devices.{other}" for other in others)} & names


def test_a_module_generates_no_methods_of_the_steps_that_it_does_not_take() -> None:
    code = f"import {MODULES}.qmp_blockdev, {UTILS}_vm.plan.hotplug as plan; print(hasattr(plan.Unplug, '__dataclass_fields__'))"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert child.stdout == "False\n"


@pytest.mark.parametrize("module", ["qmp_blockdev", "qmp_info"])
def test_a_module_does_not_load_tls_before_it_is_used(module: str) -> None:
    assert not {"ssl", UTILS + "qmp.tls"} & loaded(module)
