# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of inventory hosts for VMs, whose own names anybody who starts a QEMU can choose."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from typing import Iterable, NamedTuple, Sequence

RESERVED_PREFIX = "qmp"
"""The groups of the inventory plugin start with it."""
_LONGEST = 100  # characters; a longer name could not be the name of a file of host variables
_LOCAL = re.compile(r"(all|ungrouped|localhost.*|127(\.\d+){1,3}|[.:_]*1?)\Z", re.IGNORECASE)
"""Names that have a meaning for Ansible: groups, and this machine."""


class Candidate(NamedTuple):
    """A VM that needs a name. ``name`` is its own name, or that of its socket; ``address`` the address of its monitor."""

    name: str
    address: str


def host_names(candidates: Sequence[Candidate], taken: Iterable[str]) -> list[str]:
    """A name for each VM: its own if no other one has it, else its own with its address.

    If several VMs have the same name, none of them gets it alone, so that a play never reaches one in place of another. A name
    that Ansible gives a meaning, or that is *taken* by a host or group of the inventory, gets the prefix ``vm-``.
    """
    taken = {name.lower() for name in taken}
    short = [_prefixed(safe_name(one.name), taken) for one in candidates]
    counts = Counter(name.lower() for name in short)
    used = taken | set(counts)
    names: list[str] = []
    for name, candidate in zip(short, candidates):
        if counts[name.lower()] > 1 or name.lower() in taken:
            name = _unused(f"{name}-{safe_name(candidate.address).strip('._-')}", used)
            used.add(name.lower())
        names.append(name)
    return names


def _prefixed(name: str, taken: set[str]) -> str:
    reserved = _LOCAL.match(name) or name.lower().startswith(RESERVED_PREFIX) or name.lower() in taken
    return f"vm-{name}" if reserved else name


def safe_name(name: str) -> str:
    """*name* with only letters, digits, ``_``, ``-`` and ``.``; the first one is a letter, a digit or ``_``.

    It is not a template, a host pattern, an option of a program, or a path to another directory.
    """
    safe = re.sub(r"[^\w.-]+", "_", name)[:_LONGEST]
    return re.sub(r"\A[-._]*[-.][-._]*", "_", safe) or "_"


def _unused(name: str, used: set[str]) -> str:
    """*name*, with a number if it is used."""
    names = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
    return next(one for one in names if one.lower() not in used)
