# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the options of vmops.qemu.qmp_cpu_hotplug mean to the domain, and what that does with them."""

from __future__ import annotations

from typing import Any, Mapping

from ..._vm.devices import cpu
from ..options.cpu_hotplug import OPTIONS
from ..run import Functions


def spec(params: Mapping[str, Any]) -> cpu.CpuSpec:
    """The domain's spec from the module's options."""
    return cpu.CpuSpec(**{name: params[name] for name in OPTIONS})


FUNCTIONS = Functions(
    spec=spec,
    present=cpu.plan_present,
    absent=cpu.plan_absent,
    describe=cpu.describe,
)
