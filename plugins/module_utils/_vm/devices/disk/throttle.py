# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""I/O limits of a disk, which QEMU reports, and changes while the guest uses the disk (``block_set_io_throttle``)."""

from __future__ import annotations

from typing import Any, Mapping

from ...errors import Conflict, InvalidOption, Unsupported
from ...model.hardware import PERIPHERAL, Device, Hardware
from ...plan.plan import Execute
from .options import LIMITS, RATES

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
    """Raise InvalidOption for limits that QEMU refuses (its rules are in ``throttle_is_valid``)."""
    for name, value in limits.items():
        most = _MOST_SECONDS if name.endswith("_length") else _MOST
        if not 0 <= value <= most:
            raise InvalidOption(f"limits.{name} {value} is out of range. Set 0 to {most}.")
    for rate in ("bps", "iops"):
        for burst in ("", "_max"):
            parts = [name for name in (f"{rate}_rd{burst}", f"{rate}_wr{burst}") if limits.get(name)]
            if limits.get(rate + burst) and parts:
                raise InvalidOption(
                    f"limits.{rate}{burst} limits reads and writes together, so it excludes limits.{parts[0]}. Set one of them."
                )
    for rate in RATES:
        _check_burst(rate, limits.get(rate, 0), limits.get(f"{rate}_max", 0), limits.get(f"{rate}_max_length"))
    if limits.get("iops_size") and not any(limits.get(name) for name in ("iops", "iops_rd", "iops_wr")):
        raise InvalidOption(
            "limits.iops_size needs a limit of operations. Set limits.iops, limits.iops_rd or limits.iops_wr too."
        )


def _check_burst(rate: str, value: int, burst: int, length: int | None) -> None:
    if burst and not value:
        raise InvalidOption(f"limits.{rate}_max is a burst above limits.{rate}, which is not set. Set it too.")
    if burst and burst < value:
        raise InvalidOption(f"limits.{rate}_max {burst} is less than limits.{rate} {value}. Set at least the rate.")
    if length == 0:
        raise InvalidOption(f"limits.{rate}_max_length 0 is out of range. Set the length of a burst in seconds, 1 or more.")
    if length and length > 1 and not burst:
        raise InvalidOption(f"limits.{rate}_max_length is the length of a burst, and limits.{rate}_max is not set. Set it too.")
    if length and burst > _MOST // length:
        raise InvalidOption(
            f"limits.{rate}_max_length {length} is too long for limits.{rate}_max {burst}: their product exceeds {_MOST}. Lower "
            "one of them."
        )


def present(block_info: Mapping[str, Any]) -> dict[str, Any]:
    """The limits that are in force by an entry of ``query-block``, without those that are unlimited."""
    inserted = block_info.get("inserted") or {}
    return in_force({name: inserted.get(name) for name in LIMITS})


def in_force(limits: Mapping[str, Any]) -> dict[str, Any]:
    """*limits* without those that are unlimited, and without a burst length of one second, which is the default."""
    return {name: value for name, value in limits.items() if value and not (name.endswith("_max_length") and value == 1)}


def refuse_shared_group(hardware: Hardware, disk_id: str, block_info: Mapping[str, Any], force: bool) -> None:
    """Raise Conflict if the disk shares a throttle group: the limits of a group apply to all its disks."""
    group = (block_info.get("inserted") or {}).get("group")
    others = [
        str(one.get("qdev") or one["device"])
        for one in hardware.block_devices
        if group and (one.get("inserted") or {}).get("group") == group and one.get("qdev") != block_info.get("qdev")
    ]
    names = sorted(other.replace(f"{PERIPHERAL}/", "").replace("/virtio-backend", "") for other in others)
    if names and not force:
        raise Conflict(
            f"The disk {disk_id} is in the throttle group {group} together with {', '.join(names)}, whose limits would change "
            "too. Set force: true to change them all.",
            users=names,
        )


def no_nvme_limits(disk_id: str) -> Unsupported:
    """The error for limits of an NVMe disk, to be raised."""
    return Unsupported(
        f"QEMU cannot limit an NVMe disk, and limits is set for {disk_id}. Set another driver, or use a throttle filter as "
        "backend."
    )


def set_limits(path: str, limits: Mapping[str, int], now: Mapping[str, int]) -> Execute:
    """Put *limits* in force, and no others; undone to those of *now*."""
    return Execute("block_set_io_throttle", _arguments(path, limits), Execute("block_set_io_throttle", _arguments(path, now)))


def backend_path(disk_id: str, driver: str, device: Device | None = None) -> str:
    """QEMU's name for the block backend of a disk. The backend of a virtio or USB disk is in a device inside of the disk."""
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
        rate = next((one for one in sorted(RATES, key=len, reverse=True) if name == one or name.startswith(f"{one}_max")), "")
        names[name] = f"{_LAUNCH_NAMES[rate]}{name[len(rate) :].replace('_', '-')}" if rate else "iops-size"
    return {f"throttling.{names[name]}": value for name, value in limits.items()}


def _arguments(path: str, limits: Mapping[str, int]) -> dict[str, Any]:
    return {"id": path, **dict.fromkeys(RATES, 0), **limits}
