# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A monitor without a socket. It sends what a test makes, and keeps the bytes that it receives."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from unittest import mock

from ansible_collections.vmops.qemu.plugins.module_utils.qmp import Monitor, UnixAddress
from ansible_collections.vmops.qemu.plugins.module_utils.qmp import monitor as monitor_module
from ansible_collections.vmops.qemu.plugins.module_utils.qmp.transport import DeadlinePassed
from ansible_collections.vmops.qemu.plugins.module_utils.qmp.transport import connect as transport_connect
from ansible_collections.vmops.qemu.tests.support.scripted_monitor import greeting

ADDRESS = UnixAddress("/vm.qmp")
CHUNK = 256 * 1024  # bytes, as the real transport reads them

Reply = Callable[[dict[str, Any]], Iterable[bytes]]


class Peer:
    """Takes the place of the transport of a Monitor.

    *reply* makes the bytes that answer one request, in chunks, which may be endless. *first* is sent before all requests, in
    place of a true greeting and negotiation. ``received``: what was sent to it.
    """

    peer_pid = None
    passes_fds = True

    def __init__(self, reply: Reply, first: Iterable[bytes] | None = None) -> None:
        self.received: list[bytes] = []
        self._reply = reply
        self._chunks = iter([line(greeting())] if first is None else first)
        self._rest: list[Iterator[bytes]] = []
        self._negotiated = first is not None

    def send(self, data: bytes, fds: object = (), *, deadline: float) -> None:
        self.received.append(data)
        for request in map(json.loads, data.splitlines()):
            if request["execute"] == "qmp_capabilities" and not self._negotiated:
                self._rest.append(iter([line({"return": {}, "id": request["id"]})]))
            else:
                self._rest.append(iter(self._reply(request)))

    def receive(self, deadline: float) -> bytes:
        while True:
            chunk = next(self._chunks, None)
            if chunk is not None:
                return chunk
            if not self._rest:
                raise DeadlinePassed
            self._chunks = self._rest.pop(0)

    def close(self) -> None:
        pass

    def requests(self) -> list[dict[str, Any]]:
        """The requests that were received, as QEMU reads them: the values of a stream, also if a line has several."""
        decoder, text, found = json.JSONDecoder(), b"".join(self.received).decode("ascii"), []
        while text.strip():
            value, end = decoder.raw_decode(text.lstrip())
            found.append(value)
            text = text.lstrip()[end:]
        return found


@contextlib.contextmanager
def instead_of_a_socket(peer: Peer) -> Iterator[None]:
    """A Monitor that is connected to ADDRESS gets *peer*."""
    with mock.patch.object(monitor_module, "connect", lambda *to: peer if to[0] == ADDRESS else transport_connect(*to)):
        yield


def connect(peer: Peer, **options: Any) -> Monitor:
    with instead_of_a_socket(peer):
        return Monitor.connect(ADDRESS, **options)


def line(message: dict[str, Any]) -> bytes:
    return json.dumps(message).encode() + b"\r\n"
