# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every module through its main(), as Ansible runs it, over recorded VMs: what it accepts, what it does, how it fails."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Callable, Dict, NamedTuple

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils.qmp import CommandError, OutcomeUnknown
from ansible_collections.vmops.qemu.tests.support import recordings
from ansible_collections.vmops.qemu.tests.support.changing import Changing
from ansible_collections.vmops.qemu.tests.support.in_process import MODULES, SOCKET, main
from ansible_collections.vmops.qemu.tests.support.recordings import DIRECTORY, Recording

VMs = Callable[[Recording], Changing]
Options = Dict[str, Any]
REFUSAL = "it is full moon"


class Case(NamedTuple):
    """A task that changes the recorded VM ``mixed`` by ``commands``, of which ``undo`` rolls back those before the last.

    ``repeats``: whether it changes the VM each time. ``result``: the key of what it returns.
    """

    module: str
    options: Options
    result: str
    commands: tuple[str, ...]
    undo: tuple[str, ...] = ()
    repeats: bool = False

    def __str__(self) -> str:
        return self.module


_EXTRA = {"file": f"{DIRECTORY}/extra.qcow2", "format": "qcow2"}
_MEDIUM = {"file": f"{DIRECTORY}/medium.qcow2", "format": "qcow2"}
_POLL = {"path": "/machine/peripheral/balloon0", "property": "guest-stats-polling-interval", "value": 5}
_SNAPSHOT = {"type": "snapshot", "disk": "d0", "file": f"{DIRECTORY}/snapshot.qcow2"}
_INSERT = ("blockdev-add", "blockdev-open-tray", "blockdev-insert-medium", "blockdev-close-tray")
CASES = [
    Case("qmp_blockdev", {"id": "d1", **_EXTRA}, "disk", ("blockdev-add", "device_add"), ("blockdev-del",)),
    Case("qmp_netdev", {"id": "n1", "type": "user"}, "nic", ("netdev_add", "device_add"), ("netdev_del",)),
    Case("qmp_device", {"id": "rng1", "driver": "virtio-rng-pci"}, "device", ("device_add",)),
    Case(
        "qmp_chardev",
        {"id": "c1", "type": "ringbuf", "driver": "virtserialport"},
        "chardev",
        ("chardev-add", "device_add"),
        ("chardev-remove",),
    ),
    Case("qmp_object", {"id": "o1", "qom_type": "iothread"}, "object", ("object-add",)),
    Case("qmp_memory_hotplug", {"id": "m1", "size": "128M"}, "memory", ("object-add", "device_add"), ("object-del",)),
    Case("qmp_cpu_hotplug", {"count": 2}, "cpus", ("device_add",)),
    Case(
        "qmp_media",
        {"id": "cd0", **_MEDIUM},
        "medium",
        _INSERT,
        ("blockdev-remove-medium", "blockdev-close-tray", "blockdev-del"),
    ),
    Case("qmp_block_job", {"id": "j1", **_SNAPSHOT}, "job", ("blockdev-snapshot-sync",)),
    Case("qmp_power", {"state": "running"}, "vm", ("cont",)),
    Case("qmp_migrate", {"uri": "exec:cat >/dev/null"}, "migration", ("migrate",)),
    Case(
        "qmp_dump",
        {"path": f"{DIRECTORY}/dump", "begin": "0", "length": "4096"},
        "dump",
        ("dump-guest-memory",),
        repeats=True,
    ),
    Case("qmp_command", {"execute": "cont"}, "replies", ("cont",), repeats=True),
    Case("qmp_qom", _POLL, "qom", ("qom-set",)),
    Case(
        "qmp_hotplug",
        {"netdevs": [{"id": "n1", "type": "user"}], "objects": [{"id": "o1", "qom_type": "iothread"}]},
        "status",
        ("object-add", "netdev_add", "device_add"),
        ("netdev_del", "object-del"),
    ),
]
"""A task of every module that changes something, but for qmp_balloon, which without a guest has no end."""
NEEDED: dict[str, Options] = {**{case.module: case.options for case in CASES}, "qmp_balloon": {"size": "1G"}, "qmp_info": {}}
"""Options that each module with a connection accepts."""

RECORDED = "mixed"


@pytest.fixture(autouse=True)
def the_directory_of_the_vm_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """For qmp_dump, which looks whether QEMU can write there."""
    really = os.path.isdir
    monkeypatch.setattr(os.path, "isdir", lambda path: path == DIRECTORY or really(path))


WITHOUT_A_VM: dict[str, Options] = {"qmp_vms_info": {"name": "vm1"}, "qmp_persist": {"path": "/x/vm1.json", "hardware": {}}}
"""Modules that connect to no VM, with the options that they need."""


def test_every_module_is_tested_here() -> None:
    assert {*NEEDED, *WITHOUT_A_VM} == {*MODULES}


