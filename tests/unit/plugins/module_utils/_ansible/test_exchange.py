# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The exchange with QEMU in a result: readable, bounded, without secrets, and never in the way of the work."""

from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping

import pytest
import yaml

from ansible_collections.vmops.qemu.plugins.module_utils._ansible.exchange import Exchange
from ansible_collections.vmops.qemu.plugins.module_utils._ansible.masking import Masking, no_secret_places


def kept(*messages: Dict[str, Any], mask: Any = dict) -> List[str]:
    """The lines for what was received, without times."""
    exchange = Exchange(mask)
    for message in messages:
        exchange("receive", message)
    lines: List[str] = exchange.result()["exchange"]
    assert all(re.match(r"0\.\d{3} <- |\(", line) for line in lines)
    return [line.split(" <- ")[-1] for line in lines]


def test_a_task_that_did_not_connect_has_no_exchange() -> None:
    assert Exchange(dict).result() == {}


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "/a/b:c",
        "true",
        "No",
        "null",
        "1",
        "1.5",
        "",
        " x ",
        "a: b",
        "a, b",
        "*x",
        "- x",
        "#",
        "{}",
        'q"q',
        "it's",
        "\n",
        "ü",
    ],
)
def test_a_line_is_yaml_with_the_same_meaning(text: str) -> None:
    message = {"return": [{"a": text, text: [1, True, None, 1.5, {}, []]}], "id": 3}
    (line,) = kept(message)
    assert "\n" not in line and yaml.safe_load(line) == message


def test_long_messages_are_cut_and_of_many_the_middle_is_omitted() -> None:
    (line,) = kept({"return": [{"name": f"n{number}"} for number in range(100_000)]})
    assert line.startswith("{return: [{name: n0}, {name: n1}, ") and len(line) == 1001
    assert len(kept({"return": "x" * 100_000})[0]) == 1001
    lines = kept(*({"id": number} for number in range(1000)))
    assert lines[299:303] == ["{id: 299}", "(400 messages are not shown)", "{id: 700}", "{id: 701}"] and len(lines) == 601


def test_a_secret_that_reaches_over_the_end_is_hidden() -> None:
    secret = "hunter2" * 20
    masking = Masking({"passphrase": secret}, {"passphrase": {"type": "str", "no_log": True}}, {}, no_secret_places)
    for start in range(900, 1010):
        (line,) = kept({"return": f"{'x' * start}{secret}"}, mask=masking.result)
        assert "hunter" not in line and "xh" not in line


def test_what_cannot_be_shown_does_not_stop_the_work() -> None:
    deep: Any = {}
    for _time in range(5000):
        deep = {"a": deep}
    assert kept({"return": deep})[0].startswith("{return: {a: {a: ")

    def fail(message: Mapping[str, Any]) -> Dict[str, Any]:
        raise RecursionError

    assert kept({"id": 1}, mask=fail) == ["(a message that cannot be shown: RecursionError)"]
