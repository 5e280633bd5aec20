# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes of modules against a module that does nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Iterator

from ansible_collections.vmops.qemu.plugins.module_utils.qmp import Monitor, UnixAddress
from ansible_collections.vmops.qemu.tests.vm.machine import VM

from .rounds import Raw, Row, timed

NOTHING = """
from ansible.module_utils.basic import AnsibleModule
AnsibleModule(argument_spec={"id": {}, "socket": {}}, supports_check_mode=True).exit_json(changed=False)
"""


class Processes:
    """The sides of the rows."""

    def __init__(self, directory: Path, few: VM, many: VM, disks: tuple[int, int]) -> None:
        self._directory = directory
        self._nothing = directory / "nothing.py"
        self._nothing.write_text(NOTHING)
        self._modules = Path(__file__).parents[2] / "plugins/modules"
        self._few, self._many, self._disks = few, many, disks
        for vm, count in zip((few, many), disks):
            with Monitor.connect(UnixAddress(str(vm.qmp_socket))) as monitor:
                for number in range(count):
                    monitor.execute("blockdev-add", {"driver": "null-co", "node-name": f"n{number}", "size": 1 << 20})
                    slot = {"bus": "scsi0.0", "scsi-id": number % 250, "lun": number // 250}
                    monitor.execute("device_add", {"driver": "scsi-hd", "id": f"s{number}", "drive": f"n{number}", **slot})

    def rows(self, rounds: int) -> Iterator[Row]:
        few, many = self._disks
        yield Row(
            "qmp_blockdev with nothing to change / a module that does nothing", 1.35, self.unchanged, self.nothing, 3 * rounds
        )
        yield Row("peak memory of the same / of a module that does nothing", 1.15, self.peak, self.peak_of_nothing, rounds)
        yield Row(f"adding a disk to a VM with {many} SCSI disks / with {few}", 1.6, self.add_to_many, self.add_to_few, rounds)
        yield Row(f"the facts of a VM with {many} disks / a raw pipelined exchange", 1.5, self.facts, self.raw_facts, rounds)

    def _run(self, path: Path, vm: VM, **options: Any) -> int:
        """Run a module; return the most memory that its process had, in kB."""
        arguments = {"_ansible_remote_tmp": "/tmp", "socket": str(vm.qmp_socket), **options}
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(self._directory / "pycache")}
        with (self._directory / "input").open("w+") as given, (self._directory / "output").open("w+") as output:
            given.write(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}))
            given.seek(0)
            child = subprocess.Popen([sys.executable, str(path)], stdin=given, stdout=output, env=environment)
            _pid, child.returncode, usage = os.wait4(child.pid, 0)
            output.seek(0)
            result = json.loads(output.read())
        if result.get("failed"):
            raise RuntimeError(result["msg"])
        return usage.ru_maxrss

    def _module(self, name: str, vm: VM, **options: Any) -> float:
        return timed(lambda: self._run(self._modules / f"{name}.py", vm, **options))

    def unchanged(self) -> float:
        return self._module("qmp_blockdev", self._few, id="nothing", state="absent")

    def nothing(self) -> float:
        return timed(lambda: self._run(self._nothing, self._few, id="nothing"))

    def peak(self) -> float:
        return float(self._run(self._modules / "qmp_blockdev.py", self._few, id="nothing", state="absent"))

    def peak_of_nothing(self) -> float:
        return float(self._run(self._nothing, self._few, id="nothing"))

    def _add(self, vm: VM) -> float:
        backend = {"driver": "null-co", "size": 1 << 20}
        seconds = self._module("qmp_blockdev", vm, id="more", backend=backend, driver="scsi-hd")
        self._module("qmp_blockdev", vm, id="more", state="absent")
        return seconds

    def add_to_many(self) -> float:
        return self._add(self._many)

    def add_to_few(self) -> float:
        return self._add(self._few)

    def facts(self) -> float:
        return self._module("qmp_info", self._many, gather_subset=["disks"])

    def raw_facts(self) -> float:
        """A module that does nothing, and the fewest queries that return as much of the disks."""

        def ask() -> None:
            raw = Raw(str(self._many.directory / "watch.sock"))
            names = [entry["name"] for entry in raw.ask(b'{"execute":"qom-list","arguments":{"path":"/machine/peripheral"}}')]
            raw.ask(b'{"execute":"query-named-block-nodes","arguments":{"flat":true}}')
            raw.ask(b'{"execute":"query-block"}')
            properties = ("parent_bus", "scsi-id", "lun", "serial", "hotplugged")
            form = '{"execute":"qom-get","arguments":{"path":"/machine/peripheral/%s","property":"%s"}}'
            disks = [name for name in names if name.startswith("s") and name != "scsi0"]
            raw.ask_many([(form % (name, one)).encode() for name in disks for one in properties])
            raw.close()

        return self.nothing() + timed(ask)
