# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A block job as a task specifies it."""

from __future__ import annotations

from dataclasses import field
from typing import Any, Mapping

from ...lazy import dataclass

READY = ("ready", "standby")
"""The statuses of a job that has caught up with its source and waits for ``job-complete``."""
ENDED = ("concluded", "null")
"""The statuses of a job that does nothing any more."""
STREAM = "stream"
"""Before QEMU 11.1, the next query of block nodes makes QEMU crash if a stream has concluded and was not dismissed. So we
finalize a stream, and QEMU dismisses it itself."""


@dataclass(frozen=True)
class JobSpec:
    """What a task specifies of a job. ``speed`` is in bytes per second, 0 for no limit. ``options`` are further arguments of
    its command, in QEMU's spelling."""

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


def progress(job: Mapping[str, Any]) -> dict[str, int]:
    """The progress of an entry of ``query-jobs``, in bytes for all block jobs."""
    return {"current": job.get("current-progress", 0), "total": job.get("total-progress", 0)}
