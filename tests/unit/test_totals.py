# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The totals of ``make test``: what failed counts, and what was skipped is shown with its reason."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Dict

TOOL = Path(__file__).resolve().parents[1] / "tools" / "totals.py"
REPORT = """<testsuites><testsuite>
<testcase name="one"/>
<testcase name="two"><failure/></testcase>
<testcase name="three"><skipped message="no such hardware"/></testcase>
<testcase name="four"><skipped>no such hardware</skipped></testcase>
<testcase name="five"><skipped message="too old"/></testcase>
</testsuite></testsuites>"""


def totals(directory: Path, sessions: Dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    report = {"sessions": [{"signatures": [name], "result": result} for name, result in sessions.items()]}
    (directory / "nox.json").write_text(json.dumps(report))
    command = [sys.executable, str(TOOL), str(directory), *words]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)


def test_the_reasons_of_skipped_tests_are_grouped_and_counted(tmp_path: Path) -> None:
    (tmp_path / "live").mkdir()
    (tmp_path / "live" / "report.xml").write_text(REPORT)
    run = totals(tmp_path, {"live": "failed", "static": "success"}, "demo=0")
    assert run.stdout.splitlines() == [
        "demo: 1 passed, 0 failed",
        "live: 1 passed, 1 failed, 3 skipped",
        "    2 skipped: no such hardware",
        "    1 skipped: too old",
        "static: 1 passed, 0 failed",
        "3 passed, 1 failed",
    ]
    assert run.returncode == 1


def test_a_session_that_failed_without_a_failed_test_counts_as_a_failure(tmp_path: Path) -> None:
    run = totals(tmp_path, {"static": "failed", "lint": "success"})
    assert run.stdout.splitlines()[-1] == "1 passed, 1 failed" and run.returncode == 1


def test_all_that_passed_ends_with_success(tmp_path: Path) -> None:
    run = totals(tmp_path, {"static": "success"}, "demo=0")
    assert run.stdout.splitlines()[-1] == "2 passed, 0 failed" and run.returncode == 0


def test_a_nox_that_wrote_no_report_is_a_failure(tmp_path: Path) -> None:
    run = subprocess.run([sys.executable, str(TOOL), str(tmp_path)], stdout=subprocess.PIPE, text=True, check=False)
    assert run.stdout.splitlines() == ["nox: 0 passed, 1 failed", "0 passed, 1 failed"] and run.returncode == 1
