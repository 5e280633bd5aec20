# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values that a hostile peer or a hostile survey sends."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

EVIL = (
    "",
    " ",
    ",",
    ",,",
    "a,b",
    "a,script=/tmp/x",
    "=",
    "a=b",
    "'",
    '"',
    '"}{"execute":"quit"}',
    '\r\n{"execute":"quit"}\r\n',
    "\n",
    "\0",
    "a\0b",
    "é",
    "²",
    "１",
    "\u202e",
    "😀",
    "../../etc/passwd",
    "/machine/peripheral",
    "$(reboot)",
    ";reboot",
    "%s%n",
    "{}",
    "{{ lookup('pipe', 'id') }}",
    "-1",
    "0x",
    "1e999",
    "NaN",
    "9" * 300,
    "x" * 100_000,
    "json:{",
    "json:[1]",
    "on",
    "#block1",
)

HALF = "\ud800"
"""Half a character, which JSON can express and UTF-8 cannot. A peer may send it. Ansible never passes it on."""

texts = st.one_of(st.sampled_from(EVIL), st.text(max_size=20))
numbers = st.one_of(st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False, allow_infinity=False))
scalars = st.one_of(st.none(), st.booleans(), numbers, texts)
anything = st.recursive(
    scalars, lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)), max_leaves=8
)
"""JSON values."""
objects = st.dictionaries(st.text(max_size=8), anything, max_size=5)


def paths_in(value: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path to every value inside *value*, itself first. Of a list only the first six: the others are like them."""
    found = [above]
    members = value.items() if isinstance(value, dict) else enumerate(value[:6]) if isinstance(value, list) else ()
    for key, member in members:
        found += paths_in(member, (*above, key))
    return found


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy of *value* with *new* at *path*. If *new* is ``...``, there is nothing at *path*."""
    if not path:
        return None if new is ... else new
    key, *rest = path
    copy = list(value) if isinstance(value, list) else dict(value)
    if new is ... and not rest:
        del copy[key]
    else:
        copy[key] = replaced(value[key], tuple(rest), new)
    return copy
