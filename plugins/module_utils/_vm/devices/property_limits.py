# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits of device properties that are narrower than their type.

Some values outside of these limits abort QEMU, and the VM with it. Others make QEMU reject the device after it has made half of
it: a rejected NVMe disk keeps its block node until QEMU ends.
"""

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
"""Values that mean "QEMU chooses the number"."""


def check_limits(driver: str, values: Mapping[str, Any], called: Mapping[str, str]) -> None:
    """Raise InvalidOption for a value that the property of a *driver* cannot have.

    *called* maps properties to the names of their options, for the message.
    """
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
                f"{called.get(name, name)} {value} is not valid for a {driver}: set a number{power} from {limit.least} to "
                f"{limit.most}."
            )


def check_block_sizes(arguments: Mapping[str, Any]) -> None:
    """Raise InvalidOption for inconsistent block sizes of an NVMe disk. For other disks QEMU reports the error and frees the
    node."""
    problem = block_size_problem(arguments) if arguments["driver"] == "nvme" else ""
    if problem:
        raise InvalidOption(problem)


def block_size_problem(properties: Mapping[str, Any]) -> str:
    """Why QEMU rejects a disk with these block sizes; "" if it accepts them."""
    logical = properties.get("logical_block_size") or 512
    physical = properties.get("physical_block_size") or 512
    for name, size in (("logical_block_size", logical), ("physical_block_size", physical)):
        if not 512 <= size <= 2 << 20 or size & (size - 1):
            return f"{name} {size} is not valid: set a power of two from 512 to {2 << 20}."
    if logical > physical:
        return f"logical_block_size {logical} is greater than physical_block_size {physical}. Set both."
    for name in ("min_io_size", "opt_io_size", "discard_granularity"):
        value = properties.get(name, 0)
        if value % logical and value not in _AUTOMATIC:
            return f"{name} {value} is not a multiple of logical_block_size {logical}. Set a multiple."
    return ""
