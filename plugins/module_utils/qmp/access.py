# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who else has access to a monitor: files that other users have planted, sockets that others may write to, other hosts.

Commands to a monitor may contain secrets. So a path is followed only where no other user can have put the file there. Trusted are
root, the user of this process, and the owner of a directory with everything below it: who names a path there trusts that user.
In a directory that any user may write to, a file must belong to one of those.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import pwd
import socket
import stat
from pathlib import Path
from typing import Iterator, NamedTuple

from .errors import ConnectError

_HOLD = getattr(os, "O_PATH", 0)  # no right to the file is needed
_MOST_LINKS = 40  # as Linux has it


class Reached(NamedTuple):
    """A file and its owner. ``path`` leads to this very file, whatever becomes of the requested path."""

    path: str
    owner: int


@contextlib.contextmanager
def reached(path: str) -> Iterator[Reached]:
    """Follow *path* to its file, and hold it as long as the context lasts.

    Raises ConnectError where another user could have put it there, or a part of the way; OSError where it does not exist.
    """
    if not hasattr(os, "O_PATH") or not os.path.isdir("/proc/self/fd"):
        refuse_planted_links(path)
        yield Reached(path, os.stat(path).st_uid)
        return
    way = _Way(path)
    try:
        owner = way.follow()
        yield Reached(f"/proc/self/fd/{way.descriptor}", owner)
    finally:
        os.close(way.descriptor)


class _Way:
    """The way along a path. Each step is held by a descriptor while it is checked, so that nobody can exchange it meanwhile.

    ``descriptor`` is the end of the way so far.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._pending = [*reversed(os.path.join(os.getcwd(), path).split("/"))]
        self._trusted = {0, os.geteuid()}
        self._links: dict[int, str] = {}  # one of each other user
        self._followed = 0
        self._where = ""
        self.descriptor = os.open("/", _HOLD)
        self._found = os.fstat(self.descriptor)

    def follow(self) -> int:
        """Go all the way; return the owner of the file at its end."""
        try:
            while self._pending:
                name = self._pending.pop()
                if name not in ("", "."):
                    self._step(name)
        except OSError:
            self._refuse_links(None)
            raise
        self._refuse_links(self._found.st_uid)
        return self._found.st_uid

    def _step(self, name: str) -> None:
        directory = self._found
        entry = os.open(name, _HOLD | os.O_NOFOLLOW, dir_fd=self.descriptor)
        try:
            found = os.fstat(entry)
            where = f"{self._where}/{name}"
            self._trusted.add(directory.st_uid)
            if directory.st_mode & stat.S_IWOTH and found.st_uid not in self._trusted and name != "..":
                raise ConnectError(
                    f"{self._path}: any user may write to the directory {self._where or '/'}, and {where} in it belongs to "
                    f"{user(found.st_uid)}, who could lead us anywhere. Move it to a directory that only its user may write to, "
                    "or run this task as that user."
                )
            if not stat.S_ISLNK(found.st_mode):
                self._go(entry, where, found)
                return
            self._followed += 1
            if self._followed > _MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            if found.st_uid not in (0, os.geteuid()):
                self._links.setdefault(found.st_uid, where)
            if directory.st_dev == os.stat("/proc").st_dev:  # such as /proc/PID/root, which is more than its text
                self._go(os.open(name, _HOLD, dir_fd=self.descriptor), where)
            else:
                target = os.readlink("", dir_fd=entry)
                if target.startswith("/"):
                    self._go(os.open("/", _HOLD), "")
                self._pending += reversed(target.split("/"))
        finally:
            if entry != self.descriptor:
                os.close(entry)

    def _go(self, descriptor: int, where: str, found: os.stat_result | None = None) -> None:
        os.close(self.descriptor)
        self.descriptor, self._where = descriptor, where
        self._found = found or os.fstat(descriptor)

    def _refuse_links(self, owner: int | None) -> None:
        """A link of another user is trusted if its target, owned by *owner*, is that user's as well."""
        for uid, link in self._links.items():
            if uid != owner:
                raise _planted(self._path, link, uid)


def refuse_peer(path: str, owner: int | None, uid: int, pid: int | None) -> None:
    """Raise ConnectError unless the user of the process that listens at *path* is the *owner* of the file, root or our own."""
    if uid not in {0, os.geteuid(), owner}:
        whose = "is an abstract one, which any user can create" if owner is None else f"belongs to {user(owner)}"
        raise ConnectError(
            f"{path}: the socket {whose}, but the process that listens there (pid {pid}) runs as {user(uid)}. Give the path of "
            "the QMP socket of your VM, or run this task as that user."
        )


def user(uid: int) -> str:
    """A user in words: name and number."""
    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"uid {uid}"


def refuse_open_file(path: str, held: str) -> None:
    """Raise ConnectError if any user may write to the file at *path*, which is held at *held*."""
    if os.stat(held).st_mode & stat.S_IWOTH:
        raise ConnectError(f"{path}: any user may write to this file, so it cannot be trusted: run chmod o-w on it.")


def refuse_planted_links(path: str) -> None:
    """Raise ConnectError if the way to *path* leads over a symbolic link of another user. For systems other than Linux.

    Such a link might lead to a file that this user has prepared. Links of root, of our own user, and of the owner of their
    target are trusted.
    """
    for link in _links(Path(os.path.abspath(path))):
        owner = os.lstat(link).st_uid
        try:
            trusted = {0, os.geteuid(), os.stat(path).st_uid}
        except OSError:  # the target does not exist, or is not accessible
            trusted = {0, os.geteuid()}
        if owner not in trusted:
            raise _planted(path, str(link), owner)


def _planted(path: str, link: str, owner: int) -> ConnectError:
    return ConnectError(
        f"{path}: {link} is a link of another user (uid {owner}), who could lead us anywhere; give the path of its target, if "
        "you trust that."
    )


def others_may_write(path: str) -> bool:
    """Whether any user of this host may write to the socket at *path*, and so control the VM."""
    try:
        if not os.stat(path).st_mode & stat.S_IWOTH:
            return False
        return all(os.stat(parent).st_mode & stat.S_IXOTH for parent in Path(os.path.realpath(path)).parents)
    except (OSError, ValueError):  # connecting fails with the reason
        return False


def is_loopback(host: str) -> bool:
    """Whether all addresses of *host* are of this very host; False if it has none."""
    found = _addresses(host)
    return bool(found) and all(ipaddress.ip_address(address).is_loopback for address in found)


def has_address(host: str) -> bool:
    """Whether *host* is an address, or the system knows one for it."""
    return bool(_addresses(host))


def _addresses(host: str) -> list[str]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return [str(place[0]).partition("%")[0] for *_rest, place in found]


def _links(path: Path) -> Iterator[Path]:
    """The symbolic links among *path* and its parents, and those that they lead over."""
    seen: set[Path] = set()
    pending = [path]
    while pending:
        whole = pending.pop()
        for part in [*reversed(whole.parents), whole]:
            if os.path.islink(part) and part not in seen:
                seen.add(part)
                yield part
                pending.append(Path(os.path.normpath(part.parent / os.readlink(part))) / whole.relative_to(part))
                break
