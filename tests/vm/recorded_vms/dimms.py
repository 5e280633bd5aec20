# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A VM without virtio-mem, to which DIMMs of 128, 256 and 128 MiB were plugged, and the backend of a fourth."""

from __future__ import annotations

from typing import Any

from . import RecordedVM

_SIZES = {"dimm1": 128, "big": 256, "dimm2": 128}


def _acts(name: str, size: int) -> list[tuple[str, dict[str, Any]]]:
    return [
        ("object-add", {"qom-type": "memory-backend-ram", "id": f"{name}.mem", "size": size << 20}),
        ("device_add", {"driver": "pc-dimm", "id": name, "memdev": f"{name}.mem"}),
    ]


RECORDED_VM = RecordedVM(
    words=[],
    acts=[*(act for name, size in _SIZES.items() for act in _acts(name, size)), _acts("dimm3", 512)[0]],
)
