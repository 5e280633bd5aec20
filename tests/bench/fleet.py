# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many VMs in one play: whether the time for each stays the same."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from ansible_collections.vmops.qemu.tests.vm.machine import VM

from .ansible import Ansible
from .rounds import Group, Row

_STARTING = 4  # VMs at one time


class Fleet:
    """The sides of a row. As a context manager it starts and stops the VMs. Each round gives each VM one more disk and NIC."""

    def __init__(self, directory: Path, few: int, many: int) -> None:
        self._ansible = Ansible(directory)
        self._counts = few, many
        self._vms = [VM(directory / f"vm{number}", boot=False) for number in range(few + many)]
        self._few, self._many = self._vms[:few], self._vms[few:]
        self._rounds = itertools.count()
        self._stack = ExitStack()

    def __enter__(self) -> Fleet:
        with ExitStack() as stack, ThreadPoolExecutor(_STARTING) as pool:
            for vm in self._vms:
                stack.callback(vm.stop)
            for _started in pool.map(VM.start, self._vms):
                pass
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stack.close()

    def group(self, rounds: int) -> Group:
        few, many = self._counts
        name = f"the role, strategy transaction, a disk and a NIC each, per VM: {many} VMs / {few} VMs"
        return Group([Row(name, 1.1, self.many, self.few)], rounds)

    def many(self) -> float:
        return self._per_vm(self._many)

    def few(self) -> float:
        return self._per_vm(self._few)

    def _per_vm(self, vms: list[VM]) -> float:
        number = next(self._rounds)
        backend = {"driver": "null-co", "size": 1 << 20}
        role = {
            "ansible.builtin.import_role": {"name": "vmops.qemu.hotplug"},
            "vars": {
                "hotplug_strategy": "transaction",
                "hotplug_blockdevs": [{"id": f"d{number}", "driver": "scsi-hd", "backend": backend}],
                "hotplug_netdevs": [{"id": f"n{number}", "type": "user"}],
            },
        }
        hosts = {vm.directory.name: {"hotplug_socket": str(vm.qmp_socket)} for vm in vms}
        return self._ansible.play([role], hosts) / len(vms)
