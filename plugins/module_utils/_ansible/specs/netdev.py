# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the options of vmops.qemu.qmp_netdev mean to the domain, and what that does with them."""

from __future__ import annotations

from typing import Any, Mapping

from ..._vm.devices.nic import plans, spec
from ..._vm.devices.option_table import values_of
from ..run import Functions
from .common import frontend_spec


def nic_spec(params: Mapping[str, Any]) -> spec.NicSpec:
    """The domain's spec from the module's options."""
    return spec.NicSpec(
        frontend=frontend_spec(params, spec.PROPERTIES),
        values=values_of(spec.BACKEND, params, "options"),
        descriptors=params["descriptors"],
        link=None if params["link"] is None else params["link"] == "up",
        recreate=params["recreate"],
        force=params["force"],
    )


FUNCTIONS = Functions(
    spec=nic_spec,
    present=plans.plan_present,
    absent=plans.plan_absent,
    describe=lambda hardware, nic: spec.describe(hardware, nic.id),
)
