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
from .kinds import KEEP, RUNS, Kind
from .saved_guests import restored
from .tally import survives

_DEATHS = (Fault.QEMU_KILLED, Fault.QEMU_KILLED_AFTER_REQUEST, Fault.QEMU_KILLED_BEFORE_REPLY, Fault.QEMU_KILLED_WAITING)
_PEER_DEATHS = (Fault.PEER_KILLED, Fault.PEER_KILLED_WAITING)
_SECONDS = 60.0
_PATIENCE = 10.0  # seconds, with a QEMU that hangs
_numbers = itertools.count()


@contextmanager
def made_tap(name: str) -> Iterator[str]:
    """A tap of this host, for a while."""
    subprocess.run(["ip", "tuntap", "add", "dev", name, "mode", "tap"], check=True)
    try:
        yield name
    finally:
        subprocess.run(["ip", "link", "delete", name], check=True)


_LATER = ("in use", "Permission conflict", "cannot accept command verb", "process of unplug")
"""What QEMU says of a command that it takes a little later."""


class Rig:
    """One kind on one VM, which ``vm`` is; with ``peer``, the second one, where the kind has that."""

    def __init__(self, kind: Kind, directory: Path, store: Path, tap: str) -> None:
        self.kind = kind
        self._directory, self._store, self._tap = directory, store, tap
        self._luks: Path | None = None
        self._number = 0
        self._waits: dict[str, set[int]] = {}
        self._new_vm()
        self.before = self.hardware()

    # -- the VM

    def _new_vm(self) -> None:
        """Have a new VM with new files, as far as the kind wants it given."""
        kind = self.kind
        self._number = next(_numbers)
        self._words = self._make_files()
        self.peer: VM | None = None
        self.data = data.Data(kind.data) if kind.data else None
        self.vm = self._launch("vm", **kind.machine)
        if kind.core:
            self.vm.guest("cat /proc/sys/kernel/random/uuid > /tmp/word")
        self._give(kind.given, self.vm)
        if kind.peer:
            self.new_peer()

    def new_peer(self) -> None:
        """Have a second VM to which the guest can move."""
        if self.peer:
            self.peer.stop()
            Path(self._words["uri"][len("unix:") :]).unlink(missing_ok=True)
        self.peer = self._launch(
            f"peer{next(_numbers)}",
            **{**self.kind.machine, "paused": True},
            extra=(*self.kind.machine.get("extra", ()), "-incoming", "defer"),
        )
        self._give(self.kind.peer, self.peer)

    def _launch(self, name: str, **machine: Any) -> VM:
        binary = binaries()[-1 if self.kind.newest else 0]
        directory = self._directory / f"{name}{self._number}"
        if machine.get("boot") and "paused" not in machine:
            return restored(directory, self._store, binary, **{"native": True, **machine})
        vm = VM(directory, binary, **{"native": True, "boot": False, **machine})
        vm.start()
        return vm

    def _give(self, given: tuple[Any, ...], vm: VM) -> None:
        for one in given:
            if one == KEEP:
                assert self.data
                self.data.write(vm)
                continue
            result = finish(self.start(*one, vm.qmp_socket))
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
        """The same on a VM of its own."""
        with made_tap(f"vmops{os.getpid()}x{next(_numbers)}") as tap:
            twin = Rig(self.kind, self._directory, self._store, tap)
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
        """The VM that the module speaks to."""
        target = self.peer if self.kind.at_peer else self.vm
        assert target
        return target

    def start(self, module: str, options: dict[str, Any], monitor: Path, check: bool = False) -> subprocess.Popen[str]:
        """Start a module whose options have the words of this test in them."""
        return start(module, {"socket": str(monitor), **self._filled(options)}, check)

    def _filled(self, options: dict[str, Any]) -> dict[str, Any]:
        return {name: value.format(**self._words) if isinstance(value, str) else value for name, value in options.items()}

    def options(self, wanted: str) -> dict[str, Any]:
        return self.kind.present if wanted == "present" else self.kind.absent

    def run(self, wanted: str, check: bool = False) -> dict[str, Any]:
        """Run the module as it is; again, while what another run began still goes on."""
        deadline = time.monotonic() + _SECONDS
        while True:
            result = finish(self.start(self.kind.module, self.options(wanted), self.target.qmp_socket, check))
            goes_on = self.kind.busy and result.get("error_code") == "conflict" and self.kind.busy in result["msg"]
            if not goes_on or time.monotonic() > deadline:
                return result

    def run_with(self, wanted: str, fault: Fault, *points: int) -> dict[str, Any] | None:
        """Run the module with a fault at some of its commands; None if it was killed."""
        children: list[subprocess.Popen[str]] = []
        self._images = {self.data.active(self.vm)} if self.data else set()

        def act() -> None:
            if fault in _PEER_DEATHS:
                assert self.peer
                os.kill(self.peer.pid, signal.SIGKILL)
            elif fault in _DEATHS:
                if self.data and fault is not Fault.QEMU_KILLED_AFTER_REQUEST:  # then it works, and answers too late
                    self._images.add(self.data.active(self.vm))
                os.kill(self.target.pid, signal.SIGKILL)
            elif fault is Fault.QEMU_STOPPED:
                os.kill(self.target.pid, signal.SIGSTOP)
            else:
                children[0].kill()

        proxy = Proxy(self._directory / f"proxy{next(_numbers)}", self.target.qmp_socket, fault, set(points), act)
        try:
            patience = {"timeout": _PATIENCE} if fault is Fault.QEMU_STOPPED else {}
            children.append(self.start(self.kind.module, {**self.options(wanted), **patience}, proxy.path))
            if fault in (Fault.KILL_BEFORE, Fault.KILL_AFTER, Fault.KILL_WAITING):
                assert children[0].wait(timeout=_SECONDS) == -signal.SIGKILL
                children[0].communicate()
                return None
            return finish(children[0])
        finally:
            proxy.close()
            assert proxy.caused, f"{fault.value}: no such moment at {points} of {proxy.seen}"

    def points(self, wanted: str, fault: Fault = Fault.FAIL, first: int = 0) -> Iterator[int]:
        """The commands on the way to *wanted*, by number, at which there is such a fault; counted anew for each, for a way once
        gone may be shorter. A sample of a kind with a guest's data, or of faults that take long, is one of them."""
        count = self._count(wanted)
        assert count, f"{self.kind.name}: nothing is planned on the way to {wanted}"
        self.needs(count > first, f"there is but one command on the way to {wanted}")
        where = self._waits_of(wanted) if fault in WAITING else set(range(first, count))
        if not ALL and (self.kind.data or fault in WAITING or fault in _DEATHS):
            where = {sorted(where)[0 if fault in WAITING else len(where) // 2]}
        for point in sorted(where):
            if point < self._count(wanted):
                yield point

    def _waits_of(self, wanted: str) -> set[int]:
        """The commands after which the module looks at the VM before it goes on, as it does without a fault."""
        if wanted not in self._waits:
            path = self._directory / f"proxy{next(_numbers)}"
            proxy = Proxy(path, self.target.qmp_socket, Fault.CUT_WAITING, set(), lambda: None)
            try:
                result = finish(self.start(self.kind.module, self.options(wanted), proxy.path))
            finally:
                proxy.close()
            assert result.get("changed") and proxy.waits, result
            self._waits[wanted] = proxy.waits
            self.reset() if wanted == "present" else self.have()
        return self._waits[wanted]

    def _count(self, wanted: str) -> int:
        result = self.run(wanted, check=True)
        assert not result.get("failed"), result
        return len(result["commands"])

    # -- what there is

    def hardware(self) -> dict[str, Any]:
        """What the VMs have, with nodes that QEMU named itself only counted; with the descriptors that are left."""
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
        """Whether the guest has the bytes that it keeps, wherever it is, and can keep more. *begun*: whether what the kind does
        was done, so that what comes of it is to be there too. True of kinds without."""
        if self.data is None:
            return True
        if begun and not self._came_of_it(self.data.content):
            return False
        if begun:
            self._give(self.kind.then, self.vm)
        vm = self._where_the_guest_is()
        whole = self.data.read_by(vm)
        self.data.write(vm)
        return whole and self.data.read_by(vm)

    def _came_of_it(self, content: bytes) -> bool:
        """Whether the files that the kind makes are whole."""
        copy, core = (word.format(**self._words) for word in (self.kind.copy, self.kind.core))
        if copy and Path(copy).read_bytes() != content:
            return False
        return not core or data.is_whole_core(Path(core), self.vm.guest("cat /tmp/word").strip())

    def _where_the_guest_is(self) -> VM:
        """The one VM that has it; started there if it has just come. Never may both run."""
        if self.peer and _status(self.peer) == "paused" and _status(self.vm) != "running":
            self._give((RUNS,), self.peer)
        running = [vm for vm in (self.vm, self.peer) if vm and _status(vm) == "running"]
        assert len(running) == 1, running
        return running[0]

    def data_is_whole_after_death(self) -> bool:
        """Whether the bytes that the guest kept are in the image that its disk was on, now that QEMU is dead; where another QEMU
        has died, whether the guest still has them. True of kinds without."""
        if self.data is None:
            return True
        if _status(self.vm) == "running":
            return self.data_is_whole(begun=False)
        return all(self.data.is_in(image) for image in self._images)

    # -- back to where it began

    def reset(self) -> None:
        """Have it no more, by unplugging or else by a new VM."""
        if self.kind.stays or self.kind.once:
            self.renew()
        else:
            result = self.run("absent")
            assert not result.get("failed"), result
        assert self.hardware() == self.before, (self.hardware(), self.before)

    def clean_up(self, command: dict[str, Any]) -> None:
        """Send a command as an operator would: again, as long as QEMU has in use what is to go, or the guest has not let go."""
        name, arguments = command["execute"], command.get("arguments", {})
        deadline = time.monotonic() + _SECONDS
        while True:
            try:
                self.target.query(name, over="qmp", **arguments)
                if name != "device_del":
                    return
            except RuntimeError as error:
                later = any(text in str(error) for text in _LATER)
                if name == "device_del" and "not found" in str(error):
                    return
                if not later or time.monotonic() > deadline:
                    raise
            if self._is_gone(arguments.get("id", ""), time.monotonic() + 1):
                return

    def _is_gone(self, device: str, deadline: float) -> bool:
        """Whether QEMU has a device no more before the time is over."""
        while device in self.target.hardware()["devices"]:
            if time.monotonic() > deadline:
                return False
        return bool(device)

    def renew(self) -> None:
        """Have a new VM. The guest of the one before kept its bytes up to the end."""
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
        """Have a new VM where this one is not as it was at first."""
        if not _status(self.vm) or not _status(self.target) or self.hardware() != self.before:
            self.stop()
            self._new_vm()

    def have(self) -> None:
        """Have it, anew where it was had before."""
        if self.kind.once:
            self.renew()
        assert self.run("present")["changed"]

    def needs(self, holds: Any, reason: str) -> None:
        """Skip the test for a kind to which it does not apply; the summary tells kind and reason."""
        if not holds:
            pytest.skip(reason)


def _status(vm: VM) -> str:
    """The VM's status, empty when its QEMU is dead."""
    try:
        return str(vm.query("query-status")["status"])
    except (OSError, ValueError):
        return ""
