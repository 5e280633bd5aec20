# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A VM for each kind, and runs of its module with a fault."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from ansible_collections.vmops.qemu.tests.live import conftest as live
from ansible_collections.vmops.qemu.tests.live.conftest import finish, start
from ansible_collections.vmops.qemu.tests.vm.binaries import binaries
from ansible_collections.vmops.qemu.tests.vm.images import make_encrypted
from ansible_collections.vmops.qemu.tests.vm.machine import VM

from .kinds import KINDS, SECRET, Kind
from .proxy import Fault, Proxy

make_vm, make_tap, image = live.make_vm, live.make_tap, live.image  # fixtures
ALL = os.environ.get("TORTURE") == "all"
TALLY: dict[str, Counter[str]] = {}
_numbers = itertools.count()


class Rig:
    """One kind on one VM."""

    def __init__(self, kind: Kind, launch: Callable[[], VM], words: dict[str, str], directory: Path) -> None:
        self.kind = kind
        self._launch, self._words, self._directory = launch, words, directory
        self._new_vm()
        self.before = self.hardware()

    def _new_vm(self) -> None:
        self.vm = self._launch()
        for module, options in self.kind.given:
            given = finish(self.start(module, options, self.vm.qmp_socket))
            assert given.get("changed"), given

    def start(self, module: str, options: dict[str, Any], monitor: Path, check: bool = False) -> subprocess.Popen[str]:
        """Start a module whose options have the words of this test in them."""
        filled = {name: value.format(**self._words) if isinstance(value, str) else value for name, value in options.items()}
        return start(module, {"socket": str(monitor), **filled}, check)

    def options(self, wanted: str) -> dict[str, Any]:
        return self.kind.present if wanted == "present" else self.kind.absent

    def run(self, wanted: str, check: bool = False) -> dict[str, Any]:
        """Run the module as it is."""
        return finish(self.start(self.kind.module, self.options(wanted), self.vm.qmp_socket, check))

    def run_with(self, wanted: str, fault: Fault, *points: int) -> dict[str, Any] | None:
        """Run the module with a fault at some of its commands; None if it was killed."""
        children: list[subprocess.Popen[str]] = []

        def act() -> None:
            if fault in (Fault.QEMU_KILLED, Fault.QEMU_STOPPED):
                os.kill(self.vm.pid, signal.SIGKILL if fault is Fault.QEMU_KILLED else signal.SIGSTOP)
            else:
                children[0].kill()

        proxy = Proxy(self._directory / f"proxy{next(_numbers)}", self.vm.qmp_socket, fault, set(points), act)
        try:
            children.append(self.start(self.kind.module, self.options(wanted), proxy.path))
            if fault in (Fault.KILL_BEFORE, Fault.KILL_AFTER):
                assert children[0].wait(timeout=60) == -9
                children[0].communicate()
                return None
            return finish(children[0])
        finally:
            proxy.close()

    def points(self, wanted: str, first: int = 0) -> Iterator[int]:
        """The commands on the way to *wanted*, by number; counted anew for each, for a way once gone may be shorter."""
        point = first
        while point < len(self.run(wanted, check=True)["commands"]):
            yield point
            point += 1

    def hardware(self) -> dict[str, Any]:
        """What QEMU has, with nodes that it named itself only counted; with the descriptors that are left."""
        hardware = self.vm.hardware()
        hardware["nodes"] = sorted("#" if name.startswith("#") else name for name in hardware["nodes"])
        return {**hardware, "descriptors": [name for name in self.kind.descriptors if self._has_descriptor(name)]}

    def _has_descriptor(self, name: str) -> bool:
        try:
            self.vm.query("closefd", over="qmp", fdname=name)
        except RuntimeError:
            return False
        return True

    def reset(self) -> None:
        """Have it no more, by unplugging or else by a new VM."""
        if not self.kind.removable or self.kind.once:
            self.renew()
        else:
            result = self.run("absent")
            assert not result.get("failed"), result
        assert self.hardware() == self.before

    def clean_up(self, command: dict[str, Any]) -> None:
        """Send a command as an operator would: again, as long as QEMU has in use what is to go."""
        deadline = time.monotonic() + 10
        while True:
            try:
                self.vm.query(command["execute"], over="qmp", **command.get("arguments", {}))
                return
            except RuntimeError as error:
                if "in use" not in str(error) or time.monotonic() > deadline:
                    raise

    def renew(self) -> None:
        """Have a new VM."""
        self.vm.stop()
        self._new_vm()

    def have(self) -> None:
        """Have it, anew where it was had before."""
        if self.kind.once:
            self.renew()
        assert self.run("present")["changed"]

    def survives(self, what: str, holds: bool, told: object) -> None:
        survives(what, holds, told)


def survives(what: str, holds: bool, told: object) -> None:
    """Count one point of a fault class, and fail if it was lost; *told* is shown then."""
    TALLY.setdefault(what, Counter())["survived" if holds else "lost"] += 1
    assert holds, told


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "rig" in metafunc.fixturenames:
        kinds = [kind for kind in KINDS if kind.sample or ALL]
        metafunc.parametrize("rig", kinds, indirect=True, ids=[kind.name for kind in kinds], scope="module")


@pytest.fixture(scope="module")
def rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    directory = tmp_path_factory.mktemp("rig")
    tap = f"vmops{os.getpid()}t{next(_numbers)}"
    subprocess.run(["ip", "tuntap", "add", "dev", tap, "mode", "tap"], check=True)
    raw = directory / "image"
    raw.write_bytes(b"")
    os.truncate(raw, 16 << 20)

    def launch() -> VM:
        binary = binaries()[-1 if request.param.newest else 0]
        vm = VM(directory / f"vm{next(_numbers)}", binary, native=True, **{"boot": False, **request.param.machine})
        vm.start()
        return vm

    words = {"tap": tap, "image": str(raw), "directory": str(directory)}
    if "{luks}" in request.param.present.values():
        words["luks"] = str(make_encrypted(directory / "luks", "luks", SECRET))
    rig = Rig(request.param, launch, words, directory)
    yield rig
    rig.vm.stop()
    subprocess.run(["ip", "link", "delete", tap], check=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if TALLY:
        terminalreporter.section("torture")
        terminalreporter.line(f"{'fault':40} {'tried':>8} {'survived':>8} {'lost':>8}")
        for what, counts in TALLY.items():
            terminalreporter.line(f"{what:40} {counts.total():8} {counts['survived']:8} {counts['lost']:8}")
