# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs that are killed at a slow command: QEMU is still executing it when the next runs come."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator

import pytest

from ansible_collections.vmops.qemu.tests.support.modules import Modules, finish, start
from ansible_collections.vmops.qemu.tests.support.proxy import Fault, Proxy
from ansible_collections.vmops.qemu.tests.support.values import ALL
from ansible_collections.vmops.qemu.tests.vm.binaries import Binary
from ansible_collections.vmops.qemu.tests.vm.machine import VM

from .tally import survives

SECONDS = 30.0
NODES = 1200 if ALL else 300
CLIENTS = 12 if ALL else 3


def until(holds: Callable[[], Any]) -> None:
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class SlowExport:
    """A raw image over NBD. Its server answers only after ``release``."""

    def __init__(self, directory: Path, vm: VM) -> None:
        image, far, near = (directory / name for name in ("exported", "nbd", "slow"))
        image.write_bytes(bytes(1 << 20))
        self._server = subprocess.Popen(["qemu-nbd", "-f", "raw", "-t", "-e", "9", "-k", far, image])
        until(far.exists)
        self._far = str(far)
        self._answers, self._asked = threading.Event(), threading.Event()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(near))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()
        backend = {"driver": "nbd", "server": {"type": "unix", "path": str(near)}}
        self.task = ("qmp_blockdev", {"id": "x1", "backend": backend})

    def wait(self) -> None:
        """Return when QEMU is blocked."""
        assert self._asked.wait(SECONDS)

    def release(self) -> None:
        self._answers.set()

    def close(self) -> None:
        self.release()
        self._listener.close()
        self._server.kill()
        self._server.wait()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _address = self._listener.accept()
                self._asked.set()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        self._answers.wait()
        server = socket.socket(socket.AF_UNIX)
        server.connect(self._far)
        for one, other in ((client, server), (server, client)):
            threading.Thread(target=_pump, args=(one, other), daemon=True).start()


