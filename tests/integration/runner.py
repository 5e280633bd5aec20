# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ansible-runner, as AWX runs it, and everything that it leaves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import yaml

RUN_SECONDS = 600


class Run(NamedTuple):
    """Whether the playbook succeeded, its events, and the text of every file that the run left, by its path."""

    succeeded: bool
    events: list[dict[str, Any]]
    left: dict[str, str]

    def results(self, action: str) -> list[dict[str, Any]]:
        """What the tasks of a module, or each item of their loops, returned."""
        data = [event.get("event_data", {}) for event in self.events]
        return [one["res"] for one in data if one.get("task_action", "").endswith(action) and "res" in one]


def run(directory: Path, playbook: str, *arguments: str, **variables: Any) -> Run:
    """Run a playbook at ``-vvvv`` with *variables* as AWX gives them, in a private data directory of its own."""
    for name in ("env", "inventory", "project"):
        (directory / name).mkdir(parents=True)
    (directory / "env" / "extravars").write_text(json.dumps(variables))
    host = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    (directory / "inventory" / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": {"hypervisor": host}}}))
    command = [str(Path(sys.executable).parent / "ansible-runner"), "run", str(directory), "-p", playbook, "-vvvv"]
    command += ["--cmdline=" + " ".join(arguments)] if arguments else []
    environment = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}  # the runner keeps it all
    shown = subprocess.run(
        command,
        cwd=directory,
        env={**environment, "ANSIBLE_NOCOLOR": "1"},
        text=True,
        check=False,
        timeout=RUN_SECONDS,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    files = [path for path in directory.rglob("*") if path.is_file() and path.parent.name not in ("env", "inventory")]
    left = {str(path.relative_to(directory)): path.read_text(encoding="utf-8") for path in files}
    events = [json.loads(text) for name, text in left.items() if "/job_events/" in name]
    assert any(event["event"] == "playbook_on_stats" for event in events), shown.stdout
    return Run(shown.returncode == 0, events, {**left, "what ansible-runner printed": shown.stdout})
