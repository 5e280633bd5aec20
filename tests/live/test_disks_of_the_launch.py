# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks whose nodes have other names than their ids: which device, which node, and what goes with it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.vmops.qemu.tests.support.disks import blockdev, named_protocol, overlay
from ansible_collections.vmops.qemu.tests.support.modules import Modules, refused, unchanged
from ansible_collections.vmops.qemu.tests.support.values import NULL
from ansible_collections.vmops.qemu.tests.support.waiting import until
from ansible_collections.vmops.qemu.tests.vm.binaries import Binary
from ansible_collections.vmops.qemu.tests.vm.machine import VM

Make = Callable[..., VM]


def absent(vm: VM, name: str, **options: Any) -> dict[str, Any]:
    return Modules(vm).blockdev(id=name, state="absent", force=True, **options)


def nothing_left(vm: VM) -> None:
    """QEMU frees the nodes of a -drive a moment after the device."""
    until(lambda: not vm.hardware()["nodes"])


def test_a_drive_whose_node_has_a_name_is_removed(binary: Binary, make_vm: Make, image: Callable[..., str]) -> None:
    vm = make_vm(
        binary=binary,
        boot=False,
        extra=(
            "-drive",
            f"if=none,id=x,node-name=foo,format=raw,file={image('a')}",
            "-device",
            "scsi-hd,bus=scsi0.0,id=d1,drive=x",
        ),
    )
    assert unchanged(Modules(vm).blockdev(id="d1", file=str(vm.directory.parent / "a")))
    removed = absent(vm, "d1")
    assert removed.get("changed") and removed["commands"][0] == {"execute": "device_del", "arguments": {"id": "d1"}}, removed
    assert vm.hardware()["nodes"] == []
    assert unchanged(absent(vm, "d1"))


def test_a_protocol_node_with_a_name_goes_with_its_disk(binary: Binary, make_vm: Make, image: Callable[..., str]) -> None:
    vm = make_vm(binary=binary, boot=False, extra=named_protocol(image("a")))
    removed = absent(vm, "d1")
    assert [one["arguments"] for one in removed["commands"]] == [{"id": "d1"}, {"node-name": "f1"}, {"node-name": "p1"}], removed
    assert vm.hardware()["nodes"] == []


def test_a_backing_node_that_two_disks_share_goes_with_the_last(
    binary: Binary, make_vm: Make, image: Callable[..., str], tmp_path: Path
) -> None:
    base = image("base", "16M", "qcow2")
    extra = ["-blockdev", f"file,node-name=bp,filename={base}", "-blockdev", "qcow2,node-name=base,file=bp"]
    for number in (1, 2):
        path = overlay(tmp_path / f"o{number}", base)
        extra += [
            "-blockdev",
            f"qcow2,node-name=ov{number},file.driver=file,file.filename={path},backing=base",
            "-device",
            f"scsi-hd,bus=scsi0.0,id=s{number},drive=ov{number}",
        ]
    vm = make_vm(binary=binary, boot=False, extra=tuple(extra))
    assert [one["arguments"] for one in absent(vm, "s1")["commands"]] == [{"id": "s1"}, {"node-name": "ov1"}]
    assert {"base", "bp", "ov2"} <= set(vm.hardware()["nodes"])
    last = absent(vm, "s2")
    assert [one["arguments"] for one in last["commands"]][1:] == [{"node-name": name} for name in ("ov2", "base", "bp")], last
    assert vm.hardware()["nodes"] == []


def test_a_device_without_an_id_is_found_by_its_drive(binary: Binary, make_vm: Make, image: Callable[..., str]) -> None:
    path = image("a")
    vm = make_vm(
        binary=binary,
        boot=False,
        extra=(
            "-drive",
            f"if=none,id=data1,format=raw,file={path}",
            "-device",
            "scsi-hd,bus=scsi0.0,drive=data1",
            "-blockdev",
            json.dumps({"node-name": "data2", **NULL}),
            "-device",
            "scsi-hd,bus=scsi0.0,drive=data2",
        ),
    )
    modules = Modules(vm)
    assert unchanged(modules.blockdev(id="data1", file=path))
    for name in ("data1", "data2"):
        planned = modules.blockdev(check=True, id=name, state="absent", force=True)
        removed = absent(vm, name)
        assert removed.get("changed") and removed["commands"] == planned["commands"], removed
        assert unchanged(absent(vm, name))
    nothing_left(vm)


