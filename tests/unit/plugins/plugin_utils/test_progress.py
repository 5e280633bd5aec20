# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lines that say how far a task is: when they come, and what they say."""

from __future__ import annotations

from typing import Callable

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils._vm.plan.progress import Progress, named
from ansible_collections.vmops.qemu.plugins.plugin_utils import progress
from ansible_collections.vmops.qemu.plugins.plugin_utils.progress import ProgressLines

MiB = 1 << 20


class Watch:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    clock = Watch()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def shown(watch: Watch, until: float, at: Callable[[float], Progress], vm: str = "vm7", host: str = "h") -> dict[float, str]:
    """The lines of work that reports each second, by their second."""
    found: dict[float, str] = {}
    lines = ProgressLines(lambda line: found.update({watch.now: line}), host)
    while watch.now <= until:
        lines(vm, at(watch.now))
        watch.now += 1.0
    return found


def test_a_short_task_shows_nothing_and_a_long_one_fewer_and_fewer_lines(watch: Watch) -> None:
    assert shown(watch, 4, lambda now: Progress("dump", int(now), 100)) == {}
    watch.now = 0
    assert [*shown(watch, 300, lambda now: Progress("dump", int(now), 1000))] == [5, 15, 35, 75, 135, 195, 255]


def test_a_migration_shows_how_much_how_fast_and_how_long(watch: Watch) -> None:
    found = shown(watch, 20, lambda now: Progress("migration", int(now) * 40 * MiB, 4096 * MiB, moved=int(now) * 30 * MiB))
    assert found == {
        5: "[h] vm7: migration: 4% (0.2 of 4.0 GiB), 30 MiB/s, about 1 min 37 s left",
        15: "[h] vm7: migration: 14% (0.6 of 4.0 GiB), 30 MiB/s, about 1 min 27 s left",
    }


def test_work_that_stands_still_says_so(watch: Watch) -> None:
    found = shown(watch, 20, lambda now: Progress("mirror j", min(int(now), 5), 10))
    assert found == {
        5: "[h] vm7: mirror j: 50% (5 of 10 bytes), 1 bytes/s, about 5 s left",
        15: "[h] vm7: mirror j: 50% (5 of 10 bytes), no progress for 10 s",
    }


def test_devices_are_counted_and_those_that_are_left_named(watch: Watch) -> None:
    note = f"the guest has not released {named([f'd{number}' for number in range(20)])}"
    found = shown(watch, 5, lambda now: Progress("", 12, 32, "devices unplugged", note=note))
    assert found == {5: "[h] vm7: 12 of 32 devices unplugged after 5 s; the guest has not released d0, d1, d2 and 17 more"}
    assert named(["d3", "d4"]) == "d3, d4"


def test_what_cannot_be_counted_shows_its_time(watch: Watch) -> None:
    assert shown(watch, 5, lambda now: Progress(note="the guest has not shut down"))[5] == (
        "[h] vm7: the guest has not shut down after 5 s"
    )


@pytest.mark.parametrize(
    ("vm", "prefix"),
    [
        ("h", "[h] "),
        ("\x1b]0;x\x07\r\n\u202evm", "[h] \\x1b]0;x\\x07 \\u202evm: "),
        ("v" * 500, f"[h] {'v' * 60}…: "),
    ],
    ids=["host", "controls", "long"],
)
def test_a_name_is_one_short_line_that_controls_nothing(watch: Watch, vm: str, prefix: str) -> None:
    assert shown(watch, 5, lambda now: Progress(note="waits"), vm=vm)[5] == f"{prefix}waits after 5 s"


def test_a_display_that_fails_is_not_used_again(watch: Watch) -> None:
    calls = []

    def fail(line: str) -> None:
        calls.append(line)
        raise BrokenPipeError

    lines = ProgressLines(fail, "h")
    for watch.now in range(100):
        lines("vm7", Progress("dump", 1, 2))
    assert len(calls) == 1


@pytest.mark.parametrize(("seconds", "text"), [(0.2, "1 s"), (59, "59 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")])
def test_times_are_for_people(seconds: float, text: str) -> None:
    assert progress.seconds_text(seconds) == text
