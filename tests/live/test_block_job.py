# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots, mirrors, backups, commits and streams under a guest that goes on."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from ansible_collections.vmops.qemu.tests.support.modules import Modules, refused, unchanged
from ansible_collections.vmops.qemu.tests.support.waiting import until
from ansible_collections.vmops.qemu.tests.vm.machine import VM


def job(vm: VM, check: bool = False, **options: Any) -> dict[str, Any]:
    return Modules(vm).run("qmp_block_job", check, **options)


@pytest.fixture
def disk(vm: VM, image: Callable[..., str]) -> Iterator[dict[str, Any]]:
    """The options of a plugged qcow2 disk that the guest has written to."""
    options = {"id": "d1", "file": image("d1", "16M", "qcow2"), "format": "qcow2"}
    assert Modules(vm).blockdev(**options)["changed"]
    vm.wait_guest(lambda guest: [one["serial"] for one in guest["disks"]] == ["d1"])
    vm.guest("echo first | dd of=/dev/vda conv=sync,fsync 2>/dev/null")
    yield options
    assert Modules(vm).blockdev(id="d1", state="absent")["changed"]


def wait_for(vm: VM, status: str) -> None:
    """Return when the VM's one job has this status."""
    until(lambda: bool(vm.query("query-jobs")[0]["status"] == status))


def words(vm: VM, count: int = 1) -> str:
    """The first words of the first blocks of the disk, as the guest reads them past its cache."""
    return " ".join(
        vm.guest(f"dd if=/dev/vda bs=512 skip={block} count=1 iflag=direct 2>/dev/null | head -n1").strip()
        for block in range(count)
    )


def test_a_snapshot_and_its_commit(vm: VM, disk: dict[str, Any], tmp_path: Path) -> None:
    snapshot: dict[str, Any] = {"id": "snap1", "type": "snapshot", "disk": "d1", "file": str(tmp_path / "snap1.qcow2")}
    planned = job(vm, check=True, **snapshot)
    taken = job(vm, **snapshot)
    assert taken.get("changed") and taken["commands"] == planned["commands"], taken
    assert unchanged(job(vm, **snapshot))
    vm.guest("echo second | dd of=/dev/vda bs=512 seek=1 conv=sync,fsync 2>/dev/null")
    # the disk is still that disk
    assert unchanged(Modules(vm).blockdev(**disk))
    assert unchanged(Modules(vm).blockdev(size="16M", **disk))
    grown = Modules(vm).blockdev(size="24M", **disk)
    assert grown.get("changed") and grown["commands"][0]["arguments"]["node-name"] == "snap1", grown

    commit: dict[str, Any] = {"id": "commit1", "type": "commit", "disk": "d1"}
    planned = job(vm, check=True, **commit)
    done = job(vm, timeout=60, **commit)
    assert done.get("changed") and done["job"] is None and done["progress"]["current"] > 0, done
    assert done["commands"] == planned["commands"] and len(done["commands"]) == 3, (planned, done)
    assert unchanged(job(vm, **commit))
    assert words(vm, 2) == "first second"
    assert unchanged(Modules(vm).blockdev(**disk))


def test_a_snapshot_goes_with_its_disk(vm: VM, disk: dict[str, Any], tmp_path: Path) -> None:
    for name in ("snap1", "snap2"):
        assert job(vm, id=name, type="snapshot", disk="d1", file=str(tmp_path / name))["changed"]
    assert unchanged(job(vm, id="snap1", type="snapshot", disk="d1", file=str(tmp_path / "snap1")))


