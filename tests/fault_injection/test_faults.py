# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each fault at each command of each plan of each kind: it ends in a state that was told truly and that the next run repairs."""

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
def _begins_anew(rig: Rig) -> None:
    """What a test that failed has left is not for the next one."""
    rig.be_at_the_beginning()


def named(fault: Fault) -> str:
    return fault.value


def settled(rig: Rig, result: dict[str, Any]) -> bool:
    """Whether a further run has nothing to do; a link is set by each run that states it, for QEMU does not tell it."""
    nothing = rig.kind.repeats or not result.get("changed") or result["unverified"] == ["link"]
    return not result.get("failed") and nothing


def finished(rig: Rig) -> bool:
    """Whether the next run finishes what was begun."""
    return not rig.run("present").get("failed") and settled(rig, rig.run("present")) and rig.data_is_whole()


def is_loss(result: dict[str, Any] | None) -> bool:
    """Whether a run that was killed or cut off said no more than it could know."""
    return result is None or (result.get("error_code") in LOST_CONNECTION and result["changed"])


@pytest.mark.parametrize("fault", [*KILLS, *CUTS], ids=named)
def test_plugging_is_finished_by_the_next_run(rig: Rig, fault: Fault) -> None:
    plugged = None
    for point in rig.points("present", fault):
        result = rig.run_with("present", fault, point)
        again = rig.run("present")
        once_more = rig.run("present")
        hardware = rig.hardware()
        plugged = plugged or hardware
        whole = not again.get("failed") and settled(rig, once_more) and hardware == plugged and rig.data_is_whole()
        survives(fault.value, is_loss(result) and whole, (point, result, again, once_more, hardware, plugged))
        rig.reset()


@pytest.mark.removes
@pytest.mark.parametrize("fault", [*KILLS, *CUTS], ids=named)
def test_unplugging_is_finished_by_the_next_run(rig: Rig, fault: Fault) -> None:
    rig.needs(not rig.kind.stays, rig.kind.stays)
    rig.have()
    for point in rig.points("absent", fault):
        result = rig.run_with("absent", fault, point)
        again = rig.run("absent")
        whole = not again.get("failed") and settled(rig, rig.run("absent")) and rig.hardware() == rig.before
        survives(fault.value, is_loss(result) and whole, (point, result, again))
        rig.have()
    rig.reset()


@pytest.mark.removes
def test_what_was_begun_can_be_given_up_too(rig: Rig) -> None:
    rig.needs(not rig.kind.stays, rig.kind.stays)
    for point in rig.points("present"):
        result = rig.run_with("present", Fault.KILL_AFTER, point)
        given_up = rig.run("absent")
        whole = result is None and not given_up.get("failed") and rig.hardware() == rig.before
        survives("killed, and not wanted any more", whole, (point, given_up, rig.hardware()))
        rig.reset()


def test_an_operation_that_was_begun_can_be_cancelled_and_begun_again(rig: Rig) -> None:
    rig.needs(rig.kind.data, "it is no operation")
    rig.needs(rig.kind.absent, "there is no way to cancel it")
    for point in rig.points("present", Fault.KILL_WAITING):
        result = rig.run_with("present", Fault.KILL_WAITING, point)
        cancelled = rig.run("absent")
        over = not cancelled.get("failed") and rig.hardware()["jobs"] == [] and rig.data_is_whole(begun=False)
        if rig.peer:
            rig.new_peer()  # one that has seen a guest come to nothing takes no other
        survives("killed, and then cancelled", result is None and over and finished(rig), (point, cancelled, rig.hardware()))
        rig.reset()


def test_a_command_that_is_refused_leaves_the_vm_as_it_was(rig: Rig) -> None:
    for point in rig.points("present"):
        result = rig.run_with("present", Fault.FAIL, point)
        assert result
        details = result["details"]
        if details["left"]:  # nothing runs in the guest that could let go of what was added, and that is told
            added = any(command["execute"] == "device_add" for command in details["sent"][:-1])
            whole = bool(rig.kind.stays) and added and result["error_code"] == "rollback_incomplete" and result["changed"]
        elif result["changed"]:  # what was removed stays so, and what QEMU has done by itself; that is told
            stays = result["error_code"] == "command_failed" and "stays so" in result["msg"]
            whole = (stays or result["error_code"] == "outcome_unknown") and finished(rig)
        else:
            untouched = rig.hardware() == rig.before and rig.data_is_whole(begun=False)
            whole = result["error_code"] == "command_failed" and not details["done"] and untouched
        survives(Fault.FAIL.value, "made to fail" in result["msg"] and whole, (point, result, rig.hardware(), rig.before))
        rig.reset()


