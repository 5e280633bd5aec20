# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps of operations that wait for QEMU or the guest, against a scripted monitor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils._vm.errors import JobFailed, StillInProgress
from ansible_collections.vmops.qemu.plugins.module_utils._vm.operations import balloon, dump, migration, power
from ansible_collections.vmops.qemu.plugins.module_utils._vm.operations.block_job import steps
from ansible_collections.vmops.qemu.plugins.module_utils._vm.plan import plan
from ansible_collections.vmops.qemu.plugins.module_utils._vm.plan.plan import Execute, Run
from ansible_collections.vmops.qemu.plugins.module_utils._vm.plan.progress import Progress
from ansible_collections.vmops.qemu.plugins.module_utils.qmp import CommandError
from ansible_collections.vmops.qemu.tests.support.scripted_monitor import Step, connected, event, expect, hang_up


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "_POLL_SECONDS", 0.01)
    monkeypatch.setattr(balloon, "_POLL_SECONDS", 0.01)
    monkeypatch.setattr(dump, "_REASON_SECONDS", 0.01)
    for module in (plan, migration, dump):
        monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)


def apply(step: plan.Step, *script: Step, timeout: float = 10.0) -> Run:
    with connected(*script) as monitor:
        run = Run(monitor, timeout)
        step.apply(run)
    return run


def reported(step: plan.Step, *script: Step) -> list[Progress]:
    """What a step reports while it waits."""
    seen: list[Progress] = []
    with connected(*script) as monitor:
        step.apply(Run(monitor, 10.0, report=seen.append))
    return seen


# block jobs


def job(status: str = "", **more: Any) -> Step:
    """The reply to query-jobs: one job of this status, or none."""
    entry = {"id": "j1", "type": "mirror", "status": status, "current-progress": 1, "total-progress": 2, **more}
    return expect("query-jobs", reply=[entry] if status else [])


def act(command: str, **options: Any) -> Step:
    return expect(command, {"id": "j1"}, **options)


def test_a_job_is_completed_finalized_and_dismissed_once() -> None:
    finish = steps.Finish("j1", True, True)
    run = apply(
        finish,
        job("running"),
        job("ready"),
        act("job-complete"),
        job("ready"),
        job("pending"),
        act("job-finalize"),
        job("pending"),
        job("concluded"),
        act("job-dismiss"),
    )
    assert run.sent == finish.commands() and run.results["progress"] == {"current": 1, "total": 2}


def test_a_job_that_failed_is_dismissed_and_reported() -> None:
    with pytest.raises(JobFailed, match="failed: No space"):
        apply(steps.Finish("j1", False, False), job("concluded", error="No space"), act("job-dismiss"))
    with pytest.raises(JobFailed, match="no longer exists"):
        apply(steps.Finish("j1", False, False), job())


def test_a_job_that_continues_is_still_in_progress() -> None:
    with pytest.raises(StillInProgress, match="1 of 2 bytes") as failure:
        apply(steps.Finish("j1", True, False), job("running"), timeout=0.0)
    assert failure.value.details == {"job": {"current": 1, "total": 2}}
    with pytest.raises(StillInProgress, match="refused to dismiss"):
        apply(steps.Finish("j1", True, False), job("concluded"), act("job-dismiss", error=("GenericError", "no")))


def test_a_stream_is_flushed_and_its_end_is_read_from_the_event() -> None:
    flush = Execute("human-monitor-command", {"command-line": "flush"})
    finish = steps.Finish("j1", False, True, vanishes=True, flush=flush)
    flushed = expect("human-monitor-command", {"command-line": "flush"})
    done = event("BLOCK_JOB_COMPLETED", {"device": "j1", "type": "stream", "len": 1, "offset": 1, "speed": 0})
    run = apply(finish, job("pending"), flushed, act("job-finalize", after=[done]), job())
    assert run.sent == finish.commands()
    failed = {**done, "data": {**done["data"], "error": "No space"}}
    with pytest.raises(JobFailed, match="failed: No space"):
        apply(finish, job("pending"), flushed, act("job-finalize", after=[failed]), job())
    with pytest.raises(JobFailed, match="does not report how"):
        apply(finish, job())


