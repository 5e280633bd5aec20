# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""qmp_hotplug: the desired hardware of a VM in one task."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils.qmp import Monitor
from ansible_collections.vmops.qemu.tests.support import in_process
from ansible_collections.vmops.qemu.tests.support.modules import Modules, refused, unchanged
from ansible_collections.vmops.qemu.tests.vm.binaries import Binary, binaries
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
def big_vm(make_vm: Callable[..., VM], binary: Binary) -> VM:
    return make_vm(binary=binary, ports=8, extra=("-device", "virtio-serial-pci,id=serial0"))


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
    assert [one["disk"]["attach"] for one in done["blockdevs"]] == [True, True, False]
    assert done["netdevs"][0]["nic"]["mac"] == MAC and done["cpus"]["cpus"]["count"] == 2
    vm.wait_guest(lambda guest: len(guest["disks"]) == 2 and guest["cpus"]["present"] == "0-1")
    again = hotplug(vm, **desired)
    assert unchanged(again), again
    assert again["commands"] == [] and again["diff"] == {"before": {}, "after": {}}
    last = hotplug(vm, **absent(desired))
    assert last["changed"], last
    left = vm.hardware()
    left["devices"].remove("cpu-0-1-0")
    assert left == {**before, "cpus": 2}


def test_vcpus_go_with_other_devices(make_vm: Callable[..., VM]) -> None:
    """Not on QEMU 7.2: with TCG it damages its own memory when a vCPU is removed, and aborts at a later command."""
    vm = make_vm(binary=binaries()[-1])
    before = vm.hardware()
    assert hotplug(vm, cpus=2, blockdevs=[disk("data1")])["changed"]
    vm.wait_guest(lambda guest: len(guest["disks"]) == 1 and guest["cpus"]["present"] == "0-1")
    assert hotplug(vm, cpus=1, blockdevs=gone("data1"))["changed"]
    assert vm.hardware() == before


@pytest.fixture
def native(make_vm: Callable[..., VM]) -> VM:
    """A VM without a guest, which releases devices at once."""
    return make_vm(boot=False, native=True, extra=("-object", "iothread,id=io0"))


@pytest.mark.parametrize(
    ("desired", "code", "words"),
    [
        ({"blockdevs": [disk(name) for name in "abcde"]}, "no_free_slot", "blockdevs[4] (e): "),
        ({"blockdevs": [disk("a"), disk("a")]}, "invalid_option", "blockdevs[0] (a) and blockdevs[1] (a) have the same id, a."),
        (
            {"netdevs": [{"id": name, "type": "user", "mac": MAC} for name in ("n1", "n2")]},
            "invalid_option",
            "netdevs[0] (n1) and netdevs[1] (n2) have the same mac",
        ),
        ({"blockdevs": [disk("a", bus="rp0"), disk("b", bus="rp0")]}, "no_free_slot", "blockdevs[1] (b): "),
        ({"memory": [{"id": "m1", "size": "1G"}, {"id": "m2", "size": "1G"}]}, "no_free_slot", "memory[1] (m2): "),
        ({"blockdevs": [disk("a", iothread="nosuch")]}, "invalid_option", "blockdevs[0] (a): "),
        ({"blockdevs": [disk("a", bootindex=1), disk("b", bootindex=1)]}, "conflict", "blockdevs[1] (b): bootindex 1"),
        (
            {"chardevs": [{"id": name, "type": "socket", "path": "/run/a.sock"} for name in ("c1", "c2")]},
            "invalid_option",
            "chardevs[0] (c1) and chardevs[1] (c2) have the same path",
        ),
        ({"memory": [{"id": "m1", "size": "128M"}, {"total": "256M"}]}, "invalid_option", "that this task does not list"),
        (
            {"devices": [{"id": "r1", "driver": "virtio-rng-pci", "properties": {"rng": "io0"}}]},
            "invalid_option",
            "is a iothread",
        ),
    ],
    ids=["slots", "id", "mac", "one slot", "memory", "reference", "bootindex", "path", "total", "link"],
)
def test_the_impossible_is_refused_before_the_first_command(native: VM, desired: Any, code: str, words: str) -> None:
    before = native.hardware()
    for check in (True, False):
        refused(hotplug(native, check, objects=[{"id": "io1", "qom_type": "iothread"}], **desired), code, words)
    assert native.hardware() == before


def over(node: str) -> dict[str, Any]:
    return {"id": "new", "backend": {"driver": "raw", "file": node}}


