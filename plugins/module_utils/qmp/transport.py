# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Byte streams to a monitor: unix sockets, TCP and TLS, every wait bounded by a deadline on the monotonic clock.

A *deadline* is a value of ``time.monotonic()``, in seconds. One more kind of connection is one more address type here.
"""

from __future__ import annotations

import array
import contextlib
import errno
import math
import os
import select
import socket
import ssl
import struct
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Union

from .access import reached, refuse_open_file, refuse_peer
from .errors import ConnectError, MonitorBusy

BUSY_HINT = (
    "It serves one client at a time: libvirt, Proxmox, a shell or another task may hold it. "
    "Wait for that one to end, or give the VM a second socket (-qmp unix:PATH,server=on,wait=off)."
)

_CHUNK = 256 * 1024  # bytes read at once
_MOST_UNREAD = 64 * 1024 * 1024  # bytes kept while sending; then it is the peer's turn to read
_LONGEST_PATH = 107  # bytes of a unix socket's name
_RETRY_SECONDS = 0.05  # between two attempts at a full backlog, which nothing announces to be free again
_LONGEST_WAIT = 2**31 - 1  # milliseconds that poll() takes
_NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
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

    ``ca``, ``cert`` and ``key`` are paths of PEM files: the authorities whose signature QEMU's certificate must have, and our
    own certificate, which QEMU asks for where it has ``verify-peer=yes``. QEMU's certificate must be for ``server_name``, by
    default the host.
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

    ``passes_fds``: whether file descriptors can travel along. ``peer_pid`` and ``peer_uid``: the process that made the listening
    socket (QEMU, or who passed it the socket) and its user, None where the system does not tell. ``refusal``: what else it may
    mean that the peer closes the connection at once.
    """

    refusal = ""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._inbox = bytearray()  # what came while sending
        self._ended = False  # the peer sends no more
        self.passes_fds = sock.family == socket.AF_UNIX
        self.peer_pid, self.peer_uid = _peer(sock) if self.passes_fds else (None, None)

    def send(self, data: bytes, fds: Sequence[int] = (), *, deadline: float) -> None:
        """Send all of *data*, with at most one descriptor, which stays open here.

        Reads on meanwhile: a peer that waits for us to take its replies would otherwise never take our requests.
        Raises DeadlinePassed; OSError when the connection breaks; ConnectError, nothing sent, when it passes no *fds*.
        """
        if len(fds) > 1:
            raise ValueError("QMP takes one file descriptor to a message.")
        if fds and not self.passes_fds:
            raise ConnectError("Only a unix socket passes file descriptors; connect to the monitor's unix socket.")
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        rest = memoryview(data)
        while rest:
            reads = not self._ended and len(self._inbox) < _MOST_UNREAD
            ready = _wait(self._socket, select.POLLOUT | (select.POLLIN if reads else 0), deadline)
            try:
                if ready & select.POLLIN:
                    received = self._socket.recv(_CHUNK)
                    self._inbox += received
                    self._ended = not received
                if ready & ~select.POLLIN:
                    rest = rest[self._write(rest, rights) :]
                    rights = []  # they went with the first byte
            except _NOT_NOW:  # ready, and yet not: wait again
                pass

    def receive(self, deadline: float) -> bytes:
        """Some bytes, b"" at the end of the stream. Looks once even if the deadline has passed.

        Raises DeadlinePassed; OSError when the connection breaks.
        """
        if self._inbox:
            data = bytes(self._inbox[:_CHUNK])  # no more, so that the caller sees to its deadline in between
            del self._inbox[:_CHUNK]
            return data
        while True:
            self._await_data(deadline)
            try:
                return self._socket.recv(_CHUNK)
            except _NOT_NOW:  # ready, and yet not: wait again
                pass

    def close(self) -> None:
        """Close the socket; may be repeated."""
        self._socket.close()

    def _write(self, data: memoryview, rights: list[tuple[int, int, array.array[int]]]) -> int:
        return self._socket.sendmsg([data], rights)

    def _await_data(self, deadline: float) -> None:
        _wait(self._socket, select.POLLIN, deadline)


