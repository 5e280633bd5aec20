# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CD drives: media put in, changed and taken out, with a guest that locks the tray."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Iterator

import pytest

from ansible_collections.vmops.qemu.tests.support.modules import Modules, refused, unchanged
from ansible_collections.vmops.qemu.tests.vm.machine import VM


def media(vm: VM, check: bool = False, **options: Any) -> dict[str, Any]:
    return Modules(vm).run("qmp_media", check, id="cd0", **options)


@pytest.fixture
def discs(tmp_path: Path) -> dict[str, str]:
    """Three images, each of which begins with its name."""
    for name in ("one", "two", "three"):
        (tmp_path / name).write_bytes(name.encode().ljust(1 << 20, b"\n"))
    return {name: str(tmp_path / name) for name in ("one", "two", "three")}


@pytest.fixture
def drive(vm: VM, discs: dict[str, str]) -> Iterator[VM]:
    """A VM with a drive that has the first disc in it."""
    assert Modules(vm).blockdev(id="cd0", file=discs["one"], driver="scsi-cd")["changed"]
    vm.guest("while [ ! -e /dev/sr0 ]; do :; done")
    yield vm
    assert Modules(vm).blockdev(id="cd0", state="absent")["changed"]


def inside(vm: VM) -> str:
    return vm.guest("dd if=/dev/sr0 bs=2048 count=1 iflag=direct 2>/dev/null | head -n1").strip()


def test_a_disc_is_changed_and_taken_out_and_put_in(drive: VM, discs: dict[str, str]) -> None:
    assert unchanged(media(drive, file=discs["one"]))
    for name in ("two", "three"):
        planned = media(drive, check=True, file=discs[name])
        changed = media(drive, file=discs[name])
        assert changed.get("changed") and changed["commands"] == planned["commands"], changed
        assert (
            changed["medium"]
            == planned["medium"]
            == {"id": "cd0", "file": discs[name], "format": "raw", "tray_open": False, "locked": False}
        )
        assert unchanged(media(drive, file=discs[name]))
        assert inside(drive) == name
    out = media(drive, state="absent")
    assert out.get("changed") and out["medium"]["file"] is None and out["medium"]["tray_open"], out
    assert unchanged(media(drive, state="absent"))
    assert media(drive, file=discs["one"]).get("changed")
    assert inside(drive) == "one"


def test_what_a_killed_run_left_goes_with_the_next(drive: VM, discs: dict[str, str]) -> None:
    def leave() -> None:
        drive.execute(
            "blockdev-add",
            {
                "driver": "raw",
                "node-name": "cd0-medium0",
                "read-only": True,
                "file": {"driver": "file", "filename": discs["two"]},
            },
        )

    leave()
    assert media(drive, file=discs["one"])["changed"] and "cd0-medium0" not in drive.hardware()["nodes"]
    leave()
    assert media(drive, file=discs["two"])["changed"] and inside(drive) == "two"
    assert "cd0" not in drive.hardware()["nodes"]
    assert media(drive, state="absent")["changed"]
    leave()
    assert media(drive, state="absent")["changed"] and "cd0-medium0" not in drive.hardware()["nodes"]
    assert unchanged(media(drive, state="absent"))


def test_a_locked_tray_is_honoured_and_forced_only_by_force(drive: VM, discs: dict[str, str]) -> None:
    drive.guest("exec 3< /dev/sr0; (sleep 1000 <&3) >/dev/null 2>&1 & echo $! > /tmp/holder")
    before = drive.hardware()
    locked = media(drive, file=discs["two"], timeout=1)
    assert locked["error_code"] == "unplug_pending" and "force" in locked["msg"], locked
    assert drive.hardware() == before
    assert media(drive, file=discs["two"], force=True).get("changed")
    drive.guest("kill $(cat /tmp/holder)")


def test_a_disc_that_is_not_there_leaves_the_old_one_in(drive: VM, discs: dict[str, str]) -> None:
    before = drive.hardware()
    refused(media(drive, file="/nosuch.iso"), "command_failed", "/nosuch.iso")
    refused(media(drive, file=discs["two"], format="qcow2"), "command_failed", "qcow2")
    assert drive.hardware() == before and inside(drive) == "one"


def test_a_device_that_is_not_a_cd_drive_is_refused(vm: VM, discs: dict[str, str]) -> None:
    refused(media(vm, file=discs["one"]), "invalid_option", "cd0")
    refused(Modules(vm).run("qmp_media", id="scsi0", file=discs["one"]), "conflict", "scsi0")
    refused(Modules(vm).run("qmp_media", id="cd0", file="one.iso"), "invalid_option", "cd0")
