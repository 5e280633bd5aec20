# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A VM for each kind, and runs of its module with a fault."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from ansible_collections.vmops.qemu.tests.live import conftest as live
from ansible_collections.vmops.qemu.tests.live.conftest import finish, start
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
        self.vm = launch()
        self.before = self.hardware()

    def options(self, wanted: str) -> dict[str, Any]:
        options = self.kind.present if wanted == "present" else self.kind.absent
        return {name: value.format(**self._words) if isinstance(value, str) else value for name, value in options.items()}

    def run(self, wanted: str, check: bool = False) -> dict[str, Any]:
        """Run the module as it is."""
        return finish(start(self.kind.module, {"socket": str(self.vm.qmp_socket), **self.options(wanted)}, check))

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
            children.append(start(self.kind.module, {"socket": str(proxy.path), **self.options(wanted)}))
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
        if not self.kind.removable:
            self.renew()
        else:
            result = self.run("absent")
            assert not result.get("failed"), result
        assert self.hardware() == self.before

    def renew(self) -> None:
        """Have a new VM."""
        self.vm.stop()
        self.vm = self._launch()

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
        vm = VM(directory / f"vm{next(_numbers)}", native=True, **{"boot": False, **request.param.machine})
        vm.start()
        return vm

    words = {"tap": tap, "image": str(raw)}
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
