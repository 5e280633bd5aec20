# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""NICs that are recreated: if QEMU rejects the new NIC the old one is restored, and parts that do not differ stay."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.vmops.qemu.tests.support.modules import Modules, refused, unchanged
from ansible_collections.vmops.qemu.tests.support.waiting import until
from ansible_collections.vmops.qemu.tests.vm.binaries import Binary
from ansible_collections.vmops.qemu.tests.vm.machine import VM

FIRST = {"id": "n1", "type": "user", "mac": "52:54:00:00:00:01", "properties": {"host_mtu": 1400}}


@pytest.fixture
def vm(binary: Binary, make_vm: Callable[..., VM]) -> VM:
    return make_vm(binary=binary, native=True, boot=False)


def network(vm: VM) -> str:
    return str(vm.query("human-monitor-command", **{"command-line": "info network"}))


@pytest.mark.parametrize(
    "options",
    [
        {"options": {"net": "bogus"}},
        {"properties": {"rx_queue_size": 300}},
        {"romfile": "nosuch.rom"},
        {"type": "hubport", "options": {"hubid": 1}, "romfile": "nosuch.rom"},
        {"options": {"restrict": True, "hostfwd": "bogus"}},
        {"type": "socket", "options": {"listen": "x"}},
        {"type": "vhost-vdpa", "options": {"vhostdev": "/nosuch"}},
    ],
    ids=str,
)
def test_a_new_nic_that_is_refused_leaves_the_old_one(vm: VM, options: dict[str, Any]) -> None:
    modules = Modules(vm)
    assert modules.netdev(**FIRST)["changed"]
    before, net = vm.hardware(), network(vm)
    refused(modules.netdev(**{**FIRST, "mac": "52:54:00:00:00:02", **options}, recreate=True), "command_failed")
    assert vm.hardware() == before and network(vm).endswith(net)  # a hub that was made stays, empty
    assert unchanged(modules.netdev(**FIRST))


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_nic_of_the_launch_is_restored_with_all_its_options(binary: Binary, make_vm: Callable[..., VM], form: str) -> None:
    text = "user,id=u0,net=10.9.0.0/16,hostfwd=tcp:127.0.0.1:0-:22,hostfwd=udp:127.0.0.1:0-:53,restrict=on"
    json = (
        '{"type": "user", "id": "u0", "net": "10.9.0.0/16", "restrict": true, '
        '"hostfwd": [{"str": "tcp:127.0.0.1:0-:22"}, {"str": "udp:127.0.0.1:0-:53"}]}'
    )
    vm = make_vm(binary=binary, native=True, boot=False, extra=("-netdev", text if form == "text" else json))
    vm.query("device_add", driver="virtio-net-pci", netdev="u0", id="n1", bus="rp1")
    modules, before, net = Modules(vm), vm.hardware(), network(vm)
    other = {"id": "n1", "type": "user", "options": {"net": "10.8.0.0/24"}, "recreate": True}
    result = modules.netdev(**other, romfile="nosuch.rom")
    refused(result, "command_failed", "nosuch.rom", "Restored: n1.")
    again = next(one["arguments"] for one in result["details"]["undone"] if one["execute"] == "netdev_add")
    assert again == {
        "type": "user",
        "id": "u0",
        "net": "10.9.0.0/16",
        "restrict": True,
        "hostfwd": [{"str": "tcp:127.0.0.1:0-:22"}, {"str": "udp:127.0.0.1:0-:53"}],
    }
    assert vm.hardware() == before and network(vm) == net
    vm.query("device_del", id="n1")
    until(lambda: "n1" not in vm.hardware()["devices"])
    vm.query("netdev_del", id="u0")
    vm.query("netdev_add", type="user", id="u0")
    vm.query("device_add", driver="virtio-net-pci", netdev="u0", id="n1", bus="rp1")
    net = network(vm)
    refused(modules.netdev(**other, romfile="nosuch.rom"), "command_failed", "nosuch.rom", "Restored: n1.")
    assert network(vm) == net


@pytest.mark.parametrize("descriptors", [True, False])
def test_a_nic_on_a_tap_is_restored(vm: VM, make_tap: Callable[..., str], descriptors: bool) -> None:
    modules = Modules(vm)
    scripts = {} if descriptors else {"script": "no", "downscript": "no"}
    first = {"id": "n1", "type": "tap", "ifname": make_tap("multi_queue"), "queues": 2, **scripts}
    assert modules.netdev(**first)["changed"]
    before = vm.hardware()
    result = modules.netdev(id="n1", type="user", queues=1, romfile="nosuch.rom", recreate=True)
    refused(result, "command_failed", "nosuch.rom", "Restored: n1.")
    assert vm.hardware() == before and unchanged(modules.netdev(**first))


def test_a_backend_that_does_not_differ_is_kept(vm: VM, tmp_path: Path) -> None:
    modules = Modules(vm)
    server = {"addr": {"type": "unix", "path": str(tmp_path / "net")}, "server": True}
    assert modules.netdev(id="n1", type="stream", options=server)["changed"]
    for more in ({"type": "stream", "options": server}, {"type": "stream"}, {}):
        changed = {"id": "n1", "mac": f"52:54:00:00:01:0{len(more)}", "recreate": True, **more}
        planned, result = modules.netdev(check=True, **changed), modules.netdev(**changed)
        assert [command["execute"] for command in result["commands"]] == ["device_del", "device_add"]
        assert planned["commands"] == result["commands"] and result["nic"]["type"] == "stream", result
        assert ("options.addr, options.server" in str(result["warnings"])) is ("options" in more)


def test_what_recreate_cannot_keep_is_warned_of(vm: VM) -> None:
    modules = Modules(vm)
    assert modules.netdev(**FIRST, link="down")["changed"]
    for link, warned in ({}, True), ({"link": "down"}, False):
        result = modules.netdev(check=True, **{**FIRST, "mac": "52:54:00:00:00:02"}, **link, recreate=True)
        assert ("link" in str(result.get("warnings"))) is warned, result
    result = modules.netdev(check=True, id="n1", type="hubport", options={"hubid": 1}, recreate=True)
    assert "does not report" in str(result["warnings"]), result
    assert [command["execute"] for command in result["commands"]] == [
        "netdev_add",
        "netdev_del",
        "device_del",
        "netdev_del",
        "netdev_add",
        "device_add",
    ]
