# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the options of vmops.qemu.qmp_chardev mean to the domain, and what that does with them."""

from __future__ import annotations

from typing import Any, Mapping

from ..._vm.devices.chardev import plans, spec
from ..._vm.devices.option_table import values_of
from ..run import Functions
from .common import frontend_spec


def chardev_spec(params: Mapping[str, Any]) -> spec.ChardevSpec:
    """The domain's spec from the module's options."""
    return spec.ChardevSpec(
        frontend=frontend_spec(params, spec.PROPERTIES),
        type=params["type"],
        values=values_of(spec.ALL_OPTIONS, params, "options"),
        recreate=params["recreate"],
    )


FUNCTIONS = Functions(
    spec=chardev_spec,
    present=plans.plan_present,
    absent=plans.plan_absent,
    describe=lambda hardware, chardev: plans.describe(hardware, chardev.id),
)
