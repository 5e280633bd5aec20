# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits of a disk's I/O, which QEMU tells and changes while the guest uses the disk (``block_set_io_throttle``)."""

from __future__ import annotations

from typing import Any, Mapping

from .errors import Unsupported
from .model import PERIPHERAL, Hardware
from .plan import Execute

_RATES = ("bps", "bps_rd", "bps_wr", "iops", "iops_rd", "iops_wr")
_OTHERS = tuple(f"{rate}_{part}" for part in ("max", "max_length") for rate in _RATES) + ("iops_size",)
LIMITS = (*_RATES, *_OTHERS)
"""By name in QEMU's spelling: bytes or operations per second, in all, read and written; ``max`` for bursts of so many seconds."""


def present(hardware: Hardware, device_id: str, driver: str) -> dict[str, Any]:
    """The limits that are in force, those that are none left out."""
    names = (device_id, backend_path(device_id, driver))
    entries = hardware.snapshot.ask("query-block")
    inserted: dict[str, Any] = next((entry.get("inserted", {}) for entry in entries if entry.get("qdev") in names), {})
    return in_force({name: inserted.get(name) for name in LIMITS})


def in_force(limits: Mapping[str, Any]) -> dict[str, Any]:
    """*limits* without those that are none, and without bursts of one second, which is what they last unless told otherwise."""
    return {name: value for name, value in limits.items() if value and not (name.endswith("_max_length") and value == 1)}


def set_limits(hardware: Hardware, device_id: str, driver: str, limits: Mapping[str, int], now: Mapping[str, int]) -> Execute:
    """Put *limits* in force, and nothing else; taken back to those of *now*. Raises Unsupported."""
    if driver == "nvme":
        raise Unsupported("QEMU limits no NVMe disk this way; put a throttle filter below it, or take another driver.")
    path = backend_path(device_id, driver)
    return Execute("block_set_io_throttle", _arguments(path, limits), Execute("block_set_io_throttle", _arguments(path, now)))


def backend_path(device_id: str, driver: str) -> str:
    """The name that QEMU has for a disk's block backend: virtio disks have theirs in a device inside."""
    return f"{PERIPHERAL}/{device_id}/virtio-backend" if driver.startswith("virtio-blk") else device_id


def _arguments(path: str, limits: Mapping[str, int]) -> dict[str, Any]:
    return {"id": path, **dict.fromkeys(_RATES, 0), **limits}
