# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The beginning and the end of a connection: greeting, negotiation, waiting in the queue, closing."""

from __future__ import annotations

import threading
from typing import Any, Callable

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils.qmp import (
    ConnectError,
    Disconnected,
    Monitor,
    MonitorBusy,
    Request,
    UnixAddress,
    Version,
)
from ansible_collections.vmops.qemu.tests.support.scripted_monitor import (
    Peer,
    ScriptedMonitor,
    Step,
    connected,
    event,
    expect,
    greeting,
    hang_up,
    send,
    send_bytes,
    swallow,
)


def connect_error(*steps: Step, timeout: float = 5.0) -> str:
    """The text of the ConnectError that a client of a server with this script gets."""
    with ScriptedMonitor(steps, negotiate=False) as server:
        with pytest.raises(ConnectError) as caught:
            Monitor.connect(server.address, timeout)
    assert str(caught.value).startswith(f"{server.address}: ")
    return str(caught.value)


@pytest.mark.parametrize("tcp", [False, True])
def test_a_monitor_is_ready_after_greeting_and_negotiation(tcp: bool) -> None:
    script = [
        send(greeting(8, 2, 2, "Debian 1:8.2.2")),
        expect("qmp_capabilities"),
        expect("query-status", reply={"status": "running"}),
    ]
    with ScriptedMonitor(script, negotiate=False, tcp=tcp) as server, Monitor.connect(server.address) as monitor:
        assert (monitor.version, monitor.package) == (Version(8, 2, 2), "Debian 1:8.2.2")
        assert (monitor.address, monitor.passes_fds, monitor.peer_pid is None) == (server.address, not tcp, tcp)
        assert monitor.execute("query-status") == {"status": "running"}


def test_an_event_before_the_greeting_is_kept() -> None:
    script = [send(event("RESUME"), greeting()), expect("qmp_capabilities")]
    with ScriptedMonitor(script, negotiate=False) as server, Monitor.connect(server.address) as monitor:
        assert [kept.name for kept in monitor.events(0)] == ["RESUME"]


def test_an_event_during_the_negotiation_is_kept() -> None:
    script = [send(greeting()), expect("qmp_capabilities", before=[event("STOP")])]
    with ScriptedMonitor(script, negotiate=False) as server, Monitor.connect(server.address) as monitor:
        assert monitor.wait_event(lambda kept: kept.name == "STOP", 0, 5)


FOREIGN = [
    {"return": {"not": "yours"}, "id": "ab1"},
    {"return": {}},
    *({"return": {}, "id": ident} for ident in (*range(10), "0", "", None, False, True, 1.0)),
    {"error": {"class": "GenericError", "desc": "not yours"}, "id": "ab2"},
    {"error": {"class": "GenericError", "desc": "JSON parse error"}},
]


@pytest.mark.parametrize("strange", FOREIGN, ids=str)
def test_a_reply_that_is_owed_to_the_client_before_is_skipped_wherever_it_comes(strange: Any) -> None:
    script = [
        send(strange, greeting(), strange),
        expect("qmp_capabilities", before=[strange, event("STOP"), strange]),
        expect("query-status", reply="mine"),
    ]
    with ScriptedMonitor(script, negotiate=False) as server, Monitor.connect(server.address, 5) as monitor:
        assert monitor.execute("query-status") == "mine"
        assert [kept.name for kept in monitor.events(0)] == ["STOP"]


def test_the_negotiation_has_an_id_that_no_other_request_has() -> None:
    idents: list[Any] = []

    def note(peer: Peer) -> None:
        peer.take("qmp_capabilities", None, 0)
        idents.append(peer.last_id)
        peer.send_message({"return": {}, "id": peer.last_id})

    scripts = [[send(greeting()), Step("note", note)] for _client in range(20)]
    with ScriptedMonitor(*scripts, negotiate=False) as server:
        for _client in scripts:
            Monitor.connect(server.address, 5).close()
    assert all(isinstance(ident, str) and len(ident) == 2 for ident in idents)
    assert len(set(idents)) > 15


def test_a_negotiation_that_the_client_before_has_brought_about_is_one() -> None:
    already = ("CommandNotFound", "Capabilities negotiation is already complete, command ignored")
    script = [send(greeting()), expect("qmp_capabilities", error=already), expect("query-status", reply="mine")]
    with ScriptedMonitor(script, negotiate=False) as server, Monitor.connect(server.address, 5) as monitor:
        assert monitor.execute("query-status") == "mine"


@pytest.mark.parametrize(
    "offered, known", [(["oob", "more"], ("oob", "more")), ([], ()), (None, ()), ("oob", ()), ([1, "x"], ("x",))]
)
def test_the_capabilities_of_the_greeting_are_published(offered: Any, known: Any) -> None:
    said = greeting()
    said["QMP"]["capabilities"] = offered
    with ScriptedMonitor([send(said), expect("qmp_capabilities")], negotiate=False) as server:
        with Monitor.connect(server.address) as monitor:
            assert monitor.capabilities == known


def test_a_busy_monitor_is_an_error_that_says_who_may_hold_it_and_what_to_do() -> None:
    with ScriptedMonitor([]) as server, Monitor.connect(server.address):
        with pytest.raises(MonitorBusy) as caught:
            Monitor.connect(server.address, timeout=0.1)
    for hint in ("libvirt", "Proxmox", "a shell", "another task", "-qmp unix:PATH,server=on,wait=off", "guest agent"):
        assert hint in str(caught.value)


