# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Print the totals of the JUnit reports in a folder, one line a report and ``N passed, N failed`` at the end."""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree


def main() -> int:
    passed = failed = 0
    for report in sorted(Path(sys.argv[1]).glob("*.xml")):
        cases = list(ElementTree.parse(report).iter("testcase"))
        bad = sum(1 for case in cases if case.find("failure") is not None or case.find("error") is not None)
        skipped = sum(1 for case in cases if case.find("skipped") is not None)
        print(f"{report.stem}: {len(cases) - bad - skipped} passed, {bad} failed" + (f", {skipped} skipped" if skipped else ""))
        passed, failed = passed + len(cases) - bad - skipped, failed + bad
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
