# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bytes in, JSON objects out: an incremental decoder of a stream of JSON objects without a separator."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from .errors import ProtocolError

MAX_MESSAGE = 8 * 1024 * 1024  # bytes of one message; query-named-block-nodes has 487 kB for 1000 nodes
MAX_COST = 40 * 1024 * 1024  # bytes of memory that one parsed message may take; 4000 block nodes take less
MAX_DEPTH = 512  # levels of nesting; below Python's own limit, so that this decoder refuses first

# The most memory in bytes that a value takes: 64-bit CPython from 3.8 on, measured with sys.getsizeof.
_OBJECT = 240  # with room for 5 members
_ARRAY = 96  # with room for 4 items
_STRING = 56  # besides its characters; also for a key, although equal keys of one message are one string
_MEMBER = 110  # of an object or an array: its part of the table, and a number

_INTEGER = 20  # characters of an integer; QEMU's have 64 bits, and reading endless digits takes quadratic time
_EXCERPT = 60  # bytes of malformed input that an error shows
_ROUNDS = 16  # of removing pairs of brackets; each removes one level at least, and QEMU's messages have fewer
_MOST_QUOTES = 100_000  # in a text that is split at them, which takes 50 bytes each for the moment
_NO_BLANK = re.compile(rb"[^ \t\r\n]")
_BRACKET_OR_QUOTE = re.compile(rb'[\[\]{}"]')
_WIDE = re.compile(rb"[\xf0-\xff]|\\u[dD][89abAB]")  # a character that makes Python take 4 bytes for each of its text
_QUOTE_OR_ESCAPE = re.compile(rb'["\\]')
_NO_MARK = bytes(set(range(256)) - set(b'[]{}",\\'))
_CLOSER = {ord("{"): ord("}"), ord("["): ord("]")}
_CLOSERS = bytes.maketrans(b"{[", b"}]")


def _integer(digits: str) -> int:
    if len(digits) > _INTEGER:
        raise ValueError
    return int(digits)


