# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unix sockets, from the kernel and from text that others may have a hand in."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils._vm.host.unix_sockets import UnixSocket, by_netlink, by_text, is_file

HEADER = b"Num       RefCount Protocol Flags    Type St Inode Path\n"


def line(inode: int, name: bytes, listening: bool = True) -> bytes:
    flags = b"00010000" if listening else b"00000000"
    return b"0000000000000000: 00000002 00000000 %s 0001 01 %d%s\n" % (flags, inode, b" " + name if name else b"")


def no_mounts() -> list[str]:
    return []


@pytest.mark.parametrize("name", [b"/q", b"\0abstract\nwith\0all", b"\0"])
def test_names_are_reported_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: bytes) -> None:
    monkeypatch.chdir(tmp_path)
    path = os.path.join(os.fsencode(tmp_path), b"q") if name == b"/q" else name
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        found = by_netlink()[os.fstat(listener.fileno()).st_ino]
    assert found.listening and found.peer is None
    assert found.name == ("@" + os.fsdecode(name[1:]) if name.startswith(b"\0") else os.fsdecode(path))
    assert (found.file is None) == name.startswith(b"\0")


def test_a_file_is_that_of_its_socket_and_of_no_other(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    with socket.socket(socket.AF_UNIX) as first, socket.socket(socket.AF_UNIX) as second:
        first.bind(str(one))
        second.bind(str(other))
        found = by_netlink()[os.fstat(first.fileno()).st_ino]
        assert is_file(str(one), found, no_mounts)
        assert not is_file(str(other), found, no_mounts)
        assert not is_file(str(tmp_path / "nothing"), found, no_mounts)
        assert not is_file("a\0b", found, no_mounts)
        assert not is_file(str(one), found._replace(file=None), no_mounts)


def test_a_device_that_stat_reports_otherwise_is_looked_up_among_the_mounts(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "q"))
        found = by_netlink()[os.fstat(listener.fileno()).st_ino]
        assert found.file
        elsewhere = found._replace(file=(found.file[0], 4095 << 20 | 77))
        descriptor = os.open(tmp_path, os.O_PATH)
        with open(f"/proc/self/fdinfo/{descriptor}") as info:
            mount = next(text.split()[1] for text in info if text.startswith("mnt_id"))
        os.close(descriptor)
        assert is_file(str(tmp_path / "q"), elsewhere, lambda: ["", f"{mount} 1 4095:77 / / rw - btrfs x rw"])
        assert not is_file(str(tmp_path / "q"), elsewhere, lambda: [f"{mount} 1 4095:78 / / rw - btrfs x rw"])


def test_text_is_read_with_names_of_any_kind() -> None:
    assert by_text([HEADER + line(1, b"/q") + line(2, b"@a b", False) + line(3, b"") + line(4, b"/\xff")]) == {
        1: UnixSocket("/q", True),
        2: UnixSocket("@a b", False),
        3: UnixSocket("", True),
        4: UnixSocket("/\udcff", True),
    }


@pytest.mark.parametrize("forged", [line(1, b"/trap"), line(1, b""), line(1, b"/q", False), line(1, b"/q\x85")])
def test_a_socket_of_which_two_lines_differ_is_not_reported(forged: bytes) -> None:
    assert by_text([HEADER + line(1, b"/q") + line(2, b"@x\n" + forged.strip(b"\n"))]) == {2: UnixSocket("@x", True)}


@pytest.mark.parametrize("name", [b"@\n", b"@\nx y z", b"@\n0: 1 2 zz 4 5 6 7", b"@\n\n\n", b"@\x85\x0b\x1c", b"@\n" + b"9" * 90])
def test_lines_that_are_none_are_passed_over(name: bytes) -> None:
    assert by_text([HEADER + line(2, name) + line(1, b"/q")])[1] == UnixSocket("/q", True)


def test_the_same_line_in_two_tables_is_one() -> None:
    assert by_text([HEADER + line(1, b"/q"), HEADER + line(1, b"/q")]) == {1: UnixSocket("/q", True)}