def test_a_commit_ends_at_the_disk_and_leaves_a_template_as_it_is(vm: VM, tmp_path: Path) -> None:
    template, own = tmp_path / "template", tmp_path / "own"
    template.write_bytes(b"template\n".ljust(1 << 20, b"\0"))
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", template, "-F", "raw", own], check=True)
    assert Modules(vm).blockdev(id="d1", file=str(own), format="qcow2")["changed"]
    vm.guest("while [ ! -e /dev/vda ]; do :; done")
    assert job(vm, id="snap1", type="snapshot", disk="d1", file=str(tmp_path / "snap1"))["changed"]
    vm.guest("echo second | dd of=/dev/vda bs=512 seek=1 conv=sync,fsync 2>/dev/null")
    commit: dict[str, Any] = {"id": "commit1", "type": "commit", "disk": "d1"}
    done = job(vm, base="d1", **commit)
    assert done.get("changed") and done["commands"][0]["arguments"]["base-node"] == "d1", done
    assert unchanged(job(vm, base="d1", **commit)) and unchanged(job(vm, **commit))
    assert words(vm, 2) == "template second"
    assert b"second" not in template.read_bytes()
    assert Modules(vm).blockdev(id="d1", state="absent")["changed"]


def test_a_disk_named_by_its_node_is_committed_too(vm: VM, disk: dict[str, Any], tmp_path: Path) -> None:
    assert job(vm, id="snap1", type="snapshot", disk="d1", file=str(tmp_path / "snap1"))["changed"]
    assert job(vm, id="commit1", type="commit", disk="snap1").get("changed")
    assert job(vm, check=True, id="commit1", type="commit", disk="snap1").get("error_code") == "invalid_option"  # it is gone
    assert unchanged(job(vm, id="commit1", type="commit", disk="d1"))


@pytest.mark.parametrize("kind", ["commit", "stream"])
def test_a_base_that_is_not_below_the_disk_is_not_a_end(vm: VM, disk: dict[str, Any], kind: str) -> None:
    assert Modules(vm).blockdev(id="other", backend={"driver": "null-co", "size": 16 << 20}, attach=False)["changed"]
    refused(job(vm, id="j1", type=kind, disk="d1", base="other"), "command_failed", "other")
    assert Modules(vm).blockdev(id="other", state="absent")["changed"]


def test_a_disk_is_seen_through_the_filter_of_a_backup_that_runs(
    vm: VM, disk: dict[str, Any], image: Callable[..., str], tmp_path: Path
) -> None:
    snapshot: dict[str, Any] = {"id": "snap1", "type": "snapshot", "disk": "d1", "file": str(tmp_path / "snap1")}
    assert job(vm, **snapshot)["changed"]
    assert Modules(vm).blockdev(id="copy", file=image("copy", "16M"), attach=False)["changed"]
    backup: dict[str, Any] = {"id": "b1", "type": "backup", "disk": "d1", "target": "copy", "sync": "none", "state": "started"}
    assert job(vm, **backup)["changed"]
    assert unchanged(job(vm, **backup)) and unchanged(job(vm, **snapshot)) and unchanged(Modules(vm).blockdev(**disk))
    assert job(vm, check=True, id="commit1", type="commit", disk="d1")["changed"]
    assert unchanged(job(vm, id="pull", type="stream", disk="d1", base="d1"))
    assert job(vm, id="b1", state="cancelled")["changed"]
    assert Modules(vm).blockdev(id="copy", state="absent")["changed"]


@pytest.mark.parametrize("kind", ["mirror", "backup"])
def test_a_job_that_is_to_be_finalized_is(vm: VM, disk: dict[str, Any], image: Callable[..., str], kind: str) -> None:
    assert Modules(vm).blockdev(id="new", file=image("new", "16M"), attach=False)["changed"]
    held: dict[str, Any] = {"id": "j1", "type": kind, "disk": "d1", "target": "new", "options": {"auto-finalize": False}}
    planned = job(vm, check=True, **held)
    done = job(vm, **held)
    assert done["commands"] == planned["commands"] and done["job"] is None, (planned, done)
    assert [one["execute"] for one in done["commands"]][-2:] == ["job-finalize", "job-dismiss"]
    vm.query("blockdev-del", node_name="d1" if kind == "mirror" else "new")


