# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Print the result of each check, the reasons of what was skipped, and ``N passed, N failed`` at the end.

    totals.py DIRECTORY [NAME=STATUS ...]

DIRECTORY holds ``nox.json``, nox's report on its sessions, and for each session that counts its tests a directory of its name
with their JUnit reports. NAME=STATUS adds a check that ran outside nox, with its exit status. A check that does not count its
tests counts as one.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Iterable, List, NamedTuple
from xml.etree import ElementTree


class Count(NamedTuple):
    passed: int
    failed: int
    skipped: int = 0

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed" + (f", {self.skipped} skipped" if self.skipped else "")


def sessions(directory: Path) -> dict[str, bool]:
    """Whether each session of nox succeeded. If nox itself failed, that is the one failure."""
    report = directory / "nox.json"
    if not report.exists():
        return {"nox": False}
    return {session["signatures"][0]: session["result"] == "success" for session in json.loads(report.read_text())["sessions"]}


def cases_of(reports: Iterable[Path]) -> List[ElementTree.Element]:
    """The tests of JUnit reports."""
    return [case for report in reports for case in ElementTree.parse(report).iter("testcase")]


def count(success: bool, cases: List[ElementTree.Element]) -> Count:
    """Count the tests of a check. A check that failed has a failure, even if each of its tests passed."""
    if not cases:
        return Count(1, 0) if success else Count(0, 1)
    failed = sum(1 for case in cases if case.find("failure") is not None or case.find("error") is not None)
    skipped = sum(1 for case in cases if case.find("skipped") is not None)
    return Count(len(cases) - failed - skipped, failed or int(not success), skipped)


def reasons(cases: List[ElementTree.Element]) -> List[str]:
    """Why tests were skipped, as lines to print: the number of tests for each reason, the largest first."""
    skips = [skipped for case in cases for skipped in case.findall("skipped")]
    found = Counter(skipped.get("message") or skipped.text or "no reason" for skipped in skips)
    return [f"    {number} skipped: {reason}" for reason, number in found.most_common()]


def main() -> int:
    directory = Path(sys.argv[1])
    outside = {name: status == "0" for name, status in (word.split("=") for word in sys.argv[2:])}
    counts = []
    for name, success in {**outside, **sessions(directory)}.items():
        cases = cases_of(directory.glob(f"{name}/*.xml"))
        counts.append(count(success, cases))
        print(f"{name}: {counts[-1]}", *reasons(cases), sep="\n")
    total = Count(sum(one.passed for one in counts), sum(one.failed for one in counts))
    print(total)
    return 1 if total.failed or not total.passed else 0


if __name__ == "__main__":
    sys.exit(main())
