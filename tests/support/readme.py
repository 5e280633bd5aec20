# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands and the playbooks that a README shows, and the VM that it starts."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
from pathlib import Path
from typing import Any, Iterator

import yaml

_BLOCK = re.compile(r"```(yaml|console)\n(.*?)```", re.DOTALL)


class Readme:
    """What the page *text* shows, with the paths in *directory*, the tap and the inventory host of a test."""

    def __init__(self, text: str, directory: Path, tap: str) -> None:
        self.directory = directory
        self.tap = tap
        for shown, real in (
            ("/run/vm1", f"{directory}/vm"),
            ("/srv/vm1", str(directory)),
            ("vm1-net1", tap),
            ("localhost", "hypervisor"),
        ):
            text = text.replace(shown, real)
        blocks = _BLOCK.findall(text)
        self.playbooks = [block for language, block in blocks if language == "yaml"]
        self.commands = [block for language, block in blocks if language == "console"]

    def command(self, word: str) -> str:
        """The block of commands with this word in it, without the prompts."""
        block = next(block for block in self.commands if word in block)
        return re.sub(r"(?m)^[#$] ", "", block)

    @property
    def role_variables(self) -> dict[str, Any]:
        """The variables of the role in the playbook that has it."""
        play = next(play for (play,) in map(yaml.safe_load, self.playbooks) if "roles" in play)
        return dict(play["roles"][0]["vars"])

    def arguments(self) -> list[str]:
        """The arguments of the command ``ansible-playbook``. Writes the file of variables that it names."""
        (self.directory / "hardware.yml").write_text(yaml.safe_dump(self.role_variables))
        words = shlex.split(self.command("ansible-playbook"))
        assert words[0] == "ansible-playbook"
        return words[1:]

    @contextlib.contextmanager
    def vm(self) -> Iterator[None]:
        """Run the commands that start the VM, word for word, in the directory. It ends with its tap."""
        pidfile = self.directory / "pid"
        script = self.command("qemu-system-x86_64").replace("-daemonize", f"-daemonize -pidfile {pidfile}")
        try:
            subprocess.run(["bash", "-euc", script], check=True, cwd=self.directory)
            yield
        finally:
            subprocess.run(["ip", "link", "delete", self.tap], check=False)
            if pidfile.exists():
                os.kill(int(pidfile.read_text()), signal.SIGTERM)
