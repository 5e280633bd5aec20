# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pausing, running, resetting and shutting down real guests."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

from ansible_collections.vmops.qemu.tests.support.modules import Modules, refused, unchanged
from ansible_collections.vmops.qemu.tests.vm.binaries import Binary
from ansible_collections.vmops.qemu.tests.vm.machine import VM


def power(vm: VM, state: str, check: bool = False, **options: Any) -> dict[str, Any]:
    return Modules(vm).run("qmp_power", check, state=state, **options)


def test_pause_and_run_and_again(vm: VM) -> None:
    assert power(vm, "paused", check=True)["commands"] == [{"execute": "stop"}]
    assert vm.query("query-status")["status"] == "running"
    result = power(vm, "paused")
    assert result["changed"] and result["vm"]["status"] == "paused", result
    assert unchanged(power(vm, "paused")) and unchanged(power(vm, "wakeup"))
    assert power(vm, "running")["vm"]["status"] == "running"
    assert unchanged(power(vm, "running"))
    assert vm.guest("echo here") == "here\n"


def test_a_guest_that_does_not_listen_is_not_called_shut_down(vm: VM) -> None:
    result = power(vm, "shutdown", timeout=1)
    assert result["error_code"] == "outcome_unknown" and "force" in result["msg"] and result["changed"], result
    assert vm.query("query-status")["status"] == "running"


def test_a_paused_guest_cannot_shut_down_and_force_ends_it(make_vm: Callable[..., VM]) -> None:
    vm = make_vm(boot=False)
    refused(power(vm, "shutdown"), "unsupported", "running", "force")
    assert power(vm, "shutdown", check=True, force=True)["commands"] == [{"execute": "quit"}]
    result = power(vm, "shutdown", force=True)
    assert result["changed"] and result["vm"]["status"] == "shutdown", result
    refused(power(vm, "shutdown"), "connect_failed")


def test_a_guest_that_has_migrated_away_does_not_run_twice(binary: Binary, make_vm: Callable[..., VM]) -> None:
    vm = make_vm(binary=binary, boot=False, paused=False)
    assert Modules(vm).run("qmp_migrate", uri="exec:cat>/dev/null")["changed"]
    assert vm.query("query-status")["status"] == "postmigrate"
    refused(power(vm, "running"), "unsupported", "another host", "destroy its disks", "force")
    refused(power(vm, "shutdown"), "unsupported", "another host", "force")
    assert vm.query("query-status")["status"] == "postmigrate"
    assert power(vm, "running", force=True)["vm"]["status"] == "running"


def test_a_guest_that_has_migrated_away_does_not_boot_after_a_reset(binary: Binary, make_vm: Callable[..., VM]) -> None:
    """QEMU calls the VM prelaunch then, as one that never ran."""
    vm = make_vm(binary=binary, boot=False, paused=False)
    assert power(vm, "paused")["changed"]
    assert Modules(vm).run("qmp_migrate", uri="exec:cat>/dev/null")["changed"]
    for check in (True, False):
        refused(power(vm, "running", check=check), "unsupported", "another host", "force")
        refused(power(vm, "reset", check=check), "unsupported", "another host", "force")
    vm.query("system_reset")
    assert vm.query("query-status")["status"] == "prelaunch"
    refused(power(vm, "running"), "unsupported", "another host", "destroy its disks", "force")
    refused(power(vm, "shutdown"), "unsupported", "another host", "force")
    assert unchanged(Modules(vm).run("qmp_migrate", uri="exec:cat>/dev/null"))
    assert power(vm, "running", force=True)["vm"]["status"] == "running"
    assert power(vm, "paused")["changed"] and power(vm, "running")["vm"]["status"] == "running"


def test_a_paused_guest_that_has_come_runs_where_it_is_and_not_where_it_was(
    binary: Binary, make_vm: Callable[..., VM], tmp_path: Path
) -> None:
    source = make_vm(binary=binary, boot=False, paused=False)
    target = make_vm(binary=binary, boot=False, extra=("-incoming", "defer"))
    uri = f"unix:{tmp_path}/migrate.sock"
    assert power(source, "paused")["changed"]
    assert Modules(target).run("qmp_migrate", state="incoming", uri=uri)["changed"]
    assert Modules(source).run("qmp_migrate", uri=uri)["changed"]
    refused(power(source, "running"), "unsupported", "another host", "destroy its disks")
    assert unchanged(power(source, "paused"))
    refused(power(source, "running"), "unsupported", "another host", "destroy its disks")
    for act in ("stop", "system_reset"):
        target.query(act)
        assert power(target, "running")["vm"]["status"] == "running"
        assert power(target, "paused")["changed"]


