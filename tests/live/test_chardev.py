# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Character devices and virtio serial ports: spoken to from the guest, changed in place, removed."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from ansible_collections.vmops.qemu.tests.support.modules import Modules, refused, unchanged
from ansible_collections.vmops.qemu.tests.vm.machine import VM

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
    options: dict[str, Any] = {
        "id": "c1",
        "type": "socket",
        "path": str(tmp_path / "c.sock"),
        "driver": "virtserialport",
        "name": "org.test.c1",
    }
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
    assert added["chardev"]["pty"].startswith("/dev/pts/") and added["chardev"]["driver"] == "virtconsole", added
    assert unchanged(chardev(vm, id="con1", type="pty", driver="virtconsole"))
    gone(vm, "con1")


@pytest.mark.parametrize(
    ("options", "reported"),
    [
        ({"type": "null"}, {}),
        ({"type": "ringbuf", "options": {"size": 1024}}, {}),
        ({"type": "socket", "address": "127.0.0.1", "address_port": 0}, {"server": True}),
        ({"type": "file", "path": "{dir}/out"}, {}),
    ],
    ids=lambda value: str(value.get("type")),
)
def test_backends_by_themselves(bare_vm: VM, options: dict[str, Any], reported: dict[str, Any], tmp_path: Path) -> None:
    options = {name: value.format(dir=tmp_path) if name == "path" else value for name, value in options.items()}
    before = bare_vm.hardware()
    added = chardev(bare_vm, id="c1", **options)
    assert added.get("changed") and reported.items() <= added["chardev"].items(), added
    assert unchanged(chardev(bare_vm, id="c1", **options))
    gone(bare_vm, "c1")
    assert bare_vm.hardware() == before


def test_another_address_or_type_is_changed_in_place_under_the_port(vm: VM, tmp_path: Path) -> None:
    port: dict[str, Any] = {"id": "c1", "driver": "virtserialport", "name": "x"}
    assert chardev(vm, type="socket", path=str(tmp_path / "a.sock"), **port)["changed"]
    backends: list[dict[str, Any]] = [{"type": "socket", "path": str(tmp_path / "b.sock")}, {"type": "null"}]
    for backend in backends:
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


def test_an_id_that_a_device_of_another_kind_has_too(bare_vm: VM, make_vm: Callable[..., VM]) -> None:
    """QEMU names the character devices of ``-serial`` serial0, serial1 and so on."""
    refusal = chardev(bare_vm, id="c1", type="null", driver="virtserialport")
    refused(refusal, "no_free_slot", "-device virtio-serial-pci,id=serial2")
    assert Modules(bare_vm).info()["capacity"]["serial_port"]["launch_args"] == ["-device", "virtio-serial-pci,id=serial2"]
    vm = make_vm(binary=bare_vm.binary, boot=False, extra=CONTROLLER)
    info = Modules(vm).info()
    assert not info.get("failed"), info
    found = next(one for one in info["chardevs"] if one["id"] == "serial0")
    assert found["type"] == "socket" and found["attached"] is False and "driver" not in found
    refused(chardev(vm, id="serial0", state="absent"), "conflict", "virtio-serial-pci")


def test_a_port_on_a_character_device_of_another_id(make_vm: Callable[..., VM]) -> None:
    vm = make_vm(
        boot=False,
        extra=(*CONTROLLER, "-chardev", "null,id=charchannel0", "-device", "virtserialport,id=channel0,chardev=charchannel0"),
    )
    before = vm.hardware()
    tasks: list[dict[str, Any]] = [{"type": "null", "driver": "virtserialport"}, {"type": "null"}, {"state": "absent"}]
    for options in tasks:
        refused(chardev(vm, id="channel0", **options), "conflict", "charchannel0", "qmp_device")
    refused(chardev(vm, id="charchannel0", state="absent"), "conflict", "channel0")
    assert vm.hardware() == before
    assert [one["id"] for one in Modules(vm).info()["chardevs"] if "channel" in one["id"]] == ["charchannel0"]


