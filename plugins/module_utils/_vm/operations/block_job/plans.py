# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans for jobs on the block nodes of a disk: mirror, backup, commit, stream; and for snapshots, which need no job."""

from __future__ import annotations

import os
from typing import Any, Mapping

from ...errors import Conflict, HardwareError, InvalidOption, JobFailed
from ...host.image import probe
from ...model.block_graph import backing_chain, find_disk
from ...model.hardware import Hardware
from ...model.values import NODE_NAME_MAX, check_id
from ...plan.plan import Delete, Execute, Plan, Step
from .arguments import base_node, job_arguments, refuse_incomplete_copy, root_node, with_options
from .spec import ENDED, READY, STREAM, JobSpec, progress
from .steps import Cancel, Finish, Stop, await_ready

_COMMANDS = {"mirror": "blockdev-mirror", "backup": "blockdev-backup", "commit": "block-commit", "stream": "block-stream"}
_STATUS = {"started": "running", "ready": "ready", "completed": "concluded"}
"""The status of a job by the ``state`` of the task."""


def plan_present(hardware: Hardware, spec: JobSpec, until: str) -> Plan:
    """Start the job, unless it runs, and wait *until* it is ``started``, ``ready`` or ``completed``."""
    check_id(spec.id, longest=NODE_NAME_MAX)
    running = describe(hardware, spec.id)
    if running is None and spec.base is not None and spec.base not in hardware.nodes:
        raise InvalidOption(f"base {spec.base!r} is not a block node of the VM. Set the name of one.")
    if spec.type == "snapshot":
        return _plan_snapshot(hardware, spec)
    if running is None and spec.type is None:
        raise InvalidOption(f"Job {spec.id} does not exist, and no type is set. Set type and disk to start it.")
    if running is None and _is_done(hardware, spec):  # before anything is checked: then no second copy is needed
        return Plan(after={"id": spec.id, "type": spec.type, "status": "concluded"})
    if running:
        _refuse_other_job(hardware, spec, running)
    kind = str(spec.type or (running or {}).get("type"))
    if until == "completed" and kind == "mirror":
        refuse_incomplete_copy(hardware, spec, running)
    steps: list[Step] = []
    doubts: tuple[HardwareError, ...] = ()
    if running is None:
        doubts = _doubts(hardware, spec)
        undo = Stop(spec.id) if kind == STREAM else Cancel(spec.id)
        steps.append(Execute(_COMMANDS[kind], job_arguments(hardware, spec), undo))
    status = str(running["status"]) if running else ""
    if until == "completed" or status in ENDED:
        until = "completed"
        steps.append(_finish(hardware, spec, kind, status))
    elif until == "ready" and status not in (*READY, "pending"):
        steps.append(await_ready(spec.id))
    after = {"id": spec.id, "type": kind, "status": _STATUS[until]}
    warnings = _warnings(spec) if kind == "mirror" and until == "completed" else ()
    return Plan(tuple(steps), running, after, warnings=warnings, doubts=doubts)


def _refuse_other_job(hardware: Hardware, spec: JobSpec, running: Mapping[str, Any]) -> None:
    """Raise Conflict for a *running* job of another type or to another target."""
    if spec.type == running["type"] == "mirror" and spec.target in hardware.nodes:
        if f"job {spec.id}" not in hardware.nodes[spec.target].users and running["status"] not in ENDED:
            raise Conflict(
                f"The mirror {spec.id} has another target than {spec.target}. Use another id, or set state: cancelled first."
            )
    if spec.type not in (None, running["type"]):
        raise Conflict(f"The job {spec.id} is a {running['type']}, not a {spec.type}. Use another id.")


def _finish(hardware: Hardware, spec: JobSpec, kind: str, status: str) -> Finish:
    """Wait for the end of a job of this *kind*, which has this *status* now, "" if it does not exist yet."""
    ended, pending = status in ENDED, status == "pending"
    becomes_ready = kind == "mirror" or (kind == "commit" and not {"top", "top-node"} & set(spec.options))
    vanishes = kind == STREAM and not ended
    finalizes = pending or vanishes or (spec.options.get("auto-finalize") is False and not ended)
    flush = _flush(hardware, spec) if vanishes else None
    return Finish(spec.id, becomes_ready and not (ended or pending), finalizes, vanishes, flush)


