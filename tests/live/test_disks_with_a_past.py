# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks after a stream, a mirror, an ejected snapshot or a killed recreate: no older image is plugged without a word."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.vmops.qemu.tests.support.disks import blockdev, named_protocol, overlay
from ansible_collections.vmops.qemu.tests.support.modules import Modules, refused, unchanged
from ansible_collections.vmops.qemu.tests.support.values import SECRET
from ansible_collections.vmops.qemu.tests.support.waiting import until
from ansible_collections.vmops.qemu.tests.vm.binaries import Binary
from ansible_collections.vmops.qemu.tests.vm.images import make_encrypted
from ansible_collections.vmops.qemu.tests.vm.machine import VM


@pytest.fixture
def vm(binary: Binary, make_vm: Callable[..., VM]) -> VM:
    """A QEMU of each version that gives up its devices at once."""
    return make_vm(binary=binary, boot=False, native=True)


def job(vm: VM, **options: Any) -> dict[str, Any]:
    return Modules(vm).run("qmp_block_job", **options)


def encrypted(directory: Path) -> tuple[Path, Path]:
    """An encrypted image, and the file with its passphrase."""
    (directory / "secret").write_text(SECRET)
    return make_encrypted(directory / "luks", "luks", SECRET), directory / "secret"


def status(vm: VM) -> list[str]:
    return [one["status"] for one in vm.query("query-jobs")]


def wait_for(vm: VM, states: list[str]) -> None:
    until(lambda: status(vm) == states)


def test_a_stream_that_has_ended_does_not_make_qemu_crash(vm: VM, image: Callable[..., str], tmp_path: Path) -> None:
    modules = Modules(vm)
    assert modules.blockdev(id="d1", file=image("a", "16M", "qcow2"), format="qcow2")["changed"]
    assert job(vm, id="s1", type="snapshot", disk="d1", file=str(tmp_path / "s1"))["changed"]
    stream = {"id": "j", "type": "stream", "disk": "d1"}
    assert job(vm, state="started", **stream)["changed"]
    wait_for(vm, ["pending"])
    assert not modules.info().get("failed") and unchanged(modules.blockdev(id="d1"))
    assert unchanged(job(vm, state="started", **stream))
    done = job(vm, **stream)
    assert done.get("changed") and done["job"] is None and status(vm) == [], done
    assert unchanged(job(vm, **stream))
    assert not modules.info().get("failed")


def test_the_stream_of_another_client_is_not_asked_into_a_crash(vm: VM, image: Callable[..., str], tmp_path: Path) -> None:
    modules = Modules(vm)
    assert modules.blockdev(id="d1", file=image("a", "16M", "qcow2"), format="qcow2")["changed"]
    assert job(vm, id="s1", type="snapshot", disk="d1", file=str(tmp_path / "s1"))["changed"]
    vm.query("block-stream", job_id="j", device="s1", auto_dismiss=False)
    wait_for(vm, ["concluded"])
    if vm.binary.version == "11.1":
        assert unchanged(modules.blockdev(id="d1"))
    else:
        refused(modules.blockdev(id="d1"), "conflict", "qmp_block_job", "id: j")
    assert job(vm, id="j").get("changed") and status(vm) == []
    assert unchanged(modules.blockdev(id="d1"))


def test_a_disk_on_another_node_is_not_detached(vm: VM, image: Callable[..., str]) -> None:
    modules = Modules(vm)
    assert modules.blockdev(id="d1", file=image("a"))["changed"]
    assert modules.blockdev(id="n1", file=image("b"), attach=False)["changed"]
    moved = job(vm, id="m", type="mirror", disk="d1", target="n1")
    assert moved.get("changed") and "old block node" in str(moved["warnings"]), moved
    before = vm.hardware()
    for check in (True, False):
        refused(modules.blockdev(check=check, id="d1", attach=False), "conflict", "n1")
    assert vm.hardware() == before


def test_a_base_whose_snapshot_went_with_the_device_is_not_plugged(vm: VM, image: Callable[..., str], tmp_path: Path) -> None:
    modules = Modules(vm)
    disk = {"id": "d1", "file": image("a", "16M", "qcow2"), "format": "qcow2"}
    assert modules.blockdev(**disk)["changed"]
    assert job(vm, id="s1", type="snapshot", disk="d1", file=str(tmp_path / "s1"))["changed"]
    vm.query("device_del", id="d1")  # as when the guest ejects it
    until(lambda: "d1" not in vm.hardware()["devices"])
    for check in (True, False):
        refused(modules.blockdev(check=check, **disk), "conflict", "read-only", "snapshot")
    assert modules.blockdev(id="d1", state="absent")["changed"]


