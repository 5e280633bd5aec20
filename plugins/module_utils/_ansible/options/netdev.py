# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of vmops.qemu.qmp_netdev, and what they mean to the domain."""

from __future__ import annotations

from typing import Any, Mapping

from ..._vm.devices.nic import plans, spec
from ..._vm.devices.option_table import values_of
from ..run import Kind
from .common import FRONTEND, frontend_spec

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


def nic_spec(params: Mapping[str, Any]) -> spec.NicSpec:
    """The domain's spec from the module's options."""
    return spec.NicSpec(
        frontend=frontend_spec(params, spec.PROPERTIES),
        values=values_of(spec.BACKEND, params, "options"),
        descriptors=params["descriptors"],
        link=None if params["link"] is None else params["link"] == "up",
        recreate=params["recreate"],
        force=params["force"],
    )


KIND = Kind(
    result="nic",
    spec=nic_spec,
    present=plans.plan_present,
    absent=plans.plan_absent,
    describe=lambda hardware, nic: spec.describe(hardware, nic.id),
    own_options={**FRONTEND, **OPTIONS},
)
