# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One connection to the QMP monitor of a running QEMU: commands, their replies, and the events in between."""

from __future__ import annotations

import os
import socket
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, Union

from .decoder import MAX_COST, MAX_MESSAGE, Decoder
from .errors import (
    CommandError,
    ConnectError,
    Disconnected,
    EventTimeout,
    MonitorBusy,
    OutcomeUnknown,
    ProtocolError,
    ReadTimeout,
)
from .messages import (
    Event,
    Request,
    Version,
    encode,
    event_of,
    greeting_of,
    is_negotiated,
    is_reply,
    message_of,
    reply_of,
    stranger,
)
from .shapes import memory_of
from .trace import Tracer, redact_reply, redact_request
from .transport import BUSY_HINT, Address, DeadlinePassed, Transport, connect

CONNECT_TIMEOUT = 10.0  # seconds
COMMAND_TIMEOUT = 30.0  # seconds; snapshots and mirrors are jobs, so no command takes long unless the storage hangs
MAX_EVENTS = 20_000  # that are kept; beyond that the oldest are dropped
MAX_EVENT_BYTES = 24 * 1024 * 1024  # of memory that they take; beyond that the oldest are dropped
MAX_REPLIES = 4  # times the bytes of the largest message, for all replies to one call
MAX_KEPT = 40 * 1024 * 1024  # bytes of memory of all replies that are kept at one time; those of 1000 disks take 14 MB
_COUNTED = 256 * 1024  # bytes of memory from which on they are not estimated but counted
_AT_ONCE = 5  # requests that are sent together
_BATCHES = 2  # of them on their way, so that QEMU has some while we take replies
_IDS = _AT_ONCE * _BATCHES  # as many as are on their way together, and have one digit
_HEAD = 120  # bytes of the peer's first words that are kept to recognise what it is

OLDEST = Version(4, 0, 0)

Ident = Union[str, int]
"""The id of a request."""


