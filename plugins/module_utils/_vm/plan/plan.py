# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A change as a list of steps, each of which knows how it is taken back.

A plan is made without touching the VM; check mode shows it, ``apply`` performs it. When a step fails, the steps
before it are undone, newest first, and the first error is the one reported. When the connection breaks, nothing
more is tried: what the VM has must be read again, which the next run does.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Callable, Dict, Sequence

from ...qmp import CommandError, InvalidArguments, Monitor, QMPError, redact_request
from ..errors import HardwareError, StillInProgress, UnplugPending
from ..model.query_cache import QueryCache

Command = Dict[str, Any]
"""``{"execute": name, "arguments": {…}}``, as QMP has it on the wire."""

RETRY_SECONDS = 0.2
"""How long to wait before asking again for a thing that QEMU still has in use."""

_GONE = ("not found", "has not been found", "Failed to find node")
_IN_USE = ("is in use", "is busy", "which is mapped", "with active references", "is not owned by the monitor")
"""The third and fourth since 11.1. A node that QEMU named for a parent goes with that parent, which may still be going."""


class Run:
    """The applying of one plan: the monitor, the seconds that each step may take, what was sent so far, and what the steps
    add to the result. ``undoes``: whether it is the undoing of another one. ``finished``: the parts of the present step that
    are done, if it consists of several. ``pending``: the unplugs that the task lets pend. ``launch_args``: those that are known
    only now, by the id of the device."""

    def __init__(self, monitor: Monitor, timeout: float, undoes: bool = False) -> None:
        self.monitor = monitor
        self.timeout = timeout
        self.undoes = undoes
        self.sent: list[Command] = []
        self.results: dict[str, Any] = {}
        self.finished: list[Step] = []
        self.pending: list[UnplugPending] = []
        self.launch_args: dict[str, list[str]] = {}

    def execute(self, command: str, arguments: dict[str, Any], fds: Sequence[int] = ()) -> Any:
        entry = wire(command, arguments)
        if entry not in self.sent[-1:]:  # a request that is repeated until QEMU takes it is told once
            self.sent.append(entry)
        reply = self.monitor.execute(command, arguments, fds=fds)
        self.monitor.keep(self, reply)
        return reply

    def read(self, command: str, /, **arguments: Any) -> Any:
        """The answer to a command that changes nothing, of the documented shape."""
        return QueryCache(self.monitor).ask(command, **arguments)


class Step:
    """One act on the VM. ``uses`` are steps before it that it uses up: once it is done they need no taking back.
    ``changes``: whether it changes the VM, and does not only look or wait. ``unplugs``: whether the guest has to do its part, so
    that several such steps are done at the same time, by ``together``."""

    uses: tuple[Step, ...] = ()
    changes = True
    unplugs = False

    def commands(self) -> list[Command]:
        """What it sends, in the form of the wire."""
        raise NotImplementedError

    def apply(self, run: Run) -> None:
        raise NotImplementedError

    def undo(self) -> Step | None:
        """The step that takes this one back; None where there is nothing to take back, or no way to."""
        return None

    def together(self, others: Sequence[Step]) -> Step:
        """One step that does this one and *others*, of the same sort, at the same time."""
        raise NotImplementedError


@dataclass(frozen=True)
class Execute(Step):
    """One command, taken back by another step."""

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
    """A command that deletes: already gone is good, still in use is asked again until the time is over."""

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
    """Several steps as one, such as what puts back a thing that consists of several."""

    parts: tuple[Step, ...]

    def commands(self) -> list[Command]:
        return [command for part in self.parts for command in part.commands()]

    def apply(self, run: Run) -> None:
        for part in self.parts:
            part.apply(run)


@dataclass(frozen=True)
class CloseDescriptor(Delete):
    """Have QEMU close what it was handed under a name and nothing uses; that is no change of the VM."""

    changes = False


def close_descriptor(name: str) -> CloseDescriptor:
    return CloseDescriptor("closefd", {"fdname": name})


