# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The time for all reading together, and for each command that changes something."""

from __future__ import annotations

import threading
import time

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils.qmp import Disconnected, Monitor, OutcomeUnknown, ReadTimeout, Request
from ansible_collections.vmops.qemu.plugins.module_utils.qmp import monitor as monitor_module
from ansible_collections.vmops.qemu.plugins.module_utils.qmp import transport as transport_module
from ansible_collections.vmops.qemu.tests.support.scripted_monitor import Peer, ScriptedMonitor, Step, connected, expect, swallow


class Clock:
    """In place of the time module: true, and set forward by the script."""

    sleep = staticmethod(time.sleep)

    def __init__(self) -> None:
        self.ahead = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead


def answers(clock: Clock, *seconds: float) -> list[Step]:
    """A step for each of *seconds*, which is how long the answer takes by *clock*."""

    def late(number: int, length: float) -> Step:
        def act(peer: Peer) -> None:
            peer.take("query-block", None, 0)
            clock.ahead += length
            peer.send_message({"return": number, "id": peer.last_id})

        return Step(f"answer {number}", act)

    return [late(number, length) for number, length in enumerate(seconds)]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(monitor_module, "time", clock)
    monkeypatch.setattr(transport_module, "time", clock)
    return clock


def test_all_reading_together_has_its_time(clock: Clock) -> None:
    script = [*answers(clock, 400, 400, 199.8), swallow("query-block")]
    with connected(*script, read_timeout=1000, command_timeout=1) as monitor:
        assert [monitor.execute("query-block") for _time in range(3)] == [0, 1, 2]
        clock.ahead += 10000  # time that is not spent on the monitor does not count
        with pytest.raises(
            ReadTimeout, match=r"took longer than the timeout of 1000 s; the last command was query-block"
        ) as caught:
            monitor.execute("query-block")
    assert isinstance(caught.value, OutcomeUnknown)
    assert (caught.value.command, caught.value.seconds, monitor.closed) == ("query-block", 1000, True)


def test_an_answer_that_comes_just_in_time_each_time_does_not_prolong_it(clock: Clock) -> None:
    with connected(*answers(clock, 40, 40, 40), swallow("query-block"), read_timeout=100) as monitor:
        assert monitor.execute_many([Request("query-block")]) == [0]
        assert monitor.execute_many([Request("query-block")]) == [1]
        monitor.execute("query-block")  # which is there when the time is over
        with pytest.raises(ReadTimeout):
            monitor.execute("query-block")


def test_each_command_that_changes_something_has_its_own_time_and_takes_none_of_that_for_reading(clock: Clock) -> None:
    with connected(*answers(clock, 40, 90, 90, 40), read_timeout=100, command_timeout=100) as monitor:
        monitor.execute("query-block")
        with monitor.acting():
            monitor.execute("query-block")
            monitor.execute("query-block")
        monitor.execute("query-block")


def test_a_command_that_changes_something_and_is_not_answered_has_an_unknown_outcome() -> None:
    with connected(swallow("stop"), read_timeout=10, command_timeout=0.1) as monitor:
        with monitor.acting(), pytest.raises(OutcomeUnknown) as caught:
            monitor.execute("stop")
    assert not isinstance(caught.value, ReadTimeout)


def test_after_a_change_there_is_time_to_read_its_result(clock: Clock) -> None:
    with connected(*answers(clock, 100, 40), read_timeout=100) as monitor:
        monitor.execute("query-block")
        monitor.read_again(50)
        monitor.execute("query-block")


def test_a_timeout_that_the_call_sets_is_its_own(clock: Clock) -> None:
    with connected(*answers(clock, 200, 40), read_timeout=100) as monitor:
        monitor.execute("query-block", timeout=300)
        monitor.execute("query-block")


def test_a_silent_monitor_ends_the_reading() -> None:
    gate = threading.Event()
    with ScriptedMonitor([swallow("query-status"), Step("wait", lambda peer: gate.wait(5))]) as server:
        monitor = Monitor.connect(server.address, read_timeout=0.1)
        with pytest.raises(ReadTimeout):
            monitor.execute("query-status")
        gate.set()
        with pytest.raises(Disconnected):
            monitor.execute("query-status")


def test_without_a_time_for_reading_each_command_has_its_own(clock: Clock) -> None:
    with connected(*answers(clock, 200, 200), expect("query-status"), command_timeout=300) as monitor:
        assert [monitor.execute("query-block"), monitor.execute("query-block"), monitor.execute("query-status")] == [0, 1, {}]
