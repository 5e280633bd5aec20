# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role takes every option of its modules, under the same name and type, and passes it on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.vmops.qemu.plugins.module_utils._ansible import connection
from ansible_collections.vmops.qemu.plugins.module_utils._ansible.options.hotplug import ITEMS

ROLE = Path(__file__).parents[4] / "roles" / "hotplug"
SET_BY_THE_ROLE = {*connection.OPTIONS, "reserved", "on_pending"}


def role(name: str) -> Any:
    return yaml.safe_load((ROLE / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("kind", ITEMS)
def test_the_role_takes_every_option_and_passes_it_on(kind: str) -> None:
    module = ITEMS[kind].module
    expected = {name: option for name, option in ITEMS[kind].kind.options.items() if name not in SET_BY_THE_ROLE}
    taken = role("meta/argument_specs.yml")["argument_specs"]["main"]["options"][f"hotplug_{kind}"]["options"]
    assert {name: option["type"] for name, option in taken.items()} == {name: option["type"] for name, option in expected.items()}
    assert {name for name in taken if taken[name].get("no_log")} == {name for name in expected if expected[name].get("no_log")}
    assert {name: option.get("choices") for name, option in taken.items()} == {
        name: option.get("choices") for name, option in expected.items()
    }
    assert role(f"tasks/{kind}.yml")[0]["module_defaults"] == {f"vmops.qemu.{module}": "{{ __hotplug_item }}"}
