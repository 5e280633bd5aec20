# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Devices that are specified again with what is the default of their driver, and drivers that QEMU does not survive."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.vmops.qemu.tests.support.modules import Modules, refused, unchanged
from ansible_collections.vmops.qemu.tests.vm.binaries import Binary
from ansible_collections.vmops.qemu.tests.vm.machine import VM


def device(vm: VM, check: bool = False, **options: Any) -> dict[str, Any]:
    return Modules(vm).run("qmp_device", check, **options)


@pytest.mark.parametrize(
    ("driver", "name", "other", "default"),
    [
        ("virtio-balloon-pci", "deflate-on-oom", True, False),
        ("virtio-rng-pci", "acpi-index", 5, 0),
        ("virtio-rng-pci", "packed", True, False),
        ("virtio-scsi-pci", "virtqueue_size", 128, 256),
        ("virtio-balloon-pci", "page-per-vq", True, False),
    ],
    ids=str,
)
def test_the_default_of_a_property_is_a_value_like_any_other(
    binary: Binary, make_vm: Callable[..., VM], driver: str, name: str, other: Any, default: Any
) -> None:
    vm = make_vm(binary=binary, boot=False, machine="pc")
    options: dict[str, Any] = {"id": "d1", "driver": driver}
    assert device(vm, **options, properties={name: other}).get("changed")
    refused(device(vm, **options, properties={name: default}), "conflict", name, "recreate")
    changed = device(vm, check=True, **options, properties={name: default}, recreate=True)
    assert changed.get("changed") and changed["unverified"] == [], changed


@pytest.mark.parametrize(
    ("driver", "name", "choice"),
    [
        ("virtio-scsi-pci", "num_queues", 0xFFFFFFFF),
        ("virtio-rng-pci", "vectors", 0),
        ("nec-usb-xhci", "msi", "auto"),
        ("virtio-rng-pci", "disable-legacy", "auto"),
        ("megasas", "sas_address", 0),
        ("e1000", "romsize", 0xFFFFFFFF),
    ],
    ids=str,
)
def test_what_qemu_chooses_is_the_same_again(make_vm: Callable[..., VM], driver: str, name: str, choice: Any) -> None:
    vm = make_vm(boot=False, machine="pc")
    assert device(vm, id="d1", driver=driver, properties={name: choice}).get("changed")
    assert unchanged(device(vm, id="d1", driver=driver, properties={name: choice}))


@pytest.mark.parametrize("driver", ["virtio-gpu-gl-pci", "virtio-vga-gl"])
def test_a_driver_without_its_other_half_is_not_even_asked_about(binary: Binary, make_vm: Callable[..., VM], driver: str) -> None:
    vm = make_vm(binary=binary, boot=False)
    known = {entry["name"] for entry in vm.query("qom-list-types")}
    code = "unsupported" if driver in known else "invalid_option"
    assert "virtio-gpu-gl-device" not in known
    for check in (True, False):
        refused(device(vm, check, id="g1", driver=driver), code, driver)
        refused(Modules(vm).run("qmp_netdev", check, id="n1", type="user", driver=driver), code, driver)
    if driver in known:
        for name, argument in (("device-list-properties", "typename"), ("device_add", "driver")):
            refused(Modules(vm).run("qmp_command", execute=name, arguments={argument: driver}), code, driver)
    assert vm.query("query-status")["status"] == "prelaunch"


def test_a_doorbell_needs_a_server_or_qemu_would_stand_still(binary: Binary, make_vm: Callable[..., VM], tmp_path: Path) -> None:
    vm = make_vm(binary=binary, boot=False, machine="pc")
    doorbell: dict[str, Any] = {"id": "d1", "driver": "ivshmem-doorbell", "timeout": 5}
    backends: dict[str, dict[str, Any]] = {"c1": {"type": "null"}, "c2": {"type": "socket", "path": str(tmp_path / "c2")}}
    for name, options in backends.items():
        assert Modules(vm).run("qmp_chardev", id=name, **options).get("changed")
        for check in (True, False):
            refused(device(vm, check, **doorbell, properties={"chardev": name}), "conflict", name, "server")
    refused(device(vm, **doorbell), "invalid_option", "chardev")
    refused(device(vm, **doorbell, properties={"chardev": "c9"}), "invalid_option", "c9")
    for driver in ("vhost-user-blk-pci", "vhost-user-scsi-pci-non-transitional"):
        waits = {**doorbell, "driver": driver, "properties": {"chardev": "c2"}}
        refused(device(vm, check=True, **waits), "conflict", "c2", "server")
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(str(tmp_path / "c2"))
        planned = device(vm, check=True, **doorbell, properties={"chardev": "c2"})
        assert planned.get("changed"), planned


@pytest.mark.parametrize("driver", ["rocker", "dc390"])
def test_what_qemu_does_not_survive_the_removal_of(binary: Binary, make_vm: Callable[..., VM], driver: str) -> None:
    vm = make_vm(binary=binary, boot=False, machine="pc", extra=("-device", f"{driver},id=r0"))
    for check in (True, False):
        refused(device(vm, check, id="r1", driver=driver), "unsupported", driver, "aborts")
        refused(device(vm, check, id="r0", state="absent", force=True), "unsupported", driver, "aborts")
    refused(device(vm, id="r0", driver="virtio-rng-pci", recreate=True, force=True), "unsupported", driver)
    assert unchanged(device(vm, id="r0", driver=driver))


def test_the_character_device_that_goes_with_a_usb_redirection_is_reported(binary: Binary, make_vm: Callable[..., VM]) -> None:
    vm = make_vm(binary=binary, boot=False, machine="pc", extra=("-device", "qemu-xhci,id=x1"))
    if "usb-redir" not in {entry["name"] for entry in vm.query("qom-list-types", implements="device")}:
        refused(device(vm, id="u1", driver="usb-redir"), "invalid_option", "usb-redir")
        return
    assert Modules(vm).run("qmp_chardev", id="c1", type="null").get("changed")
    options: dict[str, Any] = {"id": "u1", "driver": "usb-redir", "properties": {"chardev": "c1"}}
    assert device(vm, **options).get("changed")
    refused(device(vm, **{**options, "driver": "usb-tablet", "properties": {}}, recreate=True), "unsupported", "c1")
    for check in (True, False):
        gone = device(vm, check, id="u1", state="absent")
        assert gone.get("changed") and "c1" in json.dumps(gone["warnings"]), gone
    assert "c1" not in {entry["label"] for entry in vm.query("query-chardev")}
