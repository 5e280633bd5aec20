# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The desired hardware of a whole VM, over a recorded one: each item is planned for the VM as the items before will leave it."""

from __future__ import annotations

from typing import Any, Callable

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils._ansible.failure import Failure
from ansible_collections.vmops.qemu.plugins.module_utils.qmp import CommandError
from ansible_collections.vmops.qemu.tests.support import recordings
from ansible_collections.vmops.qemu.tests.support.changing import Changing
from ansible_collections.vmops.qemu.tests.support.recordings import Recording

NULL = {"driver": "null-co", "size": 1 << 20}
Start = Callable[[Recording], Changing]
ALL: dict[str, Any] = {
    "objects": [{"id": "io2", "qom_type": "iothread"}, {"id": "key", "qom_type": "secret", "secret": "word"}],
    "chardevs": [{"id": "port", "type": "null", "driver": "virtserialport", "bus": "serial.0"}],
    "devices": [{"id": "serial", "driver": "virtio-serial-pci"}, {"id": "ctl", "driver": "virtio-scsi-pci"}],
    "blockdevs": [
        {"id": "e1", "backend": NULL, "driver": "scsi-hd", "bus": "ctl.0"},
        {"id": "e2", "backend": NULL, "iothread": "io2"},
        {"id": "e3", "backend": NULL, "attach": False},
    ],
    "netdevs": [{"id": "n1", "state": "absent"}],
    "memory": [{"id": "dimm", "size": "128M"}],
    "cpus": 2,
}

RECORDED = "hardware"


def refused(recording: Recording, **options: Any) -> dict[str, Any]:
    with pytest.raises(Failure) as failure:
        recordings.check(recording, "qmp_hotplug", **options)
    return failure.value.result


def test_items_may_need_what_others_add_or_remove(recording: Recording) -> None:
    result = recordings.check(recording, "qmp_hotplug", **ALL)
    ids = [command["arguments"].get("id") or command["arguments"].get("node-name") for command in result["commands"]]
    assert ids[:2] == ["n1", "n1"]  # removals come first
    assert ids.index("io2") < ids.index("e2") and ids.index("ctl") < ids.index("e1") and ids.index("serial") < ids.index("port")
    devices = {one["arguments"]["id"]: one["arguments"] for one in result["commands"] if one["execute"] == "device_add"}
    slots = [(one["bus"], one.get("addr"), one.get("scsi-id")) for one in devices.values() if "bus" in one]
    assert len(slots) == len(set(slots)) and devices["e1"]["bus"] == "ctl.0" and devices["port"]["bus"] == "serial.0"
    assert {one["bus"] for one in devices.values() if one.get("addr") == "0"} <= {"rp2", "rp3", "rp4", "rp5"}
    assert [one["id"] for one in result["blockdevs"]] == ["e1", "e2", "e3"] and result["cpus"]["action"] == "changed"
    assert result["blockdevs"][2]["disk"]["attach"] is False and "word" not in str(result)


