# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A VM with memory of all sorts: of the launch, plugged since, and backends without a device. One of four slots is free."""

from __future__ import annotations

from typing import Any

from . import DIRECTORY, RecordedVM

_SIZE = 128 << 20


def _backend(name: str, kind: str = "ram", **properties: Any) -> tuple[str, dict[str, Any]]:
    return "object-add", {"qom-type": f"memory-backend-{kind}", "id": name, "size": _SIZE, **properties}


RECORDED_VM = RecordedVM(
    words=[
        "-machine",
        "nvdimm=on",
        "-object",
        "memory-backend-ram,id=lm1,size=128M,share=on",
        "-device",
        "pc-dimm,id=d1,memdev=lm1",
        "-object",
        f"memory-backend-file,id=lm2,size=128M,mem-path={DIRECTORY}/nv",
        "-device",
        "nvdimm,id=nv1,memdev=lm2",
        "-object",
        "memory-backend-ram,id=lm3,size=256M",
        "-device",
        "virtio-mem-pci,id=e1,memdev=lm3,bus=rp1,requested-size=64M",
        "-object",
        "memory-backend-ram,id=lm4,size=16M",
        "-device",
        "ivshmem-plain,id=shared,memdev=lm4,bus=rp2",
    ],
    acts=[
        _backend("m1.mem", "memfd", **{"host-nodes": [0], "policy": "bind"}),
        ("device_add", {"driver": "pc-dimm", "id": "m1", "memdev": "m1.mem", "slot": 3}),
        _backend("left.mem"),
        _backend("larger.mem", size=2 * _SIZE),
        _backend("used.mem"),
        ("device_add", {"driver": "ivshmem-plain", "id": "user", "memdev": "used.mem", "bus": "rp3"}),
        ("object-add", {"qom-type": "secret", "id": "sec.mem", "data": "hush"}),
    ],
)
