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

from ...qmp import CommandError
from ..errors import Conflict, HardwareError, InvalidOption, JobFailed, StillInProgress
from ..host.image import probe
from ..model.block_graph import Stack, chain, find
from ..model.hardware import Hardware, Node
from ..model.values import NODE_NAME_MAX, check_id
from ..plan.plan import Await, Command, Delete, Execute, Plan, Run, Step, wire

_COMMANDS = {"mirror": "blockdev-mirror", "backup": "blockdev-backup", "commit": "block-commit", "stream": "block-stream"}
_SETTLED = ("ready", "standby")  # a mirror that is in step with its source, and waits to be completed
_ENDED = ("concluded", "null")
_VANISHES = "stream"
"""A stream that has concluded and is kept makes QEMU before 11.1 crash at the next query of block nodes. So it is finalized by
us, and dismissed by QEMU itself."""
_COPIES = ("full", "top")
"""What a mirror copies so that its target can take the disk's place; with any other ``sync`` the target has only parts."""
_ALLOCATED = 1 << 20
"""Bytes that a source must have at least for the work of a mirror to be compared with them."""


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
    when it waits for that, as one that *finalizes* will; dismiss it. Raises JobFailed, StillInProgress."""

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
        told = finalized = False
        while True:
            job = _find(run, self.job)
            if job is None and self.vanishes:
                _refuse_failed(run, self.job, since, finalized)
                return
            if job is None or job["status"] in _ENDED:
                _conclude(run, self.job, job)
                return
            run.results["progress"] = progress(job)
            if job["status"] in _SETTLED and not told:
                run.execute("job-complete", {"id": self.job})
                told = True
            elif job["status"] == "pending" and not finalized:
                if self.flush:
                    self.flush.apply(run)
                run.execute("job-finalize", {"id": self.job})
                finalized = True
            left = deadline - time.monotonic()
            if left <= 0:
                raise StillInProgress(
                    f"Job {self.job} is {job['status']} after {run.timeout:g} s and goes on ({_words(job)}). Run this "
                    "again to wait on, or set state: cancelled.",
                    job=progress(job),
                )
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
        gone = Await(
            lambda run: (_find(run, self.job) or {"status": "null"})["status"] in _ENDED,
            lambda run: StillInProgress(f"Job {self.job} was told to stop and has not within {run.timeout:g} s."),
        )
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
    if running is None and job.base is not None and job.base not in hardware.nodes:
        raise InvalidOption(f"The VM has no block node {job.base!r}.")
    if job.type is None:
        if running is None:
            raise InvalidOption(f"There is no job {job.id}: say with type and disk what it is to be.")
    elif job.type == "snapshot":
        return _plan_snapshot(hardware, job)
    elif running is None and _is_done(hardware, job):  # before it is refused: what is done needs no second copy
        return Plan(after={"id": job.id, "type": job.type, "status": "concluded"})
    if running and job.type == running["type"] == "mirror" and job.target in hardware.nodes:
        workers = hardware.nodes[job.target].users
        if f"job {job.id}" not in workers and running["status"] not in _ENDED:
            raise Conflict(
                f"The mirror {job.id} has another target than {job.target}. Take another id, or set state: cancelled first."
            )
    if running and job.type not in (None, running["type"]):
        raise Conflict(f"The job {job.id} is a {running['type']}, not a {job.type}. Take another id.")
    steps: list[Step] = []
    doubts = _doubts(hardware, job) if running is None else ()
    if until == "completed" and "mirror" in (job.type, (running or {}).get("type")):
        _refuse_partial_copy(hardware, job, running)
    if running is None:
        steps.append(
            Execute(
                _COMMANDS[str(job.type)], _arguments(hardware, job), Stop(job.id) if job.type == _VANISHES else Cancel(job.id)
            )
        )
    ended = running is not None and running["status"] in _ENDED
    if until == "completed" or ended:
        until = "completed"
        pending = running is not None and running["status"] == "pending"
        completes = _becomes_ready(job, running) and not (ended or pending)
        vanishes = (job.type or (running or {}).get("type")) == _VANISHES and not ended
        finalizes = pending or vanishes or (job.options.get("auto-finalize") is False and not ended)
        steps.append(Finish(job.id, completes, finalizes, vanishes, _flush(hardware, job) if vanishes else None))
    elif until == "ready" and (running is None or running["status"] not in (*_SETTLED, "pending")):
        steps.append(_ready(job.id))
    status = {"started": "running", "ready": "ready", "completed": "concluded"}[until]
    kind = job.type or (running or {}).get("type")
    warnings: tuple[str, ...] = ()
    if kind == "mirror" and until == "completed":
        warnings = (
            f"The disk {job.disk or ''} is on {job.target or 'the target'} now. Its old node stays in the VM: delete it "
            "(qmp_command with blockdev-del), so that no later task takes it for the disk.",
        )
    return Plan(tuple(steps), running, {"id": job.id, "type": kind, "status": status}, warnings=warnings, doubts=doubts)


def _flush(hardware: Hardware, job: Job) -> Execute | None:
    """Have the disk flushed before the image that a stream has read from is released: QEMU does not do that, and if it died then,
    what was copied would be in no image. No command of QMP flushes; None for a node without a device."""
    disks = [device for device in hardware.devices if "drive" in device.types]
    if job.disk is not None:
        disks = [device for device in disks if device.id == job.disk] or disks
    for device in disks:
        stack = find(hardware, device.id) if device.id else None
        names = (device.id, *(stack.images if stack else ()), *(stack.users if stack else ()))
        if stack and stack.entry.get("qdev") and (job.disk in names or f"job {job.id}" in names):
            qdev = stack.entry["qdev"]
            return Execute("human-monitor-command", {"command-line": f'qemu-io -d {qdev} "flush"'})
    return None


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
    job = next((one for one in hardware.cache.ask("query-jobs") if one["id"] == job_id), None)
    return {"id": job["id"], "type": job["type"], "status": job["status"], "progress": progress(job)} if job else None


def describe_all(hardware: Hardware) -> list[dict[str, Any]]:
    found = (describe(hardware, job["id"]) for job in hardware.cache.ask("query-jobs"))
    return [job for job in found if job]


def progress(job: Mapping[str, Any]) -> dict[str, int]:
    """How far a job is, in units of its own: bytes for all of these."""
    return {"current": job.get("current-progress", 0), "total": job.get("total-progress", 0)}


def _words(job: Mapping[str, Any]) -> str:
    return "{current} of {total} bytes".format(**progress(job))


def _disk(hardware: Hardware, job: Job) -> tuple[Stack, Node]:
    """The disk that the job works on, which may be named by its own id or by a node, and the node on top of it."""
    if job.disk is None:
        raise InvalidOption(f"Job {job.id} needs disk: the id of a disk, or the name of a block node.")
    stack = find(hardware, job.disk)
    if stack.top is None:
        raise InvalidOption(f"The VM has no disk or block node {job.disk!r}.")
    return stack, stack.top


def _root(hardware: Hardware, job: Job) -> Node:
    """The node on top of what the job works on."""
    return _disk(hardware, job)[1]


def _arguments(hardware: Hardware, job: Job) -> dict[str, Any]:
    root = _root(hardware, job)
    arguments: dict[str, Any] = {"job-id": job.id, "device": root.name, "auto-dismiss": job.type == _VANISHES}
    if job.type == _VANISHES:
        arguments["auto-finalize"] = False
    if job.type in ("mirror", "backup"):
        if job.target is None:
            raise InvalidOption(f"A {job.type} needs target: the name of a block node. qmp_blockdev with attach: false adds one.")
        target = hardware.nodes.get(job.target)
        if target is None:
            raise InvalidOption(f"The VM has no block node {job.target!r}; add it with qmp_blockdev and attach: false.")
        _refuse_target(hardware, job, target, root)
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


def _refuse_target(hardware: Hardware, job: Job, target: Node, root: Node) -> None:
    """Raise for a target that is in use or cannot be written: QEMU would overwrite it, or refuse."""
    if target.name in chain(hardware, root):
        raise InvalidOption(f"The target {target.name} belongs to the disk {job.disk} itself. Name another block node.")
    parents = [f"the node {node.name}" for node in hardware.nodes.values() if target.name in node.children.values()]
    users = sorted({*target.users, *parents})
    if users:
        raise Conflict(
            f"The target {target.name} is used by {', '.join(users)}, and would be overwritten. Name a block node "
            "that nothing "
            "uses.",
            users=users,
        )
    if target.read_only:
        raise InvalidOption(f"The target {target.name} is read-only. Add it without read_only: true.")


def _refuse_partial_copy(hardware: Hardware, job: Job, running: Mapping[str, Any] | None) -> None:
    """Raise where the target of a mirror would take the disk's place without all that the disk has."""
    if job.type == "mirror" and job.sync not in _COPIES:
        raise InvalidOption(
            f"With sync: {job.sync} the mirror {job.id} does not copy all of the disk, so its target cannot "
            "take the disk's "
            "place. Set sync: full, or, to have the copy only kept, state: ready or state: started."
        )
    if job.type == "mirror" and job.sync == "top":
        source, target = _images(hardware, _root(hardware, job)), _images(hardware, hardware.nodes.get(job.target or ""))
        if target and source[1:] != target[1:]:
            raise InvalidOption(
                f"With sync: top the mirror {job.id} copies only the topmost image, and the target "
                f"{job.target} is not an "
                "overlay of the images below it. Set sync: full, or make the target with the same backing file."
            )
    source_node = _mirrored(hardware, job.id) if running else None
    if running and source_node and running["type"] == "mirror":
        allocated = int((source_node.details.get("image") or {}).get("actual-size", 0))
        copied = int(running["progress"]["total"])
        if allocated >= _ALLOCATED and copied < allocated // 2:
            raise Conflict(
                f"The mirror {job.id} has copied {copied} bytes, and the disk holds about {allocated}: it was "
                "started to copy "
                "only parts (as with sync: none), so its target cannot take the disk's place. Set state: cancelled.",
                copied=copied,
                allocated=allocated,
            )


