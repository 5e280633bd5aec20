# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the guest's memory to a file: ``dump-guest-memory``. QEMU stops the guest for this, and resumes it afterwards.

QEMU writes in the background (``detach``), because a long command would block the monitor.
"""

from __future__ import annotations

import os
import stat
import time
from typing import Any

from ...qmp import EventTimeout
from ..errors import Conflict, HardwareError, InvalidOption, JobFailed, StillInProgress
from ..lazy import dataclass
from ..model.hardware import Hardware
from ..model.values import nearest, typed
from ..plan.plan import RETRY_SECONDS, Command, Plan, Run, Step, wire
from ..plan.progress import Progress

_MAGIC = {"elf": (b"\x7fELF",), "win-dmp": (b"PAGEDUMP", b"PAGEDU64")}
_KDUMP_MAGIC = (b"makedumpfile", b"KDUMP   ")
_HALTED = "save-vm"
_REASON_SECONDS = 2.0
"""Seconds in which the event with the reason of a failure follows the failure."""


@dataclass(frozen=True)
class DumpSpec:
    """What a task specifies of a dump. ``begin`` and ``length`` are guest-physical, in bytes, as a number or with K, M, G."""

    path: str | None = None
    protocol: str | None = None
    paging: bool = False
    format: str | None = None
    begin: str | None = None
    length: str | None = None
    force: bool = False

    @property
    def file(self) -> str | None:
        """The file that QEMU writes; None where it writes to a descriptor."""
        if self.path is None and self.protocol and self.protocol.startswith("file:"):
            return self.protocol[len("file:") :]
        return self.path


@dataclass(frozen=True)
class Write(Step):
    """``dump-guest-memory``, the wait until it is written and the guest runs again, and a check of the file.
    Raises JobFailed, StillInProgress."""

    arguments: dict[str, Any]
    file: str | None

    def commands(self) -> list[Command]:
        return [wire("dump-guest-memory", self.arguments)]

    def apply(self, run: Run) -> None:
        since = run.monitor.mark()
        deadline = time.monotonic() + run.timeout
        run.execute("dump-guest-memory", self.arguments)
        while (progress := run.read("query-dump"))["status"] == "active" or _halted(run):
            run.report(Progress("dump", progress["completed"], progress["total"]))
            left = deadline - time.monotonic()
            if left <= 0:
                raise StillInProgress(
                    f"The dump has not ended within {run.timeout:g} s: {progress['completed']} of {progress['total']} bytes are "
                    "written. It continues and cannot be stopped, and the guest is stopped until it ends. Use qmp_command with "
                    "query-dump to see its progress.",
                    dump=progress,
                )
            run.monitor.poll_events(min(RETRY_SECONDS, left))
        kind = self.arguments.get("format", "elf")
        if progress["status"] != "completed":
            raise JobFailed(f"The dump failed: {_reason(run, since)}. The incomplete file was not deleted.", dump=progress)
        run.results["dump"] = {**progress, "format": kind, "file": self.file, "size": _checked(self.file, kind)}


def plan(hardware: Hardware, spec: DumpSpec) -> Plan:
    """Write a dump. Each task does so, because the memory has changed since."""
    formats = hardware.cache.ask("query-dump-guest-memory-capability")["formats"]
    if spec.format is not None and spec.format not in formats:
        raise InvalidOption(
            f"format {spec.format!r} is not a dump format of this VM{nearest(spec.format, formats)}. Set one of "
            f"{', '.join(formats)}."
        )
    present = hardware.cache.ask("query-dump")
    if present["status"] == "active":
        raise Conflict(
            f"Another dump of this VM is being written ({present['completed']} of {present['total']} bytes). Run the task again "
            "when it is done."
        )
    if (spec.path is None) == (spec.protocol is None):
        raise InvalidOption("Set either path or protocol: where QEMU writes the dump.")
    _refuse_file(spec)
    values = {name: getattr(spec, name) for name in ("begin", "length")}
    protocol = spec.protocol if spec.path is None else f"file:{spec.path}"
    part = typed("dump", {name: value for name, value in values.items() if value is not None}, dict.fromkeys(values, "size"))
    _check_part(part)
    arguments = {
        "protocol": protocol,
        "paging": spec.paging,
        "detach": True,
        **({"format": spec.format} if spec.format is not None else {}),
        **part,
    }
    after = {"status": "completed", "format": spec.format or "elf", "file": spec.file}
    return Plan((Write(arguments, spec.file),), None, after, doubts=_doubts(hardware, spec, part))


def _check_part(part: dict[str, Any]) -> None:
    """Raise InvalidOption for impossible numbers. QEMU would silently use other numbers instead."""
    for name, value in part.items():
        least = int(name == "length")
        if not least <= value < 1 << 63:
            raise InvalidOption(f"{name} {value} is not valid: set a number of bytes from {least} to {(1 << 63) - 1}.")


def _doubts(hardware: Hardware, spec: DumpSpec, part: dict[str, Any]) -> tuple[HardwareError, ...]:
    """The errors with which QEMU will reject the dump, in QEMU's order."""
    kdump = (spec.format or "elf") != "elf"
    doubts = []
    if kdump and (spec.paging or part):
        named = "paging" if spec.paging else " and ".join(part)
        doubts.append(
            HardwareError(
                f"format {spec.format} always has all memory without paging, but the task sets {named}. Remove {named}, or set "
                "format: elf."
            )
        )
    if spec.path is None and not str(spec.protocol).startswith(("file:", "fd:")):
        doubts.append(
            HardwareError(
                f"protocol {spec.protocol!r} is not supported by QEMU. Set file: and a path, or fd: and the name of a descriptor."
            )
        )
    here = hardware.cache.monitor.passes_fds  # over a unix socket: QEMU is on this host
    if here and spec.file is not None and not os.path.isdir(os.path.dirname(spec.file)):
        doubts.append(HardwareError(f"QEMU cannot write {spec.file}: this host does not have the directory. Create it."))
    return tuple(doubts)