@dataclass(frozen=True)
class PassDescriptor(Step):
    """Open a file on this host and hand it to QEMU under a name, which the next command uses up.

    A run that was killed in between leaves QEMU with the file, which others then may not be able to open (a tap is busy).
    So where opening fails, what QEMU has under the name is closed and opening is tried once more.
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
class Await(Step):
    """Look again and again until a thing holds. ``look`` tells whether it does and raises a HardwareError if it never will;
    ``late`` makes the error for when the time is over. ``undo_step``: what brings back a thing whose end was awaited."""

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
    """What has to be done, and what the diff says of it: the object before and after, None for absent.

    ``unverified`` names the options that QEMU cannot report back; ``launch_args`` would give the VM the same
    at its next start. ``doubts`` are reasons, as far as they are seen from this host, for which QEMU will refuse a step: check
    mode fails with the first, a run leaves the decision to QEMU.
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
        return any(step.changes for step in self.steps)

    def commands(self) -> list[Command]:
        """All that ``apply`` sends when nothing fails."""
        return [command for step in self.steps for command in step.commands()]

    def apply(self, monitor: Monitor, timeout: float) -> Run:
        """Perform all steps, each within *timeout* seconds; return the run of it. Raises PlanFailed."""
        with monitor.acting():
            return self._apply(monitor, timeout)

    def _apply(self, monitor: Monitor, timeout: float) -> Run:
        run = Run(monitor, timeout)
        done: list[Step] = []
        for step in self.steps:
            run.finished = []
            try:
                step.apply(run)
            except StillInProgress as error:  # what has begun goes on
                raise PlanFailed(error, run.sent, done=_final([*done, *run.finished]), step=step) from error
            except (CommandError, InvalidArguments, HardwareError, OSError) as error:
                done += run.finished
                undone, left = take_back(done, Run(monitor, timeout, undoes=True))
                raise PlanFailed(error, run.sent, undone, left, _final(done), step) from error
            except QMPError as error:
                known = [command for one in [*done, *run.finished] for command in one.commands()]
                raise PlanFailed(error, run.sent, done=known, step=step) from error
            done = [one for one in done if one not in step.uses] if step.uses else done
            done.append(step)
        return run


class PlanFailed(Exception):
    """A plan that stopped at an error, the ``cause``.

    ``sent`` are the commands up to it, ``undone`` those that took back what was done before, ``left`` those that
    would have, from the first that failed on: what they name is still in the VM. ``done`` are those that stay done:
    removals, and after a lost connection everything, for then nothing is taken back. ``step``: the one that failed.
    """

    def __init__(
        self,
        cause: Exception,
        sent: list[Command],
        undone: Sequence[Command] = (),
        left: Sequence[Command] = (),
        done: Sequence[Command] = (),
        step: Step | None = None,
    ) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.sent = sent
        self.undone = list(undone)
        self.left = list(left)
        self.done = list(done)
        self.step = step


def take_back(done: Sequence[Step], run: Run) -> tuple[list[Command], list[Command]]:
    """Undo steps, newest first; return the commands that did it, and from the first that failed on those that are left.

    No further, for what is older carries what is newer: a network backend that is deleted under its NIC leaves a NIC
    that can never be connected again.
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
    """The same steps, but where unplugs and deletions follow each other, all unplugs come first and at the same time: the wait
    for thirty devices is then that for one. None of the deletions is needed for an unplug."""
    result: list[Step] = []
    for simple, some in groupby(undos, lambda step: step.unplugs or isinstance(step, Delete)):
        steps = list(some)
        unplugs = [step for step in steps if step.unplugs] if simple else []
        if len(unplugs) > 1:
            result.append(unplugs[0].together(unplugs[1:]))
            steps = [step for step in steps if not step.unplugs]
        result += steps
    return result


def _final(steps: Sequence[Step]) -> list[Command]:
    return [command for step in steps if step.undo() is None for command in step.commands()]


def wire(command: str, arguments: dict[str, Any] | None) -> Command:
    return {"execute": command, **({"arguments": arguments} if arguments else {})}


def redacted(command: Command) -> Command:
    """A command as it may be shown, without the secrets in it."""
    return redact_request(command)
