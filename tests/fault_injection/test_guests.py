# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests that are not up, do not answer, or do what nobody asked: what is told is true, and the next run gets there."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.vmops.qemu.tests.support.modules import Modules, finish, start
from ansible_collections.vmops.qemu.tests.support.proxy import Fault, Proxy
from ansible_collections.vmops.qemu.tests.vm.binaries import Binary
from ansible_collections.vmops.qemu.tests.vm.machine import VM

from .tally import survives

DISK = {"id": "x1", "backend": {"driver": "null-co", "size": 1 << 20}}
NIC = {"id": "x1", "type": "user", "mac": "52:54:00:00:00:01"}
KINDS = {"disk": ("qmp_blockdev", DISK), "NIC": ("qmp_netdev", NIC)}


def _nothing(vm: VM) -> None:
    pass


def _panic(vm: VM) -> None:
    vm.guest("echo 0 > /proc/sys/kernel/panic; (sleep 0.1; echo c > /proc/sysrq-trigger) >/dev/null 2>&1 &")
    deadline = time.monotonic() + 30
    while "end Kernel panic" not in (vm.directory / "console").read_text(errors="replace"):
        assert time.monotonic() < deadline
        vm.query("query-status")


def _launch(vm: VM) -> None:
    """A request that QEMU got before the VM's first instruction is taken at a reset, and not before."""
    vm.query("cont")
    vm.wait_boot()
    _reset(vm)


def _reset(vm: VM) -> None:
    vm.query("system_reset")
    vm.wait_boot()


@dataclass(frozen=True)
class Situation:
    """A guest that does not do as it should. ``heal`` brings it back to where it does."""

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
    """Whether a result of unplugging says what is: gone with all that was behind it, or still there with all of it."""
    now = vm.hardware()
    if not result.get("failed"):
        return result["status"] == "absent" and now == before
    told = result["error_code"] in ("unplug_pending", "unplug_refused")
    return told and "x1" in now["devices"] and "x1" in now["nodes"] + now["netdevs"]


@pytest.mark.parametrize("native", [False, True], ids=["ACPI", "native"])
@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.name)
def test_unplugging_tells_the_truth_and_is_finished_when_the_guest_is_back(
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
            survives("unplug finished by the next run", whole, (kind, situation.name, done))
            situation.enter(vm)


def test_a_guest_that_answers_after_the_time_is_over(make_vm: Callable[..., VM]) -> None:
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
        survives("unplug answered after the time", true, (pending, left, done))


@pytest.mark.parametrize("native", [False, True], ids=["ACPI", "native"])
def test_a_guest_that_throws_out_what_was_plugged(make_vm: Callable[..., VM], native: bool) -> None:
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
        survives("thrown out by the guest", true and not gone.get("failed") and vm.hardware() == before, (again, gone))


@pytest.mark.parametrize("native", [False, True], ids=["ACPI", "native"])
def test_several_unplugs_at_once(make_vm: Callable[..., VM], native: bool) -> None:
    vm = make_vm(native=native)
    modules = Modules(vm)
    before = vm.hardware()
    wishes = [(module, {**options, "id": f"x{number}"}) for number, (module, options) in enumerate([*KINDS.values()] * 2)]
    for module, options in wishes:
        assert modules.run(module, **options)["changed"]
    children = [modules.start(module, id=options["id"], state="absent", connect_timeout=60.0) for module, options in wishes]
    results = [finish(child) for child in children]
    gone = [not result.get("failed") and result["status"] == "absent" for result in results]
    survives("several unplugs at once", all(gone) and vm.hardware() == before, results)


HOTPLUGGED = {
    "vCPU": ("qmp_cpu_hotplug", {"count": 2}, {"count": 1}),
    "memory": ("qmp_memory_hotplug", {"id": "x1", "size": "128M"}, {"id": "x1", "state": "absent"}),
}


@pytest.mark.parametrize("kind", HOTPLUGGED)
def test_an_unplug_that_comes_before_the_guest_has_seen_the_plug(
    make_vm: Callable[..., VM], binary: Binary, kind: str, tmp_path: Path
) -> None:
    """As rolling back does. A guest that looks once sees the plug alone, and then nobody rings again."""
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
