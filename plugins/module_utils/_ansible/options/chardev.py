# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of vmops.qemu.qmp_chardev."""

from __future__ import annotations

from ..run import Functions, Kind

OPTIONS = {
    "id": {"type": "str", "required": True},
    "type": {"type": "str"},
    "path": {"type": "path"},
    "address": {"type": "str"},
    "address_port": {"type": "int"},
    "server": {"type": "bool", "default": True},
    "wait": {"type": "bool", "default": False},
    "options": {"type": "dict", "default": {}},
    "driver": {"type": "str", "choices": ["virtserialport", "virtconsole"]},
    "name": {"type": "str"},
    "bus": {"type": "str"},
    "properties": {"type": "dict", "default": {}},
    "reserved": {"type": "list", "elements": "dict", "default": []},
    "recreate": {"type": "bool", "default": False},
}


def _functions() -> Functions:
    from ..specs.chardev import FUNCTIONS  # only here: few tasks have items of all kinds

    return FUNCTIONS


KIND = Kind(
    result="chardev",
    functions=_functions,
    own_options=OPTIONS,
    rules={
        "mutually_exclusive": [("path", "address")],
        "required_by": {"address": ("address_port",), "name": ("driver",)},
    },
)
