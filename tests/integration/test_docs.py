# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guides of the website, step by step as a reader follows them: files are saved, commands run, outputs compared.

A block of YAML or Python is saved under the last name of such a file in the text before it. In a console block, lines after ``$``
or ``#`` are commands, and the other lines are parts of what the last command prints, in this order. Only paths and port
numbers are replaced.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Iterator, NamedTuple

import pytest

import ansible_collections

DOCS = Path(__file__).parents[2] / "docs"
COLLECTIONS = str(Path(next(iter(ansible_collections.__path__))).parent)
GUIDES = ("quick-start.md", "hotplug.md", "tls.md", "reference/engine-api.md", "reference/error-codes.md")
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)
FILE = re.compile(r"`(\w+\.(?:yml|py))`")
COMMAND = re.compile(r"(?m)^[#$] ")
INSTALLS = ("apt-get install", "-m venv", "/activate", "pip install", "ansible-galaxy collection install")
"""Commands that install what the session of the tests has installed."""
COMMAND_SECONDS = 120

pytestmark = pytest.mark.newest_core


class Step(NamedTuple):
    """A command of a guide, and what it prints: parts of its lines. Or a file to save, with its text."""

    command: str = ""
    printed: tuple[str, ...] = ()
    name: str = ""
    text: str = ""


def steps(guide: str) -> Iterator[Step]:
    end = 0
    for block in BLOCK.finditer(guide):
        language, text = block.groups()
        before, end = guide[end : block.start()], block.end()
        if language in ("yaml", "python"):
            yield Step(name=FILE.findall(before)[-1], text=text)
        elif language == "console":
            for part in COMMAND.split(text)[1:]:
                yield from _commands(part)


def _commands(part: str) -> Iterator[Step]:
    lines = part.splitlines()
    here = re.search(r"<<(\w+)", lines[0])
    count = (
        lines.index(here[1]) + 1 if here else next((n for n, line in enumerate(lines, 1) if not line.endswith("\\")), len(lines))
    )
    printed = tuple(one.strip() for line in lines[count:] for one in line.split("...") if one.strip())
    yield Step("\n".join(lines[:count]), printed)


@pytest.fixture
def replaced(tmp_path: Path, free_port: int) -> Iterator[dict[str, str]]:
    """What the guides show, and what stands for it here. QEMUs that a guide has left running end with the test."""
    yield {
        "/run/": f"{tmp_path}/run/",
        "/srv/": f"{tmp_path}/srv/",
        "4444": str(free_port),
        "~/.ansible/collections": COLLECTIONS,
    }
    for pidfile in tmp_path.glob("run/*/pid"):
        with suppress(ProcessLookupError):
            os.kill(int(pidfile.read_text()), signal.SIGKILL)


def run(command: str, directory: Path) -> tuple[subprocess.CompletedProcess[str], Path]:
    """The command, run in *directory*, and the directory in which it leaves the shell."""
    left = directory / ".left"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-ec", f"{command}\npwd > {left}"],
        cwd=directory,
        env={**os.environ, "PATH": path, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_NOCOWS": "1"},
        text=True,
        check=False,
        timeout=COMMAND_SECONDS,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    return done, Path(left.read_text().strip()) if done.returncode == 0 else directory


@pytest.mark.parametrize("name", GUIDES)
def test_a_guide_can_be_followed_step_by_step(name: str, tmp_path: Path, replaced: dict[str, str]) -> None:
    guide = (DOCS / name).read_text(encoding="utf-8")
    for shown, real in replaced.items():
        guide = guide.replace(shown, real)
    directory = tmp_path
    for step in steps(guide):
        if step.name:
            (directory / step.name).write_text(step.text)
        elif not any(word in step.command for word in INSTALLS):
            done, directory = run(step.command, directory)
            position = 0
            for part in step.printed:
                position = done.stdout.find(part, position)
                assert position >= 0, f"{step.command} does not print in this order: {part}\n{done.stdout}"
                position += len(part)
            assert (done.returncode != 0) == any("failed=1" in part for part in step.printed), f"{step.command}\n{done.stdout}"
