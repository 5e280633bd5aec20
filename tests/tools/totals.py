# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Print what came of the checks, one line each, and ``N passed, N failed`` at the end.

    totals.py FOLDER [NAME=STATUS ...]

FOLDER holds ``nox.json``, the report of nox on its sessions, and in a folder of its name the JUnit reports of each session that
counts its tests. Any other check, such as one made outside nox and told by its exit status, counts as one test.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree


class Count(NamedTuple):
    passed: int
    failed: int
    skipped: int = 0

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed" + (f", {self.skipped} skipped" if self.skipped else "")


def sessions(folder: Path) -> dict[str, bool]:
    """Whether each session of nox was a success. If nox itself broke down, that is the one failure."""
    report = folder / "nox.json"
    if not report.exists():
        return {"nox": False}
    return {one["signatures"][0]: one["result"] == "success" for one in json.loads(report.read_text())["sessions"]}


def count(success: bool, reports: list[Path]) -> Count:
    """The tests of a check. One that failed has a failure, even if each of its tests passed."""
    cases = [case for report in reports for case in ElementTree.parse(report).iter("testcase")]
    if not cases:
        return Count(1, 0) if success else Count(0, 1)
    bad = sum(1 for case in cases if case.find("failure") is not None or case.find("error") is not None)
    skipped = sum(1 for case in cases if case.find("skipped") is not None)
    return Count(len(cases) - bad - skipped, bad or int(not success), skipped)


def main() -> int:
    folder = Path(sys.argv[1])
    checks = {name: status == "0" for name, status in (word.split("=") for word in sys.argv[2:])} | sessions(folder)
    counts = {name: count(success, list(folder.glob(f"{name}/*.xml"))) for name, success in checks.items()}
    for name, its in counts.items():
        print(f"{name}: {its}")
    total = Count(sum(its.passed for its in counts.values()), sum(its.failed for its in counts.values()))
    print(total)
    return 1 if total.failed or not total.passed else 0


if __name__ == "__main__":
    sys.exit(main())
