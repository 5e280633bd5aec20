# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that plugs the hardware of a VM again after its QEMU was started: what the systemd unit runs.

It does what a task with vmops.qemu.qmp_hotplug does, with the options in a file, and needs nothing but Python.
"""

from __future__ import annotations

import argparse
import json
import os
import stat
import sys
import time
from typing import Any, Iterator, Mapping

from ..options.hotplug import OPERATION
from ..perform import perform

WAIT_SECONDS = 60.0
_POLL_SECONDS = 0.5
INVALID = 2
"""The exit status if another attempt cannot succeed: the file has to be mended first."""
_FAILED = 1
_NOT_UP_YET = ("connect_failed", "monitor_busy", "disconnected")
_SIGNS = {"added": "+", "changed": "~", "removed": "-"}


def main() -> int:
    """Run the program. The exit status is 0, or 1 for a failure that may pass, or INVALID."""
    parser = argparse.ArgumentParser(prog="hotplug.pyz", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", help="the hardware, as vmops.qemu.qmp_persist has written it")
    parser.add_argument("--wait", type=float, default=WAIT_SECONDS, help="seconds to wait for QEMU (default: %(default)s)")
    parser.add_argument("--check", action="store_true", help="show what would be done")
    chosen = parser.parse_args()
    try:
        given = read(chosen.file)
    except ValueError as error:
        sys.stderr.write(f"{chosen.file}: {error}\n")
        return INVALID
    deadline = time.monotonic() + chosen.wait
    while True:
        result = perform(OPERATION, given, "vmops.qemu.qmp_hotplug", chosen.check)
        if result.get("error_code") not in _NOT_UP_YET or time.monotonic() >= deadline:
            break
        time.sleep(_POLL_SECONDS)
    for warning in result.get("warnings", ()):
        sys.stderr.write(f"Warning: {warning}\n")
    if result.get("failed"):
        sys.stderr.write(f"{chosen.file}: {result['msg']} ({result['error_code']})\n")
        return INVALID if result["error_code"] == "invalid_option" else _FAILED
    changes = ", ".join(_changes(result)) or "nothing"
    sys.stdout.write(f"{'Would change' if chosen.check else 'Changed'}: {changes}\n")
    return 0


def read(path: str) -> dict[str, Any]:
    """The options in the file at *path*. Raises ValueError, with a sentence."""
    try:
        with open(path, encoding="utf-8") as file:
            about = os.fstat(file.fileno())
            if about.st_uid not in (0, os.geteuid()) or about.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise ValueError(
                    "other users can write to the file, and so change the VM. Give it to the user that runs this, and remove "
                    "the write permission of group and others."
                )
            given = json.load(file)
    except OSError as error:
        raise ValueError(f"the file cannot be read: {error.strerror}.") from None
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"the file is not JSON: {error}.") from None
    if not isinstance(given, dict):
        raise ValueError("the file does not have options and their values.")
    return given


def _changes(result: Mapping[str, Any]) -> Iterator[str]:
    """What was added, changed and removed, as +id, ~id and -id."""
    for group in result["order"]:
        for entry in group["entries"]:
            if entry["action"] != "none":
                yield f"{_SIGNS[entry['action']]}{entry['id'] or entry['kind']}"
