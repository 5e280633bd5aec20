# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A PC without PCI Express: a conventional bus with two functions in one slot, a bridge, SCSI buses of two controllers."""

from __future__ import annotations

from . import RecordedVM

RECORDED_VM = RecordedVM(
    words=[
        "-device",
        "pci-bridge,id=br0,chassis_nr=1,addr=0x10",
        "-device",
        "virtio-rng-pci,id=first,addr=0x11.0,multifunction=on",
        "-device",
        "virtio-rng-pci,id=second,addr=0x11.1",
        "-device",
        "lsi53c895a,id=lsi0,addr=0x12",
        "-device",
        "virtio-serial-pci,id=vser0,addr=0x13",
        "-device",
        "scsi-cd,id=cd1,bus=scsi0.0,scsi-id=0,lun=0",
    ],
    machine={"boot": False, "machine": "pc"},
)
