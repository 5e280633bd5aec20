# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run, pause, shut down, reset or wake up a VM: the states of ``query-status``, and the commands that change them."""

from __future__ import annotations

import time
from typing import Any

from ...qmp import Disconnected, QMPError
from ..errors import InvalidOption, StillInProgress, Unsupported
from ..lazy import dataclass
from ..model.hardware import Hardware
from ..plan.plan import Await, Command, Execute, Plan, Run, Step, wire
from ..plan.progress import Progress

_ENDED = {"shutdown"}
_NEEDS_RESET = {"guest-panicked", "internal-error", "io-error"}
_ASLEEP = "suspended"
_LEFT = "postmigrate"
_AWAITS = "inmigrate"
_SWITCHES = "finish-migrate"
_RESET = "prelaunch"
_LOOK_SECONDS = 1.0
REQUESTED = "shutdown_requested"
"""The status in the result of a task that has pressed the power button and does not wait."""


@dataclass(frozen=True)
class PowerSpec:
    """What a task specifies. ``state`` is running, paused, shutdown, reset, quit or wakeup. Without ``wait``, a shutdown only
    presses the power button."""

    state: str
    force: bool = False
    wait: bool = True


@dataclass(frozen=True)
class PowerDown(Step):
    """``system_powerdown``, which presses the guest's ACPI button, and the wait until the guest has shut down.

    QEMU then ends, unless it runs with ``-no-shutdown``, so a connection that closes after SHUTDOWN is success. With
    ``force`` a guest that has not shut down in time is ended by ``quit``.
    """

    force: bool

    def commands(self) -> list[Command]:
        return [wire("system_powerdown", None)]

    def apply(self, run: Run) -> None:
        since = run.monitor.mark()
        deadline = time.monotonic() + run.timeout
        run.execute("system_powerdown", {})
        while not self._is_over(run, since):
            left = deadline - time.monotonic()
            if left <= 0:
                if not self.force:
                    raise StillInProgress(
                        f"The guest has not shut down within {run.timeout:g} s. The power button was pressed, so it may still "
                        "shut down later. Set force: true to end QEMU then."
                    )
                Quit().apply(run)
                return
            run.report(Progress(note="the guest has not shut down"))
            try:
                run.monitor.poll_events(min(_LOOK_SECONDS, left))
            except Disconnected:
                if not self._is_over(run, since):
                    raise

    def _is_over(self, run: Run, since: int) -> bool:
        return any(event.name == "SHUTDOWN" for event in run.monitor.events(since=since))


@dataclass(frozen=True)
class PressButton(Execute):
    """``system_powerdown`` without a wait. The guest decides whether and when it shuts down."""

    def apply(self, run: Run) -> None:
        super().apply(run)
        run.results["status"] = REQUESTED


@dataclass(frozen=True)
class Quit(Step):
    """``quit``: QEMU ends, and with it the VM. Done when the connection has closed."""

    def commands(self) -> list[Command]:
        return [wire("quit", None)]

    def apply(self, run: Run) -> None:
        deadline = time.monotonic() + run.timeout
        try:
            run.execute("quit", {})
            while time.monotonic() < deadline:
                run.monitor.poll_events(max(0.0, deadline - time.monotonic()))
        except Disconnected:
            return
        raise StillInProgress(
            f"QEMU has accepted quit and still runs after {run.timeout:g} s. Run the task again to wait longer."
        )


def plan(hardware: Hardware, spec: PowerSpec) -> Plan:
    """Bring the VM to the state. Raises Unsupported for a state that it cannot reach from the present one."""
    state, force, wait = spec.state, spec.force, spec.wait
    if state == "shutdown" and force and not wait:
        raise InvalidOption(
            "force: true ends QEMU if the guest has not shut down in time, and wait: false does not wait. Set only one of them."
        )
    status = _status_of(hardware)
    runs = bool(hardware.cache.ask("query-status")["running"])
    steps: tuple[Step, ...] = ()
    after = {
        "running": "running",
        "wakeup": "running",
        "reset": "running" if runs else status,
        "paused": "paused",
        "shutdown": "shutdown",
        "quit": "shutdown",
    }[state]
    if state in ("running", "wakeup") and status == _ASLEEP:
        steps = (Execute("system_wakeup", {}), _reached("running"))
    elif state == "running" and not runs:
        _refuse_migrated(status, force)
        if status in _ENDED | _NEEDS_RESET - {"io-error"}:
            raise Unsupported(f"The VM is {status} and cannot be resumed. Set state: reset, then state: running.")
        steps = (Execute("cont", {}), _reached("running"))
    elif state == "paused" and (runs or status == _ASLEEP):
        steps = (Execute("stop", {}), _reached("paused", _ASLEEP))
    elif state == "shutdown" and status not in _ENDED:
        steps = _shutdown(status, runs, force, wait)
        after = after if wait else status
    elif state == "reset":
        if status == _LEFT:
            _refuse_migrated(status, force)
            after = _RESET
        steps = (Execute("system_reset", {}),)
    elif state == "quit":
        steps = (Quit(),)
    elif state in ("paused", "wakeup"):
        after = status
    return Plan(steps, {"status": status}, {"status": after})


