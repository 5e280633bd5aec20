# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the tiers with real QEMU. The conftest of a tier imports those that it uses."""

from __future__ import annotations

import itertools
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from ansible_collections.vmops.qemu.tests.support.modules import Modules
from ansible_collections.vmops.qemu.tests.vm.binaries import Binary, binaries
from ansible_collections.vmops.qemu.tests.vm.machine import VM

_numbers = itertools.count()


@pytest.fixture(scope="session", params=binaries(), ids=lambda binary: str(binary.version))
def binary(request: pytest.FixtureRequest) -> Binary:
    """Each QEMU that this machine has."""
    binary: Binary = request.param
    return binary


@pytest.fixture(scope="session")
def session_vm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VM]:
    """The distribution's QEMU with a running guest, for all tests of the session."""
    with VM(tmp_path_factory.mktemp("vm")) as vm:
        yield vm


@pytest.fixture
def vm(session_vm: VM) -> Iterator[VM]:
    """The VM of the session. Fails the test if the VM's hardware afterwards is not what it was before."""
    before = session_vm.hardware()
    yield session_vm
    assert session_vm.hardware() == before


@pytest.fixture
def make_vm(tmp_path: Path) -> Iterator[Callable[..., VM]]:
    """Start VMs with other options. They end with the test."""
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
    """A VM of each QEMU without a guest, paused before its first instruction."""
    return make_vm(binary=binary, boot=False)


@pytest.fixture
def modules(vm: VM) -> Modules:
    return Modules(vm)


@pytest.fixture
def make_tap() -> Iterator[Callable[..., str]]:
    """Create taps on this host. They are deleted after the test."""
    created: list[str] = []

    def make(*options: str) -> str:
        name = f"vmops{os.getpid()}n{next(_numbers)}"
        subprocess.run(["ip", "tuntap", "add", "dev", name, "mode", "tap", *options], check=True)
        created.append(name)
        return name

    yield make
    for name in created:
        subprocess.run(["ip", "link", "delete", name], check=True)


@pytest.fixture
def free_port() -> int:
    """A port of this host on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def image(tmp_path: Path) -> Callable[..., str]:
    """Create disk images: ``image("data", "64M", "qcow2")`` returns the path of one."""

    def make(name: str, size: str = "16M", format: str = "raw") -> str:
        path = tmp_path / name
        subprocess.run(["qemu-img", "create", "-q", "-f", format, path, size], check=True)
        return str(path)

    return make


@pytest.fixture
def public_directory() -> Iterator[Path]:
    """A directory that every user can reach."""
    directory = Path(tempfile.mkdtemp(prefix="vmops"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)
