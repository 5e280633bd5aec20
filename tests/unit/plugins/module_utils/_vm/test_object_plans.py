# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans for objects, over a recorded VM."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils._vm.devices.objects import plans as objects
from ansible_collections.vmops.qemu.plugins.module_utils._vm.errors import Conflict, InvalidOption, Unsupported
from ansible_collections.vmops.qemu.plugins.module_utils._vm.model.hardware import Hardware
from ansible_collections.vmops.qemu.plugins.module_utils._vm.plan.command_line import SECRET_FILE
from ansible_collections.vmops.qemu.plugins.module_utils._vm.plan.plan import Plan
from ansible_collections.vmops.qemu.tests.support import recordings

RECORDED = "objects"


def plan(hardware: Hardware, **options: Any) -> Plan:
    return recordings.plan(hardware, "qmp_object", **options)


def sent(made: Plan) -> list[tuple[str, dict[str, Any]]]:
    return [(command["execute"], command["arguments"]) for command in made.commands()]


@pytest.mark.parametrize(
    "options",
    [
        {"id": "io0"},
        {"id": "io1", "qom_type": "iothread", "properties": {"poll-max-ns": "5"}},
        {"id": "slow", "properties": {"limits": {"iops-total": "500"}}},
        {"id": "mem1", "properties": {"size": 2 << 20, "share": False, "host-nodes": []}},
        {"id": "f0", "properties": {"netdev": "n0", "interval": 1000}},
        {"id": "gone", "state": "absent"},
    ],
    ids=str,
)
def test_what_the_vm_has_is_not_changed(hardware: Hardware, options: dict[str, Any]) -> None:
    made = plan(hardware, **options)
    assert made.steps == () and made.before == made.after and made.unverified == ()


def test_every_object_as_it_is_described_is_not_changed(hardware: Hardware) -> None:
    described = objects.describe_all(hardware)
    assert {"io0", "io1", "sec0", "slow", "mem1", "f0", "can0"} <= {one["id"] for one in described}
    for one in described:
        made = plan(hardware, **one)
        assert made.steps == () and made.unverified == () and made.after == one
    assert "hush" not in json.dumps(described)


def test_a_new_object(hardware: Hardware) -> None:
    made = plan(hardware, id="new", qom_type="iothread", properties={"poll-max-ns": "7"})
    assert sent(made) == [("object-add", {"qom-type": "iothread", "id": "new", "poll-max-ns": 7})]
    assert made.before is None and made.after == {"id": "new", "qom_type": "iothread", "properties": {"poll-max-ns": 7}}
    assert made.launch_args == ("-object", "iothread,id=new,poll-max-ns=7")
    undo = made.steps[0].undo()
    assert undo and undo.commands() == [{"execute": "object-del", "arguments": {"id": "new"}}]
    plain = plan(hardware, id="new", qom_type="iothread")
    assert plain.after == {"id": "new", "qom_type": "iothread", "properties": {}}


def test_a_secret_is_sent_and_not_shown(hardware: Hardware) -> None:
    made = plan(hardware, id="new", qom_type="secret", secret="pssst")
    assert sent(made)[0][1]["data"] == "pssst" and made.unverified == ()
    assert "pssst" not in json.dumps([made.after, made.launch_args]) and SECRET_FILE in made.launch_args[1]
    again = plan(hardware, id="sec0", secret="pssst")
    assert again.steps == () and again.unverified == ("secret",)


