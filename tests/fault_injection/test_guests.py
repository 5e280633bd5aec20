# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests that have not booted, do not answer, or remove devices themselves: results are true, and the next run completes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.vmops.qemu.tests.support.modules import Modules, finish, start
from ansible_collections.vmops.qemu.tests.support.proxy import Fault, Proxy
from ansible_collections.vmops.qemu.tests.support.values import NULL
from ansible_collections.vmops.qemu.tests.vm.binaries import Binary
from ansible_collections.vmops.qemu.tests.vm.machine import VM

from .tally import survives

DISK: dict[str, Any] = {"id": "x1", "backend": NULL}
NIC: dict[str, Any] = {"id": "x1", "type": "user", "mac": "52:54:00:00:00:01"}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {"disk": ("qmp_blockdev", DISK), "NIC": ("qmp_netdev", NIC)}


def _nothing(vm: VM) -> None:
    pass


def _panic(vm: VM) -> None:
    vm.guest("echo 0 > /proc/sys/kernel/panic; (sleep 0.1; echo c > /proc/sysrq-trigger) >/dev/null 2>&1 &")
    deadline = time.monotonic() + 30
    while "end Kernel panic" not in (vm.directory / "console").read_text(errors="replace"):
        assert time.monotonic() < deadline
        vm.query("query-status")


def _launch(vm: VM) -> None:
    """A request that QEMU got before the VM's first instruction is only handled at a reset."""
    vm.query("cont")
    vm.wait_boot()
    _reset(vm)


def _reset(vm: VM) -> None:
    vm.query("system_reset")
    vm.wait_boot()


@dataclass(frozen=True)
class Situation:
    """A guest that does not handle hotplug. ``heal`` makes it handle hotplug again."""

    name: str
    enter: Callable[[VM], Any]
    heal: Callable[[VM], Any]
    machine: dict[str, Any]


SITUATIONS = (
    Situation("not booted", _nothing, _launch, {"paused": True}),
    Situation("in firmware", _nothing, lambda vm: vm.query("system_reset"), {"boot": False, "paused": False}),
    Situation("paused", lambda vm: vm.query("stop"), lambda vm: vm.query("cont"), {}),
    Situation("panicked", _panic, _reset, {}),
    Situation("busy", lambda vm: vm.guest("for i in 1 2 3 4; do while :; do :; done & done >/dev/null 2>&1"), _nothing, {}),
)


def is_true(vm: VM, before: dict[str, Any], result: dict[str, Any]) -> bool:
    """Whether the result of an unplug is true: the device and its backend are gone, or both are still there."""
    now = vm.hardware()
    if not result.get("failed"):
        return result["status"] == "absent" and now == before
    pending = result["error_code"] in ("unplug_pending", "unplug_refused")
    return pending and "x1" in now["devices"] and "x1" in now["nodes"] + now["netdevs"]


@pytest.mark.parametrize("native", [False, True], ids=["ACPI", "native"])
@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.name)
def test_the_result_of_an_unplug_is_true_and_the_next_run_completes_it_when_the_guest_is_back(
    make_vm: Callable[..., VM], situation: Situation, native: bool
) -> None:
    vm = make_vm(native=native, **situation.machine)
    modules = Modules(vm)
    before = vm.hardware()
    situation.enter(vm)
    for kind, (module, options) in KINDS.items():
        plugged = modules.run(module, **options)
        pending = modules.run(module, id="x1", state="absent", timeout=2)
        true = plugged.get("changed") is True and is_true(vm, before, pending)
        survives(f"unplug, guest {situation.name}", true, (kind, plugged, pending))
        if pending.get("failed"):
            situation.heal(vm)
            done = modules.run(module, id="x1", state="absent")
            whole = not done.get("failed") and vm.hardware() == before
            survives("unplug completed by the next run", whole, (kind, situation.name, done))
            situation.enter(vm)


