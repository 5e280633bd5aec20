# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad days: monitors that are not there, busy or gone, guests that do not answer, runs that were cut short."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils._vm.devices.disk.plans import plan_absent
from ansible_collections.vmops.qemu.plugins.module_utils._vm.devices.disk.spec import DiskSpec
from ansible_collections.vmops.qemu.plugins.module_utils._vm.devices.frontend import FrontendSpec
from ansible_collections.vmops.qemu.plugins.module_utils._vm.model.hardware import Hardware
from ansible_collections.vmops.qemu.plugins.module_utils._vm.plan.plan import PlanFailed
from ansible_collections.vmops.qemu.plugins.module_utils.qmp import Disconnected, Monitor, UnixAddress
from ansible_collections.vmops.qemu.tests.support.modules import Modules, finish, refused, run
from ansible_collections.vmops.qemu.tests.support.values import NOBODY, NULL
from ansible_collections.vmops.qemu.tests.vm.machine import VM

CONNECT = Path(__file__).parent / "programs" / "connect.py"


def info(path: Path | str, **options: Any) -> dict[str, Any]:
    return run("qmp_info", {"socket": str(path), "connect_timeout": 1.0, **options})


@pytest.fixture
def listener(tmp_path: Path) -> socket.socket:
    """A unix socket that takes connections and says nothing, as a guest agent does."""
    silent = socket.socket(socket.AF_UNIX)
    silent.bind(str(tmp_path / "silent.sock"))
    silent.listen(1)
    return silent


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    refused(info(tmp_path / "nosuch.sock"), "connect_failed", "nosuch.sock")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"socket": "/tmp/a\0b"}, ["socket", "NUL"]),
        ({"host": "127.0.0.1", "port": 1, "tls": {"ca_file": "/tmp/a\0b"}}, ["tls", "NUL"]),
        ({"timeout": float("nan")}, ["timeout", "seconds"]),
        ({"connect_timeout": float("inf")}, ["connect_timeout", "seconds"]),
        ({"timeout": -1}, ["timeout", "seconds"]),
        ({"connect_timeout": float("nan")}, ["connect_timeout", "seconds"]),
        ({"host": "127.0.0.1", "port": 1, "tls": {"ca_file": "/a", "cert_file": "/a", "key_file": "/a\0b"}}, ["tls", "NUL"]),
        ({"backend": {"driver": "null-co", "size": float("nan")}}, ["backend", "as a number"]),
        ({"properties": {"serial": [float("inf")]}}, ["properties", "as a number"]),
        ({"properties": {"a\0b": 1}}, ["properties", "NUL"]),
    ],
    ids=str,
)
def test_values_that_cannot_be_sent_are_refused_before_anything_is(vm: VM, options: dict[str, Any], words: list[str]) -> None:
    address = {} if "host" in options else {"socket": str(vm.qmp_socket)}
    disk = {} if "backend" in options else {"file": "/a"}
    before = vm.hardware()
    refused(run("qmp_blockdev", {"id": "d1", **disk, **address, **options}), "invalid_option", *words)
    assert vm.hardware() == before


def test_a_path_that_is_not_a_socket() -> None:
    refused(info("/etc/hostname"), "connect_failed", "/etc/hostname", "socket")


def test_a_socket_that_nobody_listens_on(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(tmp_path / "stale.sock"))
    refused(info(tmp_path / "stale.sock"), "connect_failed", "stale.sock")


def test_a_socket_that_this_user_may_not_use(public_directory: Path) -> None:
    path = public_directory / "closed.sock"
    with socket.socket(socket.AF_UNIX) as closed:
        closed.bind(str(path))
        closed.listen(1)
        path.chmod(0o600)
        command = [sys.executable, str(CONNECT), str(path), str(NOBODY)]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert str(path) in printed and "ermi" in printed


def test_a_guest_agent_is_silent_and_so_named(listener: socket.socket) -> None:
    refused(info(listener.getsockname()), "monitor_busy", "guest agent", "-qmp")


def test_the_human_monitor(make_vm: Callable[..., VM], tmp_path: Path) -> None:
    make_vm(boot=False, extra=("-monitor", f"unix:{tmp_path}/hmp.sock,server=on,wait=off"))
    refused(info(tmp_path / "hmp.sock"), "connect_failed", "human monitor", "-qmp")


def test_a_monitor_that_somebody_holds(vm: VM) -> None:
    with socket.socket(socket.AF_UNIX) as holder:
        holder.connect(str(vm.qmp_socket))
        assert b"QMP" in holder.recv(4096)
        result = info(vm.qmp_socket)
    refused(result, "monitor_busy", "libvirt", "second")


def test_tasks_side_by_side_wait_for_their_turn(modules: Modules) -> None:
    ids = [f"d{number}" for number in range(6)]
    children = [
        modules.start("qmp_blockdev", id=one, backend=NULL, driver="scsi-hd", scsi_id=number) for number, one in enumerate(ids)
    ]
    assert [finish(child).get("changed") for child in children] == [True] * 6
    children = [modules.start("qmp_blockdev", id=one, state="absent") for one in ids]
    assert [finish(child).get("changed") for child in children] == [True] * 6


