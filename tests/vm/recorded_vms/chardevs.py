# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A VM with character devices of several types, some with a port that has their id, some with other users."""

from __future__ import annotations

from typing import Any

from . import DIRECTORY, RecordedVM

TCP = {"type": "inet", "data": {"host": "127.0.0.1", "port": "0"}}
CHARDEVS: dict[str, tuple[str, dict[str, Any]]] = {
    "null1": ("null", {}),
    "port1": ("null", {}),
    "console1": ("pty", {}),
    "unix1": ("socket", {"addr": {"type": "unix", "data": {"path": f"{DIRECTORY}/unix1"}}, "server": True, "wait": False}),
    "client1": ("socket", {"addr": {"type": "unix", "data": {"path": f"{DIRECTORY}/unix1"}}, "server": False}),
    "abstract1": (
        "socket",
        {"addr": {"type": "unix", "data": {"path": f"{DIRECTORY}/a", "abstract": True}}, "server": True, "wait": False},
    ),
    "tcp1": ("socket", {"addr": TCP, "server": True, "wait": False, "telnet": True}),
    "file1": ("file", {"out": f"{DIRECTORY}/out"}),
    "ring1": ("ringbuf", {"size": 1024}),
    "backend1": ("null", {}),
    "used1": ("null", {}),
}

RECORDED_VM = RecordedVM(
    words=["-device", "virtio-serial-pci,id=vser0,bus=rp0", "-chardev", "null,id=serial9"],
    acts=[
        *(("chardev-add", {"id": name, "backend": {"type": kind, "data": data}}) for name, (kind, data) in CHARDEVS.items()),
        ("device_add", {"driver": "virtserialport", "id": "port1", "chardev": "port1", "bus": "vser0.0", "name": "org.test.a"}),
        ("device_add", {"driver": "virtconsole", "id": "console1", "chardev": "console1", "bus": "vser0.0"}),
        ("device_add", {"driver": "virtserialport", "id": "channel1", "chardev": "backend1", "bus": "vser0.0"}),
        ("object-add", {"qom-type": "rng-egd", "id": "egd1", "chardev": "used1"}),
    ],
    machine={"boot": False, "native": True},
)