def test_a_job_that_is_cancelled_is_waited_for_and_dismissed() -> None:
    cancel = steps.Cancel("j1")
    run = apply(cancel, act("job-cancel"), job("aborting"), job("concluded"), act("job-dismiss"))
    assert run.sent == cancel.commands()
    apply(steps.Stop("j1"), act("job-cancel", error=("GenericError", "bad state")), job("concluded"), job("concluded"))
    with pytest.raises(CommandError, match="bad state"):
        apply(steps.Stop("j1"), act("job-cancel", error=("GenericError", "bad state")), job("running"))
    with pytest.raises(StillInProgress, match="was cancelled"):
        apply(steps.Stop("j1"), act("job-cancel"), job("aborting"), timeout=0.0)


def test_a_job_becomes_ready_or_has_ended() -> None:
    assert apply(steps.await_ready("j1"), job("running"), job("ready")).sent == []
    apply(steps.await_ready("j1"), job("concluded"), act("job-dismiss"))
    with pytest.raises(StillInProgress, match="not ready"):
        apply(steps.await_ready("j1"), job("running"), timeout=0.0)


# power


SHUTDOWN = event("SHUTDOWN", {"guest": True, "reason": "guest-shutdown"})


def test_a_guest_shuts_down_or_is_ended_by_force() -> None:
    apply(power.PowerDown(False), expect("system_powerdown", {}, after=[SHUTDOWN]))
    with pytest.raises(StillInProgress, match="Set force: true"):
        apply(power.PowerDown(False), expect("system_powerdown", {}), timeout=0.0)
    run = apply(power.PowerDown(True), expect("system_powerdown", {}), expect("quit", {}), hang_up(), timeout=0.05)
    assert [command["execute"] for command in run.sent] == ["system_powerdown", "quit"]


def test_a_quit_is_done_when_the_connection_is_closed() -> None:
    apply(power.Quit(), expect("quit", {}), hang_up())
    with pytest.raises(StillInProgress, match="still runs"):
        apply(power.Quit(), expect("quit", {}), timeout=0.01)


def test_the_button_alone_is_reported() -> None:
    run = apply(power.PressButton("system_powerdown", {}), expect("system_powerdown", {}))
    assert run.results == {"status": power.REQUESTED}


# dump and balloon


def written(status: str) -> Step:
    return expect("query-dump", reply={"status": status, "completed": 1, "total": 2})


def runs(status: str = "running", running: bool = True) -> Step:
    return expect("query-status", reply={"status": status, "running": running, "singlestep": False})


def test_a_dump_is_waited_for_and_its_file_checked(tmp_path: Path) -> None:
    file = tmp_path / "dump"
    file.write_bytes(b"\x7fELF and more")
    start = expect("dump-guest-memory", {"protocol": "x"})
    run = apply(dump.Write({"protocol": "x"}, str(file)), start, written("active"), written("completed"), runs())
    assert run.results["dump"] == {
        "status": "completed",
        "completed": 1,
        "total": 2,
        "format": "elf",
        "file": str(file),
        "size": 13,
    }
    with pytest.raises(JobFailed, match="not a file of the format win-dmp"):
        arguments = {"protocol": "x", "format": "win-dmp"}
        apply(dump.Write(arguments, str(file)), expect("dump-guest-memory", arguments), written("completed"), runs())


def test_a_dump_that_fails_or_continues() -> None:
    start = expect("dump-guest-memory", {"protocol": "x"})
    write = dump.Write({"protocol": "x"}, None)
    with pytest.raises(JobFailed, match="reports no reason"):
        apply(write, start, written("failed"), runs())
    reason = event("DUMP_COMPLETED", {"result": {"total": 2, "status": "failed", "completed": 1}, "error": "No space"})
    with pytest.raises(JobFailed, match="No space"):
        apply(write, expect("dump-guest-memory", {"protocol": "x"}, after=[reason]), written("failed"), runs())
    with pytest.raises(StillInProgress, match="1 of 2 bytes"):
        apply(write, start, written("active"), timeout=0.0)