def _images(hardware: Hardware, node: Node | None) -> list[str]:
    """The files of an image and of all below it."""
    return [hardware.nodes[name].filename for name in chain(hardware, node)]


def _mirrored(hardware: Hardware, job_id: str) -> Node | None:
    """The node that a running mirror copies: that below the filter which it has put on top of it."""
    for node in hardware.nodes.values():
        if node.driver == "mirror_top":
            names = [name for name in node.children.values() if name in hardware.nodes]
            if any(f"job {job_id}" in hardware.nodes[name].users for name in (node.name, *names)):
                images = chain(hardware, node)
                return hardware.nodes[images[0]] if images else None
    return None


def _doubts(hardware: Hardware, job: Job) -> tuple[HardwareError, ...]:
    """Why QEMU will not begin the job, as far as its graph tells."""
    root = _root(hardware, job)
    images = chain(hardware, root)
    if job.base is not None and job.base not in images:
        return (JobFailed(f"{job.base} is not among the images of {job.disk}: {', '.join(images)}. Set base to one of them."),)
    if job.speed is not None and job.speed < 0:
        return (JobFailed(f"speed {job.speed} is less than nothing. Set bytes per second, or 0 for no limit."),)
    return ()


def _is_done(hardware: Hardware, job: Job) -> bool:
    """Whether the VM has what the job would bring; of a backup that cannot be told, so it is made each time."""
    if job.type == "backup":
        return False
    root = _root(hardware, job)
    images = chain(hardware, root)
    if job.type == "mirror":
        return images[:1] == [job.target]
    base = _base(hardware, job, root)
    if base is None:
        return len(images) == 1
    return base in (images[:1] if job.type == "commit" else images[1:2])


