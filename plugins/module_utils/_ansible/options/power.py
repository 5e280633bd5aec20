# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of vmops.qemu.qmp_power, and what they mean to the domain."""

from __future__ import annotations

from ..._vm.operations import power
from ..run import Operation

OPTIONS = {
    "state": {"type": "str", "choices": ["running", "paused", "shutdown", "reset", "quit", "wakeup"], "required": True},
    "force": {"type": "bool", "default": False},
    "wait": {"type": "bool", "default": True},
}


OPERATION = Operation(
    plan=lambda hardware, params: power.plan(hardware, *(params[name] for name in OPTIONS)),
    report=lambda hardware, params: {"vm": power.describe(hardware)},
    preview=lambda hardware, params: power.preview(hardware, *(params[name] for name in OPTIONS)),
    options=OPTIONS,
)
