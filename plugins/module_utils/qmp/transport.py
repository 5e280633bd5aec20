# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Byte streams to a monitor over unix sockets and TCP; ``tls`` has those behind TLS. Every wait is bounded by a deadline on the
monotonic clock.

A *deadline* is a value of ``time.monotonic()``, in seconds.
"""

from __future__ import annotations

import array
import errno
import math
import os
import select
import socket
import struct
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Union

from .access import reached, refuse_peer
from .errors import ConnectError, MonitorBusy

BUSY_HINT = (
    "It serves one client at a time: libvirt, Proxmox, a shell or another task may hold it. Wait for that one to end, or give "
    "the VM a second socket (-qmp unix:PATH,server=on,wait=off)."
)

_CHUNK = 64 * 1024  # bytes read at once; from 128 KiB on, the C library would map memory for each read
_MOST_UNREAD = 64 * 1024 * 1024  # bytes kept while sending; beyond that the peer must read first
_LONGEST_PATH = 107  # bytes of a unix socket's name
_RETRY_SECONDS = 0.05  # between two attempts at a full backlog: no event announces that it has room again
_LONGEST_WAIT = 2**31 - 1  # milliseconds that poll() takes
_PEERCRED = struct.Struct("iII")  # pid, uid, gid
_SO_PEERCRED = getattr(socket, "SO_PEERCRED", None)  # Linux


class UnixAddress(NamedTuple):
    """A unix stream socket, as of ``-qmp unix:PATH,server=on``."""

    path: str

    def __str__(self) -> str:
        return self.path


class TcpAddress(NamedTuple):
    """A TCP port, as of ``-qmp tcp:HOST:PORT,server=on``."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class TlsAddress(NamedTuple):
    """A TCP port of a monitor behind TLS, as of ``-object tls-creds-x509`` with ``-chardev socket,tls-creds=…``.

    ``ca``, ``cert`` and ``key`` are paths of PEM files: the authorities that must have signed QEMU's certificate, and our own
    certificate, which QEMU requires with ``verify-peer=yes``. QEMU's certificate must be for ``server_name``, by default the
    host.
    """

    host: str
    port: int
    ca: str
    cert: str | None = None
    key: str | None = None
    server_name: str | None = None

    def __str__(self) -> str:
        return str(TcpAddress(self.host, self.port))


Address = Union[UnixAddress, TcpAddress, TlsAddress]


class DeadlinePassed(Exception):
    """The deadline of a send or receive passed. Never leaves this package."""


class Transport:
    """A connected stream socket, which it owns.

    ``passes_fds``: whether file descriptors can travel along. ``peer_pid`` and ``peer_uid``: the process that created the
    listening socket (QEMU, or the process that passed it the socket) and its user; None where the system does not report them.
    ``refusal``: another possible reason why the peer closes the connection at once.
    """

    refusal = ""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._readable = select.poll()  # not select(), which breaks beyond 1024 descriptors
        self._readable.register(sock, select.POLLIN)
        self._inbox = bytearray()  # what came while sending
        self._ended = False  # the peer sends no more
        self.passes_fds = sock.family == socket.AF_UNIX
        self.peer_pid, self.peer_uid = _peer(sock) if self.passes_fds else (None, None)

    def send(self, data: bytes, fds: Sequence[int] = (), *, deadline: float) -> None:
        """Send all of *data*, with at most one descriptor, which stays open here.

        Reads meanwhile: a peer that waits until we take its replies would otherwise never take our requests.
        Raises DeadlinePassed; OSError when the connection breaks; ConnectError, nothing sent, when it passes no *fds*.
        """
        if len(fds) > 1:
            raise ValueError("QMP takes one file descriptor to a message.")
        if fds and not self.passes_fds:
            raise ConnectError("Only a unix socket passes file descriptors; connect to the monitor's unix socket.")
        rest = memoryview(data)
        while True:
            try:
                rest = rest[self._write(rest, fds) :]
                fds = ()  # it went with the first byte
            except BlockingIOError:
                pass
            if not rest:
                return
            reads = not self._ended and len(self._inbox) < _MOST_UNREAD
            ready = wait(self._socket, select.POLLOUT | (select.POLLIN if reads else 0), deadline)
            if ready & select.POLLIN:
                try:
                    received = self._read()
                except BlockingIOError:
                    continue
                self._inbox += received
                self._ended = not received

    def receive(self, deadline: float) -> bytes:
        """Some bytes, b"" at the end of the stream. Looks once even if the deadline has passed.

        Raises DeadlinePassed; OSError when the connection breaks.
        """
        if self._inbox:
            data = bytes(self._inbox[:_CHUNK])  # no more, so that the caller checks its deadline in between
            del self._inbox[:_CHUNK]
            return data
        while True:
            if not self._has_data() and not self._readable.poll(_milliseconds(deadline)):
                raise DeadlinePassed
            try:
                return self._read()
            except BlockingIOError:  # ready, and yet not: wait again
                pass

    def close(self) -> None:
        """Close the socket; may be repeated."""
        self._socket.close()

    def fileno(self) -> int:
        """The descriptor of the socket; -1 once it is closed."""
        return self._socket.fileno()

    def _write(self, data: memoryview, fds: Sequence[int]) -> int:
        """Write some of *data* at once; return how much. Raises BlockingIOError if none can be written now."""
        if fds:
            return self._socket.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])
        return self._socket.send(data)

    def _read(self) -> bytes:
        """Read what is there. Raises BlockingIOError if that is nothing yet."""
        return self._socket.recv(_CHUNK)

    def _has_data(self) -> bool:
        """Whether there is data that no poll announces."""
        return False


