# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run modules in processes that are forked from one that has loaded them all: each on its own, without a new Python's cost."""

from __future__ import annotations

import importlib
import io
import multiprocessing
import os
import sys
import traceback
from contextlib import redirect_stderr, redirect_stdout
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

MODULES = "ansible_collections.vmops.qemu.plugins.modules"

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    ["pytest", *(f"{MODULES}.{path.stem}" for path in sorted((Path(__file__).parents[2] / "plugins/modules").glob("qmp_*.py")))]
)


def run(module: str, arguments: str, seconds: float) -> tuple[Any, str, str]:
    """Run a module with *arguments* on its standard input. Return its exit status, its output and its error output.

    TimeoutError after *seconds*; EOFError if the process died.
    """
    receiver, sender = _FORKS.Pipe(duplex=False)
    child = _FORKS.Process(target=_main, args=(sender, module, arguments, dict(os.environ), Path.cwd()))
    child.start()
    sender.close()
    try:
        if not receiver.poll(seconds):
            raise TimeoutError(f"{module} did not end within {seconds} seconds")
        result: tuple[Any, str, str] = receiver.recv()
        return result
    finally:
        child.kill()
        child.join()
        receiver.close()


def _main(sender: Connection, module: str, arguments: str, environment: dict[str, str], directory: Path) -> None:
    """What the forked process does."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(directory)
    sys.argv = [module]
    sys.stdin = io.TextIOWrapper(io.BytesIO(arguments.encode()))
    output, errors = io.StringIO(), io.StringIO()
    status: Any = 0
    with redirect_stdout(output), redirect_stderr(errors):
        try:
            importlib.import_module(f"{MODULES}.{module}").main()
        except SystemExit as end:
            status = end.code
        except BaseException:
            status = 1
            traceback.print_exc()
    sender.send((status, output.getvalue(), errors.getvalue()))
