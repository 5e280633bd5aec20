# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules and programs in their own processes, whose memory and time are measured."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from .forked import MODULES

PROGRAMS = Path(__file__).parent / "programs"
PATIENCE = 300.0
"""Seconds after which a process counts as hung."""


class Outcome(NamedTuple):
    """The JSON that a process printed, the most memory that it used (MB), and how long it took (seconds)."""

    result: Any
    memory: float
    seconds: float


def measured(target: str, *arguments: str, stdin: str = "") -> Outcome:
    """Run a module, by its dotted name, or a program, by its path; it must print JSON."""
    began = time.monotonic()
    child = subprocess.run(
        [sys.executable, str(PROGRAMS / "measure.py"), target, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert child.stderr.strip().isdigit(), child.stderr
    return Outcome(json.loads(child.stdout), int(child.stderr) / 1024, time.monotonic() - began)


def run_measured(module: str, options: dict[str, Any]) -> Outcome:
    """Run a module of this collection as Ansible runs it."""
    arguments = {"_ansible_remote_tmp": tempfile.gettempdir(), **options}
    return measured(f"{MODULES}.{module}", stdin=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}))
