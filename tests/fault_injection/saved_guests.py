# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests that have booted, in a fraction of the time: restored from the saved state of one that booted."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Callable

from ansible_collections.vmops.qemu.tests.vm.binaries import Binary
from ansible_collections.vmops.qemu.tests.vm.machine import VM

_SECONDS = 60.0
_states: dict[str, Path] = {}
"""The saved states, by the options of the VM."""


def restored(directory: Path, store: Path, binary: Binary, **machine: Any) -> VM:
    """A running VM with a guest that answers. The first of its kind saves its state in *store*, about 100 MB, for the others."""
    kind = repr((binary.version, sorted(machine.items())))
    if kind not in _states:
        _states[kind] = _save(store / f"state{len(_states)}", VM(directory / "saved", binary, **machine))
    extra = (*machine.pop("extra", ()), "-incoming", f"exec:cat '{_states[kind]}'")
    vm = VM(directory, binary, paused=True, extra=extra, **machine)
    vm.start()
    _wait_until(vm, lambda: vm.query("query-status")["status"] != "inmigrate")
    vm.query("cont")
    vm.wait_boot()
    return vm


def _save(path: Path, vm: VM) -> Path:
    with vm:
        vm.query("migrate-set-parameters", max_bandwidth=1 << 40)
        vm.query("migrate", uri=f"exec:cat > '{path}'")
        _wait_until(vm, lambda: vm.query("query-migrate")["status"] == "completed")
    return path


def _wait_until(vm: VM, holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _SECONDS
    while not holds():
        assert time.monotonic() < deadline, vm.query("query-migrate")
        time.sleep(0.02)