def test_each_of_two_ports_on_one_controller_is_planned(vm: VM) -> None:
    """As the role does in check mode, which leaves the places of what was planned before to that."""
    first = chardev(vm, check=True, id="c1", type="null", driver="virtserialport")
    second = chardev(vm, check=True, id="c2", type="null", driver="virtserialport", reserved=[first["chardev"]])
    assert second.get("changed") and second["chardev"]["bus"] == first["chardev"]["bus"] == "serial0.0", second


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def still_open(line: socket.socket) -> bool:
    line.setblocking(False)
    try:
        return line.recv(1) != b""
    except BlockingIOError:
        return True


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost", "unix"])
def test_the_connection_of_a_client_is_not_cut_by_the_next_run(bare_vm: VM, address: str, tmp_path: Path) -> None:
    path = str(tmp_path / "there.sock")
    with socket.socket(socket.AF_UNIX if address == "unix" else socket.AF_INET) as listener:
        listener.bind(path if address == "unix" else ("127.0.0.1", 0))
        listener.listen()
        where: dict[str, Any] = (
            {"path": path} if address == "unix" else {"address": address, "address_port": listener.getsockname()[1]}
        )
        options: dict[str, Any] = {"id": "c1", "type": "socket", "server": False}
        added = chardev(bare_vm, **options, **where)
        assert added.get("changed"), added
        line, _address = listener.accept()
        assert where.items() <= added["chardev"].items() and added["chardev"]["server"] is False
        again = chardev(bare_vm, **options, **where)
        assert unchanged(again) and again["unverified"] == [] and still_open(line), again
        if address != "unix":
            other = {"127.0.0.1": "localhost", "localhost": "127.0.0.1"}[address]
            assert unchanged(chardev(bare_vm, **options, **{**where, "address": other}))
            planned = chardev(bare_vm, check=True, **options, **{**where, "address": "name.invalid"})
            assert [command["execute"] for command in planned["commands"]] == ["chardev-change"]
        assert chardev(bare_vm, check=True, **{**options, "server": True}, **where)["changed"]
        assert still_open(line)
        line.close()


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost", "0.0.0.0", "unix"])
def test_the_connection_of_a_server_is_not_cut_by_the_next_run(bare_vm: VM, address: str, tmp_path: Path) -> None:
    port, path = free_port(), str(tmp_path / "here.sock")
    where: dict[str, Any] = {"path": path} if address == "unix" else {"address": address, "address_port": port}
    assert chardev(bare_vm, id="c1", type="socket", **where).get("changed")
    with socket.socket(socket.AF_UNIX if address == "unix" else socket.AF_INET) as line:
        line.connect(path if address == "unix" else ("127.0.0.1", port))
        again = chardev(bare_vm, id="c1", type="socket", **where)
        assert unchanged(again) and again["unverified"] == [] and still_open(line), again
        if address == "0.0.0.0":
            assert again["chardev"]["address"] == "0.0.0.0" and again["chardev"]["address_port"] == port
            assert chardev(bare_vm, check=True, id="c1", type="socket", **{**where, "address": "127.0.0.1"})["changed"]
        if address != "unix":
            unknown = chardev(bare_vm, id="c1", type="socket", **{**where, "address": "name.invalid"})
            assert unchanged(unknown) and unknown["unverified"] == ["address"] and still_open(line), unknown
            assert chardev(bare_vm, check=True, id="c1", type="socket", **{**where, "address_port": free_port()})["changed"]


def test_without_a_type_it_is_of_the_type_that_it_has(bare_vm: VM, tmp_path: Path) -> None:
    assert chardev(bare_vm, id="c1", type="socket", path=str(tmp_path / "a.sock"))["changed"]
    assert unchanged(chardev(bare_vm, id="c1")) and unchanged(chardev(bare_vm, id="c1", path=str(tmp_path / "a.sock")))
    moved = chardev(bare_vm, id="c1", path=str(tmp_path / "b.sock"))
    assert moved.get("changed") and moved["chardev"]["path"] == str(tmp_path / "b.sock"), moved
    assert chardev(bare_vm, id="c2", type="file", path=str(tmp_path / "out"))["changed"]
    again = chardev(bare_vm, id="c2", path=str(tmp_path / "out"), options={"append": True})
    assert unchanged(again) and again["unverified"] == ["options.append", "path"], again


def test_one_that_a_device_uses_stays(vm: VM) -> None:
    assert chardev(vm, id="c1", type="null")["changed"]
    vm.query("device_add", driver="virtserialport", id="p1", chardev="c1", bus="serial0.0")
    refused(chardev(vm, id="c1", state="absent"), "conflict", "p1")
    assert Modules(vm).run("qmp_device", id="p1", state="absent")["changed"]
    gone(vm, "c1")
