# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which VM this is."""

from __future__ import annotations

from typing import Any

from ...qmp import CommandError, Request
from .query_cache import QueryCache

_NOT_SET = "00000000-0000-0000-0000-000000000000"
"""What QEMU reports if it was started without ``-uuid``. Many VMs have it, so it identifies none."""


def identity(cache: QueryCache) -> dict[str, Any]:
    """``name`` and ``uuid`` of the VM, None where it was started without. They are asked in one round trip."""
    name, uuid = cache.ask_many([Request("query-name"), Request("query-uuid")])
    found = None if isinstance(uuid, CommandError) else uuid["UUID"]
    return {
        "name": None if isinstance(name, CommandError) else name.get("name"),
        "uuid": None if found == _NOT_SET else found,
    }
