# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many points of each fault were tried, survived and lost."""

from __future__ import annotations

from collections import Counter

TALLY: dict[str, Counter[str]] = {}


def survives(what: str, holds: bool, shown: object) -> None:
    """Count one point of a fault. If it was lost, the test fails and shows *shown*."""
    TALLY.setdefault(what, Counter())["survived" if holds else "lost"] += 1
    assert holds, shown
