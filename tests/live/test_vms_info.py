# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real QEMUs found among the processes of this host."""

from __future__ import annotations

import os
import socket
import sys
import time
import uuid
from pathlib import Path
from typing import Any, Callable

from ansible_collections.vmops.qemu.plugins.module_utils._hardware.processes import virtual_machines
from ansible_collections.vmops.qemu.tests.vm.binaries import Binary
from ansible_collections.vmops.qemu.tests.vm.machine import VM

from .conftest import finish, start, unchanged

UUID = "3f2f8a0e-6f0c-4f8e-9c58-0b1d2a3c4d5e"
ENDED_SECONDS = 10.0
NOBODY = 65534


def find(vm: VM, **options: Any) -> dict[str, Any]:
    """What is told of this VM, which must be told once."""
    result = finish(start("qmp_vms_info", options))
    assert unchanged(result), result
    (found,) = (one for one in result["vms"] if one["pid"] == vm.pid)
    return found


def unix(path: Path, **more: Any) -> dict[str, Any]:
    return {"type": "unix", "path": str(path), "listening": True, "held_by": [], **more}


def test_a_vm_is_found_with_all_its_monitors(binary: Binary, make_vm: Callable[..., VM], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    vm = make_vm(binary=binary, boot=False, extra=(
        "-name", "guest=found,debug-threads=on", "-uuid", UUID, "-qmp", f"tcp:127.0.0.1:{port},server=on,wait=off",
        "-chardev", f"socket,id=m,path={tmp_path}/a,,b,server=on,wait=off", "-mon", "chardev=m,mode=control"))
    found = find(vm, name="found")
    monitors = found.pop("monitors")
    assert found == {"pid": vm.pid, "name": "found", "uuid": UUID, "machine": "q35", "user": "root", "complete": True,
                     "binary": os.readlink(f"/proc/{vm.pid}/exe")}
    assert monitors == [
        unix(vm.qmp_socket), unix(vm.directory / "watch.sock"), {"type": "tcp", "host": "127.0.0.1", "port": port, "tls": False},
        unix(tmp_path / "a,b")]
    assert vm.query("query-name") == {"name": found["name"]}
    assert vm.query("query-uuid") == {"UUID": found["uuid"]}
    assert finish(start("qmp_vms_info", {"name": "another"}, check=True))["vms"] == []


def test_who_holds_a_monitor_is_told_while_it_does(make_vm: Callable[..., VM]) -> None:
    vm = make_vm(boot=False)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(vm.qmp_socket))
        assert client.recv(1)  # QEMU has taken the connection
        command = Path("/proc/self/comm").read_text().strip()
        held, watch = find(vm)["monitors"]
        assert held == unix(vm.qmp_socket, held_by=[{"pid": os.getpid(), "command": command}])
        assert watch == unix(vm.directory / "watch.sock")
        with socket.socket(socket.AF_UNIX) as waiting:
            waiting.connect(str(vm.qmp_socket))
            assert find(vm)["monitors"] == [held, watch], "one who waits does not hold"
    deadline = time.monotonic() + ENDED_SECONDS
    while (monitors := find(vm)["monitors"])[0]["held_by"] and time.monotonic() < deadline:
        pass
    assert monitors == [unix(vm.qmp_socket), watch]


def test_a_monitor_given_as_a_descriptor_is_found(make_vm: Callable[..., VM], tmp_path: Path) -> None:
    path = tmp_path / "given"
    program = ("import os, socket, sys; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen();"
               "os.dup2(s.fileno(), 9); os.execvp(sys.argv[2], sys.argv[2:])")
    giving = Binary("", (sys.executable, "-c", program, str(path), "qemu-system-x86_64"))
    vm = make_vm(binary=giving, boot=False, extra=("-chardev", "socket,id=m,fd=9,server=on,wait=off", "-mon", "m,mode=control"))
    found = find(vm)
    assert found["complete"] and found["monitors"][-1] == unix(path)


def test_relative_paths_are_those_of_the_process(make_vm: Callable[..., VM], tmp_path: Path) -> None:
    inside = Binary("", ("env", "-C", str(tmp_path), "qemu-system-x86_64"))
    vm = make_vm(binary=inside, boot=False, extra=("-qmp", "unix:relative,server=on,wait=off"))
    assert find(vm)["monitors"][-1] == unix(tmp_path / "relative")


def test_another_user_is_told_what_it_may_see(make_vm: Callable[..., VM]) -> None:
    name = str(uuid.uuid4())
    vm = make_vm(boot=False, extra=("-name", name))
    os.seteuid(NOBODY)
    try:
        (found,) = virtual_machines(name=name)
    finally:
        os.seteuid(0)
    assert found == {
        "pid": vm.pid, "name": name, "uuid": None, "machine": "q35", "user": "root", "binary": "qemu-system-x86_64",
        "complete": True, "monitors": [unix(vm.directory / one, held_by=None) for one in ("qmp.sock", "watch.sock")]}
