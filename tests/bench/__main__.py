# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure every row of docs/performance.md, print the table, and write it as JSON and as a plot.

With --smoke the numbers are small, nothing is written, and no verdict is given: it shows that the bench runs.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import signal
import sys
import tempfile
from pathlib import Path
from typing import Iterator

from ansible.release import __version__ as ansible_core

from ansible_collections.vmops.qemu.tests.vm.binaries import own
from ansible_collections.vmops.qemu.tests.vm.machine import VM

from ..support import bench_report
from .engine import Engine, deleted
from .fleet import Fleet
from .libvirt import Libvirt
from .playbooks import Playbooks
from .processes import Processes
from .rounds import Group, Result, measure


def groups(directory: Path, smoke: bool) -> Iterator[Group]:
    rounds = 1 if smoke else 5
    with VM(directory / "few", boot=False) as few, VM(directory / "many", boot=False) as many:
        yield from Engine(few, 5 if smoke else 25).groups(rounds if smoke else 31)
        yield deleted(few, 3 if smoke else 21)
        processes = Processes(directory, few, many, (2, 5) if smoke else (10, 200))
        yield from processes.groups(rounds)
    with VM(directory / "none", boot=False) as none:
        yield Playbooks(directory, none, 2 if smoke else 32).group(1 if smoke else 3)
        with Libvirt(none, processes, 2 if smoke else 32) as libvirt:
            yield libvirt.group(rounds)
    with Fleet(directory, 1 if smoke else 6, 2 if smoke else 60) as fleet:
        yield fleet.group(1 if smoke else 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="small numbers, no verdict, and nothing is written")
    parser.add_argument("directory", type=Path, nargs="?", default=Path(), help="where performance.json and .svg go")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_signal: sys.exit(1))  # so that no VM is left
    load = os.getloadavg()[0]
    results: list[Result] = []
    with tempfile.TemporaryDirectory() as directory:
        for group in groups(Path(directory), options.smoke):
            for result in measure(group):
                results.append(result)
                verdict = "" if options.smoke else f"  {result.verdict}"
                print(f"{result.value:8.2f}  (at most {result.target:g}){verdict}  {result.name}", flush=True)
            if not options.smoke:
                write(options.directory, load, results)


def write(directory: Path, load: float, results: list[Result]) -> None:
    """Write what is measured so far. *load*: the load average at the start."""
    whole = {
        "date": datetime.date.today().isoformat(),
        "qemu": own().version,
        "ansible_core": ansible_core,
        "python": platform.python_version(),
        "processors": os.cpu_count(),
        "load": [load, os.getloadavg()[0]],
        "rows": [{**result._asdict(), "verdict": result.verdict} for result in results],
    }
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "performance.json").write_text(json.dumps(whole, indent=2, ensure_ascii=False) + "\n")
    (directory / "performance.svg").write_text(bench_report.plot(whole))


if __name__ == "__main__":
    main()
