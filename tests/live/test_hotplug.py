# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""qmp_hotplug: the desired hardware of a VM in one task."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.vmops.qemu.tests.support.modules import Modules, unchanged
from ansible_collections.vmops.qemu.tests.vm.machine import VM

MAC = "52:54:00:00:00:01"
SIZE = 1 << 20


def disk(name: str, size: int = SIZE, **options: Any) -> dict[str, Any]:
    return {"id": name, "backend": {"driver": "null-co", "size": size}, **options}


def gone(*names: str) -> list[dict[str, Any]]:
    return [{"id": name, "state": "absent"} for name in names]


def everything(directory: Path) -> dict[str, Any]:
    """One of each kind, some of which need each other; in no useful order."""
    return {
        "netdevs": [{"id": "net1", "type": "user", "mac": MAC}],
        "blockdevs": [disk("data1", iothread="io1"), disk("data2", driver="scsi-hd", bus="ctl1.0"), disk("spare", attach=False)],
        "devices": [{"id": "rng1", "driver": "virtio-rng-pci"}, {"id": "ctl1", "driver": "virtio-scsi-pci"}],
        "chardevs": [
            {"id": "port1", "type": "null", "driver": "virtserialport", "name": "org.test"},
            {"id": "line1", "type": "socket", "path": str(directory / "line1.sock")},
        ],
        "memory": [{"id": "dimm1", "size": "128M"}],
        "objects": [{"id": "io1", "qom_type": "iothread"}],
        "cpus": 2,
    }


def absent(desired: dict[str, Any]) -> dict[str, Any]:
    return {kind: gone(*(one["id"] for one in items)) for kind, items in desired.items() if kind != "cpus"}


@pytest.fixture
def big_vm(make_vm: Callable[..., VM]) -> VM:
    return make_vm(ports=8, extra=("-device", "virtio-serial-pci,id=serial0"))


def hotplug(vm: VM, check: bool = False, **options: Any) -> dict[str, Any]:
    return Modules(vm).run("qmp_hotplug", check, **options)


def names(result: dict[str, Any]) -> list[str]:
    return [f"{one['kind']} {one['state']} {' '.join(str(entry['id']) for entry in one['entries'])}" for one in result["order"]]


def test_every_kind_comes_and_goes_in_one_task(big_vm: VM, tmp_path: Path) -> None:
    vm, desired = big_vm, everything(tmp_path)
    before = vm.hardware()
    checked = hotplug(vm, True, **desired)
    assert checked["changed"] and vm.hardware() == before, checked
    done = hotplug(vm, **desired)
    assert done["changed"], done
    assert names(done) == names(checked)
    assert done["commands"] == checked["commands"]
    assert [one["id"] for one in done["blockdevs"]] == ["data1", "data2", "spare"]
    assert [one["disk"]["attached"] for one in done["blockdevs"]] == [True, True, False]
    assert done["netdevs"][0]["nic"]["mac"] == MAC and done["cpus"]["cpus"]["count"] == 2
    vm.wait_guest(lambda guest: len(guest["disks"]) == 2 and guest["cpus"]["present"] == "0-1")
    again = hotplug(vm, **desired)
    assert unchanged(again), again
    assert again["commands"] == [] and again["diff"] == {"before": {}, "after": {}}
    last = hotplug(vm, cpus=1, **absent(desired))
    assert last["changed"], last
    assert vm.hardware() == before
