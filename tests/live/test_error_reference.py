# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every message that the reference of error codes shows, as a module returns it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import threading
from pathlib import Path
from typing import Any, Callable

from ansible_collections.vmops.qemu.tests.support.error_codes import ERROR_CODES
from ansible_collections.vmops.qemu.tests.support.modules import Modules, run
from ansible_collections.vmops.qemu.tests.support.proxy import Fault, Proxy
from ansible_collections.vmops.qemu.tests.vm.machine import VM

PAGE = (Path(__file__).parents[2] / "docs/reference/error-codes.md").read_text(encoding="utf-8")
MESSAGES: dict[str, str] = dict(
    re.findall(r"(?m)^## (\w+)\n\n```text\n(.*)\n```\n\n\*\*Cause\.\*\* (?:.|\n)*?\*\*Cure\.\*\* ", PAGE)
)
NULL = {"driver": "null-co"}


def test_each_code_has_message_cause_and_cure() -> None:
    assert tuple(MESSAGES) == ERROR_CODES
    assert tuple(re.findall(r"(?m)^\| \[`(\w+)`\]\(#\w+\) \|", PAGE)) == ERROR_CODES


def _compare(code: str, result: dict[str, Any], tmp_path: Path) -> None:
    message = result["msg"].replace(str(tmp_path), "/srv/vm1").replace("/srv/vm1/vm0/", "/run/vm1/")
    shown = re.escape(MESSAGES[code]).replace("…", ".+")
    assert result["error_code"] == code and re.fullmatch(shown, message), result


def _speak_nonsense(path: Path) -> threading.Thread:
    """A monitor that greets as QEMU does, and then sends something else."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(1)

    def serve() -> None:
        with listener, listener.accept()[0] as client, client.makefile("rw") as stream:
            version = {"qemu": {"major": 10, "minor": 0, "micro": 0}, "package": ""}
            stream.write(json.dumps({"QMP": {"version": version, "capabilities": []}}) + "\n")
            stream.flush()
            stream.write(json.dumps({"return": {}, "id": json.loads(stream.readline())["id"]}) + "\n")
            stream.flush()
            stream.readline()
            stream.write("{]\n")
            stream.flush()
            stream.read()  # until the client leaves

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


def test_the_messages_of_the_reference_are_those_of_the_modules(
    make_vm: Callable[..., VM], image: Callable[..., str], tmp_path: Path
) -> None:
    vm = make_vm(boot=False, ports=2)
    modules = Modules(vm)
    file = image("data1.raw")

    def through(fault: Fault, points: set[int], act: Callable[[], None] = lambda: None) -> dict[str, Any]:
        """The result of adding data1 over a monitor with a fault. The rest is removed."""
        proxy = Proxy(tmp_path / "proxy.sock", vm.qmp_socket, fault, points, act)
        try:
            return run("qmp_blockdev", {"socket": str(proxy.path), "id": "data1", "backend": NULL, "timeout": 1})
        finally:
            proxy.close()
            os.kill(vm.pid, signal.SIGCONT)
            assert not modules.blockdev(id="data1", state="absent").get("failed")

    results = {
        "invalid_option": modules.blockdev(id="1 bad", backend=NULL),
        "unsupported": modules.run("qmp_balloon", size="256M"),
        "connect_failed": run("qmp_info", {"socket": str(vm.qmp_socket.with_name("no.sock"))}),
        "command_failed": modules.blockdev(id="data1", file=file, format="qcow2"),
        "rollback_incomplete": through(Fault.FAIL, {1, 2}),
        "disconnected": through(Fault.CUT_AFTER_REQUEST, {0}),
        "outcome_unknown": through(Fault.QEMU_STOPPED, {0}, lambda: os.kill(vm.pid, signal.SIGSTOP)),
    }
    with socket.socket(socket.AF_UNIX) as other:
        other.connect(str(vm.qmp_socket))
        other.recv(1)
        results["monitor_busy"] = modules.info(connect_timeout=0.5)
    for name in ("data1", "data2"):
        assert modules.blockdev(id=name, backend=NULL)["changed"]
    results["no_free_slot"] = modules.blockdev(id="data3", backend=NULL)
    results["conflict"] = modules.blockdev(id="data1", file=file, format="raw")
    results["unplug_pending"] = modules.blockdev(id="data1", state="absent", timeout=0)
    assert modules.cpus(count=2)["changed"]
    results["unplug_refused"] = modules.cpus(count=1, timeout=2)
    nonsense = _speak_nonsense(tmp_path / "nonsense.sock")
    results["protocol_error"] = run("qmp_info", {"socket": str(tmp_path / "nonsense.sock")})
    nonsense.join()
    for code in ERROR_CODES:
        _compare(code, results[code], tmp_path)
