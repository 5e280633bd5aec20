# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects that other things refer to: added, compared, recreated, deleted, and kept while they are in use."""

from __future__ import annotations

import json
from typing import Any, Callable

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils._vm.devices.objects.plans import ObjectSpec, plan_present
from ansible_collections.vmops.qemu.plugins.module_utils._vm.errors import InvalidOption
from ansible_collections.vmops.qemu.plugins.module_utils._vm.model.hardware import Hardware
from ansible_collections.vmops.qemu.plugins.module_utils.qmp import CommandError, Monitor, UnixAddress
from ansible_collections.vmops.qemu.tests.support.modules import Modules, refused, unchanged
from ansible_collections.vmops.qemu.tests.support.values import NULL
from ansible_collections.vmops.qemu.tests.vm.binaries import binaries
from ansible_collections.vmops.qemu.tests.vm.machine import VM


def life(vm: VM, **options: Any) -> dict[str, Any]:
    """Have an object, have it again, have it no more and again."""
    modules, before = Modules(vm), vm.hardware()
    planned = modules.run("qmp_object", check=True, **options)
    assert planned["changed"] and vm.hardware() == before, planned
    added = modules.run("qmp_object", **options)
    assert added.get("commands") == planned["commands"], added
    again = modules.run("qmp_object", **options)
    assert unchanged(again), again
    assert modules.run("qmp_object", id=options["id"], state="absent")["changed"]
    assert unchanged(modules.run("qmp_object", id=options["id"], state="absent"))
    assert vm.hardware() == before
    return added


def test_an_io_thread(bare_vm: VM) -> None:
    added = life(bare_vm, id="io1", qom_type="iothread", properties={"poll-max-ns": "10000"})
    assert added["object"]["properties"]["poll-max-ns"] == 10000
    assert added["launch_args"] == ["-object", "iothread,id=io1,poll-max-ns=10000"]


def test_a_throttle_group(bare_vm: VM) -> None:
    added = life(bare_vm, id="slow", qom_type="throttle-group", properties={"limits": {"iops-total": 500}})
    assert added["object"]["properties"]["limits"]["iops-total"] == 500
    argument = {"qom-type": "throttle-group", "id": "slow", "limits": {"iops-total": 500}}
    assert [added["launch_args"][0], json.loads(added["launch_args"][1])] == ["-object", argument]


def test_a_memory_backend(bare_vm: VM) -> None:
    added = life(bare_vm, id="m1", qom_type="memory-backend-ram", properties={"size": 2 << 20})
    assert added["object"]["properties"]["size"] == 2 << 20


def test_an_authorization_list(bare_vm: VM) -> None:
    life(bare_vm, id="allow", qom_type="authz-simple", properties={"identity": "CN=me"})


def test_other_properties_are_a_conflict_or_recreated(modules: Modules, vm: VM) -> None:
    assert modules.run("qmp_object", id="m1", qom_type="memory-backend-ram", properties={"size": 2 << 20})["changed"]
    task: dict[str, Any] = {"id": "m1", "qom_type": "memory-backend-ram", "properties": {"size": 4 << 20}}
    refused(modules.run("qmp_object", **task), "conflict", "2097152", "4194304", "recreate")
    refused(modules.run("qmp_object", id="m1", qom_type="iothread"), "conflict", "memory-backend-ram", "iothread")
    result = modules.run("qmp_object", recreate=True, **task)
    assert [command["execute"] for command in result["commands"]] == ["object-del", "object-add"]
    assert result["object"]["properties"]["size"] == 4 << 20
    assert modules.run("qmp_object", id="m1", state="absent")["changed"]


