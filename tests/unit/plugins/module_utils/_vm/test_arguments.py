# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The arguments of commands, checked against the schemas of real QEMUs."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils._vm.errors import InvalidOption
from ansible_collections.vmops.qemu.plugins.module_utils._vm.model import arguments
from ansible_collections.vmops.qemu.plugins.module_utils._vm.model.arguments import check_arguments
from ansible_collections.vmops.qemu.plugins.module_utils.qmp import Schema
from ansible_collections.vmops.qemu.tests.support import recordings

FILE = {"driver": "file", "filename": "/f"}


@pytest.fixture(params=recordings.of("mixed"), ids=str)
def schema(request: pytest.FixtureRequest) -> Schema:
    return recordings.hardware(request.param).schema


@pytest.mark.parametrize(
    ("command", "given"),
    [
        ("query-status", {}),
        ("no-such-command", {"any": 1}),
        ("device_add", {"driver": "x", "id": "a", "a-property": [1]}),
        ("blockdev-add", {"driver": "qcow2", "node-name": "a", "file": FILE}),
        ("blockdev-add", {"driver": "qcow2", "file": "a-node", "overlap-check": "all", "l2-cache-size": 1 << 20}),
        ("blockdev-add", {"driver": "qcow2", "file": "a-node", "overlap-check": {"template": "none", "main-header": True}}),
        ("blockdev-add", {"driver": "qcow2", "file": "a-node", "backing": None}),
        ("blockdev-reopen", {"options": [{"driver": "raw", "file": "a"}]}),
        ("object-add", {"qom-type": "memory-backend-ram", "id": "m", "size": 1 << 20, "host-nodes": [0, 1]}),
        ("block-dirty-bitmap-merge", {"node": "a", "target": "b", "bitmaps": ["c", {"node": "d", "name": "e"}]}),
        ("balloon", {"value": 1 << 63}),
        ("human-monitor-command", {"command-line": "info version"}),
    ],
)
def test_valid_arguments_are_accepted(schema: Schema, command: str, given: dict[str, Any]) -> None:
    check_arguments(schema, command, given)


@pytest.mark.parametrize(
    ("command", "given", "said"),
    [
        ("blockdev-add", {"file": FILE}, ["driver"]),
        ("blockdev-add", {"driver": "qcow3", "file": FILE}, ["qcow3", "qcow"]),
        ("blockdev-add", {"driver": 5, "file": FILE}, ["driver", "string", "whole number"]),
        ("blockdev-add", {"driver": "qcow2"}, ["file"]),
        ("blockdev-add", {"driver": "qcow2", "file": 5}, ["file", "object or string"]),
        ("blockdev-add", {"driver": "qcow2", "file": {**FILE, "filenam": "x"}}, ["file.filenam", "filename"]),
        ("blockdev-add", {"driver": "qcow2", "file": "a", "zzzzzz": 1}, ["zzzzzz", "backing"]),
        ("blockdev-add", {"driver": "qcow2", "file": "a", "lazy-refcounts": "on"}, ["lazy-refcounts", "boolean", "a string"]),
        ("blockdev-add", {"driver": "null-co", "size": -1}, ["size"]),
        ("blockdev-add", {"driver": "raw", "file": {"driver": "null-aio", "size": -1}}, ["file.size"]),
        ("blockdev-reopen", {"options": []}, ["options"]),
        ("blockdev-reopen", {"options": [{"driver": "raw", "file": {"driver": "null-co", "size": -5}}]}, ["options"]),
        ("blockdev-reopen", {"options": {"driver": "raw"}}, ["options", "array", "an object"]),
        ("object-add", {"qom-type": "memory-backend-ram", "id": "m", "size": -1}, ["size"]),
        ("object-add", {"qom-type": "memory-backend-ram", "id": "m", "size": True}, ["size", "int", "a boolean"]),
        ("object-add", {"qom-type": "memory-backend-ram", "id": "m", "size": 1 << 65}, ["size", "64 bits"]),
        ("object-add", {"qom-type": "memory-backend-ram", "id": "m", "size": 1.5}, ["size", "a number"]),
        ("object-add", {"qom-type": "memory-backend-ram", "id": None, "size": 1}, ["id", "null"]),
        ("object-add", {"qom-type": "memory-backend-ram", "id": [], "size": 1}, ["id", "an array"]),
        ("object-add", {"qom-type": "memory-backend-ram", "id": b"x", "size": 1}, ["id", "another type"]),
        ("query-status", {"verbose": True}, ["verbose", "none"]),
    ],
)
def test_invalid_arguments_are_named_with_their_path(
    schema: Schema, command: str, given: dict[str, Any], said: list[str]
) -> None:
    with pytest.raises(InvalidOption) as error:
        check_arguments(schema, command, given)
    assert all(word in str(error.value) for word in said), error.value


def test_a_secret_in_the_wrong_place_is_not_shown(schema: Schema) -> None:
    with pytest.raises(InvalidOption) as error:
        check_arguments(schema, "object-add", {"qom-type": "secret", "id": {"data": "hunter2"}})
    assert "hunter2" not in str(error.value)


def test_the_arguments_of_a_task_are_named_as_the_task_has_them(schema: Schema) -> None:
    with pytest.raises(InvalidOption, match="^The backend .*backend.filenam"):
        arguments.check_members(schema, "blockdev-add", {"driver": "file", "filenam": "/f"}, "The backend", "backend")
    arguments.check_members(schema, "no-such-command", {"driver": "file"}, "The backend", "backend")


@pytest.mark.parametrize(
    ("case", "member", "given", "natural"),
    [
        ("qcow2", "lazy-refcounts", "yes", True),
        ("qcow2", "lazy-refcounts", "perhaps", "perhaps"),
        ("qcow2", "l2-cache-size", "4096", 4096),
        ("qcow2", "l2-cache-size", "4k", "4k"),
        ("nfs", "server", {"type": "inet", "host": 7}, {"type": "inet", "host": "7"}),
        ("quorum", "children", ["a"], ["a"]),
        ("qcow2", "nosuch", "1", "1"),
    ],
)
def test_text_of_a_survey_becomes_what_the_schema_has(schema: Schema, case: str, member: str, given: Any, natural: Any) -> None:
    assert arguments.natural(schema, "blockdev-add", case, member, given) == natural
    assert arguments.natural(schema, "no-such-command", case, member, given) == given


def test_a_type_is_checked_and_converted_by_its_name(schema: Schema) -> None:
    name = schema.member_types(str(schema.argument_type("blockdev-add")), "nfs")["server"]
    assert arguments.natural_type(schema, name, {"type": "inet", "host": "h", "x": 1}) == {"type": "inet", "host": "h", "x": 1}
    arguments.check_type(schema, name, {"type": "inet", "host": "h"}, "The backend", "backend.server")
    with pytest.raises(InvalidOption, match="backend.server.hos"):
        arguments.check_type(schema, name, {"type": "inet", "hos": "h"}, "The backend", "backend.server")