class TlsTransport(Transport):
    """A connected socket behind TLS, whose handshake is done. It passes no descriptors."""

    _socket: ssl.SSLSocket
    refusal = ", or it does not take our certificate (with TLS 1.3 it says so no earlier)"

    def send(self, data: bytes, fds: Sequence[int] = (), *, deadline: float) -> None:
        """As its base does it, with white space after *data* in a TLS record of its own.

        QEMU takes a monitor's bytes one by one and waits for the socket in between, though what it waits for is decrypted
        already: the last record would stay where it is until another comes. One of a single byte leaves nothing behind.
        """
        super().send(data, fds, deadline=deadline)
        super().send(b"\n", deadline=deadline)

    def _write(self, data: memoryview, rights: list[tuple[int, int, array.array[int]]]) -> int:
        return self._socket.send(data)

    def _await_data(self, deadline: float) -> None:
        if not self._socket.pending():  # what is decrypted already is announced by no poll
            super()._await_data(deadline)


def connect(address: Address, deadline: float) -> Transport:
    """Connect to *address*. Raises ConnectError; MonitorBusy if its queue of clients was full until *deadline*.

    The system's resolver looks a host name up, within a time limit of its own.
    """
    for part in map(str, address):
        if "\0" in part[1:]:  # at the start it makes an abstract socket of a path
            raise ConnectError(f"{part!r} has a NUL byte in it, where the system would stop reading; leave it out.")
    if isinstance(address, UnixAddress):
        return _connect_unix(address, deadline)
    if isinstance(address, TcpAddress):
        return Transport(_connect_tcp(address, deadline))
    return _connect_tls(address, deadline)


def _connect_unix(address: UnixAddress, deadline: float) -> Transport:
    try:
        if address.path.startswith("\0"):
            return _spoken_to(Transport(_open(socket.AF_UNIX, address.path, deadline)), address, None)
        if len(os.fsencode(address.path)) > _LONGEST_PATH:
            raise ConnectError(
                f"{address}: the path is {len(os.fsencode(address.path))} bytes long, and a unix socket can have "
                f"{_LONGEST_PATH} at most (AF_UNIX path too long); give the path named in QEMU's -qmp option."
            )
        with reached(address.path) as file:
            return _spoken_to(Transport(_open(socket.AF_UNIX, file.path, deadline)), address, file.owner)
    except DeadlinePassed:
        raise MonitorBusy(f"{address}: the monitor's queue of clients is full. {BUSY_HINT}") from None
    except OSError as error:
        raise ConnectError(f"{address}: {_why_not(address.path, error)}") from error
    except UnicodeError:
        raise ConnectError(f"{address.path!r}: no file has such a name; give the path named in QEMU's -qmp option.") from None


def _spoken_to(transport: Transport, address: UnixAddress, owner: int | None) -> Transport:
    """*transport*, if the other end is somebody to speak to."""
    if transport.peer_uid is not None:
        try:
            refuse_peer(str(address).replace("\0", "@"), owner, transport.peer_uid, transport.peer_pid)
        except ConnectError:
            transport.close()
            raise
    return transport


def _connect_tcp(address: TcpAddress, deadline: float) -> socket.socket:
    """Tries each address that the host's name has, in the resolver's order; tells of the last one's failure."""
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


def _connect_tls(address: TlsAddress, deadline: float) -> Transport:
    if not address.ca:  # the system's authorities would do
        raise ConnectError(f"{address}: no CA file is named; give the one that signed QEMU's certificate.")
    try:
        with contextlib.ExitStack() as stack:
            ca, cert, key = (_held(stack, path) for path in (address.ca, address.cert, address.key))
            context = ssl.create_default_context(cafile=ca)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            if cert:
                context.load_cert_chain(cert, key, password=_no_passphrase)
    except (OSError, ValueError) as error:
        files = ", ".join(filter(None, (address.ca, address.cert, address.key)))
        raise ConnectError(f"{address}: the TLS files cannot be used ({_reason(error)}); check {files}.") from error
    name = address.server_name or address.host
    try:
        context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=name)
    except (TypeError, ValueError) as error:
        raise ConnectError(f"{address}: no certificate can be for {name!r} ({error}); check host and server_name.") from error
    secure = _connect_tcp(TcpAddress(address.host, address.port), deadline)
    try:
        secure = context.wrap_socket(secure, server_hostname=name, do_handshake_on_connect=False)
        _shake_hands(secure, deadline)
        return TlsTransport(secure)
    except BaseException as error:
        secure.close()
        if isinstance(error, DeadlinePassed):
            raise MonitorBusy(f"{address}: no answer to TLS in time. {BUSY_HINT} A port without TLS may be as silent.") from None
        if isinstance(error, OSError):
            raise ConnectError(f"{address}: {_why_no_tls(error, name)}") from error
        raise


