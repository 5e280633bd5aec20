# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of vmops.qemu.qmp_migrate, and what they mean to the domain."""

from __future__ import annotations

from ..._vm.operations import migration, power
from ..run import Operation

OPTIONS = {
    "state": {"type": "str", "choices": ["started", "incoming", "postcopy", "cancelled", "status"], "default": "started"},
    "uri": {"type": "str"},
    "channels": {"type": "list", "elements": "dict"},
    "capabilities": {"type": "dict", "default": {}},
    "parameters": {"type": "dict", "default": {}},
    "wait": {"type": "bool", "default": True},
    "force": {"type": "bool", "default": False},
}


OPERATION = Operation(
    spec=lambda params: migration.MigrationSpec(**{name: params[name] for name in OPTIONS}),
    plan=migration.plan,
    report=lambda hardware, _spec: {"migration": migration.describe(hardware), "vm": power.describe(hardware)},
    options=OPTIONS,
    rules={"mutually_exclusive": [("uri", "channels")]},
    result="migration",
)
