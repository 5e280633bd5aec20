# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a path is followed: whom each part of it may belong to, and that its file is held."""

from __future__ import annotations

import os
import socket
import stat
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils.qmp import ConnectError, UnixAddress, access
from ansible_collections.vmops.qemu.plugins.module_utils.qmp import transport as transport_module

STRANGER = 54321
OTHER = 54322


class System:
    """The real ``os``, in which some files belong to others."""

    def __init__(self) -> None:
        self.owners: dict[tuple[int, int], int] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def give(self, path: Path, uid: int) -> None:
        found = os.lstat(path)
        self.owners[found.st_dev, found.st_ino] = uid

    def fstat(self, descriptor: int) -> os.stat_result:
        found = os.fstat(descriptor)
        values = list(found)
        values[stat.ST_UID] = self.owners.get((found.st_dev, found.st_ino), found.st_uid)
        return os.stat_result(values)


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> System:
    system = System()
    monkeypatch.setattr(access, "os", system)
    return system


def owner(path: object) -> int:
    with access.reached(str(path)) as file:
        assert os.path.samestat(os.stat(file.path), os.stat(str(path)))
        return file.owner


def test_a_file_is_held_whatever_becomes_of_its_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("one")
    with access.reached(str(tmp_path / "file")) as file:
        (tmp_path / "file").rename(tmp_path / "aside")
        (tmp_path / "file").write_text("two")
        with open(file.path) as held:
            assert held.read() == "one"


def test_nothing_stays_open(tmp_path: Path) -> None:
    before = os.listdir("/proc/self/fd")
    (tmp_path / "link").symlink_to("./nothing")
    for path in (tmp_path, tmp_path / "nothing", tmp_path / "link", "/proc/self/exe"):
        try:
            owner(path)
        except OSError:
            pass
    assert os.listdir("/proc/self/fd") == before


def test_relative_paths_links_and_dots_lead_where_they_should(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "a" / "b")
    (tmp_path / "second").symlink_to("link/../file")
    monkeypatch.chdir(tmp_path / "a")
    for path in ("file", "./b/../file", "../link/../file", "../second", tmp_path / "second", f"/proc/self/root{tmp_path}/second"):
        assert owner(path) == os.geteuid()


def test_links_in_a_circle_come_to_an_end(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links"):
        owner(tmp_path / "a")


def test_a_file_of_another_user_in_its_own_directory_is_reached(tmp_path: Path, system: System) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "file").touch()
    system.give(tmp_path / "own", STRANGER)
    system.give(tmp_path / "own" / "file", STRANGER)
    assert owner(tmp_path / "own" / "file") == STRANGER


@pytest.mark.parametrize("mode", [0o777, 0o1777])
@pytest.mark.parametrize("what", ["file", "link", "directory"])
def test_what_belongs_to_another_user_is_refused_where_any_user_may_write(
    tmp_path: Path, system: System, mode: int, what: str
) -> None:
    shared = tmp_path / "shared"
    (shared / "directory").mkdir(parents=True)
    shared.chmod(mode)
    for path in (shared / "file", shared / "directory" / "file"):
        path.touch()
    (shared / "link").symlink_to("file")
    path = shared / "directory" / "file" if what == "directory" else shared / what
    assert owner(path) == os.geteuid()
    system.give(shared / what, STRANGER)
    with pytest.raises(ConnectError, match=f"may write to the directory {shared}, and {shared}/{what} .* uid {STRANGER}"):
        owner(path)


def test_the_owner_of_a_shared_directory_may_have_things_in_it(tmp_path: Path, system: System) -> None:
    (tmp_path / "file").touch()
    tmp_path.chmod(0o1777)
    system.give(tmp_path, STRANGER)
    system.give(tmp_path / "file", STRANGER)
    assert owner(tmp_path / "file") == STRANGER


@pytest.mark.parametrize(("target", "refused"), [(STRANGER, False), (OTHER, True), (0, True)])
def test_a_link_of_another_user_leads_only_to_what_is_that_users_too(
    tmp_path: Path, system: System, target: int, refused: bool
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    system.give(tmp_path / "link", STRANGER)
    system.give(tmp_path / "file", target)
    if refused:
        with pytest.raises(ConnectError, match=f"link of another user .uid {STRANGER}"):
            owner(tmp_path / "link")
    else:
        assert owner(tmp_path / "link") == STRANGER


def test_a_link_of_another_user_into_the_void_is_refused(tmp_path: Path, system: System) -> None:
    (tmp_path / "link").symlink_to("nothing")
    system.give(tmp_path / "link", STRANGER)
    with pytest.raises(ConnectError, match="link of another user"):
        owner(tmp_path / "link")


def test_a_system_that_cannot_hold_a_path_still_refuses_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.delattr(os, "O_PATH")
    with access.reached(str(tmp_path / "file")) as file:
        assert file == (str(tmp_path / "file"), os.geteuid())


@pytest.mark.parametrize(
    ("peer", "file", "refused"),
    [
        (0, STRANGER, False),
        (STRANGER, STRANGER, False),
        (STRANGER, 0, True),
        (STRANGER, OTHER, True),
        (STRANGER, None, True),
        (0, None, False),
    ],
)
def test_who_listens_must_be_root_or_ourselves_or_the_owner(peer: int, file: int, refused: bool) -> None:
    if refused:
        with pytest.raises(ConnectError, match=f"/q: the socket .*pid 7.* runs as uid {STRANGER}"):
            access.refuse_peer("/q", file, peer, 7)
    else:
        access.refuse_peer("/q", file, peer, 7)
    access.refuse_peer("/q", file, os.geteuid(), 7)


@pytest.mark.parametrize("name", ["/q", "\0vmops-test-of-peers"])
def test_nothing_is_said_to_a_process_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    path = name if name.startswith("\0") else f"{tmp_path}{name}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        listener.settimeout(5)
        transport_module.connect(UnixAddress(path), time.monotonic() + 5).close()
        listener.accept()[0].close()
        monkeypatch.setattr(transport_module, "_peer", lambda sock: (7, STRANGER))
        with pytest.raises(ConnectError, match=f"uid {STRANGER}"):
            transport_module.connect(UnixAddress(path), time.monotonic() + 5)
        with listener.accept()[0] as accepted:
            assert accepted.recv(1) == b""


def test_files_that_any_user_may_write_to_are_refused_for_tls(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    (tmp_path / "ca.pem").chmod(0o644)
    access.refuse_open_file("ca.pem", str(tmp_path / "ca.pem"))
    (tmp_path / "ca.pem").chmod(0o646)
    with pytest.raises(ConnectError, match="ca.pem: any user may write"):
        access.refuse_open_file("ca.pem", str(tmp_path / "ca.pem"))


def test_users_are_named_where_they_have_a_name() -> None:
    assert access.user(0) == "root (uid 0)"
    assert access.user(4294967294) == "uid 4294967294"
