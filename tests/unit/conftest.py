# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the unit tests share. With RECORD set, recordings are written in the end."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Callable, Iterator

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils._vm.model.hardware import Hardware
from ansible_collections.vmops.qemu.tests.support import changing as changes
from ansible_collections.vmops.qemu.tests.support import recordings


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test with ``recording`` runs on each recording of the VM that its file names in RECORDED."""
    vm = getattr(metafunc.module, "RECORDED", None)
    if vm and "recording" in metafunc.fixturenames:
        metafunc.parametrize("recording", recordings.of(vm), ids=str)


@pytest.fixture
def hardware(recording: recordings.Recording) -> Hardware:
    return recordings.hardware(recording)


@pytest.fixture
def changing() -> Iterator[Callable[[recordings.Recording], changes.Changing]]:
    """Makes VMs that the test may change, see changing.py; they end with the test."""
    with ExitStack() as stack:

        def make(recording: recordings.Recording) -> changes.Changing:
            vm = changes.vm(recording)
            stack.callback(vm.stop)
            return vm

        yield make


def pytest_configure(config: pytest.Config) -> None:
    if recordings.RECORD and hasattr(config, "workerinput"):
        raise pytest.UsageError("Recordings are written by one process: run pytest without -n.")


def pytest_sessionfinish() -> None:
    if recordings.RECORD:
        from ansible_collections.vmops.qemu.tests.vm import record

        record.finish()
