# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The arguments that are read from a device create the same device again: plugged into another VM, and at its start."""

from __future__ import annotations

import json
from typing import Any, Callable

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils._vm.devices.current import backends_of, current_arguments
from ansible_collections.vmops.qemu.plugins.module_utils._vm.model.hardware import Hardware
from ansible_collections.vmops.qemu.plugins.module_utils.qmp import Monitor, UnixAddress
from ansible_collections.vmops.qemu.tests.vm.binaries import Binary
from ansible_collections.vmops.qemu.tests.vm.machine import VM

PLAIN: list[dict[str, Any]] = [
    {"driver": "virtio-blk-pci", "drive": "n0"},
    {"driver": "scsi-hd", "drive": "n1", "bus": "scsi0.0", "scsi-id": 0, "lun": 0},
    {"driver": "scsi-cd", "bus": "scsi0.0", "scsi-id": 1, "lun": 0},
    {"driver": "nvme", "drive": "n2", "serial": "z"},
    {"driver": "usb-storage", "drive": "n3", "bus": "usb0.0"},
    {"driver": "virtio-net-pci", "netdev": "h0"},
    {"driver": "e1000", "netdev": "h1"},
    {"driver": "e1000e", "netdev": "h2"},
    {"driver": "virtio-rng-pci"},
    {"driver": "virtio-scsi-pci"},
    {"driver": "virtio-serial-pci"},
    {"driver": "virtserialport", "chardev": "c0", "name": "org.qemu.guest_agent.0", "bus": "serial0.0"},
    {"driver": "virtconsole", "chardev": "c1", "bus": "serial0.0"},
    {"driver": "virtio-balloon-pci"},
    {"driver": "pc-dimm", "memdev": "m0"},
    {"driver": "nvdimm", "memdev": "m1"},
    {"driver": "virtio-mem-pci", "memdev": "m2"},
    {"driver": "qemu-xhci"},
    {"driver": "usb-hub", "bus": "usb0.0"},
    {"driver": "usb-tablet", "bus": "usb0.0"},
    {"driver": "ivshmem-plain", "memdev": "m3"},
    {"driver": "virtio-keyboard-pci"},
]
MANY: list[dict[str, Any]] = [
    {
        "driver": "virtio-blk-pci",
        "drive": "n0",
        "serial": "S,1",
        "iothread": "io1",
        "num-queues": 3,
        "logical_block_size": 4096,
        "physical_block_size": 8192,
        "discard_granularity": 65536,
        "write-cache": "off",
        "rerror": "stop",
        "werror": "report",
        "vectors": 5,
        "bootindex": 4,
        "queue-size": 64,
        "seg-max-adjust": False,
        "share-rw": True,
        "acpi-index": 9,
        "packed": True,
        "disable-legacy": "off",
        "multifunction": True,
    },
    {
        "driver": "scsi-hd",
        "drive": "n1",
        "bus": "scsi0.0",
        "scsi-id": 4,
        "lun": 2,
        "serial": "y",
        "wwn": 0x5000C50015EA71AD,
        "product": "DISK",
        "vendor": "ACME",
        "ver": "7",
        "device_id": "other",
        "rotation_rate": 1,
        "port_wwn": 7,
        "dpofua": True,
        "discard_granularity": 1 << 20,
        "removable": True,
    },
    {"driver": "scsi-cd", "bus": "scsi0.0", "scsi-id": 5, "lun": 1, "drive": "n4", "serial": "cd", "bootindex": 0},
    {"driver": "nvme", "drive": "n2", "serial": "z", "max_ioqpairs": 8, "mdts": 5, "use-intel-id": True},
    {"driver": "usb-storage", "drive": "n3", "bus": "usb0.0", "removable": True, "serial": "u", "bootindex": 6, "port": "3"},
    {
        "driver": "virtio-net-pci",
        "netdev": "h0",
        "mac": "52:54:00:AA:BB:01",
        "mq": True,
        "vectors": 6,
        "host_mtu": 1400,
        "rx_queue_size": 512,
        "romfile": "",
        "bootindex": 2,
        "speed": 1000,
        "duplex": "full",
        "tx": "timer",
        "rss": True,
        "guest_csum": False,
    },
    {"driver": "e1000", "netdev": "h1", "mac": "52:54:00:aa:bb:02", "init-vet": True, "romfile": ""},
    {"driver": "e1000e", "netdev": "h2", "mac": "52:54:00:aa:bb:03", "disable_vnet_hdr": 1, "bootindex": 7},
    {"driver": "virtio-rng-pci", "max-bytes": 1024, "period": 1000, "rng": "rng1"},
    {
        "driver": "virtio-scsi-pci",
        "num_queues": 2,
        "iothread": "io1",
        "max_sectors": 512,
        "cmd_per_lun": 16,
        "virtqueue_size": 128,
        "hotplug": False,
    },
    {"driver": "virtio-serial-pci", "max_ports": 5, "vectors": 3},
    {"driver": "virtserialport", "chardev": "c0", "name": "Org.Port", "bus": "serial0.0", "nr": 7},
    {"driver": "virtconsole", "chardev": "c1", "bus": "serial0.0", "nr": 5, "name": "con"},
    {"driver": "virtio-balloon-pci", "deflate-on-oom": True, "free-page-reporting": True, "guest-stats-polling-interval": 3},
    {"driver": "pc-dimm", "memdev": "m0", "slot": 2},
    {"driver": "nvdimm", "memdev": "m1", "label-size": 131072, "unarmed": True, "slot": 1},
    {"driver": "virtio-mem-pci", "memdev": "m2", "requested-size": 64 << 20, "block-size": 4 << 20},
    {"driver": "qemu-xhci", "p2": 8, "p3": 2},
    {"driver": "usb-hub", "bus": "usb0.0", "serial": "hub", "port": "2"},
    {"driver": "usb-tablet", "bus": "usb0.0", "usb_version": 1},
    {"driver": "ivshmem-plain", "memdev": "m3", "master": "on"},
    {"driver": "virtio-keyboard-pci", "serial": "kbd"},
]
ALWAYS = ("id", "driver", "bus", "addr", "scsi-id", "lun", "mac", "nr", "slot")
CARRIED = {
    "virtio-mem-pci": ("disable-legacy", "block-size", "unplugged-inaccessible"),
    "virtio-keyboard-pci": ("disable-legacy",),
    "virtio-serial-pci": ("class",),
    "qemu-xhci": ("msi",),
}
"""What QEMU works out for itself and is carried nevertheless."""
BEHIND = (
    "-object",
    "iothread,id=io1",
    "-object",
    "rng-random,id=rng1,filename=/dev/urandom",
    *(
        word
        for number in range(4)
        for word in ("-object", f"memory-backend-ram,id=m{number},size=128M,share={'on' if number == 3 else 'off'}")
    ),
    *(word for number in range(5) for word in ("-blockdev", f"null-co,node-name=n{number},size=67108864")),
    *(word for number in range(3) for word in ("-netdev", f"hubport,id=h{number},hubid=1")),
    "-chardev",
    "null,id=c0",
    "-chardev",
    "null,id=c1",
    "-machine",
    "nvdimm=on",
    "-device",
    "qemu-xhci,id=usb0,p2=8",
    "-device",
    "virtio-serial-pci,id=serial0",
)
_RUNS_ON_ITS_OWN = {"hotplugged", "parent_bus", "type", "legacy-addr"}
"""Properties in which a device of the start, or in another VM, may differ."""