def _held(stack: contextlib.ExitStack, path: str | None) -> str | None:
    """A name for the very file at *path*, which only trusted users can have put there, as long as *stack* lasts."""
    if not path:
        return None
    held = stack.enter_context(reached(path)).path
    refuse_open_file(path, held)
    return held


def _no_passphrase() -> str:
    """Asked for by an encrypted key; without this the terminal would be."""
    raise ValueError("the key is encrypted; give one without a passphrase, which only you can read")


def _shake_hands(secure: ssl.SSLSocket, deadline: float) -> None:
    while True:
        try:
            return secure.do_handshake()
        except ssl.SSLWantReadError:
            _wait(secure, select.POLLIN, deadline)
        except ssl.SSLWantWriteError:
            _wait(secure, select.POLLOUT, deadline)


def _why_no_tls(error: OSError, name: str) -> str:
    """Why the two did not come to terms, and what to do."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if "match" in error.verify_message:
            return f"QEMU's certificate is not for {name} ({error.verify_message}); give the name that it is for."
        return f"QEMU's certificate is not trusted ({error.verify_message}); give the CA that signed it."
    return f"TLS failed ({_reason(error)}); check that the port is behind TLS, and the client certificate."


def _reason(error: Exception) -> str:
    return getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)


def _open(family: int, place: Any, deadline: float) -> socket.socket:
    """Connect a new socket to *place*, which is what ``socket.connect`` takes for *family*.

    Raises OSError, DeadlinePassed. A unix socket whose queue is full says EAGAIN at once, again and again.
    """
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        code = sock.connect_ex(place)
        while code == errno.EAGAIN:
            _sleep(deadline)
            code = sock.connect_ex(place)
        if code == errno.EINPROGRESS:
            _wait(sock, select.POLLOUT, deadline)
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
        return f"there is no such socket; check the path, and that QEMU runs with -qmp unix:{path},server=on,wait=off."
    if error.errno == errno.EACCES:
        return "permission denied; run as root or as the user that QEMU runs as."
    # Linux says ECONNREFUSED for a plain file as for a socket without listener.
    if error.errno == errno.EPROTOTYPE or (error.errno == errno.ECONNREFUSED and not Path(path).is_socket()):
        return "this is no stream socket; give the path named in QEMU's -qmp option."
    if error.errno == errno.ECONNREFUSED:
        return "nobody listens on this socket; the QEMU that made it has ended: start the VM, or give another path."
    return f"cannot connect ({error.strerror or error}); give the path named in QEMU's -qmp option."


def _peer(sock: socket.socket) -> tuple[int | None, int | None]:
    """The pid, as far as this process may see it, and the uid at the other end, or of who made the listening socket."""
    if _SO_PEERCRED is None:
        return None, None
    pid, uid, _gid = struct.unpack("iII", sock.getsockopt(socket.SOL_SOCKET, _SO_PEERCRED, struct.calcsize("iII")))
    return pid or None, uid


def _sleep(deadline: float) -> None:
    """Pause before a retry. Raises DeadlinePassed when there is no time left for one."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise DeadlinePassed
    time.sleep(min(left, _RETRY_SECONDS))


def _wait(sock: socket.socket, events: int, deadline: float) -> int:
    """Wait until one of the poll *events*, an error or a hang-up; returns which. Raises DeadlinePassed."""
    poller = select.poll()  # not select(), which breaks beyond 1024 descriptors
    poller.register(sock, events)
    left = max(0.0, deadline - time.monotonic())
    ready = poller.poll(math.ceil(min(left * 1000, _LONGEST_WAIT)))
    if not ready:
        raise DeadlinePassed
    return ready[0][1]
