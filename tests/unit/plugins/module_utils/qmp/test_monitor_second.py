# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A second monitor, which QEMU 11.1 creates for one client alone."""

from __future__ import annotations

import json
import os
import socket
from typing import Any, List

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils.qmp import CommandError, ConnectError, Monitor
from ansible_collections.vmops.qemu.tests.support.scripted_monitor import (
    Peer,
    ScriptedMonitor,
    Step,
    connected,
    event,
    expect,
    greeting,
)

ID = "vmops-07070707"
ADDRESS = {"type": "fd", "data": {"str": ID}}
ASK = expect("qom-list-types", {"implements": "monitor-qmp"}, reply=[{"name": "monitor-qmp", "parent": "monitor"}])
GETFD = expect("getfd", {"fdname": ID}, fds=1)
CHARDEV = ("chardev-add", {"id": ID, "backend": {"type": "socket", "data": {"addr": ADDRESS, "server": False}}})
OBJECT = ("object-add", {"qom-type": "monitor-qmp", "id": ID, "chardev": ID, "close-action": "delete"})
REFUSAL = ("GenericError", "not in this sandbox")


@pytest.fixture(autouse=True)
def no_randomness(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "urandom", lambda count: b"\7" * count)


def serve(*messages: Any) -> Step:
    """Greet at the other end of the descriptor that came, negotiate, and send *messages*."""

    def act(peer: Peer) -> None:
        with socket.socket(fileno=os.dup(peer.fds[0])) as other, other.makefile("rw", encoding="ascii") as stream:
            stream.write(json.dumps(messages[0]) + "\r\n")
            stream.flush()
            request = stream.readline()
            if request:
                for message in ({"return": {}, "id": json.loads(request)["id"]}, *messages[1:]):
                    stream.write(json.dumps(message) + "\r\n")

    return Step("serve the second monitor", act)


def test_it_is_negotiated_and_gets_its_own_events() -> None:
    script = [ASK, GETFD, expect(*CHARDEV), expect(*OBJECT), serve(greeting(11, 1), event("STOP")), expect("query-status")]
    with connected(*script) as monitor:
        second = monitor.connect_second()
        assert second is not None and second.version == (11, 1, 0) and second.address == monitor.address
        assert second.wait_event(lambda one: True, 0, 5).name == "STOP"
        monitor.execute("query-status")
        second.close()


def test_there_is_none_before_qemu_11_1() -> None:
    with connected(expect("qom-list-types", {"implements": "monitor-qmp"}, reply=[])) as monitor:
        assert monitor.connect_second() is None


def test_there_is_none_over_a_connection_that_passes_no_descriptors() -> None:
    with connected(tcp=True) as monitor:
        assert monitor.connect_second() is None


@pytest.mark.parametrize(
    "script",
    [
        [expect(*CHARDEV, error=REFUSAL), expect("closefd", {"fdname": ID})],
        [expect(*CHARDEV, error=REFUSAL), expect("closefd", {"fdname": ID}, error=("GenericError", "not found"))],
        [expect(*CHARDEV), expect(*OBJECT, error=REFUSAL), expect("chardev-remove", {"id": ID})],
    ],
)
def test_a_refusal_leaves_nothing_behind(script: List[Step]) -> None:
    with ScriptedMonitor([ASK, GETFD, *script, expect("query-status")]) as server:
        with Monitor.connect(server.address) as monitor:
            with pytest.raises(CommandError, match="not in this sandbox"):
                monitor.connect_second()
            monitor.execute("query-status")
        with socket.socket(fileno=os.dup(server.fds[0])) as theirs:
            assert theirs.recv(1) == b""  # our end is closed


def test_another_program_at_the_other_end_is_an_error() -> None:
    script = [ASK, GETFD, expect(*CHARDEV), expect(*OBJECT), serve({"return": {}})]
    with connected(*script) as monitor, pytest.raises(ConnectError):
        monitor.connect_second(2)


def test_events_are_taken_oldest_first_and_also_after_the_end() -> None:
    script = expect("query-status", before=[event("STOP"), event("RESUME")])
    with connected(script) as monitor:
        assert monitor.take_event() is None and monitor.fileno() >= 0
        monitor.execute("query-status")
        first = monitor.take_event()
        assert first is not None and (first.name, first.seq) == ("STOP", 0)
        assert [one.name for one in monitor.events(0)] == ["RESUME"]
        monitor.close()
        second = monitor.take_event()
        assert second is not None and (second.name, second.seq) == ("RESUME", 1)
        assert monitor.take_event() is None and monitor.fileno() == -1
