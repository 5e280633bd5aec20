# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images and launch arguments of disks."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Tuple


def overlay(path: Path, backing: str, kind: str = "qcow2") -> str:
    """Create a qcow2 image whose backing file is *backing*, an image of this *kind*. Returns its path."""
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", backing, "-F", kind, path], check=True)
    return str(path)


def blockdev(*options: str, device: str = "scsi-hd,bus=scsi0.0,id=d1") -> Tuple[str, ...]:
    """Launch arguments: a node for each of *options*, and a *device* on the last of them."""
    nodes = [word for one in options for word in ("-blockdev", one)]
    name = next(word for word in options[-1].split(",") if word.startswith("node-name=")).partition("=")[2]
    return (*nodes, "-device", f"{device},drive={name}")


def named_protocol(image: str, device: str = "scsi-hd,bus=scsi0.0,id=d1") -> Tuple[str, ...]:
    """Launch arguments of a disk whose protocol node p1 has a name of its own, below the format node f1."""
    return blockdev(f"file,node-name=p1,filename={image}", "raw,node-name=f1,file=p1", device=device)
