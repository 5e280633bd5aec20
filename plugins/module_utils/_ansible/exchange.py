# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The messages between a task and QEMU, which its result has with -vvv."""

from __future__ import annotations

import json
import re
import time
from collections import deque
from typing import Any, Callable, Iterator, Mapping

_FIRST = _LAST = 300
"""Messages that are kept of the beginning and of the end of the exchange."""
_LONGEST = 1000
"""Characters of a message that are kept."""
_ARROWS = {"send": "->", "receive": "<-"}
_PLAIN = re.compile(r"[A-Za-z/_][\w./+-]*(:[\w./+-]+)*", re.ASCII)
_WORDS = ("true", "false", "yes", "no", "on", "off", "y", "n", "null")
"""Texts that YAML without quotes takes for another type."""


class Exchange:
    """A tracer for a monitor, which keeps the messages as lines of text, without secrets. It keeps a limited number of them.

    *mask* returns a message without the secrets of the task. The engine has removed those that are secrets by their position.
    """

    def __init__(self, mask: Callable[[Mapping[str, Any]], dict[str, Any]]) -> None:
        self._mask = mask
        self._began = time.monotonic()
        self._count = 0
        self._first: list[str] = []
        self._last: deque[str] = deque(maxlen=_LAST)

    def __call__(self, direction: str, message: dict[str, Any]) -> None:
        """Keep a message. Never raises an exception, which would interrupt the work."""
        try:
            text = self._text(message)
        except Exception as error:  # such as a RecursionError
            text = f"(a message that cannot be shown: {type(error).__name__})"
        self._count += 1
        kept = self._first if len(self._first) < _FIRST else self._last
        kept.append(f"{time.monotonic() - self._began:.3f} {_ARROWS[direction]} {text}")

    def result(self) -> dict[str, Any]:
        """The member ``exchange`` of the result: a line for each message, with the seconds since the task began."""
        omitted = self._count - len(self._first) - len(self._last)
        note = [f"({omitted} messages are not shown)"] if omitted else []
        return {"exchange": [*self._first, *note, *self._last]} if self._count else {}

    def _text(self, message: Mapping[str, Any]) -> str:
        text = ""
        for part in _flow(self._mask(_beginning(message))):
            text += part
            if len(text) > _LONGEST:
                return f"{text[:_LONGEST]}…"
        return text


def _beginning(message: Mapping[str, Any]) -> dict[str, Any]:
    """A copy with the members that can be shown in one line. Texts remain whole, so that secrets in them are recognised."""
    copy: dict[str, Any] = {}
    pending: list[tuple[Any, Iterator[tuple[Any, Any]]]] = [(copy, iter(message.items()))]
    left = _LONGEST
    while pending and left > 0:
        target, members = pending[-1]
        one = next(members, None)
        if one is None:
            pending.pop()
            continue
        key, member = one
        left -= 2 + sum(len(text) for text in one if isinstance(text, str))
        if isinstance(member, dict):
            inner: Any = {}
            pending.append((inner, iter(member.items())))
        elif isinstance(member, list):
            inner = []
            pending.append((inner, enumerate(member)))
        else:
            inner = member
        if isinstance(target, dict):
            target[key] = inner
        else:
            target.append(inner)
    return copy


def _flow(value: Any) -> Iterator[str]:
    """*value* in YAML on one line, in parts. It has few quotes, which Ansible would escape when it shows the result."""
    if isinstance(value, dict):
        yield "{"
        for number, (key, member) in enumerate(value.items()):
            yield f"{', ' if number else ''}{_scalar(key)}: "
            yield from _flow(member)
        yield "}"
    elif isinstance(value, list):
        yield "["
        for number, member in enumerate(value):
            yield ", " if number else ""
            yield from _flow(member)
        yield "]"
    else:
        yield _scalar(value)


def _scalar(value: Any) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return json.dumps(value, ensure_ascii=False)
