# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A libvirt of our own, with one domain, as a peer: an unprivileged daemon with all its files in one directory."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from ansible_collections.vmops.qemu.tests.vm.machine import VM

from .playbooks import remove_disks
from .processes import Processes
from .rounds import Group, Row, timed

_NOBODY = 65534
_UP_SECONDS = 30.0
_DIRECTORIES = ("RUNTIME_DIR", "CONFIG_HOME", "CACHE_HOME", "DATA_HOME", "STATE_HOME")
_DAEMONS = ("virtqemud", "libvirtd")  # the one for QEMU alone, which newer versions have, or the one for all
_DOMAIN = """
<domain type='qemu'>
  <name>bench</name>
  <memory unit='MiB'>256</memory>
  <os><type machine='q35'>hvm</type></os>
  <devices><emulator>{emulator}</emulator><controller type='scsi' model='virtio-scsi'/><memballoon model='none'/></devices>
</domain>
"""
_DISK = """
<disk type='file' device='disk'>
  <driver name='qemu' type='raw'/><source file='{file}'/><target dev='{name}' bus='scsi'/>
  <address type='drive' controller='0' bus='0' target='{target}' unit='0'/>
</disk>
"""


class Libvirt:
    """The sides of a row: raw files of 1 MiB become disks of a paused VM. As a context manager it starts and stops the daemon."""

    def __init__(self, vm: VM, processes: Processes, disks: int) -> None:
        self._vm, self._processes, self._count = vm, processes, disks
        self._root = Path(tempfile.mkdtemp(prefix="vmops-libvirt-"))
        names = {f"XDG_{name}": str(self._root / name.lower()) for name in _DIRECTORIES}
        # it looks for QEMUs in PATH, and asks each of them what it can do
        self._environment = {"PATH": str(self._root / "bin"), "HOME": str(self._root), "LC_ALL": "C", **names}
        self._daemon: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Libvirt:
        for name in ("bin", "config_home/libvirt", *map(str.lower, _DIRECTORIES)):
            (self._root / name).mkdir(parents=True, exist_ok=True)
        emulator = self._root / "bin/qemu-system-x86_64"
        emulator.symlink_to(str(shutil.which("qemu-system-x86_64")))
        (self._root / "config_home/libvirt/qemu.conf").write_text('stdio_handler = "file"\n')
        (self._root / "domain.xml").write_text(_DOMAIN.format(emulator=emulator))
        for number in range(self._count):
            file = self._file(number)
            file.touch()
            os.truncate(file, 1 << 20)
            name = f"sd{chr(ord('a') + number // 26 - 1) if number >= 26 else ''}{chr(ord('a') + number % 26)}"
            (self._root / f"d{number}.xml").write_text(_DISK.format(file=file, name=name, target=number))
        for path in (self._root, *self._root.rglob("*")):
            os.chown(path, _NOBODY, _NOBODY, follow_symlinks=False)
        command = next(filter(None, map(shutil.which, _DAEMONS)))
        with (self._root / "log").open("wb") as log:
            self._daemon = subprocess.Popen([command], stdout=log, stderr=log, start_new_session=True, **self._as_nobody())
        try:
            deadline = time.monotonic() + _UP_SECONDS
            while self._virsh("uri").returncode and time.monotonic() < deadline:
                time.sleep(0.1)
            self._must("create", str(self._root / "domain.xml"), "--paused")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        self._virsh("destroy", "bench")
        if self._daemon is not None:
            self._daemon.terminate()
            self._daemon.wait()
        shutil.rmtree(self._root)

    def group(self, rounds: int) -> Group:
        name = f"qmp_hotplug with {self._count} disks / {self._count} virsh attach-device --live, as processes"
        return Group([Row(name, 0.6, self.hotplug, self.attach)], rounds)

    def attach(self) -> float:
        def attach_all() -> None:
            for number in range(self._count):
                self._must("attach-device", "bench", str(self._root / f"d{number}.xml"), "--live")

        seconds = timed(attach_all)
        for number in range(self._count):
            self._must("detach-device", "bench", str(self._root / f"d{number}.xml"), "--live")
        return seconds

    def hotplug(self) -> float:
        disks = [{"id": f"d{number}", "driver": "scsi-hd", "file": str(self._file(number))} for number in range(self._count)]
        seconds = self._processes.module("qmp_hotplug", self._vm, blockdevs=disks)
        remove_disks(self._vm)
        return seconds

    def _file(self, number: int) -> Path:
        return self._root / f"d{number}.img"

    def _must(self, *words: str) -> None:
        child = self._virsh(*words)
        if child.returncode:
            raise RuntimeError(child.stdout + child.stderr + (self._root / "log").read_text())

    def _virsh(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [str(shutil.which("virsh")), "--connect", "qemu:///session", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, **self._as_nobody())

    def _as_nobody(self) -> dict[str, Any]:
        return {"env": self._environment, "cwd": self._root, "user": _NOBODY, "group": _NOBODY, "extra_groups": []}
