# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of vmops.qemu.qmp_blockdev, and what they mean to the domain."""

from __future__ import annotations

from typing import Any, Mapping

from ..._vm.devices.disk import backend, throttle
from ..._vm.devices.disk import plans as blockdev
from ..._vm.devices.disk.spec import PROPERTIES, DiskSpec, describe
from ..run import Kind
from .common import FRONTEND, frontend_spec, size_in_bytes

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
    "limits": {"type": "dict", "options": {name: {"type": "str" if name in BYTES else "int"} for name in throttle.LIMITS}},
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


def disk(params: Mapping[str, Any]) -> DiskSpec:
    """The domain's spec from the module's options."""
    cache = params["cache"] or {}
    on = backend.file_backend(params["file"], params["aio"]) if params["file"] else params["backend"]
    return DiskSpec(
        frontend=frontend_spec(params, PROPERTIES),
        backend=on,
        stated_format=params["format"] or None,
        read_only=params["read_only"],
        cache_direct=cache.get("direct"),
        cache_no_flush=cache.get("no_flush"),
        discard=params["discard"],
        detect_zeroes=params["detect_zeroes"],
        size=size_in_bytes(params["size"]),
        limits=limits(params["limits"]),
        passphrase=params["passphrase"],
        backend_secrets=params["backend_secrets"] or {},
        allow_shrink=params["allow_shrink"],
        attach=params["attach"],
        recreate=params["recreate"],
        force=params["force"],
    )


def limits(stated: Mapping[str, Any] | None) -> dict[str, int] | None:
    """The limits in bytes, operations and seconds; those that are not stated are none."""
    if stated is None:
        return None
    sizes = {name: size_in_bytes(value, f"limits.{name}") if name in BYTES else value for name, value in stated.items()}
    return {name: value for name, value in sizes.items() if value is not None}


KIND = Kind(
    result="disk",
    spec=disk,
    present=blockdev.plan_present,
    absent=blockdev.plan_absent,
    describe=lambda hardware, spec: describe(hardware, spec.id),
    own_options={**FRONTEND, **OPTIONS},
    rules={"mutually_exclusive": [("file", "backend"), ("backend", "aio")]},
)
