# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running, pausing, shutting down: the states of ``query-status`` and the ways between them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from ...qmp import Disconnected, QMPError
from ..errors import InvalidOption, StillInProgress, Unsupported
from ..model.hardware import Hardware
from ..plan.plan import Await, Command, Execute, Plan, Run, Step, wire

_ENDED = {"shutdown"}
_NEEDS_RESET = {"guest-panicked", "internal-error", "io-error"}
_ASLEEP = "suspended"
_LEFT = "postmigrate"
_AWAITS = "inmigrate"
_SWITCHES = "finish-migrate"
_RESET = "prelaunch"
REQUESTED = "shutdown_requested"
"""The status of a run that has pressed the button and does not wait."""


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
                        f"The guest has not shut down within {run.timeout:g} s. It was asked to and may still do it; "
                        "set force: true to end it all the same."
                    )
                Quit().apply(run)
                return
            try:
                run.monitor.poll_events(left)
            except Disconnected:
                if not self._is_over(run, since):
                    raise

    def _is_over(self, run: Run, since: int) -> bool:
        return any(event.name == "SHUTDOWN" for event in run.monitor.events(since=since))


@dataclass(frozen=True)
class PressButton(Execute):
    """``system_powerdown`` alone. Whether and when the guest shuts down is its own affair."""

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
        raise StillInProgress(f"QEMU has taken quit and is still there after {run.timeout:g} s.")


def plan(hardware: Hardware, state: str, force: bool = False, wait: bool = True) -> Plan:
    """Bring the VM to *state*: running, paused, shutdown, reset, quit or wakeup; without *wait*, only press the button for
    shutdown. Raises Unsupported for what its guest cannot do from where it is."""
    if state == "shutdown" and force and not wait:
        raise InvalidOption(
            "force: true ends QEMU when the guest has not shut down in time, and with wait: false no time is "
            "waited for. Set one of them only."
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
    if state == "running" and status == _ASLEEP or state == "wakeup" and status == _ASLEEP:
        steps = (Execute("system_wakeup", {}), _reached("running"))
    elif state == "running" and not runs:
        _refuse_migrated(status, force)
        if status in _ENDED | _NEEDS_RESET - {"io-error"}:
            raise Unsupported(f"The VM is {status} and cannot go on from there. Set state: reset, then state: running.")
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

    QEMU says ``postmigrate`` until the VM is reset; then it says ``prelaunch``, and ``cont`` would boot a second guest on the
    same disks. Both sides of a migration call it completed, but only the one that it came from tells how long it took.
    """
    vm = hardware.cache.ask("query-status")["status"]
    if vm == _RESET:
        migration = hardware.cache.ask("query-migrate")
        return migration.get("status") == "completed" and "total-time" in migration
    return bool(vm == _LEFT)


def _status_of(hardware: Hardware) -> str:
    """The status by QEMU's name; ``postmigrate`` also where the VM was reset after its guest had left."""
    return _LEFT if has_left(hardware) else str(hardware.cache.ask("query-status")["status"])


def _refuse_migrated(status: str, force: bool) -> None:
    """Raise Unsupported for a guest that runs at the other side of a migration, unless forced, or has not come from there."""
    if status == _LEFT and not force:
        raise Unsupported(
            "The VM is postmigrate: its guest has left for another host, and would run twice and spoil its disks. "
            "Set force: true only if it runs nowhere else."
        )
    if status == _AWAITS:
        raise Unsupported(
            "The VM is inmigrate: it waits for its guest to come, and runs when that is here. Start the migration "
            "at the other side, with qmp_migrate."
        )
    if status == _SWITCHES:
        raise Unsupported(
            "The VM is finish-migrate: its guest is on the way to the other side. Have the migration completed or "
            "cancelled with qmp_migrate; a guest that was cancelled goes on here."
        )


def _shutdown(status: str, runs: bool, force: bool, wait: bool) -> tuple[Step, ...]:
    """A guest that does not run cannot shut itself down."""
    if runs or status == _ASLEEP:
        button = PowerDown(force) if wait else PressButton("system_powerdown", {})
        return (*([Execute("system_wakeup", {})] if status == _ASLEEP else []), button)
    if force:
        return (Quit(),)
    if status == _LEFT:
        raise Unsupported(
            "The VM is postmigrate: its guest has left for another host, and cannot shut down here. Set "
            "force: true to end this QEMU."
        )
    if status == _AWAITS:
        raise Unsupported("The VM is inmigrate: its guest has yet to come, and cannot shut down. Set force: true to end it.")
    raise Unsupported(f"The VM is {status}, so its guest cannot shut down. Set state: running first, or force: true to end it.")


def _status(run: Run) -> str:
    return str(run.read("query-status")["status"])


def _reached(*wanted: str) -> Await:
    def look(run: Run) -> bool:
        return _status(run) in wanted

    def late(run: Run) -> StillInProgress:
        return StillInProgress(f"The VM is {_status(run)} after {run.timeout:g} s, not {wanted[0]}.")

    return Await(look, late)


def preview(hardware: Hardware, state: str, force: bool, wait: bool) -> dict[str, Any]:
    """What check mode tells of the VM as it would be."""
    planned = plan(hardware, state, force, wait)
    asked = any(isinstance(step, PressButton) for step in planned.steps)
    return {"vm": planned.after, **({"status": REQUESTED} if asked else {})}


def describe(hardware: Hardware) -> dict[str, Any]:
    """The status now; ``shutdown`` where QEMU has ended."""
    try:
        return {"status": hardware.cache.ask("query-status")["status"]}
    except QMPError:
        return {"status": "shutdown"}
