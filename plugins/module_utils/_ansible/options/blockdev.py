# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of vmops.qemu.qmp_blockdev."""

from __future__ import annotations

from ..._vm.devices.disk.options import LIMITS
from ..run import Functions, Kind
from .common import FRONTEND

BYTES = [f"bps{way}{burst}" for way in ("", "_rd", "_wr") for burst in ("", "_max")]
OPTIONS = {
    "id": {"type": "str", "required": True},
    "file": {"type": "str"},
    "backend": {"type": "dict"},
    "format": {"type": "str"},
    "read_only": {"type": "bool"},
    "cache": {"type": "dict", "options": {"direct": {"type": "bool"}, "no_flush": {"type": "bool"}}},
    "aio": {"type": "str", "choices": ["threads", "native", "io_uring"]},
    "discard": {"type": "str", "choices": ["ignore", "unmap"]},
    "detect_zeroes": {"type": "str", "choices": ["off", "on", "unmap"]},
    "size": {"type": "str"},
    "limits": {"type": "dict", "options": {name: {"type": "str" if name in BYTES else "int"} for name in LIMITS}},
    "passphrase": {"type": "str", "no_log": True},
    "backend_secrets": {"type": "dict", "no_log": True},
    "allow_shrink": {"type": "bool", "default": False},
    "attach": {"type": "bool", "default": True},
    "scsi_id": {"type": "int"},
    "lun": {"type": "int"},
    "serial": {"type": "str"},
    "queues": {"type": "int"},
    "share_rw": {"type": "bool"},
    "bootindex": {"type": "int"},
    "iothread": {"type": "str"},
}


def _functions() -> Functions:
    from ..specs.blockdev import FUNCTIONS  # only here: few tasks have items of all kinds

    return FUNCTIONS


KIND = Kind(
    result="disk",
    functions=_functions,
    own_options={**FRONTEND, **OPTIONS},
    rules={"mutually_exclusive": [("file", "backend"), ("backend", "aio")]},
)