def test_limits_of_a_throttle_group_are_changed_while_a_disk_has_them(bare_vm: VM) -> None:
    modules = Modules(bare_vm)
    group: dict[str, Any] = {"id": "slow", "qom_type": "throttle-group"}
    assert modules.run("qmp_object", properties={"limits": {"iops-total": 500, "bps-total": 1 << 20}}, **group)["changed"]
    backend = {"driver": "throttle", "throttle-group": "slow", "file": NULL}
    assert modules.blockdev(id="d1", backend=backend).get("changed")
    task: dict[str, Any] = {**group, "properties": {"limits": {"iops-total": 100}}}
    planned = modules.run("qmp_object", check=True, **task)
    result = modules.run("qmp_object", **task)
    assert result.get("changed") and result["commands"] == planned["commands"], result
    assert result["commands"] == [
        {"execute": "qom-set", "arguments": {"path": "/objects/slow", "property": "limits", "value": {"iops-total": 100}}}
    ]
    limits = result["object"]["properties"]["limits"]
    assert (limits["iops-total"], limits["bps-total"]) == (100, 1 << 20)
    assert planned["object"]["properties"]["limits"] == limits
    assert unchanged(modules.run("qmp_object", **task))
    again = modules.run("qmp_object", **task)
    assert json.loads(again["launch_args"][1])["limits"] == {"iops-total": 100, "bps-total": 1 << 20}
    for check in (True, False):
        both = modules.run("qmp_object", check, **group, properties={"limits": {"iops-read": 5}})
        refused(both, "invalid_option", "limits.iops-total", "iops-read", "not both")


OLD_AND_BAD: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    # QEMU refuses these for reasons that only it can know
    ("memory-backend-ram", {"size": 2 << 20, "prealloc": True, "merge": False}, {"size": 1 << 62}),
    ("memory-backend-ram", {"size": 2 << 20, "share": True}, {"host-nodes": [77], "policy": "bind"}),
    ("memory-backend-memfd", {"size": 2 << 20, "seal": False}, {"size": 1 << 61}),
    ("rng-random", {"filename": "/dev/urandom"}, {"filename": "/nosuch/random"}),
    ("secret", {"format": "base64"}, {"file": "/nosuch/secret"}),
]


@pytest.mark.parametrize(("qom_type", "old", "bad"), OLD_AND_BAD, ids=str)
def test_an_object_whose_new_value_is_bad_is_restored(
    bare_vm: VM, qom_type: str, old: dict[str, Any], bad: dict[str, Any]
) -> None:
    modules = Modules(bare_vm)
    secret: dict[str, Any] = {"secret": "aGVsbG8="} if qom_type == "secret" else {}
    assert modules.run("qmp_object", id="o1", qom_type=qom_type, properties=old, **secret).get("changed")
    before = object_as_it_is(bare_vm)
    failed = modules.run("qmp_object", id="o1", properties=bad, recreate=True)
    refused(failed, "command_failed", "o1", "Restored: o1")
    assert [one["execute"] for one in failed["details"]["undone"]] == ["object-add"], failed
    assert object_as_it_is(bare_vm) == before
    assert "aGVsbG8=" not in json.dumps(failed)
    assert modules.run("qmp_object", id="o1", state="absent")["changed"]


def object_as_it_is(vm: VM) -> dict[str, Any]:
    """All that QEMU reports of the object o1."""
    return {
        one["name"]: vm.query("qom-get", path="/objects/o1", property=one["name"])
        for one in vm.query("qom-list", path="/objects/o1")
        if not one["type"].startswith("child<")
    }


@pytest.mark.parametrize(
    ("qom_type", "old", "new"),
    [
        ("memory-backend-ram", {"size": 2 << 20, "share": True, "dump": False}, {"size": 4 << 20}),
        ("memory-backend-memfd", {"size": 2 << 20, "share": False, "seal": False}, {"size": 4 << 20}),
        ("authz-list", {"policy": "deny", "rules": [{"match": "a*", "policy": "allow", "format": "glob"}]}, {"policy": "allow"}),
        ("iothread", {"poll-max-ns": 5, "aio-max-batch": 3}, {"poll-max-ns": 7}),
        ("secret", {"format": "raw"}, {"format": "base64"}),
        ("tls-creds-anon", {"endpoint": "server", "priority": "NORMAL"}, {"endpoint": "client"}),
    ],
    ids=str,
)
def test_what_a_task_does_not_specify_is_carried_over(
    bare_vm: VM, qom_type: str, old: dict[str, Any], new: dict[str, Any]
) -> None:
    modules = Modules(bare_vm)
    secret: dict[str, Any] = {"secret": "aGVsbG8="} if qom_type == "secret" else {}
    assert modules.run("qmp_object", id="o1", qom_type=qom_type, properties=old, **secret).get("changed")
    before = object_as_it_is(bare_vm)
    planned = modules.run("qmp_object", True, id="o1", properties=new, recreate=True)
    done = modules.run("qmp_object", id="o1", properties=new, recreate=True)
    assert done.get("changed") and done["commands"] == planned["commands"], done
    assert object_as_it_is(bare_vm) == {**before, **new}
    assert "aGVsbG8=" not in json.dumps([planned, done])
    assert unchanged(modules.run("qmp_object", id="o1", properties={**old, **new}))


