# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans for memory devices, and for the total of a VM with a virtio-mem device, over a recorded VM."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils._vm.devices.memory import backend, capacity
from ansible_collections.vmops.qemu.plugins.module_utils._vm.devices.memory.plans import plan_absent
from ansible_collections.vmops.qemu.plugins.module_utils._vm.devices.memory.spec import TotalSpec
from ansible_collections.vmops.qemu.plugins.module_utils._vm.errors import (
    Conflict,
    HardwareError,
    InvalidOption,
    NoFreeSlot,
    StillInProgress,
    Unsupported,
)
from ansible_collections.vmops.qemu.plugins.module_utils._vm.model.hardware import Hardware
from ansible_collections.vmops.qemu.plugins.module_utils._vm.plan.plan import Plan, Run
from ansible_collections.vmops.qemu.tests.support import recordings
from ansible_collections.vmops.qemu.tests.support.recordings import DIRECTORY, Recording
from ansible_collections.vmops.qemu.tests.support.values import MiB

RUNNING = {"status": "running", "running": True, "singlestep": False}
ROOM = {"size": 256 * MiB, "slots": 4, "max-size": 2048 * MiB}
"""The memory of every recorded VM, as its machine has it."""

RECORDED = "memory"


def plan(hardware: Hardware, **options: Any) -> Plan:
    return recordings.plan(hardware, "qmp_memory_hotplug", **options)


def sent(made: Plan) -> list[str]:
    return [command["execute"] for command in made.commands()]


def arguments(made: Plan, number: int) -> dict[str, Any]:
    found: dict[str, Any] = made.commands()[number]["arguments"]
    return found


# A memory device


@pytest.mark.parametrize(
    "options",
    [
        {"id": "d1"},
        {"id": "d1", "type": "pc-dimm", "size": "128M", "backend": "ram", "share": True, "slot": 0, "node": 0},
        {"id": "m1", "backend": "memfd", "host_nodes": [0], "policy": "bind", "slot": 3},
        {"id": "nv1", "size": "128M", "mem_path": f"{DIRECTORY}/nv", "share": False},
        {"id": "e1", "size": "256M", "requested_size": "64M", "bus": "rp1", "addr": "0"},
        {"id": "gone", "state": "absent"},
    ],
    ids=str,
)
def test_what_the_vm_has_is_not_changed(hardware: Hardware, options: dict[str, Any]) -> None:
    made = plan(hardware, **options)
    assert made.steps == () and made.before == made.after and made.unverified == ()


def test_an_nvdimm_with_a_private_file_gets_a_warning(hardware: Hardware) -> None:
    made = plan(hardware, id="nv1")
    assert "private copy" in made.warnings[0] and made.launch_args[:2] == ("-machine", "nvdimm=on")
    assert "share=on" in made.launch_args[3]


def test_a_new_dimm(hardware: Hardware) -> None:
    made = plan(hardware, id="new", size="128M")
    assert sent(made) == ["object-add", "device_add"]
    assert arguments(made, 0) == {"qom-type": "memory-backend-ram", "id": "new.mem", "size": 128 * MiB}
    assert arguments(made, 1) == {"driver": "pc-dimm", "id": "new", "memdev": "new.mem"}
    assert made.before is None and made.after == {
        "id": "new",
        "type": "pc-dimm",
        "size": 128 * MiB,
        "backend": "ram",
        "share": False,
        "prealloc": False,
        "host_nodes": [],
        "policy": "default",
        "node": 0,
        "slot": 2,
        "at_launch": False,
    }
    assert made.warnings == () and "128 MiB" in plan(hardware, id="new", size="64M").warnings[0]


def test_each_option_of_the_backend_is_sent(hardware: Hardware) -> None:
    options = {"share": True, "prealloc": True, "host_nodes": [0], "policy": "preferred"}
    made = plan(hardware, id="new", size="128M", backend="memfd", hugetlb=True, hugetlbsize="2M", **options)
    assert (
        arguments(made, 0).items()
        >= {
            "share": True,
            "prealloc": True,
            "host-nodes": [0],
            "policy": "preferred",
            "hugetlb": True,
            "hugetlbsize": 2 * MiB,
        }.items()
    )
    assert made.after and made.after.items() >= {**options, "hugetlb": True, "hugetlbsize": 2 * MiB}.items()


