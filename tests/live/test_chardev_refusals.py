# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Character devices that cannot be: refused before anything is sent, by the name of the option."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils._vm.errors import InvalidOption
from ansible_collections.vmops.qemu.plugins.module_utils._vm.model.hardware import Hardware
from ansible_collections.vmops.qemu.plugins.module_utils.qmp import Monitor, UnixAddress
from ansible_collections.vmops.qemu.tests.support import recordings
from ansible_collections.vmops.qemu.tests.support.modules import Modules, refused, unchanged
from ansible_collections.vmops.qemu.tests.vm.machine import VM

INET = {"type": "inet", "data": {"host": "127.0.0.1", "port": "0"}}
UNIX = {"type": "unix", "data": {"path": "/run/x"}}
REFUSED: list[tuple[dict[str, Any], list[str]]] = [
    ({"type": "socket"}, ["path", "address"]),
    ({"type": "file"}, ["path"]),
    ({"type": "pipe"}, ["path"]),
    ({"type": "mux"}, ["options.chardev"]),
    ({"type": "udp"}, ["options.remote"]),
    ({"type": "socket", "path": "run/x"}, ["path", "absolute"]),
    ({"type": "file", "path": "x"}, ["path", "absolute"]),
    ({"type": "socket", "path": ""}, ["path"]),
    ({"type": "socket", "path": "/" + "x" * 107}, ["path", "108", "107"]),
    ({"type": "socket", "path": "/" + "é" * 54}, ["path", "109", "107"]),
    ({"type": "null", "path": "/x"}, ["path", "null"]),
    ({"type": "null", "address": "127.0.0.1", "address_port": 1}, ["address", "null"]),
    ({"type": "socket", "address": "", "address_port": 1}, ["address", "empty"]),
    ({"type": "socket", "address": "127.0.0.1", "address_port": -1}, ["address_port", "-1"]),
    ({"type": "socket", "address": "127.0.0.1", "address_port": 65536}, ["address_port", "65536"]),
    ({"type": "socket", "path": "/run/x", "options": {"addr": INET}}, ["options.addr", "path"]),
    ({"type": "socket", "options": {"addr": {"type": "unx", "data": {"path": "/x"}}}}, ["options.addr.type", "'unix'"]),
    ({"type": "socket", "options": {"addr": {"type": "inet", "data": {"host": "a"}}}}, ["options.addr.data.port"]),
    ({"type": "socket", "options": {"addr": {"type": "inet", "data": {"host": "a", "port": "65536"}}}}, ["65536"]),
    ({"type": "socket", "options": {"addr": UNIX, "telnt": True}}, ["options.telnt", "'telnet'"]),
    ({"type": "socket", "options": {"addr": UNIX, "telnet": "maybe"}}, ["options.telnet", "boolean"]),
    ({"type": "socket", "path": "/run/x", "options": {"tls-creds": "t"}}, ["tls-creds", "TCP"]),
    ({"type": "socket", "address": "127.0.0.1", "address_port": 0, "options": {"tls-authz": "t"}}, ["tls-authz", "tls-creds"]),
    ({"type": "socket", "path": "/run/x", "server": False, "options": {"wait": True}}, ["options.wait", "server"]),
    ({"type": "udp", "options": {"remote": {"type": "inet", "data": {"host": "a", "port": "70000"}}}}, ["remote", "70000"]),
    ({"type": "ringbuf", "options": {"size": 1000}}, ["options.size", "power of two"]),
    ({"type": "ringbuf", "options": {"size": -1}}, ["options.size"]),
]


def test_what_cannot_be_is_refused_by_the_name_of_its_option(bare_vm: VM) -> None:
    with Monitor.connect(UnixAddress(str(bare_vm.qmp_socket)), timeout=10) as monitor:
        hardware = Hardware(monitor)
        for options, words in REFUSED:
            with pytest.raises(InvalidOption) as refusal:
                recordings.plan(hardware, "qmp_chardev", id="c1", **options)
            assert [word for word in words if word not in str(refusal.value)] == [], (options, refusal.value)
    refused(
        Modules(bare_vm).run("qmp_chardev", check=True, id="c1", type="socket", address="::1", address_port=65536),
        "invalid_option",
        "address_port",
        "65535",
    )