def _pump(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while data := one.recv(1 << 16):
            other.sendall(data)
        other.shutdown(socket.SHUT_RDWR)


class WaitingServer:
    """A character device that listens. QEMU blocks until a client connects."""

    def __init__(self, directory: Path, vm: VM) -> None:
        self._path = directory / "server"
        self.task = ("qmp_chardev", {"id": "x1", "type": "socket", "path": str(self._path), "wait": True})
        self._client = socket.socket(socket.AF_UNIX)

    def wait(self) -> None:
        until(self._path.exists)

    def release(self) -> None:
        self._client.connect(str(self._path))

    def close(self) -> None:
        self._client.close()


SLOW: dict[str, Any] = {"disk": SlowExport, "server that waits": WaitingServer}


@pytest.fixture
def slow_vm(binary: Binary, make_vm: Callable[..., VM]) -> VM:
    return make_vm(binary=binary, boot=False, native=True)


OTHERS: dict[str, tuple[str, dict[str, Any]]] = {
    "object": ("qmp_object", {"id": "y1", "qom_type": "iothread"}),
    "NIC": ("qmp_netdev", {"id": "y1", "type": "user"}),
}


def sampled(names: Iterable[str]) -> list[str]:
    """All of them, or the first one as a sample."""
    return list(names) if ALL else list(names)[:1]


@pytest.fixture(params=sampled(SLOW))
def slow(request: pytest.FixtureRequest, slow_vm: VM, tmp_path: Path) -> Iterator[Any]:
    slow = SLOW[request.param](tmp_path, slow_vm)
    yield slow
    slow.close()


@pytest.mark.parametrize("kind", sampled(OTHERS))
def test_the_tasks_after_one_that_was_killed_at_a_slow_command_succeed(slow_vm: VM, slow: Any, kind: str, tmp_path: Path) -> None:
    other = OTHERS[kind]
    before = slow_vm.hardware()
    modules = Modules(slow_vm)
    module, options = slow.task
    killed = modules.start(module, **options)
    slow.wait()
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    proxy = Proxy(tmp_path / "proxy", slow_vm.qmp_socket, Fault.CUT_BEFORE, set(), lambda: None)
    try:
        next_one = start(other[0], {"socket": str(proxy.path), **other[1]})
        assert proxy.greeted.wait(SECONDS)  # QEMU has accepted it, and still executes the command of the killed one
        slow.release()
        at_once = finish(next_one)
    finally:
        proxy.close()
    again = modules.run(other[0], **other[1])
    finished = modules.run(module, **options)
    once_more = modules.run(module, **options)
    right = at_once.get("changed") is True and again.get("changed") is False and not again.get("failed")
    whole = not finished.get("failed") and once_more.get("changed") is False and not once_more.get("failed")
    survives("killed at a slow command", right and whole, (at_once, again, finished, once_more))
    gone = [modules.run(name, id=identifier, state="absent") for name, identifier in ((module, "x1"), (other[0], "y1"))]
    survives("killed at a slow command, then removed", slow_vm.hardware() == before, gone)


def test_a_killed_run_can_be_repeated_at_once(slow_vm: VM, slow: Any, tmp_path: Path) -> None:
    """QEMU accepts the repeated task while it still executes the command of the killed one."""
    before = slow_vm.hardware()
    modules = Modules(slow_vm)
    module, options = slow.task
    killed = modules.start(module, **options)
    slow.wait()
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    proxy = Proxy(tmp_path / "proxy", slow_vm.qmp_socket, Fault.CUT_BEFORE, set(), lambda: None)
    try:
        next_one = start(module, {"socket": str(proxy.path), **options})
        assert proxy.greeted.wait(SECONDS)
        slow.release()
        again = finish(next_one)
    finally:
        proxy.close()
    once_more = modules.run(module, **options)
    whole = not again.get("failed") and once_more.get("changed") is False and not once_more.get("failed")
    gone = modules.run(module, id="x1", state="absent")
    survives("killed at a slow command, then repeated", whole and slow_vm.hardware() == before, (again, once_more, gone))


def test_a_task_whose_timeout_ends_before_a_slow_command_can_be_repeated(slow_vm: VM, slow: Any) -> None:
    """No run is killed: the task gives up, and the next one comes at once."""
    before = slow_vm.hardware()
    modules = Modules(slow_vm)
    module, options = slow.task
    late = modules.start(module, timeout=2.0, **options)
    slow.wait()
    given_up = finish(late)
    busy = modules.run(module, connect_timeout=1.0, **options)
    slow.release()
    again = modules.run(module, **options)
    once_more = modules.run(module, **options)
    reported = given_up.get("error_code") == "outcome_unknown" and given_up["changed"]
    reported = reported and busy.get("error_code") in ("monitor_busy", "connect_failed") and not busy["changed"]
    whole = not again.get("failed") and once_more.get("changed") is False and not once_more.get("failed")
    gone = modules.run(module, id="x1", state="absent")
    whole = whole and slow_vm.hardware() == before
    survives("timeout at a slow command", reported and whole, (given_up, busy, again, once_more, gone))


def test_the_tasks_after_one_that_was_killed_in_a_large_reply_succeed(slow_vm: VM) -> None:
    """The next clients do not get the rest of the reply that QEMU had for the dead one."""
    for number in range(NODES):
        slow_vm.query("blockdev-add", driver="null-co", size=1 << 20, node_name=f"n{number}")
    modules = Modules(slow_vm)
    object_: dict[str, Any] = {"id": "y1", "qom_type": "iothread"}
    for client in range(CLIENTS):
        with closing(socket.socket(socket.AF_UNIX)) as dead:
            dead.settimeout(SECONDS)
            dead.connect(str(slow_vm.qmp_socket))
            dead.recv(1)
            for number, command in enumerate(["qmp_capabilities", *["query-named-block-nodes"] * 4]):
                dead.sendall(json.dumps({"execute": command, "id": f"dead{number}"}).encode() + b"\n")
            while len(dead.recv(1 + client * 4096)) < client * 1024:
                pass
        results = [modules.run("qmp_object", state=state, **object_) for state in ("present", "present", "absent")]
        changed = [not result.get("failed") and result["changed"] for result in results]
        survives("killed in a large reply", changed == [True, False, True], (client, results))
