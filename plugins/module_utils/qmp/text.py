# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text on its way out: what QEMU cannot read, and what a terminal would take for a command."""

from __future__ import annotations

import re
from typing import Any

# Non-characters, of every plane, and halves of surrogate pairs: QEMU's JSON parser refuses the whole command and answers
# without its id (7.2, 10.0). NUL it takes, and then ends the text there.
_UNREADABLE = re.compile(
    "[\0\ud800-\udfff\ufdd0-\ufdef" + "".join(chr(plane << 16 | last) for plane in range(17) for last in (0xFFFE, 0xFFFF)) + "]"
)
# Controls but for tab and line feed, those of C1, what turns or hides the direction of text, line separators, halves of surrogate
# pairs and the byte order mark.
_CONTROL = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")


def unreadable(text: str) -> str | None:
    """The first character of *text* that QEMU does not read, in the form U+FFFF; None if there is none."""
    found = _UNREADABLE.search(text)
    return None if found is None else f"U+{ord(found.group()):04X}"


def printable(text: str) -> str:
    """*text* with what would control a terminal made visible, such as ``\\x1b`` for an escape.

    For what a person reads, and not for what goes back to QEMU: names go back as they came. A carriage return before a line
    feed, which ends each line of QEMU's human monitor, is left out.
    """
    if _CONTROL.search(text) is None:
        return text
    return _CONTROL.sub(_escape, text.replace("\r\n", "\n"))


def printable_value(value: Any) -> Any:
    """A copy of *value*, of JSON types, with all its texts :func:`printable`, keys too; itself where they all are.

    Made without recursion, for a reply may nest deeper than Python's stack has room.
    """
    whole = [value]
    pending: list[Any] = [whole]
    while pending:
        copy = pending.pop()
        if isinstance(copy, dict) and any(isinstance(key, str) and _CONTROL.search(key) for key in copy):
            members = list(copy.items())
            copy.clear()
            copy.update((printable(key) if isinstance(key, str) else key, member) for key, member in members)
        for key, member in list(copy.items() if isinstance(copy, dict) else enumerate(copy)):
            if isinstance(member, str):
                copy[key] = printable(member)
            elif isinstance(member, (dict, list, tuple)):
                copy[key] = list(member) if isinstance(member, tuple) else member.copy()
                pending.append(copy[key])
    return whole[0]


def _escape(found: re.Match[str]) -> str:
    code = ord(found.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
