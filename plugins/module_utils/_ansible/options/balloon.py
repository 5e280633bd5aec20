# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of vmops.qemu.qmp_balloon, and what they mean to the domain."""

from __future__ import annotations

from ..._vm.operations import balloon
from ..run import Operation
from ..specs.common import size_in_bytes

OPERATION = Operation(
    spec=lambda params: size_in_bytes(params["size"]) or 0,
    plan=balloon.plan,
    report=lambda hardware, _size: {"balloon": balloon.describe(hardware)},
    options={"size": {"type": "str", "required": True}},
    result="balloon",
)
