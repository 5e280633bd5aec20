# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A VM with objects of several types, some of the launch, some in use, and what new objects refer to."""

from __future__ import annotations

from . import RecordedVM

RECORDED_VM = RecordedVM(
    words=[
        "-object",
        "iothread,id=io0",
        "-object",
        "secret,id=sec0,data=hush",
        "-device",
        "virtio-scsi-pci,id=scsi1,iothread=io0,bus=rp0",
        "-netdev",
        "user,id=n0",
        "-chardev",
        "null,id=c0",
    ],
    acts=[
        ("object-add", {"qom-type": "iothread", "id": "io1", "poll-max-ns": 5}),
        ("object-add", {"qom-type": "throttle-group", "id": "slow", "limits": {"iops-total": 500, "bps-read": 1000}}),
        ("object-add", {"qom-type": "memory-backend-memfd", "id": "mem1", "size": 2 << 20, "share": False}),
        ("object-add", {"qom-type": "filter-buffer", "id": "f0", "netdev": "n0", "interval": 1000}),
        ("object-add", {"qom-type": "can-bus", "id": "can0"}),
        ("object-add", {"qom-type": "throttle-group", "id": "used"}),
        (
            "blockdev-add",
            {"driver": "throttle", "node-name": "t0", "throttle-group": "used", "file": {"driver": "null-co", "size": 1 << 20}},
        ),
    ],
)
