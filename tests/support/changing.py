# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recorded VMs that tasks change: each is a VM of its own, as its file in ``tests/vm/recorded_vms`` has it, in which tasks run.

    def test_a_device_is_added_and_removed(changing):
        vm = changing(recording)
        assert vm.run("qmp_device", id="rng2", driver="virtio-rng-pci")["device"]["bus"] == "rp3"
        assert vm.run("qmp_device", id="rng2", state="absent")["device"] is None

What is recorded of a run is which changes the task made, in which order, and how the VM answered then: another change fails
the test, and so does one that is missing. A run is found by its tasks, so one that is new or has other options must be recorded.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Any, Callable, Iterable, Sequence

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils._ansible import run as task
from ansible_collections.vmops.qemu.plugins.module_utils.qmp import (
    CommandError,
    Disconnected,
    Event,
    OutcomeUnknown,
    QMPError,
    Request,
)

from . import in_process, recordings
from .recordings import Answer, Answering, Answers, Phase, Recorded, Recording, Run, is_read, key, reply

POLL_SECONDS = 0.01
"""How long a wait for an event takes that was not recorded."""


class Changing(Answering):
    """A VM that tasks change."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self._tasks: list[Any] = []
        self._failures: list[tuple[str, QMPError]] = []
        self._breaks: list[str] = []
        self._events: list[Event] = []
        self._closed = False

    # tasks

    def run(self, module: str, check_mode: bool = False, **options: Any) -> dict[str, Any]:
        """Run a task; its result, its warnings under ``warnings``. Raises Failure."""
        warnings: list[str] = []

        def run() -> dict[str, Any]:
            params = recordings.params(module, **options)
            with recordings.connected(self):
                return task.run(recordings.work_of(module), params, check_mode, warnings.append)

        return {**self._follow([module, options, check_mode], run), "warnings": warnings}

    def main(self, module: str, check_mode: bool = False, **options: Any) -> dict[str, Any]:
        """Run a module's main(); what it returns, be it a failure."""
        return self._follow(
            [module, options, check_mode], lambda: in_process.main(module, self, check_mode, socket=in_process.SOCKET, **options)
        )

    def fail(self, command: str, error: QMPError) -> None:
        """The next change by *command* does not reach the VM; it ends in *error*, as also a broken connection is one."""
        self._failures.append((command, error))
        self._tasks.append([command, repr(error)])

    def break_after(self, command: str) -> None:
        """The connection breaks when the VM has answered the next change by *command*."""
        self._breaks.append(command)
        self._tasks.append([command, "break"])

    def _follow(self, about: list[Any], run: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        self._tasks.append(about)
        self._begin()
        try:
            return run()
        finally:
            self._end()

    def stop(self) -> None:
        """End the VM."""

    # the shape of a Monitor

    def __enter__(self) -> Changing:
        self._closed = False
        return self

    def execute(
        self,
        command: str,
        arguments: dict[str, Any] | None = None,
        *,
        fds: Sequence[int] = (),
        timeout: float | None = None,
        **_options: Any,
    ) -> Any:
        request = Request(command, arguments)
        self._check_open()
        if not is_read(request):
            self._fail(command)
        answer = reply(self._read(request) if is_read(request) else self._change(request, fds, timeout), request)
        if command in self._breaks:
            self._breaks.remove(command)
            self._closed = True
        if isinstance(answer, CommandError):
            raise answer
        return answer

    def execute_many(self, requests: Iterable[Request], **_options: Any) -> list[Any]:
        answers = []
        for request in requests:
            try:
                answers.append(self.execute(*request))
            except CommandError as error:
                answers.append(error)
        return answers

    def mark(self) -> int:
        self._check_open()
        return len(self.events(0))

    def events(self, since: int) -> list[Event]:
        self._check_open()
        self._take_events()
        return self._events[since:]

    def _check_open(self) -> None:
        if self._closed:
            raise Disconnected

    def _fail(self, command: str) -> None:
        for failure in self._failures:
            if failure[0] == command:
                self._failures.remove(failure)
                self._closed = isinstance(failure[1], (Disconnected, OutcomeUnknown))
                raise failure[1]

    def _event(self, name: str, data: dict[str, Any]) -> None:
        self._events.append(Event(name, data, 0.0, len(self._events)))

    # what the real one and its recording do in ways of their own

    def _take_events(self) -> None:
        """Have in _events all that have come."""

    def _begin(self) -> None:
        """The last of _tasks begins."""

    def _end(self) -> None:
        """It has ended."""

    def _read(self, request: Request) -> Answer:
        raise NotImplementedError

    def _change(self, request: Request, fds: Sequence[int], timeout: float | None) -> Answer:
        raise NotImplementedError


class Replayed(Changing):
    """The recording of a VM that tasks change."""

    def __init__(self, recording: Recording) -> None:
        super().__init__(recording)
        self._recorded = Recorded(recording)
        self.version, self.command_line = self._recorded.version, self._recorded.command_line
        self._run: Run = {"tasks": [], "changes": [], "phases": []}
        self._changes = 0
        self._known: Answers = {}
        self._next: dict[str, deque[Answer]] = {}

    def _begin(self) -> None:
        if self._follows(self._run):
            return
        self._run = next(filter(self._follows, self._recorded.runs), {"tasks": [], "changes": [], "phases": []})
        if not self._run["tasks"]:
            pytest.fail(f"{self.recording} did not run {self._tasks} when it was recorded; make record runs it")
        self._known, self._next = {}, {}
        for phase in self._run["phases"][: self._changes + 1]:
            self._enter(phase)

    def _follows(self, run: Run) -> bool:
        return bool(run["tasks"][: len(self._tasks)] == self._tasks)

    def _end(self) -> None:
        changes = self._run["changes"][: len(self._tasks)]
        if changes and self._changes < changes[-1]:
            expected = self._run["phases"][self._changes + 1]["change"]
            pytest.fail(f"The task did not make the change that comes next in the recording: {expected}")

    def _enter(self, phase: Phase) -> None:
        self._known.update({asked: answers[-1] for asked, answers in self._next.items()})
        self._next = {asked: deque(answers) for asked, answers in phase["answers"].items()}

    def _read(self, request: Request) -> Answer:
        asked = key(request)
        answers = self._next.get(asked)
        if answers:
            return answers.popleft() if len(answers) > 1 else answers[0]
        return self._known[asked] if asked in self._known else self._recorded.answer(asked)

    def _change(self, request: Request, fds: Sequence[int], timeout: float | None) -> Answer:
        self._changes += 1
        phases = self._run["phases"]
        phase = phases[self._changes] if self._changes < len(phases) else None
        if phase is None or phase["change"] != key(request):
            pytest.fail(f"The task changes the VM by {key(request)}. Recorded here: {phase and phase['change']}")
        self._enter(phase)
        for name, data in phase["events"]:
            self._event(name, data)
        answer: Answer = phase["answer"]
        return answer

    def poll_events(self, timeout: float) -> None:
        self._check_open()
        time.sleep(min(timeout, POLL_SECONDS))


def vm(recording: Recording) -> Changing:
    """A VM of its own: the recorded one, or while it is recorded the real one."""
    if recordings.RECORD in (recording.name, "all"):
        from ansible_collections.vmops.qemu.tests.vm import record

        return record.Live(recording)
    return Replayed(recording)
