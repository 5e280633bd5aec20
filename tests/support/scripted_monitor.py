# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A QMP monitor that follows a script, on a real socket, in a thread of its own.

    with connected(expect("query-status", reply={"running": True})) as monitor:
        assert monitor.execute("query-status") == {"running": True}

It is strict: a command that the script does not have at that place, and a step that was not reached, fail the test.
Like QEMU it serves one client at a time: give one script for each client, in the order of their coming.
"""

from __future__ import annotations

import array
import contextlib
import json
import os
import shutil
import socket
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from ansible_collections.vmops.qemu.plugins.module_utils.qmp import Address, Monitor, TcpAddress, UnixAddress

PATIENCE = 20.0  # seconds until a wait counts as hung


class Step(NamedTuple):
    """One step of a script: what it does, in words, and the doing, which may raise AssertionError."""

    name: str
    act: Callable[[Peer], object]


# -- messages


def greeting(major: int = 7, minor: int = 2, micro: int = 0, package: str = "") -> dict[str, Any]:
    """QEMU's first message."""
    version = {"qemu": {"major": major, "minor": minor, "micro": micro}, "package": package}
    return {"QMP": {"version": version, "capabilities": ["oob"]}}


def event(name: str, data: dict[str, Any] | None = None, *, at: tuple[int, int] = (1700000000, 250000)) -> dict[str, Any]:
    """The message of an event; *at*: seconds and microseconds since the epoch."""
    message: dict[str, Any] = {"event": name, "timestamp": {"seconds": at[0], "microseconds": at[1]}}
    return message if data is None else {**message, "data": data}


# -- steps


def expect(
    command: str,
    arguments: dict[str, Any] | None = None,
    *,
    reply: Any = None,
    error: tuple[str, str] | None = None,
    before: Iterable[dict[str, Any]] = (),
    after: Iterable[dict[str, Any]] = (),
    fds: int = 0,
) -> Step:
    """The client sends *command* with exactly *arguments* and *fds* descriptors; it gets *reply* ({} if None) or, as
    *error*, a class and a desc; the messages *before* and *after* come around it."""

    outcome = {"return": {} if reply is None else reply} if error is None else {"error": dict(zip(("class", "desc"), error))}

    def act(peer: Peer) -> None:
        peer.take(command, arguments, fds)
        for message in (*before, {**outcome, "id": peer.last_id}, *after):
            peer.send_message(message)

    return Step(f"expect {command} {arguments or ''}", act)


def swallow(command: str, arguments: dict[str, Any] | None = None) -> Step:
    """The client sends *command* with exactly *arguments*; this step does not reply."""
    return Step(f"swallow {command} {arguments or ''}", lambda peer: peer.take(command, arguments, 0))


def send(*messages: dict[str, Any]) -> Step:
    """Send *messages* unasked."""

    def act(peer: Peer) -> None:
        for message in messages:
            peer.send_message(message)

    return Step(f"send {messages}", act)


def send_bytes(data: bytes | Callable[[Any], bytes], *, chunk: int = 0) -> Step:
    """Send *data*, or what it makes of the last command's id, as it is, in chunks of *chunk* bytes (0: at once)."""
    return Step("send_bytes", lambda peer: peer.send(data if isinstance(data, bytes) else data(peer.last_id), chunk))


def hold(gate: threading.Event) -> Step:
    """Wait until the test sets *gate*."""

    def act(_peer: Peer) -> None:
        assert gate.wait(PATIENCE), "nobody opened the gate"

    return Step("hold", act)


def hang_up() -> Step:
    """Close the connection."""
    return Step("hang up", lambda peer: peer.socket.shutdown(socket.SHUT_RDWR))


NEGOTIATION: list[Step] = [send(greeting()), expect("qmp_capabilities")]


# -- the machinery


