# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run modules as Ansible runs them, each in its own process, and check their results."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from typing import Any

from ansible_collections.vmops.qemu.tests.support import forked
from ansible_collections.vmops.qemu.tests.vm.machine import VM

RUN_SECONDS = 120


def _input(options: dict[str, Any], check: bool) -> str:
    arguments = {
        **options,
        "_ansible_check_mode": check,
        "_ansible_remote_tmp": tempfile.gettempdir(),
        "_ansible_diff": True,
    }
    return json.dumps({"ANSIBLE_MODULE_ARGS": arguments})


def start(module: str, options: dict[str, Any], check: bool = False, **process: Any) -> subprocess.Popen[str]:
    """Start a module with its options on standard input. *process*: further arguments of Popen."""
    child = subprocess.Popen(
        [sys.executable, "-m", f"{forked.MODULES}.{module}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **process,
    )
    assert child.stdin
    child.stdin.write(_input(options, check))
    child.stdin.close()
    child.stdin = None
    return child


def finish(child: subprocess.Popen[str]) -> dict[str, Any]:
    """Wait for a module and return its result, which may be a failure."""
    out, err = child.communicate(timeout=RUN_SECONDS)
    return _result(child.returncode, out, err)


def run(module: str, options: dict[str, Any], check: bool = False) -> dict[str, Any]:
    """Run a module to its end and return its result, which may be a failure."""
    return _result(*forked.run(module, _input(options, check), RUN_SECONDS))


def _result(status: Any, out: str, err: str) -> dict[str, Any]:
    try:
        result: dict[str, Any] = json.loads(out)
    except ValueError:
        raise AssertionError(f"the module exited with {status}: {out}\n{err}") from None
    return result


def unchanged(result: dict[str, Any]) -> bool:
    """Whether a module changed nothing. Fails the test if the module failed."""
    assert not result.get("failed"), result
    return result["changed"] is False


def refused(result: dict[str, Any], code: str, *words: str) -> None:
    """Assert that a module failed with this ``error_code``, changed nothing, and that its one-line message contains *words*."""
    assert result.get("failed"), result
    assert result["error_code"] == code, result
    assert "Traceback" not in result["msg"] and "\n" not in result["msg"]
    for word in words:
        assert word in result["msg"], result["msg"]
    assert result["changed"] is False


class Modules:
    """The modules, bound to one VM: ``modules.blockdev(id="d1", …)``. A failure is returned, not raised."""

    def __init__(self, vm: VM) -> None:
        self.vm = vm

    def run(self, module: str, check: bool = False, **options: Any) -> dict[str, Any]:
        return run(module, self._options(options), check)

    def start(self, module: str, check: bool = False, **options: Any) -> subprocess.Popen[str]:
        return start(module, self._options(options), check)

    def _options(self, options: dict[str, Any]) -> dict[str, Any]:
        return {"socket": str(self.vm.qmp_socket), **options}

    def blockdev(self, **options: Any) -> dict[str, Any]:
        return self.run("qmp_blockdev", **options)

    def netdev(self, **options: Any) -> dict[str, Any]:
        return self.run("qmp_netdev", **options)

    def cpus(self, **options: Any) -> dict[str, Any]:
        return self.run("qmp_cpu_hotplug", **options)

    def info(self, **options: Any) -> dict[str, Any]:
        return self.run("qmp_info", **options)
