# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits of a disk's I/O, which QEMU tells and changes while the guest uses the disk (``block_set_io_throttle``)."""

from __future__ import annotations

from typing import Any, Mapping

from ...errors import Conflict, InvalidOption, Unsupported
from ...model.hardware import PERIPHERAL, Device, Hardware
from ...plan.plan import Execute

_RATES = ("bps", "bps_rd", "bps_wr", "iops", "iops_rd", "iops_wr")
_OTHERS = tuple(f"{rate}_{part}" for part in ("max", "max_length") for rate in _RATES) + ("iops_size",)
LIMITS = (*_RATES, *_OTHERS)
"""By name in QEMU's spelling: bytes or operations per second, in all, read and written; ``max`` for bursts of so many seconds."""
_MOST = 10**15
"""The largest rate that QEMU takes (``THROTTLE_VALUE_MAX``)."""
_MOST_SECONDS = 2**32 - 1
_LAUNCH_NAMES = {
    "bps": "bps-total",
    "bps_rd": "bps-read",
    "bps_wr": "bps-write",
    "iops": "iops-total",
    "iops_rd": "iops-read",
    "iops_wr": "iops-write",
}


def check(limits: Mapping[str, int]) -> None:
    """Raise InvalidOption for limits that QEMU would not take (its rules are in ``throttle_is_valid``)."""
    for name, value in limits.items():
        most = _MOST_SECONDS if name.endswith("_length") else _MOST
        if not 0 <= value <= most:
            raise InvalidOption(f"limits.{name} {value} is out of range: give 0 to {most}.")
    for rate in ("bps", "iops"):
        for burst in ("", "_max"):
            parts = [name for name in (f"{rate}_rd{burst}", f"{rate}_wr{burst}") if limits.get(name)]
            if limits.get(rate + burst) and parts:
                raise InvalidOption(
                    f"limits.{rate}{burst} is for reading and writing together, so it does not go with "
                    f"limits.{parts[0]}. Set one of them."
                )
    for rate in _RATES:
        _check_burst(rate, limits.get(rate, 0), limits.get(f"{rate}_max", 0), limits.get(f"{rate}_max_length"))
    if limits.get("iops_size") and not any(limits.get(name) for name in ("iops", "iops_rd", "iops_wr")):
        raise InvalidOption("limits.iops_size needs a limit of operations: set iops, iops_rd or iops_wr too.")


def _check_burst(rate: str, value: int, burst: int, length: int | None) -> None:
    if burst and not value:
        raise InvalidOption(f"limits.{rate}_max is a burst above limits.{rate}, which is not set. Set it too.")
    if burst and burst < value:
        raise InvalidOption(f"limits.{rate}_max {burst} is less than limits.{rate} {value}. A burst is more than the rate.")
    if length == 0:
        raise InvalidOption(f"limits.{rate}_max_length is the length of a burst in seconds: give 1 or more.")
    if length and length > 1 and not burst:
        raise InvalidOption(f"limits.{rate}_max_length is the length of a burst, and limits.{rate}_max is not set. Set it too.")
    if length and burst > _MOST // length:
        raise InvalidOption(
            f"limits.{rate}_max_length {length} is too long for limits.{rate}_max {burst}: together they exceed {_MOST}."
        )


def present(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The limits that are in force by an entry of ``query-block``, those that are none left out."""
    inserted = entry.get("inserted") or {}
    return in_force({name: inserted.get(name) for name in LIMITS})


def in_force(limits: Mapping[str, Any]) -> dict[str, Any]:
    """*limits* without those that are none, and without bursts of one second, which is what they last unless told otherwise."""
    return {name: value for name, value in limits.items() if value and not (name.endswith("_max_length") and value == 1)}


def refuse_shared_group(hardware: Hardware, disk_id: str, entry: Mapping[str, Any], force: bool) -> None:
    """Raise Conflict where the disk shares a throttle group, whose limits are those of all its disks."""
    group = (entry.get("inserted") or {}).get("group")
    others = [
        str(one.get("qdev") or one["device"])
        for one in hardware.block_devices
        if group and (one.get("inserted") or {}).get("group") == group and one.get("qdev") != entry.get("qdev")
    ]
    names = sorted(other.replace(f"{PERIPHERAL}/", "").replace("/virtio-backend", "") for other in others)
    if names and not force:
        raise Conflict(
            f"The disk {disk_id} is in the throttle group {group} together with {', '.join(names)}, whose limits "
            "would change "
            "with it. Set force: true to change them all.",
            users=names,
        )


def set_limits(path: str, driver: str, limits: Mapping[str, int], now: Mapping[str, int]) -> Execute:
    """Put *limits* in force, and nothing else; taken back to those of *now*. Raises Unsupported."""
    if driver == "nvme":
        raise Unsupported("QEMU limits no NVMe disk this way; put a throttle filter below it, or take another driver.")
    return Execute("block_set_io_throttle", _arguments(path, limits), Execute("block_set_io_throttle", _arguments(path, now)))


def backend_path(disk_id: str, driver: str, device: Device | None = None) -> str:
    """The name that QEMU has for a disk's block backend: virtio and USB disks have theirs in a device inside."""
    path = device.path if device else f"{PERIPHERAL}/{disk_id}"
    if driver.startswith("virtio-blk"):
        return f"{path}/virtio-backend"
    if driver == "usb-storage":
        return f"{path}/{disk_id}.0/legacy[0]"
    return path if device and device.id is None else disk_id


def launch_options(limits: Mapping[str, int]) -> dict[str, int]:
    """The limits as ``-drive`` takes them."""
    names = {}
    for name in limits:
        rate = next((one for one in sorted(_RATES, key=len, reverse=True) if name == one or name.startswith(f"{one}_max")), "")
        names[name] = f"{_LAUNCH_NAMES[rate]}{name[len(rate) :].replace('_', '-')}" if rate else "iops-size"
    return {f"throttling.{names[name]}": value for name, value in limits.items()}


def _arguments(path: str, limits: Mapping[str, int]) -> dict[str, Any]:
    return {"id": path, **dict.fromkeys(_RATES, 0), **limits}
