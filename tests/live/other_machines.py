# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines of any architecture, without a guest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterator

import pytest

from ansible_collections.vmops.qemu.tests.vm.machine import VM


@dataclass
class OtherVM(VM):
    """A machine by QEMU's words for it, standing before its first instruction."""

    words: tuple[str, ...] = ()

    def command_line(self) -> list[str]:
        return [
            *self.words,
            "-accel",
            "tcg",
            "-nodefaults",
            "-display",
            "none",
            "-S",
            "-qmp",
            f"unix:{self.qmp_socket},server=on,wait=off",
            "-qmp",
            f"unix:{self.directory}/watch.sock,server=on,wait=off",
        ]


@pytest.fixture
def make_other(tmp_path: Path) -> Iterator[Callable[..., VM]]:
    """Start a machine; it ends with the test."""
    started: list[VM] = []

    def make(*words: str) -> VM:
        vm = OtherVM(tmp_path / f"vm{len(started)}", boot=False, words=words)
        started.append(vm)
        vm.start()
        return vm

    yield make
    for vm in started:
        vm.stop()
