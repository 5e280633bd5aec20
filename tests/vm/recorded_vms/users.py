# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A VM in which each kind of object, character device and network backend is used by something."""

from __future__ import annotations

from . import DIRECTORY, RecordedVM

RECORDED_VM = RecordedVM(
    words=[
        "-object",
        "iothread,id=io0",
        "-object",
        "iothread,id=idle",
        "-object",
        "rng-random,id=random0,filename=/dev/urandom",
        "-object",
        "throttle-group,id=limits0,x-iops-total=100",
        "-object",
        "tls-creds-anon,id=tls0,endpoint=client",
        "-object",
        "can-bus,id=can0",
        "-object",
        "memory-backend-ram,id=ram0,size=128M",
        "-device",
        "pc-dimm,id=dimm0,memdev=ram0",
        "-device",
        "virtio-rng-pci,id=rng0,rng=random0,bus=rp0",
        "-blockdev",
        "throttle,node-name=limited,throttle-group=limits0,file.driver=null-co",
        "-blockdev",
        "null-co,node-name=node0",
        "-device",
        "virtio-blk-pci,id=disk0,drive=node0,iothread=io0,bus=rp1",
        "-netdev",
        "user,id=net0",
        "-device",
        "virtio-net-pci,id=nic0,netdev=net0,bus=rp2",
        "-netdev",
        "user,id=net1",
        "-object",
        f"filter-dump,id=dump0,netdev=net0,file={DIRECTORY}/dump",
        "-chardev",
        "ringbuf,id=port0",
        "-device",
        "virtio-serial-pci,id=vser0,bus=rp3",
        "-device",
        "virtserialport,id=vport0,chardev=port0",
        "-chardev",
        "ringbuf,id=egd0",
        "-object",
        "rng-egd,id=random1,chardev=egd0",
        "-chardev",
        "ringbuf,id=board0",
        "-serial",
        "chardev:board0",
    ],
    acts=[
        ("migrate-set-parameters", {"tls-creds": "tls0"}),
        ("nbd-server-start", {"addr": {"type": "unix", "data": {"path": f"{DIRECTORY}/nbd"}}}),
        ("block-export-add", {"type": "nbd", "id": "export0", "node-name": "node0"}),
    ],
)
