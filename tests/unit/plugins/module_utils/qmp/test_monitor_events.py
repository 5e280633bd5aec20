# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Events: none is lost, none is mistaken for another."""

from __future__ import annotations

import threading
import time
from unittest import mock

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils.qmp import Disconnected, Event, EventTimeout
from ansible_collections.vmops.qemu.plugins.module_utils.qmp import monitor as monitor_module
from ansible_collections.vmops.qemu.tests.support.scripted_monitor import (
    Peer,
    Step,
    connected,
    event,
    expect,
    hang_up,
    hold,
    send,
    send_bytes,
)

DEL = ("device_del", {"id": "d0"})
DELETED = event("DEVICE_DELETED", {"device": "d0", "path": "/machine/peripheral/d0"})
CHILD_DELETED = event("DEVICE_DELETED", {"path": "/machine/peripheral/d0/virtio-backend"})


def is_deleted(seen: Event) -> bool:
    return seen.name == "DEVICE_DELETED" and seen.data.get("device") == "d0"


def test_an_event_has_name_data_time_and_number() -> None:
    script = [expect("stop", before=[event("STOP", at=(1700000000, 5))], after=[event("A", {"b": 1}, at=(1700000001, 999999))])]
    with connected(*script) as monitor:
        monitor.execute("stop")
        monitor.wait_event(lambda seen: seen.name == "A", 0, 5)
        first, second = monitor.events(0)
    assert (first.name, first.data, second.name, second.data) == ("STOP", {}, "A", {"b": 1})
    assert [first.seconds, second.seconds] == pytest.approx([1700000000.000005, 1700000001.999999], abs=1e-7)
    assert (first.seq, second.seq) == (0, 1)


def test_device_deleted_before_the_reply_to_device_del_is_not_lost() -> None:
    with connected(expect(*DEL, before=[DELETED])) as monitor:
        mark = monitor.mark()
        monitor.execute(*DEL)
        assert monitor.wait_event(is_deleted, mark, 0).data["path"] == "/machine/peripheral/d0"


def test_device_deleted_after_the_reply_is_waited_for() -> None:
    gate = threading.Event()
    with connected(expect(*DEL), hold(gate), send(DELETED)) as monitor:
        mark = monitor.mark()
        monitor.execute(*DEL)
        threading.Timer(0.05, gate.set).start()
        assert monitor.wait_event(is_deleted, mark, 5).seq == 0


def test_a_stale_event_of_an_earlier_life_of_the_same_id_does_not_count() -> None:
    script = [expect(*DEL, after=[DELETED]), expect("query-status"), expect(*DEL)]
    with connected(*script) as monitor:
        first_life = monitor.mark()
        monitor.execute(*DEL)
        monitor.execute("query-status")  # the first life's event has come by now
        second_life = monitor.mark()
        monitor.execute(*DEL)
        with pytest.raises(EventTimeout):
            monitor.wait_event(is_deleted, second_life, 0.05)
        assert monitor.wait_event(is_deleted, first_life, 0)


def test_events_of_a_devices_children_can_be_distinguished_from_its_own() -> None:
    with connected(expect(*DEL, after=[CHILD_DELETED, DELETED])) as monitor:
        monitor.execute(*DEL)
        assert monitor.wait_event(is_deleted, 0, 5).seq == 1
        assert "device" not in monitor.events(0)[0].data


def test_a_wait_in_vain_ends_in_time_and_leaves_the_connection_usable() -> None:
    with connected(expect("query-status")) as monitor:
        before = time.monotonic()
        with pytest.raises(EventTimeout, match="did not come within 0.1 s") as caught:
            monitor.wait_event(is_deleted, monitor.mark(), 0.1)
        assert time.monotonic() - before >= 0.1
        assert caught.value.seconds == 0.1
        assert monitor.execute("query-status") == {}


def test_other_events_do_not_put_off_the_end_of_a_wait() -> None:
    stop = threading.Event()

    def flood(peer: Peer) -> None:
        while not stop.is_set():
            peer.send_message(CHILD_DELETED)

    with connected(Step("flood", flood)) as monitor:
        with pytest.raises(EventTimeout):
            monitor.wait_event(is_deleted, 0, 0.1)
        stop.set()


def test_an_event_cut_in_two_by_the_end_of_a_wait_is_not_lost() -> None:
    gate = threading.Event()
    script = [
        send_bytes(b'{"event": "STOP", '),
        hold(gate),
        send_bytes(b'"timestamp": {"seconds": 1, "microseconds": 0}}'),
    ]
    with connected(*script) as monitor:
        with pytest.raises(EventTimeout):
            monitor.wait_event(lambda _event: True, 0, 0.1)
        gate.set()
        assert monitor.wait_event(lambda _event: True, 0, 5).name == "STOP"


def test_the_end_of_the_connection_ends_a_wait() -> None:
    with connected(hang_up()) as monitor:
        with pytest.raises(Disconnected) as caught:
            monitor.wait_event(is_deleted, monitor.mark(), 5)
    assert (caught.value.command, monitor.closed) == (None, True)


def test_poll_events_returns_when_one_has_come() -> None:
    gate = threading.Event()
    with connected(hold(gate), send(DELETED)) as monitor:
        gate.set()
        monitor.poll_events(3600)
        assert is_deleted(monitor.events(0)[0])


def test_poll_events_returns_when_the_time_is_over() -> None:
    with connected() as monitor:
        monitor.poll_events(0.05)
        assert monitor.events(0) == []


def test_events_since_a_mark_are_returned_in_order() -> None:
    script = [expect("stop", before=[event("A"), event("B")]), expect("cont", before=[event("C"), event("D")])]
    with connected(*script) as monitor:
        monitor.execute("stop")
        mark = monitor.mark()
        monitor.execute("cont")
        assert [seen.name for seen in monitor.events(mark)] == ["C", "D"]
        assert [seen.name for seen in monitor.events(0)] == ["A", "B", "C", "D"]
        assert monitor.events(monitor.mark()) == []
        assert monitor.events(monitor.mark() + 5) == []


def test_a_flood_drops_the_oldest_events_and_waits_continue_with_the_others() -> None:
    flood = [event(f"E{number}") for number in range(10)]
    with mock.patch.object(monitor_module, "MAX_EVENTS", 3):
        with connected(expect("stop", before=flood)) as monitor:
            monitor.execute("stop")
            assert [seen.seq for seen in monitor.events(0)] == [7, 8, 9]
            assert monitor.wait_event(lambda _event: True, 2, 0).name == "E7"
            with pytest.raises(EventTimeout):
                monitor.wait_event(lambda seen: seen.name == "E2", 2, 0)
            assert monitor.mark() == 10
