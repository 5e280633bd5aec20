# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The client after one that left while QEMU was still at work for it: QEMU sends it the other's reply."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path
from typing import Any, Iterator

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils.qmp import (
    CommandError,
    Disconnected,
    Monitor,
    OutcomeUnknown,
    Request,
    UnixAddress,
)
from ansible_collections.vmops.qemu.plugins.module_utils.qmp import messages as messages_module
from ansible_collections.vmops.qemu.tests.support.modules import Modules
from ansible_collections.vmops.qemu.tests.vm.machine import VM

PATIENCE = 30.0
TIMES = 6


class LateServer:
    """What a disk over NBD connects to: it takes connections and says nothing until it is released, then hangs up. QEMU, which
    waits for it inside ``blockdev-add``, is at work as long."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen(8)
        self._listener.settimeout(PATIENCE)
        self._waiting: list[socket.socket] = []

    def wait(self) -> None:
        """Return when QEMU has connected."""
        self._waiting.append(self._listener.accept()[0])

    def release(self) -> None:
        while self._waiting:
            self._waiting.pop().close()

    def close(self) -> None:
        self.release()
        self._listener.close()


@pytest.fixture
def late(tmp_path: Path) -> Iterator[LateServer]:
    server = LateServer(tmp_path / "nbd.sock")
    yield server
    server.close()


def backend(server: LateServer) -> dict[str, Any]:
    return {"driver": "nbd", "server": {"type": "unix", "path": server.path}}


def address(vm: VM) -> UnixAddress:
    return UnixAddress(str(vm.qmp_socket))


def connected_at_once(vm: VM, server: LateServer) -> Monitor:
    """A monitor that connects while QEMU is still at work for the client before, which ends a moment later."""
    timer = threading.Timer(0.1, server.release)
    timer.start()
    try:
        return Monitor.connect(address(vm), PATIENCE)
    finally:
        timer.join()


def test_a_task_after_one_that_was_killed_at_a_slow_command_runs(bare_vm: VM, late: LateServer) -> None:
    modules = Modules(bare_vm)
    for number in range(TIMES):
        killed = modules.start("qmp_blockdev", id=f"d{number}", backend=backend(late))
        late.wait()
        killed.kill()
        killed.communicate()
        following = modules.start("qmp_object", id="ours", qom_type="iothread", state="absent" if number % 2 else "present")
        timer = threading.Timer(0.5, late.release)
        timer.start()
        out, err = following.communicate(timeout=PATIENCE)
        timer.join()
        result = json.loads(out)
        assert not result.get("failed") and result["changed"], (number, result, err)
    assert bare_vm.hardware()["nodes"] == []


@pytest.mark.parametrize("ident", [{"id": "another"}, {"id": 7}, {}], ids=["an id", "a number", "no id"])
def test_the_reply_that_a_client_left_behind_is_not_taken_for_ours(bare_vm: VM, late: LateServer, ident: dict[str, Any]) -> None:
    for number in range(TIMES):
        with socket.socket(socket.AF_UNIX) as other:
            other.connect(str(bare_vm.qmp_socket))
            add = {"execute": "blockdev-add", **ident, "arguments": {"node-name": f"n{number}", **backend(late)}}
            for message in ({"execute": "qmp_capabilities"}, add):
                other.sendall(json.dumps(message).encode() + b"\n")
            late.wait()
        with connected_at_once(bare_vm, late) as monitor:
            assert monitor.execute("query-name") == {}
            assert monitor.execute("query-status")["status"] == "prelaunch"
            assert "oob" in monitor.capabilities


def test_who_connects_again_at_once_after_an_unknown_outcome_is_served(bare_vm: VM, late: LateServer) -> None:
    monitor = Monitor.connect(address(bare_vm))
    for number in range(TIMES):
        with pytest.raises(OutcomeUnknown):
            monitor.execute("blockdev-add", {"node-name": f"n{number}", **backend(late)}, timeout=0.1)
        with pytest.raises(Disconnected):
            monitor.execute("query-status")
        late.wait()
        monitor = connected_at_once(bare_vm, late)
        assert monitor.execute("query-status")["status"] == "prelaunch"
    monitor.close()


@pytest.mark.parametrize("command", ["query-qmp-schema", "query-commands", "query-status"])
def test_answers_that_nobody_waited_for_do_not_disturb_the_next_client(bare_vm: VM, command: str) -> None:
    for number in range(5 * TIMES):
        with socket.socket(socket.AF_UNIX) as other:
            other.connect(str(bare_vm.qmp_socket))
            lines = [{"execute": "qmp_capabilities"}, *({"execute": command, "id": one} for one in range(1 + number % 9))]
            other.sendall("".join(map(json.dumps, lines)).encode())
            if number % 3:  # it leaves amid an answer, or before the first
                other.recv(1000 * number)
        with Monitor.connect(address(bare_vm), PATIENCE) as monitor:
            assert monitor.execute("query-status")["status"] == "prelaunch"


NOT_READ = ["\ufffe", "\uffff", "\ufdd0", "\ufdef", "\U0001fffe", "\U0010ffff", "\ud800", "\udfff"]


def test_what_qemu_does_not_read_is_refused_by_it_without_an_id(bare_vm: VM, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sent nevertheless: the error is the command's, and those after it have their own replies."""
    monkeypatch.setattr(messages_module, "unreadable", lambda text: None)
    with Monitor.connect(address(bare_vm)) as monitor:
        for text in NOT_READ:
            asked = [Request("query-name"), Request("qom-get", {"path": text, "property": "x"}), Request("query-uuid")]
            name, refused, uuid = monitor.execute_many(asked)
            assert name == {} and set(uuid) == {"UUID"}
            assert isinstance(refused, CommandError) and "JSON parse error" in refused.desc and refused.command == "qom-get"


def test_every_character_that_is_not_refused_is_read_by_qemu(bare_vm: VM) -> None:
    with Monitor.connect(address(bare_vm)) as monitor:
        for code in [*range(1, 0x800, 7), 0xD7FF, 0xE000, 0xFDCF, 0xFDF0, 0xFFFD, 0x10000, 0x1FDD0, 0x1FFFD, 0x10FFFD]:
            with pytest.raises(CommandError, match="not found|not a valid"):
                monitor.execute("qom-get", {"path": f"/x{chr(code)}", "property": "x"})
