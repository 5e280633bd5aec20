# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The medium of a CD drive: put in, changed, taken out, through a tray that the guest may have locked."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Any, Mapping

from ...errors import Conflict, InvalidOption, UnplugPending
from ...host.image import probe
from ...model.hardware import PERIPHERAL, Hardware
from ...model.values import check_id
from ...plan.command_line import blockdev_argument, device_argument
from ...plan.plan import Command, Delete, Execute, Plan, Run, Step, wire
from ..current import current_arguments
from .backend import file_backend, node_arguments, same_file
from .spec import CannotOpen

_LOOK_SECONDS = 0.2


@dataclass(frozen=True)
class Medium:
    """What a task says of the medium in the drive *id*."""

    id: str
    file: str | None = None
    format: str | None = None
    force: bool = False


@dataclass(frozen=True)
class OpenTray(Step):
    """``blockdev-open-tray``, and the wait until the tray is open: a guest that has locked it is asked to let go."""

    drive: str
    force: bool

    def commands(self) -> list[Command]:
        return [wire("blockdev-open-tray", self._arguments())]

    def _arguments(self) -> dict[str, Any]:
        return {"id": self.drive, **({"force": True} if self.force else {})}

    def apply(self, run: Run) -> None:
        deadline = time.monotonic() + run.timeout
        run.execute("blockdev-open-tray", self._arguments())
        while not _entry(run.read("query-block"), self.drive).get("tray_open"):
            if time.monotonic() > deadline:
                raise UnplugPending(
                    f"The guest has locked the tray of {self.drive} and has not opened it within "
                    f"{run.timeout:g} s. Release it in the guest, or set force: true.",
                    device=self.drive,
                )
            run.monitor.poll_events(_LOOK_SECONDS)

    def undo(self) -> Step:
        return Execute("blockdev-close-tray", {"id": self.drive})


def plan_present(hardware: Hardware, medium: Medium) -> Plan:
    """Have the file in the drive, and the tray closed."""
    drive = _drive(hardware, medium.id)
    if medium.file is None:
        raise InvalidOption(f"Say with file what is to be in the drive {medium.id}.")
    backend = file_backend(medium.file)
    before = describe(hardware, medium.id)
    inserted: dict[str, Any] = drive.get("inserted") or {}
    same = bool(inserted) and same_file(str(inserted["file"]), medium.file) and medium.format in (None, inserted["drv"])
    forgotten = _forgotten(hardware, medium.id, inserted)
    steps = _deleted(forgotten)
    if same:
        node = hardware.nodes.get(inserted["node-name"])
        named = {node.name: f"{medium.id}-medium0"} if node and node.name.startswith("#") else {}
        launch = _launch_args(hardware, medium.id, node_arguments(hardware, node, named=named) if node else None)
        if not drive.get("tray_open"):
            return Plan(tuple(steps), before, before, launch_args=launch)
        steps.append(Execute("blockdev-close-tray", {"id": medium.id}))
        return Plan(tuple(steps), before, {**before, "tray_open": False, "locked": False}, launch_args=launch)
    kind = medium.format or "raw"
    image = probe(medium.file, hardware.cache.monitor.peer_pid)
    warnings = (
        (
            f"{medium.file} is a {image.format} image, and without format the guest gets the file as it is. Set format: "
            f"{image.format}, or format: raw if that is meant.",
        )
        if image.format and medium.format is None
        else ()
    )
    doubts = (CannotOpen(f"QEMU will not open {medium.file}: {image.problem}. Check file."),) if image.problem else ()
    taken = hardware.nodes.keys() - forgotten
    name = next(name for name in (f"{medium.id}-medium{number}" for number in range(len(taken) + 1)) if name not in taken)
    added = {"driver": kind, "node-name": name, "read-only": True, "file": backend}
    steps.append(Execute("blockdev-add", added, Delete("blockdev-del", {"node-name": name})))
    steps += _taken_out(hardware, medium, drive)
    steps.append(
        Execute(
            "blockdev-insert-medium", {"id": medium.id, "node-name": name}, Execute("blockdev-remove-medium", {"id": medium.id})
        )
    )
    steps.append(Execute("blockdev-close-tray", {"id": medium.id}))
    steps += _deleted(_own(hardware, medium.id, inserted))
    after = {"id": medium.id, "file": medium.file, "format": kind, "tray_open": False, "locked": False}
    return Plan(tuple(steps), before, after, (), _launch_args(hardware, medium.id, added), warnings, doubts)