def _flush(hardware: Hardware, spec: JobSpec) -> Execute | None:
    """Flush the disk before QEMU releases the image that a stream has read: QEMU does not do so, and if QEMU was killed then, the
    copied data would be in no image. No QMP command flushes. None for a node without a device."""
    disks = [device for device in hardware.devices if "drive" in device.types]
    if spec.disk is not None:
        disks = [device for device in disks if device.id == spec.disk] or disks
    for device in disks:
        disk = find_disk(hardware, device.id) if device.id else None
        names = (device.id, *(disk.chain if disk else ()), *(disk.users if disk else ()))
        if disk and disk.block_info.get("qdev") and (spec.disk in names or f"job {spec.id}" in names):
            qdev = disk.block_info["qdev"]
            return Execute("human-monitor-command", {"command-line": f'qemu-io -d {qdev} "flush"'})
    return None


def _warnings(spec: JobSpec) -> tuple[str, ...]:
    return (
        f"The disk {spec.disk or ''} uses {spec.target or 'the target'} now. Its old block node remains in the VM. Delete it "
        "(qmp_command with blockdev-del), so that no later task takes it for the disk.",
    )


def plan_cancelled(hardware: Hardware, spec: JobSpec) -> Plan:
    running = describe(hardware, spec.id)
    if running is None:
        return Plan()
    dismiss = Delete("job-dismiss", {"id": spec.id})
    return Plan((dismiss,) if running["status"] in ENDED else (Stop(spec.id), dismiss), running, None)


def describe(hardware: Hardware, job_id: str) -> dict[str, Any] | None:
    return next((job for job in describe_all(hardware) if job["id"] == job_id), None)


def describe_all(hardware: Hardware) -> list[dict[str, Any]]:
    return [
        {"id": job["id"], "type": job["type"], "status": job["status"], "progress": progress(job)}
        for job in hardware.cache.ask("query-jobs")
    ]


def _doubts(hardware: Hardware, spec: JobSpec) -> tuple[HardwareError, ...]:
    """The errors with which QEMU will reject the job."""
    images = backing_chain(hardware, root_node(hardware, spec))
    if spec.base is not None and spec.base not in images:
        return (JobFailed(f"base {spec.base} is not an image of {spec.disk}. Set one of: {', '.join(images)}."),)
    return ()


def _is_done(hardware: Hardware, spec: JobSpec) -> bool:
    """Whether the VM is as it would be after the job. For a backup this is never known, so each task makes one."""
    if spec.type == "backup":
        return False
    root = root_node(hardware, spec)
    images = backing_chain(hardware, root)
    if spec.type == "mirror":
        return images[:1] == [spec.target]
    base = base_node(hardware, spec, root)
    if base is None:
        return len(images) == 1
    return base in (images[:1] if spec.type == "commit" else images[1:2])


def _plan_snapshot(hardware: Hardware, spec: JobSpec) -> Plan:
    """Put a new image on top of the disk, which takes all writes from then on. Its node has the id of the job."""
    root = root_node(hardware, spec)
    after = {"id": spec.id, "type": "snapshot", "status": "concluded"}
    if spec.id in hardware.nodes:
        if spec.id not in backing_chain(hardware, root):
            raise Conflict(f"The block node {spec.id} exists and does not belong to {spec.disk}. Use another id.")
        return Plan(after=after)
    if spec.file is None or not spec.file.startswith("/"):
        raise InvalidOption("A snapshot needs file: set the absolute path of the new image, which QEMU creates.")
    if os.path.exists(spec.file) and spec.options.get("mode") != "existing":
        raise InvalidOption(
            f"file {spec.file} exists and would be overwritten. Set another path. To use an overlay that you have created, set "
            "options: {mode: existing}."
        )
    problem = probe(os.path.dirname(spec.file), hardware.cache.monitor.peer_pid).problem
    missing = JobFailed(f"QEMU cannot create {spec.file}: {problem}. Check file.")
    doubts = (missing,) if problem.startswith("No such") else ()
    arguments = {"node-name": root.name, "snapshot-file": spec.file, "format": spec.format, "snapshot-node-name": spec.id}
    step = Execute("blockdev-snapshot-sync", with_options(spec, arguments))
    return Plan((step,), None, after, doubts=doubts)
