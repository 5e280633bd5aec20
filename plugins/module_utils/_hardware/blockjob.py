# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs on the nodes of a disk: mirror, backup, commit, stream; and the snapshot, which is done at once.

A job is started so that QEMU keeps it when it has ended (``auto-dismiss`` off): how it ended is then read, and not guessed
from its being gone.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import Any, Mapping

from ..qmp import CommandError
from .errors import Conflict, HardwareError, InvalidOption, JobFailed, NotYet
from .model import Hardware, Node
from .plan import Await, Command, Delete, Execute, Plan, Run, Step, wire
from .values import NODE_NAME_MAX, check_id

_COMMANDS = {"mirror": "blockdev-mirror", "backup": "blockdev-backup", "commit": "block-commit", "stream": "block-stream"}
_SETTLED = ("ready", "standby")  # a mirror that is in step with its source, and waits to be completed
_ENDED = ("concluded", "null")
_FILTERS = ("mirror_top", "commit_top", "copy-before-write", "copy-on-read", "throttle", "compress", "preallocate")
"""Drivers of nodes that hold no data; a job that runs has put one of the first four on top of its disk."""


@dataclass(frozen=True)
class Job:
    """What a task says of a job. ``options`` are further arguments of its command, in QEMU's spelling."""

    id: str
    type: str | None = None
    disk: str | None = None
    target: str | None = None
    file: str | None = None
    format: str = "qcow2"
    sync: str = "full"
    base: str | None = None
    speed: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Finish(Step):
    """Wait until the job has ended, telling it to complete when it is ready, as one that *completes* will be, and to finalize
    when it waits for that, as one that *finalizes* will; dismiss it. Raises JobFailed, NotYet."""

    job: str
    completes: bool
    finalizes: bool

    def commands(self) -> list[Command]:
        names = (("job-complete", self.completes), ("job-finalize", self.finalizes), ("job-dismiss", True))
        return [wire(name, {"id": self.job}) for name, sent in names if sent]

    def apply(self, run: Run) -> None:
        deadline = time.monotonic() + run.timeout
        told = False
        while True:
            job = _find(run, self.job)
            if job is None or job["status"] in _ENDED:
                _conclude(run, self.job, job)
                return
            run.told["progress"] = progress(job)
            if job["status"] in _SETTLED and not told:
                run.execute("job-complete", {"id": self.job})
                told = True
            elif job["status"] == "pending":
                run.execute("job-finalize", {"id": self.job})
            left = deadline - time.monotonic()
            if left <= 0:
                raise NotYet(f"Job {self.job} is {job['status']} after {run.timeout:g} s and goes on ({_words(job)}). Run this "
                             "again to wait on, or set state: cancelled.", job=progress(job))
            run.monitor.poll_events(min(0.2, left))


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
            if (_find(run, self.job) or {"status": "null"})["status"] not in _ENDED:
                raise
        gone = Await(lambda run: (_find(run, self.job) or {"status": "null"})["status"] in _ENDED,
                     lambda run: NotYet(f"Job {self.job} was told to stop and has not within {run.timeout:g} s."))
        gone.apply(run)


@dataclass(frozen=True)
class Cancel(Stop):
    """Stop a job, and take leave of it."""

    def commands(self) -> list[Command]:
        return [*super().commands(), wire("job-dismiss", {"id": self.job})]

    def apply(self, run: Run) -> None:
        super().apply(run)
        _dismiss(run, self.job)