@pytest.mark.parametrize(
    ("desired", "code", "words"),
    [
        ({"blockdevs": [*gone("a"), over("a")]}, "invalid_option", "backend.file is 'a', but the VM has no such block node"),
        ({"blockdevs": [over("a")], "exact": True}, "invalid_option", "backend.file is 'a', but the VM has no such block node"),
        ({"blockdevs": [*gone("a"), {"id": "new", "file": "/nonexistent"}]}, "command_failed", "No such file or directory"),
        (
            {
                "objects": gone("group"),
                "blockdevs": [
                    *gone("a"),
                    {"id": "new", "backend": {"driver": "throttle", "throttle-group": "group", "file": {"driver": "null-co"}}},
                ],
            },
            "invalid_option",
            "backend.throttle-group is 'group'",
        ),
        (
            {"chardevs": gone("line"), "netdevs": [{"id": "n1", "type": "vhost-user", "chardev": "line"}]},
            "invalid_option",
            "chardev is 'line', but the VM has no such character device",
        ),
        (
            {"netdevs": [*gone("net"), {"id": "n1", "type": "hubport", "options": {"hubid": 1, "netdev": "net"}}]},
            "invalid_option",
            "options.netdev is 'net', but the VM has no such network backend",
        ),
        (
            {
                "blockdevs": gone("a"),
                "chardevs": [
                    {"id": "c1", "type": "socket", "address": "::1", "address_port": 1, "options": {"tls-creds": "nosuch"}}
                ],
            },
            "invalid_option",
            "options.tls-creds is 'nosuch', but the VM has no such object",
        ),
        ({"blockdevs": gone("a"), "devices": gone("rp3")}, "unsupported", "rp3 is on the bus pcie.0, from which QEMU removes no"),
    ],
    ids=["node", "exact", "file", "throttle group", "chardev", "netdev", "credentials", "bus"],
)
def test_nothing_is_removed_by_a_task_that_cannot_be_completed(
    native: VM, tmp_path: Path, desired: Any, code: str, words: str
) -> None:
    objects = [{"id": "group", "qom_type": "throttle-group"}]
    chardevs = [{"id": "line", "type": "socket", "path": str(tmp_path / "line.sock")}]
    netdevs = [{"id": "net", "type": "user"}]
    assert hotplug(native, blockdevs=[disk("a")], objects=objects, chardevs=chardevs, netdevs=netdevs)["changed"]
    before = native.hardware()
    for check in (True, False):
        refused(hotplug(native, check, **desired), code, words)
    assert native.hardware() == before


def test_a_total_is_reached_without_the_memory_that_the_task_lists(native: VM) -> None:
    listed = {"id": "dimm7", "size": "64M"}
    assert hotplug(native, memory=[listed, {"total": "384M"}])["changed"]
    assert unchanged(hotplug(native, memory=[listed, {"total": "384M"}]))
    planned = hotplug(native, True, memory=[listed, {"total": "320M"}])
    assert [one["arguments"]["id"] for one in planned["commands"]] == ["dimm1", "dimm1.mem"], planned
    refused(hotplug(native, memory=[listed, {"total": "256M"}]), "invalid_option", "that this task does not list")


def test_a_failure_in_the_middle_rolls_back_all_kinds(native: VM, tmp_path: Path) -> None:
    before = native.hardware()
    result = hotplug(
        native,
        objects=[{"id": "io1", "qom_type": "iothread"}],
        blockdevs=[disk("a", iothread="io1"), disk("b", driver="scsi-hd")],
        netdevs=[{"id": "n1", "type": "user", "options": {"hostfwd": "tcp:192.0.2.1:1-:22"}}],
    )
    assert result["failed"] and result["error_code"] == "command_failed" and result["changed"] is False, result
    assert result["msg"].startswith("netdevs[0] (n1): QEMU refused netdev_add") and result["details"]["item"]["id"] == "n1"
    assert native.hardware() == before


def test_exact_removes_what_is_not_listed_but_nothing_of_the_launch(native: VM) -> None:
    launch = native.hardware()
    kept, other = disk("a"), disk("b", driver="scsi-hd")
    objects = [{"id": "io1", "qom_type": "iothread"}]
    assert hotplug(native, blockdevs=[kept, other, disk("spare", attach=False)], objects=objects)["changed"]
    checked = hotplug(native, True, exact=True, blockdevs=[kept], objects=[])
    done = hotplug(native, exact=True, blockdevs=[kept], objects=[])
    assert checked["commands"] == done["commands"] and names(done) == names(checked)
    assert [(one["id"], one["action"]) for one in done["blockdevs"]] == [("a", "none"), ("b", "removed")]
    assert [(one["id"], one["action"]) for one in done["objects"]] == [("io1", "removed")]
    assert unchanged(hotplug(native, exact=True, blockdevs=[kept], objects=[]))
    assert "spare" in native.hardware()["nodes"]  # it is not a complete disk
    assert hotplug(native, exact=True, blockdevs=[{"id": "spare", "state": "absent"}])["changed"]
    assert native.hardware() == launch


