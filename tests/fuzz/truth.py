# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""True answers of a real QEMU, and modules that run in this process against changed answers."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.vmops.qemu.plugins.module_utils.qmp import CommandError, Monitor, ProtocolError, UnixAddress

from .peer import Peer, instead_of_a_socket

READING = ("query-", "qom-list", "qom-get", "device-list-", "human-", "x-debug-")


class Truth:
    """The answers of a real VM. Each is asked for once. Commands that would change the VM are accepted and not passed on."""

    def __init__(self, address: UnixAddress) -> None:
        self._address = address
        self._monitor = Monitor.connect(address)
        self._known: dict[str, dict[str, Any]] = {}

    def __call__(self, request: dict[str, Any]) -> dict[str, Any]:
        """The reply to *request*, usually without its ``id``."""
        if not request["execute"].startswith(READING):
            return {"return": {}}
        key = json.dumps([request["execute"], request.get("arguments")])
        if key not in self._known:
            try:
                reply = self._monitor.execute(request["execute"], request.get("arguments"))
                self._known[key] = {"return": _needed(request["execute"], reply)}
            except CommandError as error:
                self._known[key] = {"error": {"class": error.qmp_class, "desc": error.desc}}
            except ProtocolError as error:  # an error without id, because QEMU could not read the request
                self._known[key] = {"id": None, "error": {"class": "GenericError", "desc": error.reason}}
                self._monitor = Monitor.connect(self._address)
        return self._known[key]

    def close(self) -> None:
        self._monitor.close()


def _needed(command: str, reply: Any) -> Any:
    """The reply without the parts of the schema that no module reads. The schema is by far the largest reply."""
    if command != "query-qmp-schema":
        return reply
    entities = {entity["name"]: entity for entity in reply}
    pending = [
        "netdev_add",
        "object-add",
        "set_link",
        "chardev-add",
        "migrate-set-capabilities",
        "migrate-set-parameters",
        "migrate",
    ]
    for name in pending:
        inner = json.dumps({key: value for key, value in entities[name].items() if key != "name"})
        pending += [other for other in entities if f'"{other}"' in inner and other not in pending]
    return [entities[name] for name in pending]


def run(module: str, options: dict[str, Any], peer: Peer, check: bool = False) -> dict[str, Any]:
    """Run a module in this process against *peer* and return its result. Any other end of it is raised."""
    main: Callable[[], None] = import_module(f"ansible_collections.vmops.qemu.plugins.modules.{module}").main
    arguments = {
        "socket": "/vm.qmp",
        "timeout": 0.01,
        "_ansible_check_mode": check,
        "_ansible_remote_tmp": tempfile.gettempdir(),
        **options,
    }
    out = io.TextIOWrapper(io.BytesIO(), "utf-8")  # as strict as the pipe to Ansible
    with instead_of_a_socket(peer), patch_module_args(arguments), contextlib.redirect_stdout(out):
        with pytest.raises(SystemExit):
            main()
    out.seek(0)
    result: dict[str, Any] = json.loads(out.read())
    return result
