# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The medium of a CD drive: inserted, changed and ejected, through a tray that the guest may have locked."""

from __future__ import annotations

import re
import time
from typing import Any, Mapping

from ...errors import Conflict, InvalidOption, UnplugPending
from ...host.image import probe
from ...lazy import dataclass
from ...model.hardware import PERIPHERAL, Hardware
from ...model.values import check_id
from ...plan.command_line import blockdev_argument, device_argument
from ...plan.plan import Command, Delete, Execute, Plan, Run, Step, wire
from ..current import current_arguments
from .backend import file_backend, node_arguments, same_file
from .checks import CannotOpen

_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class MediumSpec:
    """The medium of the drive *id* as a task specifies it; None is not set. *force* opens a locked tray."""

    id: str
    file: str | None = None
    format: str | None = None
    force: bool = False


@dataclass(frozen=True)
class OpenTray(Step):
    """``blockdev-open-tray``, and the wait until the tray is open: a guest that has locked the tray is asked to release it."""

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
                    f"The guest has locked the tray of {self.drive} and has not opened it within {run.timeout:g} s. Release it "
                    "in the guest, or set force: true.",
                    device=self.drive,
                )
            run.monitor.poll_events(_POLL_SECONDS)

    def undo(self) -> Step:
        return Execute("blockdev-close-tray", {"id": self.drive})


def plan_present(hardware: Hardware, spec: MediumSpec) -> Plan:
    """Have the file in the drive, and the tray closed."""
    drive = _drive(hardware, spec.id)
    if spec.file is None:
        raise InvalidOption(f"file is not set, so the drive {spec.id} would not get a medium. Set file, or state: absent.")
    pid = hardware.cache.monitor.peer_pid
    backend = file_backend(spec.file, pid)
    before = describe(hardware, spec.id)
    inserted: dict[str, Any] = drive.get("inserted") or {}
    is_inserted = bool(inserted) and same_file(str(inserted["file"]), spec.file) and spec.format in (None, inserted["drv"])
    leftover = _leftover_nodes(hardware, spec.id, inserted)
    steps = _deletions(leftover)
    if is_inserted:
        node = hardware.nodes.get(inserted["node-name"])
        named = {node.name: f"{spec.id}-medium0"} if node and node.name.startswith("#") else {}
        launch = _launch_args(hardware, spec.id, node_arguments(hardware, node, named=named) if node else None)
        if not drive.get("tray_open"):
            return Plan(tuple(steps), before, before, launch_args=launch)
        steps.append(Execute("blockdev-close-tray", {"id": spec.id}))
        return Plan(tuple(steps), before, {**before, "tray_open": False, "locked": False}, launch_args=launch)
    image = probe(spec.file, pid)
    image_format = spec.format or "raw"
    warnings: tuple[str, ...] = ()
    if image.format and spec.format is None:
        warnings = (
            f"{spec.file} is a {image.format} image. Because format is not set, the guest gets the file as a raw medium, with "
            f"the header of the image in it. Set format: {image.format}, or format: raw if that is intended.",
        )
    doubts = (CannotOpen(f"QEMU will not open {spec.file}: {image.problem}. Check file."),) if image.problem else ()
    used = hardware.nodes.keys() - leftover
    name = next(name for name in (f"{spec.id}-medium{number}" for number in range(len(used) + 1)) if name not in used)
    added = {"driver": image_format, "node-name": name, "read-only": True, "file": backend}
    steps.append(Execute("blockdev-add", added, Delete("blockdev-del", {"node-name": name})))
    steps += _ejection(spec, drive)
    insert = {"id": spec.id, "node-name": name}
    steps.append(Execute("blockdev-insert-medium", insert, Execute("blockdev-remove-medium", {"id": spec.id})))
    steps.append(Execute("blockdev-close-tray", {"id": spec.id}))
    steps += _deletions(_own_nodes(hardware, spec.id, inserted))
    after = {"id": spec.id, "file": spec.file, "format": image_format, "tray_open": False, "locked": False}
    return Plan(tuple(steps), before, after, (), _launch_args(hardware, spec.id, added), warnings, doubts)


