# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of the table, and rounds in which the two sides of each ratio take turns."""

from __future__ import annotations

import json
import socket
import statistics
import time
from typing import Any, Callable, NamedTuple

Act = Callable[[], float]
"""Does something once and returns how long the measured part took, in seconds (or how much it took, in any unit)."""


class Row(NamedTuple):
    """A row: *ours* divided by *peer* must be at most *target*. Without a *peer*, *ours* itself must be, in its *unit*.

    *floor* does the least that our side has to do, so that the row cannot be below *floor* divided by *peer*.
    """

    name: str
    target: float
    ours: Act
    peer: Act | None
    unit: str = "s"
    floor: Act | None = None


class Group(NamedTuple):
    """Rows whose sides take turns in the same rounds. A side that several rows have is measured once a round."""

    rows: list[Row]
    rounds: int


class Result(NamedTuple):
    """A measured row. ``value`` is the median of the ratios of the rounds; ``ours`` and ``peer`` are the medians of the sides,
    and ``floor`` is the median of the floor's ratios, if the row has one."""

    name: str
    target: float
    value: float
    ours: float
    peer: float | None
    unit: str
    floor: float | None = None

    @property
    def verdict(self) -> str:
        return "met" if self.value <= self.target else "missed"


def measure(group: Group) -> list[Result]:
    """The sides take turns, and their order changes from round to round, so that the load of the machine meets all."""
    acts = [*dict.fromkeys(act for row in group.rows for act in (row.ours, row.peer, row.floor) if act)]
    rounds = [{act: act() for act in (acts if number % 2 else acts[::-1])} for number in range(group.rounds)]
    return [_result(row, rounds) for row in group.rows]


def _result(row: Row, rounds: list[dict[Act, float]]) -> Result:
    ours = statistics.median(measured[row.ours] for measured in rounds)
    if row.peer is None:
        return Result(row.name, row.target, ours, ours, None, row.unit)
    peer = statistics.median(measured[row.peer] for measured in rounds)
    floor = _ratio(row.floor, row.peer, rounds) if row.floor else None
    return Result(row.name, row.target, _ratio(row.ours, row.peer, rounds), ours, peer, row.unit, floor)


def _ratio(one: Act, other: Act, rounds: list[dict[Act, float]]) -> float:
    """The median of the ratios of the rounds."""
    return statistics.median(measured[one] / measured[other] for measured in rounds)


def timed(act: Callable[[], Any]) -> float:
    """Seconds that *act* takes."""
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


class Raw:
    """The least that a client can do: a socket, lines, and the fewest bytes."""

    def __init__(self, path: str, negotiation: bytes = b'{"execute":"qmp_capabilities"}') -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._buffer = b""
        self._line()
        self.ask(negotiation)

    def ask(self, request: bytes) -> Any:
        """Send a request and return the reply's value."""
        self._socket.sendall(request)
        while True:
            reply = json.loads(self._line())
            if "event" not in reply:
                return reply["return"]

    def ask_many(self, requests: list[bytes]) -> list[Any]:
        """Send all requests at once and return the values of the replies; an error is returned as None."""
        self._socket.sendall(b"".join(requests))
        replies: list[Any] = []
        while len(replies) < len(requests):
            reply = json.loads(self._line())
            if "event" not in reply:
                replies.append(reply.get("return"))
        return replies

    def close(self) -> None:
        self._socket.close()

    def _line(self) -> bytes:
        while b"\n" not in self._buffer:
            self._buffer += self._socket.recv(65536)
        line, _end, self._buffer = self._buffer.partition(b"\n")
        return line
