# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of vmops.qemu.qmp_media."""

from __future__ import annotations

from ..run import Functions, Kind

OPTIONS = {
    "id": {"type": "str", "required": True},
    "file": {"type": "str"},
    "format": {"type": "str"},
    "force": {"type": "bool", "default": False},
}


def _functions() -> Functions:
    from ..specs.media import FUNCTIONS  # only here: few tasks have items of all kinds

    return FUNCTIONS


KIND = Kind(
    result="medium",
    functions=_functions,
    own_options=OPTIONS,
    rules={"required_if": [("state", "present", ("file",))]},
)
