# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two properties of disks. Launch arguments: a QEMU started with them has nothing to do for the same task, and its guest
reads the same bytes. Check mode: what a run refuses, check mode refuses, and what check mode plans is sent.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.vmops.qemu.tests.support.modules import Modules, unchanged
from ansible_collections.vmops.qemu.tests.support.values import ALL, NULL, SECRET
from ansible_collections.vmops.qemu.tests.vm.binaries import Binary
from ansible_collections.vmops.qemu.tests.vm.images import make_encrypted
from ansible_collections.vmops.qemu.tests.vm.machine import VM


class Bench:
    """A VM with one disk, and what a state of that disk needs."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.task: dict[str, Any] = {}
        self.module = "qmp_blockdev"

    def use(self, vm: VM) -> None:
        self.vm, self.modules = vm, Modules(vm)

    def path(self, name: str) -> str:
        return str(self.directory / name)

    def image(self, name: str, kind: str = "qcow2", backing: str | None = None, size: str = "16M") -> str:
        words = ["-b", backing, "-F", "qcow2"] if backing else []
        subprocess.run(
            ["qemu-img", "create", "-q", "-f", kind, *words, self.path(name), *([] if backing else [size])], check=True
        )
        return self.path(name)

    def have(self, **task: Any) -> None:
        self.task = {"id": "d1", **task}
        added = self.modules.blockdev(**self.task)
        assert added.get("changed"), added

    def write(self, pattern: int, offset: int) -> None:
        """Write through the device, as the guest does."""
        driver = self.vm.query("qom-get", path="/machine/peripheral/d1", property="type")
        inside = {"virtio-blk-pci": "/virtio-backend", "usb-storage": "/d1.0/legacy[0]"}.get(driver, "")
        for command in (f"write -P {pattern} {offset} 4096", "flush"):
            output = self.vm.query("human-monitor-command", command_line=f'qemu-io -d /machine/peripheral/d1{inside} "{command}"')
            assert output == "", output

    def job(self, **options: Any) -> None:
        done = self.modules.run("qmp_block_job", **options)
        assert done.get("changed"), done

    def snapshot(self, name: str) -> None:
        self.job(id=name, type="snapshot", disk="d1", file=self.path(name))

    def again(self) -> dict[str, Any]:
        return self.modules.run(self.module, **self.task)


def fresh(bench: Bench) -> None:
    bench.have(file=bench.image("a"), format="qcow2")


def raw_on_scsi(bench: Bench) -> None:
    bench.have(
        file=bench.image("a", "raw"),
        driver="scsi-hd",
        scsi_id=5,
        serial="a,b",
        cache={"direct": True},
        discard="unmap",
        detect_zeroes="unmap",
        properties={"product": "x"},
    )


def nvme(bench: Bench) -> None:
    bench.have(file=bench.image("a", "raw"), driver="nvme")


def usb(bench: Bench) -> None:
    added = bench.modules.run("qmp_device", id="xhci", driver="qemu-xhci", bus="rp3")
    assert added.get("changed"), added
    bench.have(file=bench.image("a", "raw"), driver="usb-storage")


def on_a_template(bench: Bench) -> None:
    bench.have(file=bench.image("own", backing=bench.image("template")), format="qcow2")


def read_only(bench: Bench) -> None:
    bench.have(file=bench.image("a"), format="qcow2", read_only=True)


def grown(bench: Bench) -> None:
    bench.have(file=bench.image("a"), format="qcow2")
    bench.task["size"] = "32M"
    assert bench.again()["changed"]


def limited(bench: Bench) -> None:
    bench.have(
        file=bench.image("a,b"),
        format="qcow2",
        limits={"iops": 100, "iops_max": 200, "iops_max_length": 3, "bps_rd": "1M", "iops_size": 8192},
    )


def limited_later(bench: Bench) -> None:
    bench.have(file=bench.image("a"), format="qcow2", driver="scsi-hd")
    assert bench.modules.blockdev(id="d1", limits={"bps_wr": "10M"})["changed"]


def snapshotted(bench: Bench) -> None:
    bench.have(file=bench.image("own", backing=bench.image("template")), format="qcow2")
    bench.write(1, 0)
    bench.snapshot("snap1")
    bench.write(2, 8192)


def twice_snapshotted_and_limited(bench: Bench) -> None:
    bench.have(file=bench.image("own"), format="qcow2", limits={"iops": 500})
    for number, name in enumerate(("snap1", "snap2")):
        bench.snapshot(name)
        bench.write(number + 2, 8192 * number)


def committed(bench: Bench) -> None:
    snapshotted(bench)
    bench.job(id="c1", type="commit", disk="d1")


def pivoted(bench: Bench) -> None:
    bench.have(file=bench.image("a"), format="qcow2")
    bench.write(4, 4096)
    target = {"id": "new", "file": bench.image("new"), "format": "qcow2", "attach": False}
    assert bench.modules.blockdev(**target)["changed"]
    bench.job(id="m1", type="mirror", disk="d1", target="new")
    bench.task["file"] = bench.path("new")


def encrypted(bench: Bench) -> None:
    path = str(make_encrypted(bench.directory / "luks", "luks", SECRET))
    bench.have(file=path, format="luks", passphrase=SECRET)


def recreated(bench: Bench) -> None:
    bench.have(file=bench.image("a"), format="qcow2", serial="one", limits={"iops": 7})
    bench.task.update(serial="two", recreate=True)
    assert bench.again()["changed"]


def kept_back(bench: Bench) -> None:
    bench.have(file=bench.image("a"), format="qcow2", attach=False)


def null(bench: Bench) -> None:
    bench.have(backend=NULL, queues=2, bootindex=4)


def changed_medium(bench: Bench) -> None:
    bench.have(file=bench.image("one", "raw"), driver="scsi-cd")
    bench.module, bench.task = "qmp_media", {"id": "d1", "file": bench.image("two", "raw")}
    assert bench.again()["changed"]


STATES = (
    fresh,
    raw_on_scsi,
    nvme,
    usb,
    on_a_template,
    read_only,
    grown,
    limited,
    limited_later,
    snapshotted,
    twice_snapshotted_and_limited,
    committed,
    pivoted,
    encrypted,
    recreated,
    kept_back,
    null,
    changed_medium,
)
LAUNCHED: dict[str, tuple[str, ...]] = {
    "-drive": ("-drive", "if=none,id=x,format=qcow2,file={a}", "-device", "scsi-hd,bus=scsi0.0,id=d1,drive=x"),
    "-drive of the same name": ("-drive", "if=none,id=d1,format=qcow2,file={a}", "-device", "scsi-hd,bus=scsi0.0,drive=d1"),
    "-drive with limits": (
        "-drive",
        "if=none,id=x,format=qcow2,file={a},throttling.iops-total=50",
        "-device",
        "virtio-blk-pci,bus=rp0,id=d1,drive=x,serial=s",
    ),
    "-blockdev": (
        "-blockdev",
        "file,node-name=p,filename={a}",
        "-blockdev",
        "qcow2,node-name=f,file=p",
        "-device",
        "virtio-blk-pci,bus=rp0,id=d1,drive=f",
    ),
}


def digest(vm: VM, directory: Path) -> dict[str, str]:
    """What is on the disk as its device has it, read by QEMU into a file."""
    node = next(
        one["inserted"]["node-name"]
        for one in vm.query("query-block")
        if re.search(r"(^|/)d1($|/)", f"{one.get('qdev')}/{one['device']}") and "inserted" in one
    )
    out = directory / "copy"
    out.unlink(missing_ok=True)
    size = next(one["image"]["virtual-size"] for one in vm.query("query-named-block-nodes") if one["node-name"] == node)
    subprocess.run(["qemu-img", "create", "-q", "-f", "raw", out, str(size)], check=True)
    vm.query("blockdev-add", driver="raw", node_name="copy", file={"driver": "file", "filename": str(out)})
    vm.query("blockdev-backup", job_id="copy", device=node, target="copy", sync="full", auto_dismiss=False)
    while vm.query("query-jobs")[0]["status"] != "concluded":
        pass
    (job,) = vm.query("query-jobs")
    assert "error" not in job, job
    vm.query("job-dismiss", id="copy")
    vm.query("blockdev-del", node_name="copy")
    return {
        "size": str(size),
        "sum": subprocess.run(["md5sum", out], capture_output=True, text=True, check=True).stdout.split()[0],
    }


def launch_words(result: dict[str, Any], directory: Path) -> tuple[str, ...]:
    """The launch arguments of a result, with a file for its secrets."""
    (directory / "secret").write_text(SECRET)
    return tuple(word.replace("FILE_WITH_THE_SECRET", str(directory / "secret")) for word in result["launch_args"])


def started_again(bench: Bench, make_vm: Callable[..., VM], binary: Binary, extra: tuple[str, ...]) -> None:
    """Start a new QEMU with what a second run prints, and compare."""
    same = bench.again()
    assert unchanged(same) and same["launch_args"], same
    disk = bench.modules.blockdev(id="d1").get("disk") or {}
    before = digest(bench.vm, bench.directory) if disk.get("attach") else None
    bench.vm.stop()
    vm = make_vm(binary=binary, boot=False, native=True, extra=(*extra, *launch_words(same, bench.directory)))
    after = Modules(vm).run(bench.module, **bench.task)
    assert unchanged(after) and after["commands"] == [], after
    now = Modules(vm).blockdev(id="d1").get("disk") or {}
    unlike = {"node", "at_launch"}
    assert {key: now[key] for key in now if key not in unlike} == {key: disk[key] for key in disk if key not in unlike}
    assert before is None or digest(vm, bench.directory) == before
    if "at_launch" in now and bench.module == "qmp_blockdev":
        gone = Modules(vm).blockdev(check=True, id="d1", state="absent", force=True)
        deleted = [one["arguments"]["node-name"] for one in gone["commands"] if one["execute"] == "blockdev-del"]
        assert sorted(deleted) == [name for name in vm.hardware()["nodes"] if not name.startswith("#")], gone


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_launch_args_of_a_second_run_give_the_next_vm_the_same_disk(
    binary: Binary, make_vm: Callable[..., VM], tmp_path: Path, state: Callable[[Bench], None]
) -> None:
    bench = Bench(tmp_path)
    bench.use(make_vm(binary=binary, boot=False, native=True))
    state(bench)
    extra = ("-device", "qemu-xhci,id=xhci,bus=rp3") if state is usb else ()
    started_again(bench, make_vm, binary, extra)


@pytest.mark.parametrize("launch", LAUNCHED)
@pytest.mark.parametrize("state", ["as it was", "snapshotted"])
def test_launch_args_of_a_disk_of_the_launch(
    binary: Binary, make_vm: Callable[..., VM], tmp_path: Path, launch: str, state: str
) -> None:
    bench = Bench(tmp_path)
    path = bench.image("a")
    bench.use(make_vm(binary=binary, boot=False, native=True, extra=tuple(word.format(a=path) for word in LAUNCHED[launch])))
    bench.task = {"id": "d1", "file": path, "format": "qcow2"}
    if state == "snapshotted":
        bench.snapshot("snap1")
    started_again(bench, make_vm, binary, ())


@dataclass(frozen=True)
class Value:
    """An option with a value at or beyond a boundary, and what else the task says."""

    option: str
    value: Any
    more: tuple[tuple[str, Any], ...] = ()


def boundaries() -> list[Value]:
    values = [Value("queues", one) for one in (0, -1, 1, 2, 1024, 1025, 65535, 65536, "2", "")]
    values += [Value("bootindex", one) for one in (-2, -1, 0, 1, 2**31 - 1, 2**31, "5")]
    values += [Value("serial", one) for one in ("", "x" * 20, "x" * 21, "é" * 10, "é" * 11, "a,b", "\uffff", "\ufdd0", " ", "1")]
    values += [
        Value("size", one)
        for one in ("0", "-1", "1", "511", "512", "16M", "15M", "1G", "8E", "9223372036854775807", "", "ten", "1.5K")
    ]
    values += [Value("id", one) for one in ("a" * 31, "a" * 32, "1a", "a b", "a/b", "é", "", "a.b-c_d")]
    values += [
        Value("file", one) for one in ("", "rel", "/nosuch", "/etc", "nbd://h/x", "/dev/null", "\ud800", "/x\uffff", "json:{}")
    ]
    values += [Value("iothread", one) for one in ("", "nosuch", "d1")]
    values += [Value("addr", one) for one in ("0", "1", "0.1", "20", "-1", "", "0x0", "x")]
    values += [Value("bus", one) for one in ("", "rp0", "nosuch", "pcie.0", "scsi0.0")]
    values += [
        Value(name, one, (("driver", "scsi-hd"),))
        for name in ("scsi_id", "lun")
        for one in (-1, 0, 7, 255, 256, 16383, 16384, "3")
    ]
    values += [
        Value("limits", one)
        for one in ({}, {"iops": 0}, {"iops": 1}, {"iops": -1}, {"bps": "1K", "bps_wr": "1K"}, {"iops_max": 1})
    ]
    values += [
        Value("driver", one) for one in ("", "nosuch", "scsi-hd", "scsi-cd", "nvme", "ide-hd", "virtio-net-pci", "pcie-root-port")
    ]
    values += [Value("disable_modern", one) for one in (True, False)]
    values += [Value("format", one) for one in ("", "qcow2", "nosuch", "luks", "vmdk", "raw")]
    values += [
        Value("aio", "native"),
        Value("aio", "native", (("cache", {"direct": True}),)),
        Value("read_only", True),
        Value("share_rw", True),
        Value("detect_zeroes", "unmap"),
        Value("romfile", ""),
        Value("romfile", "/nosuch"),
    ]
    values += [
        Value("properties", one)
        for one in (
            {"num-queues": 0},
            {"write-cache": "auto"},
            {"logical_block_size": 513},
            {"": 1},
            {"wwn": -1},
            {"queue-size": 3},
            {"serial": "x" * 21},
            {"iothread": "nosuch"},
        )
    ]
    return values


BOUNDARIES = boundaries()
SAMPLE = BOUNDARIES if ALL else BOUNDARIES[::4]
"""Every fourth value in make test; make torture tries all."""


def test_what_a_run_refuses_check_mode_refuses(binary: Binary, make_vm: Callable[..., VM], tmp_path: Path) -> None:
    vm = make_vm(binary=binary, boot=False, native=True)
    modules, before = Modules(vm), vm.hardware()
    path = tmp_path / "image"
    wrong = []
    for one in SAMPLE:
        path.write_bytes(b"")
        os.truncate(path, 16 << 20)
        task = {"id": "d1", "file": str(path), **dict(one.more), one.option: one.value}
        checked = modules.blockdev(check=True, **task)
        result = modules.blockdev(**task)
        if bool(checked.get("failed")) != bool(result.get("failed")):
            wrong.append((one, checked.get("msg"), result.get("msg")))
        elif result.get("failed"):
            if checked.get("error_code") != result.get("error_code"):
                wrong.append((one, checked["msg"], result["msg"]))
        elif checked["commands"] != result["commands"]:
            wrong.append((one, checked["commands"], result["commands"]))
        if not result.get("failed"):
            gone = modules.blockdev(id=task["id"], state="absent")
            assert gone.get("changed"), (one, gone)
        assert vm.hardware() == before, one
    assert not wrong, "\n".join(json.dumps([str(part) for part in one]) for one in wrong)