# What they accept


@pytest.mark.parametrize("module", MODULES)
def test_an_option_that_does_not_exist_is_named(module: str) -> None:
    result = main(module, **{"nosuch": 1, **(WITHOUT_A_VM.get(module) or {"socket": SOCKET, **NEEDED.get(module, {})})})
    assert result["failed"] and "nosuch" in result["msg"] and result["error_code"] == "invalid_option"
    assert result["changed"] is False and result["status"] == "failed" and result["details"] == {}


@pytest.mark.parametrize("module", NEEDED)
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "one of the following is required: socket, host"),
        ({"socket": SOCKET, "host": "localhost", "port": 1}, "mutually exclusive: socket|host"),
        ({"host": "localhost"}, "missing parameter(s) required by 'host': port"),
        ({"host": "localhost", "port": 1, "tls": {"ca_file": "/ca", "cert_file": "/cert"}}, "cert_file, key_file"),
        ({"socket": SOCKET, "timeout": "soon"}, "argument 'timeout' is of type"),
    ],
)
def test_the_options_of_the_connection_have_rules(module: str, options: Options, said: str) -> None:
    result = main(module, **{**NEEDED[module], **options})
    assert result["failed"] and said in result["msg"] and result["error_code"] == "invalid_option"


@pytest.mark.parametrize(
    ("module", "options", "said"),
    [
        ("qmp_balloon", {}, "missing required arguments: size"),
        ("qmp_block_job", {}, "missing required arguments: id"),
        ("qmp_blockdev", {"id": "d1", "file": "/f", "backend": {}}, "mutually exclusive: file|backend"),
        ("qmp_blockdev", {"id": "d1", "aio": "fast"}, "value of aio must be one of"),
        ("qmp_chardev", {"id": "c1", "path": "/f", "address": "::1", "address_port": 1}, "mutually exclusive: path|address"),
        ("qmp_chardev", {"id": "c1", "name": "org.x"}, "required by 'name': driver"),
        ("qmp_command", {}, "one of the following is required: execute, commands"),
        ("qmp_command", {"arguments": {}, "commands": [{}]}, "mutually exclusive: arguments|commands"),
        ("qmp_cpu_hotplug", {"count": 1, "topology": {}}, "mutually exclusive: count|topology"),
        ("qmp_cpu_hotplug", {"count": 1, "state": "absent"}, "state is absent but all of the following are missing: topology"),
        ("qmp_device", {}, "missing required arguments: id"),
        ("qmp_dump", {"path": "/f", "begin": "0"}, "required together: begin, length"),
        ("qmp_info", {"gather_subset": ["everything"]}, "value of gather_subset must be one or more of"),
        ("qmp_media", {"id": "cd0"}, "state is present but all of the following are missing: file"),
        ("qmp_memory_hotplug", {"id": "m1", "total": "1G"}, "mutually exclusive: id|total"),
        ("qmp_memory_hotplug", {"total": "1G", "state": "absent"}, "state is absent but all of the following are missing: id"),
        ("qmp_migrate", {"uri": "x", "channels": [{}]}, "mutually exclusive: uri|channels"),
        ("qmp_netdev", {"id": "n1", "type": "pigeon"}, "value of type must be one of"),
        ("qmp_object", {"id": "o1", "state": "there"}, "value of state must be one of"),
        ("qmp_hotplug", {}, "one of the following is required: cpus, memory, objects"),
        ("qmp_hotplug", {"blockdevs": [{"file": "/f"}]}, "missing required arguments: id found in blockdevs"),
        ("qmp_hotplug", {"blockdevs": [{"id": "d1", "file": "/f", "backend": {}}]}, "mutually exclusive: file|backend"),
        ("qmp_hotplug", {"netdevs": [{"id": "n1", "speed": 1}]}, "netdevs.speed"),
        ("qmp_hotplug", {"cpus": {"count": 1, "topology": {}}}, "cpus: parameters are mutually exclusive: count|topology"),
        ("qmp_hotplug", {"cpus": "many"}, "cpus: argument 'count' is of type"),
        ("qmp_power", {}, "missing required arguments: state"),
        ("qmp_qom", {"path": "/machine", "value": 1}, "required by 'value': property"),
    ],
)
def test_the_options_of_a_module_have_rules(module: str, options: Options, said: str) -> None:
    result = main(module, socket=SOCKET, **options)
    assert result["failed"] and said in result["msg"] and result["error_code"] == "invalid_option"


