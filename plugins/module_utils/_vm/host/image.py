# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An image file as it is seen from this host, in QEMU's own root directory where that is another: a look that settles nothing,
for QEMU decides when it opens the file.
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
"""Where the formats of QEMU have their magic: format, offset, bytes."""
_HEAD = 512
NO_FILE = "No such file or directory"


class Image(NamedTuple):
    """``format`` by its header, None for one without, as raw has none; ``size`` in bytes as the guest would see it, None where
    that is not read here; ``problem``: why QEMU will not open the file, "" if nothing speaks against it."""

    format: str | None = None
    size: int | None = None
    problem: str = ""


def probe(path: str, pid: int | None) -> Image:
    """The image at *path* as process *pid* sees it. Nothing is known of one that cannot be seen from here."""
    root = f"/proc/{pid}/root"
    try:
        os.stat(root + "/")
        seen = root + path
    except OSError:
        seen = path
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


def _size(kind: str | None, head: bytes, length: int) -> int | None:
    """The virtual size: that of a raw file in whole sectors, that of a qcow2 as its header has it."""
    if kind is None:
        return -(-length // 512) * 512
    if kind == "qcow2" and len(head) >= 32:
        size: int = struct.unpack(">Q", head[24:32])[0]
        return size
    return None
