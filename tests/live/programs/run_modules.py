# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run modules one after the other, each in its own process whose output and log go to files.

run_modules.py TASKS DIRECTORY

TASKS is a JSON file: a list of modules, each with its arguments. DIRECTORY gets the files N.in, N.out, N.err and N.log of task N.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import syslog
import traceback
from pathlib import Path
from typing import Any, Callable
from unittest import mock

from ansible.module_utils import basic

MODULES = "ansible_collections.vmops.qemu.plugins.modules"


def run(main: Callable[[], None], arguments: dict[str, Any], directory: Path, number: int) -> None:
    """Run a module in this process and exit."""
    log = (directory / f"{number}.log").open("w")

    def write(_priority: int, message: str) -> None:
        print(message, file=log, flush=True)

    mock.patch.object(syslog, "openlog").start()
    mock.patch.object(syslog, "syslog", write).start()
    (directory / f"{number}.in").write_text(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}))
    for descriptor, name in enumerate(("in", "out", "err")):
        os.dup2(os.open(directory / f"{number}.{name}", os.O_RDWR | os.O_CREAT), descriptor)
    sys.stdin = open(0)
    sys.argv[1:] = []
    try:
        main()
    except SystemExit:
        pass
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def main() -> None:
    tasks, directory = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
    basic.has_journal = False
    mains = {module: importlib.import_module(f"{MODULES}.{module}").main for module, _arguments in tasks}
    for number, (module, arguments) in enumerate(tasks):
        child = os.fork()
        if not child:
            run(mains[module], arguments, directory, number)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
