# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A page of the documentation, step by step as a reader follows it: files are saved, commands run, outputs compared.

A block of YAML or Python is saved under the last name of such a file in the text before it. In a console block, lines after ``$``
or ``#`` are commands, and the other lines are parts of what the last command prints, in this order. A block after the comment
``<!-- not run: REASON -->`` is not run. Only its syntax is checked.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Iterator, Mapping, NamedTuple, Sequence

import yaml

from .waiting import until

BLOCK = re.compile(r"(?m)(?:^ *<!-- not run: (.+) -->\n+)?^( *)```(yaml|python|console|ini)\n((?:.*\n)*?)^\2```$")
FILE = re.compile(r"`(\w[\w.-]*\.(?:yml|py))`")
PROMPT = re.compile(r"(?m)^[#$] ")
INSTALLS = ("apt-get install", "-m venv", "/activate", "pip install", "ansible-galaxy collection install")
"""Commands that install what the session of the tests has installed."""
COMMAND_SECONDS = 120
END_SECONDS = 10


class Block(NamedTuple):
    """A block of code of a page. *name*: of the file in which a reader saves it. *not_run*: why it is not run, or nothing."""

    language: str
    text: str
    name: str
    not_run: str


class Command(NamedTuple):
    """A command, and what it prints: parts of its lines."""

    text: str
    printed: tuple[str, ...]


def blocks(page: str) -> Iterator[Block]:
    end = 0
    for found in BLOCK.finditer(page):
        not_run, indent, language, text = found.groups()
        before, end = page[end : found.start()], found.end()
        names = FILE.findall(before)
        yield Block(language, re.sub(f"(?m)^{indent}", "", text), names[-1] if names else "", not_run or "")


def commands(text: str) -> Iterator[Command]:
    """The commands of a console block."""
    for part in PROMPT.split(text)[1:]:
        lines = part.splitlines()
        here = re.search(r"<<(\w+)", lines[0])
        count = (
            lines.index(here[1]) + 1
            if here
            else next((n for n, line in enumerate(lines, 1) if not line.endswith("\\")), len(lines))
        )
        printed = tuple(one.strip() for line in lines[count:] for one in line.split("...") if one.strip())
        yield Command("\n".join(lines[:count]), printed)


class Reader:
    """One who follows pages from the empty *directory*.

    The *words* before each command make it see other files. *programs*: a directory with programs that it finds first.
    """

    def __init__(self, directory: Path, words: Sequence[str] = (), programs: Path = Path(sys.executable).parent) -> None:
        self.directory = directory
        self._root = directory
        self._words = words
        path = f"{programs}{os.pathsep}{os.environ['PATH']}"
        self._environment = {**os.environ, "PATH": path, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_NOCOWS": "1"}

    def follow(self, page: str, replaced: Mapping[str, str]) -> list[tuple[str, str]]:
        """Do all that the page says, with other paths and names. Returns each command and what it printed."""
        for shown, real in replaced.items():
            page = page.replace(shown, real)
        done = []
        for block in blocks(page):
            if block.not_run:
                self._check(block)
            elif block.language == "console":
                done += [
                    (one.text, self._do(one)) for one in commands(block.text) if not any(word in one.text for word in INSTALLS)
                ]
            else:
                assert block.name, f"Say before it under which name to save this, or why it is not run:\n{block.text}"
                (self.directory / block.name).write_text(block.text)
        return done

    def end_vms(self) -> None:
        """End the VMs that pages have left running, and wait until they are gone."""
        for pidfile in self._root.glob("run/*/pid"):
            pid = int(pidfile.read_text())
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            until(partial(_has_ended, pid), END_SECONDS)

    def _do(self, command: Command) -> str:
        done = self._run(f"{command.text}\npwd > {self._root}/.left")
        position = 0
        for part in command.printed:
            position = done.stdout.find(part, position)
            assert position >= 0, f"{command.text} does not print in this order: {part}\n{done.stdout}"
            position += len(part)
        failed = any("failed=1" in part for part in command.printed)
        assert (done.returncode != 0) == failed, f"{command.text}\n{done.stdout}"
        if not failed:
            self.directory = Path((self._root / ".left").read_text().strip())
        return done.stdout

    def _check(self, block: Block) -> None:
        """Check the syntax of a block that is not run."""
        if block.language == "console":
            for command in commands(block.text):
                done = self._run(command.text, "-n")
                assert done.returncode == 0 and not done.stdout, f"{command.text}\n{done.stdout}"
        elif block.language == "yaml":
            content = yaml.safe_load(block.text)
            if block.name:
                (self.directory / block.name).write_text(block.text)
            if isinstance(content, list) and "hosts" in content[0]:
                done = self._run(f"ansible-playbook --syntax-check {block.name}")
                assert done.returncode == 0, done.stdout

    def _run(self, command: str, *options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self._words, "bash", *options, "-ec", command],
            cwd=self.directory,
            env=self._environment,
            text=True,
            check=False,
            timeout=COMMAND_SECONDS,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )


def _has_ended(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()
