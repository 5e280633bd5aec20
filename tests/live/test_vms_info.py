# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real QEMUs found among the processes of this host."""

from __future__ import annotations

import os
import pwd
import re
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils._vm.host import processes
from ansible_collections.vmops.qemu.plugins.module_utils._vm.host.processes import virtual_machines
from ansible_collections.vmops.qemu.tests.support.modules import run, unchanged
from ansible_collections.vmops.qemu.tests.support.values import NOBODY
from ansible_collections.vmops.qemu.tests.vm.binaries import Binary
from ansible_collections.vmops.qemu.tests.vm.machine import VM

UUID = "3f2f8a0e-6f0c-4f8e-9c58-0b1d2a3c4d5e"
ENDED_SECONDS = 10.0


def find(vm: VM, **options: Any) -> dict[str, Any]:
    """What is reported of this VM, which must be reported once."""
    result = run("qmp_vms_info", options)
    assert unchanged(result), result
    found: dict[str, Any]
    (found,) = (one for one in result["vms"] if one["pid"] == vm.pid)
    return found


PROGRAMS = Path(__file__).parent / "programs"
GIVEN = ("-chardev", "socket,id=m,fd=9,server=on,wait=off", "-mon", "m,mode=control")


def given_socket(path: Path) -> Binary:
    """A QEMU that was given a listening socket as descriptor 9, as libvirt does it."""
    return Binary("", (sys.executable, str(PROGRAMS / "pass_socket.py"), str(path), "qemu-system-x86_64"))


def unix(path: Path, **more: Any) -> dict[str, Any]:
    return {"type": "unix", "path": str(path), "listening": True, "held_by": [], **more}


