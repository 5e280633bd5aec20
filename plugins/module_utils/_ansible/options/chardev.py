# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of vmops.qemu.qmp_chardev, and what they mean to the domain."""

from __future__ import annotations

from typing import Any, Mapping

from ..._vm.devices.chardev import plans as chardev
from ..run import Kind
from .common import frontend_spec

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


def line(params: Mapping[str, Any]) -> chardev.ChardevSpec:
    """The domain's spec from the module's options."""
    return chardev.ChardevSpec(
        frontend=frontend_spec(params, chardev.PROPERTIES),
        type=params["type"],
        path=params["path"],
        host=params["address"],
        port=params["address_port"],
        **{name: params[name] for name in ("server", "wait", "options", "recreate")},
    )


KIND = Kind(
    result="chardev",
    spec=line,
    present=chardev.plan_present,
    absent=chardev.plan_absent,
    describe=lambda hardware, spec: chardev.describe(hardware, spec.id),
    own_options=OPTIONS,
    rules={
        "mutually_exclusive": [("path", "address")],
        "required_by": {"address": ("address_port",), "name": ("driver",)},
    },
)