def test_a_client_in_the_queue_is_served_when_the_one_before_it_leaves() -> None:
    with ScriptedMonitor([], [expect("query-status", reply={"status": "paused"})]) as server:
        first = Monitor.connect(server.address)
        threading.Timer(0.1, first.close).start()
        with Monitor.connect(server.address) as second:
            assert second.execute("query-status") == {"status": "paused"}


def test_nothing_is_sent_before_the_greeting() -> None:
    with ScriptedMonitor([], negotiate=False) as server:  # which would complain of a single byte
        with pytest.raises(MonitorBusy):
            Monitor.connect(server.address, timeout=0.1)


def test_a_flood_of_events_without_a_greeting_is_a_busy_monitor_too() -> None:
    stop = threading.Event()

    def flood(peer: Peer) -> None:
        while not stop.is_set():
            peer.send_message(event("BALLOON_CHANGE"))

    with ScriptedMonitor([Step("flood", flood)], negotiate=False) as server:
        with pytest.raises(MonitorBusy):
            Monitor.connect(server.address, timeout=0.1)
        stop.set()


@pytest.mark.parametrize(
    "data, kind",
    [
        (b"QEMU 7.2.0 monitor - type 'help' for more information\r\n(qemu) ", "QEMU's human monitor (HMP)"),
        (b'{"return": {}}\n', "a guest agent (QGA)"),
        (b'{"error": {"class": "GenericError", "desc": "no"}}\n', "a guest agent (QGA)"),
        (b'{"jsonrpc": "2.0"}\n', "another program"),
        (b"RFB 003.008\n", "another program"),
        (b'{"QMP": "hello"}', "another program"),
        (b'{"QMP": {"version": {"qemu": 7}}}', "another program"),
        (b'{"QMP": {"version": {"qemu": {"major": "x"}}}}', "another program"),
    ],
)
def test_a_socket_of_another_kind_is_recognised_by_its_first_words(data: bytes, kind: str) -> None:
    text = connect_error(send_bytes(data), timeout=0.5)
    assert f"this is not a QMP monitor but {kind}, which sent " in text
    assert text.endswith("give the socket of QEMU's -qmp option.")


def test_a_qemu_that_is_too_old_is_an_error_with_its_version() -> None:
    assert "this is QEMU 3.1.1; at least 4.0.0 is required" in connect_error(send(greeting(3, 1, 1)))


def test_a_connection_closed_before_the_greeting_is_an_error() -> None:
    assert "closed before a greeting came" in connect_error(hang_up())


@pytest.mark.parametrize(
    "step, reason",
    [
        (expect("qmp_capabilities", error=("CommandNotFound", "no such command")), "no such command"),
        (swallow("qmp_capabilities"), "did not reply in time"),
        (send_bytes(b"garbage"), "garbage"),
    ],
)
def test_a_failing_negotiation_is_not_a_connection(step: Step, reason: str) -> None:
    text = connect_error(send(greeting()), *((step,) if "qmp" in step.name else (swallow("qmp_capabilities"), step)), timeout=0.5)
    assert "QEMU greeted but did not negotiate" in text
    assert reason in text


def test_a_connection_closed_during_the_negotiation_is_not_one() -> None:
    assert "did not negotiate" in connect_error(send(greeting()), swallow("qmp_capabilities"), hang_up())


def test_a_failed_connect_leaves_no_socket_open() -> None:
    old, new = [send(greeting(2, 12, 0))], [send(greeting()), expect("qmp_capabilities")]
    with ScriptedMonitor(old, new, negotiate=False) as server:
        with pytest.raises(ConnectError):
            Monitor.connect(server.address)
        Monitor.connect(server.address).close()  # served only when the first has left


def test_no_socket_at_the_path_is_a_connect_error() -> None:
    with pytest.raises(ConnectError, match="this socket does not exist"):
        Monitor.connect(UnixAddress("/nonexistent/qmp.sock"))


@pytest.mark.parametrize(
    "call",
    [
        lambda monitor: monitor.execute("query-status"),
        lambda monitor: monitor.execute_many([Request("query-status")]),
        lambda monitor: monitor.mark(),
        lambda monitor: monitor.events(0),
        lambda monitor: monitor.wait_event(lambda _event: True, 0, 1),
        lambda monitor: monitor.poll_events(1),
    ],
)
def test_every_call_after_close_says_that_the_connection_is_closed(call: Callable[[Monitor], object]) -> None:
    with ScriptedMonitor([]) as server:
        monitor = Monitor.connect(server.address)
        monitor.close()
        monitor.close()
        with pytest.raises(Disconnected, match="The connection to QEMU is closed; connect again"):
            call(monitor)
    assert monitor.closed


def test_quit_is_answered_before_the_connection_ends() -> None:
    shutdown = event("SHUTDOWN", {"guest": False, "reason": "host-qmp-quit"})
    with connected(expect("quit", after=[shutdown]), hang_up()) as monitor:
        mark = monitor.mark()
        assert monitor.execute("quit") == {}
        assert monitor.wait_event(lambda seen: seen.name == "SHUTDOWN", mark, 5).data["reason"] == "host-qmp-quit"
        with pytest.raises(Disconnected) as caught:
            monitor.poll_events(5)
    assert caught.value.command is None
    assert monitor.closed
