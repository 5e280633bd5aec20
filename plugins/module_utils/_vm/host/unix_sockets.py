# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The unix sockets of a network namespace, as Linux reports them.

sock_diag(7) reports names as separate values. In /proc/net/unix they are text, and any user can create a socket whose name
contains line ends. So an entry of that file is used only if no other line contradicts it.
"""

from __future__ import annotations

import os
import re
import socket
import struct
from typing import Callable, Iterable, Iterator, NamedTuple

_SOCK_DIAG_BY_FAMILY, _DUMP, _ERROR, _DONE = 20, 0x301, 2, 3
_NETLINK_SOCK_DIAG, _ALL_STATES, _LISTEN = 4, 0xFFFFFFFF, 10
_SHOW_NAME_FILE_PEER = 1 | 2 | 4
_NAME, _FILE, _PEER = 0, 1, 2
_HEADER, _REQUEST, _SOCKET, _ATTRIBUTE = "=IHHII", "=BBHIIIII", "=BBBBIII", "=HH"
_SECONDS = 5.0
_BUFFER = 1 << 20

_LISTENING = 0x10000
_LINE = re.compile(
    rb"[0-9a-fA-F]+: [0-9A-F]{8} [0-9A-F]{8} ([0-9A-F]{8}) [0-9A-F]{4} [0-9A-F]{2} +([0-9]{1,20})(?: (.*))?", re.DOTALL
)


class UnixSocket(NamedTuple):
    """A unix socket. An abstract name begins with ``@``; a path is as it was bound, which may be relative; "" means no name.

    ``peer`` is the inode of the peer, 0 if no process has it any more, or not yet; None if the socket is not connected. ``file``
    is the inode number of the socket's file (its lower 32 bits) and the number of its device. Both are None for a socket that was
    read from /proc/net/unix.
    """

    name: str
    listening: bool
    peer: int | None = None
    file: tuple[int, int] | None = None


def by_netlink() -> dict[int, UnixSocket]:
    """The unix sockets of this network namespace by inode. Raises OSError if Linux denies the query."""
    found: dict[int, UnixSocket] = {}
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as netlink:
        netlink.settimeout(_SECONDS)
        netlink.connect((0, 0))  # the kernel: from now on messages of other senders are not received
        request = struct.pack(_REQUEST, socket.AF_UNIX, 0, 0, _ALL_STATES, 0, _SHOW_NAME_FILE_PEER, 0, 0)
        length = struct.calcsize(_HEADER) + len(request)
        netlink.send(struct.pack(_HEADER, length, _SOCK_DIAG_BY_FAMILY, _DUMP, 1, 0) + request)
        while True:
            for kind, body in _messages(netlink.recv(_BUFFER)):
                if kind == _DONE:
                    return found
                if kind == _ERROR:
                    code = -struct.unpack_from("=i", body)[0]
                    raise OSError(code, os.strerror(code))
                _family, _type, state, _pad, inode = struct.unpack_from(_SOCKET, body)[:5]
                found[inode] = _described(state, dict(_attributes(body[struct.calcsize(_SOCKET) :])))


def _described(state: int, attributes: dict[int, bytes]) -> UnixSocket:
    name, file, peer = (attributes.get(number) for number in (_NAME, _FILE, _PEER))
    ino, device = struct.unpack("=II", file) if file else (0, 0)
    return UnixSocket(
        _text(name or b""), state == _LISTEN, struct.unpack("=I", peer)[0] if peer else None, (ino, device) if file else None
    )


def _text(name: bytes) -> str:
    if name.startswith(b"\0"):
        return "@" + os.fsdecode(name[1:])
    return os.fsdecode(name.partition(b"\0")[0])


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and body of each netlink message in *data*."""
    while data:
        length, kind = struct.unpack_from(_HEADER, data)[:2]
        yield kind, data[struct.calcsize(_HEADER) : length]
        data = data[_aligned(length) :]


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and value of each netlink attribute in *data*."""
    while data:
        length, kind = struct.unpack_from(_ATTRIBUTE, data)
        yield kind, data[struct.calcsize(_ATTRIBUTE) : length]
        data = data[_aligned(length) :]


def _aligned(length: int) -> int:
    return (length + 3) & ~3


def by_text(tables: Iterable[bytes]) -> dict[int, UnixSocket]:
    """The unix sockets in files such as /proc/net/unix by inode, without those for which two lines differ.

    Each socket has a line of its own, even if the name of another socket imitates one.
    """
    found: dict[int, set[UnixSocket]] = {}
    for table in tables:
        for match in map(_LINE.fullmatch, table.split(b"\n")[1:]):
            if match:
                flags, inode, name = match.groups()
                found.setdefault(int(inode), set()).add(UnixSocket(os.fsdecode(name or b""), bool(int(flags, 16) & _LISTENING)))
    return {inode: sockets.pop() for inode, sockets in found.items() if len(sockets) == 1}


def is_file(path: str, unix: UnixSocket, mounts: Callable[[], Iterable[str]]) -> bool:
    """Whether the file at *path* is that of the socket *unix*. *mounts* returns the lines of mountinfo (proc(5))."""
    if unix.file is None:
        return False
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (OSError, ValueError):
        return False
    try:
        there = os.fstat(descriptor)
        ino, device = unix.file
        major, minor = device >> 20, device & 0xFFFFF
        if there.st_ino & 0xFFFFFFFF != ino:
            return False
        same = (major, minor) == (os.major(there.st_dev), os.minor(there.st_dev))
        return same or _on_device(descriptor, f"{major}:{minor}", mounts)
    finally:
        os.close(descriptor)


def _on_device(descriptor: int, device: str, mounts: Callable[[], Iterable[str]]) -> bool:
    """Whether a file is on *device*, although stat reports another one, as for some file systems (btrfs, overlayfs)."""
    try:
        with open(f"/proc/self/fdinfo/{descriptor}") as info:
            mount = next((line.split()[1] for line in info if line.startswith("mnt_id:")), "")
    except OSError:
        return False
    return any(line.split()[:3:2] == [mount, device] for line in mounts())
