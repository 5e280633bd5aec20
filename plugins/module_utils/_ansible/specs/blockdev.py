# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the options of vmops.qemu.qmp_blockdev mean to the domain, and what that does with them."""

from __future__ import annotations

from typing import Any, Mapping

from ..._vm.devices.disk import plans
from ..._vm.devices.disk.backend import check_path
from ..._vm.devices.disk.options import NODE, PROPERTIES
from ..._vm.devices.disk.results import describe
from ..._vm.devices.disk.spec import DiskSpec
from ..._vm.devices.option_table import values_of
from ..options.blockdev import BYTES
from ..run import Functions
from .common import frontend_spec, size_in_bytes


def disk(params: Mapping[str, Any]) -> DiskSpec:
    """The domain's spec from the module's options. Raises InvalidOption."""
    file = params["file"] or None
    if file:
        check_path(file)
    return DiskSpec(
        frontend=frontend_spec(params, PROPERTIES),
        file=file,
        backend=params["backend"],
        node=values_of(NODE, {**params, "format": params["format"] or None}),
        size=size_in_bytes(params["size"]),
        limits=limits(params["limits"]),
        passphrase=params["passphrase"],
        backend_secrets=params["backend_secrets"] or {},
        allow_shrink=params["allow_shrink"],
        attach=params["attach"],
        recreate=params["recreate"],
        force=params["force"],
    )


def limits(specified: Mapping[str, Any] | None) -> dict[str, int] | None:
    """The limits in bytes, operations and seconds, without those that are not set."""
    if specified is None:
        return None
    sizes = {name: size_in_bytes(value, f"limits.{name}") if name in BYTES else value for name, value in specified.items()}
    return {name: value for name, value in sizes.items() if value is not None}


FUNCTIONS = Functions(
    spec=disk,
    present=plans.plan_present,
    absent=plans.plan_absent,
    describe=lambda hardware, spec: describe(hardware, spec.id),
)
