# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Monitors behind TLS."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
from collections.abc import Sequence

from .access import reached, refuse_open_file
from .errors import ConnectError, MonitorBusy
from .transport import BUSY_HINT, DeadlinePassed, TcpAddress, TlsAddress, Transport, connect_tcp, wait


class TlsTransport(Transport):
    """A connected socket behind TLS, whose handshake is done. It passes no descriptors."""

    _socket: ssl.SSLSocket
    refusal = ", or it does not accept our certificate (with TLS 1.3 it reports that no earlier)"

    def send(self, data: bytes, fds: Sequence[int] = (), *, deadline: float) -> None:
        """As its base does it, with white space after *data* in a TLS record of its own.

        QEMU takes a monitor's bytes one by one and waits for the socket in between, even if they are decrypted already: the last
        record would stay there until another comes. A record of a single byte leaves nothing behind.
        """
        super().send(data, fds, deadline=deadline)
        super().send(b"\n", deadline=deadline)

    def _write(self, data: memoryview, fds: Sequence[int]) -> int:
        try:
            return self._socket.send(data)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise BlockingIOError from None

    def _read(self) -> bytes:
        try:
            return super()._read()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise BlockingIOError from None

    def _has_data(self) -> bool:
        return bool(self._socket.pending())  # decrypted already


def connect_tls(address: TlsAddress, deadline: float) -> Transport:
    """Connect to *address*. Raises ConnectError; MonitorBusy for a port that does not answer to TLS."""
    if not address.ca:  # the system's authorities would be used
        raise ConnectError(f"{address}: a CA file is missing; give the one that signed QEMU's certificate.")
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
    plain = connect_tcp(TcpAddress(address.host, address.port), deadline)
    secure: socket.socket = plain
    try:
        secure = context.wrap_socket(plain, server_hostname=name, do_handshake_on_connect=False)
        _shake_hands(secure, deadline)
        return TlsTransport(secure)
    except BaseException as error:
        secure.close()
        if isinstance(error, DeadlinePassed):
            raise MonitorBusy(
                f"{address}: no answer to TLS in time. {BUSY_HINT} A port without TLS does not answer either."
            ) from None
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
    """Called for an encrypted key; without this OpenSSL would ask at the terminal."""
    raise ValueError("the key is encrypted; give one without a passphrase, which only you can read")


def _shake_hands(secure: ssl.SSLSocket, deadline: float) -> None:
    while True:
        try:
            return secure.do_handshake()
        except ssl.SSLWantReadError:
            wait(secure, select.POLLIN, deadline)
        except ssl.SSLWantWriteError:
            wait(secure, select.POLLOUT, deadline)


def _why_no_tls(error: OSError, name: str) -> str:
    """Why the handshake failed, and what to do."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if "match" in error.verify_message:
            return f"QEMU's certificate is not for {name} ({error.verify_message}); give the name that it is for."
        return f"QEMU's certificate is not trusted ({error.verify_message}); give the CA that signed it."
    return f"TLS failed ({_reason(error)}); check that the port is behind TLS, and the client certificate."


def _reason(error: Exception) -> str:
    return getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