def test_a_new_nvdimm_is_shared_and_a_new_address_is_a_number(hardware: Hardware) -> None:
    made = plan(hardware, id="new", type="nvdimm", size="128M", mem_path=f"{DIRECTORY}/new", pmem=True, addr="0x160000000")
    assert arguments(made, 0).items() >= {"qom-type": "memory-backend-file", "share": True, "pmem": True}.items()
    assert arguments(made, 1)["addr"] == 0x160000000 and made.after and made.after["addr"] == "0x160000000"


def test_a_new_virtio_mem_device(recording: Recording) -> None:
    options: dict[str, Any] = {"id": "new", "type": "virtio-mem", "size": "128M"}
    made = plan(recordings.hardware(recording), requested_size="64M", **options)
    assert arguments(made, 1).items() >= {"driver": "virtio-mem-pci", "bus": "rp0", "requested-size": 64 * MiB}.items()
    assert made.after and (made.after["bus"], made.after["requested_size"], made.after["plugged"]) == ("rp0", 64 * MiB, 64 * MiB)
    running = plan(recordings.hardware(recording, {"query-status": RUNNING}), **options)
    assert len(running.steps) == len(made.steps) + 1 and arguments(running, 1)["requested-size"] == 128 * MiB


def test_a_virtio_mem_device_is_resized_in_place(recording: Recording) -> None:
    made = plan(recordings.hardware(recording), id="e1", requested_size="128M")
    (command,) = made.commands()
    assert command["arguments"] == {
        "path": "/machine/peripheral/e1",
        "property": "requested-size",
        "value": 128 * MiB,
    }
    assert made.after and made.after["requested_size"] == 128 * MiB
    running = recordings.hardware(recording, {"query-status": RUNNING})
    waits = plan(running, id="e1", requested_size="64M")
    assert not waits.changed and waits.commands() == []
    monitor: Any = recordings.monitor(recording)
    with pytest.raises(StillInProgress, match="0 bytes of e1 after 0 s, and 67108864 are requested: 67108864"):
        waits.steps[0].apply(Run(monitor, 0))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"id": "d1", "size": "256M"}, "size is 134217728 and the task sets 268435456"),
        ({"id": "d1", "backend": "memfd"}, "backend is 'ram' and the task sets 'memfd'"),
        ({"id": "d1", "share": False}, "share is True and the task sets False"),
        ({"id": "d1", "prealloc": True}, "prealloc is False and the task sets True"),
        ({"id": "d1", "type": "virtio-mem"}, "type is 'pc-dimm' and the task sets 'virtio-mem'"),
        ({"id": "d1", "slot": 2}, "slot is 0 and the task sets 2"),
        ({"id": "d1", "node": 1}, "node is 0 and the task sets 1"),
        ({"id": "d1", "addr": "0x108000000"}, "addr is .* and the task sets 4429185024"),
        ({"id": "m1", "host_nodes": [1], "policy": "bind"}, r"host_nodes is \[0\] and the task sets \[1\]"),
        ({"id": "m1", "policy": "preferred"}, "policy is 'bind' and the task sets 'preferred'"),
        ({"id": "m1", "hugetlbsize": "2M"}, "hugetlbsize is not set and the task sets 2097152"),
        ({"id": "nv1", "mem_path": "/other"}, "mem_path is '/srv/vm/nv' and the task sets '/other'"),
        ({"id": "e1", "bus": "rp0"}, "bus is 'rp1' and the task sets 'rp0'"),
        ({"id": "scsi0", "size": "128M"}, "scsi0 is a virtio-scsi-pci, which is not a memory device"),
        ({"id": "larger", "size": "128M"}, "larger.mem, but .* size is 268435456 and the task sets 134217728"),
        ({"id": "left", "size": "128M", "share": True}, "left.mem, but .* share is False and the task sets True"),
        ({"id": "left", "size": "128M", "backend": "memfd"}, "left.mem, but .* is a memory-backend-ram"),
        ({"id": "used", "size": "128M"}, "used.mem, but .* is used by user"),
        ({"id": "sec", "size": "128M"}, "sec.mem, but .* is a secret"),
    ],
    ids=str,
)
def test_a_conflict_names_the_option(hardware: Hardware, options: dict[str, Any], words: str) -> None:
    with pytest.raises(Conflict, match=words):
        plan(hardware, **options)


