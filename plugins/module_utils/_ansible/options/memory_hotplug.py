# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of vmops.qemu.qmp_memory_hotplug."""

from __future__ import annotations

from ..run import Functions, Kind

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


def _functions() -> Functions:
    from ..specs.memory_hotplug import FUNCTIONS  # only here: few tasks have items of all kinds

    return FUNCTIONS


KIND = Kind(
    result="memory",
    functions=_functions,
    own_options=OPTIONS,
    rules={
        "required_one_of": [("id", "total")],
        "mutually_exclusive": [("id", "total")],
        "required_if": [("state", "absent", ("id",))],
    },
)
