# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests that have booted, in a fraction of the time: from the saved state of one that did."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Dict

from ansible_collections.vmops.qemu.tests.vm.binaries import Binary
from ansible_collections.vmops.qemu.tests.vm.machine import VM

_SECONDS = 60.0
_states: Dict[str, Path] = {}  # by what the VM is


def restored(directory: Path, store: Path, binary: Binary, **machine: Any) -> VM:
    """A running VM with a guest that answers. *store* keeps the state of the first of its kind, some 100 MB, for the others."""
    kind = repr((binary.version, sorted(machine.items())))
    if kind not in _states:
        _states[kind] = _freeze(store / f"state{len(_states)}", VM(directory / "frozen", binary, **machine))
    extra = (*machine.pop("extra", ()), "-incoming", f"exec:cat '{_states[kind]}'")
    vm = VM(directory, binary, paused=True, extra=extra, **machine)
    vm.start()
    _until(vm, lambda: vm.query("query-status")["status"] != "inmigrate")
    vm.query("cont")
    vm.wait_boot()
    return vm


def _freeze(path: Path, vm: VM) -> Path:
    with vm:
        vm.query("migrate-set-parameters", max_bandwidth=1 << 40)
        vm.query("migrate", uri=f"exec:cat > '{path}'")
        _until(vm, lambda: vm.query("query-migrate")["status"] == "completed")
    return path


def _until(vm: VM, holds: Any) -> None:
    deadline = time.monotonic() + _SECONDS
    while not holds():
        assert time.monotonic() < deadline, vm.query("query-migrate")
        time.sleep(0.02)
