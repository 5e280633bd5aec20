# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Monitors are nobody's objects and character devices: a task speaks through one of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

from ansible_collections.vmops.qemu.plugins.module_utils._vm.model.hardware import Hardware
from ansible_collections.vmops.qemu.plugins.module_utils.qmp import Monitor, TcpAddress, UnixAddress
from ansible_collections.vmops.qemu.tests.support.modules import Modules, run
from ansible_collections.vmops.qemu.tests.vm.binaries import Binary
from ansible_collections.vmops.qemu.tests.vm.machine import VM


def listed(facts: dict[str, Any], part: str) -> set[str]:
    assert not facts.get("failed"), facts
    return {one["id"] for one in facts[part]}


def test_monitors_are_not_listed_and_what_is_the_users_is(binary: Binary, make_vm: Callable[..., VM]) -> None:
    vm = make_vm(binary=binary, boot=False, extra=("-monitor", "null", "-object", "iothread,id=io1"))
    facts = Modules(vm).info(gather_subset=["objects", "chardevs"])
    assert listed(facts, "objects") == {"io1", "pc.ram"}
    assert listed(facts, "chardevs") == {"serial0", "serial1"}


def test_a_monitor_by_any_name_is_not_listed_to_who_speaks_through_it(
    binary: Binary, make_vm: Callable[..., VM], tmp_path: Path
) -> None:
    path = tmp_path / "own.sock"
    link = tmp_path / "link.sock"
    link.symlink_to(path)
    make_vm(
        binary=binary,
        boot=False,
        extra=("-chardev", f"socket,id=own,path={path},server=on,wait=off", "-mon", "chardev=own,mode=control"),
    )
    facts = run("qmp_info", {"socket": str(link), "gather_subset": ["objects", "chardevs"]})
    assert listed(facts, "objects") == {"pc.ram"}
    assert listed(facts, "chardevs") == {"serial0", "serial1"}


def test_a_monitor_on_the_network_too(binary: Binary, make_vm: Callable[..., VM], free_port: int) -> None:
    vm = make_vm(
        binary=binary,
        boot=False,
        extra=(
            "-chardev",
            f"socket,id=own,host=127.0.0.1,port={free_port},server=on,wait=off",
            "-mon",
            "chardev=own,mode=control",
        ),
    )
    with Monitor.connect(TcpAddress("localhost", free_port), timeout=5) as monitor:
        assert Hardware(monitor).monitor_chardevs == {"own", "compat_monitor0", "compat_monitor1"}
    with Monitor.connect(UnixAddress(str(vm.qmp_socket)), timeout=5) as monitor:
        assert Hardware(monitor).monitor_chardevs >= {"compat_monitor0", "compat_monitor1"}


def test_a_second_monitor_made_at_run_time_is_known(binary: Binary, make_vm: Callable[..., VM], tmp_path: Path) -> None:
    vm = make_vm(binary=binary, boot=False)
    types = {one["name"] for one in vm.query("qom-list-types", implements="user-creatable")}
    with Monitor.connect(UnixAddress(str(vm.qmp_socket)), timeout=5) as monitor:
        before = Hardware(monitor).monitors
        assert before == ({"compat_monitor0", "compat_monitor1"} if "monitor-qmp" in types else set())
        if "monitor-qmp" in types:
            path = str(tmp_path / "second.sock")
            data = {"addr": {"type": "unix", "data": {"path": path}}, "server": True, "wait": False}
            vm.query("chardev-add", id="second", backend={"type": "socket", "data": data})
            vm.query("object-add", qom_type="monitor-qmp", id="mon2", chardev="second")
            hardware = Hardware(monitor)
            assert hardware.monitors == before | {"mon2"} and "mon2" not in hardware.objects
            assert "second" in hardware.monitor_chardevs and "second" not in hardware.chardevs
