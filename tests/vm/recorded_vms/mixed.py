# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A VM with one of each: what every module needs to have something to do."""

from __future__ import annotations

import subprocess
from pathlib import Path

from . import DIRECTORY, RecordedVM


def images(directory: Path) -> None:
    for name in ("launch.qcow2", "extra.qcow2", "medium.qcow2"):
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", directory / name, "1M"], check=True)


RECORDED_VM = RecordedVM(
    words=[
        "-blockdev",
        f"qcow2,node-name=d0,file.driver=file,file.filename={DIRECTORY}/launch.qcow2",
        "-device",
        "scsi-hd,bus=scsi0.0,id=d0,drive=d0",
        "-device",
        "scsi-cd,bus=scsi0.0,id=cd0",
        "-netdev",
        "user,id=n0",
        "-device",
        "virtio-net-pci,bus=rp0,id=n0,netdev=n0",
        "-device",
        "virtio-balloon-pci,bus=rp1,id=balloon0",
        "-device",
        "virtio-serial-pci,bus=rp2,id=vser0",
    ],
    images=images,
    machine={"boot": False, "native": True, "ports": 6},
)
