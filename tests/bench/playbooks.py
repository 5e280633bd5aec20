# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A task for each disk in a loop, one task for all disks, and the role. Module processes, unless a row says otherwise."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ansible_collections.vmops.qemu.plugins.module_utils.qmp import Monitor, UnixAddress
from ansible_collections.vmops.qemu.tests.vm.machine import VM

from .ansible import Ansible, Task
from .rounds import Group, Raw, Row, timed

_BLOCKDEV, _HOTPLUG = "vmops.qemu.qmp_blockdev", "vmops.qemu.qmp_hotplug"


def disks_on_files(directory: Path, count: int) -> list[dict[str, Any]]:
    """Disks of a SCSI bus, as a task describes them, and their files."""
    files = [directory / f"disk{number}.img" for number in range(count)]
    for file in files:
        file.touch()
        os.truncate(file, 1 << 20)
    return [{"id": f"d{number}", "driver": "scsi-hd", "file": str(file)} for number, file in enumerate(files)]


def remove_disks(vm: VM) -> None:
    """Remove what tasks for such disks have added."""
    with Monitor.connect(UnixAddress(str(vm.qmp_socket))) as monitor:
        for entry in monitor.execute("qom-list", {"path": "/machine/peripheral"}):
            if entry["name"].startswith("d"):
                mark = monitor.mark()
                monitor.execute("device_del", {"id": entry["name"]})
                monitor.wait_event(lambda event: event.name == "DEVICE_DELETED", mark, 10)
        for node in monitor.execute("query-named-block-nodes"):
            if node["node-name"].startswith("d"):
                monitor.execute("blockdev-del", {"node-name": node["node-name"]})


class Playbooks:
    """The sides of the rows. The VM has no disk before and after each."""

    def __init__(self, directory: Path, vm: VM, disks: int) -> None:
        self._ansible, self._vm = Ansible(directory), vm
        self._socket = {"socket": str(vm.qmp_socket)}
        self._disks = disks_on_files(directory, disks)

    def group(self, rounds: int) -> Group:
        count = len(self._disks)
        loop = "a loop of qmp_blockdev in processes"
        nothing = "loop of a module that does nothing"
        rows = [
            Row(f"the role with {count} disks, strategy modules, in processes / {loop}", 1.05, self.role_modules, self.loop),
            Row(f"the role with {count} disks, strategy transaction, in processes / {loop}", 0.12, self.role, self.loop),
            Row(f"the same role in Ansible's worker / {loop}", 0.12, self.role_in_worker, self.loop),
            Row(f"qmp_hotplug with {count} disks in a process / {loop}, each less an empty play", 0.10, self.one, self.loop_only),
            Row(
                "the same task / QEMU's own time for its commands and a module that does nothing",
                1.5,
                self.one,
                self.least,
            ),
            Row("the same task in Ansible's worker / the same", 1.5, self.one_in_worker, self.least),
            Row(
                f"loop of {count} qmp_blockdev with nothing to change, in processes / {nothing}",
                1.20,
                self.loop_unchanged,
                self.loop_of_nothing,
            ),
            Row(f"loop of {count} qmp_blockdev in Ansible's worker / {nothing}", 0.15, self.loop_in_worker, self.loop_of_nothing),
        ]
        return Group(rows, rounds)

    def role_modules(self) -> float:
        return self._undone(self._ansible.play([self._role("modules", in_process=False)]))

    def role(self) -> float:
        return self._undone(self._ansible.play([self._role("transaction", in_process=False)]))

    def role_in_worker(self) -> float:
        return self._undone(self._ansible.play([self._role("transaction", in_process=True)]))

    def loop(self) -> float:
        return self._undone(self._ansible.play([self._loop(in_process=False)]))

    def loop_only(self) -> float:
        return self._undone(self._ansible.less_empty([self._loop(in_process=False)]))

    def loop_in_worker(self) -> float:
        return self._undone(self._ansible.less_empty([self._loop(in_process=True)]))

    def loop_unchanged(self) -> float:
        task = self._loop(in_process=False)
        task[_BLOCKDEV] = {**self._socket, "id": "{{ item.id }}", "state": "absent"}
        return self._ansible.less_empty([task])

    def loop_of_nothing(self) -> float:
        return self._ansible.less_empty([{"nothing": {"id": "{{ item.id }}"}, "loop": self._disks}])

    def one(self) -> float:
        return self._one(in_process=False)

    def one_in_worker(self) -> float:
        return self._one(in_process=True)

    def _one(self, in_process: bool) -> float:
        task = {_HOTPLUG: {**self._socket, "blockdevs": self._disks}, **_in_process(in_process)}
        return self._undone(self._ansible.less_empty([task]))

    def least(self) -> float:
        """The commands alone, with the fewest bytes, and a module that does nothing."""

        def add() -> None:
            for disk in self._disks:
                raw.ask(_request("blockdev-add", {"driver": "file", "node-name": disk["id"], "filename": disk["file"]}))
                raw.ask(_request("device_add", {"id": disk["id"], "drive": disk["id"], "driver": disk["driver"]}))

        raw = Raw(str(self._vm.directory / "watch.sock"))
        seconds = timed(add)
        raw.close()
        return self._undone(seconds) + self._ansible.less_empty([{"nothing": {"id": "one"}}])

    def _loop(self, in_process: bool) -> Task:
        disk = {name: f"{{{{ item.{name} }}}}" for name in self._disks[0]}
        return {_BLOCKDEV: {**self._socket, **disk}, "loop": self._disks, **_in_process(in_process)}

    def _role(self, strategy: str, in_process: bool) -> Task:
        variables = {
            "hotplug_socket": self._socket["socket"],
            "hotplug_blockdevs": self._disks,
            "hotplug_strategy": strategy,
            **_in_process(in_process)["vars"],
        }
        return {"ansible.builtin.import_role": {"name": "vmops.qemu.hotplug"}, "vars": variables}

    def _undone(self, seconds: float) -> float:
        remove_disks(self._vm)
        return seconds


def _in_process(whether: bool) -> Task:
    return {"vars": {"vmops_qemu_in_process": whether}}


def _request(command: str, arguments: dict[str, Any]) -> bytes:
    return json.dumps({"execute": command, "arguments": arguments}, separators=(",", ":")).encode()
