# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An image file as this host sees it, below the root directory of the QEMU process if that is another one.

What is seen here is a hint only: QEMU decides when it opens the file.
"""

from __future__ import annotations

import os
import stat
import struct
from typing import NamedTuple

_MAGIC = (
    ("qcow2", 0, b"QFI\xfb\x00\x00\x00\x02"),
    ("qcow2", 0, b"QFI\xfb\x00\x00\x00\x03"),
    ("qcow", 0, b"QFI\xfb\x00\x00\x00\x01"),
    ("qed", 0, b"QED\0"),
    ("vmdk", 0, b"KDMV"),
    ("vmdk", 0, b"COWD"),
    ("vmdk", 0, b"# Disk DescriptorFile"),
    ("vhdx", 0, b"vhdxfile"),
    ("vpc", 0, b"conectix"),
    ("vdi", 64, b"\x7f\x10\xda\xbe"),
    ("luks", 0, b"LUKS\xba\xbe"),
    ("parallels", 0, b"WithoutFreeSpace"),
    ("parallels", 0, b"WithouFreSpacExt"),
)
"""The magic numbers of image formats: format, offset, bytes."""
_HEAD = 512
NO_FILE = "No such file or directory"


class Image(NamedTuple):
    """``format`` by the header, None if the header is unknown, as in a raw image. ``size`` in bytes as the guest would
    see it, None if that is not known here. ``problem``: why QEMU will not open the file, "" if no reason is seen."""

    format: str | None = None
    size: int | None = None
    problem: str = ""


def probe(path: str, pid: int | None) -> Image:
    """The image at *path* as process *pid* sees it. Nothing is known of one that cannot be seen from here."""
    seen = _seen(path, pid)
    try:
        mode = os.stat(seen).st_mode
        if stat.S_ISDIR(mode):
            return Image(problem="Is a directory")
        if stat.S_ISBLK(mode):
            return Image()
        if not stat.S_ISREG(mode):
            return Image(problem="Not a regular file")
        with open(seen, "rb") as file:
            head = file.read(_HEAD)
            length = os.fstat(file.fileno()).st_size
    except FileNotFoundError:
        return Image(problem=NO_FILE if pid else "")
    except (OSError, ValueError):
        return Image()
    kind = next((name for name, offset, magic in _MAGIC if head[offset : offset + len(magic)] == magic), None)
    return Image(kind, _size(kind, head, length))


def is_block_device(path: str, pid: int | None) -> bool:
    """Whether *path* is a block device as process *pid* sees it. If it cannot be seen from here, its directory decides."""
    try:
        return stat.S_ISBLK(os.stat(_seen(path, pid)).st_mode)
    except OSError:  # as when the VM is on another host
        return path.startswith("/dev/")


def _seen(path: str, pid: int | None) -> str:
    """Where this host has the file that process *pid* has at *path*."""
    root = f"/proc/{pid}/root"
    try:
        os.stat(root + "/")
    except OSError:
        return path
    return root + path


def _size(kind: str | None, head: bytes, length: int) -> int | None:
    """The virtual size in bytes: of a raw file in whole sectors, of a qcow2 image by its header."""
    if kind is None:
        return -(-length // 512) * 512
    if kind == "qcow2" and len(head) >= 32:
        size: int = struct.unpack(">Q", head[24:32])[0]
        return size
    return None
