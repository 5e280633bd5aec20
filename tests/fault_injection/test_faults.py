# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each fault at each command of each kind: the result is true, and the next run repairs what was left."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ansible_collections.vmops.qemu.tests.support.proxy import Fault
from ansible_collections.vmops.qemu.tests.support.values import ALL

from .rig import Rig
from .tally import survives

KILLS = (Fault.KILL_BEFORE, Fault.KILL_AFTER, Fault.KILL_WAITING)
CUTS = (
    Fault.CUT_BEFORE,
    Fault.CUT_IN_REQUEST,
    Fault.CUT_AFTER_REQUEST,
    Fault.CUT_BEFORE_REPLY,
    Fault.CUT_IN_REPLY,
    Fault.CUT_WAITING,
)
DEATHS = (Fault.QEMU_KILLED, Fault.QEMU_KILLED_AFTER_REQUEST, Fault.QEMU_KILLED_BEFORE_REPLY, Fault.QEMU_KILLED_WAITING)
PEER_DEATHS = (Fault.PEER_KILLED, Fault.PEER_KILLED_WAITING)
LOST_CONNECTION = {"disconnected", "outcome_unknown", "protocol_error"}


@pytest.fixture(autouse=True)
def _beginning(rig: Rig) -> None:
    """A failed test leaves nothing to the next one."""
    rig.be_at_the_beginning()


def name_of(fault: Fault) -> str:
    return fault.value


def settled(rig: Rig, result: dict[str, Any]) -> bool:
    """Whether a further run changed nothing. A link state is set by each run, because QEMU does not report it."""
    nothing = rig.kind.repeats or not result.get("changed") or result["unverified"] == ["link"]
    return not result.get("failed") and nothing


def completed(rig: Rig) -> bool:
    """Whether the next run completes what was begun."""
    return not rig.run("present").get("failed") and settled(rig, rig.run("present")) and rig.data_is_whole()


def is_loss(result: dict[str, Any] | None) -> bool:
    """Whether a run that was killed or lost its connection reported no more than it could know."""
    return result is None or (result.get("error_code") in LOST_CONNECTION and result["changed"])


@pytest.mark.parametrize("fault", [*KILLS, *CUTS], ids=name_of)
def test_the_next_run_completes_an_interrupted_addition(rig: Rig, fault: Fault) -> None:
    added = None
    for point in rig.points("present", fault):
        result = rig.run_with("present", fault, point)
        again = rig.run("present")
        once_more = rig.run("present")
        hardware = rig.hardware()
        added = added or hardware
        whole = not again.get("failed") and settled(rig, once_more) and hardware == added and rig.data_is_whole()
        survives(fault.value, is_loss(result) and whole, (point, result, again, once_more, hardware, added))
        rig.reset()


@pytest.mark.removes
@pytest.mark.parametrize("fault", [*KILLS, *CUTS], ids=name_of)
def test_the_next_run_completes_an_interrupted_removal(rig: Rig, fault: Fault) -> None:
    rig.require_removable()
    rig.add()
    for point in rig.points("absent", fault):
        result = rig.run_with("absent", fault, point)
        again = rig.run("absent")
        whole = not again.get("failed") and settled(rig, rig.run("absent")) and rig.hardware() == rig.before
        survives(fault.value, is_loss(result) and whole, (point, result, again))
        rig.add()
    rig.reset()


@pytest.mark.removes
def test_an_interrupted_addition_can_be_removed(rig: Rig) -> None:
    rig.require_removable()
    for point in rig.points("present"):
        result = rig.run_with("present", Fault.KILL_AFTER, point)
        removed = rig.run("absent")
        whole = result is None and not removed.get("failed") and rig.hardware() == rig.before
        survives("killed, then removed", whole, (point, removed, rig.hardware()))
        rig.reset()


def test_an_interrupted_operation_can_be_cancelled_and_begun_again(rig: Rig) -> None:
    rig.require(rig.kind.data, "it is not an operation")
    rig.require(rig.kind.absent, "it cannot be cancelled")
    for point in rig.points("present", Fault.KILL_WAITING):
        result = rig.run_with("present", Fault.KILL_WAITING, point)
        cancelled = rig.run("absent")
        over = not cancelled.get("failed") and rig.hardware()["jobs"] == [] and rig.data_is_whole(begun=False)
        if rig.peer:
            rig.new_peer()  # a VM whose incoming migration failed accepts no other
        survives("killed, then cancelled", result is None and over and completed(rig), (point, cancelled, rig.hardware()))
        rig.reset()