def plan_absent(hardware: Hardware, spec: MediumSpec) -> Plan:
    """Have no medium in the drive; its tray is open then."""
    drive = _drive(hardware, spec.id)
    before = describe(hardware, spec.id)
    inserted = drive.get("inserted") or {}
    steps = _deletions(_leftover_nodes(hardware, spec.id, inserted))
    if not inserted:
        return Plan(tuple(steps), before, before)
    steps += [*_ejection(spec, drive), *_deletions(_own_nodes(hardware, spec.id, inserted))]
    return Plan(tuple(steps), before, {"id": spec.id, "file": None, "format": None, "tray_open": True, "locked": False})


def describe(hardware: Hardware, drive_id: str) -> dict[str, Any]:
    """The medium in the drive, its file None if there is none, and the state of the tray."""
    drive = _drive(hardware, drive_id)
    inserted = drive.get("inserted") or {}
    return {
        "id": drive_id,
        "file": inserted.get("file"),
        "format": inserted.get("drv"),
        "tray_open": bool(drive.get("tray_open")),
        "locked": bool(drive.get("locked")),
    }


def _launch_args(hardware: Hardware, drive_id: str, node: dict[str, Any] | None) -> tuple[str, ...]:
    """The drive with the medium in it, to replace the drive's own -device."""
    device = hardware.device(drive_id)
    if device is None or node is None:
        return ()
    arguments = {**current_arguments(hardware, device), "drive": node["node-name"]}
    return ("-blockdev", blockdev_argument(node), "-device", device_argument(arguments, hardware.version))


def _ejection(spec: MediumSpec, drive: Mapping[str, Any]) -> list[Step]:
    """Open the tray, and remove the medium that is in it."""
    inserted = drive.get("inserted")
    steps: list[Step] = [] if drive.get("tray_open") else [OpenTray(spec.id, spec.force)]
    if inserted:
        undo = Execute("blockdev-insert-medium", {"id": spec.id, "node-name": inserted["node-name"]})
        steps.append(Execute("blockdev-remove-medium", {"id": spec.id}, undo))
    return steps


def _own_nodes(hardware: Hardware, drive_id: str, inserted: Mapping[str, Any]) -> list[str]:
    """The node of the inserted medium, if a task has added it: for a medium, or for the drive itself."""
    return [name for name in _nodes_for(hardware, drive_id) if name == inserted.get("node-name")]


def _leftover_nodes(hardware: Hardware, drive_id: str, inserted: Mapping[str, Any]) -> list[str]:
    """Nodes of media that a killed run has neither inserted nor deleted: they are read-only and nothing uses them."""
    used = {inserted.get("node-name"), *(name for node in hardware.nodes.values() for name in node.children.values())}
    return [
        name
        for name in _nodes_for(hardware, drive_id)
        if name not in used and not hardware.nodes[name].users and hardware.nodes[name].read_only
    ]


def _nodes_for(hardware: Hardware, drive_id: str) -> list[str]:
    return [name for name in hardware.nodes if re.fullmatch(rf"{re.escape(drive_id)}(-medium\d+)?", name)]


def _deletions(nodes: list[str]) -> list[Step]:
    return [Delete("blockdev-del", {"node-name": name}) for name in nodes]


def _drive(hardware: Hardware, drive_id: str) -> dict[str, Any]:
    """The entry of ``query-block`` for the drive. Raises InvalidOption, Conflict."""
    check_id(drive_id)
    if drive_id not in hardware.ids:
        raise InvalidOption(f"The VM has no drive {drive_id!r}. Set id to that of a drive, or add one (qmp_blockdev).")
    drive = _entry(hardware.block_devices, drive_id)
    if not drive.get("removable"):
        raise Conflict(f"The medium of {drive_id} cannot be changed. Set id to that of a CD drive, such as a scsi-cd.")
    return drive


def _entry(entries: list[dict[str, Any]], drive_id: str) -> dict[str, Any]:
    names = (drive_id, f"{PERIPHERAL}/{drive_id}")
    return next((entry for entry in entries if entry.get("qdev") in names), {})