def test_a_vm_is_found_with_all_its_monitors(binary: Binary, make_vm: Callable[..., VM], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    vm = make_vm(
        binary=binary,
        boot=False,
        extra=(
            "-name",
            "guest=found,debug-threads=on",
            "-uuid",
            UUID,
            "-qmp",
            f"tcp:127.0.0.1:{port},server=on,wait=off",
            "-chardev",
            f"socket,id=m,path={tmp_path}/a,,b,server=on,wait=off",
            "-mon",
            "chardev=m,mode=control",
        ),
    )
    found = find(vm, name="found")
    monitors = found.pop("monitors")
    assert found == {
        "pid": vm.pid,
        "name": "found",
        "uuid": UUID,
        "machine": "q35",
        "user": "root",
        "complete": True,
        "binary": os.readlink(f"/proc/{vm.pid}/exe"),
    }
    assert monitors == [
        unix(vm.qmp_socket),
        unix(vm.directory / "watch.sock"),
        {"type": "tcp", "host": "127.0.0.1", "port": port, "tls": False},
        unix(tmp_path / "a,b"),
    ]
    assert vm.query("query-name") == {"name": found["name"]}
    assert vm.query("query-uuid") == {"UUID": found["uuid"]}
    assert run("qmp_vms_info", {"name": "another"}, check=True)["vms"] == []


def test_who_holds_a_monitor_is_reported_while_it_does(make_vm: Callable[..., VM]) -> None:
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
    vm = make_vm(binary=given_socket(path), boot=False, extra=GIVEN)
    found = find(vm)
    assert found["complete"] and found["monitors"][-1] == unix(path)


def test_relative_paths_are_those_of_the_process(make_vm: Callable[..., VM], tmp_path: Path) -> None:
    inside = Binary("", ("env", "-C", str(tmp_path), "qemu-system-x86_64"))
    vm = make_vm(binary=inside, boot=False, extra=("-qmp", "unix:relative,server=on,wait=off"))
    assert find(vm)["monitors"][-1] == unix(tmp_path / "relative")


def test_another_user_is_reported_what_it_may_see(make_vm: Callable[..., VM]) -> None:
    name = str(uuid.uuid4())
    vm = make_vm(boot=False, extra=("-name", name))
    os.seteuid(NOBODY)
    try:
        (found,) = virtual_machines(name=name)
    finally:
        os.seteuid(0)
    assert found == {
        "pid": vm.pid,
        "name": name,
        "uuid": None,
        "machine": "q35",
        "user": "root",
        "binary": "qemu-system-x86_64",
        "complete": True,
        "monitors": [unix(vm.directory / one, held_by=None) for one in ("qmp.sock", "watch.sock")],
    }


Stranger = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def stranger() -> Iterator[Stranger]:
    """Listen on an abstract socket as nobody until the test ends."""
    children: list[subprocess.Popen[bytes]] = []

    def run(name: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, str(PROGRAMS / "listen.py"), name, str(NOBODY)]
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        children.append(child)
        assert child.stdout and child.stdout.readline() == b"ready\n"
        return child

    yield run
    for child in children:
        child.kill()
        child.communicate()


@pytest.fixture
def disguised() -> Iterator[Stranger]:
    """Run a program of nobody that calls itself a QEMU and has any command line."""
    children: list[subprocess.Popen[bytes]] = []

    def run(*words: bytes | str) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(
            ["qemu-system-x86_64", "-c", "echo ready; read line", *words],
            executable="/bin/sh",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            user=NOBODY,
        )
        children.append(child)
        assert child.stdout and child.stdout.readline() == b"ready\n"
        return child

    yield run
    for child in children:
        child.kill()
        child.communicate()


def test_a_name_of_a_socket_cannot_forge_what_is_reported_of_another_vm(
    make_vm: Callable[..., VM], tmp_path: Path, stranger: Stranger
) -> None:
    vm = make_vm(binary=given_socket(tmp_path / "given"), boot=False, extra=GIVEN)
    inode = os.stat(f"/proc/{vm.pid}/fd/9").st_ino
    before = find(vm)
    for line in (
        f"\n0000: 00000002 00000000 00010000 0001 01 {inode} /tmp/trap",
        "\nx y z",
        "\n\n",
        "\na b c d e f g h",
        "\x85\u2028\n0000: 1 2 zz 4 5 notanumber /x",
    ):
        stranger(line)
        assert find(vm) == before
    assert before["complete"] and before["monitors"][-1] == unix(tmp_path / "given") and "notes" not in before


def test_nor_can_it_where_only_the_text_of_proc_is_there(
    make_vm: Callable[..., VM], tmp_path: Path, stranger: Stranger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> Any:
        raise OSError("no")

    monkeypatch.setattr(processes, "by_netlink", refuse)
    vm = make_vm(binary=given_socket(tmp_path / "given"), boot=False, extra=GIVEN)
    inode = os.stat(f"/proc/{vm.pid}/fd/9").st_ino
    (found,) = [one for one in virtual_machines() if one["pid"] == vm.pid]
    assert found["monitors"][-1]["path"] == str(tmp_path / "given") and "sock_diag" in found["notes"][0]
    stranger(f"\n0000: 00000002 00000000 00010000 0001 01 {inode} /tmp/trap")
    (found,) = [one for one in virtual_machines() if one["pid"] == vm.pid]
    assert [one["path"] for one in found["monitors"]] == [str(vm.qmp_socket), str(vm.directory / "watch.sock")]
    assert not found["complete"]


def test_a_socket_that_was_exchanged_is_not_taken_for_the_vms(binary: Binary, make_vm: Callable[..., VM]) -> None:
    vm = make_vm(binary=binary, boot=False)
    path = vm.directory / "watch.sock"
    path.rename(vm.directory / "aside")
    with socket.socket(socket.AF_UNIX) as trap:
        trap.bind(str(path))
        trap.listen()
        found = find(vm)
        assert [one["path"] for one in found["monitors"]] == [str(vm.qmp_socket)]
        assert not found["complete"] and str(path) in found["notes"][0]
    path.unlink()
    (vm.directory / "aside").rename(path)
    assert find(vm)["complete"]


DEEP = "{" * 20000
CHARDEV = '{{"id": "m", "backend": {{"type": "socket", "data": {{"addr": {}}}}}}}'


@pytest.mark.parametrize(
    "words",
    [
        ("-qmp", f"tcp:127.0.0.1:{'1' * 5000},server=on"),
        ("-machine", DEEP),
        ("-chardev", DEEP, "-mon", DEEP),
        ("-chardev", CHARDEV.format('{"x":' * 900 + "1" + "}" * 900), "-mon", "m,mode=control"),
        ("-chardev", CHARDEV.format('{"type": "unix", "path": "/tmp/\\ud800"}'), "-mon", "m,mode=control"),
        ("-chardev", CHARDEV.format('{"type": "inet", "host": "\\ud800", "port": 5}'), "-mon", "m,mode=control"),
        (
            "-chardev",
            CHARDEV.format('{"type": "inet", "host": [1], "port": {"a": 1e999}}'),
            "-mon",
            '{"chardev": [], "mode": "control"}',
        ),
        ("-qmp", b"unix:/tmp/\xff\xfe,server=on"),
        ("-qmp", "unix:/tmp/\x1b[2J\n,server=on"),
        ("-name", "\x1b[31mred\x07", "-uuid", "\x1b[2J", "-machine", "\x9bx"),
        ("-name", b"\xff", "-qmp", "unix:"),
        ("-qmp", "unix:/x,server=on") * 2000,
    ],
    ids=[
        "port",
        "braces",
        "two braces",
        "nest",
        "surrogate",
        "surrogate host",
        "types",
        "bytes",
        "escape",
        "names",
        "name",
        "many",
    ],
)
def test_a_process_that_calls_itself_a_qemu_hides_no_other(
    session_vm: VM, words: tuple[bytes | str, ...], disguised: Stranger
) -> None:
    before = find(session_vm)
    bad = disguised(*words)
    assert find(session_vm) == before
    result = run("qmp_vms_info", {})
    (found,) = [one for one in result["vms"] if one["pid"] == bad.pid]
    assert found["user"] == pwd.getpwuid(NOBODY).pw_name
    assert found["binary"] == os.path.realpath("/bin/sh") and "its program is another one" in str(found["notes"])
    assert not re.search(r"[\x00-\x1f\x7f-\x9f]", "".join(str(value) for value in found.values()))
    assert found["monitors"] == [] or not found["complete"]


def test_a_stranger_that_names_the_socket_of_another_vm_does_not_listen_there(session_vm: VM, disguised: Stranger) -> None:
    bad = disguised("-qmp", f"unix:{session_vm.qmp_socket},server=on")
    result = run("qmp_vms_info", {})
    (found,) = [one for one in result["vms"] if one["pid"] == bad.pid]
    assert not any(monitor["listening"] for monitor in found["monitors"])
