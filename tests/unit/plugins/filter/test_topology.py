# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures of recorded VMs, and of what results of tasks change in them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from ansible_collections.vmops.qemu.plugins.filter.topology import FilterModule, topology
from ansible_collections.vmops.qemu.tests.support import recordings
from ansible_collections.vmops.qemu.tests.support.recordings import Recording

FORMATS = ("tree", "mermaid")
PORT = {"id": "rp0", "path": "/p/rp0", "driver": "pcie-root-port", "bus": "pcie.0", "addr": "1"}
SCSI = {"id": "scsi0", "path": "/p/scsi0", "driver": "virtio-scsi-pci", "bus": "pcie.0", "addr": "a"}
VM: dict[str, Any] = {
    "vm": {"name": "vm1", "qemu_version": "7.2.0", "machine": "q35", "status": "running"},
    "cpus": {"count": 1, "maximum": 4, "slots": []},
    "memory": {"base": 256 << 20, "plugged": 0, "maximum": 2 << 30, "slots": 4, "devices": []},
    "devices": [SCSI, PORT],
    "buses": [
        {"name": "pcie.0", "type": "PCIE", "device": None, "hotplug": False, "free": 0},
        {"name": "rp0", "type": "PCIE", "device": "/p/rp0", "hotplug": True, "free": 1},
        {"name": "scsi0.0", "type": "SCSI", "device": "/p/scsi0", "hotplug": True, "free": 256},
    ],
    "disks": [],
    "nics": [],
    "chardevs": [],
    "objects": [],
}
DISK = {"id": "d1", "driver": "virtio-blk-pci", "bus": "rp0", "addr": "0", "file": "/d1", "format": "qcow2", "size": 1 << 30}
WITH_DISK = {
    **VM,
    "devices": [*VM["devices"], {"id": "d1", "path": "/p/d1", "driver": "virtio-blk-pci", "bus": "rp0", "addr": "0"}],
    "buses": [{**bus, "free": 0} if bus["name"] == "rp0" else bus for bus in VM["buses"]],
    "disks": [DISK],
}


def hotplug(before: dict[str, Any], after: dict[str, Any], **entries: Any) -> dict[str, Any]:
    """A result of qmp_hotplug."""
    return {"changed": True, "diff": {"before": before, "after": after}, "order": [], "status": "present", **entries}


def single(before: dict[str, Any], after: dict[str, Any], **members: Any) -> dict[str, Any]:
    """A result of qmp_blockdev."""
    return {"changed": True, "diff": {"before": before, "after": after}, "disk": after or None, **members}


def lines(*arguments: Any) -> list[str]:
    """The lines of a tree that are marked, without what draws its branches."""
    return [re.sub("[ │├└─]+", " ", line) for line in topology(*arguments).splitlines() if line[0] in "+-~?"]


def test_the_filter_has_its_name() -> None:
    assert FilterModule().filters() == {"topology": topology}


def test_a_tree_has_buses_devices_images_and_free_slots() -> None:
    assert topology(WITH_DISK) == "\n".join(
        [
            "VM vm1: QEMU 7.2.0, q35, running",
            "├─ vCPUs: 1 of 4",
            "├─ memory: 256 MiB of 2 GiB",
            "│  └─ free: 4 slots",
            "└─ pcie.0: PCI Express bus",
            "   ├─ rp0: pcie-root-port, addr 1",
            "   │  └─ d1: virtio-blk-pci",
            "   │     └─ image: /d1, qcow2, 1 GiB",
            "   └─ scsi0: virtio-scsi-pci, addr a",
            "      └─ scsi0.0: SCSI bus",
            "         └─ free: 256 slots",
        ]
    )


@pytest.mark.parametrize("result", [single({}, DISK), hotplug({}, {"blockdevs": {"d1": DISK}})], ids=["module", "hotplug"])
def test_a_disk_that_is_added_takes_the_free_slot(result: dict[str, Any]) -> None:
    assert lines(VM, result) == ["+ d1: virtio-blk-pci", "+ image: /d1, qcow2, 1 GiB"]
    assert "free\n" not in topology(VM, result) and "└─ free\n" in topology(VM)


def test_a_disk_that_is_removed_stays_in_the_picture() -> None:
    assert lines(WITH_DISK, single(DISK, {})) == ["- d1: virtio-blk-pci", "- image: /d1, qcow2, 1 GiB"]
    assert lines(VM, single(DISK, {})) == lines(WITH_DISK, single(DISK, {})), "facts from after the run"


def test_a_disk_that_is_detached_keeps_its_image() -> None:
    alone = {name: DISK[name] for name in ("id", "file", "format", "size")}
    assert lines(WITH_DISK, single(DISK, alone)) == ["- d1: virtio-blk-pci"]


def test_a_disk_that_is_resized_is_changed() -> None:
    assert lines(WITH_DISK, single(DISK, {**DISK, "size": 2 << 30})) == ["~ d1: virtio-blk-pci", "~ image: /d1, qcow2, 2 GiB"]


@pytest.mark.parametrize(
    "result",
    [
        single(DISK, {}, status="unplug_pending"),
        hotplug({"blockdevs": {"d1": DISK}}, {}, blockdevs=[{"id": "d1", "status": "unplug_pending"}]),
        {"failed": True, "error_code": "unplug_pending", "details": {"device": "d1"}},
    ],
    ids=["module", "hotplug", "failure"],
)
def test_an_unplug_that_the_guest_has_not_acknowledged_is_pending(result: dict[str, Any]) -> None:
    assert "? d1: virtio-blk-pci (unplug pending)" in lines(WITH_DISK, result)
    assert "d1<br/>virtio-blk-pci (unplug pending)" in topology(WITH_DISK, result, "mermaid")


