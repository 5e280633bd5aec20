# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of vmops.qemu.qmp_cpu_hotplug."""

from __future__ import annotations

from ..run import Functions, Kind

OPTIONS = {
    "count": {"type": "int"},
    "topology": {"type": "dict"},
}


def _functions() -> Functions:
    from ..specs.cpu_hotplug import FUNCTIONS  # only here: few tasks have items of all kinds

    return FUNCTIONS


KIND = Kind(
    result="cpus",
    functions=_functions,
    own_options=OPTIONS,
    rules={
        "required_one_of": [("count", "topology")],
        "mutually_exclusive": [("count", "topology")],
        "required_if": [("state", "absent", ("topology",))],
    },
)
