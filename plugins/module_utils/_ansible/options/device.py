# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of vmops.qemu.qmp_device."""

from __future__ import annotations

from ..run import Functions, Kind
from .common import FRONTEND

OPTIONS = {
    "id": {"type": "str", "required": True},
    "chardev": {"type": "str"},
    "guest_cid": {"type": "int"},
    "descriptors": {"type": "bool"},
}


def _functions() -> Functions:
    from ..specs.device import FUNCTIONS  # only here: few tasks have items of all kinds

    return FUNCTIONS


KIND = Kind(
    result="device",
    functions=_functions,
    own_options={**FRONTEND, **OPTIONS},
)
