# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The balloon: how much of its memory a guest has, and gives back to the host when asked."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from ...qmp import CommandError
from ..errors import InvalidOption, StillInProgress, Unsupported
from ..model.hardware import Hardware
from ..model.slots import default_driver
from ..plan.plan import Command, Plan, Run, Step, wire

_PAGE = 4096
"""Bytes that a balloon takes at once, whatever the guest's pages are (``VIRTIO_BALLOON_PFN_SHIFT``)."""
_LOOK_SECONDS = 0.2
_STALLED_SECONDS = 5.0
"""Without any movement for so long, a guest that has begun is taken to have given what it can."""


@dataclass(frozen=True)
class Inflate(Step):
    """``balloon``, and the wait until the guest has that much. QEMU's events tell of it late or not at all."""

    size: int

    def commands(self) -> list[Command]:
        return [wire("balloon", {"value": self.size})]

    def apply(self, run: Run) -> None:
        run.execute("balloon", {"value": self.size})
        begun = moved = time.monotonic()
        last = actual(run)
        first = last
        while last != self.size:
            now = time.monotonic()
            stalled = last != first and now - moved > _STALLED_SECONDS
            if stalled or now - begun > run.timeout:
                left = abs(last - self.size)
                why = f"and has not moved for {_STALLED_SECONDS:g} s" if stalled else f"after {run.timeout:g} s"
                raise StillInProgress(
                    f"The guest has {last} bytes {why}; {self.size} are wanted, {left} are left. The request "
                    "stands, and the guest may still follow it.",
                    actual=last,
                    remainder=left,
                )
            run.monitor.poll_events(_LOOK_SECONDS)
            before, last = last, actual(run)
            moved = moved if last == before else time.monotonic()


def actual(run: Run) -> int:
    return int(run.read("query-balloon")["actual"])


def plan(hardware: Hardware, size: int) -> Plan:
    """Have the guest use *size* bytes, rounded up to whole pages as QEMU does. Raises Unsupported without a balloon,
    InvalidOption for more than the VM has."""
    now = describe(hardware)
    most = _reach(hardware)
    if not 0 < size <= most:
        raise InvalidOption(f"size {size} cannot be: the VM has {most} bytes in a balloon's reach, and it takes away from that.")
    size = -(-size // _PAGE) * _PAGE
    if now["actual"] == size:
        return Plan(before=now, after=now)
    return Plan((Inflate(size),), now, {"actual": size})


def _reach(hardware: Hardware) -> int:
    """Bytes of which QEMU's balloon takes away: those at start and DIMMs, not virtio-mem, which has a size of its own."""
    devices = hardware.memory_devices
    dimms = sum(int(one["data"].get("size", 0)) for one in devices if one["type"] == "dimm")
    return int(hardware.cache.ask("query-memory-size-summary")["base-memory"]) + dimms


def describe(hardware: Hardware) -> dict[str, Any]:
    """Bytes that the guest has now. Raises Unsupported."""
    try:
        return {"actual": hardware.cache.ask("query-balloon")["actual"]}
    except CommandError as error:
        driver = default_driver(hardware, "virtio-balloon")
        raise Unsupported(
            f"The VM has no balloon ({error.desc}). Plug one with qmp_device and driver: {driver}, or start it "
            f"with -device {driver}."
        ) from error
