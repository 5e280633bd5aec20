# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VMs with much of everything: read in few round trips, in time, in little memory."""

from __future__ import annotations

from typing import Any, Callable, Iterator

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils._vm.devices.disk.results import describe_all
from ansible_collections.vmops.qemu.plugins.module_utils._vm.facts import SUBSETS
from ansible_collections.vmops.qemu.plugins.module_utils._vm.model import hardware
from ansible_collections.vmops.qemu.plugins.module_utils._vm.model.hardware import Hardware
from ansible_collections.vmops.qemu.plugins.module_utils.qmp import Monitor, Request, UnixAddress
from ansible_collections.vmops.qemu.tests.support.measured import run_measured
from ansible_collections.vmops.qemu.tests.support.modules import Modules, refused
from ansible_collections.vmops.qemu.tests.support.values import ALL
from ansible_collections.vmops.qemu.tests.vm.binaries import Binary
from ansible_collections.vmops.qemu.tests.vm.machine import VM

DISKS = 1000 if ALL else 200


def much(count: int) -> Iterator[str]:
    for number in range(count):
        for word in (
            f"-blockdev null-co,node-name=b{number},size=1048576,read-zeroes=on",
            f"-device scsi-hd,id=d{number},drive=b{number},bus=scsi0.0,scsi-id={number + 1}",
            f"-device scsi-cd,id=cd{number},bus=scsi0.0,scsi-id={number + 100}",
            f"-netdev user,id=n{number}",
            f"-object iothread,id=io{number}",
            f"-object throttle-group,id=tg{number}",
            f"-object memory-backend-ram,id=m{number},size=16M",
            f"-chardev null,id=c{number}",
        ):
            yield from word.split()


def round_trips(vm: VM, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How many there are to read each part of the facts."""
    asked: list[int] = []
    true_way = Monitor._exchange

    def counted(self: Monitor, *arguments: Any) -> Any:
        asked[-1] += 1
        return true_way(self, *arguments)

    monkeypatch.setattr(Monitor, "_exchange", counted)
    asked.append(0)
    with Monitor.connect(UnixAddress(str(vm.qmp_socket))) as monitor:
        for read in SUBSETS.values():
            asked.append(0)
            read()(Hardware(monitor))
    monkeypatch.undo()
    return dict(zip(SUBSETS, asked[1:]))


def test_the_round_trips_for_facts_do_not_grow_with_what_a_vm_has(
    binary: Binary, make_vm: Callable[..., VM], monkeypatch: pytest.MonkeyPatch
) -> None:
    few = round_trips(make_vm(binary=binary, boot=False, extra=tuple(much(1))), monkeypatch)
    many = round_trips(make_vm(binary=binary, boot=False, extra=tuple(much(7))), monkeypatch)
    assert {name: trips - few[name] for name, trips in many.items() if trips > few[name] + 1} == {}  # 256 questions are one


def test_a_vm_with_many_disks_is_read_and_changed_within_the_default_time(bare_vm: VM) -> None:
    with Monitor.connect(UnixAddress(str(bare_vm.qmp_socket))) as monitor:
        requests = []
        for number in range(DISKS):
            file = {"driver": "null-co", "size": 1 << 20, "read-zeroes": True}
            node = {"driver": "raw", "node-name": f"d{number}", "file": file}
            device = {
                "driver": "scsi-hd",
                "id": f"d{number}",
                "drive": f"d{number}",
                "bus": "scsi0.0",
                "channel": 0,
                "scsi-id": number % 250,
                "lun": number // 250 + 1,
            }
            requests += [Request("blockdev-add", node), Request("device_add", device)]
        assert monitor.execute_many(requests, timeout=120) == [{}] * len(requests)
    facts = run_measured("qmp_info", {"socket": str(bare_vm.qmp_socket)})
    assert len(facts.result["disks"]) == DISKS and facts.memory < 100, facts.memory
    modules, disk = Modules(bare_vm), {"id": "x1", "backend": {"driver": "null-co", "size": 1 << 20}, "driver": "scsi-hd"}
    taken = modules.blockdev(bus="scsi0.0", scsi_id=3, lun=1, **disk)
    refused(taken, "no_free_slot", "scsi_id 3, lun 1: it holds d3 (scsi-hd). Set another slot")
    added = run_measured(
        "qmp_blockdev", {"socket": str(bare_vm.qmp_socket), "id": "x1", "backend": {"driver": "null-co", "size": 1 << 20}}
    )
    assert added.result["changed"] and added.memory < 100, (added.memory, added.result.get("msg"))


def slots(vm: VM, most: int, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Any], list[Any], list[Any]]:
    """All buses with what is on them, all devices, and all disks. More than *most* SCSI devices are looked for in the text."""
    monkeypatch.setattr(hardware, "_MANY", most)
    with Monitor.connect(UnixAddress(str(vm.qmp_socket))) as monitor:
        found = Hardware(monitor)
        return (
            [bus._replace(devices=tuple(sorted(bus.devices, key=str))) for bus in found.buses],
            found.devices,
            describe_all(found),
        )


def test_the_slots_of_many_scsi_disks_are_those_that_a_question_for_each_returns(
    binary: Binary, make_vm: Callable[..., VM], monkeypatch: pytest.MonkeyPatch
) -> None:
    vm = make_vm(binary=binary, boot=False, ports=1, extra=("-device", "virtio-scsi-pci,id=scsi1"))
    asked: list[str] = []
    true_way = Monitor.execute_many

    def counted(self: Monitor, requests: Any, **options: Any) -> Any:
        asked.extend(request.command for request in requests)
        return true_way(self, requests, **options)

    def add(monitor: Monitor, number: int, **properties: str) -> None:
        monitor.execute("blockdev-add", {"driver": "null-co", "node-name": f"n{number}", "size": 1 << 20})
        slot = {"bus": f"scsi{number % 2}.0", "scsi-id": number, "lun": number % 3, "share-rw": number % 5 == 0, **properties}
        driver = "scsi-cd" if number % 7 == 0 else "scsi-hd"
        disk = {"driver": driver, "id": f"s{number}", "drive": f"n{number}", **slot}
        monitor.execute("device_add", disk)

    with Monitor.connect(UnixAddress(str(vm.qmp_socket))) as monitor:
        for number in range(70):
            add(monitor, number)
    monkeypatch.setattr(Monitor, "execute_many", counted)
    one_text = slots(vm, 64, monkeypatch)
    count = len(asked)
    assert one_text == slots(vm, 1000, monkeypatch)
    assert len(asked) - count >= count + 4 * 70 - 9  # for each the link of its bus, parent_bus, scsi-id and lun
    with Monitor.connect(UnixAddress(str(vm.qmp_socket))) as monitor:
        lie = 'x"\n                scsi-id = 99 (0x63)\n              dev: scsi-hd, id "s80"\n                y = "'
        add(monitor, 71, device_id=lie)
    assert slots(vm, 64, monkeypatch) == slots(vm, 1000, monkeypatch)


def test_the_schema_and_the_list_of_many_nodes_are_read(bare_vm: VM) -> None:
    with Monitor.connect(UnixAddress(str(bare_vm.qmp_socket))) as monitor:
        assert len(monitor.execute("query-qmp-schema")) > 500
        nodes = [{"driver": "null-co", "node-name": f"n{number}"} for number in range(2000)]
        monitor.execute_many([Request("blockdev-add", node) for node in nodes], timeout=120)
        assert len(monitor.execute("query-named-block-nodes", {"flat": True})) == 2000
