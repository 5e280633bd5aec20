# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What qmp_blockdev returns for a disk, and qmp_media for a medium, given to it again as options, changes nothing."""

from __future__ import annotations

import json
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from ansible_collections.vmops.qemu.tests.support.modules import Modules, refused, unchanged
from ansible_collections.vmops.qemu.tests.support.round_trip import returned_options
from ansible_collections.vmops.qemu.tests.support.values import NULL
from ansible_collections.vmops.qemu.tests.vm.binaries import Binary
from ansible_collections.vmops.qemu.tests.vm.images import make_encrypted
from ansible_collections.vmops.qemu.tests.vm.machine import VM

SECRET = "correct-horse-battery-staple"
NOT_COMPARED = ("discard", "aio", "passphrase")
PLUGGED: dict[str, dict[str, Any]] = {
    "virtio": {},
    "all properties": {
        "queues": 3,
        "share_rw": True,
        "bootindex": 7,
        "iothread": "io1",
        "serial": "S 1",
        "cache": {"direct": True, "no_flush": True},
        "discard": "unmap",
        "detect_zeroes": "unmap",
        "aio": "native",
    },
    "legacy": {"bus": "br", "addr": "0x1e", "disable_modern": True},
    "SCSI": {"driver": "scsi-hd", "scsi_id": 5, "lun": 2, "serial": "x", "limits": {"iops": 100, "iops_max": 200}},
    "CD": {"driver": "scsi-cd"},
    "NVMe": {"driver": "nvme"},
    "USB": {"driver": "usb-storage"},
    "limits": {"limits": {"bps_rd": "1M", "bps_wr": 2 << 20, "iops_size": 4096, "iops": 9}},
    "read-only": {"read_only": True},
    "a node alone": {"attach": False, "detect_zeroes": "on"},
    "a grown disk": {"size": "32M"},
}


def image(path: Path, kind: str = "qcow2", backing: Path | None = None) -> str:
    words: list[str | Path] = [path, "16M"] if backing is None else ["-b", backing, "-F", "qcow2", path]
    subprocess.run(["qemu-img", "create", "-q", "-f", kind, *words], check=True)
    return str(path)


def fed_back(vm: VM, returned: dict[str, Any], module: str = "qmp_blockdev", key: str = "disk") -> dict[str, Any]:
    """The options in what was returned; a task with them changes nothing and compares all of them."""
    options = returned_options(module, returned)
    for check in (True, False):
        again = Modules(vm).run(module, check, **options)
        assert unchanged(again) and again["unverified"] == [] and again[key] == returned, (options, again)
    return options


def disk(vm: VM, name: str = "d1") -> dict[str, Any]:
    (found,) = (one for one in Modules(vm).info(gather_subset=["disks"])["disks"] if one["id"] == name)
    return dict(found)


@pytest.mark.parametrize("sort", PLUGGED)
def test_a_disk_that_was_added_can_be_fed_back(binary: Binary, make_vm: Callable[..., VM], tmp_path: Path, sort: str) -> None:
    extra = "-object iothread,id=io1 -device qemu-xhci,id=xhci -device pcie-pci-bridge,id=br"
    vm = make_vm(binary=binary, boot=False, native=True, extra=tuple(extra.split()))
    modules = Modules(vm)
    task = {"id": "d1", "file": image(tmp_path / "a"), "format": "qcow2", **PLUGGED[sort]}
    planned = modules.blockdev(check=True, **task)
    added = modules.blockdev(**task)
    assert added.get("changed"), added
    assert planned["disk"] == {name: added["disk"][name] for name in planned["disk"]}
    options = fed_back(vm, added["disk"])
    expected = {
        name: value for name, value in task.items() if name not in (*NOT_COMPARED, "properties", "size", "limits", "addr")
    }
    assert expected == {name: options.get(name) for name in expected}
    if added["disk"]["attach"]:
        assert disk(vm) == added["disk"]


