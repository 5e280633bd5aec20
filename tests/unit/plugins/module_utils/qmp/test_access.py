# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Links of others, sockets that others may write to, addresses of this host."""

from __future__ import annotations

import os
import socket
import types
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils.qmp import access
from ansible_collections.vmops.qemu.plugins.module_utils.qmp.errors import ConnectError


class Stat:
    """What lstat and stat return for a file of *uid*."""

    def __init__(self, uid: int) -> None:
        self.st_uid = uid


def pretend(monkeypatch: pytest.MonkeyPatch, **functions: Any) -> None:
    """Have the module under test, and nothing else, see other functions of ``os``."""
    real = {name: getattr(os, name) for name in ("path", "lstat", "stat", "geteuid", "readlink")}
    monkeypatch.setattr(access, "os", types.SimpleNamespace(**{**real, **functions}))


def owned(monkeypatch: pytest.MonkeyPatch, link: int, target: int) -> None:
    """Have links belong to user *link* and what they lead to, to *target*."""
    pretend(monkeypatch, lstat=lambda path: Stat(link), stat=lambda path: Stat(target))


def test_a_path_without_links_is_followed(tmp_path: Path) -> None:
    access.refuse_planted_links(str(tmp_path / "nothing.sock"))


def test_a_link_of_ones_own_is_followed_wherever_it_leads(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    (tmp_path / "link").symlink_to("directory")
    (tmp_path / "far").symlink_to(tmp_path / "link")
    access.refuse_planted_links(str(tmp_path / "far" / "qmp.sock"))


@pytest.mark.parametrize("name", ["link", "directory/qmp.sock"])
def test_a_link_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "directory").symlink_to("link")
    owned(monkeypatch, link=54321, target=0)
    with pytest.raises(ConnectError, match="another user .uid 54321."):
        access.refuse_planted_links(str(tmp_path / name))


def test_a_link_of_the_owner_of_what_it_leads_to_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "link").symlink_to("real")
    owned(monkeypatch, link=54321, target=54321)
    access.refuse_planted_links(str(tmp_path / "link"))


def test_a_link_of_another_user_into_the_void_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "link").symlink_to("nothing")
    pretend(monkeypatch, lstat=lambda path: Stat(54321))
    with pytest.raises(ConnectError, match="link of another user"):
        access.refuse_planted_links(str(tmp_path / "link"))


def test_links_in_a_circle_come_to_an_end(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    access.refuse_planted_links(str(tmp_path / "a"))


@pytest.mark.parametrize(
    ("mode", "directory", "expected"),
    [
        (0o777, 0o755, True),
        (0o770, 0o755, False),
        (0o755, 0o755, False),
        (0o777, 0o750, False),
    ],
)
def test_whether_others_may_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, directory: int, expected: bool
) -> None:
    def stat(path: Any, **_options: Any) -> Any:
        """As it is below tmp_path, open above it, whatever the directories of the test are like."""
        result = os.stat(path)
        values = list(result)
        values[0] = result.st_mode if str(path).startswith(str(tmp_path)) else result.st_mode | 0o001
        return os.stat_result(values)

    path = tmp_path / "qmp.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
    path.chmod(mode)
    tmp_path.chmod(directory)
    pretend(monkeypatch, stat=stat)
    assert access.others_may_write(str(path)) is expected


@pytest.mark.parametrize("path", ["/nosuch/qmp.sock", "/tmp/a\0b", "/tmp/\ud800"])
def test_a_socket_that_is_not_there_or_cannot_be_is_nobodys(path: str) -> None:
    assert access.others_may_write(path) is False


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.3.2.1", True),
        ("::1", True),
        ("localhost", True),
        ("192.0.2.1", False),
        ("::", False),
        ("0.0.0.0", False),
        ("2001:db8::1", False),
        ("no.such.host.invalid", False),
        ("a" * 70, False),
    ],
)
def test_what_this_host_is(host: str, expected: bool) -> None:
    assert access.is_loopback(host) is expected
