# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What qmp_chardev and qmp_info return for a character device, fed back to qmp_chardev, changes nothing. On real QEMU."""

from __future__ import annotations

import json
import os
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.vmops.qemu.tests.support.modules import Modules, unchanged
from ansible_collections.vmops.qemu.tests.support.round_trip import returned_options
from ansible_collections.vmops.qemu.tests.vm.binaries import Binary
from ansible_collections.vmops.qemu.tests.vm.machine import VM

CONTROLLER = ("-device", "virtio-serial-pci,id=serial0")
ABSTRACT: dict[str, Any] = {"type": "unix", "data": {"path": "vmops{pid}", "abstract": True}}
VSOCK: dict[str, Any] = {"type": "vsock", "data": {"cid": "2", "port": "{pid}"}}

SORTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    # what is set, and what of it is returned
    "null": ({"type": "null"}, {"type": "null"}),
    "unix server": ({"type": "socket", "path": "{dir}/a"}, {"path": "{dir}/a", "server": True}),
    "unix client": ({"type": "socket", "path": "{dir}/there", "server": False}, {"path": "{dir}/there", "server": False}),
    "TCP server": (
        {"type": "socket", "address": "localhost", "address_port": 0},
        {"type": "socket", "address": "127.0.0.1", "server": True},
    ),
    "TCP client": (
        {"type": "socket", "address": "localhost", "address_port": "{port}", "server": False},
        {"address": "localhost", "server": False},
    ),
    "telnet": (
        {"type": "socket", "address": "127.0.0.1", "address_port": 0, "options": {"telnet": True}},
        {"address": "127.0.0.1", "options": {"telnet": True}},
    ),
    "websocket": (
        {"type": "socket", "address": "127.0.0.1", "address_port": 0, "options": {"websocket": True}},
        {"options": {"websocket": True}},
    ),
    "abstract socket": ({"type": "socket", "options": {"addr": ABSTRACT}}, {"type": "socket", "server": True}),
    "vsock": ({"type": "socket", "options": {"addr": VSOCK}}, {"type": "socket"}),
    "pty": ({"type": "pty"}, {"type": "pty"}),
    "file": ({"type": "file", "path": "{dir}/out"}, {"type": "file"}),
    "ringbuf": ({"type": "ringbuf", "options": {"size": 1024}}, {"type": "ringbuf"}),
    "port": (
        {"type": "null", "driver": "virtserialport", "name": "org.test.x"},
        {"driver": "virtserialport", "name": "org.test.x", "bus": "serial0.0"},
    ),
    "console": ({"type": "pty", "driver": "virtconsole"}, {"driver": "virtconsole", "bus": "serial0.0"}),
}


def fed_back(modules: Modules, chardev: dict[str, Any]) -> dict[str, Any]:
    """The options that a character device was returned with, after they have been fed back."""
    options = returned_options("qmp_chardev", chardev)
    again = modules.run("qmp_chardev", **options)
    assert unchanged(again) and again["chardev"] == chardev and again["unverified"] == [], again
    return options


def has_vsock() -> bool:
    try:
        with socket.socket(socket.AF_VSOCK) as probe:
            probe.bind((int(VSOCK["data"]["cid"]), socket.VMADDR_PORT_ANY))
    except OSError:
        return False
    return True


@pytest.fixture
def vm(binary: Binary, make_vm: Callable[..., VM]) -> VM:
    return make_vm(binary=binary, boot=False, extra=CONTROLLER)


@pytest.mark.parametrize("sort", SORTS)
def test_a_character_device_is_returned_as_the_options_that_add_it(vm: VM, tmp_path: Path, sort: str) -> None:
    if sort == "vsock" and not has_vsock():
        pytest.skip("the kernel of this host was built without vsock addresses, so that no module can be installed for them")
    modules = Modules(vm)
    with ExitStack() as stack:
        unix, tcp = (stack.enter_context(socket.socket(family)) for family in (socket.AF_UNIX, socket.AF_INET))
        unix.bind(str(tmp_path / "there"))
        tcp.bind(("127.0.0.1", 0))
        for one in (unix, tcp):
            one.listen()
        text = json.dumps(SORTS[sort]).replace("{dir}", str(tmp_path)).replace("{pid}", str(os.getpid()))
        options, expected = json.loads(text.replace("{port}", str(tcp.getsockname()[1])))
        planned = modules.run("qmp_chardev", check=True, id="c1", **options)
        added = modules.run("qmp_chardev", id="c1", **options)
        assert added.get("changed"), added
        assert expected.items() <= fed_back(modules, added["chardev"]).items(), added["chardev"]
        same = {name for name in planned["chardev"] if name not in ("open", "address", "address_port", "options")}
        assert {name: planned["chardev"][name] for name in same}.items() <= added["chardev"].items(), planned
        found = modules.info(gather_subset=["chardevs"])["chardevs"]
        assert next(one for one in found if one["id"] == "c1") == added["chardev"]


def test_character_devices_of_the_launch(binary: Binary, make_vm: Callable[..., VM], tmp_path: Path) -> None:
    extra = (
        "-chardev",
        f"socket,id=c1,path={tmp_path}/c,server=on,wait=off",
        "-device",
        "virtserialport,chardev=c1,id=c1,name=x",
    )
    modules = Modules(make_vm(binary=binary, boot=False, extra=(*CONTROLLER, *extra)))
    found = {one["id"]: one for one in modules.info(gather_subset=["chardevs"])["chardevs"]}
    assert found["c1"].items() >= {"path": f"{tmp_path}/c", "name": "x", "at_launch": True}.items()
    for name in ("c1", "serial1"):  # serial0 is the port of the board that has the id of the controller
        fed_back(modules, found[name])


def test_an_option_is_named_as_it_is_written(vm: VM, tmp_path: Path) -> None:
    modules = Modules(vm)
    ring: dict[str, Any] = {"id": "c1", "type": "ringbuf", "options": {"size": 1024}}
    assert modules.run("qmp_chardev", **ring)["changed"]
    again = modules.run("qmp_chardev", **ring)
    assert unchanged(again) and again["unverified"] == ["options.size"]
    file: dict[str, Any] = {"id": "c2", "type": "file", "path": str(tmp_path / "out")}
    assert modules.run("qmp_chardev", **file)["changed"]
    again = modules.run("qmp_chardev", **file)
    assert unchanged(again) and again["unverified"] == ["path"]
