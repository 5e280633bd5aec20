# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the options of vmops.qemu.qmp_object mean to the domain, and what that does with them."""

from __future__ import annotations

from typing import Any, Mapping

from ..._vm.devices.objects import plans as objects
from ..._vm.devices.option_table import values_of
from ..run import Functions


def spec(params: Mapping[str, Any]) -> objects.ObjectSpec:
    """The domain's spec from the module's options."""
    return objects.ObjectSpec(
        id=params["id"],
        qom_type=params["qom_type"],
        properties=params["properties"],
        values=values_of(objects.OPTIONS, params),
        recreate=params["recreate"],
        force=params["force"],
    )


FUNCTIONS = Functions(
    spec=spec,
    present=objects.plan_present,
    absent=objects.plan_absent,
    describe=lambda hardware, spec: objects.describe(hardware, spec.id),
)
