# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The balloon: how much of its memory the guest uses. It returns the rest to the host."""

from __future__ import annotations

import time
from typing import Any

from ...qmp import CommandError
from ..errors import InvalidOption, StillInProgress, Unsupported
from ..lazy import dataclass
from ..model.hardware import Hardware
from ..model.slots import default_driver
from ..plan.plan import Command, Plan, Run, Step, wire
from ..plan.progress import Progress

_PAGE = 4096
"""Bytes of a page of the balloon, whatever the size of the guest's pages is (``VIRTIO_BALLOON_PFN_SHIFT``)."""
_POLL_SECONDS = 0.2
_STALLED_SECONDS = 5.0
"""If the balloon has not changed for so long, a guest that has begun is assumed to have released all that it can."""


@dataclass(frozen=True)
class Inflate(Step):
    """``balloon``, and the wait until the guest has that size. QEMU's events report it late or not at all."""

    size: int

    def commands(self) -> list[Command]:
        return [wire("balloon", {"value": self.size})]

    def apply(self, run: Run) -> None:
        run.execute("balloon", {"value": self.size})
        begun = moved = time.monotonic()
        first = last = _actual(run)
        while last != self.size:
            now = time.monotonic()
            stalled = last != first and now - moved > _STALLED_SECONDS
            if stalled or now - begun > run.timeout:
                left = abs(last - self.size)
                why = f"has not changed this for {_STALLED_SECONDS:g} s" if stalled else f"needs longer than {run.timeout:g} s"
                raise StillInProgress(
                    f"The task sets size {self.size}, and the guest still has {last} bytes and {why}. The request remains in "
                    "effect: the guest may follow it later. Run the task again to wait longer.",
                    actual=last,
                    remainder=left,
                )
            run.report(Progress("balloon", abs(last - first), abs(self.size - first)))
            run.monitor.poll_events(_POLL_SECONDS)
            before, last = last, _actual(run)
            moved = moved if last == before else time.monotonic()


def _actual(run: Run) -> int:
    return int(run.read("query-balloon")["actual"])


def plan(hardware: Hardware, size: int) -> Plan:
    """Have the guest use *size* bytes, rounded up to whole pages as QEMU does. Raises Unsupported for a VM without a balloon,
    InvalidOption for more bytes than the VM has."""
    before = describe(hardware)
    most = _most(hardware)
    if not 0 < size <= most:
        raise InvalidOption(
            f"size {size} is not valid: the VM has {most} bytes that the balloon can take from. Set a size from 1 to {most}."
        )
    size = -(-size // _PAGE) * _PAGE
    if before["actual"] == size:
        return Plan(before=before, after=before)
    return Plan((Inflate(size),), before, {"actual": size})


def _most(hardware: Hardware) -> int:
    """Bytes that QEMU's balloon can take from: the memory at start and the DIMMs. A virtio-mem device is not part of it."""
    devices = hardware.memory_devices
    dimms = sum(int(one["data"].get("size", 0)) for one in devices if one["type"] == "dimm")
    return int(hardware.cache.ask("query-memory-size-summary")["base-memory"]) + dimms


def describe(hardware: Hardware) -> dict[str, Any]:
    """The bytes that the guest has now, under ``actual``. Raises Unsupported for a VM without a balloon."""
    try:
        return {"actual": hardware.cache.ask("query-balloon")["actual"]}
    except CommandError as error:
        driver = default_driver(hardware, "virtio-balloon")
        raise Unsupported(
            f"The VM has no balloon device ({error.desc}). Add one with qmp_device and driver: {driver}, or start the VM with "
            f"-device {driver}."
        ) from error
