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

MAX_MESSAGE = 16 * 1024 * 1024  # bytes of one message; query-named-block-nodes with 10000 nodes has about 5 MB
MAX_DEPTH = 512  # of nesting; below Python's own limit, so that it is us who refuse

_INTEGER = 20  # characters of an integer; QEMU's have 64 bits, and reading endless digits takes quadratic time
_EXCERPT = 60  # bytes of foreign input shown in an error
_NO_BLANK = re.compile(rb"[^ \t\r\n]")
_BRACKET_OR_QUOTE = re.compile(rb'[\[\]{}"]')
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
    where a message ends. Each byte is looked at once, however small the pieces in which it comes.

    ``size``: bytes of the object that was given last.
    """

    size = 0

    def __init__(self, max_message: int = MAX_MESSAGE, max_depth: int = MAX_DEPTH) -> None:
        self._max_message = max_message
        self._max_depth = max_depth
        self._buffer = bytearray()
        self._start = 0  # where the value under way begins
        self._position = 0  # the first byte not looked at yet
        self._closers = bytearray()  # the brackets that the value under way still needs, innermost last
        self._in_string = False

    def feed(self, data: bytes) -> Iterator[dict[str, Any]]:
        """The objects that *data* completes; exhaust it before the next call. Raises ProtocolError at malformed input,
        after having given what came before it; the decoder is of no use from then on."""
        self._buffer += data
        while self._find_end():
            text = bytes(self._buffer[self._start : self._position])
            self._start = self._position
            self.size = len(text)
            yield self._parse(text)
        if len(self._buffer) - self._start > self._max_message:
            raise self._too_long()
        del self._buffer[: self._start]
        self._position -= self._start
        self._start = 0

    def _find_end(self) -> bool:
        """Move on to the end of the value under way, or of the buffer; True at the end of a value."""
        while True:
            if not self._closers and not self._find_start():
                return False
            pattern = _QUOTE_OR_ESCAPE if self._in_string else _BRACKET_OR_QUOTE
            found = pattern.search(self._buffer, self._position)
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
            elif byte in _CLOSER:
                self._closers.append(_CLOSER[byte])
                if len(self._closers) > self._max_depth:
                    raise ProtocolError(f"QEMU sent a message that nests deeper than {self._max_depth} levels.")
            elif byte != self._closers.pop():
                raise self._malformed(self._buffer[self._start : self._position])
            elif not self._closers:
                return True

    def _find_start(self) -> bool:
        """Between values: skip the blanks; True at the bracket that opens the next value."""
        found = _NO_BLANK.search(self._buffer, self._position)
        self._start = self._position = len(self._buffer) if found is None else found.start()
        if found is None:
            return False
        if self._buffer[self._start] != ord("{"):
            raise self._malformed(self._buffer[self._start :])
        return True

    def _parse(self, text: bytes) -> dict[str, Any]:
        if len(text) > self._max_message:
            raise self._too_long()
        try:
            value: dict[str, Any] = _JSON.decode(text.decode("utf-8"))
        except (ValueError, RecursionError):
            raise self._malformed(text) from None
        return value

    def _too_long(self) -> ProtocolError:
        return ProtocolError(f"QEMU sent a message of more than {self._max_message} bytes.")

    @staticmethod
    def _malformed(text: bytes | bytearray) -> ProtocolError:
        excerpt = bytes(text[:_EXCERPT]).decode("utf-8", "backslashreplace")
        return ProtocolError(f"What came is no QMP message: {excerpt!r}.")
