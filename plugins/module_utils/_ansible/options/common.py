# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that several kinds share."""

from __future__ import annotations

from typing import Any

FRONTEND: dict[str, Any] = {
    "driver": {"type": "str"},
    "bus": {"type": "str"},
    "addr": {"type": "str"},
    "romfile": {"type": "str"},
    "disable_modern": {"type": "bool"},
    "properties": {"type": "dict", "default": {}},
    "reserved": {"type": "list", "elements": "dict", "default": []},
    "recreate": {"type": "bool", "default": False},
    "force": {"type": "bool", "default": False},
}
"""The options of every device with a frontend, documented by the doc fragment ``frontend``."""