@pytest.mark.parametrize(
    ("module", "options", "said"),
    [
        ("qmp_blockdev", {"id": "d1", "size": "big"}, "size 'big' is not a size"),
        ("qmp_blockdev", {"id": "d1", "limits": {"bps": "2Q"}}, "limits.bps '2Q' is not a size"),
        ("qmp_object", {"id": "o1", "properties": {"a": "b\0"}}, "properties.a contains a NUL byte"),
        ("qmp_device", {"id": "a", "properties": {"x": ["\ud800"]}}, "properties.x contains U+D800"),
        ("qmp_device", {"id": "a", "timeout": -1}, "timeout -1.0 is not a valid time"),
        ("qmp_device", {"id": "a", "connect_timeout": "inf"}, "connect_timeout inf is not a valid time"),
        ("qmp_qom", {"path": "/machine", "property": "x", "value": float("nan")}, "value contains nan"),
        ("qmp_hotplug", {"blockdevs": [{"id": "d1", "size": "big"}]}, "blockdevs[0] (d1): size 'big' is not a size"),
    ],
)
def test_values_that_mean_nothing_are_rejected_before_the_vm_is_asked(module: str, options: Options, said: str) -> None:
    result = main(module, socket="/nosuch", **options)
    assert result["failed"] and said in result["msg"] and result["error_code"] == "invalid_option"
    assert result["changed"] is False


# What they do


@pytest.mark.parametrize("case", CASES, ids=str)
def test_check_mode_reports_the_change_that_a_run_makes(case: Case, recording: Recording, changing: VMs) -> None:
    vm = changing(recording)
    planned = vm.main(case.module, check_mode=True, **case.options)
    done = vm.main(case.module, **case.options)
    assert not planned.get("failed") and not done.get("failed"), (planned, done)
    assert planned["changed"] is done["changed"] is True
    assert tuple(command["execute"] for command in done["commands"]) == case.commands
    assert case.result in planned and case.result in done
    same = ("status", "commands", "diff", "unverified")
    assert {name: planned[name] for name in same} == {name: done[name] for name in same}


@pytest.mark.parametrize("case", [case for case in CASES if not case.repeats], ids=str)
def test_what_is_done_is_not_done_again(case: Case, recording: Recording, changing: VMs) -> None:
    vm = changing(recording)
    vm.main(case.module, check_mode=True, **case.options)
    done = vm.main(case.module, **case.options)
    again = vm.main(case.module, **case.options)
    assert again["changed"] is False and again["commands"] == [] and again["status"] == done["status"]
    assert again[case.result] == done[case.result]
    checked = vm.main(case.module, check_mode=True, **case.options)
    assert checked["changed"] is False and checked["commands"] == []


def test_facts_are_gathered_as_asked(recording: Recording) -> None:
    facts = main("qmp_info", recordings.monitor(recording), socket=SOCKET)
    assert facts["changed"] is False and [disk["id"] for disk in facts["disks"]] == ["cd0", "d0"]
    some = main("qmp_info", recordings.monitor(recording), socket=SOCKET, gather_subset=["nics", "capacity"])
    assert {name: some[name] for name in ("nics", "capacity")} == {name: facts[name] for name in ("nics", "capacity")}
    assert not {"disks", "memory"} & some.keys() and some["vm"] == {"name": None, "uuid": None}


def test_the_desired_hardware_is_kept_in_files(tmp_path: Path) -> None:
    paths: dict[str, Any] = {
        "path": f"{tmp_path}/vm1.json",
        "program": f"{tmp_path}/hotplug.pyz",
        "unit_directory": f"{tmp_path}/units",
    }
    desired = {"socket": SOCKET, "cpus": 2, "memory": []}
    checked = main("qmp_persist", check_mode=True, **paths, hardware=desired)
    assert checked["changed"] and not list(tmp_path.iterdir())
    kept = main("qmp_persist", **paths, hardware=desired)
    assert kept["changed"] and kept["diff"] == checked["diff"] and kept["unit"] == "vmops-qemu-hotplug@vm1.service"
    assert json.loads((tmp_path / "vm1.json").read_text()) == {"socket": SOCKET, "cpus": 2}
    assert not main("qmp_persist", **paths, hardware=desired)["changed"]
    assert main("qmp_persist", **paths)["error_code"] == "invalid_option"
    removed = main("qmp_persist", **paths, state="absent")
    assert removed["changed"] and not (tmp_path / "vm1.json").exists()
    (tmp_path / "vm1.json").mkdir()
    refused = main("qmp_persist", **paths, hardware=desired)
    assert refused["failed"] and refused["error_code"] == "command_failed" and "vm1.json" in refused["msg"]


def test_vms_of_this_host_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    from ansible_collections.vmops.qemu.plugins.modules import qmp_vms_info

    asked: list[str | None] = []

    def listed(name: str | None) -> list[dict[str, Any]]:
        asked.append(name)
        return [{"pid": 42, "name": name}]

    monkeypatch.setattr(qmp_vms_info, "virtual_machines", listed)
    result = main("qmp_vms_info", name="vm1")
    assert result["changed"] is False and result["vms"] == [{"pid": 42, "name": "vm1"}] and asked == ["vm1"]


