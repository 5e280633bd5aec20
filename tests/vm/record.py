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
from collections import ChainMap
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Iterable, Sequence

from ansible_collections.vmops.qemu.plugins.module_utils.qmp import CommandError, Monitor, Request, UnixAddress
from ansible_collections.vmops.qemu.tests.support.changing import Changing
from ansible_collections.vmops.qemu.tests.support.recordings import (
    DIRECTORY,
    OF_QEMU,
    RECORD,
    RECORDED,
    Answer,
    Answering,
    Answers,
    Phase,
    Recording,
    Run,
    is_read,
    key,
    packed,
    qemu_directory,
    reply,
)

from . import recorded_vms
from .binaries import binaries
from .machine import VM


class Real:
    """A real VM of *recording*; paths below DIRECTORY are in truth below a directory of its own."""

    def __init__(self, recording: Recording) -> None:
        self._running = ExitStack()
        about = recorded_vms.named(recording.name)
        directory = Path(self._running.enter_context(tempfile.TemporaryDirectory(prefix="vm-")))
        self._directory = str(directory)
        about.images(directory)
        self.words = about.words
        (binary,) = (one for one in binaries() if one.version == recording.qemu)
        words = tuple(self.there(self.words))
        vm = self._running.enter_context(VM(directory, binary, extra=words, **about.machine))

        def act(command: str, arguments: dict[str, Any]) -> Any:
            return self.here(vm.execute(command, self.there(arguments)))

        for command, arguments in about.acts:
            act(command, arguments)
        about.then(act)
        self.monitor = self._running.enter_context(Monitor.connect(UnixAddress(str(vm.qmp_socket))))

    def there(self, value: Any) -> Any:
        """*value* with the paths that the real VM has."""
        return _moved(value, DIRECTORY, self._directory)

    def here(self, value: Any) -> Any:
        """*value* of the real VM with the paths of the recording."""
        return _moved(value, self._directory, DIRECTORY)

    def written(self, answer: Any) -> Answer:
        """An answer of the real VM as it is recorded."""
        if isinstance(answer, CommandError):
            return {"error": [answer.qmp_class, self.here(answer.desc)]}
        return {"return": self.here(answer)}

    def stop(self) -> None:
        self._running.close()


def _moved(value: Any, old: str, new: str) -> Any:
    """*value* with each path below *old* moved to *new*."""
    if isinstance(value, str):
        return value.replace(old, new)
    if isinstance(value, dict):
        return {name: _moved(one, old, new) for name, one in value.items()}
    if isinstance(value, Request):
        return Request(value.command, _moved(value.arguments, old, new))
    return [_moved(one, old, new) for one in value] if isinstance(value, (list, tuple)) else value


class Recorder(Answering):
    """A real VM. What it is asked and answers is written down; it is not asked to change anything."""

    def __init__(self, recording: Recording) -> None:
        self._real = Real(recording)
        self.version, self.command_line = self._real.monitor.version, self._real.words
        self.answers: Answers = {}
        self.runs: list[Run] = []

    def execute_many(self, requests: Iterable[Request], **_options: Any) -> list[Any]:
        requests = list(requests)
        for request in requests:
            assert is_read(request), f"{request} may change the VM, which all tests use: see changing.py"
        answers = [*map(self._real.written, self._real.monitor.execute_many(self._real.there(requests)))]
        self.answers.update(zip(map(key, requests), answers))
        return [*map(reply, answers, requests)]

    def stop(self) -> None:
        self._real.stop()


class Live(Changing):
    """A real VM that tasks change; what they do is written down."""

    def __init__(self, recording: Recording) -> None:
        super().__init__(recording)
        self._real = Real(recording)
        self.version, self.command_line = self._real.monitor.version, self._real.words
        self._phases: list[Phase] = [{"events": [], "answers": {}}]
        self._counts: list[int] = []
        self._seen = self._real.monitor.mark()

    def stop(self) -> None:
        self._take_events()
        self._real.stop()
        recorder(self.recording).runs.append({"tasks": self._tasks, "changes": self._counts, "phases": self._phases})

    def _end(self) -> None:
        new = len(self._tasks) - len(self._counts)
        self._counts += [len(self._phases) - 1] * new

    def _read(self, request: Request) -> Answer:
        (answer,) = map(self._real.written, self._real.monitor.execute_many([self._real.there(request)]))
        answers = self._phases[-1]["answers"].setdefault(key(request), [])
        if answer not in answers[-1:]:
            answers.append(answer)
        return answer

    def _change(self, request: Request, fds: Sequence[int], timeout: float | None) -> Answer:
        self._take_events()
        phase: Phase = {"change": key(request), "events": [], "answers": {}}
        self._phases.append(phase)
        command, arguments = self._real.there(request)
        try:
            answer = self._real.monitor.execute(command, arguments, fds=fds, timeout=timeout)
        except CommandError as error:
            answer = error
        written = phase["answer"] = self._real.written(answer)
        return written

    def poll_events(self, timeout: float) -> None:
        self._check_open()
        self._real.monitor.poll_events(timeout)

    def _take_events(self) -> None:
        for event in self._real.monitor.events(self._seen):
            self._seen = event.seq + 1
            data = self._real.here(event.data)
            self._phases[-1]["events"].append([event.name, data])
            self._event(event.name, data)


