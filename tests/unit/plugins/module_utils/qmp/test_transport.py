# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The transport: connecting, and bytes and descriptors under a deadline."""

from __future__ import annotations

import errno
import os
import select
import socket
import sys
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Callable, Iterator, Tuple
from unittest import mock

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils.qmp import ConnectError, MonitorBusy, TcpAddress, UnixAddress
from ansible_collections.vmops.qemu.plugins.module_utils.qmp import transport as transport_module
from ansible_collections.vmops.qemu.plugins.module_utils.qmp.transport import DeadlinePassed, Transport, connect

Pair = Tuple[Transport, socket.socket]
UnixListener = Tuple[socket.socket, UnixAddress]
TcpListener = Tuple[socket.socket, TcpAddress]
Crowd = Callable[[int, Any], None]


def soon(seconds: float = 0.1) -> float:
    return time.monotonic() + seconds


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A transport and the socket at its other end."""
    ours, theirs = socket.socketpair()
    theirs.settimeout(10)
    with ours, theirs:
        yield Transport(ours), theirs


@pytest.fixture
def unix_listener(tmp_path: Path) -> Iterator[UnixListener]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen(0)
        yield listener, UnixAddress(str(tmp_path / "s"))


@pytest.fixture
def tcp_listener() -> Iterator[TcpListener]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        yield listener, TcpAddress(*listener.getsockname())


@pytest.fixture
def crowd() -> Iterator[Crowd]:
    """Fills the queue of clients at a place: ``crowd(family, place)``."""
    with ExitStack() as stack:

        def fill(family: int, place: Any) -> None:
            for _count in range(4):
                client = stack.enter_context(socket.socket(family))
                client.setblocking(False)
                client.connect_ex(place)

        yield fill


# -- connecting


def test_addresses_read_as_people_write_them() -> None:
    assert str(UnixAddress("/run/vm.qmp")) == "/run/vm.qmp"
    assert str(TcpAddress("localhost", 4444)) == "localhost:4444"
    assert str(TcpAddress("::1", 4444)) == "[::1]:4444"


def test_a_unix_transport_knows_its_peer_and_passes_descriptors(unix_listener: UnixListener) -> None:
    transport = connect(unix_listener[1], soon())
    assert (transport.peer_pid, transport.passes_fds) == (os.getpid(), True)
    transport.close()
    transport.close()


def test_the_peer_is_unknown_where_the_system_does_not_report_it(unix_listener: UnixListener) -> None:
    with mock.patch.object(transport_module, "_SO_PEERCRED", None):
        transport = connect(unix_listener[1], soon())
    assert transport.peer_pid is None
    transport.close()


def test_a_tcp_transport_knows_no_peer_and_refuses_descriptors(tcp_listener: TcpListener) -> None:
    transport = connect(tcp_listener[1], soon(5))
    assert (transport.peer_pid, transport.passes_fds) == (None, False)
    with pytest.raises(ConnectError, match="Only a unix socket passes file descriptors"):
        transport.send(b"x", [0], deadline=soon())
    transport.close()


def plain_file(path: Path) -> None:
    path.write_text("")


def directory(path: Path) -> None:
    path.mkdir()


def nothing(_path: Path) -> None:
    pass


def left_over_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


@pytest.mark.parametrize(
    "make, sentence",
    [
        (nothing, "this socket does not exist; check the path"),
        (plain_file, "this is not a stream socket; give the path named in QEMU's -qmp option"),
        (directory, "this is not a stream socket"),
        (left_over_socket, "no process listens on this socket; the QEMU that created it has ended"),
    ],
)
def test_a_path_that_is_not_a_monitor_is_refused_in_one_sentence(
    tmp_path: Path, make: Callable[[Path], None], sentence: str
) -> None:
    make(tmp_path / "s")
    with pytest.raises(ConnectError) as caught:
        connect(UnixAddress(str(tmp_path / "s")), soon())
    assert str(caught.value).startswith("{}: {}".format(tmp_path / "s", sentence))


def test_a_datagram_socket_is_refused(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(str(tmp_path / "s"))
        with pytest.raises(ConnectError, match="this is not a stream socket"):
            connect(UnixAddress(str(tmp_path / "s")), soon())


def test_a_path_longer_than_the_system_takes_is_refused() -> None:
    with pytest.raises(ConnectError, match="path too long"):
        connect(UnixAddress("/" + "x" * 200), soon())


def test_a_socket_without_permission_is_refused(tmp_path: Path) -> None:
    # Root may connect to every socket, so the system's answer is made up.
    (tmp_path / "s").touch()
    with mock.patch.object(transport_module, "_open", side_effect=OSError(errno.EACCES, "")):
        with pytest.raises(ConnectError, match="permission denied; run as root"):
            connect(UnixAddress(str(tmp_path / "s")), soon())


def test_a_full_queue_of_clients_is_a_busy_monitor(unix_listener: UnixListener, crowd: Crowd) -> None:
    listener, address = unix_listener
    crowd(socket.AF_UNIX, address.path)
    with pytest.raises(MonitorBusy, match="queue of clients is full.*libvirt.*second socket"):
        connect(address, soon())


def test_a_queue_that_moves_on_in_time_lets_us_in(unix_listener: UnixListener, crowd: Crowd) -> None:
    listener, address = unix_listener
    crowd(socket.AF_UNIX, address.path)
    accepted = []
    timer = threading.Timer(0.1, lambda: accepted.append(listener.accept()[0]))
    timer.start()
    connect(address, soon(10)).close()
    timer.join()
    accepted[0].close()


def test_a_tcp_host_that_does_not_answer_is_given_up_at_the_deadline(tcp_listener: TcpListener, crowd: Crowd) -> None:
    _listener, address = tcp_listener
    crowd(socket.AF_INET, tuple(address))
    with pytest.raises(ConnectError, match="no answer; check host, port and firewall"):
        connect(address, soon())


def test_a_refused_tcp_port_is_an_error() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectError, match=r"cannot connect \(Connection refused\); check host and port"):
            connect(TcpAddress(*unused.getsockname()), soon(5))


@pytest.mark.parametrize("host, port", [("", 1), ("a..b", 1)])
def test_a_host_or_port_that_cannot_be_is_an_error(host: str, port: int) -> None:
    with pytest.raises(ConnectError, match="cannot connect .*check host and port"):
        connect(TcpAddress(host, port), soon())


@pytest.mark.parametrize("port", [-1, 0, 65536])
def test_an_invalid_port_is_an_error_and_not_taken_for_another(tcp_listener: TcpListener, port: int) -> None:
    _listener, address = tcp_listener
    with pytest.raises(ConnectError, match="a port is 1 to 65535"):
        connect(TcpAddress(address.host, address.port + 65536 if port == 65536 else port), soon())


@pytest.mark.parametrize("end", ["\0", "\0b", "\ud800"])
def test_a_path_that_cannot_be_is_not_taken_for_another(unix_listener: UnixListener, end: str) -> None:
    _listener, address = unix_listener
    with pytest.raises(ConnectError, match="contains a NUL byte|no file can have this name"):
        connect(UnixAddress(address.path + end), soon())


def test_a_host_with_a_nul_byte_is_not_taken_for_another(tcp_listener: TcpListener) -> None:
    _listener, address = tcp_listener
    with pytest.raises(ConnectError, match="contains a NUL byte"):
        connect(TcpAddress(address.host + "\0.elsewhere", address.port), soon())


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has abstract sockets")
def test_an_abstract_socket_is_connected_to() -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"\0vmops-{os.getpid()}")
        listener.listen(1)
        connect(UnixAddress(f"\0vmops-{os.getpid()}"), soon()).close()


def test_each_address_of_a_host_is_tried(tcp_listener: TcpListener) -> None:
    listener, address = tcp_listener
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        places = [unused.getsockname(), listener.getsockname()]
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", place) for place in places]
        with mock.patch.object(socket, "getaddrinfo", return_value=found):
            connect(TcpAddress("two-addresses", address.port), soon(5)).close()


# -- bytes


def test_bytes_go_both_ways_and_the_end_is_seen(pair: Pair) -> None:
    transport, other = pair
    transport.send(b"ping", deadline=soon())
    assert other.recv(10) == b"ping"
    other.sendall(b"pong")
    assert transport.receive(soon()) == b"pong"
    other.close()
    assert transport.receive(soon()) == b""


def test_receive_looks_once_although_the_deadline_has_passed(pair: Pair) -> None:
    transport, other = pair
    other.sendall(b"pong")
    assert transport.receive(soon(-1)) == b"pong"
    with pytest.raises(DeadlinePassed):
        transport.receive(soon(-1))


def test_receive_gives_up_at_the_deadline_and_not_before(pair: Pair) -> None:
    before = time.monotonic()
    with pytest.raises(DeadlinePassed):
        pair[0].receive(before + 0.1)
    assert 0.1 <= time.monotonic() - before < 5


def test_a_deadline_may_be_years_away(pair: Pair) -> None:
    transport, other = pair
    threading.Timer(0.05, other.sendall, [b"x"]).start()
    assert transport.receive(float("inf")) == b"x"


def test_send_gives_up_at_the_deadline_when_nobody_reads(pair: Pair) -> None:
    with pytest.raises(DeadlinePassed):
        pair[0].send(b"x" * 10000000, deadline=soon())


def test_a_broken_connection_is_an_os_error_when_sending(pair: Pair) -> None:
    transport, other = pair
    other.close()
    with pytest.raises(OSError):
        transport.send(b"x", deadline=soon())


def test_send_takes_in_what_the_peer_sends_first(pair: Pair) -> None:
    transport, other = pair
    flood, request = b"f" * 3000000, b"r" * 3000000
    read: list[bytes] = []

    def peer() -> None:
        other.sendall(flood)
        while sum(map(len, read)) < len(request):
            read.append(other.recv(65536))

    thread = threading.Thread(target=peer)
    thread.start()
    transport.send(request, deadline=soon(10))
    thread.join(10)
    assert b"".join(read) == request
    received = b""
    while len(received) < len(flood):
        received += transport.receive(soon(5))
    assert received == flood


def test_what_a_peer_sends_that_does_not_read_is_kept_up_to_a_limit(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    transport, other = pair
    monkeypatch.setattr(transport_module, "_MOST_UNREAD", 1000000)
    other.settimeout(10)
    sent = []

    def flood() -> None:
        with suppress(OSError):
            while True:
                sent.append(other.send(b"f" * 65536))

    thread = threading.Thread(target=flood)
    thread.start()
    with pytest.raises(DeadlinePassed):
        transport.send(b"r" * 10000000, deadline=soon(1))
    kept = len(transport._inbox)
    transport.close()
    thread.join(15)
    assert 1000000 <= kept < 1000000 + transport_module._CHUNK


def test_what_was_kept_is_returned_in_chunks(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    transport, other = pair
    monkeypatch.setattr(transport_module, "_CHUNK", 1000)
    other.sendall(b"a" * 1500)
    with pytest.raises(DeadlinePassed):
        transport.send(b"r" * 10000000, deadline=soon(0.2))
    assert [transport.receive(soon()), transport.receive(soon())] == [b"a" * 1000, b"a" * 500]
    with pytest.raises(DeadlinePassed):
        transport.receive(soon())


def test_a_peer_that_sends_no_more_still_gets_all(pair: Pair) -> None:
    transport, other = pair
    other.shutdown(socket.SHUT_WR)
    read: list[bytes] = []
    thread = threading.Thread(target=lambda: read.extend(iter(lambda: other.recv(65536), b"")))
    thread.start()
    transport.send(b"r" * 3000000, deadline=soon(10))
    assert transport.receive(soon()) == b""
    transport.close()
    thread.join(10)
    assert sum(map(len, read)) == 3000000


def test_a_false_alarm_of_readiness_is_waited_out(pair: Any) -> None:
    transport, other = pair
    real, alarms = transport._readable, [[(0, select.POLLIN)], [(0, select.POLLIN)]]
    transport._readable = mock.Mock(poll=lambda milliseconds: alarms.pop() if alarms else real.poll(milliseconds))
    with pytest.raises(DeadlinePassed):
        transport.receive(soon())
    other.sendall(b"pong")
    assert (alarms, transport.receive(soon())) == ([], b"pong")


def test_a_false_alarm_while_sending_is_waited_out(pair: Any) -> None:
    transport, other = pair
    real_wait, alarms = transport_module.wait, [select.POLLIN, select.POLLIN | select.POLLOUT]
    with mock.patch.object(transport_module, "wait", lambda *asked: alarms.pop() if alarms else real_wait(*asked)):
        with pytest.raises(DeadlinePassed):
            transport.send(b"r" * 10000000, deadline=soon())
    assert alarms == []


def test_a_chunk_is_small_enough_to_be_allocated_without_mapping_memory() -> None:
    assert transport_module._CHUNK < 128 * 1024


# -- descriptors


def receive_fds(sock: socket.socket) -> tuple[bytes, list[int]]:
    data, ancillary, _flags, _address = sock.recvmsg(10000000, socket.CMSG_SPACE(64))
    fds = [number for _level, _type, content in ancillary for number in memoryview(content).cast("i")]
    return data, fds


def test_a_descriptor_travels_with_the_very_message_and_stays_open_here(pair: Pair) -> None:
    transport, other = pair
    reader, writer = os.pipe()
    transport.send(b"message", [writer], deadline=soon())
    data, fds = receive_fds(other)
    assert (data, len(fds)) == (b"message", 1)
    os.write(fds[0], b"1")
    os.write(writer, b"2")
    assert os.read(reader, 2) == b"12"
    for fd in (reader, writer, *fds):
        os.close(fd)


def test_a_descriptor_is_sent_once_although_its_message_takes_many_writes(pair: Pair) -> None:
    transport, other = pair
    message = b"m" * 3000000
    parts: list[bytes] = []
    fds: list[tuple[int, int]] = []

    def peer() -> None:
        while sum(map(len, parts)) < len(message):
            data, came = receive_fds(other)
            parts.append(data)
            fds.extend((len(parts), fd) for fd in came)

    thread = threading.Thread(target=peer)
    thread.start()
    with open(os.devnull) as null:
        transport.send(message, [null.fileno()], deadline=soon(10))
    thread.join(10)
    assert b"".join(parts) == message
    assert [part for part, fd in fds] == [1]
    os.close(fds[0][1])


def test_two_descriptors_to_a_message_are_refused(pair: Pair) -> None:
    transport, other = pair
    with pytest.raises(ValueError, match="one file descriptor to a message"):
        transport.send(b"x", [0, 1], deadline=soon())
    other.setblocking(False)
    with pytest.raises(BlockingIOError):
        other.recv(1)