def test_node_options_are_kept(binary: Binary, make_vm: Callable[..., VM], image: Callable[..., str]) -> None:
    path = Path(image("a", "8M"))
    node = {
        "driver": "raw",
        "node-name": "d1",
        "offset": 1 << 20,
        "size": 4 << 20,
        "file": {"driver": "file", "filename": str(path)},
    }
    launch = ("-blockdev", json.dumps(node), "-device", "scsi-hd,bus=scsi0.0,id=d1,drive=d1")
    vm = make_vm(binary=binary, boot=False, native=True, extra=launch)
    modules = Modules(vm)
    same = modules.blockdev(id="d1")
    assert unchanged(same) and json.loads(same["launch_args"][1])["offset"] == 1 << 20, same
    for check in (True, False):
        refused(modules.blockdev(check=check, id="d1", serial="new", recreate=True, force=True), "conflict", "offset")


def test_a_filter_between_device_and_image(
    binary: Binary, make_vm: Callable[..., VM], image: Callable[..., str], tmp_path: Path
) -> None:
    path = image("a", "16M", "qcow2")
    launch = (
        "-object",
        '{"qom-type": "throttle-group", "id": "tg", "limits": {"iops-total": 50}}',
        *blockdev(
            f"qcow2,node-name=f1,file.driver=file,file.filename={path}",
            "throttle,node-name=t1,throttle-group=tg,file=f1",
        ),
    )
    vm = make_vm(binary=binary, boot=False, native=True, extra=launch)
    modules = Modules(vm)
    task = {"id": "d1", "file": path, "format": "qcow2"}
    same = modules.blockdev(**task)
    assert unchanged(same) and "throttle-group" in str(same["launch_args"]), same
    before = vm.hardware()
    for check in (True, False):
        refused(modules.blockdev(check=check, **task, serial="x", recreate=True, force=True), "conflict", "t1")
    assert job(vm, id="s1", type="snapshot", disk="d1", file=str(tmp_path / "s1")).get("changed")
    for check in (True, False):
        refused(modules.blockdev(check=check, **task, serial="x", recreate=True, force=True), "conflict", "s1")
    assert set(before["nodes"]) <= set(vm.hardware()["nodes"])


def test_a_template_with_the_disks_id_is_not_written_to(
    binary: Binary, make_vm: Callable[..., VM], image: Callable[..., str], tmp_path: Path
) -> None:
    template = image("template", "1M", "qcow2")
    own = overlay(tmp_path / "own", template)
    launch = blockdev(
        f"qcow2,node-name=d1,file.driver=file,file.filename={template},read-only=on",
        f"qcow2,node-name=ov,file.driver=file,file.filename={own},backing=d1",
    )
    vm = make_vm(binary=binary, boot=False, native=True, extra=launch)
    before = Path(template).read_bytes()
    for check in (True, False):
        refused(Modules(vm).run("qmp_block_job", check, id="c", type="commit", disk="d1"), "invalid_option", "base")
    assert Path(template).read_bytes() == before


def test_a_disk_that_could_not_be_restored_is_not_recreated(
    binary: Binary, make_vm: Callable[..., VM], image: Callable[..., str], tmp_path: Path
) -> None:
    luks, secret = encrypted(tmp_path)
    vm = make_vm(
        binary=binary,
        boot=False,
        native=True,
        extra=(
            "-device",
            "scsi-cd,bus=scsi0.0,id=cd0",
            "-object",
            f"secret,id=k,file={secret}",
            "-drive",
            f"if=none,id=x,node-name=l1,format=luks,key-secret=k,file={luks}",
            "-device",
            "scsi-hd,bus=scsi0.0,id=d1,drive=x",
            "-drive",
            f"if=none,id=anon,format=raw,file={image('a')}",
            "-device",
            "scsi-hd,bus=scsi0.0,drive=anon",
        ),
    )
    modules = Modules(vm)
    empty = modules.blockdev(id="cd0", serial="x", recreate=True, force=True)
    assert empty.get("changed") and "cd0" in vm.hardware()["devices"], empty
    refused(modules.blockdev(id="anon", serial="x", recreate=True, force=True), "conflict", "restored")
    failed = modules.blockdev(id="d1", recreate=True, force=True, properties={"cyls": 70000, "heads": 1, "secs": 1})
    refused(failed, "command_failed", "cyls", "Restored")
    assert "d1" in vm.hardware()["devices"] and "k" in vm.hardware()["objects"]


