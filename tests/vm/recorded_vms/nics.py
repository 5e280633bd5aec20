# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A VM with NICs of several sorts on root ports, of which the last is free, and with network backends that have no NIC.

QEMU creates the taps itself, and the kernel names one of them. The one with a name has several queues, so that all VMs that are
recorded at once can have it.
"""

from __future__ import annotations

from typing import Any

from . import DIRECTORY, RecordedVM

NICS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    # id, network backend, device
    ("user1", {"type": "user"}, {"driver": "e1000e", "romfile": ""}),
    ("tap1", {"type": "tap", "script": "no", "downscript": "no"}, {"driver": "virtio-net-pci"}),
    (
        "multi1",
        {"type": "tap", "ifname": "vmopsrec", "script": "no", "downscript": "no", "queues": 3},
        {"driver": "virtio-net-pci", "mq": True, "vectors": 8, "bootindex": 5},
    ),
    (
        "stream1",
        {"type": "stream", "addr": {"type": "unix", "path": f"{DIRECTORY}/net"}, "server": True},
        {"driver": "virtio-net-pci", "host_mtu": 1400},
    ),
    ("filtered1", {"type": "user"}, {"driver": "virtio-net-pci"}),
]

RECORDED_VM = RecordedVM(
    words=[
        *("-netdev", "user,id=u0,net=10.9.0.0/16,restrict=on,hostfwd=tcp:127.0.0.1:0-:22"),
        *("-device", "virtio-net-pci,netdev=u0,id=net0,bus=rp0,mac=52:54:00:00:00:10,bootindex=3"),
        *("-netdev", "user,id=u9", "-device", "virtio-net-pci,netdev=u9,id=slot0,addr=0x10,multifunction=on"),
        *("-netdev", "hubport,id=u8,hubid=8", "-device", "virtio-net-pci,netdev=u8,id=slot1,addr=0x10.1"),
        *("-nic", "user,id=board0,model=e1000,mac=52:54:00:00:00:20"),
    ],
    acts=[
        *(("netdev_add", {"id": name, **backend}) for name, backend, _device in NICS),
        *(
            ("device_add", {"id": name, "netdev": name, "bus": f"rp{number}", "mac": f"52:54:00:00:01:0{number}", **device})
            for number, (name, _backend, device) in enumerate(NICS, 1)
        ),
        ("object-add", {"qom-type": "filter-dump", "id": "dump1", "netdev": "filtered1", "file": f"{DIRECTORY}/packets"}),
        ("netdev_add", {"type": "hubport", "id": "hub1", "hubid": 5}),
        ("netdev_add", {"type": "user", "id": "inhub1"}),
        ("netdev_add", {"type": "hubport", "id": "hub2", "hubid": 5, "netdev": "inhub1"}),
        ("chardev-add", {"id": "null1", "backend": {"type": "null", "data": {}}}),
        (
            "chardev-add",
            {
                "id": "switch1",
                "backend": {
                    "type": "socket",
                    "data": {"addr": {"type": "unix", "data": {"path": f"{DIRECTORY}/switch"}}, "server": True, "wait": False},
                },
            },
        ),
    ],
    machine={"boot": False, "native": True, "ports": 7},
)