def test_limits_are_changed_in_place(hardware: Hardware) -> None:
    made = plan(hardware, id="slow", properties={"limits": {"iops-total": 100}})
    target = {"path": "/objects/slow", "property": "limits"}
    assert sent(made) == [("qom-set", {**target, "value": {"iops-total": 100}})]
    undo = made.steps[0].undo()
    assert undo and undo.commands()[0]["arguments"] == {**target, "value": {"iops-total": 500}}
    limits = made.after and made.after["properties"]["limits"]
    assert limits and (limits["iops-total"], limits["bps-read"]) == (100, 1000)
    assert json.loads(made.launch_args[1])["limits"] == {"iops-total": 100, "bps-read": 1000}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"id": "io1", "properties": {"poll-max-ns": 6}}, "properties.poll-max-ns is 5 and the task sets 6"),
        ({"id": "io1", "qom_type": "rng-builtin"}, "qom_type is 'iothread' and the task sets 'rng-builtin'"),
        ({"id": "sec0", "properties": {"format": "base64"}}, "properties.format is 'raw' and the task sets 'base64'"),
        ({"id": "sec0", "properties": {"keyid": "io1"}}, "properties.keyid is '' and the task sets 'io1'"),
        ({"id": "io1", "qom_type": "secret", "state": "absent"}, "is a iothread, not a secret"),
        ({"id": "io0", "state": "absent"}, "used by scsi1"),
        ({"id": "used", "state": "absent", "force": True}, "does not delete a throttle-group in use"),
        ({"id": "io0", "properties": {"poll-max-ns": 6}, "recreate": True}, "used by scsi1"),
    ],
    ids=str,
)
def test_conflicts(hardware: Hardware, options: dict[str, Any], words: str) -> None:
    properties = options.get("properties", {})
    if "keyid" in properties:
        options = {**options, "properties": {**properties, "iv": "AAAAAAAAAAAAAAAAAAAAAA=="}, "secret": "x"}
    with pytest.raises(Conflict, match=words):
        plan(hardware, **options)


def test_an_object_is_deleted(hardware: Hardware) -> None:
    made = plan(hardware, id="io1", state="absent")
    assert sent(made) == [("object-del", {"id": "io1"})] and made.after is None and made.before
    assert made.before["properties"]["poll-max-ns"] == 5
    assert sent(plan(hardware, id="io0", state="absent", force=True)) == [("object-del", {"id": "io0"})]


def test_a_recreated_object_keeps_what_the_task_does_not_set(hardware: Hardware) -> None:
    made = plan(hardware, id="mem1", properties={"size": 4 << 20}, recreate=True)
    new = {"qom-type": "memory-backend-memfd", "id": "mem1", "size": 4 << 20, "share": False}
    assert sent(made) == [("object-del", {"id": "mem1"}), ("object-add", new)]
    undo = made.steps[0].undo()
    assert undo and undo.commands()[0]["arguments"] == {**new, "size": 2 << 20}
    secret = plan(hardware, id="sec0", properties={"format": "base64"}, recreate=True)
    assert sent(secret)[1][1] == {"qom-type": "secret", "id": "sec0", "data": "hush", "format": "base64"}
    assert "hush" not in json.dumps([secret.before, secret.after, secret.launch_args])
    other = plan(hardware, id="io1", qom_type="rng-builtin", recreate=True)
    assert sent(other)[1][1] == {"qom-type": "rng-builtin", "id": "io1"}
    filed = plan(hardware, id="sec0", properties={"file": "/secret"}, recreate=True)
    assert "data" not in sent(filed)[1][1] and sent(filed)[1][1]["file"] == "/secret"


def _memory(**properties: Any) -> dict[str, Any]:
    return {"qom_type": "memory-backend-ram", "properties": {"size": 4096, **properties}}


def _limits(**limits: Any) -> dict[str, Any]:
    names = {name.replace("_", "-"): value for name, value in limits.items()}
    return {"qom_type": "throttle-group", "properties": {"limits": names}}


