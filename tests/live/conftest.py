# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VMs for the live tests, and the modules run against them as Ansible runs them."""

from __future__ import annotations

import itertools
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from ansible_collections.vmops.qemu.tests.vm.binaries import Binary, binaries
from ansible_collections.vmops.qemu.tests.vm.machine import VM

MODULES = "ansible_collections.vmops.qemu.plugins.modules"
RUN_SECONDS = 120
_numbers = itertools.count()


def start(module: str, options: dict[str, Any], check: bool = False, **process: Any) -> subprocess.Popen[str]:
    """Start a module in a process of its own, its options on standard input."""
    arguments = {**options, "_ansible_check_mode": check, "_ansible_remote_tmp": "/tmp", "_ansible_diff": True}
    child = subprocess.Popen(
        [sys.executable, "-m", f"{MODULES}.{module}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **process,
    )
    assert child.stdin
    child.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}))
    child.stdin.close()
    child.stdin = None
    return child


def finish(child: subprocess.Popen[str]) -> dict[str, Any]:
    """Wait for a module and return its result."""
    out, err = child.communicate(timeout=RUN_SECONDS)
    try:
        return json.loads(out)
    except ValueError:
        raise AssertionError(f"the module ended with {child.returncode}: {out}\n{err}") from None


def unchanged(result: dict[str, Any]) -> bool:
    """Whether a module found everything as it should be; a failure, which changes nothing either, is none."""
    assert not result.get("failed"), result
    return result["changed"] is False


class Modules:
    """The modules, bound to one VM: ``modules.blockdev(id="d1", …)``. A failure is returned, not raised."""

    def __init__(self, vm: VM) -> None:
        self.vm = vm

    def run(self, module: str, check: bool = False, **options: Any) -> dict[str, Any]:
        return finish(self.start(module, check, **options))

    def start(self, module: str, check: bool = False, **options: Any) -> subprocess.Popen[str]:
        return start(module, {"socket": str(self.vm.qmp_socket), **options}, check)

    def blockdev(self, **options: Any) -> dict[str, Any]:
        return self.run("qmp_blockdev", **options)

    def netdev(self, **options: Any) -> dict[str, Any]:
        return self.run("qmp_netdev", **options)

    def cpus(self, **options: Any) -> dict[str, Any]:
        return self.run("qmp_cpu_hotplug", **options)

    def info(self, **options: Any) -> dict[str, Any]:
        return self.run("qmp_info", **options)


@pytest.fixture(scope="session", params=binaries(), ids=lambda binary: binary.version)
def binary(request: pytest.FixtureRequest) -> Binary:
    """Each QEMU that there is to test against."""
    return request.param


@pytest.fixture(scope="session")
def shared_vm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VM]:
    with VM(tmp_path_factory.mktemp("vm")) as vm:
        yield vm


@pytest.fixture
def vm(shared_vm: VM) -> Iterator[VM]:
    """The distribution's QEMU with a running guest. The test must leave it as it was."""
    before = shared_vm.hardware()
    yield shared_vm
    assert shared_vm.hardware() == before


@pytest.fixture
def make_vm(tmp_path: Path) -> Iterator[Callable[..., VM]]:
    """Start VMs of other kinds; they end with the test."""
    started: list[VM] = []

    def make(**options: Any) -> VM:
        vm = VM(tmp_path / f"vm{len(started)}", **options)
        started.append(vm)
        vm.start()
        return vm

    yield make
    for vm in started:
        vm.stop()


@pytest.fixture
def bare_vm(binary: Binary, make_vm: Callable[..., VM]) -> VM:
    """A QEMU of each version with no guest: it stands before its first instruction."""
    return make_vm(binary=binary, boot=False)


@pytest.fixture
def modules(vm: VM) -> Modules:
    return Modules(vm)


@pytest.fixture
def make_tap() -> Iterator[Callable[..., str]]:
    """Make taps of this host; they go with the test."""
    made: list[str] = []

    def make(*options: str) -> str:
        name = f"vmops{os.getpid()}n{next(_numbers)}"
        subprocess.run(["ip", "tuntap", "add", "dev", name, "mode", "tap", *options], check=True)
        made.append(name)
        return name

    yield make
    for name in made:
        subprocess.run(["ip", "link", "delete", name], check=True)


@pytest.fixture
def free_port() -> int:
    """A port of this host on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def image(tmp_path: Path) -> Callable[..., str]:
    """Make disk images: ``image("data", "64M", "qcow2")`` is the path of one."""

    def make(name: str, size: str = "16M", format: str = "raw") -> str:
        path = tmp_path / name
        subprocess.run(["qemu-img", "create", "-q", "-f", format, path, size], check=True)
        return str(path)

    return make