def plan_present(hardware: Hardware, job: Job, until: str) -> Plan:
    """Have the job begun (*until* is ``started``), in step with its source (``ready``) or done (``completed``)."""
    check_id(job.id, longest=NODE_NAME_MAX)
    running = describe(hardware, job.id)
    if job.base is not None and job.base not in hardware.nodes:
        raise InvalidOption(f"The VM has no block node {job.base!r}.")
    if job.type is None:
        if running is None:
            raise InvalidOption(f"There is no job {job.id}: say with type and disk what it is to be.")
    elif job.type == "snapshot":
        return _plan_snapshot(hardware, job)
    elif running is None and _is_done(hardware, job):
        return Plan(after={"id": job.id, "type": job.type, "status": "concluded"})
    if running and job.type not in (None, running["type"]):
        raise Conflict(f"The job {job.id} is a {running['type']}, not a {job.type}. Take another id.")
    steps: list[Step] = []
    if running is None:
        steps.append(Execute(_COMMANDS[str(job.type)], _arguments(hardware, job), Cancel(job.id)))
    ended = running is not None and running["status"] in _ENDED
    if until == "completed" or ended:
        until = "completed"
        pending = running is not None and running["status"] == "pending"
        completes = _becomes_ready(job, running) and not (ended or pending)
        finalizes = pending or (job.options.get("auto-finalize") is False and not ended)
        steps.append(Finish(job.id, completes, finalizes))
    elif until == "ready" and (running is None or running["status"] not in _SETTLED):
        steps.append(_ready(job.id))
    status = {"started": "running", "ready": "ready", "completed": "concluded"}[until]
    return Plan(tuple(steps), running, {"id": job.id, "type": job.type or (running or {}).get("type"), "status": status})


def plan_cancelled(hardware: Hardware, job: Job) -> Plan:
    running = describe(hardware, job.id)
    if running is None:
        return Plan()
    dismiss = Delete("job-dismiss", {"id": job.id})
    return Plan((dismiss,) if running["status"] in _ENDED else (Stop(job.id), dismiss), running, None)


def _becomes_ready(job: Job, running: Mapping[str, Any] | None) -> bool:
    """Whether it stands in step with its source at last, and has to be told to complete: a mirror, and a commit from the top."""
    kind = job.type or (running or {}).get("type")
    return kind == "mirror" or (kind == "commit" and not {"top", "top-node"} & set(job.options))


def describe(hardware: Hardware, job_id: str) -> dict[str, Any] | None:
    job = next((one for one in hardware.snapshot.ask("query-jobs") if one["id"] == job_id), None)
    return {"id": job["id"], "type": job["type"], "status": job["status"], "progress": progress(job)} if job else None


def describe_all(hardware: Hardware) -> list[dict[str, Any]]:
    found = (describe(hardware, job["id"]) for job in hardware.snapshot.ask("query-jobs"))
    return [job for job in found if job]


def progress(job: Mapping[str, Any]) -> dict[str, int]:
    """How far a job is, in units of its own: bytes for all of these."""
    return {"current": job.get("current-progress", 0), "total": job.get("total-progress", 0)}


def _words(job: Mapping[str, Any]) -> str:
    return "{current} of {total} bytes".format(**progress(job))


def _root(hardware: Hardware, job: Job) -> Node:
    """The node on top of the disk, which may be named by its own id, or the node of that name."""
    if job.disk is None:
        raise InvalidOption(f"Job {job.id} needs disk: the id of a disk, or the name of a block node.")
    device = hardware.device(job.disk)
    node = hardware.drive_of(device) if device else hardware.nodes.get(job.disk)
    if node is None:
        raise InvalidOption(f"The VM has no disk or block node {job.disk!r}.")
    return node


def _arguments(hardware: Hardware, job: Job) -> dict[str, Any]:
    root = _root(hardware, job)
    arguments: dict[str, Any] = {"job-id": job.id, "device": root.name, "auto-dismiss": False}
    if job.type in ("mirror", "backup"):
        if job.target is None:
            raise InvalidOption(f"A {job.type} needs target: the name of a block node. qmp_blockdev with attach: false adds one.")
        target = hardware.nodes.get(job.target)
        if target is None:
            raise InvalidOption(f"The VM has no block node {job.target!r}; add it with qmp_blockdev and attach: false.")
        if target.size < root.size:
            raise InvalidOption(f"The target {job.target} has {target.size} bytes, and the disk {root.size}. Make it as large.")
        arguments.update({"target": job.target, "sync": job.sync})
    else:
        base = _base(hardware, job, root)
        arguments.update({} if base is None else {"base-node": base})
    if job.speed is not None:
        arguments["speed"] = job.speed
    return _with_options(job, arguments)


