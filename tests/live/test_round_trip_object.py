# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What qmp_object returns can be fed back to it as options, and changes nothing."""

from __future__ import annotations

from typing import Any, Callable

import pytest

from ansible_collections.vmops.qemu.tests.support.modules import Modules, unchanged
from ansible_collections.vmops.qemu.tests.support.round_trip import returned_options
from ansible_collections.vmops.qemu.tests.vm.binaries import Binary
from ansible_collections.vmops.qemu.tests.vm.machine import VM

OBJECTS: dict[str, dict[str, Any]] = {
    "io1": {"qom_type": "iothread", "properties": {"poll-max-ns": 5, "aio-max-batch": 3}},
    "io2": {"qom_type": "iothread"},
    "slow": {"qom_type": "throttle-group", "properties": {"limits": {"iops-total": 500, "bps-read": 1 << 20}}},
    "sec0": {"qom_type": "secret", "secret": "c2VjcmV0", "properties": {"format": "base64"}},
    "mem1": {"qom_type": "memory-backend-ram", "properties": {"size": 2 << 20, "host-nodes": [0], "policy": "bind"}},
    "mem2": {"qom_type": "memory-backend-memfd", "properties": {"size": 2 << 20, "share": False, "seal": False}},
    "rng0": {"qom_type": "rng-random", "properties": {"filename": "/dev/urandom"}},
    "rng1": {"qom_type": "rng-builtin"},
    "tls0": {"qom_type": "tls-creds-anon", "properties": {"endpoint": "server", "verify-peer": False}},
    "allow": {"qom_type": "authz-list", "properties": {"policy": "deny", "rules": [{"match": "a*", "policy": "allow"}]}},
    "user": {"qom_type": "authz-simple", "properties": {"identity": "CN=me"}},
}
OF_THE_LAUNCH = (
    *("-object", "iothread,id=lio,poll-max-ns=7"),
    *("-object", "secret,id=lsec,data=secret"),
    *("-object", '{"qom-type":"throttle-group","id":"lslow","limits":{"iops-total":100}}'),
    *("-object", "memory-backend-ram,id=lmem,size=128M,share=on"),
    *("-object", "rng-random,id=lrng,filename=/dev/urandom"),
)


def assert_round_trip(vm: VM, described: dict[str, Any]) -> None:
    options = returned_options("qmp_object", described)
    assert options == described
    again = Modules(vm).run("qmp_object", **options)
    assert unchanged(again) and again["commands"] == [] and again["unverified"] == [], again
    assert again["object"] == described


def test_objects_that_are_returned_change_nothing(binary: Binary, make_vm: Callable[..., VM]) -> None:
    vm = make_vm(binary=binary, boot=False)
    described = {}
    for name, task in OBJECTS.items():
        added = Modules(vm).run("qmp_object", id=name, **task)
        assert added.get("changed"), added
        described[name] = added["object"]
        assert (
            described[name]["properties"].items()
            >= {key: value for key, value in task.get("properties", {}).items() if key not in ("limits", "rules")}.items()
        )
        assert_round_trip(vm, described[name])
    listed = {one["id"]: one for one in Modules(vm).info(gather_subset=["objects"])["objects"]}
    assert {name: listed[name] for name in described} == described
    vm.stop()
    vm = make_vm(binary=binary, boot=False)
    for one in described.values():
        secret: dict[str, Any] = {"secret": "c2VjcmV0"} if one["qom_type"] == "secret" else {}
        again = Modules(vm).run("qmp_object", **returned_options("qmp_object", one), **secret)
        assert again.get("changed") and again["object"] == one, again


def test_objects_of_the_launch_change_nothing(binary: Binary, make_vm: Callable[..., VM]) -> None:
    vm = make_vm(binary=binary, boot=False, extra=OF_THE_LAUNCH)
    objects = Modules(vm).info(gather_subset=["objects"])["objects"]
    assert {"lio", "lsec", "lslow", "lmem", "lrng"} <= {one["id"] for one in objects}
    for one in objects:
        assert_round_trip(vm, one)


@pytest.mark.parametrize("name", ["io1", "sec0", "mem1"])
def test_conflicts_and_unverified_options_are_named_as_in_the_task(make_vm: Callable[..., VM], name: str) -> None:
    vm, task = make_vm(boot=False), OBJECTS[name]
    assert Modules(vm).run("qmp_object", id=name, **task).get("changed")
    option, value = {"io1": ("poll-max-ns", 6), "sec0": ("format", "raw"), "mem1": ("size", 4 << 20)}[name]
    failed = Modules(vm).run("qmp_object", id=name, properties={option: value})
    assert [one["option"] for one in failed["details"]["differences"]] == [f"properties.{option}"], failed
    again = Modules(vm).run("qmp_object", id=name, **task)
    assert unchanged(again) and again["unverified"] == (["secret"] if name == "sec0" else [])