def test_a_command_that_is_refused_leaves_the_vm_as_it_was(rig: Rig) -> None:
    for point in rig.points("present"):
        result = rig.run_with("present", Fault.FAIL, point)
        assert result
        details = result["details"]
        if details["left"]:  # no guest runs that could release what was added
            added = any(command["execute"] == "device_add" for command in details["sent"][:-1])
            reported = result["error_code"] == "rollback_incomplete" and result["changed"]
            whole = bool(rig.kind.irremovable) and added and reported
        elif result["changed"]:  # a removal, or what QEMU did by itself, is not undone
            removed = result["error_code"] == "command_failed" and "remains unplugged" in result["msg"]
            whole = (removed or result["error_code"] == "outcome_unknown") and completed(rig)
        else:
            untouched = rig.hardware() == rig.before and rig.data_is_whole(begun=False)
            whole = result["error_code"] == "command_failed" and not details["done"] and untouched
        survives(Fault.FAIL.value, "made to fail" in result["msg"] and whole, (point, result, rig.hardware(), rig.before))
        rig.reset()


def test_the_commands_of_an_incomplete_rollback_complete_it(rig: Rig) -> None:
    rig.require(not rig.kind.irremovable or rig.kind.data, rig.kind.irremovable)
    tried = False
    for point in rig.points("present", first=1):
        result = rig.run_with("present", Fault.FAIL, point, point + 1)
        assert result
        if point + 1 in rig.caused:
            tried = True
            left = result["details"]["left"]
            for command in left:
                rig.clean_up(command)
            reported = result["error_code"] == "rollback_incomplete" and result["changed"] and "made to fail" in result["msg"]
            whole = rig.hardware() == rig.before and rig.data_is_whole(begun=False)
            survives("rollback refused", bool(left) and reported and whole, (point, result, rig.hardware(), rig.before))
        rig.reset()
    rig.require(tried, "no command is sent to roll it back")


@pytest.mark.removes
def test_the_next_run_completes_a_removal_that_was_refused(rig: Rig) -> None:
    rig.require_removable()
    rig.add()
    for point in rig.points("absent"):
        added = rig.hardware()
        result = rig.run_with("absent", Fault.FAIL, point)
        assert result
        true = result["error_code"] == "command_failed" and (rig.hardware() == added) == (not result["changed"])
        again = rig.run("absent")
        survives("removal refused", true and not again.get("failed") and rig.hardware() == rig.before, (point, result, again))
        rig.add()
    rig.reset()


@pytest.mark.parametrize("fault", DEATHS, ids=name_of)
def test_the_death_of_qemu_is_reported_and_a_new_vm_takes_the_same_task(rig: Rig, fault: Fault) -> None:
    for point in rig.points("present", fault):
        result = rig.run_with("present", fault, point)
        dead = rig.run("present")
        kept = rig.data_is_whole_after_death()
        rig.renew()
        again = rig.run("present")
        reported = result is not None and is_loss(result) and dead["error_code"] == "connect_failed"
        whole = kept and again.get("changed") is True and rig.data_is_whole()
        survives(fault.value, reported and whole, (point, result, dead, again, kept))
        rig.reset()


@pytest.mark.other_side
@pytest.mark.parametrize("fault", PEER_DEATHS, ids=name_of)
def test_the_death_of_the_other_qemu_is_reported_and_the_guest_runs_on_here(rig: Rig, fault: Fault) -> None:
    rig.require(rig.kind.peer and not rig.kind.at_peer, "it has no other QEMU that could die")
    for point in rig.points("present", fault):
        result = rig.run_with("present", fault, point)
        assert result
        reported = result.get("error_code") == "command_failed" and "continues to run here" in result["msg"]
        kept = rig.data_is_whole(begun=False)
        rig.new_peer()
        again = rig.run("present")
        whole = kept and again.get("changed") is True and rig.data_is_whole()
        survives(fault.value, reported and whole, (point, result, again, kept))
        rig.reset()


def test_a_qemu_that_hangs_is_reported_in_time_and_the_next_run_completes(rig: Rig) -> None:
    """Each point has its own VM, and all are tried at the same time, because each takes the whole timeout."""
    points = list(rig.points("present")) if ALL else [0]
    with ThreadPoolExecutor(len(points)) as pool:
        outcomes = list(pool.map(lambda point: _hang(rig, point), points))
    for point, (result, again, once_more, kept) in zip(points, outcomes):
        reported = result is not None and result["error_code"] == "outcome_unknown"
        whole = not again.get("failed") and settled(rig, once_more) and kept
        survives(Fault.QEMU_STOPPED.value, reported and whole, (point, result, again, once_more, kept))


def _hang(rig: Rig, point: int) -> tuple[dict[str, Any] | None, dict[str, Any], dict[str, Any], bool]:
    with rig.twin() as twin:
        try:
            result = twin.run_with("present", Fault.QEMU_STOPPED, point)
        finally:
            os.kill(twin.target.pid, signal.SIGCONT)
        return result, twin.run("present"), twin.run("present"), twin.data_is_whole()
