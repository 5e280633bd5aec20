# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A change of the VM as a list of steps, each of which knows how it is undone.

A plan is made without changing the VM. Check mode shows the plan, ``apply`` performs it. When a step fails, the steps before it
are rolled back, newest first, and the first error is reported. When the connection breaks, nothing more is tried: the state of
the VM must be read again, which the next run does.
"""

from __future__ import annotations

import os
import time
from dataclasses import field
from itertools import groupby
from typing import Any, Callable, Dict, Sequence

from ...qmp import CommandError, InvalidArguments, Monitor, QMPError, redact_request
from ..errors import HardwareError, StillInProgress, UnplugPending
from ..lazy import dataclass
from ..model.query_cache import QueryCache
from .progress import Progress, Report, ignore

Command = Dict[str, Any]
"""``{"execute": name, "arguments": {…}}``, as QMP has it on the wire."""

RETRY_SECONDS = 0.2
"""The wait before a command is repeated because QEMU still uses the object."""

_MANY = 10
"""Steps from which on a plan reports how many are done."""

_GONE = ("not found", "has not been found", "Failed to find node")
_IN_USE = ("is in use", "is busy", "which is mapped", "with active references", "is not owned by the monitor")
"""The third and fourth since QEMU 11.1. The last one is about a node that QEMU itself created for a parent: it is deleted with
that parent, whose deletion may not be complete yet."""

_CLOSED = "Bad file descriptor"


class Run:
    """The execution of one plan.

    ``timeout``: seconds that each step may take. ``rollback``: whether this run undoes the steps of another one. ``sent``: the
    commands so far. ``results``: members that steps add to the result of the task. ``finished``: the completed parts of the
    present step, if it consists of several. ``pending``: the unplugs that the task allows to be pending. ``launch_args``: by the
    id of the device, those that are known only after the change. ``report``: called by steps that wait.
    """

    def __init__(self, monitor: Monitor, timeout: float, rollback: bool = False, report: Report = ignore) -> None:
        self.monitor = monitor
        self.timeout = timeout
        self.rollback = rollback
        self.report = report
        self.sent: list[Command] = []
        self.results: dict[str, Any] = {}
        self.finished: list[Step] = []
        self.pending: list[UnplugPending] = []
        self.launch_args: dict[str, list[str]] = {}

    def execute(self, command: str, arguments: dict[str, Any], fds: Sequence[int] = ()) -> Any:
        entry = wire(command, arguments)
        if entry not in self.sent[-1:]:  # a command that is repeated until QEMU accepts it is reported once
            self.sent.append(entry)
        reply = self.monitor.execute(command, arguments, fds=fds)
        self.monitor.keep(self, reply)
        return reply

    def read(self, command: str, /, **arguments: Any) -> Any:
        """The reply to a command that changes nothing. Raises ProtocolError unless it has the documented shape."""
        return QueryCache(self.monitor).ask(command, **arguments)


class Step:
    """One act on the VM.

    ``uses``: earlier steps whose effect this step consumes, so that they are not undone once it is done. ``changes``: whether it
    changes the VM; False if it only reads or waits. ``unplugs``: whether the guest has to do its part, so that several such steps
    are done at the same time, by ``together``.
    """

    uses: tuple[Step, ...] = ()
    changes = True
    unplugs = False

    def commands(self) -> list[Command]:
        """The commands that it sends."""
        raise NotImplementedError

    def apply(self, run: Run) -> None:
        raise NotImplementedError

    def undo(self) -> Step | None:
        """The step that undoes this one; None if there is nothing to undo, or no way to undo it."""
        return None

    def together(self, others: Sequence[Step]) -> Step:
        """One step that does this one and *others*, which are of the same class, at the same time."""
        raise NotImplementedError


@dataclass(frozen=True)
class Execute(Step):
    """One command, undone by another step."""

    command: str
    arguments: dict[str, Any]
    undo_step: Step | None = None
    uses: tuple[Step, ...] = ()

    def commands(self) -> list[Command]:
        return [wire(self.command, self.arguments)]

    def apply(self, run: Run) -> None:
        run.execute(self.command, self.arguments)

    def undo(self) -> Step | None:
        return self.undo_step


@dataclass(frozen=True)
class Delete(Execute):
    """A command that deletes an object. An object that does not exist is a success. While QEMU uses the object, the command is
    repeated within the time limit."""

    def apply(self, run: Run) -> None:
        deadline = time.monotonic() + run.timeout
        while True:
            try:
                run.execute(self.command, self.arguments)
                return
            except CommandError as error:
                if error.qmp_class == "DeviceNotFound" or any(text in error.desc for text in _GONE):
                    return
                if not any(text in error.desc for text in _IN_USE) or time.monotonic() > deadline:
                    raise
            run.monitor.poll_events(RETRY_SECONDS)


@dataclass(frozen=True)
class Steps(Step):
    """Several steps as one, such as those that restore a disk with its nodes."""

    parts: tuple[Step, ...]

    def commands(self) -> list[Command]:
        return [command for part in self.parts for command in part.commands()]

    def apply(self, run: Run) -> None:
        for part in self.parts:
            part.apply(run)


@dataclass(frozen=True)
class CloseDescriptor(Delete):
    """Close a descriptor that was passed to QEMU under a name and that no device uses. This does not change the VM."""

    changes = False


def close_descriptor(name: str) -> CloseDescriptor:
    return CloseDescriptor("closefd", {"fdname": name})


@dataclass(frozen=True)
class PassDescriptor(Step):
    """Open a file on this host and pass the descriptor to QEMU under a name. The next command consumes it.

    A run that was killed between these two commands leaves the descriptor open in QEMU, and the file may then be busy for others,
    as a tap is. So if opening fails, the descriptor of this name in QEMU is closed, and opening is tried once more.
    """

    name: str
    open: Callable[[], int] = field(compare=False)

    def commands(self) -> list[Command]:
        return [wire("getfd", {"fdname": self.name})]

    def apply(self, run: Run) -> None:
        try:
            descriptor = self.open()
        except (HardwareError, OSError):
            close_descriptor(self.name).apply(run)
            descriptor = self.open()
        try:
            run.execute("getfd", {"fdname": self.name}, fds=(descriptor,))
        finally:
            os.close(descriptor)

    def undo(self) -> Step:
        return close_descriptor(self.name)


@dataclass(frozen=True)
class ConsumeDescriptors(Execute):
    """A command that consumes the descriptors that the steps in ``uses`` have passed.

    QEMU can close a descriptor that it has just received while it handles the end of an earlier connection, which had passed one
    under the same name. Then all are passed once more.
    """

    def apply(self, run: Run) -> None:
        try:
            super().apply(run)
        except CommandError as error:
            if _CLOSED not in error.desc:
                raise
            for step in self.uses:
                step.apply(run)
            super().apply(run)


@dataclass(frozen=True)
class Await(Step):
    """Wait for a condition. ``look`` reads whether it holds, and raises a HardwareError if it never will; it may report progress.
    ``late`` makes the error that is raised after the time limit. ``undo_step`` restores the object whose end was awaited."""

    look: Callable[[Run], bool]
    late: Callable[[Run], HardwareError]
    undo_step: Step | None = None
    changes = False

    def commands(self) -> list[Command]:
        return []

    def apply(self, run: Run) -> None:
        deadline = time.monotonic() + run.timeout
        while not self.look(run):
            left = deadline - time.monotonic()
            if left <= 0:
                raise self.late(run)
            run.monitor.poll_events(min(RETRY_SECONDS, left))

    def undo(self) -> Step | None:
        return self.undo_step


@dataclass(frozen=True)
class Plan:
    """The steps of a change, and the object before and after it for the diff, None if it is absent.

    ``unverified``: names of the options that QEMU cannot report back. ``launch_args``: the arguments with which the VM would have
    the object at its next start. ``doubts``: reasons why QEMU will probably refuse a step, as far as they can be seen from this
    host. Check mode fails with the first one; a run leaves the decision to QEMU.
    """

    steps: tuple[Step, ...] = ()
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
    unverified: tuple[str, ...] = ()
    launch_args: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    doubts: tuple[HardwareError, ...] = ()

    @property
    def changed(self) -> bool:
        return _changes(self.steps)

    def commands(self) -> list[Command]:
        """All commands that ``apply`` sends if nothing fails."""
        return [command for step in self.steps for command in step.commands()]

    def apply(self, monitor: Monitor, timeout: float, report: Report = ignore) -> Run:
        """Perform all steps, each within *timeout* seconds, and return the run. Raises PlanFailed."""
        with monitor.acting():
            return self._apply(monitor, timeout, report)

    def _apply(self, monitor: Monitor, timeout: float, report: Report) -> Run:
        run = Run(monitor, timeout, report=report)
        done: list[Step] = []
        for number, step in enumerate(self.steps):
            run.finished = []
            if len(self.steps) >= _MANY:
                report(Progress(done=number, total=len(self.steps), unit="steps done"))
            try:
                step.apply(run)
            except StillInProgress as error:  # it continues, so it is not rolled back
                done += run.finished
                raise PlanFailed(error, run.sent, done=_final(done), step=step, changed=_changes([*done, step])) from error
            except (CommandError, InvalidArguments, HardwareError, OSError) as error:
                done += run.finished
                undone, left = roll_back(done, Run(monitor, timeout, True, report))
                final = _final(done)
                changed = _changes(final) or bool(left) or isinstance(error, UnplugPending)
                raise PlanFailed(error, run.sent, undone, left, final, step, changed) from error
            except QMPError as error:
                done += run.finished
                raise PlanFailed(error, run.sent, done=done, step=step, changed=_changes([*done, step])) from error
            done = [one for one in done if one not in step.uses] if step.uses else done
            done.append(step)
        return run


class PlanFailed(Exception):
    """A plan that stopped at the error ``cause``.

    ``sent``: the commands up to the error. ``undone``: the commands that rolled back the earlier steps. ``left``: the rest of the
    rollback, from the first command that failed; its objects are still in the VM. ``done``: the commands that remain in force:
    removals, and after a lost connection all, because then nothing is rolled back. ``step``: the step that failed. ``changed``:
    whether the VM is or may be changed.
    """

    def __init__(
        self,
        cause: Exception,
        sent: list[Command],
        undone: Sequence[Command] = (),
        left: Sequence[Command] = (),
        done: Sequence[Step] = (),
        step: Step | None = None,
        changed: bool = False,
    ) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.sent = sent
        self.undone = list(undone)
        self.left = list(left)
        self.done = [command for one in done for command in one.commands()]
        self.step = step
        self.changed = changed


def roll_back(done: Sequence[Step], run: Run) -> tuple[list[Command], list[Command]]:
    """Undo steps, newest first. Returns the commands that were executed, and those that are left, from the first that failed.

    The rollback stops at a failure because newer objects depend on older ones: a network backend that is deleted under its NIC
    leaves a NIC that can never be connected again.
    """
    undone: list[Command] = []
    undos = _unplugs_first([undo for undo in (step.undo() for step in reversed(done)) if undo])
    for number, undo in enumerate(undos):
        run.finished = []
        try:
            undo.apply(run)
        except (QMPError, HardwareError):
            finished = [command for part in run.finished for command in part.commands()]
            rest = [command for one in undos[number:] for command in one.commands()]
            return undone + finished, [command for command in rest if command not in finished]
        undone += undo.commands()
    return undone, []


def _unplugs_first(undos: Sequence[Step]) -> list[Step]:
    """The same steps, but in each sequence of unplugs and deletions all unplugs come first, and at the same time: the wait for
    thirty devices is then as long as that for one. No unplug depends on a deletion."""
    result: list[Step] = []
    for simple, some in groupby(undos, lambda step: step.unplugs or isinstance(step, Delete)):
        steps = list(some)
        unplugs = [step for step in steps if step.unplugs] if simple else []
        if len(unplugs) > 1:
            result.append(unplugs[0].together(unplugs[1:]))
            steps = [step for step in steps if not step.unplugs]
        result += steps
    return result


def _final(steps: Sequence[Step]) -> list[Step]:
    """The steps that cannot be undone."""
    return [step for step in steps if step.undo() is None]


def _changes(steps: Sequence[Step]) -> bool:
    return any(step.changes for step in steps)


def wire(command: str, arguments: dict[str, Any] | None) -> Command:
    return {"execute": command, **({"arguments": arguments} if arguments else {})}


def redacted(command: Command) -> Command:
    """A command without the secrets in it, for output."""
    return redact_request(command)