def test_a_disk_with_a_backend_can_be_fed_back(bare_vm: VM, tmp_path: Path) -> None:
    modules = Modules(bare_vm)
    with nbd_server(tmp_path) as socket:
        served: dict[str, Any] = {"driver": "nbd", "server": {"type": "unix", "path": socket}, "export": "vol1"}
        throttled: dict[str, Any] = {
            "driver": "throttle",
            "throttle-group": "tg",
            "file": {"driver": "file", "filename": image(tmp_path / "t")},
        }
        assert modules.run("qmp_object", id="tg", qom_type="throttle-group")["changed"]
        for number, backend in enumerate((served, NULL, throttled)):
            added = modules.blockdev(id=f"d{number}", backend=backend)
            assert added.get("changed"), added
            assert "file" not in added["disk"]
            options = fed_back(bare_vm, added["disk"])
            assert options["backend"]["driver"] == backend["driver"]
        for name in ("d0", "d1", "d2"):
            assert modules.blockdev(id=name, state="absent")["changed"]


@contextmanager
def nbd_server(directory: Path) -> Iterator[str]:
    socket, started = directory / "nbd", directory / "pid"
    words = ["qemu-nbd", "--format=raw", "--persistent", "--shared=4", "--socket", str(socket), "--export-name=vol1"]
    server = subprocess.Popen([*words, "--pid-file", str(started), image(directory / "served", "raw")])
    try:
        while not started.exists():
            assert server.poll() is None
        yield str(socket)
    finally:
        server.kill()
        server.wait()


def test_an_encrypted_disk_can_be_fed_back(bare_vm: VM, tmp_path: Path) -> None:
    path = str(make_encrypted(tmp_path / "luks", "luks", SECRET))
    added = Modules(bare_vm).blockdev(id="d1", file=path, format="luks", passphrase=SECRET)
    assert added.get("changed"), added
    assert "passphrase" not in fed_back(bare_vm, added["disk"])


def test_a_disk_below_snapshots_can_be_fed_back(bare_vm: VM, tmp_path: Path) -> None:
    """Its file is the one that the disk was added with; the files above it are listed."""
    modules = Modules(bare_vm)
    template = tmp_path / "template"
    image(template)
    task = {"id": "d1", "file": image(tmp_path / "own", backing=template), "format": "qcow2", "cache": {"direct": True}}
    assert modules.blockdev(**task)["changed"]
    for name in ("s1", "s2"):
        taken = modules.run("qmp_block_job", id=name, type="snapshot", disk="d1", file=str(tmp_path / name))
        assert taken.get("changed"), taken
    returned = disk(bare_vm)
    options = fed_back(bare_vm, returned)
    assert (options["file"], options["format"], options["read_only"]) == (task["file"], "qcow2", False)
    assert returned["snapshots"] == [str(tmp_path / "s2"), str(tmp_path / "s1")] and returned["node"] == "s2"


def test_a_disk_that_a_mirror_has_moved_can_be_fed_back(bare_vm: VM, tmp_path: Path) -> None:
    modules = Modules(bare_vm)
    for name, attach in (("d1", True), ("new", False)):
        assert modules.blockdev(id=name, file=image(tmp_path / name), format="qcow2", attach=attach)["changed"]
    assert modules.run("qmp_block_job", id="m1", type="mirror", disk="d1", target="new").get("changed")
    assert fed_back(bare_vm, disk(bare_vm))["file"] == str(tmp_path / "new")


def test_disks_of_the_launch_can_be_fed_back(binary: Binary, make_vm: Callable[..., VM], tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET)
    luks = make_encrypted(tmp_path / "luks", "luks", SECRET)
    paths = {name: image(tmp_path / name) for name in ("a", "b", "c", "d", "e", "f")}
    extra = f"""
        -drive if=none,id=x1,format=qcow2,file={paths["a"]} -device scsi-hd,bus=scsi0.0,id=d1,drive=x1
        -drive if=none,id=x2,format=qcow2,file={paths["b"]},throttling.iops-total=50,cache=none,discard=unmap
        -device virtio-blk-pci,bus=rp0,id=d2,drive=x2,serial=s,share-rw=on
        -blockdev file,node-name=p3,filename={paths["c"]} -blockdev qcow2,node-name=f3,file=p3
        -device nvme,bus=rp1,id=d3,drive=f3,serial=n
        -device scsi-cd,bus=scsi0.0,id=d4
        -drive if=none,id=x5,format=raw,media=cdrom,file={paths["d"]} -device scsi-cd,bus=scsi0.0,id=d5,drive=x5
        -drive if=none,id=x6,format=qcow2,file={paths["e"]} -device ide-hd,bus=ide.0,id=d6,drive=x6,bootindex=1
        -object secret,id=k,file={tmp_path}/secret
        -blockdev luks,node-name=f7,key-secret=k,file.driver=file,file.filename={luks} -device scsi-hd,bus=scsi0.0,id=d7,drive=f7
        -drive if=none,id=d8,format=qcow2,file={paths["f"]} -device scsi-hd,bus=scsi0.0,drive=d8
        -blockdev null-co,node-name=f9,size=1048576 -device scsi-hd,bus=scsi0.0,id=d9,drive=f9
    """
    vm = make_vm(binary=binary, boot=False, native=True, extra=tuple(extra.split()))
    for number in range(1, 10):
        name = f"d{number}"
        returned = Modules(vm).blockdev(check=True, id=name)["disk"]
        assert returned["at_launch"] and returned["attach"]
        assert fed_back(vm, returned)["id"] == name
        if name != "d8":  # the facts list disks that have an id
            assert disk(vm, name) == returned


