# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans for disks and media, over a recorded VM."""

from __future__ import annotations

from typing import Any, Callable

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils._ansible.failure import Failure
from ansible_collections.vmops.qemu.plugins.module_utils._vm.model.hardware import Hardware
from ansible_collections.vmops.qemu.plugins.module_utils.qmp import CommandError
from ansible_collections.vmops.qemu.tests.support import recordings
from ansible_collections.vmops.qemu.tests.support.changing import Changing
from ansible_collections.vmops.qemu.tests.support.recordings import Recording

NULL = {"driver": "null-co", "size": 1 << 20}
Start = Callable[[Recording], Changing]

RECORDED = "hardware"


def executes(plan: Any) -> list[str]:
    return [command["execute"] for command in plan.commands()]


@pytest.mark.parametrize(
    ("options", "commands"),
    [
        ({"id": "new", "backend": NULL}, ["blockdev-add", "device_add"]),
        ({"id": "new", "backend": NULL, "attach": False}, ["blockdev-add"]),
        ({"id": "new", "backend": NULL, "driver": "scsi-hd", "scsi_id": 5}, ["blockdev-add", "device_add"]),
        ({"id": "new", "backend": NULL, "driver": "nvme"}, ["blockdev-add", "device_add"]),
        ({"id": "new", "backend": NULL, "limits": {"bps": "1M"}}, ["blockdev-add", "device_add", "block_set_io_throttle"]),
        ({"id": "new", "backend": NULL, "iothread": "io0", "queues": 2, "bootindex": 5}, ["blockdev-add", "device_add"]),
        ({"id": "new", "file": "/nosuch/new.raw"}, ["blockdev-add", "device_add"]),
        (
            {"id": "new", "file": "/nosuch/new.img", "format": "qcow2", "passphrase": "word"},
            ["object-add", "blockdev-add", "device_add"],
        ),
        (
            {"id": "new", "file": "/nosuch/n", "cache": {"direct": True}, "aio": "native", "discard": "unmap", "size": "2M"},
            ["blockdev-add", "block_resize", "device_add"],
        ),
        ({"id": "spare"}, ["device_add"]),
        ({"id": "spare", "attach": False}, []),
        ({"id": "d1"}, []),
        ({"id": "d1", "backend": NULL, "serial": "d1", "read_only": False, "format": "raw"}, []),
        ({"id": "d2", "limits": {"iops": 100}, "scsi_id": 3}, []),
        ({"id": "d2", "limits": {"iops": 50}}, ["block_set_io_throttle"]),
        ({"id": "d2", "limits": {}}, ["block_set_io_throttle"]),
        ({"id": "bydrive"}, []),
        ({"id": "cd"}, []),
        ({"id": "d1", "attach": False}, ["device_del"]),
        ({"id": "d1", "state": "absent"}, ["device_del", "blockdev-del"]),
        ({"id": "spare", "state": "absent"}, ["blockdev-del"]),
        ({"id": "new", "state": "absent"}, []),
        ({"id": "boot", "state": "absent", "force": True}, ["device_del", "blockdev-del"]),
        (
            {"id": "d1", "serial": "other", "recreate": True},
            ["device_del", "blockdev-del", "blockdev-add", "device_add"],
        ),
        (
            {"id": "d2", "driver": "virtio-blk-pci", "recreate": True},
            ["device_del", "blockdev-del", "blockdev-add", "device_add", "block_set_io_throttle"],
        ),
    ],
)
def test_the_commands_of_a_plan(hardware: Hardware, options: dict[str, Any], commands: list[str]) -> None:
    assert executes(recordings.plan(hardware, "qmp_blockdev", **options)) == commands


