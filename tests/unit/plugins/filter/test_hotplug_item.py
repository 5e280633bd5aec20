# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of a module for one item of the role's variables."""

from __future__ import annotations

from typing import Any, Dict, Iterator

import pytest

from ansible_collections.vmops.qemu.plugins.filter.hotplug_item import FilterModule, hotplug_item

CONNECTION = {"hotplug_socket": "/run/a.sock", "hotplug_port": "", "hotplug_timeout": "20", "hotplug_strategy": "modules"}
DISK = {"id": "b", "attach": "false", "passphrase": 123, "queues": ""}
OPTIONS = {"socket": "/run/a.sock", "timeout": 20.0, "id": "b", "attach": False, "passphrase": "123"}


class Untouched(Dict[str, Any]):
    """An item that must not be read, as a template would be evaluated."""

    def __getitem__(self, name: str) -> Any:
        raise AssertionError(name)

    def __iter__(self) -> Iterator[str]:
        raise AssertionError

    def items(self) -> Any:
        raise AssertionError


@pytest.mark.parametrize("disks", [[Untouched(), DISK, Untouched()], "[{id: a}, {id: b, attach: 'false', passphrase: '123'}]"])
def test_one_item_has_its_options_and_those_of_the_connection(disks: Any) -> None:
    variables = {**CONNECTION, "hotplug_blockdevs": disks, "hotplug_netdevs": [Untouched()]}
    assert hotplug_item(variables, {"kind": "blockdevs", "index": 1, "id": "b"}) == OPTIONS


def test_the_number_of_vcpus_is_an_option_of_its_module() -> None:
    assert FilterModule().filters() == {"hotplug_item": hotplug_item}
    variables = {"hotplug_socket": "/a", "hotplug_cpus": "3"}
    assert hotplug_item(variables, {"kind": "cpus", "index": None}) == {"socket": "/a", "count": 3}
