# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Characters that QEMU cannot read, and characters that would control a terminal."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

# Non-characters, of every plane, and halves of surrogate pairs: QEMU's JSON parser rejects the whole command and replies
# without its id (7.2, 10.0). It accepts NUL, but ends the text there.
_UNREADABLE = (
    "[\0\ud800-\udfff\ufdd0-\ufdef" + "".join(chr(plane << 16 | last) for plane in range(17) for last in (0xFFFE, 0xFFFF)) + "]"
)
# Controls except tab and line feed, those of C1, marks that change the direction of text, line separators, halves of surrogate
# pairs and the byte order mark.
_CONTROLS = (
    (0x00, 0x08),
    (0x0B, 0x1F),
    (0x7F, 0x9F),
    (0x061C, 0x061C),
    (0x200E, 0x200F),
    (0x2028, 0x202E),
    (0x2066, 0x2069),
    (0xD800, 0xDFFF),
    (0xFEFF, 0xFEFF),
    (0xFFF9, 0xFFFB),
)
_CONTROL = "[" + "".join(f"{chr(first)}-{chr(last)}" for first, last in _CONTROLS) + "]"
_DEEPEST = 100  # levels of a value that are shown; Ansible itself fails at some 300
_LONGEST = 16 * 1024 * 1024  # characters of all texts of a value together that are shown, as JSON has them


def unreadable(text: str) -> str | None:
    """The first character of *text* that QEMU cannot read, in the form U+FFFF; None if there is none."""
    if text.isascii() and "\0" not in text:
        return None
    found = re.search(_UNREADABLE, text)  # compiled when it is first needed
    return None if found is None else f"U+{ord(found.group()):04X}"


def printable(text: str) -> str:
    """*text* with visible escapes for characters that would control a terminal, such as ``\\x1b``.

    For text that a person reads, not for names that are sent back to QEMU. A carriage return before a line feed, which ends each
    line of QEMU's human monitor, is omitted.
    """
    if not _has_controls(text):
        return text
    return text.replace("\r\n", "\n").translate(_visible())


def _has_controls(text: str) -> bool:
    return not text.isprintable() and re.search(_CONTROL, text) is not None


@lru_cache(maxsize=None)
def _visible() -> dict[int, str]:
    """What stands for each control. It is made when it is first needed."""
    codes = (code for first, last in _CONTROLS for code in range(first, last + 1))
    return {code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" for code in codes}


def make_printable(value: dict[str, Any]) -> None:
    """Make all texts in *value*, of JSON types, :func:`printable`, keys too; replace those that are too long, or nest too deep,
    to be shown.

    In place, because the value may be large, and without recursion, because it may nest deeper than Python's stack has room.
    """
    pending: list[tuple[Any, int]] = [(value, 1)]
    left = _LONGEST
    while pending:
        whole, depth = pending.pop()
        if isinstance(whole, dict) and any(isinstance(key, str) and _has_controls(key) for key in whole):
            members = list(whole.items())
            whole.clear()
            whole.update((printable(key) if isinstance(key, str) else key, member) for key, member in members)
        for key, member in whole.items() if isinstance(whole, dict) else enumerate(whole):
            if isinstance(member, str):
                shown = printable(member)
                left -= len(shown) if shown.isascii() else 6 * len(shown)
                whole[key] = shown if left >= 0 else f"({len(member)} characters, too many to be shown)"
            elif isinstance(member, (dict, list, tuple)):
                if depth == _DEEPEST:
                    whole[key] = "(nests too deep to be shown)"
                    continue
                if isinstance(member, tuple):
                    whole[key] = member = list(member)
                pending.append((member, depth + 1))
