# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the options of vmops.qemu.qmp_memory_hotplug mean to the domain, and what that does with them."""

from __future__ import annotations

from typing import Any, Mapping

from ..._vm.devices.memory import plans as memory
from ..._vm.devices.memory import present
from ..._vm.devices.memory.spec import MemorySpec, Spec, TotalSpec
from ..._vm.devices.option_table import arguments
from ..run import Functions
from .common import frontend_spec, option_values, size_in_bytes


def spec(params: Mapping[str, Any]) -> Spec:
    """The domain's spec from the module's options."""
    total = size_in_bytes(params["total"], "total")
    if total is not None:
        return TotalSpec(total)
    values = option_values(present.OPTIONS, params)
    return MemorySpec(
        frontend=frontend_spec(params, present.PROPERTIES),
        type=values.get("type"),
        size=values.get("size"),
        requested_size=values.get("requested_size"),
        backend=values.get("backend"),
        properties=arguments(present.BACKEND, values),
        recreate=params["recreate"],
    )


FUNCTIONS = Functions(
    spec=spec,
    present=memory.plan_present,
    absent=memory.plan_absent,
    describe=memory.describe,
)