def _base(hardware: Hardware, job: Job, root: Node) -> str | None:
    """The node to end at; of a commit by default the disk's own, so that what is below it, such as a template, stays as it is.
    Raises InvalidOption where that is not known."""
    if job.base is not None or job.type != "commit":
        return job.base
    stack, _top = _disk(hardware, job)
    if stack.device is None:  # a node; the disk that it belongs to tells which image is its own
        stacks = (find(hardware, device.id) for device in hardware.devices if device.id and "drive" in device.properties)
        stack = next((one for one in stacks if root.name in one.images), stack)
    own = stack.own.name if stack.own else root.name
    images = chain(hardware, root)
    if not stack.certain or own not in images:
        raise InvalidOption(
            f"QEMU does not tell which image the disk {stack.id} had before its first snapshot, and what is "
            "below that "
            f"one must stay as it is. Set base to the one to commit to: {', '.join(images[1:]) or root.name}."
        )
    return own


def _plan_snapshot(hardware: Hardware, job: Job) -> Plan:
    """A new image on top of the disk, which takes all writes from then on; its node has the id of the job."""
    root = _root(hardware, job)
    present = hardware.nodes.get(job.id)
    if present:
        if job.id not in chain(hardware, root):
            raise Conflict(f"There is a block node {job.id}, which does not belong to {job.disk}. Take another id.")
        return Plan(after={"id": job.id, "type": "snapshot", "status": "concluded"})
    if job.file is None or not job.file.startswith("/"):
        raise InvalidOption("A snapshot needs file: the whole path of the new image, which QEMU makes.")
    if os.path.exists(job.file) and job.options.get("mode") != "existing":
        raise InvalidOption(
            f"{job.file} exists and would be overwritten. Name another file; or, for an overlay that you have "
            "made, set options: {mode: existing}."
        )
    directory = probe(os.path.dirname(job.file), hardware.cache.monitor.peer_pid).problem
    doubts = (JobFailed(f"QEMU will not make {job.file}: {directory}. Check file."),) if directory.startswith("No such") else ()
    arguments = {"node-name": root.name, "snapshot-file": job.file, "format": job.format, "snapshot-node-name": job.id}
    step = Execute("blockdev-snapshot-sync", _with_options(job, arguments))
    return Plan((step,), None, {"id": job.id, "type": "snapshot", "status": "concluded"}, doubts=doubts)