# How they fail


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_qemu_refuses_is_rolled_back(case: Case, recording: Recording, changing: VMs) -> None:
    vm = changing(recording)
    planned = vm.main(case.module, check_mode=True, **case.options)
    vm.fail(case.commands[-1], CommandError("GenericError", REFUSAL, case.commands[-1]))
    result = vm.main(case.module, **case.options)
    assert result["failed"] and result["error_code"] == "command_failed" and REFUSAL in result["msg"]
    assert result["changed"] is False and result["status"] == "failed"
    details = result["details"]
    assert (details["command"], details["desc"]) == (case.commands[-1], REFUSAL)
    assert tuple(command["execute"] for command in details["sent"]) == case.commands
    assert tuple(command["execute"] for command in details["undone"]) == case.undo
    assert details["left"] == details["done"] == []
    assert vm.main(case.module, check_mode=True, **case.options)["commands"] == planned["commands"]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_command_without_an_answer_leaves_the_outcome_unknown(case: Case, recording: Recording, changing: VMs) -> None:
    vm = changing(recording)
    vm.fail(case.commands[0], OutcomeUnknown(case.commands[0]))
    result = vm.main(case.module, **case.options)
    assert result["failed"] and result["error_code"] == "outcome_unknown" and result["changed"] is True
    assert result["details"]["undone"] == [] and "Run the task again" in result["msg"]


@pytest.mark.parametrize("module", NEEDED)
def test_a_vm_that_does_not_run(module: str) -> None:
    result = main(module, socket="/nosuch/qmp.sock", **NEEDED[module])
    assert result["failed"] and result["error_code"] == "connect_failed" and "/nosuch/qmp.sock" in result["msg"]
    assert result["changed"] is False


def test_a_balloon_that_the_guest_does_not_follow(recording: Recording, changing: VMs) -> None:
    options: dict[str, Any] = {"size": "128M", "timeout": 0.1}
    assert main("qmp_balloon", recordings.monitor(recording), True, socket=SOCKET, **options)["balloon"] == {"actual": 128 << 20}
    vm = changing(recording)
    result = vm.main("qmp_balloon", **options)
    assert result["failed"] and result["error_code"] == "outcome_unknown" and result["changed"] is True
    assert main("qmp_balloon", recordings.monitor(recording), socket=SOCKET, size="256M")["changed"] is False


def test_what_cannot_be_rolled_back_is_reported(recording: Recording, changing: VMs) -> None:
    vm = changing(recording)
    vm.fail("device_add", CommandError("GenericError", REFUSAL, "device_add"))
    vm.fail("netdev_del", CommandError("GenericError", "it stays", "netdev_del"))
    result = vm.main("qmp_netdev", id="n1", type="user")
    assert result["failed"] and result["error_code"] == "rollback_incomplete" and REFUSAL in result["msg"]
    assert result["changed"] is True
    assert result["details"]["left"] == [{"execute": "netdev_del", "arguments": {"id": "n1"}}]


def test_a_slot_that_another_task_has_taken_is_a_conflict(recording: Recording, changing: VMs) -> None:
    vm = changing(recording)
    vm.fail("device_add", CommandError("GenericError", "Duplicate device ID 'rng1'", "device_add"))
    result = vm.main("qmp_device", id="rng1", driver="virtio-rng-pci")
    assert result["failed"] and result["error_code"] == "conflict" and "another task" in result["msg"]


def test_a_change_after_which_the_vm_cannot_be_read(recording: Recording, changing: VMs) -> None:
    vm = changing(recording)
    vm.break_after("device_add")
    result = vm.main("qmp_device", id="rng1", driver="virtio-rng-pci")
    assert result["failed"] and result["error_code"] == "disconnected" and result["changed"] is True


@pytest.fixture(params=recordings.of("acpi"), ids=str)
def silent_guest(request: pytest.FixtureRequest, changing: VMs) -> Changing:
    return changing(request.param)


def test_a_guest_that_does_not_release_a_device(silent_guest: Changing) -> None:
    result = silent_guest.main("qmp_device", id="rng0", state="absent", timeout=0, on_pending="fail")
    assert result["failed"] and result["error_code"] == result["status"] == "unplug_pending" and result["changed"] is True


def test_a_pending_unplug_can_be_reported_instead(silent_guest: Changing) -> None:
    result = silent_guest.main("qmp_device", id="rng0", state="absent", timeout=0, on_pending="report")
    assert not result.get("failed") and result["status"] == "unplug_pending" and result["changed"] is True
    assert result["device"]["id"] == "rng0" and "rng0" in result["warnings"][0]
    assert [command["execute"] for command in result["commands"]] == ["device_del"]