class Monitor:
    """A negotiated monitor; create it with :meth:`connect` and use it as a context manager. Not for several threads.

    ``version``, ``package``: of QEMU. ``capabilities``: what it offered in its greeting, such as "oob". ``peer_pid``: of the
    process that created the socket, None if unknown.
    ``passes_fds``: whether :meth:`execute` takes descriptors. ``closed``: whether the connection is closed.

    With a *read_timeout*, all commands that read the VM have so many seconds together: those whose calls set no timeout. Commands
    within :meth:`acting` have *command_timeout* seconds each.

    Every method that reads raises Disconnected once the connection is closed and ProtocolError at malformed input; after
    either, after OutcomeUnknown and after :meth:`close` the monitor is closed, and every call raises Disconnected.
    """

    version: Version
    package: str
    capabilities: tuple[str, ...] = ()

    def __init__(
        self,
        transport: Transport,
        address: Address,
        *,
        command_timeout: float = COMMAND_TIMEOUT,
        read_timeout: float | None = None,
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
        self._read_timeout = read_timeout
        self._read_left = read_timeout or 0.0  # seconds of it that are left
        self._acting = read_timeout is None
        self._tracer = tracer
        self._greeting: dict[str, Any] | None = None
        self._head = b""
        self._events: deque[Event] = deque()
        self._event_sizes: deque[int] = deque()  # bytes of memory that each takes
        self._event_bytes = 0
        self._event_count = 0
        self._negotiated = False
        self._next_id = 0
        self._pending: dict[Ident, Request] = {}  # by id, oldest first
        self._replies: dict[Ident, Any] = {}  # by id, until they are taken
        self._reply_bytes = self._reply_cost = 0  # of the replies to one call
        self._max_replies = MAX_REPLIES * max_message
        self._kept = 0  # the cost of what is kept of replies

    @classmethod
    def connect(
        cls,
        address: Address,
        timeout: float = CONNECT_TIMEOUT,
        *,
        command_timeout: float = COMMAND_TIMEOUT,
        read_timeout: float | None = None,
        tracer: Tracer | None = None,
        max_message: int = MAX_MESSAGE,
    ) -> Monitor:
        """Connect, wait for the greeting, negotiate; all within *timeout* seconds.

        Waiting for the greeting is waiting in a queue: QEMU greets a client when the one before it has left.
        *command_timeout*: seconds that a command may take if its call sets no timeout. *read_timeout*: see the class; None is no
        limit. *max_message*: bytes of the largest message that is accepted.
        Raises ConnectError; MonitorBusy if the client before did not leave in time.
        """
        deadline = time.monotonic() + timeout
        monitor = cls(
            connect(address, deadline),
            address,
            command_timeout=command_timeout,
            read_timeout=read_timeout,
            tracer=tracer,
            max_message=max_message,
        )
        return monitor._ready(deadline)

    def connect_second(self, timeout: float = CONNECT_TIMEOUT, *, max_message: int = MAX_MESSAGE) -> Monitor | None:
        """Make QEMU create a monitor for us alone, and connect to it. None where this is not possible: before QEMU 11.1, and over
        a connection that passes no descriptors.

        The two are connected by a pair of sockets, so there is neither a path nor a port that another program could use. QEMU
        deletes the monitor when the connection ends. Raises CommandError if QEMU refuses it, such as in a sandbox.
        """
        if not self.passes_fds or not self.execute("qom-list-types", {"implements": "monitor-qmp"}):
            return None
        ident = f"vmops-{os.urandom(4).hex()}"
        ours, theirs = socket.socketpair()
        monitor = Monitor(Transport(ours), self.address, command_timeout=self._command_timeout, max_message=max_message)
        try:
            with theirs:
                self.execute("getfd", {"fdname": ident}, fds=[theirs.fileno()])
            socket_data = {"addr": {"type": "fd", "data": {"str": ident}}, "server": False}
            try:
                self.execute("chardev-add", {"id": ident, "backend": {"type": "socket", "data": socket_data}})
            except CommandError:
                self.execute_many([Request("closefd", {"fdname": ident})])
                raise
            try:
                self.execute("object-add", {"qom-type": "monitor-qmp", "id": ident, "chardev": ident, "close-action": "delete"})
            except CommandError:
                self.execute_many([Request("chardev-remove", {"id": ident})])
                raise
        except BaseException:
            monitor.close()
            raise
        return monitor._ready(time.monotonic() + timeout)

    def _ready(self, deadline: float) -> Monitor:
        """This monitor, once it is negotiated. It is closed if that fails."""
        try:
            self._negotiate(deadline)
        except BaseException:
            self.close()
            raise
        return self

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
        """Execute *command* and return its reply. Raises CommandError; OutcomeUnknown after *timeout* seconds, ReadTimeout
        when those for reading have passed; and, before anything is sent, InvalidArguments.

        *fds*: at most one descriptor to pass along, for ``getfd`` or ``add-fd``; it stays open here.
        """
        (reply,) = self._timed([Request(command, arguments)], timeout, fds)
        if isinstance(reply, CommandError):
            raise reply
        return reply

    def execute_many(self, requests: Iterable[Request], *, timeout: float | None = None) -> list[Any]:
        """Execute all *requests*, several on their way at a time, and return the replies in order; a CommandError stands for an
        error reply.

        QEMU executes them in order, and continues after an error. All together may take *timeout* seconds, and all replies
        MAX_REPLIES times the bytes of the largest message. Raises InvalidArguments before any is sent.
        """
        return self._timed(list(requests), timeout)

    @contextmanager
    def acting(self) -> Iterator[None]:
        """A context in which commands change the VM: they take none of the time for reading."""
        before, self._acting = self._acting, True
        try:
            yield
        finally:
            self._acting = before

    def read_again(self, seconds: float) -> None:
        """After a change: allow at least *seconds* to read its result."""
        self._read_left = max(self._read_left, seconds)

    def keep(self, owner: object, kept: Any) -> None:
        """Count the values *kept* of the replies to the last call, as long as their *owner* lives. Raises ProtocolError if all
        that is kept takes too much memory."""
        cost = self._reply_cost if self._reply_cost < _COUNTED else min(self._reply_cost, memory_of(kept))
        self._kept += cost
        weakref.finalize(owner, self._release, cost).atexit = False
        if self._kept > MAX_KEPT:
            self.close()
            raise ProtocolError(f"QEMU's replies take more than {MAX_KEPT} bytes of memory together.")

    def _release(self, cost: int) -> None:
        self._kept -= cost

    def _timed(self, requests: list[Request], timeout: float | None, fds: Sequence[int] = ()) -> list[Any]:
        """Execute all within *timeout* seconds, by default within the time for changing or for reading."""
        began = time.monotonic()
        if timeout is not None or self._acting:
            return self._exchange(requests, began + (self._command_timeout if timeout is None else timeout), fds)
        try:
            return self._exchange(requests, began + self._read_left, fds)
        except OutcomeUnknown as error:
            raise ReadTimeout(error.command, float(self._read_timeout or 0)) from None
        finally:
            self._read_left = max(0.0, self._read_left - (time.monotonic() - began))

    def _exchange(self, requests: Sequence[Request], deadline: float, fds: Sequence[int] = ()) -> list[Any]:
        """Execute all, until each has its reply. Whatever interrupts this closes the connection."""
        self._check_open()
        idents = self._new_ids(len(requests))
        lines = [encode(ident, request) for ident, request in zip(idents, requests)]  # all, before the first is sent
        self._reply_bytes = self._reply_cost = 0
        replies: list[Any] = []
        batches: deque[dict[Ident, Request]] = deque()  # on their way
        try:
            for start in range(0, len(requests), _AT_ONCE):
                if len(batches) == _BATCHES:
                    replies += self._take_replies(batches.popleft(), deadline)
                batches.append(dict(zip(idents[start : start + _AT_ONCE], requests[start : start + _AT_ONCE])))
                self._pending.update(batches[-1])
                self._trace_requests(batches[-1], fds)
                self._send(b"".join(lines[start : start + _AT_ONCE]), fds, deadline)
            for batch in batches:
                replies += self._take_replies(batch, deadline)
        finally:
            if self._pending:
                self.close()
        return replies

    def _new_ids(self, count: int) -> list[Ident]:
        """Ids for requests that are sent in this order. They are short: QEMU takes 3 microseconds for each byte of a request.

        The negotiation has one that no other client uses: the reply that QEMU owes to the client before us, one at most, comes
        before the reply to the negotiation. After that all replies are ours, and a digit is enough to distinguish those
        that are on their way together. A reply that is late is never read, because the connection is closed then.
        """
        if not self._negotiated:
            return [os.urandom(1).hex()]
        first, self._next_id = self._next_id, (self._next_id + count) % _IDS
        return [(first + number) % _IDS for number in range(count)]

    def _take_replies(self, batch: dict[Ident, Request], deadline: float) -> list[Any]:
        """The replies to a batch, once all are there. Raises OutcomeUnknown at the deadline."""
        if not self._read_while(lambda: not self._replies.keys() >= batch.keys(), deadline):
            raise OutcomeUnknown(str(self._awaited()))
        return [self._replies.pop(ident) for ident in batch]

    def _trace_requests(self, batch: dict[Ident, Request], fds: Sequence[int]) -> None:
        """Show the tracer those that are sent now."""
        if self._tracer is not None:
            for ident, request in batch.items():
                self._tracer("send", {**redact_request(message_of(ident, request)), **({"fds": len(fds)} if fds else {})})

    def _send(self, data: bytes, fds: Sequence[int], deadline: float) -> None:
        try:
            self._transport.send(data, fds, deadline=deadline)
        except DeadlinePassed:
            raise OutcomeUnknown(str(self._awaited())) from None
        except OSError as error:
            raise Disconnected(self._awaited()) from error
        except (ConnectError, ValueError):  # it rejects the descriptors; nothing was sent
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
        """Read until one more event has come or *timeout* seconds have passed; :meth:`events` returns those before."""
        self._read_event(time.monotonic() + timeout)

    def take_event(self) -> Event | None:
        """The oldest event that is kept. It is not kept any longer. None if there are none. Works on a closed monitor, too.

        If the numbers ``seq`` of two events that were taken one after the other are not consecutive, those between were dropped.
        """
        if not self._events:
            return None
        self._event_bytes -= self._event_sizes.popleft()
        return self._events.popleft()

    def fileno(self) -> int:
        """The descriptor of the connection, for an event loop. When it is readable, call ``poll_events(0)``, which does not wait
        then."""
        return self._transport.fileno()

    def _read_event(self, deadline: float) -> bool:
        """Read until an event has come; False if none has until *deadline*."""
        before = self.mark()
        return self._read_while(lambda: self._event_count == before, deadline)

    # -- receiving

    def _negotiate(self, deadline: float) -> None:
        greeting = self._await_greeting(deadline)
        try:
            version = greeting["version"]
            self.version = Version(*(int(version["qemu"][part]) for part in Version._fields))
            self.package = str(version["package"])
            offered = greeting.get("capabilities")
            self.capabilities = tuple(one for one in offered if isinstance(one, str)) if isinstance(offered, list) else ()
        except (KeyError, TypeError, ValueError):
            raise ConnectError(f"{self.address}: {stranger(self._head)}") from None
        if self.version < OLDEST:
            found, oldest = (".".join(map(str, version)) for version in (self.version, OLDEST))
            raise ConnectError(f"{self.address}: this is QEMU {found}; at least {oldest} is required, so update QEMU.")
        try:
            (reply,) = self._exchange([Request("qmp_capabilities")], deadline)
        except (Disconnected, OutcomeUnknown, ProtocolError) as error:
            reply = error
        if isinstance(reply, Exception) and not is_negotiated(reply):
            raise ConnectError(f"{self.address}: QEMU greeted but did not negotiate ({reply}); check the VM.") from reply
        self._negotiated = True

    def _await_greeting(self, deadline: float) -> dict[str, Any]:
        try:
            self._read_while(lambda: self._greeting is None, deadline)
        except Disconnected:
            raise ConnectError(
                f"{self.address}: closed before a greeting came; QEMU is ending, or this is not its -qmp socket"
                f"{self._transport.refusal}."
            ) from None
        except ProtocolError:
            raise ConnectError(f"{self.address}: {stranger(self._head)}") from None
        if self._greeting is None and is_reply(self._head):
            raise ConnectError(f"{self.address}: {stranger(self._head)}")
        if self._greeting is None:
            raise MonitorBusy(
                f"{self.address}: connected, but no greeting came in time. {BUSY_HINT} A QEMU that hangs does not greet either, "
                "and neither does the socket of a guest agent, which is not a QMP socket."
            )
        return self._greeting

    def _check_open(self) -> None:
        if self.closed:
            raise Disconnected

    def _awaited(self) -> str | None:
        """The first command without a reply, which QEMU works on."""
        return next((request.command for request in self._pending.values()), None)

    def _read_while(self, waiting: Callable[[], bool], deadline: float) -> bool:
        """Read while *waiting*; False if it still does at *deadline*, however much else came meanwhile."""
        in_time = True
        while waiting() and in_time:
            in_time = self._read(deadline) and time.monotonic() < deadline
        return not waiting()

    def _read(self, deadline: float) -> bool:
        """Read some; False if nothing comes until *deadline*. Looks once even if that has passed."""
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
        ident = self._ident(message)
        request = None if ident is None else self._pending.get(ident)
        if self._tracer is not None:
            self._tracer("receive", redact_reply(message, *(request or ())))
        if "event" in message:
            self._keep_event(event_of(message, self._event_count), max(self._decoder.size, self._decoder.cost))
        elif ident is None:
            pass
        elif self._greeting is None:
            self._greeting = greeting_of(message)
        elif request is None:
            raise ProtocolError("QEMU sent a message that is neither an event nor a reply to a command of ours.")
        else:
            self._reply_bytes += self._decoder.size
            self._reply_cost += self._decoder.cost
            if self._reply_bytes > self._max_replies:
                raise ProtocolError(f"QEMU's replies together are larger than {self._max_replies} bytes.")
            if self._reply_cost > MAX_COST:
                raise ProtocolError(f"QEMU's replies together take more than {MAX_COST} bytes of memory.")
            self._replies[ident] = reply_of(message, request.command)
            del self._pending[ident]

    def _ident(self, message: dict[str, Any]) -> Ident | None:
        """The id of our request that *message* answers; "" where it is not a reply; None for a reply that is owed to another.

        QEMU greets a client while it still works for the one before, and then sends it that one's reply: with that one's id,
        without any if that one gave none, and, where its monitor has a thread of its own, perhaps before the greeting. After it
        has answered our first command, all replies are ours, and an error without an id is the reply to the oldest command: QEMU
        does not know the id of a command that it could not read.
        """
        ident = message.get("id")
        if isinstance(ident, (int, str)) and not isinstance(ident, bool) and ident in self._pending:  # True is equal to 1
            return ident
        if "QMP" in message or not ("return" in message or "error" in message):
            return ""
        if not self._negotiated or ident is not None:
            return None
        if "error" in message:
            return next(iter(self._pending), None)
        return ""

    def _keep_event(self, event: Event, size: int) -> None:
        """Queue *event*, which takes *size* bytes; the newest is kept however large it is."""
        self._events.append(event)
        self._event_sizes.append(size)
        self._event_bytes += size
        self._event_count += 1
        while len(self._events) > MAX_EVENTS or (self._event_bytes > MAX_EVENT_BYTES and len(self._events) > 1):
            self._events.popleft()
            self._event_bytes -= self._event_sizes.popleft()