def test_an_unplug_that_the_guest_handles_after_the_timeout_is_completed_by_the_next_run(make_vm: Callable[..., VM]) -> None:
    vm = make_vm()
    modules = Modules(vm)
    before = vm.hardware()
    for module, options in KINDS.values():
        assert modules.run(module, **options)["changed"]
        vm.query("stop")
        pending = modules.run(module, id="x1", state="absent", timeout=1)
        vm.query("cont")
        deadline = time.monotonic() + 30
        while "x1" in vm.hardware()["devices"]:
            assert time.monotonic() < deadline
        left = vm.hardware()
        done = modules.run(module, id="x1", state="absent")
        true = pending["error_code"] == "unplug_pending" and left != before and done["changed"] and vm.hardware() == before
        survives("unplug handled after the timeout", true, (pending, left, done))


@pytest.mark.parametrize("native", [False, True], ids=["ACPI", "native"])
def test_a_device_that_the_guest_ejected_is_plugged_again(make_vm: Callable[..., VM], native: bool) -> None:
    vm = make_vm(native=native)
    modules = Modules(vm)
    before = vm.hardware()
    for module, options in KINDS.values():
        assert modules.run(module, **options)["changed"]
        vm.wait_guest(lambda guest: guest["disks"] != [] or guest["nics"] != [])
        vm.guest("for power in /sys/bus/pci/slots/*/power; do echo 0 > $power || true; done")
        deadline = time.monotonic() + 30
        while "x1" in vm.hardware()["devices"]:
            assert time.monotonic() < deadline
        again = modules.run(module, **options)
        commands = [command["execute"] for command in again.get("commands", [])]
        true = again.get("changed") is True and commands == ["device_add"] and "x1" in vm.hardware()["devices"]
        gone = modules.run(module, id="x1", state="absent")
        survives("ejected by the guest", true and not gone.get("failed") and vm.hardware() == before, (again, gone))


@pytest.mark.parametrize("native", [False, True], ids=["ACPI", "native"])
def test_unplugs_at_the_same_time_all_succeed(make_vm: Callable[..., VM], native: bool) -> None:
    vm = make_vm(native=native)
    modules = Modules(vm)
    before = vm.hardware()
    tasks = [(module, {**options, "id": f"x{number}"}) for number, (module, options) in enumerate([*KINDS.values()] * 2)]
    for module, options in tasks:
        assert modules.run(module, **options)["changed"]
    children = [modules.start(module, id=options["id"], state="absent", connect_timeout=60.0) for module, options in tasks]
    results = [finish(child) for child in children]
    gone = [not result.get("failed") and result["status"] == "absent" for result in results]
    survives("several unplugs at the same time", all(gone) and vm.hardware() == before, results)


HOTPLUGGED: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "vCPU": ("qmp_cpu_hotplug", {"count": 2}, {"count": 1}),
    "memory": ("qmp_memory_hotplug", {"id": "x1", "size": "128M"}, {"id": "x1", "state": "absent"}),
}


@pytest.mark.parametrize("kind", HOTPLUGGED)
def test_an_unplug_before_the_guest_has_seen_the_plug_succeeds(
    make_vm: Callable[..., VM], binary: Binary, kind: str, tmp_path: Path
) -> None:
    """A rollback does this. A guest that looks once sees only the plug, and QEMU does not notify it again."""
    vm = make_vm(binary=binary)
    before = vm.hardware()
    module, present, absent = HOTPLUGGED[kind]
    vm.query("stop")
    assert Modules(vm).run(module, **present)["changed"]
    proxy = Proxy(tmp_path / "proxy", vm.qmp_socket, Fault.CUT_BEFORE, set(), lambda: None)
    try:
        unplug = start(module, {"socket": str(proxy.path), "timeout": 20.0, **absent})
        deadline = time.monotonic() + 30
        while "device_del" not in proxy.seen:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        vm.query("cont")
        result = finish(unplug)
    finally:
        proxy.close()
    gone = result.get("changed") is True and not result.get("failed") and vm.hardware() == before
    survives("unplug before the guest has seen the plug", gone, (kind, result))
