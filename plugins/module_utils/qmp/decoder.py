# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bytes in, JSON objects out: an incremental decoder for a stream of values that no separator sets apart."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any

from .errors import ProtocolError

MAX_MESSAGE = 8 * 1024 * 1024  # bytes of one message; query-named-block-nodes has 487 kB for 1000 nodes
MAX_COST = 40 * 1024 * 1024  # bytes of memory that one message may take when it is parsed; 4000 block nodes take less
MAX_DEPTH = 512  # of nesting; below Python's own limit, so that it is us who refuse

# What a value takes in memory, in bytes, at most: 64-bit CPython from 3.8 on, measured with sys.getsizeof.
_OBJECT = 240  # with room for 5 members
_ARRAY = 96  # with room for 4 items
_STRING = 56  # besides its characters; also one that is a key, though equal keys of one message are one
_MEMBER = 110  # of an object: its part of the table, and a number
_ITEM = 80  # of an array: its part of the list, and a number; twice that, for they are many to a byte

_INTEGER = 20  # characters of an integer; QEMU's have 64 bits, and reading endless digits takes quadratic time
_EXCERPT = 60  # bytes of foreign input shown in an error
_NO_BLANK = re.compile(rb"[^ \t\r\n]")
_BRACKET_OR_QUOTE = re.compile(rb'[\[\]{}"]')
_WIDE = re.compile(rb"[\xf0-\xff]|\\u[dD][89abAB]")  # a character that makes Python take 4 bytes for each of its text
_QUOTE_OR_ESCAPE = re.compile(rb'["\\]')
_CLOSER = {ord("{"): ord("}"), ord("["): ord("]")}


def _integer(digits: str) -> int:
    if len(digits) > _INTEGER:
        raise ValueError
    return int(digits)


def _number(text: str) -> float:
    """What JSON has for a number is finite: neither 1e999 nor the words NaN and Infinity, which Python would take."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError
    return number


_JSON = json.JSONDecoder(parse_int=_integer, parse_float=_number, parse_constant=_number)


class Decoder:
    """Cuts a byte stream into its top-level JSON objects.

    QEMU ends its messages with CRLF, but with ``pretty=on`` it also puts line ends into them: only the brackets tell
    where a message ends. Each byte is looked at once, however small the pieces in which it comes; a message that comes
    whole in one line is tried first, which takes a fifth of the time.

    A few bytes of JSON can become many of memory (``{}`` becomes 64), so what is parsed is limited by its *cost*: the
    bytes of memory that it takes, estimated from above before it is parsed.

    ``size``: bytes of the object that was given last. ``cost``: its cost.
    """

    size = 0
    cost = 0

    def __init__(self, max_message: int = MAX_MESSAGE, max_depth: int = MAX_DEPTH, max_cost: int = MAX_COST) -> None:
        self._max_message = max_message
        self._max_depth = max_depth
        self._max_cost = max_cost
        self._buffer = bytearray()
        self._start = 0  # where the value under way begins
        self._position = 0  # the first byte not looked at yet
        self._closers = bytearray()  # the brackets that the value under way still needs, innermost last
        self._in_string = False
        self._values_cost = 0  # of the value under way, without its characters
        self._tried = 0  # up to here no message is the whole of a line

    def feed(self, data: bytes) -> Iterator[dict[str, Any]]:
        """The objects that *data* completes; exhaust it before the next call. Raises ProtocolError at malformed input,
        after having given what came before it; the decoder is of no use from then on."""
        self._buffer += data
        while self._closers or self._find_start():
            message = None if self._closers else self._take_line()
            if message is None:
                if not self._find_end():
                    break
                message = self._parse(self._cut())
            yield message
        if len(self._buffer) - self._start > self._max_message:
            raise self._too_long()
        del self._buffer[: self._start]
        self._position -= self._start
        self._tried -= self._start
        self._start = 0

    def _find_start(self) -> bool:
        """Between values: skip the blanks; True at the bracket that opens the next value."""
        found = _NO_BLANK.search(self._buffer, self._position)
        self._start = self._position = len(self._buffer) if found is None else found.start()
        self._values_cost = 0
        if found is None:
            return False
        if self._buffer[self._start] != ord("{"):
            raise self._malformed(self._buffer[self._start :])
        return True

    def _take_line(self) -> dict[str, Any] | None:
        """The value under way if it is the whole of a line, and small enough for sure; None, nothing taken, if not."""
        if self._start < self._tried:
            return None
        end = self._buffer.find(b"\n", self._start)
        self._tried = len(self._buffer) if end < 0 else end
        if not 0 < end - self._start <= self._max_message:
            return None
        line = bytes(self._buffer[self._start : end])
        objects, arrays = line.count(b"{"), line.count(b"[")  # and those in strings
        if objects + arrays > self._max_depth:
            return None
        cost = objects * _OBJECT + arrays * _ARRAY + line.count(b'"') * _STRING // 2 + line.count(b",") * _MEMBER
        cost += self._text_cost(line)
        if cost > self._max_cost:
            return None
        try:
            value: dict[str, Any] = _JSON.decode(line.decode("utf-8"))
        except (ValueError, RecursionError):
            return None
        self._start = self._position = end
        self.size, self.cost = len(line.rstrip()), cost
        return value

    def _find_end(self) -> bool:
        """Move on to the end of the value under way, or of the buffer; True at the end of a value."""
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
                if found.end() == len(self._buffer):  # come back to it when the escaped byte is there
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

    def _open(self, bracket: int) -> None:
        self._closers.append(_CLOSER[bracket])
        if len(self._closers) > self._max_depth:
            raise ProtocolError(f"QEMU sent a message that nests deeper than {self._max_depth} levels.")
        self._values_cost += _OBJECT if bracket == ord("{") else _ARRAY
        if self._values_cost > self._max_cost:
            raise self._too_much()

    def _count_commas(self, end: int) -> None:
        """Those from the present position on, outside of strings."""
        commas = self._buffer.count(b",", self._position, end)
        if commas:
            self._values_cost += commas * (_MEMBER if self._closers[-1:] == b"}" else _ITEM)
            if self._values_cost > self._max_cost:
                raise self._too_much()

    def _cut(self) -> bytes:
        text = bytes(self._buffer[self._start : self._position])
        self._start = self._position
        if len(text) > self._max_message:
            raise self._too_long()
        self.size = len(text)
        self.cost = self._values_cost + self._text_cost(text)
        if self.cost > self._max_cost:
            raise self._too_much()
        return text

    @staticmethod
    def _text_cost(text: bytes) -> int:
        """Of its characters: once while it is parsed, once in the strings that come of it."""
        if text.isascii() and b"\\u" not in text:
            return 2 * len(text)
        return (8 if _WIDE.search(text) else 4) * len(text)

    def _parse(self, text: bytes) -> dict[str, Any]:
        try:
            value: dict[str, Any] = _JSON.decode(text.decode("utf-8"))
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
        return ProtocolError(f"What came is no QMP message: {excerpt!r}.")