class Peer:
    """The server's end of one client's connection. ``last_id``: of the last command taken."""

    def __init__(self, sock: socket.socket, server: ScriptedMonitor) -> None:
        sock.settimeout(PATIENCE)
        self.socket = sock
        self.last_id: Any = ""
        self._server = server
        self._buffer = b""
        self._ids: deque[Any] = deque(maxlen=9)  # of the last requests: one digit is enough for ten ids

    @property
    def fds(self) -> list[int]:
        """The descriptors that clients have sent."""
        return self._server.fds

    def take(self, command: str, arguments: dict[str, Any] | None, fds: int) -> None:
        """Read one message, which must be *command*, come with *fds* descriptors and have an id that no other on its way has."""
        fds_before = len(self._server.fds)
        while b"\n" not in self._buffer:
            assert self._receive(), "the client left"
        line, _unused, self._buffer = self._buffer.partition(b"\n")
        message = json.loads(line)
        self._server.commands.append((message["execute"], message.get("arguments")))
        self.last_id = message.pop("id")
        assert self.last_id not in self._ids, f"the id {self.last_id!r} is that of one of the last requests"
        self._ids.append(self.last_id)
        expected = {"execute": command, **({} if arguments is None else {"arguments": arguments})}
        assert message == expected, f"the client sent {message}"
        assert len(self._server.fds) - fds_before == fds, "the number of descriptors differs"

    def await_end(self) -> None:
        """Wait until the client has left, having sent nothing more."""
        while not self._buffer and self._receive():
            pass
        assert not self._buffer, f"the client sent {self._buffer.decode()}"

    def send_message(self, message: dict[str, Any]) -> None:
        self.send(json.dumps(message).encode() + b"\r\n")

    def send(self, data: bytes, chunk: int = 0) -> None:
        """Send *data*. To a client that has left, nothing is sent, as QEMU does it."""
        chunk = chunk or max(1, len(data))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for start in range(0, len(data), chunk):
                self.socket.sendall(data[start : start + chunk])

    def _receive(self) -> bool:
        """Read on; False at the end of the stream."""
        try:
            data, ancillary, _flags, _address = self.socket.recvmsg(65536, socket.CMSG_SPACE(64))
        except ConnectionResetError:
            return False
        for _level, _type, content in ancillary:
            self._server.fds.extend(array.array("i", content))
        self._buffer += data
        return bool(data)


class ScriptedMonitor:
    """Serves each of *scripts* to one client, at ``address``. The greeting and the negotiation come first, unasked for,
    unless *negotiate* is False.

    ``commands``: what was received, as (command, arguments). ``fds``: descriptors received, closed at the end.
    """

    def __init__(self, *scripts: Sequence[Step], negotiate: bool = True, tcp: bool = False) -> None:
        self.commands: list[tuple[str, dict[str, Any] | None]] = []
        self.fds: list[int] = []
        self._scripts = [[*(NEGOTIATION if negotiate else ()), *script] for script in scripts]
        self._peer: Peer | None = None
        self._complaint = ""
        self._ending = False
        self._directory = tempfile.mkdtemp(prefix="qmp-")
        self._listener = socket.socket(socket.AF_INET if tcp else socket.AF_UNIX, socket.SOCK_STREAM)
        path = os.path.join(self._directory, "qmp.sock")
        self._listener.bind(("127.0.0.1", 0) if tcp else path)
        self._listener.listen(1)  # as QEMU does
        self._listener.settimeout(0.05)
        self.address: Address = TcpAddress(*self._listener.getsockname()) if tcp else UnixAddress(path)
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> ScriptedMonitor:
        self._thread.start()
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        self._ending = True
        if self._peer is not None:
            with contextlib.suppress(OSError):
                self._peer.socket.shutdown(socket.SHUT_RD)  # the server sees the end, after what was sent before
        self._thread.join(PATIENCE)
        self._listener.close()
        for fd in self.fds:
            os.close(fd)
        shutil.rmtree(self._directory)
        if self._complaint:  # more often than not the cause of *error*
            raise AssertionError(self._complaint) from error

    def _accept(self) -> socket.socket:
        while True:
            last_look = self._ending
            try:
                return self._listener.accept()[0]
            except TimeoutError:
                assert not last_look, "none came"

    def _serve(self) -> None:
        step = Step("a client comes", lambda peer: None)
        try:
            for script in self._scripts:
                with self._accept() as sock:
                    self._peer = Peer(sock, self)
                    for step in (*script, Step("the client leaves", lambda peer: peer.await_end())):
                        step.act(self._peer)
        except Exception as error:  # raised in the test's own thread
            self._complaint = f"the script was at {step.name!r}: {error}"


@contextlib.contextmanager
def connected(*script: Step, tcp: bool = False, **options: Any) -> Iterator[Monitor]:
    """A Monitor, connected with *options* to a ScriptedMonitor that follows *script*."""
    with ScriptedMonitor(script, tcp=tcp) as server, Monitor.connect(server.address, **options) as monitor:
        yield monitor
