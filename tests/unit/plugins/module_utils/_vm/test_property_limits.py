# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits of device properties that are narrower than their types."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils._vm.devices.property_limits import check_block_sizes, check_limits
from ansible_collections.vmops.qemu.plugins.module_utils._vm.errors import InvalidOption


@pytest.mark.parametrize(
    ("driver", "values", "words"),
    [
        ("e1000", {"mac": "52:54"}, "not a MAC address"),
        ("nvme", {"uuid": "1-2"}, "not a UUID"),
        ("virtio-blk-pci", {"num-queues": 0}, "queues 0 is not valid for a virtio-blk-pci: set a number from 1 to 1024"),
        ("virtio-blk-pci", {"queue-size": 100}, "a power of two, from 4 to 1024"),
        ("scsi-hd", {"bootindex": -2}, "bootindex -2"),
    ],
)
def test_values_beyond_a_limit(driver: str, values: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidOption, match=words):
        check_limits(driver, values, {"num-queues": "queues"})


def test_values_within_the_limits() -> None:
    check_limits("virtio-blk-pci", {"num-queues": 0xFFFF, "queue-size": 256, "uuid": "auto", "mac": "52:54:00:00:00:01"}, {})
    check_limits("e1000", {"num-queues": 5000}, {})
    check_block_sizes({"driver": "scsi-hd", "logical_block_size": 1})
    check_block_sizes({"driver": "nvme", "logical_block_size": 4096, "physical_block_size": 4096, "min_io_size": 8192})


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"logical_block_size": 1000}, "a power of two"),
        ({"logical_block_size": 4096}, "greater than physical_block_size 512"),
        ({"min_io_size": 100}, "not a multiple"),
    ],
)
def test_block_sizes_of_an_nvme_disk_that_do_not_fit(values: dict[str, int], words: str) -> None:
    with pytest.raises(InvalidOption, match=words):
        check_block_sizes({"driver": "nvme", **values})
