# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A VM for one kind, and runs of its module with a fault."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator

import pytest

from ansible_collections.vmops.qemu.tests.support.modules import finish, start
from ansible_collections.vmops.qemu.tests.support.proxy import WAITING, Fault, Proxy
from ansible_collections.vmops.qemu.tests.support.values import ALL, SECRET
from ansible_collections.vmops.qemu.tests.vm.binaries import binaries
from ansible_collections.vmops.qemu.tests.vm.images import make_encrypted
from ansible_collections.vmops.qemu.tests.vm.machine import VM

from . import data
from .kinds import RUNS, WRITES, Kind
from .saved_guests import restored
from .tally import survives

_DEATHS = (Fault.QEMU_KILLED, Fault.QEMU_KILLED_AFTER_REQUEST, Fault.QEMU_KILLED_BEFORE_REPLY, Fault.QEMU_KILLED_WAITING)
_PEER_DEATHS = (Fault.PEER_KILLED, Fault.PEER_KILLED_WAITING)
_KILLS = (Fault.KILL_BEFORE, Fault.KILL_AFTER, Fault.KILL_WAITING)
_SECONDS = 60.0
_HANG_SECONDS = 10.0
"""The timeout of a module whose QEMU hangs."""
_RETRY_SECONDS = 1.0
_LATER = ("in use", "is busy", "Permission conflict", "cannot accept command verb", "process of unplug")
"""Words of QEMU's errors for a command that it accepts a little later."""
_numbers = itertools.count()


@contextmanager
def temporary_tap(name: str) -> Iterator[str]:
    """A tap of this host, which is deleted in the end."""
    subprocess.run(["ip", "tuntap", "add", "dev", name, "mode", "tap"], check=True)
    try:
        yield name
    finally:
        subprocess.run(["ip", "link", "delete", name], check=True)


