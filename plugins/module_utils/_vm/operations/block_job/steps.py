# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps that wait for a block job, complete it, stop it, and dismiss it.

A job is started so that QEMU keeps it after its end (``auto-dismiss`` off): so its error can be read.
"""

from __future__ import annotations

import time
from typing import Any

from ....qmp import CommandError
from ...errors import HardwareError, JobFailed, StillInProgress
from ...lazy import dataclass
from ...plan.plan import Await, Command, Delete, Execute, Run, Step, wire
from ...plan.progress import Progress
from .spec import ENDED, READY, progress

_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Finish(Step):
    """Wait until the job has ended, then dismiss it. Raises JobFailed, StillInProgress.

    A job that is ready gets ``job-complete``, and one that is pending ``job-finalize``, after the step ``flush``. ``completes``
    and ``finalizes`` are whether that is expected, for the list of commands. ``vanishes``: QEMU dismisses the job itself.
    """

    job: str
    completes: bool
    finalizes: bool
    vanishes: bool = False
    flush: Execute | None = None

    def commands(self) -> list[Command]:
        names = (("job-complete", self.completes), ("job-finalize", self.finalizes), ("job-dismiss", not self.vanishes))
        first = self.flush.commands() if self.flush else []
        return [*first, *(wire(name, {"id": self.job}) for name, sent in names if sent)]

    def apply(self, run: Run) -> None:
        deadline = time.monotonic() + run.timeout
        since = run.monitor.mark()
        completed = finalized = False
        while True:
            job = _find(run, self.job)
            if job is None and self.vanishes:
                _check_end(run, self.job, since, finalized)
                return
            if job is None or job["status"] in ENDED:
                _conclude(run, self.job, job)
                return
            _report(run, job)
            if job["status"] in READY and not completed:
                run.execute("job-complete", {"id": self.job})
                completed = True
            elif job["status"] == "pending" and not finalized:
                if self.flush:
                    self.flush.apply(run)
                run.execute("job-finalize", {"id": self.job})
                finalized = True
            left = deadline - time.monotonic()
            if left <= 0:
                raise StillInProgress(
                    f"Job {self.job} has not ended within {run.timeout:g} s. It is {job['status']} and continues "
                    f"({_amount(job)}). Run the task again to wait longer, or set state: cancelled.",
                    job=progress(job),
                )
            run.monitor.poll_events(min(_POLL_SECONDS, left))


@dataclass(frozen=True)
class Stop(Step):
    """``job-cancel``, and the wait until the job has ended."""

    job: str

    def commands(self) -> list[Command]:
        return [wire("job-cancel", {"id": self.job})]

    def apply(self, run: Run) -> None:
        try:
            Delete("job-cancel", {"id": self.job}).apply(run)
        except CommandError:
            if not self._has_ended(run):
                raise
        late = f"Job {self.job} was cancelled and has not stopped within {run.timeout:g} s. Run the task again to wait longer."
        Await(self._has_ended, lambda run: StillInProgress(late)).apply(run)

    def _has_ended(self, run: Run) -> bool:
        job = _find(run, self.job)
        return job is None or job["status"] in ENDED


@dataclass(frozen=True)
class Cancel(Stop):
    """Stop a job and dismiss it."""

    def commands(self) -> list[Command]:
        return [*super().commands(), wire("job-dismiss", {"id": self.job})]

    def apply(self, run: Run) -> None:
        super().apply(run)
        _dismiss(run, self.job)


def await_ready(job_id: str) -> Await:
    """Wait until the job is ready, or has ended: then dismiss it. Raises JobFailed, StillInProgress."""

    def look(run: Run) -> bool:
        job = _find(run, job_id)
        if job is None or job["status"] in ENDED:
            _conclude(run, job_id, job)
            return True
        _report(run, job)
        return bool(job["status"] in (*READY, "pending"))

    def late(run: Run) -> StillInProgress:
        return StillInProgress(
            f"Job {job_id} is not ready within {run.timeout:g} s and continues. Run the task again to wait longer."
        )

    return Await(look, late)


def _report(run: Run, job: dict[str, Any]) -> None:
    run.results["progress"] = progress(job)
    run.report(
        Progress(
            f"{job['type']} {job['id']}",
            job["current-progress"],
            job["total-progress"],
            note="" if job["status"] == "running" else job["status"],
        )
    )


def _find(run: Run, job_id: str) -> Any:
    return next((job for job in run.read("query-jobs") if job["id"] == job_id), None)


def _amount(job: dict[str, Any]) -> str:
    return "{current} of {total} bytes".format(**progress(job))


def _unknown_end(job_id: str) -> JobFailed:
    return JobFailed(f"Job {job_id} no longer exists, and QEMU does not report how it ended. Check the disk.")


def _check_end(run: Run, job_id: str, since: int, finalized: bool) -> None:
    """Raise JobFailed unless a job that QEMU has dismissed itself has ended well. Only its event reports an error."""
    ends = [
        event.data
        for event in run.monitor.events(since=since)
        if event.name == "BLOCK_JOB_COMPLETED" and event.data.get("device") == job_id
    ]
    error = next((one["error"] for one in ends if "error" in one), None)
    if error:
        raise JobFailed(f"Job {job_id} failed: {error}.")
    if not (finalized or ends):
        raise _unknown_end(job_id)


def _conclude(run: Run, job_id: str, job: Any) -> None:
    """Dismiss a job that has ended. Raises JobFailed if it has failed, or its end is unknown."""
    if job is None:
        raise _unknown_end(job_id)
    error: HardwareError | None = JobFailed(f"Job {job_id} failed: {job['error']}.") if "error" in job else None
    run.results["progress"] = progress(job)
    try:
        _dismiss(run, job_id)
    except CommandError as refusal:  # the work of the job is done, and is not rolled back
        error = error or StillInProgress(
            f"Job {job_id} is done, but QEMU refused to dismiss it: {refusal.desc}. Run the task again to dismiss it.",
            job=progress(job),
        )
    if error:
        raise error


def _dismiss(run: Run, job_id: str) -> None:
    Delete("job-dismiss", {"id": job_id}).apply(run)