def test_a_slot_that_comes_free_is_used_in_the_same_task(native: VM) -> None:
    assert hotplug(native, blockdevs=[disk(name) for name in "abcd"])["changed"]
    done = hotplug(native, blockdevs=[disk("e"), *gone("a")])
    assert done["changed"] and done["blockdevs"][0]["disk"]["bus"] == "rp0", done
    assert hotplug(native, blockdevs=gone("b", "c", "d", "e"))["changed"]


def test_an_object_is_removed_after_the_disk_that_releases_it_is_recreated(native: VM) -> None:
    objects = [{"id": "io1", "qom_type": "iothread"}]
    assert hotplug(native, objects=objects, blockdevs=[disk("a", iothread="io1")])["changed"]
    done = hotplug(native, objects=gone("io1"), blockdevs=[disk("a", iothread="io0", recreate=True)])
    assert done["changed"] and names(done) == ["blockdevs present a", "objects absent io1"], done


def test_devices_that_the_guest_does_not_release_are_pending_one_by_one(make_vm: Callable[..., VM]) -> None:
    vm = make_vm(boot=False)  # ACPI hotplug needs a guest; SCSI disks need none
    assert hotplug(vm, blockdevs=[disk("a"), disk("b", driver="scsi-hd")])["changed"]
    failed = hotplug(vm, blockdevs=gone("a"), timeout=1)
    assert failed["error_code"] == "unplug_pending" and failed["msg"].startswith("blockdevs[0] (a): "), failed
    done = hotplug(vm, blockdevs=[{**gone("a")[0], "on_pending": "report"}, *gone("b")], timeout=1)
    assert done["status"] == "unplug_pending" and [one["status"] for one in done["blockdevs"]] == ["unplug_pending", "absent"], (
        done
    )
    assert "b" not in vm.hardware()["nodes"] and "a" in vm.hardware()["nodes"]


def test_secrets_of_items_are_shown_nowhere(native: VM) -> None:
    secret = "correct-horse-battery-staple"
    for check in (True, False):
        result = hotplug(
            native,
            check,
            objects=[{"id": "s1", "qom_type": "secret", "secret": secret}],
            blockdevs=[disk("a", passphrase=secret, format="luks")],
        )
        assert result.get("failed") or check, result
        assert secret not in str(result)


def test_new_disks_get_their_sizes_after_one_look_at_all_nodes(
    bare_vm: VM, tmp_path: Path, image: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    true_way = Monitor.execute_many

    def counted(self: Monitor, requests: Any, **options: Any) -> Any:
        asked.extend(request.command for request in requests)
        return true_way(self, requests, **options)

    def run(**options: Any) -> dict[str, Any]:
        asked.clear()
        return in_process.main("qmp_hotplug", socket=str(bare_vm.qmp_socket), blockdevs=disks, **options)

    monkeypatch.setattr(Monitor, "execute_many", counted)
    disks: list[dict[str, Any]] = [
        {"id": f"d{number}", "file": image(f"d{number}"), "size": (20 + number) << 20, "driver": "scsi-hd"} for number in range(4)
    ]
    disks[0]["attach"] = False
    disks.append({"id": "top", "backend": {"driver": "raw", "file": "d0"}, "size": 30 << 20, "driver": "scsi-hd"})
    disks[3].update(size=8 << 20)
    failed = run()
    assert "would cut off its end" in failed["msg"] and failed["msg"].startswith("blockdevs[3] (d3): "), failed
    assert not failed["changed"] and bare_vm.hardware()["nodes"] == []
    assert {(tmp_path / f"d{number}").stat().st_size for number in range(4)} == {16 << 20}
    disks[3].update(size=23 << 20)
    done = run()
    assert done["changed"], done
    order = [(one["execute"], one["arguments"].get("node-name", one["arguments"].get("id"))) for one in done["commands"]]
    assert order == [
        *[("blockdev-add", f"d{number}") for number in range(4)],
        *[("block_resize", f"d{number}") for number in range(4)],
        *[("device_add", f"d{number}") for number in range(1, 4)],
        *[(command, "top") for command in ("blockdev-add", "block_resize", "device_add")],
    ]
    assert asked.count("query-named-block-nodes") == 4  # before, for each of the two groups, and after
    sizes = {one["id"]: one["disk"]["size"] >> 20 for one in done["blockdevs"]}
    assert sizes == {"d0": 30, "d1": 21, "d2": 22, "d3": 23, "top": 30}
    assert not run()["changed"]