def _launch_args(hardware: Hardware, drive_id: str, node: dict[str, Any] | None) -> tuple[str, ...]:
    """The drive with the medium in it, in the place of the drive's own -device."""
    device = hardware.device(drive_id)
    if device is None or node is None:
        return ()
    arguments = {**current_arguments(hardware, device), "drive": node["node-name"]}
    return ("-blockdev", blockdev_argument(node), "-device", device_argument(arguments, hardware.version))


def plan_absent(hardware: Hardware, medium: Medium) -> Plan:
    """Have nothing in the drive; its tray is open then."""
    drive = _drive(hardware, medium.id)
    before = describe(hardware, medium.id)
    inserted = drive.get("inserted") or {}
    steps = _deleted(_forgotten(hardware, medium.id, inserted))
    if not inserted:
        return Plan(tuple(steps), before, before)
    steps += [*_taken_out(hardware, medium, drive), *_deleted(_own(hardware, medium.id, inserted))]
    return Plan(tuple(steps), before, {"id": medium.id, "file": None, "format": None, "tray_open": True, "locked": False})


def describe(hardware: Hardware, drive_id: str) -> dict[str, Any]:
    """What is in the drive, None for nothing, and how its tray is."""
    drive = _drive(hardware, drive_id)
    inserted = drive.get("inserted") or {}
    return {
        "id": drive_id,
        "file": inserted.get("file"),
        "format": inserted.get("drv"),
        "tray_open": bool(drive.get("tray_open")),
        "locked": bool(drive.get("locked")),
    }


def _taken_out(hardware: Hardware, medium: Medium, drive: Mapping[str, Any]) -> list[Step]:
    inserted = drive.get("inserted")
    back = Execute("blockdev-insert-medium", {"id": medium.id, "node-name": inserted["node-name"]}) if inserted else None
    steps: list[Step] = [] if drive.get("tray_open") else [OpenTray(medium.id, medium.force)]
    return steps + ([Execute("blockdev-remove-medium", {"id": medium.id}, back)] if inserted else [])


def _own(hardware: Hardware, drive_id: str, inserted: Mapping[str, Any]) -> list[str]:
    """The node of what is in the drive, if it was added by a task: for a medium, or for the drive itself."""
    return [name for name in _named_for(hardware, drive_id) if name == inserted.get("node-name")]


def _forgotten(hardware: Hardware, drive_id: str, inserted: Mapping[str, Any]) -> list[str]:
    """Nodes for media that a run left which was killed before it had inserted or deleted them: read-only and used by none."""
    used = {inserted.get("node-name"), *(name for node in hardware.nodes.values() for name in node.children.values())}
    return [
        name
        for name in _named_for(hardware, drive_id)
        if name not in used and not hardware.nodes[name].users and hardware.nodes[name].read_only
    ]


def _named_for(hardware: Hardware, drive_id: str) -> list[str]:
    return [name for name in hardware.nodes if re.fullmatch(rf"{re.escape(drive_id)}(-medium\d+)?", name)]


def _deleted(nodes: list[str]) -> list[Step]:
    return [Delete("blockdev-del", {"node-name": name}) for name in nodes]


def _drive(hardware: Hardware, drive_id: str) -> dict[str, Any]:
    """The entry of ``query-block`` for the drive. Raises InvalidOption, Conflict."""
    check_id(drive_id)
    if drive_id not in hardware.ids:
        raise InvalidOption(f"The VM has no drive {drive_id!r}.")
    drive = _entry(hardware.block_devices, drive_id)
    if not drive.get("removable"):
        raise Conflict(f"{drive_id} has no medium that can be changed; a scsi-cd has.")
    return drive


def _entry(entries: list[dict[str, Any]], drive_id: str) -> dict[str, Any]:
    names = (drive_id, f"{PERIPHERAL}/{drive_id}")
    return next((entry for entry in entries if entry.get("qdev") in names), {})