REFUSED: list[tuple[dict[str, Any], list[str]]] = [
    ({"qom_type": "memory-backend-ram"}, ["properties.size"]),
    ({"qom_type": "memory-backend-ram", "properties": {"size": 0}}, ["properties.size", "0"]),
    ({"qom_type": "memory-backend-ram", "properties": {"size": -1}}, ["properties.size", "-1"]),
    ({"qom_type": "memory-backend-ram", "properties": {"size": 4096, "policy": "bind"}}, ["properties.policy", "host-nodes"]),
    ({"qom_type": "memory-backend-ram", "properties": {"size": 4096, "policy": "bid"}}, ["properties.policy", "'bind'"]),
    ({"qom_type": "memory-backend-ram", "properties": {"size": 4096, "host-nodes": 0}}, ["properties.host-nodes", "array"]),
    ({"qom_type": "memory-backend-file", "properties": {"size": 4096}}, ["properties.mem-path"]),
    ({"qom_type": "iothread", "properties": {"poll-max-ns": -1}}, ["properties.poll-max-ns", "-1"]),
    ({"qom_type": "iothread", "properties": {"poll-max-ns": 1 << 63}}, ["properties.poll-max-ns"]),
    ({"qom_type": "iothread", "properties": {"thread-pool-min": 65}}, ["thread-pool-min", "thread-pool-max"]),
    ({"qom_type": "throttle-group", "properties": {"limits": "fast"}}, ["properties.limits", "object"]),
    ({"qom_type": "throttle-group", "properties": {"limits": {"iops": 1}}}, ["properties.limits.iops"]),
    ({"qom_type": "throttle-group", "properties": {"limits": {"iops-total": "x"}}}, ["properties.limits.iops-total", "int"]),
    ({"qom_type": "throttle-group", "properties": {"limits": {"iops-total": -1}}}, ["properties.limits.iops-total", "-1"]),
    ({"qom_type": "throttle-group", "properties": {"limits": {"bps-total": 1, "bps-read": 1}}}, ["bps-total", "bps-read"]),
    (
        {
            "qom_type": "throttle-group",
            "properties": {"limits": {"bps-total": 9, "bps-total-max": 9, "bps-write-max": 9, "bps-write": 0}},
        },
        ["bps-total-max", "bps-write-max"],
    ),
    ({"qom_type": "throttle-group", "properties": {"limits": {"iops-total-max": 1}}}, ["iops-total-max", "iops-total"]),
    ({"qom_type": "throttle-group", "properties": {"limits": {"iops-read": 5, "iops-read-max": 4}}}, ["iops-read-max", "less"]),
    ({"qom_type": "throttle-group", "properties": {"limits": {"iops-read": 5, "iops-read-max-length": 4}}}, ["iops-read-max"]),
    ({"qom_type": "throttle-group", "properties": {"limits": {"iops-read-max-length": 0}}}, ["iops-read-max-length"]),
    ({"qom_type": "throttle-group", "properties": {"limits": {"iops-size": 4096}}}, ["iops-size", "iops-total"]),
    ({"qom_type": "throttle-group", "properties": {"limits": {"bps-total": 10**15 + 1}}}, ["bps-total"]),
    (
        {
            "qom_type": "throttle-group",
            "properties": {"limits": {"bps-total": 1, "bps-total-max": 10**14, "bps-total-max-length": 11}},
        },
        ["bps-total-max-length"],
    ),
    ({"qom_type": "secret"}, ["secret", "file"]),
    ({"qom_type": "secret", "values": {"secret": "x"}, "properties": {"file": "/x"}}, ["secret", "file"]),
    ({"qom_type": "secret", "values": {"secret": "x"}, "properties": {"keyid": "k"}}, ["keyid", "iv"]),
    ({"qom_type": "filter-buffer", "properties": {"netdev": "n"}}, ["properties.interval"]),
    ({"qom_type": "filter-buffer", "properties": {"netdev": "n", "interval": 1}}, ["properties.netdev", "'n'"]),
    ({"qom_type": "rng-egd", "properties": {"chardev": "n"}}, ["properties.chardev", "'n'"]),
    (
        {"qom_type": "colo-compare", "properties": {"primary_in": "a", "secondary_in": "b", "outdev": "c", "iothread": "d"}},
        ["properties.primary_in", "'a'"],
    ),
    ({"qom_type": "authz-list", "properties": {"rules": [{"match": "x", "policy": "alow"}]}}, ["rules[0].policy", "'allow'"]),
    ({"qom_type": "authz-list-file", "properties": {"filename": "/x"}}, ["authz-list-file"]),
]
KILLS = ("-1", "colo-compare")
"""What makes QEMU abort, so that it is not tried on it."""


