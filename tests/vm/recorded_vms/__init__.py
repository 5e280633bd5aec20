# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The VMs that unit tests know by their recordings, one to a file, each the ``RECORDED_VM`` of its module.

A VM has what the tests of one kind of hardware need to see: some that was there at launch, some that was plugged since, and what
others use. To add one, write NAME.py here, a test that uses ``recordings.of("NAME")`` (see ``tests/support/recordings.py``), and
run ``nox -s record -- NAME``. Without a guest a VM is ready in half a second, and is in the same state each time.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Dict

from ansible_collections.vmops.qemu.tests.support.recordings import DIRECTORY

__all__ = ["DIRECTORY", "Act", "RecordedVM", "named"]

Act = Callable[[str, Dict[str, Any]], Any]
"""Has a command with its arguments done, and returns the answer."""


def nothing(_argument: Any) -> None:
    pass


@dataclass(frozen=True)
class RecordedVM:
    """A VM to record. All its paths are below DIRECTORY.

    ``words`` of its command line come after those that every VM of the tests has. ``images`` makes the files for them in the
    directory that it is given, which stands for DIRECTORY. ``acts`` are QMP commands that are executed before the VM is asked;
    ``then(act)`` does what depends on answers. ``machine`` are fields of tests.vm.machine.VM.
    """

    words: list[str]
    acts: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    images: Callable[[Path], None] = nothing
    then: Callable[[Act], None] = nothing
    machine: dict[str, Any] = field(default_factory=lambda: {"boot": False, "native": True})


def named(name: str) -> RecordedVM:
    vm: RecordedVM = importlib.import_module(f"{__name__}.{name}").RECORDED_VM
    return vm
