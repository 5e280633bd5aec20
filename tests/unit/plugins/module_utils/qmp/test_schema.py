# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The schema: what a QEMU says of itself, looked up."""

from __future__ import annotations

from typing import Iterator

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils.qmp import CommandError, Member, Schema
from ansible_collections.vmops.qemu.tests.support.scripted_monitor import (
    connected,
    expect,
)

# In the manner of query-qmp-schema: a command whose arguments have a variant, an enum, an array and an alternate.
ENTITIES = [
    {"name": "blockdev-add", "meta-type": "command", "arg-type": "1", "ret-type": "0"},
    {"name": "STOP", "meta-type": "event", "arg-type": "0"},
    {"name": "0", "meta-type": "object", "members": []},
    {
        "name": "1",
        "meta-type": "object",
        "tag": "driver",
        "members": [
            {"name": "driver", "type": "2"},
            {"name": "read-only", "type": "bool", "default": None},
            {"name": "rules", "type": "[4]", "default": None},
        ],
        "variants": [{"case": "raw", "type": "3"}, {"case": "null", "type": "0"}],
    },
    {"name": "2", "meta-type": "enum", "values": ["raw", "null"], "members": [{"name": "raw"}, {"name": "null"}]},
    {"name": "3", "meta-type": "object", "members": [{"name": "file", "type": "5"}]},
    {"name": "[4]", "meta-type": "array", "element-type": "4"},
    {"name": "4", "meta-type": "object", "members": [{"name": "match", "type": "str"}]},
    {"name": "5", "meta-type": "alternate", "members": [{"type": "1"}, {"type": "str"}]},
    {"name": "str", "meta-type": "builtin", "json-type": "string"},
    {"name": "bool", "meta-type": "builtin", "json-type": "boolean"},
]


@pytest.fixture
def schema() -> Iterator[Schema]:
    with connected(expect("query-qmp-schema", reply=ENTITIES)) as monitor:
        yield Schema(monitor)


def test_commands_and_events_are_known_by_name_and_asked_for_once(schema: Schema) -> None:
    assert schema.has_command("blockdev-add")
    assert not schema.has_command("STOP")
    assert not schema.has_command("cpu-add")
    assert schema.has_event("STOP")
    assert not schema.has_event("blockdev-add")


def test_a_commands_arguments_are_those_of_all_its_variants(schema: Schema) -> None:
    assert schema.command_arguments("blockdev-add") == {
        "driver": Member(optional=False, type="enum"),
        "read-only": Member(optional=True, type="boolean"),
        "rules": Member(optional=True, type="array"),
        "file": Member(optional=False, type="alternate"),
    }


def test_a_command_that_is_not_there_takes_nothing(schema: Schema) -> None:
    assert schema.command_arguments("cpu-add") == {}
    assert not schema.has_member("cpu-add", "id")


@pytest.mark.parametrize(
    "path, known",
    [
        (["driver"], True),
        (["file"], True),
        (["file", "file", "read-only"], True),
        (["rules", "match"], True),
        (["driver", "raw"], False),
        (["read-only", "x"], False),
        (["match"], False),
        (["file", "match"], False),
    ],
)
def test_a_member_is_found_along_its_path(schema: Schema, path: list[str], known: bool) -> None:
    assert schema.has_member("blockdev-add", *path) is known


def test_a_devices_properties_are_asked_for_once_and_keep_type_description_and_default() -> None:
    listed = [
        {"name": "serial", "type": "str"},
        {"name": "num-queues", "type": "uint16", "description": "how many", "default-value": 65535},
    ]
    with connected(expect("device-list-properties", {"typename": "virtio-blk-pci"}, reply=listed)) as monitor:
        schema = Schema(monitor)
        for _count in range(2):
            assert schema.device_properties("virtio-blk-pci") == {
                "serial": {"type": "str", "description": ""},
                "num-queues": {"type": "uint16", "description": "how many", "default": 65535},
            }


def test_an_unknown_driver_is_qemus_own_error() -> None:
    error = ("DeviceNotFound", "Device 'nope' not found")
    with connected(expect("device-list-properties", {"typename": "nope"}, error=error)) as monitor:
        with pytest.raises(CommandError) as caught:
            Schema(monitor).device_properties("nope")
    assert caught.value.qmp_class == "DeviceNotFound"