def test_a_disk_cannot_have_the_name_of_a_drive(binary: Binary, make_vm: Make) -> None:
    vm = make_vm(
        binary=binary,
        boot=False,
        extra=(
            "-drive",
            "if=none,id=data1,driver=null-co,size=1M",
            "-device",
            "scsi-hd,bus=scsi0.0,id=d1,drive=data1",
            "-drive",
            "if=none,id=lone,driver=null-co,size=1M",
        ),
    )
    for options in ({"backend": NULL}, {"state": "absent"}):
        for check in (True, False):
            refused(Modules(vm).blockdev(check=check, id="data1", **options), "conflict", "d1")
            refused(Modules(vm).blockdev(check=check, id="lone", **options), "unsupported", "drive_del lone")


def test_a_usb_disk_comes_and_goes(binary: Binary, make_vm: Make, image: Callable[..., str]) -> None:
    vm = make_vm(binary=binary, boot=False, extra=("-device", "qemu-xhci,id=xhci,bus=rp0"))
    modules, before = Modules(vm), vm.hardware()
    disk = {"id": "u1", "file": image("a"), "driver": "usb-storage"}
    assert modules.blockdev(**disk)["changed"]
    assert unchanged(modules.blockdev(**disk))
    assert modules.blockdev(id="u1", limits={"iops": 100})["disk"]["limits"] == {"iops": 100}
    assert modules.blockdev(id="u1", state="absent").get("changed")
    assert vm.hardware() == before


def test_what_the_guest_releases_later_takes_its_nodes_with_it(binary: Binary, make_vm: Make, image: Callable[..., str]) -> None:
    """A device without a guest that could release it is gone at the next reset, and its nodes are known by the launch."""
    launch = named_protocol(image("a"), "virtio-blk-pci,bus=rp0,addr=0,id=d1")
    vm = make_vm(binary=binary, boot=False, paused=False, extra=launch)
    pending = absent(vm, "d1", timeout=1)
    assert pending["error_code"] == "unplug_pending", pending
    vm.query("system_reset")
    until(lambda: "d1" not in vm.hardware()["devices"])
    planned = Modules(vm).blockdev(check=True, id="d1", state="absent")
    finished = absent(vm, "d1")
    assert finished.get("changed") and finished["commands"] == planned["commands"], finished
    assert vm.hardware()["nodes"] == []
    assert unchanged(absent(vm, "d1"))


def test_a_later_node_of_the_same_name_is_somebody_elses(binary: Binary, make_vm: Make, image: Callable[..., str]) -> None:
    launch = blockdev(f"raw,node-name=f1,file.driver=file,file.filename={image('a')}")
    vm = make_vm(binary=binary, boot=False, extra=launch)
    assert absent(vm, "d1")["changed"]
    assert Modules(vm).blockdev(id="f1", file=image("b"), attach=False)["changed"]
    assert unchanged(absent(vm, "d1"))
    assert "f1" in vm.hardware()["nodes"]


@pytest.mark.parametrize("named", [True, False])
def test_a_disk_of_the_drive_option_is_not_detached_from_its_work(
    binary: Binary, make_vm: Make, image: Callable[..., str], named: bool
) -> None:
    name = "node-name=foo," if named else ""
    vm = make_vm(
        binary=binary,
        boot=False,
        native=True,
        extra=(
            "-blockdev",
            f"raw,node-name=target,file.driver=file,file.filename={image('t')}",
            "-drive",
            f"if=none,id=drive1,{name}format=raw,file={image('b')}",
            "-device",
            "scsi-hd,bus=scsi0.0,drive=drive1,id=d1",
        ),
    )
    node = next(one["inserted"]["node-name"] for one in vm.query("query-block") if one["device"] == "drive1")
    vm.query("blockdev-mirror", job_id="work1", device=node, target="target", sync="full")
    before = vm.hardware()
    for check in (True, False):
        refused(Modules(vm).blockdev(check=check, id="d1", attach=False, force=True), "conflict", "work1")
    assert vm.hardware() == before and vm.query("query-jobs")[0]["id"] == "work1"
    vm.query("job-cancel", id="work1")
    until(lambda: not vm.query("query-jobs"))
    refused(Modules(vm).blockdev(id="d1", attach=False, force=True), "unsupported", "-drive", "absent")


def test_a_disk_with_a_job_stays_attached(bare_vm: VM, image: Callable[..., str]) -> None:
    modules = Modules(bare_vm)
    for name in ("d1", "t1"):
        assert modules.blockdev(id=name, file=image(name), attach=name == "d1")["changed"]
    bare_vm.query("blockdev-mirror", job_id="work1", device="d1", target="t1", sync="full")
    for check in (True, False):
        refused(modules.blockdev(check=check, id="d1", attach=False), "conflict", "work1")
        refused(modules.blockdev(check=check, id="d1", file=str(Path(image("x"))), recreate=True), "conflict", "work1")
        refused(modules.blockdev(check=check, id="d1", size="1G"), "conflict", "work1")


