# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each fault at each command of each plan of each kind: it ends in a state that was told truly and that the next run repairs."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from .conftest import ALL, Rig
from .proxy import Fault

KILLS = (Fault.KILL_BEFORE, Fault.KILL_AFTER)
CUTS = (Fault.CUT_BEFORE, Fault.CUT_IN_REQUEST, Fault.CUT_AFTER_REQUEST, Fault.CUT_BEFORE_REPLY, Fault.CUT_IN_REPLY)
LOST_CONNECTION = {"disconnected", "outcome_unknown", "protocol_error"}


def settled(result: dict[str, Any]) -> bool:
    """Whether a further run has nothing to do; a link is set by each run that states it, for QEMU does not tell it."""
    return not result.get("failed") and (not result["changed"] or result["unverified"] == ["link"])


@pytest.mark.parametrize("fault", [*KILLS, *CUTS], ids=lambda fault: fault.value)
def test_plugging_is_finished_by_the_next_run(rig: Rig, fault: Fault) -> None:
    plugged = None
    for point in rig.points("present"):
        result = rig.run_with("present", fault, point)
        told = result is None or result.get("error_code") in LOST_CONNECTION
        again = rig.run("present")
        once_more = rig.run("present")
        hardware = rig.hardware()
        plugged = plugged or hardware
        whole = not again.get("failed") and settled(once_more) and hardware == plugged
        rig.survives(fault.value, told and whole, (point, result, again, once_more, hardware))
        rig.reset()


@pytest.mark.parametrize("fault", [*KILLS, *CUTS], ids=lambda fault: fault.value)
def test_unplugging_is_finished_by_the_next_run(rig: Rig, fault: Fault) -> None:
    if not rig.kind.removable:
        return
    rig.have()
    for point in rig.points("absent"):
        result = rig.run_with("absent", fault, point)
        told = result is None or result.get("error_code") in LOST_CONNECTION
        again = rig.run("absent")
        whole = not again.get("failed") and settled(rig.run("absent")) and rig.hardware() == rig.before
        rig.survives(fault.value, told and whole, (point, result, again))
        rig.have()
    rig.reset()


def test_what_was_begun_can_be_given_up_too(rig: Rig) -> None:
    if not rig.kind.removable:
        return
    for point in rig.points("present"):
        result = rig.run_with("present", Fault.KILL_AFTER, point)
        given_up = rig.run("absent")
        whole = result is None and not given_up.get("failed") and rig.hardware() == rig.before
        rig.survives("killed, and not wanted any more", whole, (point, given_up, rig.hardware()))
        rig.reset()


def finished(rig: Rig) -> bool:
    """Whether the next run finishes what was begun."""
    return not rig.run("present").get("failed") and settled(rig.run("present"))


def test_a_command_that_is_refused_leaves_the_vm_as_it_was(rig: Rig) -> None:
    for point in rig.points("present"):
        result = rig.run_with("present", Fault.FAIL, point)
        assert result
        details = result["details"]
        true = "made to fail" in result["msg"] and result["changed"] == bool(details["done"] or details["left"])
        if details["left"]:  # nothing runs in the guest that could let go of what was added, and that is told
            added = any(command["execute"] == "device_add" for command in details["sent"][:-1])
            whole = not rig.kind.removable and added and result["error_code"] == "rollback_incomplete"
        elif details["done"]:  # what was removed stays so, and that is told
            whole = "stays so" in result["msg"] and result["error_code"] == "command_failed" and finished(rig)
        else:
            whole = result["error_code"] == "command_failed" and rig.hardware() == rig.before
        rig.survives(Fault.FAIL.value, true and whole, (point, result, rig.hardware()))
        rig.reset()


def test_what_cannot_be_taken_back_is_told_with_the_commands_that_do_it(rig: Rig) -> None:
    if not rig.kind.removable:
        return
    for point in rig.points("present", first=1):
        result = rig.run_with("present", Fault.FAIL, point, point + 1)
        assert result
        details = result["details"]
        for command in details["left"]:
            rig.clean_up(command)
        code = "rollback_incomplete" if details["left"] else "command_failed"  # after a mere removal nothing is taken back
        told = result["error_code"] == code and result["changed"] and "made to fail" in result["msg"]
        whole = finished(rig) if details["done"] else details["left"] and rig.hardware() == rig.before
        rig.survives("taking back refused", bool(told and whole), (point, result, rig.hardware()))
        rig.reset()


def test_a_removal_that_is_refused_is_finished_by_the_next_run(rig: Rig) -> None:
    if not rig.kind.removable:
        return
    rig.have()
    for point in rig.points("absent"):
        plugged = rig.hardware()
        result = rig.run_with("absent", Fault.FAIL, point)
        assert result
        true = result["error_code"] == "command_failed" and (rig.hardware() == plugged) == (not result["changed"])
        again = rig.run("absent")
        rig.survives("removal refused", true and not again.get("failed") and rig.hardware() == rig.before, (point, result, again))
        rig.have()
    rig.reset()


def test_qemu_that_dies_is_told_and_a_new_one_takes_it_all(rig: Rig) -> None:
    for point in rig.points("present"):
        result = rig.run_with("present", Fault.QEMU_KILLED, point)
        dead = rig.run("present")
        rig.renew()
        again = rig.run("present")
        told = result is not None and result["error_code"] in LOST_CONNECTION and dead["error_code"] == "connect_failed"
        rig.survives(Fault.QEMU_KILLED.value, told and again.get("changed") is True, (point, result, dead, again))
        rig.reset()


def test_qemu_that_hangs_is_told_in_time_and_the_next_run_finishes(rig: Rig) -> None:
    for point in rig.points("present") if ALL else (0,):
        try:
            result = rig.run_with("present", Fault.QEMU_STOPPED, point)
        finally:
            os.kill(rig.vm.pid, signal.SIGCONT)
        again = rig.run("present")
        once_more = rig.run("present")
        told = result is not None and result["error_code"] == "outcome_unknown"
        whole = not again.get("failed") and settled(once_more)
        rig.survives(Fault.QEMU_STOPPED.value, told and whole, (point, result, again, once_more))
        rig.reset()
