# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The start of a module's process: it loads what its kind needs, because loading is most of the time that a task takes."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from ansible_collections.vmops.qemu.tests.support.recordings import DIRECTORY

MODULES = "ansible_collections.vmops.qemu.plugins.modules"
SUPPORT = "ansible_collections.vmops.qemu.tests.support"
UTILS = "ansible_collections.vmops.qemu.plugins.module_utils."
_CODE = {
    "specs": ("blockdev", "netdev", "cpu_hotplug", "memory_hotplug", "object", "chardev", "device"),
    "devices": ("disk.plans", "nic.plans", "cpu", "memory.plans", "objects.plans", "chardev.plans", "generic"),
}


def loaded(code: str) -> set[str]:
    """The Python modules that are loaded by *code* in a process of its own."""
    show = "; import json, sys; print(json.dumps([*sys.modules]))"
    child = subprocess.run([sys.executable, "-c", code + show], capture_output=True, text=True, check=True)
    return set(json.loads(child.stdout))


def check(module: str, options: dict[str, Any]) -> str:
    """The code that runs a task of *module* in check mode."""
    return f"from {SUPPORT} import recordings as VMs; VMs.check(VMs.of('mixed')[0], '{module}', **{options!r})"


def kinds(names: set[str]) -> set[str]:
    """The kinds of which the specs and the plans are among *names*, by their options. Either both are, or neither."""
    specs, devices = (
        [f"{UTILS}{where}.{one}" in names for one in _CODE[what]]
        for what, where in (("specs", "_ansible.specs"), ("devices", "_vm.devices"))
    )
    assert specs == devices
    return {kind for kind, there in zip(_CODE["specs"], specs) if there}


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
    names = loaded(f"import {MODULES}.{module}")
    assert UTILS + "_vm.model.hardware" in names
    assert not {UTILS + "_vm.facts", *(f"{UTILS}_vm.devices.{other}" for other in others)} & names


@pytest.mark.parametrize(
    ("lists", "kind"),
    [
        ({"blockdevs": [{"id": "d1", "file": f"{DIRECTORY}/extra.qcow2", "format": "qcow2"}]}, "blockdev"),
        ({"netdevs": [{"id": "n1", "state": "absent"}]}, "netdev"),
        ({"cpus": 2}, "cpu_hotplug"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_task_of_qmp_hotplug_loads_only_the_kinds_of_its_items(lists: dict[str, Any], kind: str) -> None:
    names = loaded(check("qmp_hotplug", lists))
    assert kinds(names) == {kind}
    assert UTILS + "_vm.plugged" not in names


def test_the_facts_load_only_the_kinds_that_are_asked_for() -> None:
    names = loaded(
        f"import {SUPPORT}.recordings as VMs; VMs.check(VMs.of('mixed')[0], 'qmp_info', gather_subset=['disks', 'vm'])"
    )
    assert UTILS + "_vm.devices.disk.results" in names
    assert not {
        name for name in names if name.startswith((UTILS + "_vm.devices.nic", UTILS + "_vm.operations", UTILS + "_vm.launch"))
    }


def test_a_module_generates_no_methods_of_the_steps_that_it_does_not_take() -> None:
    code = f"import {MODULES}.qmp_blockdev, {UTILS}_vm.plan.hotplug as plan; print(hasattr(plan.Unplug, '__dataclass_fields__'))"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert child.stdout == "False\n"


@pytest.mark.parametrize("module", ["qmp_blockdev", "qmp_info"])
def test_a_module_does_not_load_tls_before_it_is_used(module: str) -> None:
    assert not {"ssl", UTILS + "qmp.tls"} & loaded(f"import {MODULES}.{module}")