def _number(text: str) -> float:
    """A number of JSON, which is finite: neither 1e999 nor the words NaN and Infinity, which Python would accept."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError
    return number


_JSON = json.JSONDecoder(parse_int=_integer, parse_float=_number, parse_constant=_number)


class Decoder:
    """Splits a byte stream into its top-level JSON objects.

    QEMU ends its messages with CRLF, but with ``pretty=on`` it also puts line ends into them: only the brackets show where a
    message ends. Nearly always a message is one line, so a whole line is parsed first. If that fails, the brackets decide: they
    are counted by chunks as long as a chunk cannot contain the end of the message, and one by one in the chunk that can. All of
    this is linear in the length of the stream, in whatever chunks it comes.

    A few bytes of JSON can become many bytes of memory (``{}`` becomes 64), so parsing is limited by the *cost* of a message: the
    bytes of memory that it takes, estimated from above before it is parsed.

    ``size``: bytes of the object that was returned last. ``cost``: its cost.
    """

    size = 0
    cost = 0

    def __init__(self, max_message: int = MAX_MESSAGE, max_depth: int = MAX_DEPTH, max_cost: int = MAX_COST) -> None:
        self._max_message = max_message
        self._max_depth = max_depth
        self._max_cost = max_cost
        self._buffer = bytearray()
        self._start = 0  # where the present value begins
        self._position = 0  # the first byte whose brackets are not counted yet
        self._closers = bytearray()  # the brackets that the present value still needs, innermost last
        self._in_string = False
        self._values_cost = 0  # of the present value, without its characters
        self._searched = 0  # up to here the present value has no line end
        self._line_tried = 0  # no value that starts before this is a whole line
        self._chunk_tried = 0  # up to here a chunk contains the end of a value

    def feed(self, data: bytes) -> Iterator[dict[str, Any]]:
        """The objects that *data* completes; exhaust it before the next call.

        Raises ProtocolError at malformed input, after the objects before it; the decoder cannot be used afterwards.
        """
        self._buffer += data
        while self._closers or self._find_start():
            message = self._take_line()
            if message is None:
                if not self._find_end():
                    break
                message = self._parse(self._cut())
            yield message
        if len(self._buffer) - self._start > self._max_message:
            raise self._too_long()
        del self._buffer[: self._start]
        self._position -= self._start
        self._searched -= self._start
        self._line_tried -= self._start
        self._chunk_tried -= self._start
        self._start = 0

    def _find_start(self) -> bool:
        """Between values: skip blanks; return True at the bracket that opens the next value."""
        found = _NO_BLANK.search(self._buffer, self._position)
        self._start = self._position = len(self._buffer) if found is None else found.start()
        self._values_cost = 0
        if found is None:
            return False
        if self._buffer[self._start] != ord("{"):
            raise self._malformed(self._buffer[self._start :])
        return True

    # -- a whole line

    def _take_line(self) -> dict[str, Any] | None:
        """The present value if it is a whole line, and within the limits for certain; otherwise None, and nothing is taken."""
        if self._start < self._line_tried:
            return None
        end = self._buffer.find(b"\n", max(self._start, self._searched))
        if end < 0:
            self._searched = len(self._buffer)
            return None
        self._line_tried = end
        if end - self._start > self._max_message:
            return None
        line = bytes(self._buffer[self._start : end])
        cost = self._line_cost(line)
        if cost is None or cost > self._max_cost:
            return None
        try:
            text = line.decode()
            value, length = _JSON.raw_decode(text)
        except (ValueError, RecursionError):
            return None
        if text[length:].strip(" \t\r"):
            return None
        self._start = self._position = end
        self._closers.clear()
        self._in_string = False
        self.size, self.cost = len(line.rstrip()), cost
        message: dict[str, Any] = value
        return message

    def _line_cost(self, line: bytes) -> int | None:
        """The cost of the present value if it is *line*; None where it may nest too deep, or where its brackets do not match."""
        if len(line) <= self._max_depth:
            return _marks_cost(line) + line.count(b'"') * _STRING // 2 + _text_cost(line)  # some may be in strings
        structure = _structure(line[self._position - self._start :], self._in_string)
        if structure is None or _unmatched(structure.outside) != bytes(self._closers[::-1]):
            return None
        if len(self._closers) + 2 * _ROUNDS > self._max_depth:
            return None
        return self._values_cost + _marks_cost(structure.outside) + structure.quotes * _STRING // 2 + _text_cost(line)

    # -- values by their brackets

    def _find_end(self) -> bool:
        """Move to the end of the present value, or of the buffer; return True at the end of a value."""
        if self._position == self._start:
            self._open(self._buffer[self._start])
            self._position += 1
        if self._position >= self._chunk_tried:
            if self._pass_chunk():
                return False
            self._chunk_tried = len(self._buffer)
        while True:
            pattern = _QUOTE_OR_ESCAPE if self._in_string else _BRACKET_OR_QUOTE
            found = pattern.search(self._buffer, self._position)
            if not self._in_string:
                self._count_commas(len(self._buffer) if found is None else found.start())
            if found is None:
                self._position = len(self._buffer)
                return False
            byte = self._buffer[found.start()]
            if byte == ord("\\"):
                if found.end() == len(self._buffer):  # return to it when the escaped byte is there
                    self._position = found.start()
                    return False
                self._position = found.end() + 1
                continue
            self._position = found.end()
            if byte == ord('"'):
                self._in_string = not self._in_string
                self._values_cost += _STRING // 2
            elif byte in _CLOSER:
                self._open(byte)
            elif byte != self._closers.pop():
                raise self._malformed(self._buffer[self._start : self._position])
            elif not self._closers:
                return True

    def _pass_chunk(self) -> bool:
        """Pass over the rest of the buffer if the present value goes on after it, and is within the limits for certain.

        Otherwise return False, and nothing is passed.
        """
        chunk = bytes(self._buffer[self._position :])
        if (len(chunk) - len(chunk.rstrip(b"\\"))) % 2:  # return to the last one when the escaped byte is there
            chunk = chunk[:-1]
        structure = _structure(chunk, self._in_string)
        unmatched = None if structure is None else _unmatched(structure.outside)
        if structure is None or unmatched is None:
            return False
        closed = unmatched.rstrip(b"{[")
        opened = unmatched[len(closed) :]
        left = len(self._closers) - len(closed)
        if left <= 0 or closed != self._closers[: left - 1 : -1] or left + len(opened) + 2 * _ROUNDS > self._max_depth:
            return False
        cost = _marks_cost(structure.outside) + structure.quotes * _STRING // 2
        if self._values_cost + cost > self._max_cost:
            return False
        self._closers[left:] = opened.translate(_CLOSERS)
        self._in_string = structure.ends_in_string
        self._values_cost += cost
        self._position += len(chunk)
        return True

    def _open(self, bracket: int) -> None:
        self._closers.append(_CLOSER[bracket])
        if len(self._closers) > self._max_depth:
            raise ProtocolError(f"QEMU sent a message that nests deeper than {self._max_depth} levels.")
        self._values_cost += _OBJECT if bracket == ord("{") else _ARRAY
        if self._values_cost > self._max_cost:
            raise self._too_much()

    def _count_commas(self, end: int) -> None:
        """Those from the present position on, outside of strings."""
        self._values_cost += self._buffer.count(b",", self._position, end) * _MEMBER
        if self._values_cost > self._max_cost:
            raise self._too_much()

    def _cut(self) -> bytes:
        text = bytes(self._buffer[self._start : self._position])
        self._start = self._position
        if len(text) > self._max_message:
            raise self._too_long()
        self.size = len(text)
        self.cost = self._values_cost + _text_cost(text)
        if self.cost > self._max_cost:
            raise self._too_much()
        return text

    def _parse(self, text: bytes) -> dict[str, Any]:
        try:
            value: dict[str, Any] = _JSON.decode(text.decode())
        except (ValueError, RecursionError):
            raise self._malformed(text) from None
        return value

    def _too_long(self) -> ProtocolError:
        return ProtocolError(f"QEMU sent a message of more than {self._max_message} bytes.")

    def _too_much(self) -> ProtocolError:
        return ProtocolError(f"QEMU sent a message that takes more than {self._max_cost} bytes of memory.")

    @staticmethod
    def _malformed(text: bytes | bytearray) -> ProtocolError:
        excerpt = bytes(text[:_EXCERPT]).decode("utf-8", "backslashreplace")
        return ProtocolError(f"The monitor sent something that is not a QMP message: {excerpt!r}.")


class _Structure(NamedTuple):
    """The brackets and commas of a text outside of its strings, the number of ``quotes`` around strings, and whether the text
    ends in a string."""

    outside: bytes
    quotes: int
    ends_in_string: bool


def _structure(text: bytes, in_string: bool) -> _Structure | None:
    """The structure of *text*, which begins *in_string*; None for one with too many quotes, and for one that is not JSON."""
    if b"\\" in text:
        text = text.replace(b"\\\\", b"\\.").replace(b'\\"', b"\\.")
    marks = text.translate(None, _NO_MARK)
    # two quotes side by side enclose nothing, or are between two strings: without them, the same marks are outside
    parts = marks.replace(b'""', b"").split(b'"', _MOST_QUOTES)
    outside = b"".join(parts[in_string::2])
    if b"\\" in outside or len(parts) > _MOST_QUOTES:
        return None
    quotes = marks.count(b'"')
    return _Structure(outside, quotes, in_string ^ bool(quotes % 2))


def _unmatched(outside: bytes) -> bytes | None:
    """The brackets that have no partner, closing ones first in well-formed JSON; None if the others nest too deep to find out."""
    brackets = outside.replace(b",", b"")
    for _round in range(_ROUNDS):
        rest = brackets.replace(b"{}", b"").replace(b"[]", b"")
        if len(rest) == len(brackets):
            return rest
        brackets = rest
    return None


def _marks_cost(marks: bytes) -> int:
    """Of the objects and arrays in a text, and what is in them, without strings and characters."""
    return marks.count(b"{") * _OBJECT + marks.count(b"[") * _ARRAY + marks.count(b",") * _MEMBER


def _text_cost(text: bytes) -> int:
    """Of its characters: once while it is parsed, once in the strings that come of it."""
    if text.isascii() and (b"\\" not in text or b"\\u" not in text):
        return 2 * len(text)
    return (8 if _WIDE.search(text) else 4) * len(text)
