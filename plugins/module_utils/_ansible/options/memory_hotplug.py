# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of vmops.qemu.qmp_memory_hotplug, and what they mean to the domain."""

from __future__ import annotations

from typing import Any, Mapping

from ..._vm.devices.memory import plans as memory
from ..._vm.devices.memory import present
from ..._vm.devices.memory.spec import MemorySpec, Spec, TotalSpec
from ..._vm.devices.option_table import arguments
from ..run import Kind
from .common import frontend_spec, option_values, size_in_bytes

OPTIONS = {
    "id": {"type": "str"},
    "total": {"type": "str"},
    "type": {"type": "str", "choices": ["pc-dimm", "nvdimm", "virtio-mem"]},
    "size": {"type": "str"},
    "requested_size": {"type": "str"},
    "backend": {"type": "str", "choices": ["ram", "file", "memfd"]},
    "mem_path": {"type": "str"},
    "share": {"type": "bool"},
    "prealloc": {"type": "bool"},
    "pmem": {"type": "bool"},
    "hugetlb": {"type": "bool"},
    "hugetlbsize": {"type": "str"},
    "host_nodes": {"type": "list", "elements": "int"},
    "policy": {"type": "str", "choices": ["default", "preferred", "bind", "interleave"]},
    "node": {"type": "int"},
    "slot": {"type": "int"},
    "bus": {"type": "str"},
    "addr": {"type": "str"},
    "properties": {"type": "dict", "default": {}},
    "reserved": {"type": "list", "elements": "dict", "default": []},
    "recreate": {"type": "bool", "default": False},
}


def spec(params: Mapping[str, Any]) -> Spec:
    """The domain's spec from the module's options."""
    total = size_in_bytes(params["total"], "total")
    if total is not None:
        return TotalSpec(total)
    values = option_values(present.OPTIONS, params)
    return MemorySpec(
        frontend=frontend_spec(params, present.PROPERTIES),
        type=values.get("type"),
        size=values.get("size"),
        requested_size=values.get("requested_size"),
        backend=values.get("backend"),
        properties=arguments(present.BACKEND, values),
        recreate=params["recreate"],
    )


KIND = Kind(
    result="memory",
    spec=spec,
    present=memory.plan_present,
    absent=memory.plan_absent,
    describe=memory.describe,
    own_options=OPTIONS,
    rules={
        "required_one_of": [("id", "total")],
        "mutually_exclusive": [("id", "total")],
        "required_if": [("state", "absent", ("id",))],
    },
)