def connect(address: Address, deadline: float) -> Transport:
    """Connect to *address*. Raises ConnectError; MonitorBusy if its queue of clients was full until *deadline*.

    The system's resolver looks a host name up, within a time limit of its own.
    """
    for part in map(str, address):
        if "\0" in part[1:]:  # at the start it makes an abstract socket of a path
            raise ConnectError(f"{part!r} contains a NUL byte, at which the system would stop reading; leave it out.")
    if isinstance(address, UnixAddress):
        return _connect_unix(address, deadline)
    if isinstance(address, TcpAddress):
        return Transport(connect_tcp(address, deadline))
    from .tls import connect_tls  # only here: it takes longer to load than all the rest

    return connect_tls(address, deadline)


def _connect_unix(address: UnixAddress, deadline: float) -> Transport:
    try:
        if address.path.startswith("\0"):
            return _refuse_strangers(Transport(_open(socket.AF_UNIX, address.path, deadline)), address, None)
        if len(os.fsencode(address.path)) > _LONGEST_PATH:
            raise ConnectError(
                f"{address}: the path has {len(os.fsencode(address.path))} bytes, but a unix socket can have at most "
                f"{_LONGEST_PATH} (AF_UNIX path too long); give the path named in QEMU's -qmp option."
            )
        with reached(address.path) as file:
            return _refuse_strangers(Transport(_open(socket.AF_UNIX, file.path, deadline)), address, file.owner)
    except DeadlinePassed:
        raise MonitorBusy(f"{address}: the monitor's queue of clients is full. {BUSY_HINT}") from None
    except OSError as error:
        raise ConnectError(f"{address}: {_why_not(address.path, error)}") from error
    except UnicodeError:
        raise ConnectError(f"{address.path!r}: no file can have this name; give the path named in QEMU's -qmp option.") from None


def _refuse_strangers(transport: Transport, address: UnixAddress, owner: int | None) -> Transport:
    """*transport*, if the process at the other end may be trusted. *owner*: the user that the socket's file belongs to."""
    if transport.peer_uid is not None:
        try:
            refuse_peer(str(address).replace("\0", "@"), owner, transport.peer_uid, transport.peer_pid)
        except ConnectError:
            transport.close()
            raise
    return transport


def connect_tcp(address: TcpAddress, deadline: float) -> socket.socket:
    """Connect to each address that the host's name has, in the resolver's order, until one answers.

    Raises ConnectError, with the reason of the last one.
    """
    if not 0 < address.port < 1 << 16:  # the resolver takes it modulo 65536
        raise ConnectError(f"{address}: cannot connect (a port is 1 to 65535); check host and port.")
    failure: Exception = OSError("the name has no address")
    try:
        for family, _type, _protocol, _name, place in socket.getaddrinfo(
            address.host, str(address.port), type=socket.SOCK_STREAM
        ):
            try:
                return _open(family, place, deadline)
            except OSError as error:
                failure = error
    except DeadlinePassed:
        raise ConnectError(f"{address}: no answer; check host, port and firewall. {BUSY_HINT}") from None
    except (OSError, UnicodeError) as error:
        failure = error
    reason = getattr(failure, "strerror", None) or failure
    raise ConnectError(f"{address}: cannot connect ({reason}); check host and port.") from failure


def _open(family: int, place: Any, deadline: float) -> socket.socket:
    """Connect a new socket to *place*, which is what ``socket.connect`` takes for *family*.

    Raises OSError, DeadlinePassed. A unix socket whose queue is full answers EAGAIN at once, again and again.
    """
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        code = sock.connect_ex(place)
        while code == errno.EAGAIN:
            _sleep(deadline)
            code = sock.connect_ex(place)
        if code == errno.EINPROGRESS:
            wait(sock, select.POLLOUT, deadline)
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
        return sock
    except BaseException:
        sock.close()
        raise


def _why_not(path: str, error: OSError) -> str:
    """Why connecting to the unix socket *path* failed, and what to do."""
    if error.errno == errno.ENOENT:
        return f"this socket does not exist; check the path, and that QEMU runs with -qmp unix:{path},server=on,wait=off."
    if error.errno == errno.EACCES:
        return "permission denied; run as root or as the user that QEMU runs as."
    # Linux reports ECONNREFUSED for a plain file as for a socket without listener.
    if error.errno == errno.EPROTOTYPE or (error.errno == errno.ECONNREFUSED and not Path(path).is_socket()):
        return "this is not a stream socket; give the path named in QEMU's -qmp option."
    if error.errno == errno.ECONNREFUSED:
        return "no process listens on this socket; the QEMU that created it has ended: start the VM, or give another path."
    return f"cannot connect ({error.strerror or error}); give the path named in QEMU's -qmp option."


def _peer(sock: socket.socket) -> tuple[int | None, int | None]:
    """Pid (None if this process may not see it) and uid of the process at the other end, or that created the listening socket."""
    if _SO_PEERCRED is None:
        return None, None
    pid, uid, _gid = _PEERCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, _SO_PEERCRED, _PEERCRED.size))
    return pid or None, uid


def _sleep(deadline: float) -> None:
    """Pause before a retry. Raises DeadlinePassed when it is too late for one."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise DeadlinePassed
    time.sleep(min(left, _RETRY_SECONDS))


def _milliseconds(deadline: float) -> int:
    """From now until *deadline*, as poll() takes them."""
    return math.ceil(min(max(0.0, deadline - time.monotonic()) * 1000, _LONGEST_WAIT))


def wait(sock: socket.socket, events: int, deadline: float) -> int:
    """Wait until one of the poll *events*, an error or a hang-up; returns which. Raises DeadlinePassed."""
    poller = select.poll()
    poller.register(sock, events)
    ready = poller.poll(_milliseconds(deadline))
    if not ready:
        raise DeadlinePassed
    return ready[0][1]
