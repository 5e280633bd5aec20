# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of vmops.qemu.qmp_netdev."""

from __future__ import annotations

from ..run import Functions, Kind
from .common import FRONTEND

OPTIONS = {
    "id": {"type": "str", "required": True},
    "type": {
        "type": "str",
        "choices": ["tap", "user", "bridge", "socket", "stream", "dgram", "hubport", "vhost-user", "vhost-vdpa", "l2tpv3"],
    },
    "options": {"type": "dict", "default": {}},
    "ifname": {"type": "str"},
    "script": {"type": "str"},
    "downscript": {"type": "str"},
    "chardev": {"type": "str"},
    "vhostdev": {"type": "str"},
    "vhost": {"type": "bool"},
    "queues": {"type": "int"},
    "descriptors": {"type": "bool"},
    "mac": {"type": "str"},
    "link": {"type": "str", "choices": ["up", "down"]},
    "bootindex": {"type": "int"},
}


def _functions() -> Functions:
    from ..specs.netdev import FUNCTIONS  # only here: few tasks have items of all kinds

    return FUNCTIONS


KIND = Kind(
    result="nic",
    functions=_functions,
    own_options={**FRONTEND, **OPTIONS},
)