@pytest.mark.parametrize(
    "cd",
    [
        "-drive if=none,id=cd0,media=cdrom -device scsi-cd,bus=scsi0.0,id=cd,drive=cd0,bootindex=0",
        "-device scsi-cd,bus=scsi0.0,id=cd,bootindex=0",
        "-device virtio-blk-pci,bus=rp3,id=cd,drive=c,bootindex=9",
    ],
)
def test_a_drive_that_does_not_boot_does_not_shield_the_disk_behind_it(make_vm: Make, cd: str) -> None:
    nodes = [word for name in ("a", "b", "c") for word in ("-blockdev", json.dumps({"node-name": name, **NULL}))]
    vm = make_vm(
        boot=False,
        extra=(
            *nodes,
            *cd.split(),
            "-device",
            "virtio-blk-pci,id=root,drive=a,bus=rp0,bootindex=1",
            "-device",
            "virtio-blk-pci,id=data,drive=b,bus=rp1",
        ),
    )
    refused(Modules(vm).run("qmp_blockdev", True, id="root", state="absent"), "unsupported", "boots from")
    assert Modules(vm).run("qmp_blockdev", True, id="data", state="absent").get("changed")


# -- commits and mirrors


@pytest.mark.parametrize(
    "launch",
    [
        [
            "-blockdev",
            "qcow2,node-name=foo,file.driver=file,file.filename={own}",
            "-device",
            "virtio-blk-pci,bus=rp0,id=d1,drive=foo",
        ],
        ["-drive", "if=none,id=x,format=qcow2,file={own}", "-device", "virtio-blk-pci,bus=rp0,id=d1,drive=x"],
        ["-drive", "if=none,id=x,node-name=foo,format=qcow2,file={own}", "-device", "virtio-blk-pci,bus=rp0,id=d1,drive=x"],
    ],
    ids=["blockdev", "drive", "drive with node-name"],
)
def test_a_commit_ends_at_the_image_of_the_launch(binary: Binary, make_vm: Make, tmp_path: Path, launch: list[str]) -> None:
    template = tmp_path / "template"
    template.write_bytes(b"template\n".ljust(1 << 20, b"\0"))
    own = overlay(tmp_path / "own", str(template), "raw")
    vm = make_vm(binary=binary, boot=False, extra=tuple(word.format(own=own) for word in launch))
    modules = Modules(vm)
    for name in ("snap1", "snap2"):
        assert modules.run("qmp_block_job", id=name, type="snapshot", disk="d1", file=str(tmp_path / name)).get("changed")
    path = "/machine/peripheral/d1/virtio-backend"
    assert vm.query("human-monitor-command", command_line=f'qemu-io -d {path} "write -P 7 4096 512"') == ""
    planned = modules.run("qmp_block_job", True, id="c1", type="commit", disk="d1")
    done = modules.run("qmp_block_job", id="c1", type="commit", disk="d1")
    assert done.get("changed") and done["commands"] == planned["commands"], done
    assert unchanged(modules.run("qmp_block_job", id="c1", type="commit", disk="d1"))
    assert unchanged(modules.blockdev(id="d1", file=own, format="qcow2"))
    assert template.read_bytes() == b"template\n".ljust(1 << 20, b"\0")
    vm.stop()
    read = subprocess.run(["qemu-io", "-r", "-c", "read -P 7 4096 512", own], capture_output=True, text=True, check=True).stdout
    assert "verification failed" not in read, read


def test_a_commit_to_nobody_knows_what_must_be_named(
    binary: Binary, make_vm: Make, tmp_path: Path, image: Callable[..., str]
) -> None:
    """A disk that somebody plugged with names of their own, under a snapshot: nothing reports which image was active first."""
    vm = make_vm(binary=binary, boot=False)
    template = image("template", "1M", "qcow2")
    own = overlay(tmp_path / "own", template)
    vm.query("blockdev-add", driver="qcow2", node_name="foo", file={"driver": "file", "filename": own})
    vm.query("device_add", driver="virtio-blk-pci", id="d1", drive="foo", bus="rp0")
    modules = Modules(vm)
    assert modules.run("qmp_block_job", id="snap1", type="snapshot", disk="d1", file=str(tmp_path / "snap1")).get("changed")
    before = Path(template).read_bytes()
    for check in (True, False):
        refused(modules.run("qmp_block_job", check, id="c1", type="commit", disk="d1"), "invalid_option", "base", "foo")
        refused(modules.blockdev(check=check, id="d1", file=image("other"), recreate=True), "conflict", "snap1")
    assert modules.run("qmp_block_job", id="c1", type="commit", disk="d1", base="foo").get("changed")
    assert Path(template).read_bytes() == before


