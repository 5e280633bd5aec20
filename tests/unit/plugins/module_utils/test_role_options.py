# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role takes every option of its modules, under the same name and type, and passes it on."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.vmops.qemu.plugins.module_utils._ansible import connection

ROLE = Path(__file__).parents[4] / "roles" / "hotplug"
OPTIONS = "ansible_collections.vmops.qemu.plugins.module_utils._ansible.options"
SET_BY_THE_ROLE = {*connection.OPTIONS, "reserved", "on_pending"}
LISTS = {
    "hotplug_objects": ("qmp_object", "objects.yml"),
    "hotplug_memory": ("qmp_memory_hotplug", "memory.yml"),
    "hotplug_chardevs": ("qmp_chardev", "chardevs.yml"),
    "hotplug_devices": ("qmp_device", "devices.yml"),
    "hotplug_blockdevs": ("qmp_blockdev", "blockdevs.yml"),
    "hotplug_netdevs": ("qmp_netdev", "netdevs.yml"),
}


def options_of(module: str) -> dict[str, Any]:
    """The options of a module, but for those that the role sets for all."""
    options = importlib.import_module(f"{OPTIONS}.{module[len('qmp_') :]}").KIND.options
    return {name: option for name, option in options.items() if name not in SET_BY_THE_ROLE}


@pytest.mark.parametrize("variable", LISTS)
def test_the_role_takes_every_option_and_passes_it_on(variable: str) -> None:
    module, tasks = LISTS[variable]
    expected = options_of(module)
    specs = yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))
    taken = specs["argument_specs"]["main"]["options"][variable]["options"]
    assert {name: option["type"] for name, option in taken.items()} == {name: option["type"] for name, option in expected.items()}
    assert {name for name in taken if taken[name].get("no_log")} == {name for name in expected if expected[name].get("no_log")}
    assert {name: option.get("choices") for name, option in taken.items()} == {
        name: option.get("choices") for name, option in expected.items()
    }
    task = yaml.safe_load((ROLE / "tasks" / tasks).read_text(encoding="utf-8"))[0][f"vmops.qemu.{module}"]
    assert set(task) - {"reserved"} == set(expected)
