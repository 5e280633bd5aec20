# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two at once: what QEMU says when somebody else was quicker (the texts are those of 7.2 to 11.1)."""

from __future__ import annotations

import re

from ...qmp import CommandError
from ..errors import Conflict

_TAKEN = re.compile(
    "Duplicate nodes with node-name|Duplicate device ID|Duplicate ID|Chardev with id '.*' already exists"
    "|attempt to add duplicate property|CPU.* exists|not available for .*, in use by|already occupied by|A port already exists"
    "|Job ID '.*' already in use|lun already used"
)


def lost(error: Exception) -> Exception:
    """The error of a plan that had looked first: a Conflict if QEMU says that an id or slot is taken, else *error* itself."""
    if not isinstance(error, CommandError) or not _TAKEN.search(error.desc):
        return error
    return Conflict(
        f"QEMU refused {error.command}: {error.desc}. That was free when this run looked, so another task or user has taken it "
        "meanwhile. Run this again: it reads what the VM has now.",
        command=error.command,
        qmp_class=error.qmp_class,
        desc=error.desc,
    )
