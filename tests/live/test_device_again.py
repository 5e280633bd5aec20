# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Devices that are specified again with what is the default of their driver, and drivers that QEMU does not survive."""

from __future__ import annotations

from typing import Any, Callable

import pytest

from ansible_collections.vmops.qemu.tests.vm.binaries import Binary
from ansible_collections.vmops.qemu.tests.vm.machine import VM

from .conftest import Modules, unchanged
from .test_refusals import refused


def device(vm: VM, check: bool = False, **options: Any) -> dict[str, Any]:
    return Modules(vm).run("qmp_device", check, **options)


@pytest.mark.parametrize(("driver", "name", "other", "default"), [
    ("virtio-balloon-pci", "deflate-on-oom", True, False),
    ("virtio-rng-pci", "acpi-index", 5, 0),
    ("virtio-rng-pci", "packed", "on", "off"),
    ("virtio-rng-pci", "bootindex", 3, -1),
    ("virtio-scsi-pci", "virtqueue_size", 128, 256),
    ("virtio-balloon-pci", "page-per-vq", True, False),
], ids=str)
def test_the_default_of_a_property_is_a_value_like_any_other(binary: Binary, make_vm: Callable[..., VM], driver: str, name: str,
                                                             other: Any, default: Any) -> None:
    vm = make_vm(binary=binary, boot=False, machine="pc")
    options = {"id": "d1", "driver": driver}
    assert device(vm, **options, properties={name: other}).get("changed")
    refused(device(vm, **options, properties={name: default}), "conflict", name, "recreate")
    changed = device(vm, check=True, **options, properties={name: default}, recreate=True)
    assert changed.get("changed") and changed["unverified"] == [], changed
    vm.query("device_add", driver=driver, id="d2", **{name: default})
    assert unchanged(device(vm, id="d2", driver=driver, properties={name: default}))


@pytest.mark.parametrize(("driver", "name", "choice"), [
    ("virtio-scsi-pci", "num_queues", 0xFFFFFFFF), ("virtio-rng-pci", "vectors", 0), ("qemu-xhci", "msi", "auto"),
    ("virtio-rng-pci", "disable-legacy", "auto"), ("megasas", "sas_address", 0), ("e1000", "romsize", 0xFFFFFFFF),
], ids=str)
def test_what_qemu_chooses_is_the_same_again(make_vm: Callable[..., VM], driver: str, name: str, choice: Any) -> None:
    vm = make_vm(boot=False, machine="pc")
    assert device(vm, id="d1", driver=driver, properties={name: choice}).get("changed")
    assert unchanged(device(vm, id="d1", driver=driver, properties={name: choice}))