def _with_options(job: Job, arguments: dict[str, Any]) -> dict[str, Any]:
    """*arguments* and the further ones that the task states, which may not take the place of the former."""
    for name in job.options:
        if name in arguments:
            raise InvalidOption(f"options has {name!r}, which is for other options of this module, or for none.")
    return {**arguments, **job.options}


def _is_done(hardware: Hardware, job: Job) -> bool:
    """Whether the VM has what the job would bring; of a backup that cannot be told, so it is made each time."""
    if job.type == "backup":
        return False
    root = _root(hardware, job)
    chain = _chain(hardware, root)
    if job.type == "mirror":
        return chain[:1] == [job.target]
    base = _base(hardware, job, root)
    if base is None:
        return len(chain) == 1
    return base in (chain[:1] if job.type == "commit" else chain[1:2])


def _base(hardware: Hardware, job: Job, root: Node) -> str | None:
    """The node to end at; of a commit by default the disk's own, so that what is below it, such as a template, stays as it is."""
    if job.base is not None or job.type != "commit":
        return job.base
    own = job.disk
    if own not in hardware.ids:  # a node; the disk's own has the id of the device that it is for
        users = (device.id for device in hardware.devices if root.name in _chain(hardware, hardware.drive_of(device)))
        own = next(users, own)
    return own if own in _chain(hardware, root) else None


def _plan_snapshot(hardware: Hardware, job: Job) -> Plan:
    """A new image on top of the disk, which takes all writes from then on; its node has the id of the job."""
    root = _root(hardware, job)
    present = hardware.nodes.get(job.id)
    if present:
        if job.id not in _chain(hardware, root):
            raise Conflict(f"There is a block node {job.id}, which does not belong to {job.disk}. Take another id.")
        return Plan(after={"id": job.id, "type": "snapshot", "status": "concluded"})
    if job.file is None or not job.file.startswith("/"):
        raise InvalidOption("A snapshot needs file: the whole path of the new image, which QEMU makes.")
    if os.path.exists(job.file) and job.options.get("mode") != "existing":
        raise InvalidOption(f"{job.file} exists and would be overwritten. Name another file; or, for an overlay that you have "
                            "made, set options: {mode: existing}.")
    arguments = {"node-name": root.name, "snapshot-file": job.file, "format": job.format, "snapshot-node-name": job.id}
    step = Execute("blockdev-snapshot-sync", _with_options(job, arguments))
    return Plan((step,), None, {"id": job.id, "type": "snapshot", "status": "concluded"})


def _chain(hardware: Hardware, node: Node | None) -> list[str]:
    """The names of *node* and of all images below it, from the top down, without filters."""
    names = []
    while node:
        is_filter = node.driver in _FILTERS
        names += [] if is_filter else [node.name]
        below = node.children.get("backing") or (node.children.get("file") if is_filter else None)
        node = hardware.nodes.get(below or "")
    return names


def _ready(job_id: str) -> Await:
    def look(run: Run) -> bool:
        job = _find(run, job_id)
        if job is None or job["status"] in _ENDED:
            _conclude(run, job_id, job)
            return True
        run.told["progress"] = progress(job)
        return bool(job["status"] in _SETTLED)

    return Await(look, lambda run: NotYet(f"Job {job_id} is not ready after {run.timeout:g} s and goes on. Run this again to "
                                          "wait on."))


def _find(run: Run, job_id: str) -> Any:
    return next((job for job in run.read("query-jobs") if job["id"] == job_id), None)


def _conclude(run: Run, job_id: str, job: Any) -> None:
    """Take leave of a job that has ended. Raises JobFailed if it has not ended well, or nobody knows."""
    error: HardwareError | None = None
    if job is None:
        error = JobFailed(f"Job {job_id} is gone and nobody knows how it ended; look at the disk.")
    elif "error" in job:
        error = JobFailed(f"Job {job_id} failed: {job['error']}.")
    if job is not None:
        run.told["progress"] = progress(job)
        _dismiss(run, job_id)
    if error:
        raise error


def _dismiss(run: Run, job_id: str) -> None:
    Delete("job-dismiss", {"id": job_id}).apply(run)