def test_the_order_of_the_items_does_not_matter(recording: Recording) -> None:
    result = recordings.check(recording, "qmp_hotplug", **ALL)
    reverse = {name: value[::-1] if isinstance(value, list) else value for name, value in reversed(ALL.items())}
    again = recordings.check(recording, "qmp_hotplug", **reverse)
    by_id = {one["id"]: one for one in again["blockdevs"]}
    assert {one["id"] for one in result["blockdevs"]} == set(by_id) and len(again["commands"]) == len(result["commands"])


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ({"blockdevs": [{"id": f"e{number}", "backend": NULL} for number in range(4)]}, "no_free_slot", "blockdevs[3] (e3)"),
        ({"blockdevs": [{"id": "x", "backend": NULL}], "netdevs": [{"id": "x", "type": "user"}]}, "invalid_option", "same id"),
        (
            {"netdevs": [{"id": name, "type": "user", "mac": "52:54:00:00:00:01"} for name in ("x", "y")]},
            "invalid_option",
            "same mac",
        ),
        ({"blockdevs": [{"id": name, "backend": NULL, "bus": "rp3"} for name in ("x", "y")]}, "no_free_slot", "it holds x"),
        ({"blockdevs": [{"id": "x", "backend": NULL, "iothread": "nosuch"}]}, "invalid_option", "blockdevs[0] (x): "),
        ({"blockdevs": [{"id": "x", "backend": NULL, "size": "big"}]}, "invalid_option", "blockdevs[0] (x): size 'big'"),
        ({"memory": [{"total": "1G"}, {"total": "2G"}]}, "invalid_option", "total"),
        ({"memory": [{"id": "m", "size": "64G"}]}, "no_free_slot", "memory[0] (m)"),
        ({"cpus": 99}, "no_free_slot", "cpus: count 99"),
        ({"cpus": True}, "invalid_option", "cpus.count is true"),
        ({"cpus": "many"}, "invalid_option", "cpus: "),
        ({"objects": [], "exact": True, "blockdevs": [{"id": "boot", "state": "absent"}]}, "unsupported", "force"),
    ],
)
def test_what_can_be_known_is_refused_with_its_item(recording: Recording, options: dict[str, Any], code: str, words: str) -> None:
    result = refused(recording, **options)
    assert result["error_code"] == code and words in result["msg"] and result["changed"] is False, result


@pytest.mark.parametrize("cpus", ["2", {"count": 2}, '{"count": 2}'])
def test_the_number_of_vcpus_can_be_text_or_options(recording: Recording, cpus: Any) -> None:
    assert recordings.check(recording, "qmp_hotplug", cpus=cpus)["cpus"]["cpus"]["count"] == 2


def test_exact_removes_what_is_plugged_and_not_listed(recording: Recording) -> None:
    result = recordings.check(recording, "qmp_hotplug", blockdevs=[{"id": "d2"}], exact=True)
    assert [(one["id"], one["action"]) for one in result["blockdevs"]] == [("d2", "none"), ("d1", "removed")]
    whole = recordings.check(
        recording, "qmp_hotplug", blockdevs=[], netdevs=[], objects=[], chardevs=[], devices=[], memory=[], cpus=1, exact=True
    )
    gone = {(kind, one["id"]) for kind in ("blockdevs", "netdevs", "objects", "chardevs") for one in whole[kind]}
    assert gone == {("blockdevs", "d1"), ("blockdevs", "d2"), ("netdevs", "n1"), ("objects", "io1"), ("chardevs", "c1")}


def test_all_of_it_comes_and_goes_in_one_task(recording: Recording, changing: Start) -> None:
    desired = {name: ALL[name] for name in ("objects", "chardevs", "devices", "blockdevs", "netdevs")}
    vm = changing(recording)
    done = vm.run("qmp_hotplug", **desired)
    assert done["changed"] and done["status"] == "present" and done["netdevs"][0]["status"] == "absent"
    assert [command["execute"] for command in vm.run("qmp_hotplug", **desired)["commands"]] == []
    undone = vm.run("qmp_hotplug", **done["undo"])
    assert undone["changed"] and all(one["disk"] is None for one in undone["blockdevs"])


def test_an_error_in_the_middle_undoes_all_that_was_added(recording: Recording, changing: Start) -> None:
    vm = changing(recording)
    vm.fail("netdev_add", CommandError("GenericError", "it is on fire", "netdev_add"))
    options: dict[str, Any] = {"blockdevs": [{"id": "e2", "backend": NULL}], "netdevs": [{"id": "n2", "type": "user"}]}
    result = vm.main("qmp_hotplug", **options)
    assert result["failed"] and result["msg"].startswith("netdevs[0] (n2): ") and "rolled back" in result["msg"]
    assert [one["execute"] for one in result["details"]["undone"]] == ["device_del", "blockdev-del"]
    assert result["details"]["item"] == {"kind": "netdevs", "index": 0, "id": "n2"} and result["changed"] is False
