# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of vmops.qemu.qmp_cpu_hotplug, and what they mean to the domain."""

from __future__ import annotations

from typing import Any, Mapping

from ..._vm.devices import cpu
from ..run import Kind

OPTIONS = {
    "count": {"type": "int"},
    "topology": {"type": "dict"},
}


def spec(params: Mapping[str, Any]) -> cpu.CpuSpec:
    """The domain's spec from the module's options."""
    return cpu.CpuSpec(**{name: params[name] for name in OPTIONS})


KIND = Kind(
    result="cpus",
    spec=spec,
    present=cpu.plan_present,
    absent=cpu.plan_absent,
    describe=cpu.describe,
    own_options=OPTIONS,
    rules={
        "required_one_of": [("count", "topology")],
        "mutually_exclusive": [("count", "topology")],
        "required_if": [("state", "absent", ("topology",))],
    },
)
