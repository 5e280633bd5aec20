# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A running ansible-rulebook."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable

SECONDS = 60
"""Until a rule has done its work. Java and each playbook take some seconds of that."""


class Rulebook:
    """ansible-rulebook with the words of its command line, run in *directory*, as a context manager."""

    def __init__(self, directory: Path, *words: str) -> None:
        self._output = directory / "rulebook.log"
        self._command = [str(Path(sys.executable).parent / "ansible-rulebook"), *words, "--shutdown-delay", "1"]
        self._directory = directory

    def __enter__(self) -> Rulebook:
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._directory,
                env={
                    **os.environ,
                    "ANSIBLE_NOCOLOR": "1",
                    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                    "PYTHONUNBUFFERED": "1",  # else an event is only in the file when more output follows
                },
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        return self

    def __exit__(self, *_exception: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        print(self.output)  # pytest shows it if the test fails, whatever it waited for

    @property
    def output(self) -> str:
        """What it and its playbooks have printed."""
        return self._output.read_text(encoding="utf-8", errors="replace")

    def wait(self, done: Callable[[], bool]) -> None:
        """Wait until *done*. The error shows the output."""
        deadline = time.monotonic() + SECONDS
        while not done():
            assert self._process.poll() is None, self.output
            assert time.monotonic() < deadline, self.output
            time.sleep(0.1)