def test_steps_report_how_far_they_are_from_what_they_ask_anyway(tmp_path: Path) -> None:
    ram = {"total": 10, "remaining": 4, "transferred": 3}
    ended = [moves("completed"), runs("postmigrate", False)]
    assert reported(migration.Follow(True), moves("setup"), moves("active", ram=ram), *ended) == [
        Progress("migration", note="setup"),
        Progress("migration", 6, 10, moved=3),
    ]
    again = moves("device", ram={**ram, "dirty-sync-count": 3})
    assert reported(migration.Follow(True), again, *ended)[0].note == "device, pass 3 over the memory"
    start = expect("dump-guest-memory", {"protocol": "x"})
    assert reported(dump.Write({"protocol": "x"}, None), start, written("active"), written("completed"), runs()) == [
        Progress("dump", 1, 2)
    ]
    ready = [job("ready"), act("job-complete"), job("concluded"), act("job-dismiss")]
    assert reported(steps.Finish("j1", True, False), job("running"), *ready) == [
        Progress("mirror j1", 1, 2),
        Progress("mirror j1", 1, 2, note="ready"),
    ]
    sizes = [expect("query-balloon", reply={"actual": size}) for size in (8, 6, 4)]
    assert reported(balloon.Inflate(4), expect("balloon", {"value": 4}), *sizes) == [
        Progress("balloon", 0, 4),
        Progress("balloon", 2, 4),
    ]


def test_a_balloon_is_waited_for_and_given_up_when_it_stalls(monkeypatch: pytest.MonkeyPatch) -> None:
    def has(size: int) -> Step:
        return expect("query-balloon", reply={"actual": size})

    ask = expect("balloon", {"value": 4})
    assert apply(balloon.Inflate(4), ask, has(8), has(6), has(4)).sent == balloon.Inflate(4).commands()
    with pytest.raises(StillInProgress, match="needs longer"):
        apply(balloon.Inflate(4), ask, has(8), timeout=0.0)
    monkeypatch.setattr(balloon, "_STALLED_SECONDS", -1.0)
    with pytest.raises(StillInProgress, match="has not changed") as failure:
        apply(balloon.Inflate(4), ask, has(8), has(6))
    assert failure.value.details == {"actual": 6, "remainder": 2}


# migration


def moves(status: str, **more: Any) -> Step:
    return expect("query-migrate", reply={"status": status, **more})


def test_a_migration_is_followed_to_its_end() -> None:
    apply(migration.Follow(True), moves("setup"), moves("active"), moves("completed"), runs("postmigrate", False))
    apply(migration.Follow(True), moves("pre-switchover"))
    apply(migration.Follow(False), moves("setup"), moves("active"))
    with pytest.raises(StillInProgress, match="Run the task again"):
        apply(migration.Follow(True), moves("active"), timeout=0.0)


@pytest.mark.parametrize(
    ("status", "more", "words"),
    [
        ("failed", {"error-desc": "broken pipe"}, "broken pipe. The guest continues to run here"),
        ("failed", {}, "reports no reason"),
        ("cancelled", {}, "was cancelled while"),
    ],
)
def test_a_migration_that_did_not_end_well(status: str, more: dict[str, Any], words: str) -> None:
    with pytest.raises(JobFailed, match=words):
        apply(migration.Follow(True), moves(status, **more), runs(), runs())


def test_a_broken_postcopy_says_how_to_recover() -> None:
    with pytest.raises(JobFailed, match="migrate-recover.*The VM here is postmigrate"):
        apply(migration.Follow(True), moves("postcopy-paused"), runs("postmigrate", False))


def test_a_migration_is_cancelled_unless_it_was_completed() -> None:
    cancel = migration.Cancel()
    assert apply(cancel, expect("migrate_cancel", {}), moves("cancelling"), moves("cancelled"), runs()).sent == cancel.commands()
    with pytest.raises(JobFailed, match="completed before"):
        apply(cancel, expect("migrate_cancel", {}), moves("completed"), runs("postmigrate", False))
    with pytest.raises(StillInProgress, match="still cancelling"):
        apply(cancel, expect("migrate_cancel", {}), moves("cancelling"), timeout=0.0)