def test_what_was_returned_adds_the_same_disk_again(bare_vm: VM, tmp_path: Path) -> None:
    modules = Modules(bare_vm)
    task = {"id": "d1", "file": image(tmp_path / "a"), "format": "qcow2", "driver": "scsi-hd", "limits": {"iops": 70}, "lun": 3}
    returned = modules.blockdev(**task)["disk"]
    assert modules.blockdev(id="d1", state="absent")["changed"]
    assert modules.blockdev(**returned_options("qmp_blockdev", returned))["disk"] == returned


def test_conflicts_and_unverified_options_are_named_as_the_user_has_written_them(bare_vm: VM, tmp_path: Path) -> None:
    modules = Modules(bare_vm)
    task = {"id": "d1", "file": image(tmp_path / "a"), "format": "qcow2", "cache": {"no_flush": False}, "discard": "unmap"}
    assert modules.blockdev(**task)["changed"]
    assert modules.blockdev(**task, aio="threads")["unverified"] == ["aio", "discard"]
    other: dict[str, Any] = {
        "queues": 5,
        "share_rw": True,
        "bootindex": 3,
        "read_only": True,
        "cache": {"direct": True, "no_flush": True},
        "detect_zeroes": "on",
        "file": "/other",
        "format": "raw",
        "addr": "1",
        "serial": "other",
    }
    conflict = modules.blockdev(id="d1", **other)
    names = {*other, "cache.direct", "cache.no_flush"} - {"cache"}
    refused(conflict, "conflict", *names)
    assert {one["option"] for one in conflict["details"]["differences"]} == names
    refused(modules.blockdev(id="d1", properties={"num-queues": 5}), "conflict", "num-queues is")
    backend = {"driver": "file", "filename": "/other"}
    refused(modules.blockdev(id="d1", backend=backend), "conflict", "backend.filename is")
    refused(modules.blockdev(id="d1", backend={**NULL, "server": {"x": 1}}), "conflict", "backend.driver is")


def test_a_medium_can_be_fed_back(binary: Binary, make_vm: Callable[..., VM], tmp_path: Path) -> None:
    one, two = image(tmp_path / "one", "raw"), image(tmp_path / "two", "raw")
    node = json.dumps({"driver": "raw", "node-name": "n1", "read-only": True, "file": {"driver": "file", "filename": one}})
    vm = make_vm(
        binary=binary, boot=False, native=True, extra=("-blockdev", node, "-device", "scsi-cd,bus=scsi0.0,id=cd0,drive=n1")
    )
    modules = Modules(vm)
    launched = modules.run("qmp_media", True, id="cd0", file=one)
    assert unchanged(launched) and fed_back(vm, launched["medium"], "qmp_media", "medium")["file"] == one
    planned = modules.run("qmp_media", True, id="cd0", file=two)
    changed = modules.run("qmp_media", id="cd0", file=two)
    assert changed.get("changed") and changed["medium"] == planned["medium"]
    assert fed_back(vm, changed["medium"], "qmp_media", "medium") == {"id": "cd0", "file": two, "format": "raw"}
    assert fed_back(vm, disk(vm, "cd0"))["file"] == two
