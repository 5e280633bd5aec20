# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the type of a device property allows and QEMU does not: some such values abort QEMU, and the VM with it, others make it
refuse the device when it is half made, and an NVMe disk then keeps its node for ever."""

from __future__ import annotations

import re
from typing import Any, Mapping, NamedTuple

from ..errors import InvalidOption
from ..model.values import check_mac


class Limit(NamedTuple):
    """The range of a property of the drivers whose names begin with ``drivers``."""

    drivers: tuple[str, ...]
    least: int
    most: int
    power_of_two: bool = False


_VIRTIO = ("virtio-", "vhost-")
_LIMITS = {
    "bootindex": Limit(("",), -1, (1 << 31) - 1),
    "num-queues": Limit(_VIRTIO, 1, 1024),
    "num_queues": Limit(_VIRTIO, 1, 1022),
    "queue-size": Limit(_VIRTIO, 4, 1024, True),
    "virtqueue_size": Limit(_VIRTIO, 3, 1024),
    "cmb_size_mb": Limit(("nvme",), 0, 2048, True),
}
_UUID = re.compile(r"[0-9A-Fa-f]{8}-([0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}\Z")
_AUTOMATIC = (0xFFFF, 0xFFFFFFFF)
"""Values by which a task leaves the number to QEMU."""


def check_limits(driver: str, values: Mapping[str, Any], called: Mapping[str, str]) -> None:
    """Raise InvalidOption for a property that no *driver* can have with this value. *called* are names for the message."""
    if "mac" in values:
        check_mac(str(values["mac"]))
    if "uuid" in values and values["uuid"] != "auto" and not _UUID.match(str(values["uuid"])):
        raise InvalidOption(
            f"{called.get('uuid', 'uuid')} {values['uuid']!r} is not a UUID: write 8-4-4-4-12 hexadecimal digits."
        )
    for name, limit in _LIMITS.items():
        value = values.get(name)
        if value is None or not driver.startswith(limit.drivers) or value in _AUTOMATIC:
            continue
        if not limit.least <= value <= limit.most or limit.power_of_two and value & (value - 1):
            power = ", a power of two," if limit.power_of_two else ""
            raise InvalidOption(
                f"{called.get(name, name)} of a {driver} is a number{power} from {limit.least} to {limit.most}, not {value}."
            )


def check_block_sizes(arguments: Mapping[str, Any]) -> None:
    """Raise InvalidOption for block sizes of an NVMe disk that do not go together: of others QEMU frees the node."""
    problem = block_size_problem(arguments) if arguments["driver"] == "nvme" else ""
    if problem:
        raise InvalidOption(problem)


def block_size_problem(properties: Mapping[str, Any]) -> str:
    """Why QEMU will refuse a disk with these block sizes, "" if it will not."""
    logical = properties.get("logical_block_size") or 512
    physical = properties.get("physical_block_size") or 512
    for name, size in (("logical_block_size", logical), ("physical_block_size", physical)):
        if not 512 <= size <= 2 << 20 or size & (size - 1):
            return f"{name} {size} is not a power of two from 512 to {2 << 20}."
    if logical > physical:
        return f"logical_block_size {logical} is more than physical_block_size {physical}: set both."
    for name in ("min_io_size", "opt_io_size", "discard_granularity"):
        value = properties.get(name, 0)
        if value % logical and value not in _AUTOMATIC:
            return f"{name} {value} is not a multiple of logical_block_size {logical}."
    return ""
