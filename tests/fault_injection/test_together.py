# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many tasks at the same time on one monitor: each succeeds, or reports in time that the monitor is busy. Nothing is lost."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path
from typing import Any, Callable

from ansible_collections.vmops.qemu.tests.support.modules import Modules, finish
from ansible_collections.vmops.qemu.tests.support.playbooks import Playbooks, Played
from ansible_collections.vmops.qemu.tests.support.values import NULL
from ansible_collections.vmops.qemu.tests.vm.machine import VM

from .tally import survives

TASKS = 20


def scsi(name: str) -> dict[str, Any]:
    return {"id": name, "backend": NULL, "driver": "scsi-hd"}


def test_twenty_tasks_at_the_same_time_all_succeed(make_vm: Callable[..., VM]) -> None:
    vm = make_vm()
    modules = Modules(vm)
    before = vm.hardware()
    for state in ("present", "absent"):
        names = [f"d{number}" for number in range(TASKS)]
        tasks = [scsi(name) if state == "present" else {"id": name, "state": "absent"} for name in names]
        children = [modules.start("qmp_blockdev", connect_timeout=60.0, **task) for task in tasks]
        results = [finish(child) for child in children]
        held = set(vm.hardware()["devices"]) - set(before["devices"])
        for task, result in zip(tasks, results):
            right = result.get("changed") is True and (task["id"] in held) == (state == "present")
            survives("twenty tasks at the same time", right, result)
    assert vm.hardware() == before


def test_of_twenty_tasks_for_one_disk_one_changes_it(make_vm: Callable[..., VM]) -> None:
    vm = make_vm()
    modules = Modules(vm)
    before = vm.hardware()
    for task in (scsi("d1"), {"id": "d1", "state": "absent"}):
        children = [modules.start("qmp_blockdev", connect_timeout=60.0, **task) for _number in range(TASKS)]
        results = [finish(child) for child in children]
        changed = [bool(result.get("changed")) for result in results]
        survives("twenty tasks for one disk", sorted(changed) == [False] * (TASKS - 1) + [True], results)
    assert vm.hardware() == before


def test_tasks_with_a_short_timeout_report_that_the_monitor_is_busy(make_vm: Callable[..., VM]) -> None:
    vm = make_vm(boot=False)
    modules = Modules(vm)
    begun = time.monotonic()
    with socket.socket(socket.AF_UNIX) as shell:
        shell.connect(str(vm.qmp_socket))
        assert b"QMP" in shell.recv(4096)
        children = [modules.start("qmp_blockdev", connect_timeout=2.0, **scsi(f"d{number}")) for number in range(6)]
        results = [finish(child) for child in children]
    in_time = time.monotonic() - begun < 30
    for result in results:
        survives("a shell holds the monitor", result.get("error_code") == "monitor_busy" and in_time, result)
    survives("a shell holds the monitor", modules.info()["disks"] == [], "disks")


def test_a_monitor_that_accepts_a_client_and_is_silent_is_reported_as_busy(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "qmp.sock"))
        silent.listen(1)
        vm = VM(tmp_path)
        begun = time.monotonic()
        result = Modules(vm).run("qmp_blockdev", connect_timeout=1.0, **scsi("d1"))
        survives("a silent monitor", result["error_code"] == "monitor_busy" and time.monotonic() - begun < 15, result)


def test_two_plays_of_the_role_on_one_vm_both_succeed(make_vm: Callable[..., VM], tmp_path: Path) -> None:
    vm = make_vm()
    before = vm.hardware()
    plays: dict[str, Played] = {}

    def play(name: str, disks: list[dict[str, Any]]) -> None:
        directory = tmp_path / name
        directory.mkdir()
        plays[name] = Playbooks(directory).run(
            "vmops.qemu.hotplug", hotplug_socket=str(vm.qmp_socket), hotplug_connect_timeout=60.0, hotplug_blockdevs=disks
        )

    for state in ("present", "absent"):
        runs = []
        for name in ("one", "two"):
            disks = [
                scsi(f"{name}{number}") if state == "present" else {"id": f"{name}{number}", "state": "absent"}
                for number in range(3)
            ]
            runs.append(threading.Thread(target=play, args=(f"{name}-{state}", disks)))
        for run in runs:
            run.start()
        for run in runs:
            run.join()
        held = set(vm.hardware()["devices"]) - set(before["devices"])
        expected = {f"{name}{number}" for name in ("one", "two") for number in range(3)} if state == "present" else set()
        right = held == expected and all(played.recap["failed"] == 0 for played in plays.values())
        survives("two plays of the role at the same time", right, (held, [played.output for played in plays.values()]))
    assert vm.hardware() == before
