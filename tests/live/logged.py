# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules whose output and log go to files."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Sequence

from ansible.module_utils.common.parameters import PASS_VARS

PROGRAM = Path(__file__).parent / "programs" / "run_modules.py"
OF_THIS_ANSIBLE = {
    f"_ansible_{name}": value for name, value in (("tracebacks_for", ["error"]), ("inject_invocation", True)) if name in PASS_VARS
}
"""Internal arguments of newer versions of ansible-core."""


class Said:
    """The output and log of one run of a module, and its result; the exchange with QEMU apart."""

    def __init__(self, directory: Path, number: int) -> None:
        self.out, self.err, self.log = ((directory / f"{number}.{name}").read_text() for name in ("out", "err", "log"))
        self.result = json.loads(self.out)
        self.exchange: list[str] = self.result.pop("exchange", [])


def run_logged(directory: Path, tasks: Sequence[tuple[str, dict[str, Any]]], check: bool = False) -> list[Said]:
    """Run modules with options one after the other. *directory* must be empty; it gets their output."""
    internal = {
        "_ansible_check_mode": check,
        "_ansible_diff": True,
        "_ansible_verbosity": 4,
        "_ansible_remote_tmp": tempfile.gettempdir(),
        "_ansible_no_log": False,
        **OF_THIS_ANSIBLE,
    }
    file = directory / "tasks"
    file.write_text(json.dumps([(module, {**options, **internal}) for module, options in tasks]))
    subprocess.run([sys.executable, str(PROGRAM), str(file), str(directory)], check=True)
    return [Said(directory, number) for number in range(len(tasks))]
