# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure every row of docs/performance.md, print the table, and write JSON and a plot.

Usage: python -m ansible_collections.vmops.qemu.tests.bench [--smoke] [DIRECTORY]

With ``--smoke`` the numbers are small and no verdict is given.
"""

from __future__ import annotations

import json
import platform
import sys
import tempfile
from pathlib import Path
from typing import Iterator

from ansible_collections.vmops.qemu.tests.vm.machine import VM

from .engine import Engine, deleted
from .playbooks import Playbooks
from .processes import Processes
from .rounds import Result, Row, measure

_HEIGHT = 24  # pixels of a bar


def rows(directory: Path, smoke: bool) -> Iterator[Row]:
    rounds = 1 if smoke else 9
    with VM(directory / "few", boot=False) as few, VM(directory / "many", boot=False) as many:
        yield from Engine(few, 5 if smoke else 25).rows(rounds if smoke else 61)
        yield deleted(few, 3 if smoke else 21)
        yield from Processes(directory, few, many, (2, 5) if smoke else (10, 200)).rows(rounds)
    with VM(directory / "none", boot=False) as none:
        yield from Playbooks(directory, none, 2 if smoke else 32).rows(1 if smoke else 3)


def plot(results: list[Result]) -> str:
    """A bar for each row, as an SVG image: how much of its target it takes."""
    bars = []
    for number, result in enumerate(results):
        share = min((result.value or 0) / result.target, 2.0)
        colour = {"met": "#2a7", "missed": "#c33"}.get(result.verdict, "#999")
        top = number * _HEIGHT
        value = "–" if result.value is None else f"{result.value:.2f}"
        bars.append(
            f'<text x="0" y="{top + 15}">{result.name} ({value}, target {result.target:g})</text>'
            f'<rect x="600" y="{top + 4}" width="{share * 200:.0f}" height="{_HEIGHT - 8}" fill="{colour}"/>'
        )
    height = len(results) * _HEIGHT
    line = f'<line x1="800" y1="0" x2="800" y2="{height}" stroke="black" stroke-dasharray="4"/>'
    style = 'font-family="sans-serif" font-size="12"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" width="1010" height="{height}" {style}>{"".join(bars)}{line}</svg>\n'


def main() -> int:
    smoke = "--smoke" in sys.argv
    target = Path(next((word for word in sys.argv[1:] if not word.startswith("-")), "."))
    results = []
    with tempfile.TemporaryDirectory() as directory:
        for row in rows(Path(directory), smoke):
            result = measure(row)
            results.append(result)
            verdict = "" if smoke else f"  {result.verdict}"
            print(f"{result.value:8.2f}  (at most {result.target:g}){verdict}  {result.name}", flush=True)
    if not smoke:
        target.mkdir(parents=True, exist_ok=True)
        report = {
            "python": platform.python_version(),
            "rows": [{**result._asdict(), "verdict": result.verdict} for result in results],
        }
        (target / "performance.json").write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n")
        (target / "performance.svg").write_text(plot(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