def test_what_cannot_be_taken_back_is_told_with_the_commands_that_do_it(rig: Rig) -> None:
    rig.needs(not rig.kind.stays or rig.kind.data, rig.kind.stays)
    for point in rig.points("present", first=1):
        result = rig.run_with("present", Fault.FAIL, point, point + 1)
        assert result
        details = result["details"]
        for command in details["left"]:
            rig.clean_up(command)
        if details["left"]:
            told = result["error_code"] == "rollback_incomplete"
            whole = rig.hardware() == rig.before and rig.data_is_whole(begun=False)
        else:  # after a mere removal, or what QEMU has done by itself, nothing is taken back
            told = result["error_code"] in ("command_failed", "outcome_unknown")
            whole = finished(rig)
        told = told and result["changed"] and "made to fail" in result["msg"]
        survives("taking back refused", told and whole, (point, result, rig.hardware(), rig.before))
        rig.reset()


@pytest.mark.removes
def test_a_removal_that_is_refused_is_finished_by_the_next_run(rig: Rig) -> None:
    rig.needs(not rig.kind.stays, rig.kind.stays)
    rig.have()
    for point in rig.points("absent"):
        plugged = rig.hardware()
        result = rig.run_with("absent", Fault.FAIL, point)
        assert result
        true = result["error_code"] == "command_failed" and (rig.hardware() == plugged) == (not result["changed"])
        again = rig.run("absent")
        survives("removal refused", true and not again.get("failed") and rig.hardware() == rig.before, (point, result, again))
        rig.have()
    rig.reset()


@pytest.mark.parametrize("fault", DEATHS, ids=named)
def test_qemu_that_dies_is_told_and_a_new_one_takes_it_all(rig: Rig, fault: Fault) -> None:
    for point in rig.points("present", fault):
        result = rig.run_with("present", fault, point)
        dead = rig.run("present")
        kept = rig.data_is_whole_after_death()
        rig.renew()
        again = rig.run("present")
        told = result is not None and is_loss(result) and dead["error_code"] == "connect_failed"
        whole = kept and again.get("changed") is True and rig.data_is_whole()
        survives(fault.value, told and whole, (point, result, dead, again, kept))
        rig.reset()


@pytest.mark.other_side
@pytest.mark.parametrize("fault", PEER_DEATHS, ids=named)
def test_the_other_side_that_dies_is_told_and_the_guest_goes_on_here(rig: Rig, fault: Fault) -> None:
    rig.needs(rig.kind.peer and not rig.kind.at_peer, "there is no other side that could die")
    for point in rig.points("present", fault):
        result = rig.run_with("present", fault, point)
        assert result
        told = result.get("error_code") == "command_failed" and "runs on here" in result["msg"]
        kept = rig.data_is_whole(begun=False)
        rig.new_peer()
        again = rig.run("present")
        whole = kept and again.get("changed") is True and rig.data_is_whole()
        survives(fault.value, told and whole, (point, result, again, kept))
        rig.reset()


def test_qemu_that_hangs_is_told_in_time_and_the_next_run_finishes(rig: Rig) -> None:
    """For each point a VM of its own, all at the same time, for the time to tell it in is long."""
    points = list(rig.points("present")) if ALL else [0]
    with ThreadPoolExecutor(len(points)) as pool:
        outcomes = list(pool.map(lambda point: _hangs(rig, point), points))
    for point, (result, again, once_more, kept) in zip(points, outcomes):
        told = result is not None and result["error_code"] == "outcome_unknown"
        whole = not again.get("failed") and settled(rig, once_more) and kept
        survives(Fault.QEMU_STOPPED.value, told and whole, (point, result, again, once_more, kept))


def _hangs(rig: Rig, point: int) -> tuple[dict[str, Any] | None, dict[str, Any], dict[str, Any], bool]:
    with rig.twin() as twin:
        try:
            result = twin.run_with("present", Fault.QEMU_STOPPED, point)
        finally:
            os.kill(twin.target.pid, signal.SIGCONT)
        return result, twin.run("present"), twin.run("present"), twin.data_is_whole()
