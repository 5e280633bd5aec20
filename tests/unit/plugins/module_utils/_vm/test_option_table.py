# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of options: arguments, comparison, unverified options and results come from the same rows."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils._vm.devices.option_table import (
    UNSET,
    Difference,
    Option,
    arguments,
    compare,
    planned_options,
    present_values,
    results,
    rows_for,
    values_of,
    without_defaults,
)
from ansible_collections.vmops.qemu.plugins.module_utils._vm.errors import InvalidOption

ROWS = (
    Option("format", "driver", lambda present: present["driver"]),
    Option("cache.direct", "cache.direct", lambda present: present.get("direct"), default=False),
    Option("discard", "discard"),
    Option(
        "host", "addr.host", lambda present: present.get("host", UNSET), lambda present, value: present["host"] == value.lower()
    ),
    Option("options.net", "net", lambda present: present.get("net"), partial=True),
)
PARAMS = {"format": "raw", "cache": {"direct": True}, "discard": None, "host": "A", "options": {"net": "10.0.0.0/8", "x": 1}}
PRESENT: dict[str, Any] = {"driver": "raw", "direct": False, "host": "a", "net": "10.0.0.0/8"}


def test_what_a_task_sets_is_named_as_it_is_written() -> None:
    assert values_of(ROWS, PARAMS) == {"format": "raw", "cache.direct": True, "host": "A", "options.net": "10.0.0.0/8"}
    assert values_of(ROWS, PARAMS, "options") == {**values_of(ROWS, PARAMS), "options.x": 1}
    assert values_of(ROWS, {"options": {"host": "b"}}, "options") == {"options.host": "b"}


def test_arguments_have_qemus_names() -> None:
    values = values_of(ROWS, PARAMS, "options")
    rows = rows_for(ROWS, values)
    assert arguments(rows, values) == {
        "driver": "raw",
        "cache": {"direct": True},
        "addr": {"host": "A"},
        "net": "10.0.0.0/8",
        "x": 1,
    }


def test_differences_and_unverified_options_have_the_options_names() -> None:
    values = {**values_of(ROWS, PARAMS, "options"), "discard": "unmap"}
    different, unverified = compare(rows_for(ROWS, values), values, PRESENT)
    assert different == [Difference("cache.direct", False, True)]
    assert unverified == ["options.x", "discard"]


def test_an_option_in_qemus_spelling_is_compared_as_the_option_of_its_own() -> None:
    values = {"options.driver": "qcow2"}
    assert compare(rows_for(ROWS, values), values, PRESENT) == ([Difference("options.driver", "raw", "qcow2")], [])


def test_one_option_that_is_set_in_two_ways_is_refused() -> None:
    with pytest.raises(InvalidOption, match="format and options.driver set the same option"):
        rows_for(ROWS, {"format": "raw", "options.driver": "raw"})


def test_results_are_the_options_that_would_set_the_same() -> None:
    assert results(ROWS, PRESENT) == {"format": "raw", "cache": {"direct": False}, "host": "a"}
    assert results(ROWS, {"driver": "raw"}) == {"format": "raw"}


def test_a_value_that_is_known_to_be_unset_differs_from_every_value() -> None:
    row = Option("host", "host", lambda present: UNSET)
    assert compare([row], {"host": "a"}, {}) == ([Difference("host", None, "a")], [])
    assert repr(UNSET) == "UNSET"


@pytest.mark.parametrize(
    ("same", "expected"), [(True, ([], [])), (None, ([], ["host"])), (False, ([Difference("host", "b", "a")], []))]
)
def test_a_row_can_have_a_comparison_of_its_own(same: bool | None, expected: object) -> None:
    row = Option("host", "host", lambda present: "b", lambda present, value: same)
    assert compare([row], {"host": "a"}, {}) == expected


def test_a_result_is_known_before_the_subject_exists() -> None:
    values = {"format": "raw", "discard": "unmap"}
    assert planned_options(ROWS, values) == results(ROWS, {"driver": "raw", "direct": False})
    assert planned_options(ROWS, {**values, "cache.direct": True}) == results(ROWS, {"driver": "raw", "direct": True})


def test_present_values_are_set_again_without_those_that_qemu_takes_by_itself() -> None:
    values = present_values(ROWS, {"driver": "raw", "direct": False})
    assert values == {"format": "raw", "cache.direct": False}
    assert without_defaults(ROWS, values) == {"format": "raw"}
    assert without_defaults(ROWS, {"cache.direct": True}) == {"cache.direct": True}