def test_a_guest_whose_migration_was_cancelled_runs_on_where_it_is(binary: Binary, make_vm: Callable[..., VM]) -> None:
    vm = make_vm(binary=binary, boot=False, paused=False)
    assert power(vm, "paused")["changed"]
    slow: dict[str, Any] = {"uri": "exec:cat>/dev/null", "parameters": {"max-bandwidth": 1000}}
    assert Modules(vm).run("qmp_migrate", wait=False, **slow)["changed"]
    assert Modules(vm).run("qmp_migrate", state="cancelled")["changed"]
    assert power(vm, "running")["vm"]["status"] == "running"


def test_a_guest_on_its_way_is_not_run(binary: Binary, make_vm: Callable[..., VM]) -> None:
    vm = make_vm(binary=binary, boot=False, paused=False)
    stands = Modules(vm).run("qmp_migrate", uri="exec:cat>/dev/null", capabilities={"pause-before-switchover": True})
    assert stands["migration"]["status"] == "pre-switchover", stands
    for check in (True, False):
        refused(power(vm, "running", check=check), "unsupported", "finish-migrate", "qmp_migrate")


def test_the_button_alone(make_vm: Callable[..., VM]) -> None:
    vm = make_vm(extra=("-no-shutdown",))
    refused(power(vm, "shutdown", wait=False, force=True), "invalid_option", "force", "wait")
    planned = power(vm, "shutdown", check=True, wait=False)
    done = power(vm, "shutdown", wait=False)
    for result in (planned, done):
        assert result.get("changed") and result["commands"] == [{"execute": "system_powerdown"}], result
        assert result["status"] == "shutdown_requested" and result["vm"]["status"] == "running", result
    assert vm.query("query-status")["status"] == "running"
    vm.guest("(dd if=/dev/input/event1 of=/dev/null bs=24 count=1; poweroff -f) >/dev/null 2>&1 &")
    assert power(vm, "shutdown")["vm"]["status"] == "shutdown"
    again = power(vm, "shutdown", wait=False)
    assert unchanged(again) and again["status"] == again["vm"]["status"] == "shutdown", again


def test_a_guest_that_has_yet_to_come_does_not_run(bare_vm: VM, make_vm: Callable[..., VM]) -> None:
    vm = make_vm(binary=bare_vm.binary, boot=False, extra=("-incoming", "defer"))
    for force in (False, True):
        refused(power(vm, "running", force=force), "unsupported", "inmigrate", "qmp_migrate")
    refused(power(vm, "shutdown"), "unsupported", "inmigrate", "force")
    assert power(vm, "shutdown", force=True)["changed"]


def test_a_guest_shuts_down_at_the_button(make_vm: Callable[..., VM]) -> None:
    vm = make_vm()
    vm.guest("(dd if=/dev/input/event1 of=/dev/null bs=24 count=1; poweroff -f) >/dev/null 2>&1 &")
    result = power(vm, "shutdown", timeout=30)
    assert result.get("changed") and result["vm"]["status"] == "shutdown", result
    assert [command["execute"] for command in result["commands"]] == ["system_powerdown"]


def test_a_guest_that_does_not_listen_is_ended_by_force(make_vm: Callable[..., VM]) -> None:
    vm = make_vm()
    result = power(vm, "shutdown", timeout=1, force=True)
    assert result["vm"]["status"] == "shutdown", result
    assert [command["execute"] for command in result["commands"]] == ["system_powerdown", "quit"]
    assert not Path(f"/proc/{vm.pid}/exe").exists()


def test_reset_boots_the_guest_again(make_vm: Callable[..., VM]) -> None:
    vm = make_vm()
    vm.guest("touch /tmp/before")
    result = power(vm, "reset")
    assert result["changed"] and result["vm"]["status"] == "running"
    vm.wait_boot()
    assert vm.guest("ls /tmp") == ""


def test_quit_ends_qemu(make_vm: Callable[..., VM]) -> None:
    vm = make_vm(boot=False)
    result = power(vm, "quit")
    assert result["changed"] and result["vm"]["status"] == "shutdown", result
