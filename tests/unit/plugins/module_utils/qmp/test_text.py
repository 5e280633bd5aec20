# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text on its way out: to QEMU, and to a person."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils.qmp import (
    CommandError,
    ProtocolError,
    make_printable,
    printable,
    unreadable,
)


@pytest.mark.parametrize(
    "text, found",
    [
        ("", None),
        ("plain", None),
        ("Grüße 世界 😀 \x01\x1b\x7f\ufffd\U0010fffd", None),
        ("a\0b", "U+0000"),
        ("\ufdcf\ufdef", "U+FDEF"),
        ("\ufffe", "U+FFFE"),
        ("\U0001ffff", "U+1FFFF"),
        ("\U0010fffe", "U+10FFFE"),
        ("\ud83d", "U+D83D"),
    ],
)
def test_the_first_character_that_qemu_does_not_read_is_found(text: str, found: Any) -> None:
    assert unreadable(text) == found


@pytest.mark.parametrize(
    "text, visible",
    [
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\rb", "a\\x0db"),
        ("a\r\nb\n\tc", "a\nb\n\tc"),
        ("\x9b2J\x85", "\\x9b2J\\x85"),
        ("\u202egpj.exe\u2066", "\\u202egpj.exe\\u2066"),
        ("\ud800x", "\\ud800x"),
        ("\0\x07\x08\x7f", "\\x00\\x07\\x08\\x7f"),
        ("\u2028\u2029\ufeff", "\\u2028\\u2029\\ufeff"),
        ('Grüße, 世界 😀 \\ "quoted"', 'Grüße, 世界 😀 \\ "quoted"'),
    ],
)
def test_what_would_control_a_terminal_is_made_visible_and_nothing_else(text: str, visible: str) -> None:
    assert printable(text) == visible
    value = {"plain": {text: [text, (text, 1, None)]}}
    make_printable(value)
    assert value == {"plain": {visible: [visible, [visible, 1, None]]}}


def test_no_character_that_controls_a_terminal_is_taken_for_a_printable_one() -> None:
    ranges = ((0, 8), (0xB, 0x1F), (0x7F, 0x9F), (0x200E, 0x200F), (0x2028, 0x202E), (0x2066, 0x2069), (0xD800, 0xDFFF))
    controls = [0x61C, 0xFEFF, *range(0xFFF9, 0xFFFC), *(code for first, last in ranges for code in range(first, last + 1))]
    assert [code for code in controls if chr(code) in printable(chr(code))] == []


def test_errors_of_qemu_are_printable_and_keep_what_came() -> None:
    error = CommandError("GenericError", "no \x1b[2Jfile", "blockdev-add")
    assert (str(error), error.desc) == ("blockdev-add: no \\x1b[2Jfile", "no \x1b[2Jfile")
    assert str(ProtocolError("a\rb", "stop")) == "stop: a\\x0db"


def test_what_nests_too_deep_to_be_shown_is_left_out() -> None:
    deep: Any = "end"
    for _level in range(100000):
        deep = [deep]
    value = {"deep": deep, "flat": "x"}
    make_printable(value)
    assert value["flat"] == "x"
    assert str(value).count("[") == 99 and "nests too deep" in str(value)


def test_texts_that_are_too_long_together_are_left_out() -> None:
    value = {"a": "x" * (10 << 20), "b": ["y" * (5 << 20), "é" * (1 << 20), "z"]}
    make_printable(value)
    assert len(value["a"]) == 10 << 20 and len(value["b"][0]) == 5 << 20
    assert value["b"][1] == "(1048576 characters, too many to be shown)"
