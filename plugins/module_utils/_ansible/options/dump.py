# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of vmops.qemu.qmp_dump, and what they mean to the domain."""

from __future__ import annotations

from ..._vm.operations import dump, power
from ..run import Operation

OPTIONS = {
    "path": {"type": "str"},
    "protocol": {"type": "str"},
    "paging": {"type": "bool", "default": False},
    "format": {"type": "str"},
    "begin": {"type": "str"},
    "length": {"type": "str"},
    "force": {"type": "bool", "default": False},
}


OPERATION = Operation(
    spec=lambda params: dump.DumpSpec(**{name: params[name] for name in OPTIONS}),
    plan=dump.plan,
    report=lambda hardware, spec: {"vm": power.describe(hardware)},
    options=OPTIONS,
    rules={
        "mutually_exclusive": [("path", "protocol")],
        "required_one_of": [("path", "protocol")],
        "required_together": [("begin", "length")],
    },
    result="dump",
)
