# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbooks: a task for each disk in a loop, and one task for all disks, each less an empty play."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Iterator

from ansible_collections.vmops.qemu.tests.vm.machine import VM

from .processes import NOTHING
from .rounds import Row, timed

Task = dict[str, Any]


class Playbooks:
    """The sides of the rows. The VM has no disk before and after each."""

    def __init__(self, directory: Path, vm: VM, disks: int) -> None:
        self._directory, self._vm = directory, vm
        (directory / "library").mkdir(exist_ok=True)
        (directory / "library" / "nothing.py").write_text("#!/usr/bin/python\n" + NOTHING)
        self._disks = [
            {"id": f"d{number}", "driver": "scsi-hd", "backend": {"driver": "null-co", "size": 1 << 20}}
            for number in range(disks)
        ]

    def rows(self, rounds: int) -> Iterator[Row]:
        count = len(self._disks)
        yield Row(
            f"qmp_hotplug with {count} disks / a loop of qmp_blockdev, each less an empty play", 0.10, self.one, self.loop, rounds
        )
        yield Row(
            f"loop of {count} qmp_blockdev in Ansible's worker / loop of a module that does nothing",
            0.15,
            self.loop_in_process,
            self.loop_of_nothing,
            rounds,
        )
        yield Row(
            f"loop of {count} qmp_blockdev with nothing to change / loop of a module that does nothing",
            1.20,
            self.loop_unchanged,
            self.loop_of_nothing,
            rounds,
        )

    def one(self) -> float:
        return self._less_empty(
            {"vmops.qemu.qmp_hotplug": {**self._socket(), "blockdevs": self._disks}, **self._as_process(True)}
        )

    def loop(self) -> float:
        return self._less_empty(self._loop("vmops.qemu.qmp_blockdev", False))

    def loop_in_process(self) -> float:
        return self._less_empty(self._loop("vmops.qemu.qmp_blockdev", True))

    def loop_unchanged(self) -> float:
        task = self._loop("vmops.qemu.qmp_blockdev", False)
        task["vmops.qemu.qmp_blockdev"] = {**self._socket(), "id": "{{ item.id }}", "state": "absent"}
        return self._less_empty(task)

    def loop_of_nothing(self) -> float:
        return self._less_empty({"nothing": {"id": "{{ item.id }}"}, "loop": self._disks})

    def _loop(self, module: str, in_process: bool) -> Task:
        disk = {name: f"{{{{ item.{name} }}}}" for name in self._disks[0]}
        return {module: {**self._socket(), **disk}, "loop": self._disks, **self._as_process(in_process)}

    @staticmethod
    def _as_process(in_process: bool) -> Task:
        return {"vars": {"vmops_qemu_in_process": in_process}}

    def _socket(self) -> dict[str, str]:
        return {"socket": str(self._vm.qmp_socket)}

    def _less_empty(self, task: Task) -> float:
        empty = timed(lambda: self._play([]))
        seconds = timed(lambda: self._play([task])) - empty
        absent = [{"id": disk["id"], "state": "absent"} for disk in self._disks]
        self._play([{"vmops.qemu.qmp_hotplug": {**self._socket(), "blockdevs": absent}}])
        return max(seconds, 0.001)

    def _play(self, tasks: list[Task]) -> None:
        play = self._directory / "play.yml"
        play.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
        command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "localhost,", "-c", "local", str(play)]
        environment = {
            **os.environ,
            "PYTHONDONTWRITEBYTECODE": "",
            "PYTHONPYCACHEPREFIX": str(self._directory / "pycache"),
            "ANSIBLE_LIBRARY": str(self._directory / "library"),
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
            "ANSIBLE_LOCALHOST_WARNING": "false",
        }
        child = subprocess.run(command, env=environment, cwd=self._directory, capture_output=True, text=True, check=False)
        if child.returncode:
            raise RuntimeError(child.stdout + child.stderr)
