# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A VM with disks of all sorts: of -drive and -blockdev, with snapshots, mirrored, exported, or left without a device."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

from . import DIRECTORY, Act, RecordedVM

_BACKING = {"plain": "template", "launch": "template", "drive": "template", "o1": "shared", "o2": "shared"}
_ALONE = ("template", "shared", "named", "anon", "byblockdev")
_HOT = ("usb1", "snapped", "pivoted", "target1", "mirroring", "target2", "exported", "kept", "foreign")
_SCSI = "scsi-hd,bus=scsi0.0"


def images(directory: Path) -> None:
    for name in (*_ALONE, *(f"hot-{name}" for name in _HOT)):
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", directory / name, "1M"], check=True)
    for name, below in _BACKING.items():
        backing = ["-b", str(directory / below), "-F", "qcow2"]
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *backing, directory / name], check=True)


def _plug(name: str, driver: str = "scsi-hd", node: str | None = None, attach: bool = True) -> list[tuple[str, dict[str, Any]]]:
    node = node or name
    file = {"driver": "file", "filename": f"{DIRECTORY}/hot-{name}"}
    slot = {} if driver == "usb-storage" else {"bus": "scsi0.0"}
    return [
        ("blockdev-add", {"driver": "qcow2", "node-name": node, "file": file}),
        *([("device_add", {"driver": driver, "id": name, "drive": node, **slot})] if attach else []),
    ]


def _snapshot(node: str, name: str) -> tuple[str, dict[str, Any]]:
    file = {"snapshot-file": f"{DIRECTORY}/{name}", "format": "qcow2"}
    return "blockdev-snapshot-sync", {"node-name": node, "snapshot-node-name": name, **file}


def _mirror(job: str, node: str, target: str) -> tuple[str, dict[str, Any]]:
    return "blockdev-mirror", {"job-id": job, "device": node, "target": target, "sync": "full"}


def then(act: Act) -> None:
    """Pivot to the target of one mirror, keep the other, and take a snapshot of a disk whose node QEMU named itself."""
    (node,) = (one["inserted"]["node-name"] for one in act("query-block", {}) if one["device"] == "drv4")
    act(*_snapshot(node, "snap4"))
    act(*_mirror("m1", "pivoted", "target1"))
    _wait_jobs(act, ["ready"])
    act("job-complete", {"id": "m1"})
    _wait_jobs(act, [])
    act(*_mirror("m2", "mirroring", "target2"))
    _wait_jobs(act, ["ready"])


def _wait_jobs(act: Act, states: list[str]) -> None:
    while [job["status"] for job in act("query-jobs", {})] != states:
        time.sleep(0.01)


RECORDED_VM = RecordedVM(
    words=[
        "-drive",
        f"if=none,id=drv1,format=qcow2,file={DIRECTORY}/plain",
        "-device",
        f"{_SCSI},id=plain,drive=drv1",
        "-drive",
        f"if=none,id=drv2,node-name=foo,format=qcow2,file={DIRECTORY}/named",
        "-device",
        f"{_SCSI},id=named,drive=drv2",
        "-drive",
        f"if=none,id=anon,format=qcow2,file={DIRECTORY}/anon",
        "-device",
        f"{_SCSI},drive=anon",
        "-drive",
        "if=none,id=drv3,driver=null-co,size=1M",
        "-device",
        f"{_SCSI},id=bydrive,drive=drv3",
        "-drive",
        "if=none,id=lone,driver=null-co,size=1M",
        "-blockdev",
        f"file,node-name=proto,filename={DIRECTORY}/byblockdev",
        "-blockdev",
        "qcow2,node-name=fmt,file=proto",
        "-device",
        f"{_SCSI},id=byblockdev,drive=fmt",
        "-blockdev",
        f"file,node-name=bp,filename={DIRECTORY}/shared",
        "-blockdev",
        "qcow2,node-name=base,file=bp",
        "-blockdev",
        f"qcow2,node-name=launch,file.driver=file,file.filename={DIRECTORY}/launch",
        "-device",
        f"{_SCSI},id=launchsnapped,drive=launch",
        "-drive",
        f"if=none,id=drv4,format=qcow2,file={DIRECTORY}/drive",
        "-device",
        f"{_SCSI},id=drivesnapped,drive=drv4",
        "-device",
        "scsi-cd,bus=scsi0.0,id=empty",
        "-device",
        "qemu-xhci,id=xhci,bus=rp0",
        "-blockdev",
        f"qcow2,node-name=ov1,file.driver=file,file.filename={DIRECTORY}/o1,backing=base",
        "-device",
        f"{_SCSI},id=shared1,drive=ov1",
        "-blockdev",
        f"qcow2,node-name=ov2,file.driver=file,file.filename={DIRECTORY}/o2,backing=base",
        "-device",
        f"{_SCSI},id=shared2,drive=ov2",
    ],
    images=images,
    acts=[
        *_plug("usb1", "usb-storage"),
        *_plug("snapped"),
        _snapshot("snapped", "snap1"),
        _snapshot("snap1", "snap2"),
        _snapshot("launch", "snap3"),
        *_plug("pivoted"),
        *_plug("target1", attach=False),
        *_plug("mirroring"),
        *_plug("target2", attach=False),
        *_plug("exported"),
        ("nbd-server-start", {"addr": {"type": "unix", "data": {"path": f"{DIRECTORY}/nbd"}}}),
        ("block-export-add", {"type": "nbd", "id": "e1", "node-name": "exported"}),
        *_plug("kept", attach=False),
        *_plug("foreign", node="somebody-fmt"),
    ],
    then=then,
)