def _look(monitor: Monitor, device_id: str) -> dict[str, Any]:
    """All readable properties of a device, those of its parts by their name."""
    path = f"/machine/peripheral/{device_id}"
    hardware = Hardware(monitor)
    names = [
        name
        for name, kind in hardware.cache.qom_list([path])[0].items()
        if name not in _RUNS_ON_ITS_OWN and not kind.startswith(("child<", "struct"))
    ]
    values = dict(zip(names, hardware.cache.qom_get((path, name) for name in names)))
    return {name: value for name, value in values.items() if "/unattached/" not in str(value)}


def _open(vm: VM) -> Monitor:
    return Monitor.connect(UnixAddress(str(vm.qmp_socket)))


@pytest.mark.parametrize("machine", ["q35", "pc"])
@pytest.mark.parametrize("devices", [PLAIN, MANY], ids=["plain", "many options"])
def test_a_device_is_made_again_as_it_is(
    binary: Binary, make_vm: Callable[..., VM], devices: list[dict[str, Any]], machine: str
) -> None:
    first, second = (make_vm(binary=binary, machine=machine, ports=24, boot=False, extra=BEHIND) for _number in range(2))
    settled, seen = [], {}
    with _open(first) as monitor:
        for number, device in enumerate(devices):
            listed = {one["name"] for one in monitor.execute("qom-list-types", {"implements": "pci-device", "abstract": False})}
            on_pci = device["driver"] in listed
            slot = {"bus": f"rp{number}", "addr": "0"} if machine == "q35" else {"bus": "pci.0", "addr": f"{number + 6:#x}"}
            monitor.execute("device_add", {"id": f"x{number}", **(slot if on_pci else {}), **device})
            hardware = Hardware(monitor)
            now = hardware.device(f"x{number}")
            assert now
            backends: dict[str, Any] = {name: device[name] for name in ("drive", "netdev", "chardev", "memdev") if name in device}
            if device["driver"] != "usb-storage":  # which hands its drive on to a SCSI disk below it
                assert backends_of(hardware, now) == backends
            settled.append({**current_arguments(hardware, now), **backends})
            assert settled[-1].keys() <= {*device, *ALWAYS, *CARRIED.get(device["driver"], ())}, (device, settled[-1])
            seen[f"x{number}"] = _look(monitor, f"x{number}")
    with _open(second) as monitor:
        for arguments in settled:
            monitor.execute("device_add", arguments)
            assert _look(monitor, arguments["id"]) == seen[arguments["id"]], arguments
    second.stop()
    started = tuple(word for arguments in settled for word in ("-device", json.dumps(arguments)))
    with _open(make_vm(binary=binary, machine=machine, ports=24, boot=False, extra=(*BEHIND, *started))) as monitor:
        for arguments in settled:
            assert _look(monitor, arguments["id"]) == seen[arguments["id"]], arguments


def test_a_mapping_of_queues_to_threads_is_part_of_it(bare_vm: VM) -> None:
    with _open(bare_vm) as monitor:
        monitor.execute("object-add", {"qom-type": "iothread", "id": "io1"})
        monitor.execute("blockdev-add", {"driver": "null-co", "node-name": "n0"})
        known = {one["name"] for one in monitor.execute("device-list-properties", {"typename": "virtio-blk-pci"})}
        more = {"iothread-vq-mapping": [{"iothread": "io1"}]} if "iothread-vq-mapping" in known else {"iothread": "io1"}
        arguments = {"driver": "virtio-blk-pci", "id": "x", "drive": "n0", "bus": "rp0", "addr": "0", "num-queues": 3, **more}
        monitor.execute("device_add", arguments)
        hardware = Hardware(monitor)
        device = hardware.device("x")
        assert device and {**current_arguments(hardware, device), **backends_of(hardware, device)} == arguments
