# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines that say how far a task is, while it runs. A task that ends soon shows none, and a long one shows few."""

from __future__ import annotations

import time
from typing import Callable

from ansible_collections.vmops.qemu.plugins.module_utils._vm.plan.progress import Progress
from ansible_collections.vmops.qemu.plugins.module_utils.qmp import printable

FIRST_SECONDS = 5.0
"""Seconds after which a step shows its first line."""
_GROWTH, _MOST = 2, 12
"""Each interval is so many times the one before it; the longest is so many times the first one."""
_LONGEST = 60
"""Characters of the name of a VM that are shown."""
_SIZES = ("bytes", "KiB", "MiB", "GiB", "TiB")


class ProgressLines:
    """Takes the reports of a task's steps and shows some of them, each as a line.

    *show* shows a line. If it fails, nothing more is shown, and the work goes on. *host*: the task's host in the inventory.
    *first*: seconds to the first line.
    """

    def __init__(self, show: Callable[[str], None], host: str, first: float = FIRST_SECONDS) -> None:
        self._show = show
        self._host = host
        self._interval = first
        self._longest = first * _MOST
        self._next = time.monotonic() + first
        self._began: dict[tuple[str, ...], _Look] = {}
        self._last: dict[tuple[str, ...], _Look] = {}

    def __call__(self, vm: str, progress: Progress) -> None:
        now = _Look(progress)
        key = _key(progress)
        began = self._began.setdefault(key, now)
        if now.at < self._next:
            return
        try:
            text = line(progress, now.at - began.at, self._last.get(key, began).rates(now))
            self._show(" ".join(printable(f"{self._prefix(vm)}{text}").split()))
        except Exception:  # a display that is closed must not interrupt the work
            self._next = float("inf")
            return
        self._last[key] = now
        self._interval = min(self._interval * _GROWTH, self._longest)
        self._next = now.at + self._interval

    def _prefix(self, vm: str) -> str:
        short = vm if len(vm) <= _LONGEST else f"{vm[:_LONGEST]}…"
        return f"[{self._host}] " if vm == self._host else f"[{self._host}] {short}: "


def _key(progress: Progress) -> tuple[str, ...]:
    """The same for all reports about the same work."""
    if progress.total <= 0:
        return (progress.what, progress.note)
    return (progress.what, progress.unit, "" if progress.unit == "bytes" else str(progress.total))


class _Look:
    """How far the work was at a moment."""

    def __init__(self, progress: Progress) -> None:
        self.at = time.monotonic()
        self.done = progress.done
        self.moved = progress.done if progress.moved is None else progress.moved

    def rates(self, now: _Look) -> tuple[float, float, float]:
        """Seconds until *now*, and in them, for each second, the bytes that were sent and those that were done."""
        seconds = now.at - self.at
        if seconds <= 0:
            return 0.0, 0.0, 0.0
        return seconds, (now.moved - self.moved) / seconds, (now.done - self.done) / seconds


def line(progress: Progress, elapsed: float, rates: tuple[float, float, float]) -> str:
    """The text for *progress*, *elapsed* seconds after the work began. *rates*: since the last line, see _Look."""
    what, done, total, unit, _moved, note = progress
    if total <= 0:
        amount = f"{note or 'not begun'} after {seconds_text(elapsed)}"
        note = ""
    elif unit == "bytes":
        amount = f"{100 * done // total}% ({_of(done, total)})"
    else:
        amount = f"{done} of {total} {unit} after {seconds_text(elapsed)}"
    if total > 0 and unit == "bytes":
        since, sent, advanced = rates
        if sent > 0:
            amount += f", {size_text(sent)}/s"
        elif since > 0 and done < total:
            amount += f", no progress for {seconds_text(since)}"
        if advanced > 0 and done < total:
            amount += f", about {seconds_text((total - done) / advanced)} left"
    return f"{what + ': ' if what else ''}{amount}{'; ' + note if note else ''}"


def seconds_text(seconds: float) -> str:
    """A duration for a person, such as "14 s", "3 min 20 s" or "2 h 5 min"."""
    whole = max(1, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def size_text(size: float) -> str:
    """A number of bytes for a person, such as "118 MiB" or "1.2 GiB"."""
    power = _power(size)
    return f"{_number(size, power)} {_SIZES[power]}"


def _of(done: int, total: int) -> str:
    power = _power(total)
    return f"{_number(done, power)} of {_number(total, power)} {_SIZES[power]}"


def _power(size: float) -> int:
    power = 0
    while size >= 1024 and power < len(_SIZES) - 1:
        size, power = size / 1024, power + 1
    return power


def _number(size: float, power: int) -> str:
    scaled = size / 1024**power
    return f"{scaled:.1f}" if power and scaled < 10 else f"{scaled:.0f}"