def test_a_job_that_waits_to_be_finalized_is_finished_by_a_later_run(
    vm: VM, disk: dict[str, Any], image: Callable[..., str]
) -> None:
    assert Modules(vm).blockdev(id="copy", file=image("copy", "16M"), attach=False)["changed"]
    held: dict[str, Any] = {
        "id": "b1",
        "type": "backup",
        "disk": "d1",
        "target": "copy",
        "state": "started",
        "options": {"auto-finalize": False},
    }
    assert job(vm, **held)["changed"]
    wait_for(vm, "pending")
    planned = job(vm, check=True, id="b1")
    done = job(vm, id="b1")
    assert done["commands"] == planned["commands"] and done["job"] is None, (planned, done)
    assert [one["execute"] for one in done["commands"]] == ["job-finalize", "job-dismiss"]
    assert Modules(vm).blockdev(id="copy", state="absent")["changed"]


def test_a_snapshot_overwrites_no_file(vm: VM, disk: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "mine").write_bytes(b"mine")
    refused(job(vm, id="snap1", type="snapshot", disk="d1", file=str(tmp_path / "mine")), "invalid_option", "overwritten", "mode")
    refused(
        job(vm, id="snap1", type="snapshot", disk="d1", file=str(tmp_path / "mine"), options={"mode": "absolute-paths"}),
        "invalid_option",
        "overwritten",
    )
    assert (tmp_path / "mine").read_bytes() == b"mine"
    overlay = tmp_path / "overlay"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", overlay, "16M"], check=True)
    taken = job(vm, id="snap1", type="snapshot", disk="d1", file=str(overlay), options={"mode": "existing"})
    assert taken.get("changed"), taken


def test_a_stream_pulls_all_into_the_top(vm: VM, disk: dict[str, Any], tmp_path: Path) -> None:
    assert job(vm, id="snap1", type="snapshot", disk="d1", file=str(tmp_path / "snap1"))["changed"]
    stream: dict[str, Any] = {"id": "pull", "type": "stream", "disk": "d1"}
    planned = job(vm, check=True, **stream)
    done = job(vm, **stream)
    assert done["commands"] == planned["commands"], (planned, done)
    assert done.get("changed") and done["job"] is None, done
    assert unchanged(job(vm, **stream))
    assert words(vm) == "first"


def test_a_mirror_moves_the_disk(vm: VM, disk: dict[str, Any], image: Callable[..., str]) -> None:
    target = {"id": "new", "file": image("new", "16M"), "attach": False}
    assert Modules(vm).blockdev(**target)["changed"]
    mirror: dict[str, Any] = {"id": "move", "type": "mirror", "disk": "d1", "target": "new"}
    ready = job(vm, state="ready", **mirror)
    assert ready.get("changed") and ready["job"]["status"] == "ready", ready
    assert unchanged(job(vm, state="ready", **mirror))
    assert unchanged(job(vm, state="started", **mirror))
    refused(Modules(vm).blockdev(id="d1", state="absent"), "conflict", "move")
    assert unchanged(Modules(vm).blockdev(**target))
    planned = job(vm, check=True, **mirror)
    done = job(vm, **mirror)
    assert [one["execute"] for one in done["commands"]] == ["job-complete", "job-dismiss"], done
    assert done["commands"] == planned["commands"]
    assert done["changed"] and done["job"] is None, done
    assert unchanged(job(vm, **mirror))
    assert "new" in [entry.get("inserted", {}).get("node-name") for entry in vm.query("query-block")]
    assert words(vm) == "first"
    vm.query("blockdev-del", node_name="d1")


def test_a_backup_has_the_disk_as_it_was_at_the_start(vm: VM, disk: dict[str, Any], image: Callable[..., str]) -> None:
    path = image("copy", "16M")
    assert Modules(vm).blockdev(id="copy", file=path, attach=False)["changed"]
    backup: dict[str, Any] = {"id": "b1", "type": "backup", "disk": "d1", "target": "copy"}
    planned = job(vm, check=True, **backup)
    done = job(vm, **backup)
    assert done["commands"] == planned["commands"], (planned, done)
    assert done.get("changed") and done["job"] is None, done
    assert Path(path).read_bytes().startswith(b"first\n")
    assert Modules(vm).blockdev(id="copy", state="absent")["changed"]


