# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the options of vmops.qemu.qmp_device mean to the domain, and what that does with them."""

from __future__ import annotations

from typing import Any, Mapping

from ..._vm.devices import generic as peripheral
from ..run import Functions
from .common import frontend_spec


def spec(params: Mapping[str, Any]) -> peripheral.DeviceSpec:
    """The domain's spec from the module's options."""
    return peripheral.DeviceSpec(
        frontend=frontend_spec(params, peripheral.PROPERTIES),
        descriptors=params["descriptors"],
        recreate=params["recreate"],
        force=params["force"],
    )


FUNCTIONS = Functions(
    spec=spec,
    present=peripheral.plan_present,
    absent=peripheral.plan_absent,
    describe=lambda hardware, spec: peripheral.describe(hardware, spec.id),
)