def _refuse_file(spec: DumpSpec) -> None:
    """Raise for a file that cannot or must not be written, if this host can see it."""
    if spec.file is None:
        return
    if not spec.file.startswith("/"):
        raise InvalidOption(f"path {spec.file!r} is relative to the working directory of QEMU. Set an absolute path.")
    mode = _mode(spec.file)
    if stat.S_ISFIFO(mode):
        raise InvalidOption(f"path {spec.file} is a named pipe: QEMU would stop until another process reads it. Set a file.")
    if stat.S_ISREG(mode) and not spec.force:
        raise Conflict(f"path {spec.file} exists, and the dump would overwrite it. Set another path, or set force: true.")


def _mode(path: str) -> int:
    """The mode of a file; 0 if this host does not see it."""
    try:
        return os.stat(path).st_mode
    except OSError:
        return 0


def _halted(run: Run) -> bool:
    return bool(run.read("query-status")["status"] == _HALTED)


def _reason(run: Run, since: int) -> str:
    """Why the dump failed, which only the event reports."""
    try:
        event = run.monitor.wait_event(lambda event: event.name == "DUMP_COMPLETED", since, _REASON_SECONDS)
    except EventTimeout:
        return "QEMU reports no reason"
    return str(event.data.get("error", "QEMU reports no reason"))


def _checked(path: str | None, kind: str) -> int | None:
    """The size of the written file in bytes; None if this host does not see it. Raises JobFailed for a file of another format."""
    if path is None or not stat.S_ISREG(_mode(path)):
        return None
    size = os.stat(path).st_size
    try:
        with open(path, "rb") as file:
            head = file.read(16)
    except OSError:  # only the user of QEMU can read it
        return size
    if not head.startswith(_MAGIC.get(kind, _KDUMP_MAGIC)):
        raise JobFailed(
            f"QEMU reports that the dump is complete, but {path} is not a file of the format {kind}. Check whether another "
            "process writes to it."
        )
    return size