def test_vcpus_memory_objects_and_several_results_are_marked() -> None:
    dimm = {"id": "dimm1", "type": "pc-dimm", "size": 128 << 20}
    cpus = {"cpus": {"count": 1, "maximum": 4}}, {"cpus": {"count": 3, "maximum": 4}}
    whole = hotplug(cpus[0], {**cpus[1], "memory": {"dimm1": dimm}, "objects": {"io1": {"id": "io1", "qom_type": "iothread"}}})
    expected = ["~ vCPUs: 3 of 4, 1 before", "+ dimm1: pc-dimm, 128 MiB", "+ d1: virtio-blk-pci", "+ image: /d1, qcow2, 1 GiB"]
    expected.append("+ io1: iothread")
    assert lines(VM, [whole, single({}, DISK)]) == expected
    assert lines(VM, {"results": [whole, single({}, DISK)]}) == expected, "the result of a loop"
    total = {"changed": True, "memory": {}, "diff": {"before": {"devices": []}, "after": {"devices": [dimm]}}}
    assert lines(VM, total) == ["+ dimm1: pc-dimm, 128 MiB"]


def test_a_result_alone_shows_what_it_changes() -> None:
    assert topology(single({}, DISK)).splitlines() == [
        "  VM",
        "  └─ rp0: bus",
        "+    └─ d1: virtio-blk-pci, addr 0",
        "+       └─ image: /d1, qcow2, 1 GiB",
    ]


def test_no_change_has_no_column_of_marks() -> None:
    assert topology(WITH_DISK, single(DISK, DISK)) == topology(WITH_DISK)


@pytest.mark.parametrize("name", ["mixed", "operations"])
def test_each_device_of_a_vm_is_there_once(name: str) -> None:
    for recording in recordings.of(name):
        facts = recordings.check(recording, "qmp_info")
        tree, diagram = (topology(facts, format=one) for one in FORMATS)
        for device in facts["devices"]:
            text = f"{device['id']}: {device['driver']}"
            assert len(re.findall(rf"─ {re.escape(text)}(,|\n|$)", tree)) == 1, (text, tree)
        assert tree.count("\n") + 1 == len(re.findall(r"(?m)^  n\d+[\[(]", diagram))


@pytest.fixture(params=recordings.of("buses"), ids=str)
def buses(request: pytest.FixtureRequest) -> Recording:
    recording: Recording = request.param
    return recording


def test_buses_have_their_device_and_their_free_slots(buses: Recording) -> None:
    facts = recordings.check(buses, "qmp_info", gather_subset=["buses", "devices", "capacity"])
    paths = {device["path"] for device in facts["devices"]}
    by_name = {bus["name"]: bus for bus in facts["buses"]}
    assert sorted(by_name) == ["br0", "lsi0.0", "pci.0", "scsi0.0", "vser0.0"] and len(facts["buses"]) == 5
    assert by_name["pci.0"]["device"] is None and by_name["vser0.0"]["free"] is None
    assert all(bus["device"] in paths for name, bus in by_name.items() if name != "pci.0")
    free = [bus["free"] for bus in facts["buses"] if bus["type"] in ("PCI", "PCIE")]
    assert sum(free) == facts["capacity"]["disk"]["count"]
    assert sum(bus["free"] for bus in facts["buses"] if bus["type"] == "SCSI") == facts["capacity"]["scsi_disk"]["count"]


@pytest.mark.parametrize("evil", ["\x1b[2Jx", "a\nb", "a\r\nb", "\u202eabc", "\x00", "x" * 100_000, "\ud800", '"]) end'])
def test_no_name_breaks_a_picture(evil: str) -> None:
    vm = {"vm": {**VM["vm"], "name": evil}, "devices": [{"id": evil, "driver": evil, "bus": evil, "path": evil, "addr": evil}]}
    for form in FORMATS:
        drawn = topology(vm, single({}, {**DISK, "id": evil, "bus": evil}), form)
        assert len(drawn.splitlines()) < 30 and len(drawn) < 10_000 and not re.search(r"[\x00-\x09\x0b-\x1f\u202e\ud800]", drawn)
        assert form == "tree" or re.fullmatch(r"[ -~\n]+", drawn), "a diagram is plain ASCII"


@pytest.mark.parametrize(
    ("value", "options", "message"),
    [
        ("text", {}, "the input is not a dictionary"),
        (VM, {"format": "dot"}, "It can be tree or mermaid"),
        (VM, {"format": {}}, "It can be tree or mermaid"),
        (VM, {"changes": "text"}, "changes is not the result"),
        ({"failed": True, "msg": "QEMU is gone."}, {}, "the task of the input failed, .*: QEMU is gone."),
        ({"devices": "text"}, {}, "does not have the form"),
        ({"memory": {"base": "x"}}, {}, "does not have the form"),
        ({"diff": {"before": {}, "after": 1}, "disk": 1}, {}, "does not have the form"),
    ],
)
def test_what_cannot_be_drawn_is_refused(value: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        topology(value, **options)


def test_parts_that_were_not_gathered_are_not_drawn() -> None:
    for name in VM:
        assert topology({name: VM[name]}).startswith("VM")
    assert topology({}) == "VM"
