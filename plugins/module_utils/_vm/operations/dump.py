# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guest's memory into a file: ``dump-guest-memory``. QEMU halts the guest for it, and lets it go on afterwards.

It is told to write in the background (``detach``), for a command that lasts would keep the monitor from all else.
"""

from __future__ import annotations

import os
import stat
import time
from dataclasses import dataclass
from typing import Any

from ...qmp import EventTimeout
from ..errors import Conflict, HardwareError, InvalidOption, JobFailed, StillInProgress
from ..model.hardware import Hardware
from ..model.values import nearest, typed
from ..plan.plan import RETRY_SECONDS, Command, Plan, Run, Step, wire

_MAGIC = {"elf": (b"\x7fELF",), "win-dmp": (b"PAGEDUMP", b"PAGEDU64")}
_KDUMP_MAGIC = (b"makedumpfile", b"KDUMP   ")
_HALTED = "save-vm"
_REASON_SECONDS = 2.0
"""How long the reason of a failure may come after the failure itself."""


@dataclass(frozen=True)
class Dump:
    """What a task says of a dump. ``begin`` and ``length`` are guest-physical, in bytes, as a number or with K, M, G."""

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
    """``dump-guest-memory``, the wait until all is written and the guest goes on, and a look at the file.
    Raises JobFailed, StillInProgress."""

    arguments: dict[str, Any]
    file: str | None

    def commands(self) -> list[Command]:
        return [wire("dump-guest-memory", self.arguments)]

    def apply(self, run: Run) -> None:
        since = run.monitor.mark()
        deadline = time.monotonic() + run.timeout
        run.execute("dump-guest-memory", self.arguments)
        while (now := run.read("query-dump"))["status"] == "active" or _halted(run):
            left = deadline - time.monotonic()
            if left <= 0:
                raise StillInProgress(
                    f"The dump goes on: {now['completed']} of {now['total']} bytes are written after {run.timeout:g} s. "
                    "QEMU cannot be told to stop, and the guest stands still until it is done; query-dump tells.",
                    dump=now,
                )
            run.monitor.poll_events(min(RETRY_SECONDS, left))
        kind = self.arguments.get("format", "elf")
        if now["status"] != "completed":
            raise JobFailed(f"The dump failed: {_reason(run, since)}. What there is of the file is left.", dump=now)
        run.results["dump"] = {**now, "format": kind, "file": self.file, "size": _checked(self.file, kind)}


def plan(hardware: Hardware, dump: Dump) -> Plan:
    """Write a dump; each time, for the memory is another each time."""
    formats = hardware.cache.ask("query-dump-guest-memory-capability")["formats"]
    if dump.format is not None and dump.format not in formats:
        raise InvalidOption(
            f"This VM has no dump format {dump.format!r}{nearest(dump.format, formats)}. It has {', '.join(formats)}."
        )
    now = hardware.cache.ask("query-dump")
    if now["status"] == "active":
        raise Conflict(f"A dump of this VM is being written ({now['completed']} of {now['total']} bytes). Wait until it is done.")
    if (dump.path is None) == (dump.protocol is None):
        raise InvalidOption("Set path or protocol, and not both: it says where the dump is to be written.")
    _refuse_file(dump)
    stated = {name: getattr(dump, name) for name in ("begin", "length") if getattr(dump, name) is not None}
    protocol = dump.protocol if dump.path is None else f"file:{dump.path}"
    part = typed("dump", stated, {"begin": "size", "length": "size"})
    _check_part(part)
    arguments = {
        "protocol": protocol,
        "paging": dump.paging,
        "detach": True,
        **({"format": dump.format} if dump.format is not None else {}),
        **part,
    }
    after = {"status": "completed", "format": dump.format or "elf", "file": dump.file}
    return Plan((Write(arguments, dump.file),), None, after, doubts=_doubts(hardware, dump, part))


def _check_part(part: dict[str, Any]) -> None:
    """Raise InvalidOption for a part of the memory that there cannot be. QEMU takes other numbers in the place of these."""
    for name, value in part.items():
        least = int(name == "length")
        if not least <= value < 1 << 63:
            raise InvalidOption(f"{name} is {value}. It is a number of bytes from {least} to {(1 << 63) - 1}.")


def _doubts(hardware: Hardware, dump: Dump, part: dict[str, Any]) -> tuple[HardwareError, ...]:
    """What QEMU will refuse, in its order."""
    kdump = (dump.format or "elf") != "elf"
    doubts = []
    if kdump and (dump.paging or part):
        named = "paging" if dump.paging else " and ".join(part)
        doubts.append(
            HardwareError(
                f"A dump of the format {dump.format} is of all memory and without paging. Leave {named} out, "
                "or take the format elf."
            )
        )
    if dump.path is None and not str(dump.protocol).startswith(("file:", "fd:")):
        doubts.append(
            HardwareError(
                f"The protocol {dump.protocol!r} is none that QEMU has. Write file: and a path, or fd: and "
                "the name of a descriptor."
            )
        )
    here = hardware.cache.monitor.passes_fds  # over a unix socket: QEMU is on this host
    if here and dump.file is not None and not os.path.isdir(os.path.dirname(dump.file)):
        doubts.append(HardwareError(f"QEMU cannot write {dump.file}: its folder does not exist, as far as it is seen from here."))
    return tuple(doubts)


def _refuse_file(dump: Dump) -> None:
    """Raise where the file cannot or should not be written, as far as it is seen from here."""
    if dump.file is None:
        return
    if not dump.file.startswith("/"):
        raise InvalidOption(f"The path {dump.file!r} starts in a folder that only QEMU knows; give the whole path.")
    mode = _mode(dump.file)
    if stat.S_ISFIFO(mode):
        raise InvalidOption(f"{dump.file} is a named pipe: QEMU would stand still until somebody reads it. Give a file.")
    if stat.S_ISREG(mode) and not dump.force:
        raise Conflict(f"{dump.file} exists, and the dump would overwrite it. Give another path, or set force: true.")


def _mode(path: str) -> int:
    """The mode of a file, 0 where none is seen from here."""
    try:
        return os.stat(path).st_mode
    except OSError:
        return 0


def _halted(run: Run) -> bool:
    return bool(run.read("query-status")["status"] == _HALTED)


def _reason(run: Run, since: int) -> str:
    """Why the dump failed, which only the event tells."""
    try:
        event = run.monitor.wait_event(lambda event: event.name == "DUMP_COMPLETED", since, _REASON_SECONDS)
    except EventTimeout:
        return "QEMU gives no reason"
    return str(event.data.get("error", "QEMU gives no reason"))


def _checked(path: str | None, kind: str) -> int | None:
    """The size of the written file in bytes, None where it is not seen from here. Raises JobFailed if it is no such dump."""
    if path is None or not stat.S_ISREG(_mode(path)):
        return None
    size = os.stat(path).st_size
    try:
        with open(path, "rb") as file:
            head = file.read(16)
    except OSError:  # QEMU gives the right to read it to its own user alone
        return size
    if not head.startswith(_MAGIC.get(kind, _KDUMP_MAGIC)):
        raise JobFailed(
            f"QEMU says that the dump is done, but {path} does not begin as a file of the format {kind} does. Was it "
            "written by another since?"
        )
    return size
