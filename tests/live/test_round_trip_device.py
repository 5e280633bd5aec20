# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What qmp_device returns for a device, given to it again as options, changes nothing."""

from __future__ import annotations

from typing import Any, Callable

from ansible_collections.vmops.qemu.tests.support.modules import Modules, refused, unchanged
from ansible_collections.vmops.qemu.tests.support.round_trip import returned_options
from ansible_collections.vmops.qemu.tests.vm.binaries import Binary
from ansible_collections.vmops.qemu.tests.vm.machine import VM

LAUNCHED = (
    "-device",
    "virtio-rng-pci,id=rng0,bus=rp0",
    "-device",
    "virtio-balloon-pci,id=balloon0,addr=0x9.0,multifunction=on",
    "-device",
    "virtio-rng-pci,id=rng1,addr=0x9.1,disable-modern=on",
    "-device",
    "qemu-xhci,id=usb0,addr=0xa",
    "-device",
    "usb-hub,id=hub0,bus=usb0.0,port=1",
    "-device",
    "virtio-serial-pci,id=serial0,addr=0xb",
    "-chardev",
    "null,id=c0",
    "-device",
    "virtserialport,id=port0,bus=serial0.0,chardev=c0",
    "-device",
    "usb-tablet,id=tablet0,bus=usb0.0,port=1.1",
    "-device",
    "pcie-root-port,id=port9,chassis=99,addr=0xc",
)
PLUGGED: list[dict[str, Any]] = [
    {"driver": "virtio-rng-pci", "properties": {"max-bytes": 1024, "period": 1000}},
    {"driver": "virtio-scsi-pci"},
    {"driver": "usb-kbd", "bus": "usb0.0"},
    {"driver": "usb-serial", "bus": "usb0.0", "chardev": "c1"},
    {"driver": "virtconsole", "bus": "serial0.0", "chardev": "c2"},
    {"driver": "virtio-serial-pci", "bus": "rp2"},
]


def device(vm: VM, check: bool = False, **options: Any) -> dict[str, Any]:
    return Modules(vm).run("qmp_device", check, **options)


def fed_back(vm: VM, returned: dict[str, Any]) -> dict[str, Any]:
    """The result of a task with what was returned for a device as options; it changes nothing and compares everything."""
    options = returned_options("qmp_device", returned)
    assert {"id", "driver"} <= options.keys()
    again = device(vm, **options)
    assert unchanged(again) and again["unverified"] == [] and again["device"] == returned, (returned, again)
    return options


def test_devices_that_were_returned_can_be_fed_back(binary: Binary, make_vm: Callable[..., VM]) -> None:
    vm = make_vm(binary=binary, boot=False, native=True, extra=LAUNCHED)
    for name in ("c1", "c2"):
        assert Modules(vm).run("qmp_chardev", id=name, type="null")["changed"]
    launched = {name: device(vm, check=True, id=name)["device"] for name in LAUNCHED_IDS}
    assert launched["rng0"] == {
        "id": "rng0",
        "driver": "virtio-rng-pci",
        "bus": "rp0",
        "addr": "0",
        "at_launch": True,
    }
    assert launched["rng1"]["disable_modern"] is True and launched["rng1"]["addr"] == "9.1"
    assert launched["port0"]["chardev"] == "c0"
    for returned in launched.values():
        fed_back(vm, returned)
    for number, options in enumerate(PLUGGED):
        planned = device(vm, check=True, id=f"x{number}", **options)
        added = device(vm, id=f"x{number}", **options)
        assert added.get("changed") and added["device"] == planned["device"], (planned, added)
        assert fed_back(vm, added["device"]).get("chardev") == options.get("chardev")


LAUNCHED_IDS = ("rng0", "balloon0", "rng1", "usb0", "hub0", "serial0", "port0", "tablet0", "port9")


def test_what_check_mode_returns_for_a_device_is_what_a_run_accepts(bare_vm: VM) -> None:
    planned = device(bare_vm, check=True, id="v1", driver="vhost-vsock-pci", guest_cid=42, descriptors=False)
    assert planned["device"]["guest_cid"] == 42
    options = returned_options("qmp_device", planned["device"])
    again = device(bare_vm, check=True, descriptors=False, **options)
    assert again["commands"] == planned["commands"] and again["device"] == planned["device"]
    refused(device(bare_vm, descriptors=False, **options), "command_failed", "vhost-vsock")
    assert "v1" not in bare_vm.hardware()["devices"]
