# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who else may get at a monitor: files that others have planted, sockets that others may write to, addresses beyond this host.

What is said to a monitor may be secret. So a path is followed only where nobody else can have put there what it leads to. Trusted
are root, the user of this process, and the owner of a directory with what is below it: who names a path there trusts that user.
Where any user may write to a directory, what is in it must belong to one of those.
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

_MOST_LINKS = 40  # as Linux has it


class Reached(NamedTuple):
    """A file and its owner. ``path`` leads to this very file, whatever becomes of the path that was asked for."""

    path: str
    owner: int


@contextlib.contextmanager
def reached(path: str) -> Iterator[Reached]:
    """Follow *path* to its file, and hold it as long as the context lasts.

    Raises ConnectError where another user could have put it there, or a part of the way; OSError where there is none.
    Each step of the way is held by a descriptor while it is looked at, so that nobody can exchange it in between.
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
    """The way along a path. ``descriptor`` is where it has led so far."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._pending = [*reversed(os.path.join(os.getcwd(), path).split("/"))]
        self._trusted = {0, os.geteuid()}
        self._links: dict[int, str] = {}  # one of each other user
        self._followed = 0
        self._where = "/"
        self.descriptor = os.open("/", os.O_PATH | os.O_CLOEXEC)

    def follow(self) -> int:
        """Go all the way; return the owner of what is there."""
        try:
            while self._pending:
                name = self._pending.pop()
                if name not in ("", "."):
                    self._step(name)
            owner = os.fstat(self.descriptor).st_uid
        except OSError:
            self._refuse_links(None)
            raise
        self._refuse_links(owner)
        return owner

    def _step(self, name: str) -> None:
        directory = os.fstat(self.descriptor)
        entry = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.descriptor)
        try:
            found = os.fstat(entry)
            place = os.path.join(self._where, name)
            self._trusted.add(directory.st_uid)
            if name != ".." and directory.st_mode & stat.S_IWOTH and found.st_uid not in self._trusted:
                raise ConnectError(
                    f"{self._path}: any user may write to the directory {self._where}, and {place} in it belongs to "
                    f"{user(found.st_uid)}, who could be anybody and lead us anywhere. Put it in a directory that only its user "
                    "may write to, or run this task as that user."
                )
            if not stat.S_ISLNK(found.st_mode):
                self._go(entry, place)
                return
            self._followed += 1
            if self._followed > _MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            if found.st_uid not in (0, os.geteuid()):
                self._links.setdefault(found.st_uid, place)
            if directory.st_dev == os.stat("/proc").st_dev:  # such as /proc/PID/root, which is more than its text
                self._go(os.open(name, os.O_PATH | os.O_CLOEXEC, dir_fd=self.descriptor), place)
            else:
                target = os.readlink("", dir_fd=entry)
                if target.startswith("/"):
                    self._go(os.open("/", os.O_PATH | os.O_CLOEXEC), "/")
                self._pending += reversed(target.split("/"))
        finally:
            if entry != self.descriptor:
                os.close(entry)

    def _go(self, descriptor: int, where: str) -> None:
        os.close(self.descriptor)
        self.descriptor, self._where = descriptor, where

    def _refuse_links(self, owner: int | None) -> None:
        """A link of another user is trusted if what it leads to, owned by *owner*, is that user's as well."""
        for uid, link in self._links.items():
            if uid != owner:
                raise _planted(self._path, link, uid)


def refuse_peer(path: str, owner: int | None, uid: int, pid: int | None) -> None:
    """Raise ConnectError if who listens at *path*, a process of *uid*, is neither the file's *owner* nor root nor ourselves."""
    if uid not in {0, os.geteuid(), owner}:
        whose = "is an abstract one, which anybody can make" if owner is None else f"belongs to {user(owner)}"
        raise ConnectError(
            f"{path}: the socket {whose}, and the process that listens there (pid {pid}) is one of {user(uid)}, "
            "who could be anybody. Give the path of the QMP socket of your VM, or run this task as that user."
        )


def user(uid: int) -> str:
    """A user in words: name and number."""
    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"uid {uid}"


def refuse_open_file(path: str, held: str) -> None:
    """Raise ConnectError if any user may write to the file at *path*, which is at *held*."""
    if os.stat(held).st_mode & stat.S_IWOTH:
        raise ConnectError(f"{path}: any user may write to this file, and so have us trust anybody: chmod o-w it.")


def refuse_planted_links(path: str) -> None:
    """Raise ConnectError if the way to *path* leads over a symbolic link of another user. For systems other than Linux.

    It might lead to a place that this user has prepared, and what we say there is often secret. Links of root, of our own
    and of the owner of what they lead to are none of that kind.
    """
    for link in _links(Path(os.path.abspath(path))):
        owner = os.lstat(link).st_uid
        try:
            trusted = {0, os.geteuid(), os.stat(path).st_uid}
        except OSError:  # it leads nowhere that we see
            trusted = {0, os.geteuid()}
        if owner not in trusted:
            raise _planted(path, str(link), owner)


def _planted(path: str, link: str, owner: int) -> ConnectError:
    return ConnectError(
        f"{path}: {link} is a link of another user (uid {owner}), who could lead us anywhere; give the path that "
        "it stands for, if you trust that."
    )


def others_may_write(path: str) -> bool:
    """Whether any user of this host may write to the socket at *path*, and so rule the VM."""
    try:
        if not os.stat(path).st_mode & stat.S_IWOTH:
            return False
        return all(os.stat(folder).st_mode & stat.S_IXOTH for folder in Path(os.path.realpath(path)).parents)
    except (OSError, ValueError):  # connecting will tell
        return False


def is_loopback(host: str) -> bool:
    """Whether all addresses of *host* are this very host's; False where it has none."""
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
    """The symbolic links among the folders of *path* and itself, and those that they lead over."""
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
