# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of vmops.qemu.qmp_chardev, and what they mean to the domain."""

from __future__ import annotations

from typing import Any, Mapping

from ..._vm.devices.chardev import plans, spec
from ..._vm.devices.option_table import values_of
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


def chardev_spec(params: Mapping[str, Any]) -> spec.ChardevSpec:
    """The domain's spec from the module's options."""
    return spec.ChardevSpec(
        frontend=frontend_spec(params, spec.PROPERTIES),
        type=params["type"],
        values=values_of(spec.ALL_OPTIONS, params, "options"),
        recreate=params["recreate"],
    )


KIND = Kind(
    result="chardev",
    spec=chardev_spec,
    present=plans.plan_present,
    absent=plans.plan_absent,
    describe=lambda hardware, chardev: plans.describe(hardware, chardev.id),
    own_options=OPTIONS,
    rules={
        "mutually_exclusive": [("path", "address")],
        "required_by": {"address": ("address_port",), "name": ("driver",)},
    },
)
