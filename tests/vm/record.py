# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recording: the VMs of ``recorded_vms`` run on each QEMU, and what they answer to the unit tests is written down.

``make record`` runs the unit tests with RECORD=all and ``nox -s record -- NAME`` with RECORD=NAME:
see ``tests/support/recordings.py``.
"""

from __future__ import annotations

import datetime
import gzip
import json
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Iterable

from ansible_collections.vmops.qemu.plugins.module_utils.qmp import CommandError, Monitor, Request, UnixAddress
from ansible_collections.vmops.qemu.tests.support.recordings import (
    DIRECTORY,
    OF_QEMU,
    RECORD,
    RECORDED,
    Answering,
    Answers,
    Recording,
    key,
    qemu_path,
    read_qemu,
)

from . import recorded_vms
from .binaries import binaries
from .machine import VM

_READS = ("query-", "qom-list", "qom-get", "device-list-properties", "x-debug-query-")


class Recorder(Answering):
    """A real VM. What it is asked and answers is written down; it is not asked to change anything."""

    def __init__(self, monitor: Monitor, directory: Path, command_line: list[str]) -> None:
        self._monitor, self._directory = monitor, str(directory)
        self.version, self.command_line = monitor.version, command_line
        self.answers: Answers = {}

    def execute_many(self, requests: Iterable[Request], **_options: Any) -> list[Any]:
        requests = list(requests)
        for request in requests:
            line = (request.arguments or {}).get("command-line", "")
            assert request.command.startswith(_READS) or line.startswith("info "), f"{request} may change the VM"
        answers = self._monitor.execute_many(moved(requests, DIRECTORY, self._directory))
        for request, answer in zip(requests, answers):
            error = isinstance(answer, CommandError)
            written = {"error": [answer.qmp_class, answer.desc]} if error else {"return": answer}
            self.answers[key(request)] = moved(written, self._directory, DIRECTORY)
        found = [self.answers[key(request)] for request in requests]
        return [
            CommandError(*answer["error"], request.command) if "error" in answer else answer["return"]
            for answer, request in zip(found, requests)
        ]


def moved(value: Any, old: str, new: str) -> Any:
    """*value* with each path below *old* moved to *new*."""
    if isinstance(value, str):
        return value.replace(old, new)
    if isinstance(value, dict):
        return {name: moved(one, old, new) for name, one in value.items()}
    if isinstance(value, Request):
        return Request(value.command, moved(value.arguments, old, new))
    return [moved(one, old, new) for one in value] if isinstance(value, (list, tuple)) else value


_running = ExitStack()
_recorders: dict[Recording, Recorder] = {}


def recorder(recording: Recording) -> Recorder:
    """The running VM of a recording, which is started at first use."""
    if recording not in _recorders:
        about = recorded_vms.named(recording.name)
        directory = Path(_running.enter_context(tempfile.TemporaryDirectory(prefix="vm-")))
        about.images(directory)
        words = moved(about.words, DIRECTORY, str(directory))
        (binary,) = (one for one in binaries() if one.version == recording.qemu)
        vm = _running.enter_context(VM(directory, binary, extra=tuple(words), **about.machine))

        def act(command: str, arguments: dict[str, Any]) -> Any:
            answer = vm.execute(command, moved(arguments, DIRECTORY, str(directory)))
            return moved(answer, str(directory), DIRECTORY)

        for command, arguments in about.acts:
            act(command, arguments)
        about.then(act)
        monitor = _running.enter_context(Monitor.connect(UnixAddress(str(vm.qmp_socket))))
        _recorders[recording] = Recorder(monitor, directory, about.words)
    return _recorders[recording]


def finish() -> None:
    """Write the recordings and end the VMs."""
    of_qemu: dict[str, Answers] = {}
    for recording, one in _recorders.items():
        answers = {name: answer for name, answer in sorted(one.answers.items()) if json.loads(name)[0] not in OF_QEMU}
        of_qemu.setdefault(recording.qemu, {} if RECORD == "all" else dict(read_qemu(recording.qemu))).update(
            {name: answer for name, answer in one.answers.items() if name not in answers}
        )
        head = {
            "qemu": recording.qemu,
            "date": datetime.date.today().isoformat(),
            "version": list(one.version),
            "command_line": one.command_line,
        }
        recording.path.write_text(_text(head, answers), encoding="utf-8")
    for version, answers in of_qemu.items():
        text = json.dumps(answers, sort_keys=True)
        qemu_path(version).write_bytes(gzip.compress(text.encode(), mtime=0))
    if RECORD == "all":
        written = {one.path for one in _recorders} | {qemu_path(version) for version in of_qemu}
        for path in RECORDED.iterdir():
            if path not in written:
                print(f"{path.name} was not recorded: no test uses it, or its QEMU is not here.")
    _running.close()


def _text(head: dict[str, Any], answers: Answers) -> str:
    """A recording as JSON, each answer on a line of its own."""
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(answer)}" for name, answer in answers.items())
    return f'{json.dumps(head)[:-1]},\n"answers": {{\n{lines}\n}}}}\n'
