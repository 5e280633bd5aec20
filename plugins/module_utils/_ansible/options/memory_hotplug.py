# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of vmops.qemu.qmp_memory_hotplug, and what they mean to the domain."""

from __future__ import annotations

from typing import Any, Mapping

from ..._vm.devices.memory import plans as memory
from ..._vm.devices.memory import spec as memory_spec
from ..._vm.devices.memory import total as memory_total
from ..._vm.model.hardware import Hardware
from ..._vm.plan.plan import Plan
from ..run import Kind
from .common import frontend_spec, size_in_bytes

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
BACKEND = {
    "mem_path": "mem-path",
    "share": "share",
    "prealloc": "prealloc",
    "pmem": "pmem",
    "hugetlb": "hugetlb",
    "host_nodes": "host-nodes",
    "policy": "policy",
}


def piece(params: Mapping[str, Any]) -> memory_spec.MemorySpec:
    """The domain's spec from the module's options."""
    backend = {name: params[option] for option, name in BACKEND.items() if params[option] is not None}
    if params["hugetlbsize"] is not None:
        backend["hugetlbsize"] = size_in_bytes(params["hugetlbsize"], "hugetlbsize")
    return memory_spec.MemorySpec(
        frontend=frontend_spec(params, memory_spec.PROPERTIES),
        type=params["type"],
        size=size_in_bytes(params["size"]),
        backend=params["backend"],
        properties=backend,
        requested=size_in_bytes(params["requested_size"], "requested_size"),
        recreate=params["recreate"],
    )


def present(hardware: Hardware, params: Mapping[str, Any]) -> Plan:
    """Have a piece, or the total."""
    if params["total"] is not None:
        return memory_total.plan_total(hardware, size_in_bytes(params["total"], "total") or 0)
    return memory.plan_present(hardware, piece(params))


def describe(hardware: Hardware, params: Mapping[str, Any]) -> Any:
    """The piece, or all of it."""
    return memory_total.describe_total(hardware) if params["total"] is not None else memory.describe(hardware, params["id"])


KIND = Kind(
    result="memory",
    spec=lambda params: params,
    present=present,
    absent=lambda hardware, params: memory.plan_absent(hardware, piece(params)),
    describe=describe,
    own_options=OPTIONS,
    rules={
        "required_one_of": [("id", "total")],
        "mutually_exclusive": [("id", "total")],
        "required_if": [("state", "absent", ("id",))],
    },
)
