# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of a disk's options. A new option of the block node or of the device is one row here."""

from __future__ import annotations

from ..option_table import Option

NODE = (
    Option("format", "driver", lambda node: node.driver),
    Option("read_only", "read-only", lambda node: node.read_only),
    Option("cache.direct", "cache.direct", lambda node: node.details.get("cache", {}).get("direct"), default=False),
    Option("cache.no_flush", "cache.no-flush", lambda node: node.details.get("cache", {}).get("no-flush"), default=False),
    Option("aio", "file.aio"),
    Option("discard", "discard"),
    Option("detect_zeroes", "detect-zeroes", lambda node: node.details.get("detect_zeroes"), default="off"),
)
"""The options of the block node, to be read from a ``Node``. The options of its protocol node are below ``file.``. That node
inherits the cache mode and read-only from the one above."""

PROPERTIES = (
    Option("serial", "serial"),
    Option("queues", "num-queues"),
    Option("share_rw", "share-rw"),
    Option("bootindex", "bootindex"),
    Option("iothread", "iothread"),
)
"""The options that are properties of the device."""

RATES = ("bps", "bps_rd", "bps_wr", "iops", "iops_rd", "iops_wr")
LIMITS = (*RATES, *(f"{rate}_{part}" for part in ("max", "max_length") for rate in RATES), "iops_size")
"""By name in QEMU's spelling: bytes or operations per second, in total, for reads and for writes; ``max`` for bursts, which last
``max_length`` seconds."""
