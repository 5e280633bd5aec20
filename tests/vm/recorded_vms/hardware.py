# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A VM with launched and plugged hardware of several kinds, and three free root ports: for plans of disks, and of a whole VM."""

from __future__ import annotations

from . import RecordedVM

_NULL = {"driver": "null-co", "size": 1 << 20}

RECORDED_VM = RecordedVM(
    words=[
        "-blockdev",
        "null-co,node-name=boot,size=1048576",
        "-device",
        "virtio-blk-pci,bus=rp0,id=boot,drive=boot,bootindex=1",
        "-drive",
        "if=none,id=drv,driver=null-co,size=1M",
        "-device",
        "scsi-hd,bus=scsi0.0,id=bydrive,drive=drv",
        "-device",
        "scsi-cd,bus=scsi0.0,id=cd",
        "-object",
        "iothread,id=io0",
    ],
    acts=[
        ("blockdev-add", {"driver": "raw", "node-name": "d1", "read-only": False, "file": _NULL}),
        ("device_add", {"driver": "virtio-blk-pci", "id": "d1", "drive": "d1", "bus": "rp1", "addr": "0", "serial": "d1"}),
        ("blockdev-add", {"driver": "raw", "node-name": "d2", "read-only": False, "file": _NULL}),
        ("device_add", {"driver": "scsi-hd", "id": "d2", "drive": "d2", "bus": "scsi0.0", "scsi-id": 3, "serial": "d2"}),
        (
            "block_set_io_throttle",
            {"id": "d2", "bps": 0, "bps_rd": 0, "bps_wr": 0, "iops": 100, "iops_rd": 0, "iops_wr": 0},
        ),
        ("blockdev-add", {"driver": "raw", "node-name": "spare", "read-only": False, "file": _NULL}),
        ("netdev_add", {"type": "user", "id": "n1"}),
        ("device_add", {"driver": "virtio-net-pci", "id": "n1", "netdev": "n1", "bus": "rp2", "addr": "0"}),
        ("object-add", {"qom-type": "iothread", "id": "io1"}),
        ("chardev-add", {"id": "c1", "backend": {"type": "null", "data": {}}}),
    ],
    machine={"boot": False, "native": True, "ports": 6},
)
