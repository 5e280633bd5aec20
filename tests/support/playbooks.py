# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ansible-playbook, run as an operator runs it, and what it prints."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Mapping, NamedTuple

import yaml

PLAY_SECONDS = 300
TARGETS = Path(__file__).parents[1] / "integration" / "targets"


class Played(NamedTuple):
    """What a play printed, and its recap: how many tasks of all hosts were ok, changed, failed …"""

    output: str
    recap: Mapping[str, int]


class Playbooks:
    """Runs playbooks on this host in *directory*, where it writes the inventory. Modules run with *python*."""

    def __init__(self, directory: Path, python: Path = Path(sys.executable)) -> None:
        self.directory = directory
        host = {"ansible_connection": "local", "ansible_python_interpreter": str(python)}
        (directory / "inventory.yml").write_text(yaml.safe_dump({"all": {"hosts": {"hypervisor": host}}}))

    def run(self, playbook: str, *arguments: str, **variables: Any) -> Played:
        """Run a playbook, given by its path or its name in the collection. The recap says whether it failed."""
        (self.directory / "variables.json").write_text(json.dumps(variables))
        command = ["ansible-playbook", "-i", "inventory.yml", playbook, "-e", "@variables.json", *arguments]
        environment = {
            **os.environ,
            "ANSIBLE_NOCOWS": "1",
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_DEPRECATION_WARNINGS": "1",
            "ANSIBLE_CALLBACK_RESULT_FORMAT": "yaml",
            "ANSIBLE_ROLES_PATH": str(TARGETS),
        }
        output = subprocess.run(
            command,
            cwd=self.directory,
            env=environment,
            text=True,
            timeout=PLAY_SECONDS,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ).stdout
        assert "[DEPRECATION WARNING]" not in output, output
        assert "PLAY RECAP" in output, output
        recap: Counter[str] = Counter()
        for name, number in re.findall(r"(\w+)=(\d+)", output.rsplit("PLAY RECAP", 1)[1]):
            recap[name] += int(number)
        return Played(output, recap)