def test_qemu_killed_while_a_run_waits_for_the_guest(make_vm: Callable[..., VM]) -> None:
    vm = make_vm(boot=False)
    assert Modules(vm).blockdev(id="d1", backend=NULL)["changed"]
    sent: list[str] = []

    def kill_after_device_del(direction: str, message: dict[str, Any]) -> None:
        if direction == "send":
            sent.append(message["execute"])
        elif "return" in message and sent[-1] == "device_del":
            os.kill(vm.pid, signal.SIGKILL)

    with Monitor.connect(UnixAddress(str(vm.qmp_socket)), tracer=kill_after_device_del) as monitor, pytest.raises(
        PlanFailed
    ) as failure:
        plan_absent(Hardware(monitor), DiskSpec(FrontendSpec("d1"))).apply(monitor, 20)
    assert isinstance(failure.value.cause, Disconnected)
    assert [command["execute"] for command in failure.value.sent] == ["device_del"]


def test_qemu_killed_under_a_task(make_vm: Callable[..., VM]) -> None:
    vm = make_vm(boot=False)
    modules = Modules(vm)
    assert modules.blockdev(id="d1", backend=NULL)["changed"]
    child = modules.start("qmp_blockdev", id="d1", state="absent")
    deadline = time.monotonic() + 20
    while "disconnected" in _monitor(vm) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(vm.pid, signal.SIGKILL)
    result = finish(child)
    assert result["error_code"] in ("connect_failed", "disconnected"), result


def _monitor(vm: VM) -> str:
    """QEMU's words on the first monitor's connection."""
    return str(next(chardev["filename"] for chardev in vm.query("query-chardev") if chardev["label"] == "compat_monitor0"))


def test_qemu_that_is_frozen_leaves_the_outcome_unknown(make_vm: Callable[..., VM]) -> None:
    vm = make_vm(boot=False)
    os.kill(vm.pid, signal.SIGSTOP)
    try:
        result = info(vm.qmp_socket)
    finally:
        os.kill(vm.pid, signal.SIGCONT)
    refused(result, "monitor_busy")


def test_a_guest_that_does_not_answer_is_pending_and_the_next_run_finishes(vm: VM, modules: Modules) -> None:
    assert modules.blockdev(id="d1", backend=NULL)["changed"]
    vm.query("stop")
    before = vm.hardware()
    result = modules.blockdev(id="d1", state="absent", timeout=1)
    assert result["error_code"] == result["status"] == "unplug_pending" and result["failed"], result
    assert result["changed"] is True and vm.hardware() == before
    result = modules.blockdev(id="d1", state="absent", timeout=1, on_pending="report")
    assert not result.get("failed") and result["status"] == "unplug_pending" and result["disk"]["attach"], result
    vm.query("cont")
    result = modules.blockdev(id="d1", state="absent")
    assert result["changed"] and result["status"] == "absent", result


def test_a_guest_without_its_firmware_takes_no_cpu_request(make_vm: Callable[..., VM]) -> None:
    modules = Modules(make_vm(boot=False))
    assert modules.cpus(count=2)["changed"]
    result = modules.cpus(count=1, timeout=1)
    assert result["error_code"] == "unplug_refused" and "guest has booted" in result["msg"], result


def test_an_unplug_that_is_refused_for_now_is_asked_again(make_vm: Callable[..., VM]) -> None:
    vm = make_vm(native=True)
    modules = Modules(vm)
    assert modules.blockdev(id="d1", backend=NULL)["changed"]
    result = modules.blockdev(id="d1", state="absent")  # at once: the slot's power indicator still blinks
    assert result.get("changed") and result["status"] == "absent", result


def test_a_node_that_a_killed_run_left_is_used(vm: VM, modules: Modules) -> None:
    vm.query("blockdev-add", driver="raw", node_name="d1", file=NULL)
    result = modules.blockdev(id="d1", backend=NULL)
    assert [command["execute"] for command in result["commands"]] == ["device_add"]
    assert modules.blockdev(id="d1", state="absent")["changed"]


def test_a_node_that_a_killed_run_left_is_deleted(vm: VM, modules: Modules) -> None:
    vm.query("blockdev-add", driver="raw", node_name="d1", file=NULL)
    result = modules.blockdev(id="d1", state="absent")
    assert [command["execute"] for command in result["commands"]] == ["blockdev-del"]


def test_a_network_backend_that_a_killed_run_left_is_used_or_deleted(vm: VM, modules: Modules) -> None:
    vm.query("netdev_add", type="user", id="n1")
    result = modules.netdev(id="n1", type="user")
    assert [command["execute"] for command in result["commands"]] == ["device_add"]
    assert modules.netdev(id="n1", state="absent")["changed"]
    vm.query("netdev_add", type="user", id="n1")
    assert [command["execute"] for command in modules.netdev(id="n1", state="absent")["commands"]] == ["netdev_del"]


def test_a_removed_vcpu_cannot_come_back_without_kvm_and_the_vm_lives(make_vm: Callable[..., VM]) -> None:
    vm = make_vm()
    modules = Modules(vm)
    assert modules.cpus(count=2)["changed"]
    vm.wait_guest(lambda report: report["cpus"]["present"] == "0-1")
    assert modules.cpus(count=1)["changed"]
    refused(modules.cpus(count=2), "unsupported", "TCG")
    assert vm.report()["cpus"]["present"] == "0"
