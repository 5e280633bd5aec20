# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS transport against a real TLS server, with certificates made by openssl."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import threading
import time
import types
from contextlib import suppress
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils.qmp import access
from ansible_collections.vmops.qemu.plugins.module_utils.qmp.errors import ConnectError, MonitorBusy
from ansible_collections.vmops.qemu.plugins.module_utils.qmp.transport import DeadlinePassed, TlsAddress, Transport, connect

BIG = b"x" * 300000


class Certificate:
    """A key and a certificate that signs itself, for *name*."""

    def __init__(self, directory: Path, name: str) -> None:
        self.cert, self.key = directory / "cert.pem", directory / "key.pem"
        subprocess.run(
            [
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=" + name,
                "-addext",
                "subjectAltName=DNS:" + name,
                "-keyout",
                str(self.key),
                "-out",
                str(self.cert),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Certificate(tmp_path_factory.mktemp("tls"), "localhost")


@pytest.fixture
def serve(certificate: Certificate) -> Iterator[Callable[..., TlsAddress]]:
    """Serve one client by a function that gets the connection; the address for it."""
    threads, listeners = [], []

    def start(talk: Callable[[Any], None], tls: bool = True) -> TlsAddress:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(str(certificate.cert), str(certificate.key))

        def run() -> None:
            try:
                client, _address = listener.accept()
                with client:
                    client.settimeout(10)
                    talk(context.wrap_socket(client, server_side=True) if tls else client)
            except OSError:
                pass

        threads.append(threading.Thread(target=run))
        threads[-1].start()
        return TlsAddress("127.0.0.1", listener.getsockname()[1], str(certificate.cert), server_name="localhost")

    yield start
    for listener, thread in zip(listeners, threads):
        with suppress(OSError):  # whom nobody has called waits for a call
            socket.create_connection(listener.getsockname()).close()
        thread.join()
        listener.close()


def soon(seconds: float = 10.0) -> float:
    return time.monotonic() + seconds


def received(transport: Transport, length: int) -> bytes:
    data = b""
    while len(data) < length:
        data += transport.receive(soon())
    return data


def test_data_goes_both_ways_whole_and_white_space_follows_it(serve: Callable[..., TlsAddress]) -> None:
    got = []

    def talk(client: Any) -> None:
        data = b""
        while len(data) < len(BIG) + 1:
            data += client.recv(65536)
        got.append(data)
        client.sendall(BIG)
        client.recv(1)

    address = serve(talk)
    transport = connect(address, soon())
    assert str(address) == f"127.0.0.1:{address.port}" and not transport.passes_fds
    transport.send(BIG, deadline=soon())
    assert received(transport, len(BIG)) == BIG
    with pytest.raises(DeadlinePassed):
        transport.receive(soon(0.05))
    transport.close()
    assert got == [BIG + b"\n"]


def test_what_came_in_one_record_is_read_without_waiting(serve: Callable[..., TlsAddress]) -> None:
    def talk(client: Any) -> None:
        client.sendall(b"y" * 16000)
        client.recv(1)

    transport = connect(serve(talk), soon())
    assert received(transport, 16000) == b"y" * 16000
    transport.close()


def test_a_descriptor_is_refused(serve: Callable[..., TlsAddress]) -> None:
    transport = connect(serve(lambda client: client.recv(1)), soon())
    with pytest.raises(ConnectError, match="unix socket"):
        transport.send(b"{}", [0], deadline=soon())
    transport.close()


def test_another_name_is_refused(serve: Callable[..., TlsAddress]) -> None:
    address = serve(lambda client: client.recv(1))
    with pytest.raises(ConnectError, match="not for elsewhere"):
        connect(address._replace(server_name="elsewhere"), soon())


def test_another_authority_is_refused(serve: Callable[..., TlsAddress], tmp_path: Path) -> None:
    address = serve(lambda client: client.recv(1))
    with pytest.raises(ConnectError, match="not trusted"):
        connect(address._replace(ca=str(Certificate(tmp_path, "localhost").cert)), soon())


def test_files_that_cannot_be_used(serve: Callable[..., TlsAddress], certificate: Certificate) -> None:
    address = serve(lambda client: client.recv(1))
    files: list[dict[str, Any]] = [
        {"ca": "/nosuch"},
        {"ca": str(certificate.key)},
        {"cert": str(certificate.cert), "key": str(certificate.cert)},
    ]
    for wrong in files:
        with pytest.raises(ConnectError, match="TLS files cannot be used"):
            connect(address._replace(**wrong), soon())


def test_a_port_that_is_silent_is_busy(serve: Callable[..., TlsAddress]) -> None:
    over = threading.Event()
    address = serve(lambda client: over.wait(10), tls=False)
    with pytest.raises(MonitorBusy, match="no answer to TLS"):
        connect(address, soon(0.2))
    over.set()


def test_a_port_that_speaks_something_else(serve: Callable[..., TlsAddress]) -> None:
    with pytest.raises(ConnectError, match="TLS failed"):
        connect(serve(lambda client: client.sendall(b'{"QMP": {}}\r\n' * 10), tls=False), soon())


def test_a_port_that_hangs_up(serve: Callable[..., TlsAddress]) -> None:
    with pytest.raises(ConnectError, match="TLS failed|cannot connect"):
        connect(serve(lambda client: None, tls=False), soon())


def test_an_interrupt_closes_and_goes_on(serve: Callable[..., TlsAddress], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_arguments: Any) -> None:
        raise KeyboardInterrupt

    address = serve(lambda client: client.recv(1))
    monkeypatch.setattr("ansible_collections.vmops.qemu.plugins.module_utils.qmp.tls._shake_hands", interrupt)
    with pytest.raises(KeyboardInterrupt):
        connect(address, soon())


def test_an_encrypted_key_is_refused_and_asks_nobody(certificate: Certificate, tmp_path: Path) -> None:
    key = tmp_path / "encrypted.pem"
    subprocess.run(
        ["openssl", "rsa", "-aes256", "-passout", "pass:secret", "-in", str(certificate.key), "-out", str(key)],
        check=True,
        stderr=subprocess.DEVNULL,
    )
    address = TlsAddress("127.0.0.1", 1, str(certificate.cert), str(certificate.cert), str(key))
    with pytest.raises(ConnectError, match="the key is encrypted; give one without a passphrase"):
        connect(address, soon())


@pytest.mark.parametrize("name", [".elsewhere", "x" * 70, "\0"])
def test_a_name_that_no_server_has_is_refused_before_connecting(certificate: Certificate, name: str) -> None:
    with pytest.raises(ConnectError, match="no certificate can be for .*; check host and server_name"):
        connect(TlsAddress("127.0.0.1", 1, str(certificate.cert), server_name=name), soon())


def test_a_connection_that_broke_before_tls_is_an_error(
    serve: Callable[..., TlsAddress], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: Any, **_options: Any) -> None:
        raise ssl.SSLError(0, "Closed before TLS handshake with data in recv buffer.")

    address = serve(lambda client: client.recv(1), tls=False)
    monkeypatch.setattr(ssl.SSLContext, "wrap_socket", refuse)
    with pytest.raises(ConnectError, match="TLS failed .Closed before"):
        connect(address, soon())


@pytest.mark.parametrize("which", ["ca", "cert", "key"])
def test_no_link_of_another_user_is_followed_to_a_file(
    certificate: Certificate, tmp_path: Path, which: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"ca": certificate.cert, "cert": certificate.cert, "key": certificate.key}
    link = tmp_path / "planted"
    link.symlink_to(files[which])
    owner = types.SimpleNamespace(st_uid=54321)
    real = {name: getattr(os, name) for name in ("path", "geteuid", "readlink", "stat")}
    monkeypatch.setattr(access, "os", types.SimpleNamespace(**real, lstat=lambda path: owner))
    with pytest.raises(ConnectError, match="planted is a link of another user"):
        connect(TlsAddress("127.0.0.1", 1, **{name: str(path) for name, path in {**files, which: link}.items()}), soon())
