# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A module's ``main()``, run in this process as Ansible runs it, with JSON for arguments and JSON for its result."""

from __future__ import annotations

import importlib
import io
import json
import syslog
from contextlib import ExitStack, redirect_stdout
from typing import Any
from unittest import mock

from ansible.module_utils import basic
from ansible.module_utils.common import warnings as ansible_warnings
from ansible.module_utils.common.parameters import PASS_VARS

from . import recordings

PACKAGE = "ansible_collections.vmops.qemu.plugins.modules"
MODULES = sorted(path.stem for path in (recordings.ROOT / "plugins/modules").glob("qmp_*.py"))
SOCKET = f"{recordings.DIRECTORY}/qmp.sock"


def main(
    module: str, answering: Any = None, check_mode: bool = False, log: list[str] | None = None, **options: Any
) -> dict[str, Any]:
    """The result of a module. It connects to *answering*, see recordings.Answering; without one, to where its options say.

    *log* takes what the module writes to the log of this host.
    """
    internal = {"check_mode": check_mode, "remote_tmp": "/tmp", "inject_invocation": True, "tracebacks_for": ["error"]}
    known = {f"_ansible_{name}": value for name, value in internal.items() if name in PASS_VARS}  # of this ansible-core
    arguments = {**options, **known}
    output = io.StringIO()
    logged = log if log is not None else []
    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(basic, "_ANSIBLE_ARGS", json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode()))
        if hasattr(basic, "_ANSIBLE_PROFILE"):  # since ansible-core 2.19
            stack.enter_context(mock.patch.object(basic, "_ANSIBLE_PROFILE", "legacy"))
        stack.enter_context(mock.patch.object(basic, "has_journal", False))
        stack.enter_context(mock.patch.object(syslog, "syslog", lambda _priority, text: logged.append(text)))
        for shown in ("_global_warnings", "_global_deprecations"):  # of this process, for Ansible starts one for each module
            stack.enter_context(mock.patch.object(ansible_warnings, shown, type(getattr(ansible_warnings, shown))()))
        if answering is not None:
            stack.enter_context(recordings.connected(answering))
        stack.enter_context(redirect_stdout(output))
        try:
            importlib.import_module(f"{PACKAGE}.{module}").main()
        except SystemExit:
            pass
    result: dict[str, Any] = json.loads(output.getvalue())
    if "warnings" in result:  # since ansible-core 2.19 each has parts
        result["warnings"] = [one if isinstance(one, str) else one["event"]["msg"] for one in result["warnings"]]
    return result
