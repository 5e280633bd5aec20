# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A VM whose guest never releases a device: hotplug by ACPI, before the first instruction of a guest."""

from __future__ import annotations

from . import RecordedVM

RECORDED_VM = RecordedVM(words=["-device", "virtio-rng-pci,id=rng0,bus=rp0"], machine={"boot": False, "native": False})
