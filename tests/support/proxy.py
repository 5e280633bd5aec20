# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A proxy between a module and the monitor of a real QEMU that causes a fault at a command.

It reads the newline-separated JSON that both ends send, and passes descriptors on. Commands that only read are passed on and not
counted. A fault *while waiting* happens at the first of them after the command that was counted.
"""

from __future__ import annotations

import array
import json
import os
import select
import socket
import threading
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Any, Callable

_READING = ("query-", "qom-list", "qom-get", "qmp_capabilities", "device-list-properties", "x-debug-query-")


def _only_reads(request: dict[str, Any]) -> bool:
    if request["execute"] == "human-monitor-command":
        return str(request["arguments"]["command-line"]).startswith("info ")
    return str(request["execute"]).startswith(_READING)


class Fault(Enum):
    """What happens at a command that changes the VM."""

    KILL_BEFORE = "killed before the command"
    KILL_AFTER = "killed after the command"
    KILL_WAITING = "killed while waiting"
    FAIL = "command refused"
    CUT_BEFORE = "cut before the request"
    CUT_IN_REQUEST = "cut inside the request"
    CUT_AFTER_REQUEST = "cut after the request"
    CUT_BEFORE_REPLY = "cut before the reply"
    CUT_IN_REPLY = "cut inside the reply"
    CUT_WAITING = "cut while waiting"
    QEMU_KILLED = "QEMU killed before the request"
    QEMU_KILLED_AFTER_REQUEST = "QEMU killed after the request"
    QEMU_KILLED_BEFORE_REPLY = "QEMU killed before the reply"
    QEMU_KILLED_WAITING = "QEMU killed while waiting"
    QEMU_STOPPED = "QEMU stopped at the request"
    PEER_KILLED = "other side killed at the request"
    PEER_KILLED_WAITING = "other side killed while waiting"


WAITING = (Fault.KILL_WAITING, Fault.CUT_WAITING, Fault.QEMU_KILLED_WAITING, Fault.PEER_KILLED_WAITING)
_BEFORE = (Fault.KILL_BEFORE, Fault.CUT_BEFORE, Fault.KILL_WAITING, Fault.CUT_WAITING)  # the request is not passed on
_REPLY = (Fault.KILL_AFTER, Fault.CUT_BEFORE_REPLY, Fault.CUT_IN_REPLY, Fault.QEMU_KILLED_BEFORE_REPLY)
_TO_PROCESSES = (
    Fault.KILL_BEFORE,
    Fault.KILL_WAITING,
    Fault.QEMU_KILLED,
    Fault.QEMU_STOPPED,
    Fault.QEMU_KILLED_WAITING,
    Fault.PEER_KILLED,
    Fault.PEER_KILLED_WAITING,
)  # before the request is passed on


class Proxy:
    """Serves a number of *clients*, one after the other, on ``path``.

    *fault* happens at each changing command whose number, from 0, is in *points*. *act* is called for the faults of a process: it
    kills the client, or kills or stops a QEMU. ``seen``: the changing commands that came, in order. ``caused``: the points at
    which the fault happened. ``waits``: the points after which something was read. ``greeted`` is set when QEMU has greeted a
    client.
    """

    def __init__(
        self, path: Path, monitor: Path, fault: Fault, points: set[int], act: Callable[[], None], clients: int = 1
    ) -> None:
        self.path = path
        self._clients = clients
        self.seen: list[str] = []
        self._last: tuple[str, Any] | None = None
        self.caused: set[int] = set()
        self.waits: set[int] = set()
        self.greeted = threading.Event()
        self._monitor, self._fault, self._points, self._act = monitor, fault, points, act
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(1)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        """Wait until the client is gone and the monitor free again."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            for _client in range(self._clients):
                client, _address = self._listener.accept()
                with client, socket.socket(socket.AF_UNIX) as qemu, suppress(ConnectionError, BrokenPipeError):
                    qemu.connect(str(self._monitor))
                    self._relay(client, qemu)

    def _relay(self, client: socket.socket, qemu: socket.socket) -> None:
        requests, replies = b"", b""
        awaited: Any = None  # the id of a request whose reply the fault is about
        descriptors: list[int] = []
        while True:
            ready, _write, _error = select.select([client, qemu], [], [])
            if client in ready:
                data, ancillary, _flags, _address = client.recvmsg(65536, socket.CMSG_SPACE(16))
                for _level, _kind, packed in ancillary:
                    descriptors += array.array("i", packed[: len(packed) // 4 * 4])
                if not data:
                    return
                requests += data
                while b"\n" in requests:
                    line, _newline, requests = requests.partition(b"\n")
                    answer = self._request(client, qemu, json.loads(line), line + b"\n", descriptors)
                    if answer is StopIteration:
                        return
                    awaited = awaited if answer is None else answer  # an id may be 0
                    descriptors = []
            if qemu in ready:
                data = qemu.recv(65536)
                if not data:
                    return
                self.greeted.set()
                replies += data
                while b"\n" in replies:
                    line, _newline, replies = replies.partition(b"\n")
                    if awaited is not None and json.loads(line).get("id") == awaited:
                        if self._fault in (Fault.KILL_AFTER, Fault.QEMU_KILLED_BEFORE_REPLY):
                            self._act()
                        elif self._fault is Fault.CUT_IN_REPLY:
                            client.sendall(line[: len(line) // 2])
                        return
                    client.sendall(line + b"\n")

    def _request(
        self, client: socket.socket, qemu: socket.socket, request: dict[str, Any], line: bytes, descriptors: list[int]
    ) -> Any:
        """Pass a request on, or do the fault: StopIteration to hang up, an id to act on its reply."""
        waits = _only_reads(request)
        what = (request["execute"], request.get("arguments"))
        if not waits and what != self._last:  # a command is repeated where QEMU was busy for a moment
            self.seen.append(request["execute"])
            self._last = what
        point = len(self.seen) - 1
        if waits and point >= 0:
            self.waits.add(point)
        due = point in self._points and point not in self.caused and waits == (self._fault in WAITING)
        fault = self._fault if due else None
        if fault:
            self.caused.add(point)
        if fault is Fault.FAIL:
            error = {"class": "GenericError", "desc": "made to fail"}
            client.sendall(json.dumps({"error": error, "id": request["id"]}).encode() + b"\n")
            _close(descriptors)
            return None
        if fault in _TO_PROCESSES:
            self._act()
        if fault in _BEFORE:
            _close(descriptors)
            return StopIteration
        if fault is Fault.CUT_IN_REQUEST:
            line = line[: len(line) // 2]
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
        try:
            qemu.sendmsg([line], rights)
        finally:
            _close(descriptors)
        if fault is Fault.QEMU_KILLED_AFTER_REQUEST:
            self._act()
        if fault in (Fault.CUT_IN_REQUEST, Fault.CUT_AFTER_REQUEST):
            return StopIteration
        return request["id"] if fault in _REPLY else None


def _close(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