def has_left(hardware: Hardware) -> bool:
    """Whether the guest has migrated away, so that it may run elsewhere.

    QEMU reports ``postmigrate`` until the VM is reset. Then it reports ``prelaunch``, and ``cont`` would boot a second guest on
    the same disks. Both sides of a migration report it as completed, but only the source reports how long it took.
    """
    vm = hardware.cache.ask("query-status")["status"]
    if vm == _RESET:
        migration = hardware.cache.ask("query-migrate")
        return migration.get("status") == "completed" and "total-time" in migration
    return bool(vm == _LEFT)


def _status_of(hardware: Hardware) -> str:
    """The status by QEMU's name; ``postmigrate`` also if the VM was reset after its guest had left."""
    return _LEFT if has_left(hardware) else str(hardware.cache.ask("query-status")["status"])


def _refuse_migrated(status: str, force: bool) -> None:
    """Raise Unsupported for a guest that runs on the other side of a migration, unless *force*, or has not arrived yet."""
    if status == _LEFT and not force:
        raise Unsupported(
            "The VM is postmigrate: its guest has migrated to another host. If it ran here too, both would destroy its disks. "
            "Set force: true only if it runs nowhere else."
        )
    if status == _AWAITS:
        raise Unsupported(
            "The VM is inmigrate: it waits for its guest, and runs when the guest has arrived. Start the migration on the other "
            "side with qmp_migrate."
        )
    if status == _SWITCHES:
        raise Unsupported(
            "The VM is finish-migrate: its guest is moving to the other side. Complete or cancel the migration with qmp_migrate. "
            "If it is cancelled, the guest continues here."
        )


def _shutdown(status: str, runs: bool, force: bool, wait: bool) -> tuple[Step, ...]:
    """The steps that shut the guest down. Raises Unsupported for a guest that does not run, unless *force*."""
    if runs or status == _ASLEEP:
        button = PowerDown(force) if wait else PressButton("system_powerdown", {})
        return (*([Execute("system_wakeup", {})] if status == _ASLEEP else []), button)
    if force:
        return (Quit(),)
    if status == _LEFT:
        raise Unsupported(
            "The VM is postmigrate: its guest has migrated to another host, and cannot shut down here. Set force: true to end "
            "this QEMU."
        )
    if status == _AWAITS:
        raise Unsupported(
            "The VM is inmigrate: its guest has not arrived, and cannot shut down. Set force: true to end this QEMU."
        )
    raise Unsupported(
        f"The VM is {status}, so its guest cannot shut down. Set state: running first, or set force: true to end this QEMU."
    )


def _status(run: Run) -> str:
    return str(run.read("query-status")["status"])


def _reached(*statuses: str) -> Await:
    """Wait until the VM has one of these statuses; the first one is the desired one."""

    def look(run: Run) -> bool:
        return _status(run) in statuses

    def late(run: Run) -> StillInProgress:
        return StillInProgress(
            f"The VM is not {statuses[0]} after {run.timeout:g} s, but {_status(run)}. Run the task again to wait longer."
        )

    return Await(look, late)


def preview(hardware: Hardware, spec: PowerSpec) -> dict[str, Any]:
    """The result of check mode: the VM as it would be."""
    planned = plan(hardware, spec)
    pressed = any(isinstance(step, PressButton) for step in planned.steps)
    return {"vm": planned.after, **({"status": REQUESTED} if pressed else {})}


def describe(hardware: Hardware) -> dict[str, Any]:
    """The present status; ``shutdown`` if QEMU has ended."""
    try:
        return {"status": hardware.cache.ask("query-status")["status"]}
    except QMPError:
        return {"status": "shutdown"}