def test_after_a_killed_recreate_nothing_is_guessed(vm: VM, image: Callable[..., str], tmp_path: Path) -> None:
    modules = Modules(vm)
    for check in (True, False):
        refused(
            modules.blockdev(check=check, id="d1", file=image("a", "16M", "qcow2"), recreate=True),
            "invalid_option",
            "qcow2",
            "format",
        )
    luks = str(make_encrypted(tmp_path / "luks", "luks", SECRET))
    assert modules.blockdev(id="d1", file=luks, format="luks", passphrase=SECRET)["changed"]
    vm.query("device_del", id="d1")

    def node_is_gone() -> bool:
        with suppress(RuntimeError):  # still in use
            vm.query("blockdev-del", node_name="d1")
        return "d1" not in vm.hardware()["nodes"]

    until(node_is_gone)
    assert modules.blockdev(id="d1", file=luks, format="luks", recreate=True).get("changed")
    assert modules.blockdev(id="d1", state="absent")["changed"] and "d1.secret" not in vm.hardware()["objects"]


def test_the_node_of_a_killed_trial_is_deleted(vm: VM, image: Callable[..., str]) -> None:
    modules = Modules(vm)
    path = image("b")

    def leave() -> None:
        vm.query(
            "blockdev-add",
            driver="raw",
            node_name="try-d1",
            read_only=True,
            force_share=True,
            file={"driver": "file", "filename": path},
        )

    assert modules.blockdev(id="d1", file=image("a"))["changed"]
    leave()
    assert modules.blockdev(id="d1", file=path, recreate=True).get("changed")
    assert "try-d1" not in vm.hardware()["nodes"]
    leave()
    assert modules.blockdev(id="d1", state="absent")["changed"] and "try-d1" not in vm.hardware()["nodes"]


def test_secrets_and_nodes_of_others_stay(
    binary: Binary, make_vm: Callable[..., VM], image: Callable[..., str], tmp_path: Path
) -> None:
    luks, secret = encrypted(tmp_path)
    vm = make_vm(
        binary=binary,
        boot=False,
        native=True,
        extra=(
            "-object",
            f"secret,id=other,file={secret}",
            "-object",
            "secret,id=d2.secret,data=unrelated",
            *blockdev(
                f"luks,node-name=n2,key-secret=other,file.driver=file,file.filename={luks}",
                device="scsi-hd,bus=scsi0.0,id=d2",
            ),
            *blockdev(
                f"raw,node-name=f3,file.driver=file,file.filename={image('c')}",
                device="scsi-hd,bus=scsi0.0,id=d3",
            ),
            "-blockdev",
            f"raw,node-name=d3,file.driver=file,file.filename={image('d')}",
        ),
    )
    modules = Modules(vm)
    assert 'key-secret": "other' in str(modules.blockdev(id="d2")["launch_args"])
    for name in ("d2", "d3"):
        assert modules.blockdev(id=name, state="absent", force=True).get("changed")
    left = vm.hardware()
    assert {"other", "d2.secret"} <= set(left["objects"]) and "d3" in left["nodes"] and "f3" not in left["nodes"]


def test_what_was_launched_goes_with_a_disk_that_a_mirror_has_moved(
    binary: Binary, make_vm: Callable[..., VM], image: Callable[..., str]
) -> None:
    vm = make_vm(binary=binary, boot=False, native=True, extra=named_protocol(image("a")))
    modules = Modules(vm)
    assert modules.blockdev(id="n1", file=image("b"), attach=False)["changed"]
    assert job(vm, id="m", type="mirror", disk="d1", target="n1").get("changed")
    assert modules.blockdev(id="d1", state="absent", force=True).get("changed")
    assert vm.hardware()["nodes"] == []


def test_a_mirror_that_runs_has_the_target_that_it_was_started_with(vm: VM, image: Callable[..., str]) -> None:
    modules = Modules(vm)
    for name in ("d1", "n1", "n2"):
        assert modules.blockdev(id=name, file=image(name), attach=name == "d1")["changed"]
    assert job(vm, id="m", type="mirror", disk="d1", target="n1", state="ready").get("changed")
    refused(job(vm, id="m", type="mirror", disk="d1", target="n2"), "conflict", "n2")
    assert job(vm, id="m", state="cancelled").get("changed")


def test_limits_of_a_disk_with_a_named_protocol_node_start_again(
    binary: Binary, make_vm: Callable[..., VM], image: Callable[..., str]
) -> None:
    launch = named_protocol(image("a"), "virtio-blk-pci,bus=rp0,addr=0,id=d1")
    vm = make_vm(binary=binary, boot=False, native=True, extra=launch)
    limited = Modules(vm).blockdev(id="d1", limits={"iops": 70})
    assert limited.get("changed")
    vm.stop()
    again = Modules(make_vm(binary=binary, boot=False, native=True, extra=tuple(limited["launch_args"])))
    assert unchanged(again.blockdev(id="d1", limits={"iops": 70}))
