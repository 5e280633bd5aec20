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
    assert rig.run("present")["changed"]
    for point in rig.points("absent"):
        result = rig.run_with("absent", fault, point)
        told = result is None or result.get("error_code") in LOST_CONNECTION
        again = rig.run("absent")
        rig.survives(fault.value, told and not again.get("failed") and rig.hardware() == rig.before, (point, result, again))
        assert rig.run("present")["changed"]
    rig.reset()


def test_a_command_that_is_refused_leaves_the_vm_as_it_was(rig: Rig) -> None:
    for point in rig.points("present"):
        result = rig.run_with("present", Fault.FAIL, point)
        assert result
        true = result["error_code"] == "command_failed" and "made to fail" in result["msg"] and not result["changed"]
        plugged = any(command["execute"] == "device_add" for command in result["details"]["sent"][:-1])
        if rig.kind.removable or not plugged:
            rig.survives(Fault.FAIL.value, true and rig.hardware() == rig.before, (point, result, rig.hardware()))
        else:
            # nothing runs in the guest that could let go of what was added, and that is told
            rig.survives(Fault.FAIL.value, result["error_code"] == "rollback_incomplete", (point, result))
        rig.reset()


def test_what_cannot_be_taken_back_is_told_with_the_commands_that_do_it(rig: Rig) -> None:
    if not rig.kind.removable:
        return
    for point in rig.points("present", first=1):
        result = rig.run_with("present", Fault.FAIL, point, point + 1)
        assert result
        for command in result["details"]["left"]:
            rig.vm.query(command["execute"], over="qmp", **command.get("arguments", {}))
        told = result["error_code"] == "rollback_incomplete" and result["changed"] and "made to fail" in result["msg"]
        rig.survives("taking back refused", told and rig.hardware() == rig.before, (point, result, rig.hardware()))
        rig.reset()


def test_a_removal_that_is_refused_is_finished_by_the_next_run(rig: Rig) -> None:
    if not rig.kind.removable:
        return
    assert rig.run("present")["changed"]
    for point in rig.points("absent"):
        plugged = rig.hardware()
        result = rig.run_with("absent", Fault.FAIL, point)
        assert result
        true = result["error_code"] == "command_failed" and (rig.hardware() == plugged) == (not result["changed"])
        again = rig.run("absent")
        rig.survives("removal refused", true and not again.get("failed") and rig.hardware() == rig.before, (point, result, again))
        assert rig.run("present")["changed"]
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
