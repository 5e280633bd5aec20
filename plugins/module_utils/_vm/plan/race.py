# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Races with other tasks: QEMU's errors for an id or a slot that was taken in the meantime (the texts of QEMU 7.2 to 11.1)."""

from __future__ import annotations

import re

from ...qmp import CommandError
from ..errors import Conflict

_TAKEN = (  # compiled only after an error
    "Duplicate nodes with node-name|Duplicate device ID|Duplicate ID|Chardev with id '.*' already exists"
    "|attempt to add duplicate property|CPU.* exists|not available for .*, in use by|already occupied by|A port already exists"
    "|Job ID '.*' already in use|lun already used"
)


def lost(error: Exception) -> Exception:
    """The error of a plan that was made for a free id or slot: a Conflict if QEMU reports that it is taken, else *error*."""
    if not isinstance(error, CommandError) or not re.search(_TAKEN, error.desc):
        return error
    return Conflict(
        f"QEMU refused {error.command}: {error.desc.rstrip('.')}. It was free when this task read the VM, so another "
        "task or user has taken it in the meantime. Run the task again: it reads the present state of the VM.",
        command=error.command,
        qmp_class=error.qmp_class,
        desc=error.desc,
    )
