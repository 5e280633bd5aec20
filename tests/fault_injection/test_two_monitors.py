# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tasks for one object at the same time, over two monitors of one VM.

One task adds the object. The others find it there or report a conflict, and none removes anything of the first one.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.vmops.qemu.tests.support.modules import Modules, finish, start
from ansible_collections.vmops.qemu.tests.support.values import ALL, NULL, SECRET
from ansible_collections.vmops.qemu.tests.vm.images import make_encrypted
from ansible_collections.vmops.qemu.tests.vm.machine import VM

from .tally import survives

TASKS = 20
ROUNDS = 3 if ALL else 1
LOSSES = {"conflict"}

ONE: dict[str, tuple[str, dict[str, Any]]] = {
    "disk": ("qmp_blockdev", {"backend": NULL}),
    "SCSI disk": ("qmp_blockdev", {"backend": NULL, "driver": "scsi-hd"}),
    "encrypted disk": ("qmp_blockdev", {"file": "{luks}", "format": "luks", "passphrase": SECRET}),
    "NIC": ("qmp_netdev", {"type": "user", "mac": "52:54:00:00:00:01"}),
    "object": ("qmp_object", {"qom_type": "iothread"}),
    "character device": ("qmp_chardev", {"type": "null"}),
    "serial port": ("qmp_chardev", {"type": "null", "driver": "virtserialport", "name": "x"}),
    "memory": ("qmp_memory_hotplug", {"size": "128M"}),
    "device": ("qmp_device", {"driver": "virtio-rng-pci"}),
}


def at_once(vm: VM, module: str, tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The results of tasks that run at the same time, every other one over the second monitor."""
    sockets = [str(vm.qmp_socket), str(vm.directory / "watch.sock")]
    children = [
        start(module, {"socket": sockets[number % 2], "connect_timeout": 60.0, "timeout": 60.0, **task})
        for number, task in enumerate(tasks)
    ]
    return [finish(child) for child in children]


def outcome(result: dict[str, Any]) -> str:
    return str(result.get("error_code") or ("changed" if result["changed"] else "unchanged"))


SAMPLE = ("encrypted disk", "NIC", "object", "character device", "memory")


@pytest.mark.parametrize("what", ONE if ALL else SAMPLE)
def test_of_twenty_tasks_for_one_object_one_adds_it(make_vm: Callable[..., VM], what: str, tmp_path: Path) -> None:
    vm = make_vm(boot=False, native=True, extra=("-device", "virtio-serial-pci,id=serial0,bus=rp0,addr=0"))
    module, options = ONE[what]
    if "{luks}" in options.values():
        options = {**options, "file": str(make_encrypted(tmp_path / "luks", "luks", SECRET))}
    before = vm.hardware()
    removable = what != "memory"  # a DIMM is only released by a guest
    for _round in range(ROUNDS if removable else 1):
        results = at_once(vm, module, [{"id": "x1", **options}] * TASKS)
        codes = Counter(outcome(result) for result in results)
        once_more = Modules(vm).run(module, id="x1", **options)
        whole = outcome(once_more) == "unchanged" and "secret" not in once_more.get("diff", {}) and has_its_secret(vm, what)
        right = codes["changed"] == 1 and not set(codes) - {"changed", "unchanged"} - LOSSES
        survives("twenty tasks for one over two monitors", right and whole, (codes, once_more, results))
        if removable:
            results = at_once(vm, module, [{"id": "x1", "state": "absent"}] * TASKS)
            codes = Counter(outcome(result) for result in results)
            gone = not set(codes) - {"changed", "unchanged"} - LOSSES and codes["changed"] >= 1 and vm.hardware() == before
            survives("twenty removals of one over two monitors", gone, (codes, vm.hardware(), before, results))


def has_its_secret(vm: VM, what: str) -> bool:
    """Whether an encrypted disk still has the secret with which it was opened."""
    secrets = [name for name in vm.hardware()["objects"] if name.startswith("x1")]
    return what != "encrypted disk" or bool(secrets)


@pytest.mark.parametrize("what", ["disk", "NIC"] if ALL else ["disk"])
def test_tasks_that_choose_a_free_slot_at_the_same_time_never_share_one(make_vm: Callable[..., VM], what: str) -> None:
    """Each chooses the first free slot, and so does another at the same time. It takes the next slot or reports a conflict."""
    vm = make_vm(boot=False, native=True, ports=8)
    module, options = ONE[what]
    names = [f"x{number}" for number in range(6)]
    mac = {"mac": None} if what == "NIC" else {}
    results = at_once(vm, module, [{**options, **mac, "id": name} for name in names])
    held = {name for name in vm.hardware()["devices"] if name in names}
    for name, result in zip(names, results):
        right = outcome(result) == "changed" and name in held or outcome(result) in LOSSES and name not in held
        survives("slots chosen over two monitors", right, (name, result, held))
    again = at_once(vm, module, [{**options, **mac, "id": name} for name in sorted(set(names) - held)])
    survives("slots chosen over two monitors", all(outcome(one) in ({"changed"} | LOSSES) for one in again), again)
