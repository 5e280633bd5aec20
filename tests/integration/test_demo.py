# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo, which checks itself, with the ansible-core of this session."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

DEMO = Path(__file__).parents[2] / "demo" / "run"


def test_the_demo_succeeds() -> None:
    environment = {**os.environ, "ANSIBLE_BIN": str(Path(sys.executable).parent), "ANSIBLE_NOCOLOR": "1"}
    run = subprocess.run(
        [DEMO], env=environment, text=True, check=False, timeout=600, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert run.returncode == 0 and "== Done:" in run.stdout, run.stdout


def test_the_vm_of_the_demo_downloads_no_other_qemu(tmp_path: Path) -> None:
    vm = DEMO.parents[1] / "tests/vm/vm"
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    for words in (["start", "--no-guest"], ["hardware"], ["stop"]):
        run = subprocess.run(
            [vm, *words, "--dir", tmp_path / "vm"],
            env=environment,
            text=True,
            check=False,
            stderr=subprocess.STDOUT,
            stdout=subprocess.PIPE,
        )
        assert run.returncode == 0, run.stdout
    assert not (tmp_path / "cache").exists()