def _ready(job_id: str) -> Await:
    def look(run: Run) -> bool:
        job = _find(run, job_id)
        if job is None or job["status"] in _ENDED:
            _conclude(run, job_id, job)
            return True
        run.results["progress"] = progress(job)
        return bool(job["status"] in (*_SETTLED, "pending"))

    return Await(
        look,
        lambda run: StillInProgress(f"Job {job_id} is not ready after {run.timeout:g} s and goes on. Run this again to wait on."),
    )


def _find(run: Run, job_id: str) -> Any:
    return next((job for job in run.read("query-jobs") if job["id"] == job_id), None)


def _refuse_failed(run: Run, job_id: str, since: int, finalized: bool) -> None:
    """Raise JobFailed unless a job that QEMU has dismissed itself has ended well: only its event tells of an error."""
    ends = [
        event.data
        for event in run.monitor.events(since=since)
        if event.name == "BLOCK_JOB_COMPLETED" and event.data.get("device") == job_id
    ]
    error = next((one["error"] for one in ends if "error" in one), None)
    if error or not (finalized or ends):
        raise JobFailed(
            f"Job {job_id} failed: {error}."
            if error
            else f"Job {job_id} is gone and nobody knows how it ended; look at the disk."
        )


def _conclude(run: Run, job_id: str, job: Any) -> None:
    """Take leave of a job that has ended. Raises JobFailed if it has not ended well, or nobody knows."""
    error: HardwareError | None = None
    if job is None:
        error = JobFailed(f"Job {job_id} is gone and nobody knows how it ended; look at the disk.")
    elif "error" in job:
        error = JobFailed(f"Job {job_id} failed: {job['error']}.")
    if job is not None:
        run.results["progress"] = progress(job)
        try:
            _dismiss(run, job_id)
        except CommandError as refusal:  # what the job has done is done, and is not rolled back
            error = error or StillInProgress(
                f"Job {job_id} is done, but QEMU refused to dismiss it: {refusal.desc}. Run this again to dismiss it.",
                job=progress(job),
            )
    if error:
        raise error


def _dismiss(run: Run, job_id: str) -> None:
    Delete("job-dismiss", {"id": job_id}).apply(run)
