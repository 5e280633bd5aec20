# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One connection to the QMP monitor of a running QEMU: commands, their replies, and the events in between."""

from __future__ import annotations

import json
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any, NamedTuple

from .decoder import MAX_MESSAGE, Decoder
from .errors import (
    CommandError,
    ConnectError,
    Disconnected,
    EventTimeout,
    InvalidArguments,
    MonitorBusy,
    OutcomeUnknown,
    ProtocolError,
)
from .trace import Tracer, redact_reply, redact_request
from .transport import BUSY_HINT, Address, DeadlinePassed, Transport, connect

CONNECT_TIMEOUT = 10.0  # seconds
COMMAND_TIMEOUT = 30.0  # seconds; snapshots and mirrors are jobs, so no command takes long unless the storage hangs
MAX_EVENTS = 100_000  # kept; beyond that a flood pushes out the oldest
MAX_EVENT_BYTES = 8 * 1024 * 1024  # of their messages, likewise
MAX_REPLIES = 4  # times the bytes of the largest message, for all replies to one call
_AT_ONCE = 256  # requests on their way together, which is what a peer that does not read makes us keep
_HEAD = 120  # bytes of the peer's first words that are kept to tell what it is


class Version(NamedTuple):
    """QEMU's version, from the greeting."""

    major: int
    minor: int
    micro: int


OLDEST = Version(4, 0, 0)


class Request(NamedTuple):
    """A command to send. ``arguments`` are native JSON types: QEMU 9.2 refuses "on" for a bool and "1" for an int."""

    command: str
    arguments: dict[str, Any] | None = None


class Event(NamedTuple):
    """Something that QEMU told unasked, ``seconds`` after the epoch by its clock, as the ``seq``th event (from 0)."""

    name: str
    data: dict[str, Any]
    seconds: float
    seq: int


