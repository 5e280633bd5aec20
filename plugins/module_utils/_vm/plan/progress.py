# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a step is that waits for QEMU or for the guest."""

from __future__ import annotations

from typing import Callable, NamedTuple, Sequence

_NAMED = 3


class Progress(NamedTuple):
    """How far a step is. Steps report it as often as they look; whoever shows it chooses how often.

    ``what``: the work, such as "migration"; "" if the other members say it. ``done`` and ``total``: in ``unit``, which is
    "bytes", or names what is counted ("devices unplugged"). A total of 0 means that nothing can be counted. ``moved``: bytes sent
    so far, if they are not the same as those done. ``note``: what it waits for.
    """

    what: str = ""
    done: int = 0
    total: int = 0
    unit: str = "bytes"
    moved: int | None = None
    note: str = ""


Report = Callable[[Progress], None]
"""Takes what steps report. It must not raise an exception."""


def ignore(_progress: Progress) -> None:
    """Report to nobody."""


def named(names: Sequence[str]) -> str:
    """Some of *names*, and how many more there are."""
    some, more = names[:_NAMED], len(names) - _NAMED
    return f"{', '.join(some)} and {more} more" if more > 0 else ", ".join(some)