class Rig:
    """One kind on one VM, ``vm``. ``peer`` is the second VM, if the kind needs one."""

    def __init__(self, kind: Kind, directory: Path, store: Path, tap: str, luks: Path | None = None) -> None:
        self.kind = kind
        self.caused: set[int] = set()
        """The commands at which the last run with a fault met it, by number."""
        self._directory, self._store, self._tap = directory, store, tap
        self._luks = luks  # an encrypted image to copy, because it takes long to make one
        self._number = 0
        self._waits: dict[str, set[int]] = {}
        self._images: set[Path] = set()
        self._new_vm()
        self.before = self.hardware()

    # -- the VM

    def _new_vm(self) -> None:
        """Start a new VM with new files and prepare it as the kind demands."""
        kind = self.kind
        self._number = next(_numbers)
        self._words = self._make_files()
        self.peer: VM | None = None
        self.data = data.Data(kind.data) if kind.data else None
        self.vm = self._launch("vm", **kind.machine)
        if kind.core:
            self.vm.guest("cat /proc/sys/kernel/random/uuid > /tmp/word")
        self._prepare(kind.setup, self.vm)
        if kind.peer:
            self.new_peer()

    def new_peer(self) -> None:
        """Start a second VM to which the guest can migrate."""
        if self.peer:
            self.peer.stop()
            Path(self._words["uri"][len("unix:") :]).unlink(missing_ok=True)
        self.peer = self._launch(
            f"peer{next(_numbers)}",
            **{**self.kind.machine, "paused": True},
            extra=(*self.kind.machine.get("extra", ()), "-incoming", "defer"),
        )
        self._prepare(self.kind.peer, self.peer)

    def _launch(self, name: str, **machine: Any) -> VM:
        binary = binaries()[-1 if self.kind.newest else 0]
        directory = self._directory / f"{name}{self._number}"
        if machine.get("boot") and "paused" not in machine:
            return restored(directory, self._store, binary, **{"native": True, **machine})
        vm = VM(directory, binary, **{"native": True, "boot": False, **machine})
        vm.start()
        return vm

    def _prepare(self, steps: tuple[Any, ...], vm: VM) -> None:
        for step in steps:
            if step == WRITES:
                assert self.data
                self.data.write(vm)
                continue
            module, options = step
            result = finish(self.start(module, options, vm.qmp_socket))
            assert result.get("changed"), result

    def _make_files(self) -> dict[str, str]:
        directory = self._directory / f"files{self._number}"
        directory.mkdir()
        words = {"tap": self._tap, "directory": str(directory), "uri": f"unix:{directory}/migrate.sock"}
        for name, size in (("image", 16 << 20), ("target", data.SIZE)):
            words[name] = str(directory / name)
            (directory / name).write_bytes(b"")
            os.truncate(directory / name, size)
        if self.kind.data:
            words["qcow2"] = str(directory / "qcow2")
            subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", words["qcow2"], str(data.SIZE)], check=True)
        if "{luks}" in self.kind.present.values():
            words["luks"] = str(directory / "luks")
            self._luks = self._luks or make_encrypted(self._directory / "luks", "luks", SECRET)
            shutil.copy(self._luks, words["luks"])
        return words

    @contextmanager
    def twin(self) -> Iterator[Rig]:
        """A rig of the same kind with its own VM."""
        with temporary_tap(f"vmops{os.getpid()}x{next(_numbers)}") as tap:
            twin = Rig(self.kind, self._directory, self._store, tap, self._luks)
            try:
                yield twin
            finally:
                twin.stop()

    def stop(self) -> None:
        for vm in (self.vm, self.peer):
            if vm:
                vm.stop()

    # -- runs of the module

    @property
    def target(self) -> VM:
        """The VM to which the module connects."""
        target = self.peer if self.kind.at_peer else self.vm
        assert target
        return target

    def start(self, module: str, options: dict[str, Any], monitor: Path, check: bool = False) -> subprocess.Popen[str]:
        """Start a module. The words in braces of its options are replaced."""
        return start(module, {"socket": str(monitor), **self._filled(options)}, check)

    def _filled(self, value: Any) -> Any:
        """*value* with its words replaced, at any depth."""
        if isinstance(value, dict):
            return {name: self._filled(one) for name, one in value.items()}
        if isinstance(value, list):
            return [self._filled(one) for one in value]
        return value.format(**self._words) if isinstance(value, str) else value

    def options(self, state: str) -> dict[str, Any]:
        return self.kind.present if state == "present" else self.kind.absent

    def run(self, state: str, check: bool = False) -> dict[str, Any]:
        """Run the module without a fault. It is run again while work that an earlier run began still goes on."""
        deadline = time.monotonic() + _SECONDS
        while True:
            result = finish(self.start(self.kind.module, self.options(state), self.target.qmp_socket, check))
            busy = self.kind.busy and result.get("error_code") == "conflict" and self.kind.busy in result["msg"]
            if not busy or time.monotonic() > deadline:
                return result

    def run_with(self, state: str, fault: Fault, *points: int) -> dict[str, Any] | None:
        """Run the module with a fault at some of its commands. Return None if the module was killed."""
        children: list[subprocess.Popen[str]] = []
        self._images = {self.data.active(self.vm)} if self.data else set()

        def act() -> None:
            if fault in _PEER_DEATHS:
                assert self.peer
                os.kill(self.peer.pid, signal.SIGKILL)
            elif fault in _DEATHS:
                if self.data and fault is not Fault.QEMU_KILLED_AFTER_REQUEST:  # then QEMU is at work and answers too late
                    self._images.add(self.data.active(self.vm))
                os.kill(self.target.pid, signal.SIGKILL)
            elif fault is Fault.QEMU_STOPPED:
                os.kill(self.target.pid, signal.SIGSTOP)
            else:
                children[0].kill()

        proxy = Proxy(self._directory / f"proxy{next(_numbers)}", self.target.qmp_socket, fault, set(points), act)
        try:
            timeout = {"timeout": _HANG_SECONDS} if fault is Fault.QEMU_STOPPED else {}
            children.append(self.start(self.kind.module, {**self.options(state), **timeout}, proxy.path))
            if fault in _KILLS:
                assert children[0].wait(timeout=_SECONDS) == -signal.SIGKILL
                children[0].communicate()
                return None
            return finish(children[0])
        finally:
            proxy.close()
            self.caused = proxy.caused
            assert proxy.caused, f"{fault.value}: there was no such moment at {points} of {proxy.seen}"

    def points(self, state: str, fault: Fault = Fault.FAIL, first: int = 0) -> Iterator[int]:
        """The commands, by number from *first* on, at which a run towards *state* can meet the fault.

        They are counted again for each run, because a repeated run may need fewer commands. A sample of a kind with a guest's
        data, or of a fault that takes long, is one command. A test without any point fails, or is skipped if *first* is why.
        """
        count = self._count(state)
        assert count, f"{self.kind.name}: no command is planned for {state}"
        self.require(count > first, f"{state} is reached by a single command")
        where = self._waits_of(state) if fault in WAITING else set(range(first, count))
        if not ALL and (self.kind.data or fault in WAITING or fault in _DEATHS):
            where = {sorted(where)[0 if fault in WAITING else len(where) // 2]}
        tried = 0
        for point in sorted(where):
            if point < self._count(state):
                tried += 1
                yield point
        assert tried, f"{self.kind.name}: no command was tried for {state}"

    def _waits_of(self, state: str) -> set[int]:
        """The commands after which the module reads the VM's state before it continues, by number, in a run without a fault.

        A character device is waited for only where QEMU is busy with it for a moment, which it may not be the next time.
        """
        if state not in self._waits:
            path = self._directory / f"proxy{next(_numbers)}"
            proxy = Proxy(path, self.target.qmp_socket, Fault.CUT_WAITING, set(), lambda: None)
            try:
                result = finish(self.start(self.kind.module, self.options(state), proxy.path))
            finally:
                proxy.close()
            last = len(proxy.seen) - 1
            waits = {point for point in proxy.waits if proxy.seen[point] != "chardev-remove" or point == last}
            assert result.get("changed") and waits, result
            self._waits[state] = waits
            self.reset() if state == "present" else self.add()
        return self._waits[state]

    def _count(self, state: str) -> int:
        result = self.run(state, check=True)
        assert not result.get("failed"), result
        return len(result["commands"])

    # -- what the VM has

    def hardware(self) -> dict[str, Any]:
        """What the VM has. Nodes that QEMU named itself are only counted."""
        hardware = self.target.hardware()
        hardware["nodes"] = sorted("#" if name.startswith("#") else name for name in hardware["nodes"])
        more: dict[str, Any] = {
            "descriptors": [name for name in self.kind.descriptors if self._has_descriptor(name)],
            "jobs": [(job["id"], job["type"], job["status"]) for job in self.target.query("query-jobs")],
            "status": self.target.query("query-status")["status"],
        }
        if self.data and not self.kind.peer:
            more["active"] = self.data.active(self.vm).name
        if self.kind.module == "qmp_migrate":
            more["migration"] = [self.target.query("query-migrate-capabilities"), self.target.query("query-migrate-parameters")]
        return {**hardware, **more}

    def _has_descriptor(self, name: str) -> bool:
        try:
            self.vm.query("closefd", over="qmp", fdname=name)
        except RuntimeError:
            return False
        return True

    def data_is_whole(self, begun: bool = True) -> bool:
        """Whether the guest reads what it wrote, on whichever VM it runs, and can write more. True for kinds without data.

        *begun*: whether the operation of the kind was done, so that its files must be whole too.
        """
        if self.data is None:
            return True
        if begun and not self._files_are_whole(self.data.content):
            return False
        if begun:
            self._prepare(self.kind.then, self.vm)
        vm = self._vm_of_the_guest()
        whole = self.data.read_by(vm)
        self.data.write(vm)
        return whole and self.data.read_by(vm)

    def _files_are_whole(self, content: bytes) -> bool:
        """Whether the files that the operation of the kind writes are whole."""
        copy, core = (word.format(**self._words) for word in (self.kind.copy, self.kind.core))
        if copy and Path(copy).read_bytes() != content:
            return False
        return not core or data.is_whole_core(Path(core), self.vm.guest("cat /tmp/word").strip())

    def _vm_of_the_guest(self) -> VM:
        """The one VM on which the guest runs. It is resumed if it was migrated there paused. Both VMs never may run."""
        if self.peer and _status(self.peer) == "paused" and _status(self.vm) != "running":
            self._prepare((RUNS,), self.peer)
        running = [vm for vm in (self.vm, self.peer) if vm and _status(vm) == "running"]
        assert len(running) == 1, running
        return running[0]

    def data_is_whole_after_death(self) -> bool:
        """Whether the image of the guest's disk has what the guest wrote, after its QEMU was killed.

        If the other QEMU was killed: whether the guest still reads it. True for kinds without data.
        """
        if self.data is None:
            return True
        if _status(self.vm) == "running":
            return self.data_is_whole(begun=False)
        return all(self.data.is_in(image) for image in self._images)

    # -- back to the beginning

    def reset(self) -> None:
        """Remove what the kind adds, or start a new VM if it cannot be removed."""
        if self.kind.irremovable or self.kind.once:
            self.renew()
        else:
            result = self.run("absent")
            assert not result.get("failed"), result
        assert self.hardware() == self.before, (self.hardware(), self.before)

    def clean_up(self, command: dict[str, Any]) -> None:
        """Send a command of an incomplete rollback until it succeeds, as an operator would.

        QEMU refuses it while the object is in use. A device_del is sent again until the device is gone.
        """
        name, arguments = command["execute"], command.get("arguments", {})
        deadline = time.monotonic() + _SECONDS
        while True:
            try:
                self.target.execute(name, dict(arguments), "qmp")
                done = name != "device_del" or self._is_gone(arguments["id"])
            except RuntimeError as error:
                if name == "device_del" and "not found" in str(error):
                    return
                if not any(text in str(error) for text in _LATER) or time.monotonic() > deadline:
                    raise
                done = False
            if done:
                return
            assert time.monotonic() < deadline, command
            time.sleep(0.05)

    def _is_gone(self, device: str) -> bool:
        """Whether the device is gone, after a wait of some time."""
        deadline = time.monotonic() + _RETRY_SECONDS
        while device in self.target.hardware()["devices"]:
            if time.monotonic() > deadline:
                return False
        return True

    def renew(self) -> None:
        """Start a new VM. The disk of the old VM's guest must have what the guest wrote up to the end."""
        image = self._active_image()
        self.stop()
        if self.data and image:
            survives("QEMU killed at the end: the guest's data", self.data.is_in(image), image)
        self._new_vm()

    def _active_image(self) -> Path | None:
        for vm in (self.vm, self.peer):
            if self.data and vm and _status(vm) == "running":
                return self.data.active(vm)
        return None

    def be_at_the_beginning(self) -> None:
        """Start a new VM if this one is not as it was at first."""
        if not _status(self.vm) or not _status(self.target) or self.hardware() != self.before:
            self.stop()
            self._new_vm()

    def add(self) -> None:
        """Add what the kind adds, on a new VM if the old one cannot have it again."""
        if self.kind.once:
            self.renew()
        assert self.run("present")["changed"]

    def require(self, holds: Any, reason: str) -> None:
        """Skip the test if it does not apply to the kind. The summary shows the kind and the reason."""
        if not holds:
            pytest.skip(reason)

    def require_removable(self) -> None:
        self.require(not self.kind.irremovable, self.kind.irremovable)


def _status(vm: VM) -> str:
    """The VM's status. Empty if its QEMU is dead."""
    try:
        return str(vm.query("query-status")["status"])
    except (OSError, ValueError):
        return ""
