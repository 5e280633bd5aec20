# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plays, as a user runs them, with a module that does nothing at hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Mapping

from .processes import NOTHING
from .rounds import timed

Task = dict[str, Any]
Hosts = Mapping[str, Mapping[str, Any]]
"""The variables of each host, by its name."""

_LOCALHOST: Hosts = {"localhost": {}}
_FORKS = 10


class Ansible:
    """Runs plays in *directory*."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        (directory / "library").mkdir(exist_ok=True)
        (directory / "library" / "nothing.py").write_text("#!/usr/bin/python\n" + NOTHING)

    def play(self, tasks: list[Task], hosts: Hosts | None = None) -> float:
        """The seconds that a play takes, by default on localhost. RuntimeError with its output if it fails."""
        play, inventory = self._directory / "play.json", self._directory / "hosts.json"
        play.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
        variables = {name: {"ansible_connection": "local", **own} for name, own in (hosts or _LOCALHOST).items()}
        inventory.write_text(json.dumps({"all": {"hosts": variables}}))
        return timed(lambda: self._run([str(play), "-i", str(inventory), "--forks", str(_FORKS)]))

    def less_empty(self, tasks: list[Task]) -> float:
        """The seconds that a play takes more than one without tasks."""
        empty = self.play([])
        return max(self.play(tasks) - empty, 0.001)

    def _run(self, words: list[str]) -> None:
        environment = {
            **os.environ,
            "PYTHONDONTWRITEBYTECODE": "",
            "PYTHONPYCACHEPREFIX": str(self._directory / "pycache"),
            "ANSIBLE_LIBRARY": str(self._directory / "library"),
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        }
        command = [str(Path(sys.executable).parent / "ansible-playbook"), *words]
        child = subprocess.run(command, env=environment, cwd=self._directory, capture_output=True, text=True, check=False)
        if child.returncode:
            raise RuntimeError(child.stdout + child.stderr)