def test_an_equal_backend_that_a_killed_run_left_is_used(hardware: Hardware) -> None:
    assert sent(plan(hardware, id="left", size="128M")) == ["device_add"]
    assert sent(plan(hardware, id="left", state="absent")) == ["object-del"]
    for name in ("used", "sec"):
        assert plan(hardware, id=name, state="absent").steps == ()


def test_a_dimm_is_removed_with_its_backend(hardware: Hardware) -> None:
    made = plan(hardware, id="d1", state="absent")
    assert [command["arguments"] for command in made.commands()] == [{"id": "d1"}, {"id": "lm1"}]
    assert made.before and made.before["at_launch"] is True and made.after is None


def test_the_backend_of_a_dimm_of_the_launch_is_removed_later(hardware: Hardware) -> None:
    """A run was killed after the device was unplugged."""
    del hardware.ids["d1"]
    hardware.__dict__["devices"] = [one for one in hardware.devices if one.id != "d1"]
    hardware.__dict__["memory_devices"] = [one for one in hardware.memory_devices if one["data"]["id"] != "d1"]
    users = backend.users_of_backend(hardware, "lm1")
    assert sent(plan(hardware, id="d1", state="absent")) == ([] if users else ["object-del"])


def test_a_virtio_mem_device_is_emptied_before_it_is_removed(hardware: Hardware) -> None:
    if tuple(hardware.version) < (8, 1):
        with pytest.raises(Unsupported, match="Set requested_size: 0"):
            plan(hardware, id="e1", state="absent")
        return
    made = plan(hardware, id="e1", state="absent")
    assert sent(made) == ["qom-set", "device_del", "object-del"] and arguments(made, 0)["value"] == 0
    assert made.steps[0].undo() is None


def test_an_nvdimm_and_a_total_are_not_removed(hardware: Hardware) -> None:
    with pytest.raises(Unsupported, match="NVDIMM"):
        plan(hardware, id="nv1", state="absent")
    with pytest.raises(InvalidOption, match="state: absent requires id"):
        plan_absent(hardware, TotalSpec(1))


def test_a_recreated_dimm_keeps_what_the_task_does_not_set(hardware: Hardware) -> None:
    made = plan(hardware, id="m1", size="256M", recreate=True)
    assert sent(made) == ["device_del", "object-del", "object-add", "device_add"]
    assert arguments(made, 2) == {
        "qom-type": "memory-backend-memfd",
        "id": "m1.mem",
        "size": 256 * MiB,
        "host-nodes": [0],
        "policy": "bind",
    }
    assert arguments(made, 3)["slot"] == 3 and made.after and made.after["slot"] == 3
    undo = made.steps[0].undo()
    assert undo and undo.commands()[0]["arguments"]["slot"] == 3
    undo = made.steps[1].undo()
    assert undo and undo.commands()[0]["arguments"]["policy"] == "bind"


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({"policy": "default"}, {"policy": "default"}),
        ({"policy": "preferred"}, {"policy": "preferred", "host-nodes": [0]}),
        ({"host_nodes": [0], "policy": "interleave"}, {"policy": "interleave", "host-nodes": [0]}),
        ({"backend": "ram"}, {"policy": "bind", "host-nodes": [0]}),
        ({"hugetlb": False, "share": False}, {"policy": "bind", "host-nodes": [0], "hugetlb": False, "share": False}),
    ],
    ids=str,
)
def test_options_of_the_old_backend_that_the_new_one_has(
    hardware: Hardware, options: dict[str, Any], kept: dict[str, Any]
) -> None:
    made = plan(hardware, id="m1", size="256M", recreate=True, **options)
    properties = {name: value for name, value in arguments(made, 2).items() if name not in ("qom-type", "id", "size")}
    assert properties == kept


def test_a_dimm_of_the_launch_is_recreated_over_a_new_backend(hardware: Hardware) -> None:
    made = plan(hardware, id="d1", size="256M", recreate=True)
    assert sent(made) == ["device_del", "object-del", "object-add", "device_add"]
    assert arguments(made, 1) == {"id": "lm1"} and arguments(made, 2)["id"] == "d1.mem" and arguments(made, 2)["share"] is True
    elastic = plan(hardware, id="d1", type="virtio-mem", recreate=True)
    assert arguments(elastic, 3)["driver"] == "virtio-mem-pci" and "slot" not in arguments(elastic, 3)


