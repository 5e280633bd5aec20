# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes of modules against a module that does nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any, Iterator

from ansible_collections.vmops.qemu.plugins.module_utils.qmp import Monitor, UnixAddress
from ansible_collections.vmops.qemu.tests.vm.machine import VM

from .rounds import Group, Raw, Row, timed

NOTHING = """
from ansible.module_utils.basic import AnsibleModule
AnsibleModule(argument_spec={"id": {}, "socket": {}}, supports_check_mode=True).exit_json(changed=False)
"""

_SHOW_PEAK = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
"""
"""A small process between the bench and the module: Linux counts the memory of a parent as the peak of its child."""


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

    def groups(self, rounds: int) -> Iterator[Group]:
        few, many = self._disks
        name = "qmp_blockdev with nothing to change / a module that does nothing"
        yield Group([Row(f"{name}, as processes of an installed collection", 1.35, self.unchanged, self.nothing)], 3 * rounds)
        yield Group([Row("peak memory of the same", 1.15, self.peak, self.peak_of_nothing, "kB")], rounds)
        name = f"adding a disk to a VM with {many} SCSI disks / with {few}, as processes"
        yield Group([Row(name, 1.6, self.add_to_many, self.add_to_few)], rounds)
        name = f"qmp_info of a VM with {many} disks / a module that does nothing and a raw pipelined exchange"
        yield Group([Row(name, 1.5, self.facts, self.raw_facts)], rounds)
        most = self._disks[1]
        name = f"{most} new disks in one qmp_hotplug, per disk / {most // 10 or 1} in one, each less a module that does nothing"
        yield Group([Row(name, 1.2, partial(self.hotplug, most), partial(self.hotplug, most // 10 or 1))], rounds)

    def _run(self, path: Path, vm: VM, *before: str, **options: Any) -> str:
        """Run a module, with the words *before* its command, and return what this writes to stderr."""
        arguments = {"_ansible_remote_tmp": "/tmp", "socket": str(vm.qmp_socket), **options}
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(self._directory / "pycache")}
        child = subprocess.run(
            [*before, sys.executable, str(path)],
            input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if child.returncode:
            raise RuntimeError(child.stdout + child.stderr)
        return child.stderr

    def module(self, name: str, vm: VM, **options: Any) -> float:
        return timed(lambda: self._run(self._modules / f"{name}.py", vm, **options))

    def unchanged(self) -> float:
        return self.module("qmp_blockdev", self._few, id="nothing", state="absent")

    def nothing(self) -> float:
        return timed(lambda: self._run(self._nothing, self._few, id="nothing"))

    def peak(self) -> float:
        return self._peak(self._modules / "qmp_blockdev.py", id="nothing", state="absent")

    def peak_of_nothing(self) -> float:
        return self._peak(self._nothing, id="nothing")

    def _peak(self, path: Path, **options: Any) -> float:
        """The most memory that the process of a module has, in kB."""
        return float(self._run(path, self._few, sys.executable, "-c", _SHOW_PEAK, **options).splitlines()[-1])

    def _add(self, vm: VM) -> float:
        backend = {"driver": "null-co", "size": 1 << 20}
        seconds = self.module("qmp_blockdev", vm, id="more", backend=backend, driver="scsi-hd")
        self.module("qmp_blockdev", vm, id="more", state="absent")
        return seconds

    def add_to_many(self) -> float:
        return self._add(self._many)

    def add_to_few(self) -> float:
        return self._add(self._few)

    def hotplug(self, count: int) -> float:
        """Seconds for each of so many disks on image files that get another size."""
        disks: list[dict[str, Any]] = []
        for number in range(count):
            image = self._directory / f"image{number}"
            image.touch()
            os.truncate(image, 1 << 20)
            disks.append({"id": f"d{number}", "file": str(image), "size": 2 << 20, "driver": "scsi-hd"})
        seconds = self.module("qmp_hotplug", self._few, blockdevs=disks) - self.nothing()
        self.module("qmp_hotplug", self._few, blockdevs=[{"id": disk["id"], "state": "absent"} for disk in disks])
        return seconds / count

    def facts(self) -> float:
        return self.module("qmp_info", self._many, gather_subset=["disks"])

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
