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
    spec=lambda params: power.PowerSpec(**{name: params[name] for name in OPTIONS}),
    plan=power.plan,
    report=lambda hardware, _spec: {"vm": power.describe(hardware)},
    preview=power.preview,
    options=OPTIONS,
)