class Monitor:
    """A negotiated monitor; make one with :meth:`connect` and use it as a context manager. Not for several threads.

    ``version``, ``package``: of QEMU. ``peer_pid``: of the process that made the socket, None if unknown.
    ``passes_fds``: whether :meth:`execute` takes descriptors. ``closed``: whether the connection is gone.

    Everything that reads raises Disconnected once the connection is gone and ProtocolError at malformed input; after
    either, after OutcomeUnknown and after :meth:`close` the monitor is closed, and every call raises Disconnected.
    """

    version: Version
    package: str

    def __init__(
        self,
        transport: Transport,
        address: Address,
        *,
        command_timeout: float = COMMAND_TIMEOUT,
        tracer: Tracer | None = None,
        max_message: int = MAX_MESSAGE,
    ) -> None:
        """For :meth:`connect`; the connection is not negotiated yet."""
        self.address = address
        self.peer_pid = transport.peer_pid
        self.passes_fds = transport.passes_fds
        self.closed = False
        self._transport = transport
        self._decoder = Decoder(max_message)
        self._command_timeout = command_timeout
        self._tracer = tracer
        self._greeting: dict[str, Any] | None = None
        self._head = b""
        self._events: deque[Event] = deque()
        self._event_sizes: deque[int] = deque()  # bytes of their messages
        self._event_bytes = 0
        self._event_count = 0
        self._id_prefix = os.urandom(6).hex()  # a reply meant for an earlier client is never taken for ours
        self._request_count = 0
        self._pending: dict[str, Request] = {}  # by id, oldest first
        self._replies: dict[str, Any] = {}  # by id
        self._reply_bytes = 0  # of the replies to one call
        self._max_replies = MAX_REPLIES * max_message

    @classmethod
    def connect(
        cls,
        address: Address,
        timeout: float = CONNECT_TIMEOUT,
        *,
        command_timeout: float = COMMAND_TIMEOUT,
        tracer: Tracer | None = None,
        max_message: int = MAX_MESSAGE,
    ) -> Monitor:
        """Connect, wait for the greeting, negotiate; all within *timeout* seconds.

        Waiting for the greeting is waiting in line: QEMU greets a client when the one before it has left.
        *command_timeout*: seconds that a command may take if its call does not say. *max_message*: bytes.
        Raises ConnectError; MonitorBusy where the line did not move.
        """
        deadline = time.monotonic() + timeout
        monitor = cls(
            connect(address, deadline), address, command_timeout=command_timeout, tracer=tracer, max_message=max_message
        )
        try:
            monitor._negotiate(deadline)
        except BaseException:
            monitor.close()
            raise
        return monitor

    def __enter__(self) -> Monitor:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; may be repeated. QEMU drops commands of ours that it has not begun."""
        self.closed = True
        self._transport.close()

    # -- commands

    def execute(
        self,
        command: str,
        arguments: dict[str, Any] | None = None,
        *,
        fds: Sequence[int] = (),
        timeout: float | None = None,
    ) -> Any:
        """Have *command* done and return its reply. Raises CommandError; OutcomeUnknown after *timeout* seconds; and, before
        anything is sent, InvalidArguments.

        *fds*: at most one descriptor to pass along, for ``getfd`` or ``add-fd``; it stays open here.
        """
        (reply,) = self._exchange([Request(command, arguments)], self._deadline(timeout), fds)
        if isinstance(reply, CommandError):
            raise reply
        return reply

    def execute_many(self, requests: Iterable[Request], *, timeout: float | None = None) -> list[Any]:
        """Send all *requests*, many at once, and take the replies, in order; a CommandError stands for an error reply.

        QEMU works through them in order, and an error does not stop it. *timeout* seconds are for all of them together, and
        MAX_REPLIES times the bytes of the largest message for all replies. Raises InvalidArguments before any is sent.
        """
        return self._exchange(list(requests), self._deadline(timeout))

    def _deadline(self, timeout: float | None) -> float:
        return time.monotonic() + (self._command_timeout if timeout is None else timeout)

    def _exchange(self, requests: list[Request], deadline: float, fds: Sequence[int] = ()) -> list[Any]:
        """Have all done, some at a time, until each has its reply. What ends this amid them closes the connection."""
        self._check_open()
        asked = {f"{self._id_prefix}-{self._request_count + n}": request for n, request in enumerate(requests)}
        lines = {ident: _encode(ident, request) for ident, request in asked.items()}  # all, before the first is sent
        self._request_count += len(asked)
        self._reply_bytes = 0
        idents = list(asked)
        for start in range(0, len(idents), _AT_ONCE):
            self._pending = {ident: asked[ident] for ident in idents[start : start + _AT_ONCE]}
            try:
                self._trace_requests(fds)
                self._send(b"".join(lines[ident] for ident in self._pending), fds, deadline)
                if not self._read_while(lambda: bool(self._pending), deadline):
                    raise OutcomeUnknown(str(self._awaited()))
            finally:
                if self._pending:
                    self.close()
        return [self._replies.pop(ident) for ident in idents]

    def _trace_requests(self, fds: Sequence[int]) -> None:
        """Show the tracer those that are sent now."""
        if self._tracer is not None:
            for ident, request in self._pending.items():
                self._tracer("send", {**redact_request(_message(ident, request)), **({"fds": len(fds)} if fds else {})})

    def _send(self, data: bytes, fds: Sequence[int], deadline: float) -> None:
        try:
            self._transport.send(data, fds, deadline=deadline)
        except DeadlinePassed:
            raise OutcomeUnknown(str(self._awaited())) from None
        except OSError as error:
            raise Disconnected(self._awaited()) from error
        except (ConnectError, ValueError):  # it refuses the descriptors; nothing was sent
            self._pending.clear()
            raise

    # -- events

    def mark(self) -> int:
        """This point in the stream of events: those read from now on have a ``seq`` of at least this."""
        self._check_open()
        return self._event_count

    def events(self, since: int) -> list[Event]:
        """The events that were read since the mark *since*, without reading on."""
        self._check_open()
        count = min(self._event_count - since, len(self._events))
        return list(islice(reversed(self._events), max(0, count)))[::-1]

    def wait_event(self, match: Callable[[Event], bool], since: int, timeout: float) -> Event:
        """The first event since the mark *since* that *match* takes. Raises EventTimeout after *timeout* seconds.

        Take the mark before the command that causes the event: it may come before that command's reply.
        """
        deadline = time.monotonic() + timeout
        in_time = True
        while True:
            for event in self.events(since):
                if match(event):
                    return event
            if not in_time:
                raise EventTimeout(timeout)
            since = self.mark()
            in_time = self._read_event(deadline) and time.monotonic() < deadline

    def poll_events(self, timeout: float) -> None:
        """Read until one more event has come or *timeout* seconds have passed. Look at what came before by `events`."""
        self._read_event(time.monotonic() + timeout)

    def _read_event(self, deadline: float) -> bool:
        """Read until an event has come; False if none has until *deadline*."""
        before = self.mark()
        return self._read_while(lambda: self._event_count == before, deadline)

    # -- what comes in

    def _negotiate(self, deadline: float) -> None:
        greeting = self._await_greeting(deadline)
        try:
            version = greeting["version"]
            self.version = Version(*(int(version["qemu"][part]) for part in Version._fields))
            self.package = str(version["package"])
        except (KeyError, TypeError, ValueError):
            raise ConnectError(f"{self.address}: {_stranger(self._head)}") from None
        if self.version < OLDEST:
            found, oldest = (".".join(map(str, version)) for version in (self.version, OLDEST))
            raise ConnectError(f"{self.address}: this is QEMU {found}; at least {oldest} is needed, so update QEMU.")
        try:
            (reply,) = self._exchange([Request("qmp_capabilities")], deadline)
        except (Disconnected, OutcomeUnknown, ProtocolError) as error:
            reply = error
        if isinstance(reply, Exception):
            raise ConnectError(
                f"{self.address}: QEMU greeted but did not negotiate ({reply}); check the VM."
            ) from reply

    def _await_greeting(self, deadline: float) -> dict[str, Any]:
        try:
            self._read_while(lambda: self._greeting is None, deadline)
        except Disconnected:
            raise ConnectError(
                f"{self.address}: closed before a greeting came; QEMU is ending, or this is not its -qmp socket"
                f"{self._transport.refusal}."
            ) from None
        except ProtocolError:
            raise ConnectError(f"{self.address}: {_stranger(self._head)}") from None
        if self._greeting is None:
            raise MonitorBusy(
                f"{self.address}: connected, but no greeting came in time. {BUSY_HINT} "
                "A hanging QEMU is as silent, and so is a guest agent's socket, which would be the wrong one."
            )
        return self._greeting

    def _check_open(self) -> None:
        if self.closed:
            raise Disconnected

    def _awaited(self) -> str | None:
        """The command that QEMU owes a reply to and is at work on, as far as we can tell."""
        return next((request.command for request in self._pending.values()), None)

    def _read_while(self, waiting: Callable[[], bool], deadline: float) -> bool:
        """Read on while *waiting*; False if it still does at *deadline*, however much else came meanwhile."""
        in_time = True
        while waiting() and in_time:
            in_time = self._read(deadline) and time.monotonic() < deadline
        return not waiting()

    def _read(self, deadline: float) -> bool:
        """Take in what comes next; False if that is nothing until *deadline*. Looks once even if that has passed."""
        try:
            data = self._transport.receive(deadline)
        except DeadlinePassed:
            return False
        except OSError:
            data = b""
        if not data:
            self.close()
            raise Disconnected(self._awaited())
        if self._greeting is None:
            self._head = (self._head + data)[:_HEAD]
        try:
            for message in self._decoder.feed(data):
                self._take(message)
        except ProtocolError as error:
            self.close()
            raise ProtocolError(error.reason, self._awaited()) from None
        return True

    def _take(self, message: dict[str, Any]) -> None:
        ident = str(message.get("id"))
        request = self._pending.get(ident)
        if self._tracer is not None:
            self._tracer("receive", redact_reply(message, *(request or ())))
        if "event" in message:
            self._keep(_event(message, self._event_count), self._decoder.size)
        elif self._greeting is None:
            self._greeting = _greeting(message)
        elif request is None:
            raise ProtocolError(f"QEMU answered no command of ours: {_desc(message)}.")
        else:
            self._reply_bytes += self._decoder.size
            if self._reply_bytes > self._max_replies:
                raise ProtocolError(f"QEMU's replies together are larger than {self._max_replies} bytes.")
            self._replies[ident] = _reply(message, request.command)
            del self._pending[ident]

    def _keep(self, event: Event, size: int) -> None:
        """Queue *event*, whose message had *size* bytes; the newest is kept however large it is."""
        self._events.append(event)
        self._event_sizes.append(size)
        self._event_bytes += size
        self._event_count += 1
        while len(self._events) > MAX_EVENTS or (self._event_bytes > MAX_EVENT_BYTES and len(self._events) > 1):
            self._events.popleft()
            self._event_bytes -= self._event_sizes.popleft()


def _message(ident: str, request: Request) -> dict[str, Any]:
    arguments = {} if request.arguments is None else {"arguments": request.arguments}
    return {"execute": request.command, "id": ident, **arguments}


def _encode(ident: str, request: Request) -> bytes:
    """The line that is sent. Raises InvalidArguments."""
    try:
        return json.dumps(_message(ident, request), allow_nan=False).encode("ascii") + b"\n"
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidArguments(request.command, str(error)) from None


def _greeting(message: dict[str, Any]) -> dict[str, Any]:
    """The member ``QMP`` of the first message that is no event."""
    greeting = message.get("QMP")
    if not isinstance(greeting, dict):
        raise ProtocolError("QEMU did not greet.")
    return greeting


def _event(message: dict[str, Any], seq: int) -> Event:
    try:
        data, stamp = message.get("data", {}), message["timestamp"]
        seconds = float(stamp["seconds"] + stamp["microseconds"] * 1e-6)
    except (KeyError, TypeError):
        raise ProtocolError("QEMU sent an event without a proper timestamp.") from None
    if not isinstance(data, dict):
        raise ProtocolError("QEMU sent an event whose data is no object.")
    return Event(str(message["event"]), data, seconds, seq)


def _reply(message: dict[str, Any], command: str) -> Any:
    if "return" in message:
        return message["return"]
    error = message.get("error")
    qmp_class, desc = (error.get("class"), error.get("desc")) if isinstance(error, dict) else (None, None)
    if not isinstance(qmp_class, str) or not isinstance(desc, str):
        raise ProtocolError("QEMU's reply has neither a return value nor a proper error.")
    return CommandError(qmp_class, desc, command)


def _desc(message: dict[str, Any]) -> str:
    """What an error says; nothing else of a message is shown, for it may hold a secret."""
    error = message.get("error")
    return str(error.get("desc")) if isinstance(error, dict) else "its reply has an id that was not sent"


def _stranger(head: bytes) -> str:
    """What a socket that speaks no QMP looks like by its first bytes, and what to do."""
    if b"QEMU" in head and b"monitor" in head:
        kind = "QEMU's human monitor (HMP)"
    elif b'"return"' in head or b'"error"' in head:
        kind = "a guest agent (QGA)"
    else:
        kind = "another program"
    start = head.decode("utf-8", "backslashreplace")
    return f"this is not a QMP monitor but {kind}, which said {start!r}; give the socket of QEMU's -qmp option."
