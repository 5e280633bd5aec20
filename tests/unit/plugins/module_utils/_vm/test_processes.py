# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read from command lines and from /proc, here one that is made of files."""

from __future__ import annotations

import json
import os
import socket
import struct
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils._vm.host import processes

QEMU = "/usr/bin/qemu-system-x86_64"
UNIX_HEADER = "Num       RefCount Protocol Flags    Type St Inode Path\n"


class Proc:
    """A /proc of files: processes with command lines, descriptors and named unix sockets."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.peers: dict[int, int] = {}

    def add(self, pid: int, *words: str, **known: Any) -> Path:
        """A process; *sockets* are inodes by descriptor, *unix* lines (inode, name, listening) of its net/unix."""
        home = self.root / str(pid)
        (home / "net").mkdir(parents=True)
        (home / "fd").mkdir()
        (home / "cmdline").write_bytes(b"".join(word.encode() + b"\0" for word in words))
        (home / "comm").write_text(known.get("command", "qemu-system-x86") + "\n")
        (home / "status").write_text("Name:\tx\nUid:\t0\t{}\t0\t0\n".format(known.get("uid", 0)))
        os.symlink(known.get("exe", words[0] if words else "x"), str(home / "exe"))
        os.symlink(known.get("cwd", "/srv/vm"), str(home / "cwd"))
        os.symlink("/dev/null", str(home / "fd" / "0"))
        for descriptor, inode in known.get("sockets", {}).items():
            os.symlink(f"socket:[{inode}]", str(home / "fd" / str(descriptor)))
        lines = [
            "0000: 00000002 00000000 {:08X} 0001 {} {} {}\n".format(0x10000 * on, "01" if on else "03", inode, name)
            for inode, name, on in known.get("unix", [])
        ]
        (home / "net" / "unix").write_text(UNIX_HEADER + "0000: 00000003 00000000 00000000 0001 03 99\n" + "".join(lines))
        return home

    def machines(self, name: Any = None) -> list[dict[str, Any]]:
        return processes.virtual_machines(self.root, name, lambda: self.peers)

    def monitors(self, *words: str, **known: Any) -> tuple[list[Any], bool]:
        """Where the monitors of a VM with these options are, and whether these are all."""
        self.add(1, QEMU, *words, **known)
        (vm,) = self.machines()
        places = [monitor["path"] if monitor["type"] == "unix" else monitor for monitor in vm["monitors"]]
        return places, vm["complete"]


@pytest.fixture
def proc(tmp_path: Path) -> Proc:
    return Proc(tmp_path)


def tcp(host: str, port: int, tls: bool = False) -> dict[str, Any]:
    return {"type": "tcp", "host": host, "port": port, "tls": tls}


def chardev_json(address: Any) -> str:
    return json.dumps({"id": "m", "backend": {"type": "socket", "data": {"addr": address}}})


def test_a_vm_is_reported_with_its_name_uuid_machine_program_and_user(proc: Proc) -> None:
    proc.add(
        7,
        QEMU,
        "-name",
        "guest=vm,,1,debug-threads=on",
        "-uuid",
        "3F2F8A0E-6F0C-4F8E-9C58-0B1D2A3C4D5E",
        "-machine",
        "q35,accel=kvm",
        "-machine",
        "usb=off",
        exe=QEMU + " (deleted)",
        uid=4000000,
    )
    assert proc.machines() == [
        {
            "pid": 7,
            "name": "vm,1",
            "uuid": "3f2f8a0e-6f0c-4f8e-9c58-0b1d2a3c4d5e",
            "machine": "q35",
            "binary": QEMU,
            "user": "4000000",
            "monitors": [],
            "complete": True,
        }
    ]


def test_nothing_of_the_command_line_beyond_that_is_reported(proc: Proc) -> None:
    proc.add(7, QEMU, "-object", "secret,id=s,data=swordfish", "-qmp", "unix:/run/q,server=on")
    assert "swordfish" not in json.dumps(proc.machines())


def test_what_was_not_given_is_none(proc: Proc) -> None:
    proc.add(7, QEMU)
    (vm,) = proc.machines()
    assert (vm["name"], vm["uuid"], vm["machine"], vm["user"]) == (None, None, None, "root")


@pytest.mark.parametrize(
    "words, name, machine",
    [
        (["-name", "vm1"], "vm1", None),
        (["--name", "vm1,process=x", "-M", "pc"], "vm1", "pc"),
        (["-name", "vm1", "-name", "guest=vm2", "-M", "pc", "-machine", "type=q35"], "vm2", "q35"),
        (["-machine", '{"type": "virt", "usb": true}'], None, "virt"),
        (["-machine", "{no json", "-name", '["vm1"]'], '["vm1"]', None),
    ],
)
def test_name_and_machine_in_each_of_their_forms(proc: Proc, words: Any, name: Any, machine: Any) -> None:
    proc.add(7, QEMU, *words)
    assert [(vm["name"], vm["machine"]) for vm in proc.machines()] == [(name, machine)]


def test_only_system_emulators_are_vms_in_the_order_of_their_pids(proc: Proc) -> None:
    for pid, words in enumerate(
        [
            ["/bin/sh", QEMU],
            ["/usr/bin/qemu-img", "create"],
            ["qemu-x86_64", "x"],
            [],
            ["/usr/libexec/qemu-kvm"],
            ["/usr/bin/kvm"],
            ["qemu-system-aarch64"],
            ["/lib/ld.so", QEMU],
        ],
        95,
    ):
        proc.add(pid, *words)
    proc.add(3, "renamed", exe="/opt/bin/qemu-system-s390x")
    (proc.root / "self").mkdir()
    assert [vm["pid"] for vm in proc.machines()] == [3, 99, 100, 101]


def test_only_vms_of_the_name_that_is_asked_for_are_reported(proc: Proc) -> None:
    proc.add(1, QEMU, "-name", "vm1")
    proc.add(2, QEMU, "-name", "vm2")
    assert [vm["pid"] for vm in proc.machines("vm2")] == [2]


@pytest.mark.parametrize("file", ["cmdline", "exe", "status"])
def test_a_process_that_ends_while_it_is_read_is_left_out(proc: Proc, file: str) -> None:
    (proc.add(1, QEMU) / file).unlink()
    proc.add(2, QEMU)
    assert [vm["pid"] for vm in proc.machines()] == [2]


@pytest.mark.parametrize(
    "words, places",
    [
        (["-qmp", "unix:/run/q,server=on,wait=off"], ["/run/q"]),
        (["--qmp", "unix:/run/a,server,nowait", "-qmp-pretty", "unix:/run/b,,c,server=on"], ["/run/a", "/run/b,c"]),
        (["-qmp", "unix:run/../q,server=on"], ["/srv/vm/q"]),
        (["-qmp", "unix:q,server=on,abstract=on"], ["@q"]),
        (["-qmp", "tcp:127.0.0.1:4444,server=on,wait=off"], [tcp("127.0.0.1", 4444)]),
        (["-qmp", "tcp::4444,server,nowait"], [tcp("localhost", 4444)]),
        (["-chardev", "socket,id=m,path=/run/q,server=on", "-mon", "chardev=m,mode=control"], ["/run/q"]),
        (["-chardev", "socket,path=/run/q,id=m", "-mon", "m,mode=control,pretty=on"], ["/run/q"]),
        (["-chardev", "socket,path=/run/q,id=m", "-qmp", "chardev:m"], ["/run/q"]),
        (["-mon", "m,mode=control", "-chardev", "socket,id=m,host=::1,port=5,server=on,tls-creds=t"], [tcp("::1", 5, True)]),
        (
            [
                "-chardev",
                chardev_json({"type": "unix", "data": {"path": "/run/q"}}),
                "-mon",
                '{"chardev": "m", "mode": "control"}',
            ],
            ["/run/q"],
        ),
        (["-chardev", chardev_json({"type": "inet", "host": "h", "port": "5"}), "-mon", "m,mode=control"], [tcp("h", 5)]),
        (
            [
                "-chardev",
                '{"id": "m", "backend": {"type": "socket", "addr": {"type": "unix", "path": "/run/q"}}}',
                "-mon",
                "m,mode=control",
            ],
            ["/run/q"],
        ),
    ],
)
def test_monitors_in_each_of_their_forms(proc: Proc, words: Any, places: Any) -> None:
    assert proc.monitors(*words) == (places, True)


@pytest.mark.parametrize(
    "words",
    [
        ["-qmp", "stdio"],
        ["-qmp", "pty"],
        ["-qmp", "none"],
        ["-qmp"],
        ["-qmp", "telnet:127.0.0.1:4444,server=on"],
        ["-qmp", "tcp:127.0.0.1:4444"],
        ["-monitor", "unix:/run/hmp,server=on"],
        ["-chardev", "socket,id=m,path=/run/q", "-mon", "m"],
        ["-chardev", "socket,id=m,path=/run/q", "-mon", "chardev=m,mode=readline"],
        ["-chardev", "socket,id=m,host=h,port=5,server=on,websocket=on", "-mon", "m,mode=control"],
        ["-chardev", "pty,id=m", "-mon", "m,mode=control"],
        ["-chardev", "socket,id=serial,path=/run/q"],
    ],
)
def test_what_nobody_can_connect_to_or_is_not_a_qmp_monitor_is_left_out(proc: Proc, words: Any) -> None:
    assert proc.monitors(*words) == ([], True)


@pytest.mark.parametrize(
    "words",
    [
        ["-readconfig", "vm.cfg"],
        ["-daemonize", "-qmp", "unix:q,server=on"],
        ["-chroot", "/jail", "-qmp", "unix:q,server=on"],
        ["-run-with", "chroot=/jail", "-qmp", "unix:q,server=on"],
        ["-chardev", "socket,id=m,fd=9", "-mon", "m,mode=control"],
        ["-qmp", "tcp:h:qmp,server=on"],
    ],
)
def test_a_vm_of_which_a_monitor_cannot_be_found_is_not_complete(proc: Proc, words: Any) -> None:
    assert proc.monitors(*words) == ([], False)


@pytest.mark.parametrize("chardev", ["socket,id=m,fd=9,server=on", chardev_json({"type": "fd", "data": {"str": "9"}})])
def test_a_monitor_that_was_given_as_a_descriptor_is_found_by_its_socket(proc: Proc, chardev: Any) -> None:
    assert proc.monitors(
        "-chardev", chardev, "-mon", "m,mode=control", sockets={8: 1, 9: 2}, unix=[(1, "/run/other", True), (2, "/run/q q", True)]
    ) == (["/run/q q"], True)


def test_a_socket_in_a_container_is_reached_through_the_process(proc: Proc, tmp_path: Path) -> None:
    home = proc.add(1, QEMU, "-qmp", f"unix:{tmp_path}/q,server=on")
    inside = home / "root" / str(tmp_path)[1:]
    inside.mkdir(parents=True)
    (inside / "q").write_text("")
    ((monitor,),) = [vm["monitors"] for vm in proc.machines()]
    assert monitor["path"] == str(inside / "q")
    (tmp_path / "q").write_text("another file of that name")
    ((monitor,),) = [vm["monitors"] for vm in proc.machines()]
    assert monitor["path"] == str(inside / "q")
    (inside / "q").unlink()
    os.link(str(tmp_path / "q"), str(inside / "q"))
    ((monitor,),) = [vm["monitors"] for vm in proc.machines()]
    assert monitor["path"] == str(tmp_path / "q")


def held(proc: Proc) -> Path:
    """A VM that listens as inode 10 and has accepted inode 11; another VM has a socket that was bound by the same name."""
    proc.add(2, QEMU, sockets={3: 20, 4: 21}, unix=[(10, "q", True), (11, "q", False), (20, "q", True), (21, "q", False)])
    return proc.add(
        1,
        QEMU,
        "-qmp",
        "unix:q,server=on",
        sockets={3: 10, 4: 11},
        unix=[(10, "q", True), (11, "q", False), (20, "q", True), (21, "q", False)],
    )


def monitor_of(proc: Proc, pid: int = 1) -> dict[str, Any]:
    (vm,) = [vm for vm in proc.machines() if vm["pid"] == pid]
    monitor: dict[str, Any]
    (monitor,) = vm["monitors"]
    return monitor


def test_the_clients_of_a_monitor_are_reported_with_all_processes_that_share_the_socket(proc: Proc) -> None:
    held(proc)
    proc.peers = {11: 30, 30: 11, 21: 31, 31: 21}
    for pid, command, inode in ((50, "socat", 30), (51, "ansible", 30), (52, "stranger", 31)):
        proc.add(pid, command, command=command, sockets={3: inode})
    assert monitor_of(proc) == {
        "type": "unix",
        "path": "/srv/vm/q",
        "listening": True,
        "held_by": [{"pid": 50, "command": "socat"}, {"pid": 51, "command": "ansible"}],
    }


def test_a_client_of_one_monitor_does_not_hold_the_other(proc: Proc) -> None:
    proc.add(
        1,
        QEMU,
        "-qmp",
        "unix:/run/a,server=on",
        "-qmp",
        "unix:/run/b,server=on",
        sockets={3: 10, 4: 11, 5: 12},
        unix=[(10, "/run/a", True), (11, "/run/a", False), (12, "/run/b", False)],
    )
    proc.add(50, "socat", command="socat", sockets={3: 30})
    proc.peers = {11: 30, 12: 0}
    ((one, other),) = [vm["monitors"] for vm in proc.machines()]
    assert (one["listening"], one["held_by"]) == (True, [{"pid": 50, "command": "socat"}])
    assert (other["listening"], other["held_by"]) == (False, [])


def test_a_connection_that_is_in_the_network_namespace_of_its_client_is_found(proc: Proc) -> None:
    proc.add(1, QEMU, "-qmp", "unix:/run/q,server=on", sockets={3: 10, 4: 11}, unix=[(10, "/run/q", True)])
    os.rename(
        str(proc.add(50, "socat", command="socat", sockets={3: 30}, unix=[(11, "/run/q", False)]) / "net"), str(proc.root / "net")
    )
    proc.peers = {11: 30}
    assert monitor_of(proc)["held_by"] == [{"pid": 50, "command": "socat"}]


def test_a_client_that_may_not_be_seen_still_holds(proc: Proc) -> None:
    held(proc)
    proc.peers = {11: 30}
    assert monitor_of(proc)["held_by"] == [{"pid": None, "command": None}]


def test_a_client_that_has_gone_does_not_hold(proc: Proc) -> None:
    held(proc)
    proc.peers = {11: 0}
    assert monitor_of(proc)["held_by"] == []


def test_clients_are_unknown_where_linux_does_not_report_of_this_connection(proc: Proc) -> None:
    held(proc)
    assert monitor_of(proc)["held_by"] is None


def test_clients_are_unknown_where_linux_refuses_to_report_of_any(proc: Proc) -> None:
    held(proc)

    def refuse() -> dict[int, int]:
        raise PermissionError("no")

    (vm, _other) = processes.virtual_machines(proc.root, None, refuse)
    assert vm["monitors"][0]["held_by"] is None
    assert vm["monitors"][0]["listening"] is True


def test_of_another_users_vm_what_may_be_seen_is_reported(proc: Proc, monkeypatch: pytest.MonkeyPatch) -> None:
    home = proc.add(1, QEMU, "-qmp", "unix:/run/q,server=on", "-qmp", "unix:q,server=on", unix=[(10, "/run/q", True)])
    listdir, readlink = os.listdir, os.readlink

    def refusing(call: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def ask(path: Any) -> Any:
            if str(path).startswith(str(home)):
                raise PermissionError("no")
            return call(path)

        return ask

    monkeypatch.setattr(os, "listdir", refusing(listdir))
    monkeypatch.setattr(os, "readlink", refusing(readlink))
    (vm,) = proc.machines()
    assert vm["binary"] == QEMU
    assert vm["complete"] is False
    assert vm["monitors"] == [{"type": "unix", "path": "/run/q", "listening": True, "held_by": None}]


def test_a_monitor_that_is_a_client_itself_is_held_by_its_server(proc: Proc) -> None:
    proc.add(1, QEMU, "-qmp", "unix:/run/q", sockets={3: 10}, unix=[(11, "/run/q", False)])
    proc.add(50, "proxy", command="proxy", sockets={3: 11})
    proc.peers = {10: 11, 11: 10}
    assert monitor_of(proc) == {
        "type": "unix",
        "path": "/run/q",
        "listening": False,
        "held_by": [{"pid": 50, "command": "proxy"}],
    }


def inode(end: socket.socket) -> int:
    return os.fstat(end.fileno()).st_ino


def test_linux_reports_both_ends_of_a_connection_and_of_none_that_is_closed() -> None:
    one, other = socket.socketpair()
    with one:
        with other:
            peers = processes.unix_peers()
            assert (peers[inode(one)], peers[inode(other)]) == (inode(other), inode(one))
            number = inode(other)
        assert number not in processes.unix_peers()


def test_a_refusal_of_netlink_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing(socket.socket):
        def send(self, _data: Any, _flags: int = 0, /) -> int:
            return 0

        def recv(self, _size: int, _flags: int = 0, /) -> bytes:
            return struct.pack("=IHHII", 36, 2, 0, 1, 0) + struct.pack("=i16x", -13)

    monkeypatch.setattr(socket, "socket", Refusing)
    with pytest.raises(PermissionError):
        processes.unix_peers()