def test_a_recreated_virtio_mem_device_keeps_its_requested_size(hardware: Hardware) -> None:
    if tuple(hardware.version) < (8, 1):
        with pytest.raises(Unsupported):
            plan(hardware, id="e1", size="512M", recreate=True)
        return
    made = plan(hardware, id="e1", size="512M", recreate=True)
    assert sent(made) == ["qom-set", "device_del", "object-del", "object-add", "device_add"]
    assert arguments(made, 4)["requested-size"] == 64 * MiB and arguments(made, 4)["bus"] == "rp1"
    undo = made.steps[0].undo()
    assert undo and undo.commands()[0]["arguments"]["value"] == 64 * MiB


NEW: dict[str, Any] = {"id": "new", "size": "128M"}
VIRTIO: dict[str, Any] = {**NEW, "type": "virtio-mem"}
NVDIMM: dict[str, Any] = {**NEW, "type": "nvdimm"}


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"id": "new"}, InvalidOption, "does not exist yet. Set size"),
        ({"id": "1new", "size": "1M"}, InvalidOption, "not a QEMU id"),
        ({"id": "new", "size": "0"}, InvalidOption, "size 0 is too small"),
        ({"id": "new", "size": "9E"}, InvalidOption, "size .* is not a size"),
        ({"id": "new", "size": "lots"}, InvalidOption, "size 'lots' is not a size"),
        ({**VIRTIO, "requested_size": "some"}, InvalidOption, "requested_size 'some' is not a size"),
        ({"id": "new", "size": "100000000"}, InvalidOption, "not a multiple of 2097152 .* 98566144 or 100663296"),
        ({**NEW, "requested_size": "64M"}, InvalidOption, "requires type: virtio-mem, but the type is pc-dimm"),
        ({**NEW, "node": -1}, InvalidOption, "node -1 is not a NUMA node"),
        ({**NEW, "node": 5}, InvalidOption, "node 5 is not a NUMA node of the guest, which has 1"),
        ({**NEW, "slot": -1}, InvalidOption, "slot -1 is not a memory slot"),
        ({**NEW, "slot": 4}, InvalidOption, "slot 4 does not exist"),
        ({**NEW, "slot": 3}, NoFreeSlot, "slot 3 is occupied"),
        ({**VIRTIO, "slot": 1}, InvalidOption, "slot is an option of DIMMs"),
        ({**NEW, "bus": "rp0"}, InvalidOption, "bus requires type: virtio-mem"),
        ({**NEW, "addr": "high"}, InvalidOption, "addr 'high' is not an address"),
        ({**NEW, "addr": "0"}, InvalidOption, "addr '0' is not an address"),
        ({**NEW, "addr": "0x100000001"}, InvalidOption, "addr 4294967297 is not a multiple"),
        ({**NEW, "addr": "0x40000000"}, InvalidOption, "addr 0x40000000 is outside"),
        ({**NEW, "addr": "4294967296"}, NoFreeSlot, "addr 0x100000000 is occupied"),
        ({**NEW, "backend": "file"}, InvalidOption, "requires mem_path"),
        ({**NEW, "backend": "file", "mem_path": "x"}, InvalidOption, "not an absolute path"),
        ({**NEW, "mem_path": "/x"}, InvalidOption, "mem_path requires backend: file, but the backend is ram"),
        ({**NEW, "hugetlb": True}, InvalidOption, "hugetlb requires backend: memfd"),
        ({**NEW, "backend": "memfd", "hugetlb": True, "hugetlbsize": "3M"}, InvalidOption, "hugetlbsize 3145728"),
        ({**NEW, "host_nodes": [-1], "policy": "bind"}, InvalidOption, "host_nodes contains -1"),
        ({**NEW, "host_nodes": [0]}, InvalidOption, "host_nodes requires a policy"),
        ({**NEW, "policy": "bind"}, InvalidOption, "policy: bind requires host_nodes"),
        ({**NEW, "properties": {"size": 1}}, InvalidOption, "Use the option 'size'"),
        ({**NEW, "properties": {"nosuch": 1}}, InvalidOption, "nosuch"),
        (NVDIMM, InvalidOption, "Set mem_path to the file"),
        ({**NVDIMM, "backend": "ram"}, InvalidOption, "backend: ram does not have"),
        ({**NVDIMM, "mem_path": "/x", "share": False}, InvalidOption, "share: false gives"),
        ({**VIRTIO, "requested_size": "256M"}, InvalidOption, "more than the size of new"),
        ({**VIRTIO, "requested_size": "1M"}, InvalidOption, "requested_size .* not a multiple of the block size"),
        (
            {**VIRTIO, "size": "130M", "properties": {"block-size": "4M"}},
            InvalidOption,
            "size .* not a multiple of the block size",
        ),
        ({**VIRTIO, "properties": {"block-size": "3M"}}, InvalidOption, "block-size 3145728 is not a power of two"),
        ({"id": "e1", "requested_size": "512M"}, InvalidOption, "more than the size of e1"),
        ({"id": "new", "size": "4G"}, NoFreeSlot, "new needs 4294967296 bytes, but the VM has room for 1207959552 .*maxmem"),
        ({"id": "new", "type": "virtio-mem", "size": "4G"}, NoFreeSlot, "maxmem"),
    ],
    ids=str,
)
def test_tasks_that_are_refused(hardware: Hardware, options: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        plan(hardware, **options)


def test_a_vm_without_nvdimms(recording: Recording) -> None:
    hardware = recordings.hardware(recording, {("/machine", "nvdimm"): False})
    with pytest.raises(Unsupported, match="-machine nvdimm=on"):
        plan(hardware, mem_path="/x", **NVDIMM)


# Room


@pytest.mark.parametrize(
    ("room", "virtio", "words"),
    [
        ({**ROOM, "slots": 0}, False, "without memory slots. It has room for .* Start it with -m"),
        ({**ROOM, "slots": 0, "max-size": 256 * MiB}, False, "without memory slots"),
        ({**ROOM, "slots": 3}, False, "no free memory slot"),
        ({**ROOM, "max-size": 896 * MiB}, False, "free memory slots, but no bytes left"),
        ({**ROOM, "max-size": 896 * MiB}, True, "no bytes left of its maxmem"),
    ],
)
def test_a_vm_without_room(recording: Recording, room: dict[str, Any], virtio: bool, words: str) -> None:
    hardware = recordings.hardware(recording, {("/machine", "memory"): room})
    with pytest.raises(NoFreeSlot, match=words):
        plan(hardware, **(VIRTIO if virtio else NEW))


def test_room_that_qemu_does_not_report_is_left_to_qemu(recording: Recording) -> None:
    """As before QEMU 7.1."""
    hardware = recordings.hardware(recording, {("/machine", "memory"): None})
    made = plan(hardware, slot=3, **NEW)
    assert sent(made) == ["object-add", "device_add"] and made.after and made.after["slot"] == 3


@pytest.mark.parametrize(
    ("others", "words"),
    [
        ({("/machine", "acpi"): "off"}, "without ACPI.*-machine acpi=on"),
        ({"query-target": {"arch": "aarch64"}}, "UEFI firmware.*QEMU_EFI"),
    ],
)
def test_a_machine_without_memory_hotplug(recording: Recording, others: Any, words: str) -> None:
    with pytest.raises(Unsupported, match=words):
        plan(recordings.hardware(recording, others), **NEW)


@pytest.mark.parametrize(
    ("left_out", "words"), [({"device-memory[0]", "nvdimm"}, "no memory hotplug"), ({"acpi-device"}, "no memory hotplug")]
)
def test_a_machine_is_known_by_its_properties(hardware: Hardware, left_out: set[str], words: str) -> None:
    (known,) = hardware.cache.qom_list(["/machine"])
    hardware.cache._lists["/machine"] = {name: kind for name, kind in known.items() if name not in left_out}
    with pytest.raises(Unsupported, match=words):
        plan(hardware, **NEW)


def test_launch_arguments_have_the_largest_unit() -> None:
    room = capacity.Room(0, 0, 256 * MiB, frozenset(), 0, 0)
    assert room.launch_args(128 * MiB) == ["-m", "size=256M,slots=4,maxmem=1280M"]
    assert room._replace(base=1 << 40).launch_args(1 << 40) == ["-m", "size=1024G,slots=4,maxmem=2048G"]
    assert room._replace(base=1025).launch_args(1024) == ["-m", "size=1025B,slots=4,maxmem=9217B"]


# Files and NUMA nodes of the host


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that is QEMU's root directory, with NUMA nodes 0 and 2."""
    nodes = tmp_path / "nodes"
    for number in (0, 2):
        (nodes / f"node{number}").mkdir(parents=True)
    monkeypatch.setattr(backend, "_root", lambda hardware: tmp_path)
    monkeypatch.setattr(backend, "_HOST_NODES", nodes)
    (tmp_path / "small").write_bytes(bytes(MiB))
    (tmp_path / "directory").mkdir()
    (tmp_path / "empty").touch()
    (tmp_path / "null").symlink_to("/dev/null")
    return tmp_path


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"backend": "file", "mem_path": "/small"}, InvalidOption, "has 1048576 bytes, fewer than size 134217728"),
        ({"backend": "file", "mem_path": "/nosuch/file"}, HardwareError, "No such file or directory"),
        ({"backend": "file", "mem_path": "/nosuch/"}, HardwareError, "No such directory"),
        ({"backend": "file", "mem_path": "/small/"}, HardwareError, "Not a directory|No such directory"),
        ({"backend": "file", "mem_path": "/null"}, InvalidOption, "character device without memory"),
        ({"type": "nvdimm", "mem_path": "/directory"}, InvalidOption, "is a directory"),
        ({"host_nodes": [1], "policy": "bind"}, InvalidOption, "contains 1, but the NUMA nodes of this host are 0, 2"),
    ],
    ids=str,
)
def test_what_qemu_could_not_use_on_this_host(
    hardware: Hardware, root: Path, options: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        plan(hardware, **NEW, **options)


@pytest.mark.parametrize("path", ["/directory", "/directory/", "/empty", "/new"])
def test_files_and_directories_that_qemu_can_use(hardware: Hardware, root: Path, path: str) -> None:
    made = plan(hardware, backend="file", mem_path=path, host_nodes=[2], policy="bind", **NEW)
    assert arguments(made, 0)["mem-path"] == path


def test_a_path_that_cannot_be_looked_at_is_left_to_qemu(hardware: Hardware, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_path: Any) -> Any:
        raise PermissionError

    monkeypatch.setattr(os, "lstat", refuse)
    assert plan(hardware, backend="file", mem_path="/small", **NEW).steps
    monkeypatch.undo()
    monkeypatch.setattr(backend, "_root", lambda hardware: root / "ended")
    assert plan(hardware, backend="file", mem_path="/small", **NEW).steps


# The total, of a VM with a virtio-mem device


def test_the_total_that_the_vm_has_is_not_changed(recording: Recording) -> None:
    made = plan(recordings.hardware(recording), total="704M")
    assert made.steps == () and made.before == made.after and made.before and made.before["total"] == 704 * MiB
    assert made.launch_args.count("-object") == len(made.before["devices"]) == 4
    waits = plan(recordings.hardware(recording, {"query-status": RUNNING}), total="704M")
    assert not waits.changed and len(waits.steps) == 1


def test_a_virtio_mem_device_is_resized_for_the_total(recording: Recording) -> None:
    made = plan(recordings.hardware(recording), total="768M")
    (command,) = made.commands()
    assert command["arguments"]["value"] == 128 * MiB and made.after and made.after["total"] == 768 * MiB
    (elastic,) = (one for one in made.after["devices"] if one["id"] == "e1")
    assert elastic["requested_size"] == elastic["plugged"] == 128 * MiB
    assert any('"requested-size": 134217728' in word for word in made.launch_args)
    for total, words in (("1G", "64.*268435456 bytes, so the total can be"), ("769M", "block size of e1 .* nearest total is")):
        with pytest.raises(InvalidOption, match=words):
            plan(recordings.hardware(recording), total=total)


def test_a_vm_without_plugged_dimms_has_no_surplus(recording: Recording) -> None:
    hardware = recordings.hardware(recording)
    hardware.__dict__["memory_devices"] = [one for one in hardware.memory_devices if one["data"]["id"] == "d1"]
    with pytest.raises(InvalidOption, match="there are no plugged DIMMs"):
        plan(hardware, total="256M")
