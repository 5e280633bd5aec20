# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ansible-runner, as AWX runs it, and everything that it leaves."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Mapping, NamedTuple

import yaml

RUN_SECONDS = 600
LOCAL = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}


class Run(NamedTuple):
    """Whether the playbook succeeded, its events, and the text of every file that the run left, by its path."""

    succeeded: bool
    events: list[dict[str, Any]]
    left: dict[str, str]

    @property
    def output(self) -> str:
        return self.left["what ansible-runner printed"]

    @property
    def data(self) -> list[dict[str, Any]]:
        """The data of each event."""
        return [event.get("event_data", {}) for event in self.events]

    def results(self, action: str) -> list[dict[str, Any]]:
        """What the tasks of a module, or each item of their loops, returned."""
        return [one["res"] for one in self.data if one.get("task_action", "").endswith(action) and "res" in one]

    @property
    def artifacts(self) -> dict[str, Any]:
        """What the tasks kept by set_stats for later jobs of a workflow."""
        return {name: value for one in self.data for name, value in one.get("artifact_data", {}).items()}


class Runner:
    """A private data directory for ansible-runner: project, inventory, and the variables as AWX gives them.

    ``hosts`` are the hosts of the inventory with their variables. ``project`` is a directory with the playbooks of the job.
    Without one, playbooks are named by their name in the collection.
    """

    def __init__(
        self, directory: Path, hosts: Mapping[str, Mapping[str, Any]] | None = None, project: Path | None = None
    ) -> None:
        self.directory = directory
        for name in ("env", "inventory"):
            (directory / name).mkdir(parents=True)
        inventory = {name: {**LOCAL, **one} for name, one in (hosts or {"hypervisor": {}}).items()}
        (directory / "inventory" / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": inventory}}))
        if project:
            shutil.copytree(project, directory / "project")
        else:
            (directory / "project").mkdir()

    def start(self, playbook: str, *arguments: str, **variables: Any) -> subprocess.Popen[str]:
        """Start a playbook at ``-vvvv`` with *variables*. What it prints goes to the file ``output``."""
        (self.directory / "env" / "extravars").write_text(json.dumps(variables))
        command = [str(Path(sys.executable).parent / "ansible-runner"), "run", str(self.directory), "-p", playbook, "-vvvv"]
        command += ["--cmdline=" + " ".join(arguments)] if arguments else []
        environment = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}  # the runner keeps it
        with (self.directory / "output").open("w") as output:
            return subprocess.Popen(
                command,
                cwd=self.directory,
                env={**environment, "ANSIBLE_NOCOLOR": "1"},
                text=True,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def events(self) -> list[dict[str, Any]]:
        """The events that are complete by now, in their order."""
        found = (
            json.loads(path.read_text(encoding="utf-8")) for path in self.directory.glob("artifacts/*/job_events/*[0-9a-f].json")
        )
        return sorted(found, key=lambda event: int(event["counter"]))

    def run(self, playbook: str, *arguments: str, **variables: Any) -> Run:
        """Run a playbook to its end."""
        status = self.start(playbook, *arguments, **variables).wait(RUN_SECONDS)
        shown = (self.directory / "output").read_text(encoding="utf-8")
        files = [path for path in self.directory.rglob("*") if path.is_file() and path.parent.name not in ("env", "inventory")]
        left = {str(path.relative_to(self.directory)): path.read_text(encoding="utf-8") for path in files}
        events = self.events()
        assert any(event["event"] == "playbook_on_stats" for event in events), shown
        return Run(status == 0, events, {**left, "what ansible-runner printed": shown})


def run(directory: Path, playbook: str, *arguments: str, **variables: Any) -> Run:
    """Run a playbook of the collection in a private data directory of its own."""
    return Runner(directory).run(playbook, *arguments, **variables)