@pytest.mark.parametrize("sync", ["none", "incremental", "bitmap", "top"])
def test_a_target_that_is_not_a_full_copy_does_not_replace_the_disk(
    bare_vm: VM, image: Callable[..., str], tmp_path: Path, sync: str
) -> None:
    modules = Modules(bare_vm)
    base = image("base", "16M", "qcow2")
    assert modules.blockdev(id="d1", file=overlay(tmp_path / "own", base), format="qcow2")["changed"]
    assert modules.blockdev(id="t1", file=image("target", "16M"), attach=False)["changed"]
    before = bare_vm.hardware()
    for check in (True, False):
        for state in ({}, {"state": "completed"}):
            refused(
                modules.run("qmp_block_job", check, id="m1", type="mirror", disk="d1", target="t1", sync=sync, **state),
                "invalid_option",
                "sync",
                "full",
            )
    assert bare_vm.hardware() == before and bare_vm.query("query-jobs") == []


def test_a_mirror_that_runs_without_a_copy_is_not_completed(bare_vm: VM, image: Callable[..., str]) -> None:
    modules = Modules(bare_vm)
    path = Path(image("d1", "16M"))
    with path.open("r+b") as file:
        file.write(os.urandom(4 << 20))
    assert modules.blockdev(id="d1", file=str(path))["changed"]
    assert modules.blockdev(id="t1", file=image("t1", "16M"), attach=False)["changed"]
    started = modules.run("qmp_block_job", id="m1", type="mirror", disk="d1", target="t1", sync="none", state="ready")
    assert started.get("changed"), started
    tasks: list[dict[str, Any]] = [{}, {"type": "mirror", "disk": "d1", "target": "t1"}]
    for options in tasks:
        refused(modules.run("qmp_block_job", id="m1", **options), "conflict", "m1", "cancelled")
    assert modules.run("qmp_block_job", id="m1", state="cancelled").get("changed")
    done = modules.run("qmp_block_job", id="m1", type="mirror", disk="d1", target="t1")
    assert done.get("changed"), done


def test_a_mirror_of_the_topmost_image_to_an_overlay_of_the_same_base(
    bare_vm: VM, image: Callable[..., str], tmp_path: Path
) -> None:
    modules = Modules(bare_vm)
    base = image("base", "16M", "qcow2")
    assert modules.blockdev(id="d1", file=overlay(tmp_path / "own", base), format="qcow2")["changed"]
    assert modules.blockdev(id="t1", file=overlay(tmp_path / "new", base), format="qcow2", attach=False)["changed"]
    assert modules.run("qmp_block_job", id="m1", type="mirror", disk="d1", target="t1", sync="top").get("changed")


def test_a_target_in_use_is_not_overwritten(bare_vm: VM, image: Callable[..., str]) -> None:
    modules = Modules(bare_vm)
    for name in ("d1", "d2"):
        assert modules.blockdev(id=name, file=image(name))["changed"]
    for kind in ("mirror", "backup"):
        for check in (True, False):
            refused(modules.run("qmp_block_job", check, id="j1", type=kind, disk="d1", target="d2"), "conflict", "d2")
    refused(modules.run("qmp_block_job", True, id="j1", type="backup", disk="d1", target="d1"), "invalid_option", "d1")


def test_another_export_of_a_server_is_another_disk(bare_vm: VM, image: Callable[..., str], tmp_path: Path) -> None:
    path, socket = image("served", "1M"), tmp_path / "nbd"
    words = ["qemu-nbd", "--format=raw", "--persistent", "--shared=4", "--socket", str(socket), "--export-name=vol1"]
    server = subprocess.Popen([*words, "--pid-file", str(tmp_path / "pid"), path])
    try:
        while not (tmp_path / "pid").exists():
            assert server.poll() is None
        backend = {"driver": "nbd", "server": {"type": "unix", "path": str(socket)}, "export": "vol1"}
        modules = Modules(bare_vm)
        assert modules.blockdev(id="d1", backend=backend)["changed"]
        assert unchanged(modules.blockdev(id="d1", backend=backend))
        for other in ({"export": "vol2"}, {"export": ""}, {"server": {"type": "unix", "path": "/other"}}):
            refused(
                modules.blockdev(id="d1", backend={**backend, **other}),
                "conflict",
                "backend.",
                "vol1" if "export" in other else "/other",
            )
    finally:
        server.kill()
        server.wait()
