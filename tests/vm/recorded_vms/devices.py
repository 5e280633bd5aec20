# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A VM with devices that have no module of their own: two of the launch, one plugged since, and one free root port."""

from __future__ import annotations

from . import RecordedVM

RECORDED_VM = RecordedVM(
    words=["-device", "virtio-rng-pci,id=rng0,bus=rp0", "-device", "virtio-balloon-pci,id=balloon0,bus=rp1"],
    acts=[("device_add", {"driver": "virtio-rng-pci", "id": "rng1", "bus": "rp2", "max-bytes": 1024, "period": 1000})],
)