def test_a_new_disk_goes_to_the_first_free_slot_with_its_id_as_serial_number(hardware: Hardware) -> None:
    node, device = recordings.plan(hardware, "qmp_blockdev", id="new", backend=NULL).commands()
    assert node["arguments"] == {"driver": "raw", "node-name": "new", "read-only": False, "file": NULL}
    assert device["arguments"] == {
        "driver": "virtio-blk-pci",
        "id": "new",
        "drive": "new",
        "bus": "rp3",
        "addr": "0",
        "serial": "new",
    }


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ({"id": "new"}, "invalid_option", "neither file nor backend"),
        ({"id": "new", "file": "relative"}, "invalid_option", "relative"),
        ({"id": "new", "file": "http://host/x"}, "invalid_option", "backend"),
        ({"id": "new", "backend": NULL, "bus": "rp0"}, "no_free_slot", "rp0"),
        ({"id": "new", "backend": NULL, "bus": "nosuch"}, "invalid_option", "nosuch"),
        ({"id": "new", "backend": NULL, "driver": "scsi-hd", "scsi_id": 3}, "no_free_slot", "scsi_id 3"),
        ({"id": "new", "backend": NULL, "driver": "virtio-rng-pci"}, "invalid_option", "not a disk"),
        ({"id": "new", "backend": NULL, "driver": "nosuch"}, "invalid_option", "nosuch"),
        ({"id": "new", "backend": NULL, "iothread": "nosuch"}, "invalid_option", "nosuch"),
        ({"id": "new", "backend": NULL, "bootindex": 1}, "conflict", "boot"),
        ({"id": "new", "backend": NULL, "queues": 0}, "invalid_option", "queues"),
        ({"id": "new", "backend": NULL, "serial": "s" * 21}, "invalid_option", "serial"),
        ({"id": "new", "backend": NULL, "size": "2M"}, "command_failed", "size"),
        ({"id": "new", "backend": NULL, "size": "1000"}, "invalid_option", "size 1000"),
        ({"id": "new", "backend": NULL, "limits": {"bps": "1M", "bps_rd": "1M"}}, "invalid_option", "limits.bps"),
        ({"id": "new", "backend": NULL, "limits": {"iops": 1}, "driver": "nvme"}, "unsupported", "limits"),
        ({"id": "new", "backend": NULL, "detect_zeroes": "unmap"}, "invalid_option", "discard: unmap"),
        ({"id": "new", "backend": NULL, "backend_secrets": {"name": "x"}}, "invalid_option", "backend_secrets"),
        ({"id": "new", "backend": NULL, "passphrase": "word"}, "invalid_option", "passphrase"),
        ({"id": "new", "backend": {"driver": "nosuch"}}, "command_failed", "nosuch"),
        ({"id": "d1", "serial": "other"}, "conflict", "serial"),
        ({"id": "d1", "backend": {"driver": "null-co", "size": 2 << 20}}, "conflict", "backend.size"),
        ({"id": "d1", "driver": "scsi-hd"}, "conflict", "driver"),
        ({"id": "d1", "read_only": True}, "conflict", "read_only"),
        ({"id": "d1", "cache": {"direct": True}}, "conflict", "cache.direct"),
        ({"id": "d1", "size": "512K"}, "invalid_option", "allow_shrink"),
        ({"id": "d1", "size": "2M"}, "invalid_option", "size"),
        ({"id": "rp0"}, "conflict", "not a disk"),
        ({"id": "n1"}, "conflict", "not a disk"),
        ({"id": "drv"}, "conflict", "bydrive"),
        ({"id": "bydrive", "attach": False}, "unsupported", "-drive"),
        ({"id": "boot", "state": "absent"}, "unsupported", "force"),
        ({"id": "d2", "driver": "nvme", "recreate": True}, "conflict", "limits"),
    ],
)
def test_what_a_plan_refuses(recording: Recording, options: dict[str, Any], code: str, words: str) -> None:
    with pytest.raises(Failure) as failure:
        recordings.check(recording, "qmp_blockdev", **options)
    result = failure.value.result
    assert result["error_code"] == code and words in result["msg"], result
    assert result["changed"] is False


@pytest.mark.parametrize("name", ["d1", "d2", "spare", "boot", "bydrive", "cd"])
def test_a_disk_that_is_returned_can_be_fed_back(recording: Recording, name: str) -> None:
    disk = recordings.check(recording, "qmp_blockdev", id=name, attach=name != "spare")["disk"]
    options = {
        one: value for one, value in disk.items() if one in recordings.work_of("qmp_blockdev").options and value is not None
    }
    again = recordings.check(recording, "qmp_blockdev", **options)
    assert not again["changed"] and again["disk"]["id"] == name


def test_disks_come_change_and_go(recording: Recording, changing: Start) -> None:
    vm = changing(recording)
    added = vm.run("qmp_blockdev", id="new", backend=NULL, limits={"iops": 10})
    assert added["disk"]["bus"] == "rp3" and added["disk"]["limits"] == {"iops": 10}
    assert not vm.run("qmp_blockdev", id="new", backend=NULL, limits={"iops": 10})["changed"]
    detached = vm.run("qmp_blockdev", id="new", attach=False)
    assert detached["changed"] and detached["disk"]["attach"] is False
    assert vm.run("qmp_blockdev", id="new", state="absent")["disk"] is None
    recreated = vm.run("qmp_blockdev", id="d1", serial="other", recreate=True)
    assert recreated["disk"]["serial"] == "other" and recreated["disk"]["bus"] == "rp1"


def test_a_recreated_disk_that_qemu_refuses_is_restored(recording: Recording, changing: Start) -> None:
    vm = changing(recording)
    vm.fail("blockdev-add", CommandError("GenericError", "it is on fire", "blockdev-add"))
    result = vm.main("qmp_blockdev", id="d1", serial="other", recreate=True)
    assert result["failed"] and "it is on fire" in result["msg"] and "Restored: d1" in result["msg"]
    assert not vm.run("qmp_blockdev", id="d1", serial="d1")["changed"]


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ({"id": "nosuch", "file": "/f"}, "invalid_option", "nosuch"),
        ({"id": "d1", "file": "/f"}, "conflict", "CD drive"),
        ({"id": "cd", "file": "relative"}, "invalid_option", "relative"),
    ],
)
def test_media_that_are_refused(recording: Recording, options: dict[str, Any], code: str, words: str) -> None:
    with pytest.raises(Failure) as failure:
        recordings.check(recording, "qmp_media", **options)
    assert failure.value.result["error_code"] == code and words in failure.value.result["msg"], failure.value.result


def test_an_empty_drive_takes_a_medium_and_has_none_to_give(hardware: Hardware) -> None:
    assert executes(recordings.plan(hardware, "qmp_media", id="cd", file="/nosuch/iso"))[-2:] == [
        "blockdev-insert-medium",
        "blockdev-close-tray",
    ]
    assert executes(recordings.plan(hardware, "qmp_media", id="cd", state="absent")) == []