def test_a_job_that_takes_long_is_reported_and_waited_for_and_cancelled(
    vm: VM, disk: dict[str, Any], image: Callable[..., str]
) -> None:
    vm.guest("dd if=/dev/urandom of=/dev/vda bs=1M count=4 conv=fsync 2>/dev/null")
    assert Modules(vm).blockdev(id="new", file=image("new", "16M"), attach=False)["changed"]
    slow: dict[str, Any] = {"id": "move", "type": "mirror", "disk": "d1", "target": "new", "speed": "64K"}
    result = job(vm, timeout=1, **slow)
    assert result["error_code"] == "outcome_unknown" and result["changed"], result
    assert "again" in result["msg"] and result["details"]["job"]["total"] > 0
    planned = job(vm, check=True, id="move", state="cancelled")
    gone = job(vm, id="move", state="cancelled")
    assert gone["commands"] == planned["commands"], (planned, gone)
    assert gone["changed"] and gone["job"] is None, gone
    assert unchanged(job(vm, id="move", state="cancelled"))
    assert Modules(vm).blockdev(id="new", state="absent")["changed"]


def test_a_job_that_fails_says_why(vm: VM) -> None:
    broken = {
        "driver": "blkdebug",
        "image": {"driver": "null-co", "size": 1 << 20},
        "inject-error": [{"event": "none", "iotype": "write", "errno": 5}],
    }
    assert Modules(vm).blockdev(id="d1", backend={"driver": "null-co", "size": 1 << 20}, driver="scsi-hd")["changed"]
    assert Modules(vm).blockdev(id="new", backend=broken, attach=False)["changed"]
    backup: dict[str, Any] = {"id": "b1", "type": "backup", "disk": "d1", "target": "new"}
    refused(job(vm, **backup), "command_failed", "b1", "Input/output error")
    assert vm.query("query-jobs") == []
    assert job(vm, state="started", **backup)["changed"]
    wait_for(vm, "concluded")
    refused(job(vm, state="started", **backup), "command_failed", "b1", "Input/output error")  # once, for then it is gone
    assert vm.query("query-jobs") == []
    for name in ("new", "d1"):
        assert Modules(vm).blockdev(id=name, state="absent")["changed"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"type": "mirror", "disk": "d1"}, "target"),
        ({"type": "mirror", "disk": "d1", "target": "nosuch"}, "attach: false"),
        ({"type": "mirror", "disk": "nosuch", "target": "d1"}, "nosuch"),
        ({"type": "commit"}, "disk"),
        ({"type": "commit", "disk": "d1", "base": "nosuch"}, "nosuch"),
        ({"type": "snapshot", "disk": "d1"}, "file"),
        ({}, "type"),
    ],
    ids=str,
)
def test_what_cannot_be(vm: VM, disk: dict[str, Any], options: dict[str, Any], said: str) -> None:
    refused(job(vm, id="j1", **options), "invalid_option", said)


def test_a_job_that_was_started_and_has_ended_is_reported_and_taken_leave_of(
    vm: VM, disk: dict[str, Any], image: Callable[..., str]
) -> None:
    assert Modules(vm).blockdev(id="copy", file=image("copy", "16M"), attach=False)["changed"]
    backup: dict[str, Any] = {"id": "b1", "type": "backup", "disk": "d1", "target": "copy", "state": "started"}
    assert job(vm, **backup)["changed"]
    wait_for(vm, "concluded")
    ended = job(vm, **backup)
    assert ended["job"] is None and [one["execute"] for one in ended["commands"]] == ["job-dismiss"], ended
    assert Modules(vm).blockdev(id="copy", state="absent")["changed"]
