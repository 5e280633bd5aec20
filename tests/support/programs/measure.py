# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a module (by its dotted name) or a program (by its path) and print the most memory that it used, in KiB, on standard error.

measure.py TARGET [ARGUMENT ...]
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path


def main() -> None:
    target = sys.argv[1]
    del sys.argv[1]
    try:
        run = runpy.run_path if target.endswith(".py") else runpy.run_module
        run(target, run_name="__main__")
    finally:
        sys.stdout.flush()
        lines = Path("/proc/self/status").read_text().splitlines()
        print(next(line.split()[1] for line in lines if line.startswith("VmHWM")), file=sys.stderr)


if __name__ == "__main__":
    main()
