# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shape that a reply must have, for the parts of it that are read: checked once on arrival, so that no reader has to.

A shape is a type (``bool`` is not an ``int``, ``object`` is anything); ``[shape]``, a list of such values; or an object with at
least the members ``{"name": shape, "name?": shape}``, where ``?`` means that it may be missing and ``"*"`` stands for every
member.
"""

from __future__ import annotations

import sys
from typing import Any

from .errors import ProtocolError

Shape = Any


def check(command: str, reply: Any, shape: Shape) -> None:
    """Raise ProtocolError, which names the part, unless *reply* to *command* has the *shape*."""
    mismatch = _mismatch(reply, shape, "return")
    if mismatch:
        raise ProtocolError(f"QEMU's reply is not as documented: {mismatch}.", command)


def _mismatch(value: Any, shape: Shape, place: str) -> str:
    """Why *value* does not have the shape, "" if it has. It goes no deeper than the shape does."""
    kind = shape if isinstance(shape, type) else type(shape)
    if not is_a(value, kind):
        return f"{place} is {_NAMES.get(type(value), 'null')}, not {_NAMES[kind]}"
    mismatch = ""
    if isinstance(shape, list):
        found = (_mismatch(item, shape[0], f"{place}[{number}]") for number, item in enumerate(value))
        mismatch = next(filter(None, found), "")
    elif isinstance(shape, dict):
        found = (_member_mismatch(value, name, inner, place) for name, inner in shape.items())
        mismatch = next(filter(None, found), "")
    return mismatch


def _member_mismatch(value: dict[str, Any], name: str, shape: Shape, place: str) -> str:
    if name == "*":
        return next(filter(None, (_mismatch(item, shape, f"{place}.*") for item in value.values())), "")
    plain = name.rstrip("?")
    if plain in value:
        return _mismatch(value[plain], shape, f"{place}.{plain}")
    return "" if plain != name else f"{place} has no {plain}"


def is_a(value: Any, kind: type) -> bool:
    """Whether *value* is of the JSON type *kind*."""
    return isinstance(value, kind) and not (isinstance(value, bool) and kind in (int, float))


def memory_of(value: Any) -> int:
    """The bytes of memory that *value*, of JSON types, takes; equal names are one string. Without recursion, because it may nest
    deeper than Python's stack has room."""
    total, pending = sys.getsizeof(value), [value] if isinstance(value, (dict, list, tuple)) else []
    names: set[str] = set()
    while pending:
        whole = pending.pop()
        if isinstance(whole, dict):
            names.update(whole)
        for member in whole.values() if isinstance(whole, dict) else whole:
            total += sys.getsizeof(member)
            if isinstance(member, (dict, list, tuple)):
                pending.append(member)
    return total + sum(map(sys.getsizeof, names))


_NAMES = {str: "a string", int: "a whole number", float: "a number", bool: "a boolean", list: "a list", dict: "an object"}
