# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replies against the shape that they must have."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils.qmp import ProtocolError, check

SHAPE = [{"name": str, "count?": int, "props": {"*": int}, "any": object}]


@pytest.mark.parametrize(
    "reply",
    [
        [],
        [{"name": "a", "props": {}, "any": None}],
        [{"name": "a", "count": 1, "props": {"x": 1}, "any": [1], "more": True}],
    ],
)
def test_a_reply_that_fits(reply: Any) -> None:
    check("query-x", reply, SHAPE)


@pytest.mark.parametrize(
    ("reply", "path"),
    [
        ({}, "return is an object, not a list"),
        ([None], r"return\[0\] is null, not an object"),
        ([{"props": {}, "any": 1}], r"return\[0\] has no name"),
        ([{"name": 1, "props": {}, "any": 1}], r"return\[0\].name is a whole number, not a string"),
        ([{"name": "a", "count": True, "props": {}, "any": 1}], r"return\[0\].count is a boolean, not a whole number"),
        ([{"name": "a", "props": {"x": 0.5}, "any": 1}], r"return\[0\].props.\* is a number, not a whole number"),
        ([{"name": "a", "props": {}}], r"return\[0\] has no any"),
    ],
)
def test_a_reply_that_does_not_fit_is_reported_with_the_path_of_its_part(reply: Any, path: str) -> None:
    with pytest.raises(ProtocolError, match="query-x: QEMU's reply is not as documented: " + path):
        check("query-x", reply, SHAPE)