def test_what_qemu_would_refuse_is_refused_before_it_is_sent(bare_vm: VM) -> None:
    with Monitor.connect(UnixAddress(str(bare_vm.qmp_socket)), timeout=10) as monitor:
        hardware = Hardware(monitor)
        for options, words in REFUSED:
            with pytest.raises(InvalidOption) as refusal:
                plan_present(hardware, ObjectSpec("o1", **options))
            assert [word for word in words if word not in str(refusal.value)] == [], refusal.value
            if any(word in str(options) for word in KILLS) and "limits" not in str(options):
                continue
            arguments = {"qom-type": options["qom_type"], "id": "o1", **options.get("properties", {})}
            if "values" in options:
                arguments["data"] = options["values"]["secret"]
            with pytest.raises(CommandError):
                monitor.execute("object-add", arguments)
    refused(Modules(bare_vm).run("qmp_object", check=True, id="o1", **REFUSED[0][0]), "invalid_option", *REFUSED[0][1])


def test_numbers_as_text_are_numbers_at_any_depth(bare_vm: VM) -> None:
    task: dict[str, Any] = {"id": "slow", "qom_type": "throttle-group", "properties": {"limits": {"iops-total": "500"}}}
    assert Modules(bare_vm).run("qmp_object", **task)["object"]["properties"]["limits"]["iops-total"] == 500
    assert unchanged(Modules(bare_vm).run("qmp_object", **task))


def test_words_that_qemu_does_not_know(modules: Modules) -> None:
    refused(modules.run("qmp_object", id="a", qom_type="iothred"), "invalid_option", "'iothread'")
    refused(modules.run("qmp_object", id="a", qom_type="iothread", properties={"poll-max": 1}), "invalid_option", "'poll-max-ns'")
    refused(modules.run("qmp_object", id="1 a", qom_type="iothread"), "invalid_option", "letter")
    refused(modules.run("qmp_object", id="a"), "invalid_option", "qom_type")
    refused(modules.run("qmp_object", id="a", qom_type="secret", properties={"data": "x"}), "invalid_option", "secret")


def test_an_io_thread_that_serves_one_queue_of_a_disk_stays_unless_forced(make_vm: Callable[..., VM]) -> None:
    vm = make_vm(binary=binaries()[-1], boot=False)
    if "iothread-vq-mapping" not in {one["name"] for one in vm.query("device-list-properties", typename="virtio-blk-pci")}:
        pytest.skip("this QEMU has one I/O thread for all queues of a disk")
    modules = Modules(vm)
    for name in ("io1", "io2", "io3"):
        assert modules.run("qmp_object", id=name, qom_type="iothread")["changed"]
    mapping = {"iothread-vq-mapping": [{"iothread": "io1"}, {"iothread": "io2"}], "num-queues": 2}
    assert modules.blockdev(id="d1", backend=NULL, properties=mapping).get("changed")
    for name in ("io1", "io2"):
        refused(modules.run("qmp_object", id=name, state="absent"), "conflict", "d1", "force")
        assert modules.run("qmp_object", check=True, id=name, state="absent", force=True)["changed"]
    assert modules.run("qmp_object", id="io3", state="absent")["changed"]


def test_an_io_thread_that_serves_a_disk_stays_unless_forced(modules: Modules, vm: VM) -> None:
    assert modules.run("qmp_object", id="io1", qom_type="iothread")["changed"]
    assert modules.blockdev(id="d1", backend=NULL, iothread="io1")["changed"]
    refused(modules.run("qmp_object", id="io1", state="absent"), "conflict", "d1", "force")
    assert "io1" in vm.hardware()["objects"]
    assert modules.run("qmp_object", id="io1", state="absent", force=True)["changed"]
    assert modules.blockdev(id="d1", state="absent")["changed"]
