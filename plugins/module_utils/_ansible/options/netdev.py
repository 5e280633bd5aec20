# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of vmops.qemu.qmp_netdev, and what they mean to the domain."""

from __future__ import annotations

from typing import Any, Mapping

from ..._vm.devices.nic import plans as netdev
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
BACKEND_OPTIONS = ("ifname", "script", "downscript", "chardev", "vhostdev", "vhost")


def nic(params: Mapping[str, Any]) -> netdev.NicSpec:
    """The domain's spec from the module's options."""
    return netdev.NicSpec(
        frontend=frontend_spec(params, netdev.PROPERTIES),
        type=params["type"],
        options={**params["options"], **{name: params[name] for name in BACKEND_OPTIONS if params[name] is not None}},
        queues=params["queues"],
        descriptors=params["descriptors"],
        link=None if params["link"] is None else params["link"] == "up",
        recreate=params["recreate"],
        force=params["force"],
    )


KIND = Kind(
    result="nic",
    spec=nic,
    present=netdev.plan_present,
    absent=netdev.plan_absent,
    describe=lambda hardware, spec: netdev.describe(hardware, spec.id),
    own_options={**FRONTEND, **OPTIONS},
)