def _colo(**properties: Any) -> dict[str, Any]:
    return {
        "qom_type": "colo-compare",
        "properties": {"primary_in": "c0", "secondary_in": "c0", "outdev": "c0", "iothread": "io0", **properties},
    }


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "Set qom_type to add it"),
        ({"qom_type": "iothred"}, "no object type 'iothred'; the nearest is 'iothread'"),
        ({"qom_type": "iothread", "properties": {"nosuch": 1}}, "nosuch"),
        ({"qom_type": "iothread", "properties": {"id": "x"}}, "Use the option 'id'"),
        ({"qom_type": "secret", "properties": {"data": "x"}}, "Use the option 'secret'"),
        ({"qom_type": "iothread", "properties": {"poll-max-ns": -1}}, "set a number from 0 to"),
        ({"qom_type": "iothread", "properties": {"thread-pool-min": 65}}, "thread-pool-min is 65 and thread-pool-max is 64"),
        (_memory(size=0), "properties.size is 0. For a memory-backend-ram set a number from 1"),
        (_memory(policy="bind"), "policy is 'bind'.*requires host-nodes"),
        (_memory(**{"host-nodes": [0]}), "policy is 'default'"),
        ({"qom_type": "secret"}, "requires its content"),
        ({"qom_type": "secret", "secret": "x", "properties": {"file": "/x"}}, "requires its content"),
        ({"qom_type": "secret", "secret": "x", "properties": {"keyid": "sec0"}}, "only one of keyid and iv"),
        (_limits(iops_total=-1), "iops-total is -1, which is not from 0"),
        (_limits(bps_total=1, bps_write=1), "bps-total is 1, and bps-write is 1. Set the total"),
        (_limits(iops_read_max_length=0), "iops-read-max-length is 0, and has to be 1 second or more"),
        (_limits(iops_read=1, iops_read_max_length=2), "which needs iops-read-max"),
        (_limits(iops_total_max=1), "which needs iops-total"),
        (_limits(iops_read=5, iops_read_max=4), "which is less than iops-read, 5"),
        (_limits(bps_total=1, bps_total_max=10**14, bps_total_max_length=11), "which is too long for bps-total-max"),
        (_limits(iops_size=4096), "which needs iops-total, iops-read or iops-write"),
        ({"qom_type": "filter-buffer", "properties": {"netdev": "x", "interval": 1}}, "netdev is 'x', but the VM has no"),
        ({"qom_type": "filter-buffer", "properties": {"netdev": "n0", "interval": 1, "status": "up"}}, "status is 'up'"),
        (
            {"qom_type": "filter-buffer", "properties": {"netdev": "n0", "interval": 1, "position": "first"}},
            "is 'first'",
        ),
        ({"qom_type": "filter-mirror", "properties": {"netdev": "n0", "outdev": "x"}}, "outdev is 'x', but the VM has no"),
        ({"qom_type": "rng-egd", "properties": {"chardev": "x"}}, "chardev is 'x', but the VM has no"),
        (_colo(), "requires its own socket .*: c0, c0, c0"),
        ({"qom_type": "monitor-qmp"}, "does not manage monitors"),
    ],
    ids=str,
)
def test_new_objects_that_are_refused(hardware: Hardware, options: dict[str, Any], words: str) -> None:
    error = Unsupported if options.get("qom_type") == "monitor-qmp" else InvalidOption
    with pytest.raises(error, match=words):
        plan(hardware, id="new", **options)


def test_a_colo_compare_needs_an_io_thread(hardware: Hardware) -> None:
    chardev = hardware.chardevs["c0"]
    for name in ("c1", "c2", "c3"):
        hardware.chardevs[name] = chardev._replace(id=name, type="socket")
    sockets = {"primary_in": "c1", "secondary_in": "c2", "outdev": "c3"}
    assert plan(hardware, id="new", **_colo(**sockets)).steps
    with pytest.raises(InvalidOption, match="iothread is 'slow', but the VM has no such I/O thread"):
        plan(hardware, id="new", **_colo(**sockets, iothread="slow"))


def test_an_affinity_is_not_empty(hardware: Hardware) -> None:
    with pytest.raises(InvalidOption, match="properties.cpu-affinity is empty"):
        plan(hardware, id="new", qom_type="thread-context", properties={"cpu-affinity": []})
    assert plan(hardware, id="new", qom_type="thread-context", properties={"cpu-affinity": [0]}).steps


def test_a_can_bus_and_a_monitor_stay(hardware: Hardware) -> None:
    with pytest.raises(Unsupported, match="never deletes"):
        plan(hardware, id="can0", state="absent")
    for monitor in hardware.monitors:
        with pytest.raises(Conflict, match="monitor"):
            plan(hardware, id=monitor)


def test_qemu_before_6_0_has_the_properties_in_a_member(hardware: Hardware, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware.schema, "has_member", lambda command, member: (command, member) == ("object-add", "props"))
    made = plan(hardware, id="new", qom_type="iothread", properties={"poll-max-ns": 7})
    assert sent(made) == [("object-add", {"qom-type": "iothread", "id": "new", "props": {"poll-max-ns": 7}})]
    assert plan(hardware, id="io1", properties={"poll-max-ns": 5}).steps == ()