def test_the_longest_path_and_the_last_port(bare_vm: VM) -> None:
    modules = Modules(bare_vm)
    path = "/tmp/" + "x" * 102
    try:
        assert modules.run("qmp_chardev", id="c1", type="socket", path=path).get("changed")
        assert unchanged(modules.run("qmp_chardev", id="c1", type="socket", path=path))
    finally:
        modules.run("qmp_chardev", id="c1", state="absent")
    assert modules.run("qmp_chardev", check=True, id="c2", type="socket", address="127.0.0.1", address_port=65535)["changed"]


def test_a_port_that_cannot_be_recreated_is_restored(binary: Any, make_vm: Callable[..., VM]) -> None:
    vm = make_vm(binary=binary, boot=False, extra=("-device", "virtio-serial-pci,id=serial0"))
    port: dict[str, Any] = {"id": "c1", "type": "null", "driver": "virtserialport"}
    assert Modules(vm).run("qmp_chardev", **port, name="org.test.a").get("changed")
    taken: dict[str, Any] = {"id": "c2", "type": "null", "driver": "virtserialport", "properties": {"nr": 9}}
    assert Modules(vm).run("qmp_chardev", **taken).get("changed")
    failed = Modules(vm).run("qmp_chardev", **port, name="org.test.a", properties={"nr": 9}, recreate=True)
    refused(failed, "conflict", "Restored: c1.")
    assert unchanged(Modules(vm).run("qmp_chardev", **port, name="org.test.a"))
    other = Modules(vm).run("qmp_chardev", **port, name="org.test.A")
    refused(other, "conflict", "name", "org.test.a", "org.test.A")


@pytest.mark.parametrize(
    "old",
    [{"type": "null"}, {"type": "socket"}, {"type": "ringbuf", "options": {"size": 4096}}, {"type": "file"}],
    ids=lambda value: str(value["type"]),
)
def test_one_that_cannot_become_another_stays(
    binary: Any, make_vm: Callable[..., VM], tmp_path: Path, old: dict[str, Any]
) -> None:
    """QEMU deletes a character device that nothing is on before it looks at the other."""
    vm = make_vm(binary=binary, boot=False)
    old = {**old, **({"path": str(tmp_path / "old")} if old["type"] in ("socket", "file") else {})}
    assert Modules(vm).run("qmp_chardev", id="c5", **old).get("changed")
    before = vm.hardware()
    known = old["type"] in ("null", "socket")
    for kind, path in (("socket", "/nosuch/x"), ("pipe", "/nosuch/x")):
        failed = Modules(vm).run("qmp_chardev", id="c5", type=kind, path=path)
        if known:
            refused(failed, "command_failed", "Restored: c5.")
            assert [one["execute"] for one in failed["details"]["undone"]] == ["chardev-add"]
        else:
            refused(failed, "conflict", old["type"], "recreate")
        assert failed["changed"] is False and vm.hardware() == before, failed
    assert unchanged(Modules(vm).run("qmp_chardev", id="c5", **old))
    if not known:
        failed = Modules(vm).run("qmp_chardev", id="c5", type="socket", path="/nosuch/x", recreate=True)
        assert failed["failed"] and failed["changed"] and failed["details"]["done"][0]["execute"] == "chardev-remove", failed
        return
    planned = Modules(vm).run("qmp_chardev", check=True, id="c5", type="ringbuf")
    done = Modules(vm).run("qmp_chardev", id="c5", type="ringbuf")
    assert [one["execute"] for one in done["commands"]] == ["chardev-change"] and done["commands"] == planned["commands"]


@pytest.mark.parametrize(
    "options",
    [
        {"type": "file", "path": "{pipe}"},
        {"type": "file", "options": {"out": "{pipe}"}},
        {"type": "file", "path": "{dir}/out", "options": {"in": "{pipe}"}},
        {"type": "file", "path": "{dir}/link"},
        {"type": "null", "options": {"logfile": "{pipe}"}},
        {"type": "socket", "path": "{dir}/sock", "options": {"logfile": "{pipe}"}},
    ],
    ids=str,
)
def test_a_named_pipe_is_refused_for_qemu_would_hang(bare_vm: VM, tmp_path: Path, options: dict[str, Any]) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "link").symlink_to(pipe)
    filled = json.loads(json.dumps(options).replace("{pipe}", str(pipe)).replace("{dir}", str(tmp_path)))
    for check in (True, False):
        refused(Modules(bare_vm).run("qmp_chardev", check, id="c1", timeout=5, **filled), "invalid_option", "named pipe")