_recorders: dict[Recording, Recorder] = {}


def recorder(recording: Recording) -> Recorder:
    """The running VM of a recording, which is started at first use."""
    if recording not in _recorders:
        _recorders[recording] = Recorder(recording)
    return _recorders[recording]


def finish() -> None:
    """Write the recordings and end the VMs."""
    written = set()
    for recording, one in _recorders.items():
        one.stop()
        runs = _differing(one.answers, _longest(one.runs))
        for asked in filter(_is_of_qemu, one.answers):
            written.add(_write_of_qemu(recording.qemu, asked, one.answers[asked]))
        answers = {asked: answer for asked, answer in one.answers.items() if not _is_of_qemu(asked)}
        head = {
            "qemu": recording.qemu,
            "date": datetime.date.today().isoformat(),
            "version": list(one.version),
            "command_line": one.command_line,
        }
        recording.path.write_text(_text(head, answers, runs), encoding="utf-8")
        written.add(recording.path)
    if RECORD == "all":
        for path in sorted(set(RECORDED.rglob("*.json*")) - written):
            print(f"{path.relative_to(RECORDED)} was not recorded: no test uses it, or its QEMU is not here.")


def _write_of_qemu(version: str, asked: str, answer: Answer) -> Path:
    """Write an answer that is the same for each VM of a QEMU, and return the path. The bytes are the same for the same answer."""
    command, arguments = json.loads(asked)
    name = "-".join([command, *map(str, arguments.values())])
    path = qemu_directory(version) / f"{name}.json.gz"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(gzip.compress(json.dumps({asked: answer}, sort_keys=True).encode(), mtime=0))
    return path


def _is_of_qemu(asked: str) -> bool:
    return json.loads(asked)[0] in OF_QEMU


def _differing(answers: Answers, runs: list[Run]) -> list[Run]:
    """The runs, without answers that are as they were. *answers* gets those to questions that only runs ask."""
    for run in runs:
        known = ChainMap({}, answers)
        for number, phase in enumerate(run["phases"]):
            for asked, given in list(phase["answers"].items()):
                if number == 0 or _is_of_qemu(asked):
                    answers.setdefault(asked, given[0])
                if given == [known.get(asked)]:
                    del phase["answers"][asked]
                known[asked] = given[-1]
    return runs


def _longest(runs: list[Run]) -> list[Run]:
    """Each run that is not the beginning of another, once."""
    found: dict[str, Run] = {}
    for run in sorted(runs, key=lambda run: -len(run["tasks"])):
        begins = {json.dumps(run["tasks"][:count]) for count in range(len(run["tasks"]) + 1)}
        if max(begins, key=len) not in found:
            found.update(dict.fromkeys(begins - found.keys(), run))
    return list({id(run): run for run in found.values()}.values())


def _text(head: dict[str, Any], answers: Answers, runs: list[Run]) -> str:
    """A recording as JSON, with each answer, each object, and each phase of a run on a line of its own."""
    parts = [
        f"{json.dumps(part)}: {{\n"
        + ",\n".join(f"{json.dumps(name)}: {json.dumps(one)}" for name, one in entries.items())
        + "\n}"
        for part, entries in packed(answers).items()
    ]
    ran = ",\n".join(
        f'{{"tasks": {json.dumps(run["tasks"])}, "changes": {run["changes"]}, "phases": [\n{phases}\n]}}'
        for run in runs
        for phases in [",\n".join(map(json.dumps, run["phases"]))]
    )
    return ",\n".join([json.dumps(head)[:-1], *parts, f'"runs": [\n{ran}\n]}}\n'])
