# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person sees of a task that takes long, on a terminal and in the events of a runner."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import yaml

from ansible_collections.vmops.qemu.tests.support.runner import Runner
from ansible_collections.vmops.qemu.tests.support.values import NULL
from ansible_collections.vmops.qemu.tests.vm.machine import VM

SIZE = 16 << 20
DISKS: list[dict[str, Any]] = [
    {"id": "d0", "file": "{{ disk }}"},
    *({"id": f"d{number}", "backend": NULL} for number in range(1, 4)),
]
GONE = [{"id": disk["id"], "state": "absent"} for disk in DISKS]
MIGRATE = {"uri": "exec:cat >/dev/null", "parameters": {"max-bandwidth": 1000}, "timeout": 1}
BACKUP = {"id": "copy", "type": "backup", "disk": "d0", "target": "new", "speed": "4M", "timeout": 1.5}
NEW = {"driver": "null-co", "node-name": "new", "size": SIZE}
TASKS: dict[str, dict[str, Any]] = {
    "disks": {"qmp_hotplug": {"blockdevs": DISKS}},
    "target": {"qmp_command": {"execute": "blockdev-add", "arguments": NEW}},
    "dump": {"qmp_dump": {"path": "{{ dump }}", "timeout": 60}},
    "backup": {"qmp_block_job": BACKUP},
    "no backup": {"qmp_block_job": {"id": "copy", "state": "cancelled"}},
    "secret migration": {"qmp_migrate": MIGRATE, "no_log": True},
    "migration": {"qmp_migrate": MIGRATE},
    "no migration": {"qmp_migrate": {"state": "cancelled"}},
    "unplug": {"qmp_hotplug": {"blockdevs": GONE, "timeout": 1}},
}
LINES = {
    "dump": r"dump: \d+% \(0\.\d of 1\.0 GiB\), [\d.]+ [MG]iB/s, about \d+ s left",
    "backup": r"backup copy: \d+% \(\d\.?\d* of 16 MiB\), [\d.]+ [KM]iB/s, about \d+ s left",
    "migration": r"migration: 0% \(0\.0 of 1\.0 GiB\), .*",
    "unplug": r"0 of 4 devices unplugged after 1 s; the guest has not released d3, d2, d1 and 1 more",
}
"""The tasks that show how far they are, and the form of their lines."""


def play(socket: Path, **variables: Any) -> str:
    steps = [
        {"name": name, "ignore_errors": True, **{key.replace("qmp_", "vmops.qemu.qmp_"): value for key, value in task.items()}}
        for name, task in TASKS.items()
    ]
    defaults = {"group/vmops.qemu.qmp": {"socket": str(socket)}}
    return yaml.safe_dump(
        [{"hosts": "all", "gather_facts": False, "module_defaults": defaults, "vars": variables, "tasks": steps}]
    )


def test_long_work_is_shown_while_it_runs(tmp_path: Path) -> None:
    dump, disk, project = tmp_path / "dump", tmp_path / "disk", tmp_path / "project"
    project.mkdir()
    disk.write_bytes(os.urandom(SIZE))
    with VM(tmp_path / "vm", boot=False, extra=("-name", "vm\x1b[31m7", "-m", "1G")) as vm:
        (project / "play.yml").write_text(play(vm.qmp_socket, vmops_qemu_progress=0.1, dump=str(dump), disk=str(disk)))
        run = Runner(tmp_path / "runner", project=project).run("play.yml")
    dump.unlink()
    shown: dict[str, list[str]] = {}
    task = ""
    for event in run.events:
        task = event["event_data"]["task"] if event["event"] == "playbook_on_task_start" else task
        if event["event"] == "verbose" and event["stdout"].startswith("[hypervisor] "):
            assert event["stdout"] in run.output
            shown.setdefault(task, []).append(event["stdout"])
    assert shown.keys() >= LINES.keys() and "secret migration" not in shown, shown
    for name, form in LINES.items():
        whole = rf"\[hypervisor\] vm\\x1b\[31m7: {form}"
        assert any(re.fullmatch(whole, line) for line in shown[name]), shown[name]
