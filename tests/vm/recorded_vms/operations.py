# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A VM for operations: a disk with a snapshot, a mirror that is ready, nodes to copy to, a secret, a USB hub and a balloon."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from . import DIRECTORY, Act, RecordedVM


def images(directory: Path) -> None:
    for name in ("template", "d1", "target1", "target2", "small", "fixed"):
        size = "512K" if name == "small" else "1M"
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", directory / name, size], check=True)
    backing = ["-b", str(directory / "template"), "-F", "qcow2"]
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *backing, directory / "d0"], check=True)


def then(act: Act) -> None:
    """Take a snapshot of d0, and start a mirror of d1."""
    file = {"snapshot-file": f"{DIRECTORY}/snap1", "format": "qcow2"}
    act("blockdev-snapshot-sync", {"node-name": "d0", "snapshot-node-name": "snap1", **file})
    act("blockdev-mirror", {"job-id": "m1", "device": "d1", "target": "target2", "sync": "full", "auto-dismiss": False})
    while act("query-jobs", {})[0]["status"] != "ready":
        time.sleep(0.01)


def _node(name: str, *more: str) -> list[str]:
    return ["-blockdev", ",".join([f"qcow2,node-name={name},file.driver=file,file.filename={DIRECTORY}/{name}", *more])]


RECORDED_VM = RecordedVM(
    words=[
        *(word for name in ("d0", "d1", "target1", "target2", "small") for word in _node(name)),
        *_node("fixed", "read-only=on"),
        "-device",
        "scsi-hd,bus=scsi0.0,id=d0,drive=d0",
        "-device",
        "scsi-hd,bus=scsi0.0,id=d1,drive=d1",
        "-object",
        "iothread,id=io1",
        "-object",
        "secret,id=sec0,data=hush",
        "-chardev",
        "null,id=c0",
        "-device",
        "virtio-balloon-pci,bus=rp0,id=balloon0",
        "-device",
        "qemu-xhci,bus=rp1,id=usb0",
        "-device",
        "usb-hub,bus=usb0.0,port=1,id=hub0",
        "-device",
        "usb-kbd,bus=usb0.0,port=1.1,id=kbd0",
        "-device",
        "usb-serial,bus=usb0.0,port=2,id=serial0,chardev=c0",
    ],
    images=images,
    then=then,
)
