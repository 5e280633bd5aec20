# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Character devices and virtio serial ports: spoken to from the guest, changed in place, removed."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from ansible_collections.vmops.qemu.tests.vm.machine import VM

from .conftest import Modules, unchanged
from .test_refusals import refused

CONTROLLER = ("-device", "virtio-serial-pci,id=serial0")


@pytest.fixture(scope="module")
def serial_vm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VM]:
    with VM(tmp_path_factory.mktemp("vm"), extra=CONTROLLER) as vm:
        yield vm


@pytest.fixture
def vm(serial_vm: VM) -> Iterator[VM]:
    """A VM with a serial controller and a running guest. The test must leave it as it was."""
    before = serial_vm.hardware()
    yield serial_vm
    assert serial_vm.hardware() == before


def chardev(vm: VM, check: bool = False, **options: Any) -> dict[str, Any]:
    return Modules(vm).run("qmp_chardev", check, **options)


def gone(vm: VM, name: str) -> None:
    assert chardev(vm, id=name, state="absent")["changed"]
    assert unchanged(chardev(vm, id=name, state="absent"))


def test_a_port_is_spoken_to_from_the_guest(vm: VM, tmp_path: Path) -> None:
    options = {"id": "c1", "type": "socket", "path": str(tmp_path / "c.sock"), "driver": "virtserialport", "name": "org.test.c1"}
    before = vm.hardware()
    planned = chardev(vm, check=True, **options)
    assert planned["changed"] and vm.hardware() == before
    added = chardev(vm, **options)
    assert added.get("commands") == planned["commands"], added
    assert added["chardev"]["guest_path"] == "/dev/virtio-ports/org.test.c1"
    assert added["launch_args"][:2] == ["-chardev", f"socket,id=c1,path={tmp_path}/c.sock,server=on,wait=off"]
    again = chardev(vm, **options)
    assert unchanged(again) and again["unverified"] == [], again
    port = vm.guest("cd /sys/class/virtio-ports; for n in *; do [ $(cat $n/name) = org.test.c1 ] && echo $n; done; true").strip()
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(str(tmp_path / "c.sock"))
        line.sendall(b"to the guest\n")
        assert vm.guest(f"head -n1 /dev/{port}") == "to the guest\n"
        vm.guest(f"echo from the guest > /dev/{port}")
        assert line.recv(100) == b"from the guest\n"
    gone(vm, "c1")
    vm.guest(f"while [ -e /dev/{port} ]; do :; done")


def test_a_console(vm: VM) -> None:
    added = chardev(vm, id="con1", type="pty", driver="virtconsole")
    assert added["chardev"]["path"].startswith("/dev/pts/") and added["chardev"]["driver"] == "virtconsole", added
    assert unchanged(chardev(vm, id="con1", type="pty", driver="virtconsole"))
    gone(vm, "con1")


@pytest.mark.parametrize(("options", "told"), [
    ({"type": "null"}, {}),
    ({"type": "ringbuf", "options": {"size": 1024}}, {}),
    ({"type": "socket", "address": "127.0.0.1", "address_port": 0}, {"server": True}),
    ({"type": "file", "path": "{dir}/out"}, {}),
], ids=lambda value: str(value.get("type")))
def test_backends_by_themselves(bare_vm: VM, options: dict[str, Any], told: dict[str, Any], tmp_path: Path) -> None:
    options = {name: value.format(dir=tmp_path) if name == "path" else value for name, value in options.items()}
    before = bare_vm.hardware()
    added = chardev(bare_vm, id="c1", **options)
    assert added.get("changed") and told.items() <= added["chardev"].items(), added
    assert unchanged(chardev(bare_vm, id="c1", **options))
    gone(bare_vm, "c1")
    assert bare_vm.hardware() == before


def test_another_address_or_type_is_changed_in_place_under_the_port(vm: VM, tmp_path: Path) -> None:
    port = {"id": "c1", "driver": "virtserialport", "name": "x"}
    assert chardev(vm, type="socket", path=str(tmp_path / "a.sock"), **port)["changed"]
    for backend in ({"type": "socket", "path": str(tmp_path / "b.sock")}, {"type": "null"}):
        result = chardev(vm, **backend, **port)
        assert [command["execute"] for command in result["commands"]] == ["chardev-change"], result
        assert result["chardev"].get("path") == backend.get("path") and result["chardev"]["attached"]
        assert unchanged(chardev(vm, **backend, **port))
    refused(chardev(vm, id="c1", driver="virtserialport", name="y"), "conflict", "'x'", "'y'", "recreate")
    result = chardev(vm, id="c1", driver="virtserialport", name="y", recreate=True)
    assert not result.get("failed") and result["chardev"]["name"] == "y", result
    gone(vm, "c1")


def test_what_cannot_be(vm: VM, tmp_path: Path, make_vm: Callable[..., VM]) -> None:
    refused(chardev(vm, id="c1"), "invalid_option", "type")
    refused(chardev(vm, id="c1", type="sockt"), "invalid_option", "'socket'")
    refused(chardev(vm, id="c1", type="socket", path=str(tmp_path / "no/such.sock")), "command_failed", "such.sock")
    refused(chardev(vm, id="c1", type="file", path="/nosuch/out", driver="virtserialport"), "command_failed", "/nosuch/out")
    refused(chardev(make_vm(boot=False), id="c1", type="null", driver="virtserialport"), "no_free_slot", "virtio-serial-pci")
    refused(chardev(vm, id="serial0", type="null", driver="virtserialport"), "conflict", "another id")


def test_one_that_a_device_uses_stays(vm: VM) -> None:
    assert chardev(vm, id="c1", type="null")["changed"]
    vm.query("device_add", driver="virtserialport", id="p1", chardev="c1", bus="serial0.0")
    refused(chardev(vm, id="c1", state="absent"), "conflict", "p1")
    assert Modules(vm).run("qmp_device", id="p1", state="absent")["changed"]
    gone(vm, "c1")
