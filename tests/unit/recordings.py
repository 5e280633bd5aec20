# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What real QEMUs answered to questions that change nothing, to be asked again without a QEMU.

``make record`` starts the VMs of ``tests/vm/record.py`` on each QEMU that there is and writes a JSON file for each, with
version and date.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Iterable

from ansible_collections.vmops.qemu.plugins.module_utils._vm.host import qemu_process as launched
from ansible_collections.vmops.qemu.plugins.module_utils._vm.model.hardware import Hardware
from ansible_collections.vmops.qemu.plugins.module_utils.qmp import CommandError, Request, Version

DIRECTORY = Path(__file__).parent / "recorded"
Key = str


def key(request: Request) -> Key:
    """A request as it is written in a recording."""
    return json.dumps([request.command, request.arguments or {}], sort_keys=True)


class Recorded:
    """In place of a Monitor: gives the recorded answer to each request, and raises KeyError for one that was not recorded."""

    passes_fds = True
    peer_pid = None

    def __init__(self, path: Path) -> None:
        recording = json.loads(path.read_text(encoding="utf-8"))
        self.version = Version(*recording["version"])
        self.command_line: list[str] = recording["command_line"]
        self._answers: dict[Key, Any] = recording["answers"]

    def keep(self, owner: object, kept: Any) -> None:
        """As Monitor has it; there is no limit here."""

    def execute(self, command: str, arguments: dict[str, Any] | None = None, **_options: Any) -> Any:
        (answer,) = self.execute_many([Request(command, arguments)])
        if isinstance(answer, CommandError):
            raise answer
        return answer

    def execute_many(self, requests: Iterable[Request], **_options: Any) -> list[Any]:
        return [self._answer(request) for request in requests]

    def _answer(self, request: Request) -> Any:
        answer = self._answers[key(request)]
        return CommandError(*answer["error"], request.command) if "error" in answer else answer["return"]


def recordings(name: str) -> list[Path]:
    """The recordings of one VM, one for each QEMU."""
    found = sorted(DIRECTORY.glob(f"{name}-*.json"))
    assert found, f"there is no recording of {name}; make record makes one"
    return found


def hardware(path: Path) -> Hardware:
    """The recorded VM as the domain sees it, its command line included."""
    recorded: Any = Recorded(path)
    vm = Hardware(recorded)
    vm.__dict__["command_line"] = launched.of_words(recorded.command_line)
    return vm
