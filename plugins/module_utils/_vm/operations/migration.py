# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Live migration: send a running guest to another QEMU, or receive one (QEMU's ``docs/devel/migration``).

QEMU does not report the destination of a migration, only its progress (``query-migrate``). So a migration that is active, or has
just left the VM in ``postmigrate``, is assumed to be the one that the task asks for.
"""

from __future__ import annotations

import time
from dataclasses import field
from typing import Any, Callable, Dict, List, Mapping, Tuple

from ..errors import Conflict, InvalidOption, JobFailed, StillInProgress, Unsupported
from ..lazy import dataclass
from ..model.hardware import Hardware
from ..model.values import nearest, typed
from ..plan.plan import RETRY_SECONDS, Command, Execute, Plan, Run, Step, wire
from ..plan.progress import Progress
from .power import has_left

_ACTIVE = {
    "setup",
    "wait-unplug",
    "active",
    "pre-switchover",
    "device",
    "cancelling",
    "colo",
    "postcopy-device",
    "postcopy-active",
    "postcopy-paused",
    "postcopy-recover",
    "postcopy-recover-setup",
}
_AWAITS = "inmigrate"
_LEFT = "postmigrate"
_SWITCHES = "finish-migrate"  # the guest is stopped, and will run on the other side, or here again
_LISTENS = ("unix:", "tcp:", "vsock:")

Status = Dict[str, Any]


@dataclass(frozen=True)
class MigrationSpec:
    """What a task specifies of a migration: its ``state``, where it goes to or comes from, its settings, and whether to wait for
    its end. ``force``: a guest that has left runs here again, and is sent again."""

    state: str = "started"

    uri: str | None = None
    channels: list[dict[str, Any]] | None = None
    capabilities: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    wait: bool = True
    force: bool = False


@dataclass(frozen=True)
class Follow(Step):
    """Wait until the migration has ended or is in ``pre-switchover``; without ``wait``, until it is connected.

    ``passed``: the status that the migration has until the command before takes effect, which is a moment after its reply.
    Raises JobFailed, StillInProgress.
    """

    wait: bool
    passed: str = ""
    changes = False

    def commands(self) -> list[Command]:
        return []

    def apply(self, run: Run) -> None:
        deadline = time.monotonic() + run.timeout
        while True:
            now = run.read("query-migrate")
            left = deadline - time.monotonic()
            has_passed = now.get("status") != self.passed
            if has_passed and not _continues(run, now) or left <= 0 and now.get("status") not in _ACTIVE:
                _check_end(run, now)
                return
            if has_passed and not self.wait and now.get("status") != "setup":
                return
            if left <= 0:
                raise StillInProgress(
                    f"The migration has not ended within {run.timeout:g} s. It is {now['status']} and continues{_amount(now)}. "
                    "Run the task again to wait longer, or set state: cancelled.",
                    migration=now,
                )
            run.report(_progress(now))
            run.monitor.poll_events(min(RETRY_SECONDS, left))


@dataclass(frozen=True)
class Begin(Execute):
    """A command that starts or continues a migration, and the wait for it."""

    wait: bool = True
    passed: str = ""

    def apply(self, run: Run) -> None:
        super().apply(run)
        Follow(self.wait, self.passed).apply(run)


@dataclass(frozen=True)
class Cancel(Step):
    """``migrate_cancel``, and the wait until the migration has stopped. Raises JobFailed if it was completed before."""

    def commands(self) -> list[Command]:
        return [wire("migrate_cancel", None)]

    def apply(self, run: Run) -> None:
        deadline = time.monotonic() + run.timeout
        run.execute("migrate_cancel", {})
        while _continues(run, now := run.read("query-migrate")):
            left = deadline - time.monotonic()
            if left <= 0:
                raise StillInProgress(
                    f"The migration was cancelled and is still {now.get('status')} after {run.timeout:g} s. Run the task again "
                    "to wait longer."
                )
            run.monitor.poll_events(min(RETRY_SECONDS, left))
        if now.get("status") == "completed":
            raise JobFailed("The migration was completed before it could be cancelled: the guest runs on the other side.")


def plan(hardware: Hardware, spec: MigrationSpec) -> Plan:
    """Start a migration, listen for one (incoming), switch it to postcopy, or cancel it; ``status`` only changes the settings."""
    now, state = _settings_now(hardware), spec.state
    steps, status = _ACTS[state](hardware, spec, now["status"])
    settings, after = ([], now) if state == "cancelled" else _change_settings(hardware, spec, now)
    starts = any(step.changes for step in steps)
    unverified = [name for name in ("uri", "channels") if getattr(spec, name) and not starts and state in ("started", "incoming")]
    return Plan((*settings, *steps), now, {**after, "status": status}, tuple(unverified))


def describe(hardware: Hardware) -> Status:
    """The answer of ``query-migrate`` (status, times in milliseconds, RAM in bytes …), and the settings."""
    return {**hardware.cache.ask("query-migrate"), **_settings_now(hardware)}


def _settings_now(hardware: Hardware) -> Status:
    """Status and settings. The status of a QEMU that listens is ``setup``; version 7.2 itself reports none."""
    now = hardware.cache.ask("query-migrate")
    return {
        "status": now.get("status", "setup" if now.get("socket-address") else "none"),
        "capabilities": {one["capability"]: one["state"] for one in hardware.cache.ask("query-migrate-capabilities")},
        "parameters": hardware.cache.ask("query-migrate-parameters"),
    }


def _change_settings(hardware: Hardware, spec: MigrationSpec, now: Status) -> tuple[list[Step], Status]:
    """The steps that change the settings which differ, and the settings after that."""
    capabilities = _differing(
        hardware, "capability", spec.capabilities, dict.fromkeys(now["capabilities"], "bool"), now["capabilities"]
    )
    members = hardware.schema.command_arguments("migrate-set-parameters")
    kinds = {name: "size" if member.type == "int" else member.type for name, member in members.items()}
    parameters = _differing(hardware, "parameter", spec.parameters, kinds, now["parameters"])
    steps: list[Step] = []
    if capabilities:
        if now["status"] in _ACTIVE and not _listening(hardware):
            raise Conflict(
                f"The capabilities {', '.join(sorted(capabilities))} cannot be changed while a migration is active. Set "
                "state: cancelled first."
            )
        before = {name: now["capabilities"][name] for name in capabilities}
        steps.append(_set_capabilities(capabilities, _set_capabilities(before)))
    if parameters:
        known = {name: now["parameters"][name] for name in parameters if name in now["parameters"]}
        undo = Execute("migrate-set-parameters", known) if known else None
        steps.append(Execute("migrate-set-parameters", parameters, undo))
    return steps, {
        **now,
        "capabilities": {**now["capabilities"], **capabilities},
        "parameters": {**now["parameters"], **parameters},
    }


def _differing(
    hardware: Hardware, what: str, desired: Mapping[str, Any], kinds: Mapping[str, str], now: Mapping[str, Any]
) -> Status:
    for name in desired:
        if name not in kinds:
            raise InvalidOption(f"This QEMU ({hardware.version_text}) has no migration {what} {name!r}{nearest(name, kinds)}.")
    return {name: value for name, value in typed("migration", desired, kinds).items() if name not in now or now[name] != value}


def _set_capabilities(values: Mapping[str, bool], undo: Step | None = None) -> Execute:
    entries = [{"capability": name, "state": state} for name, state in values.items()]
    return Execute("migrate-set-capabilities", {"capabilities": entries}, undo)


Planned = Tuple[List[Step], str]


def _start(hardware: Hardware, spec: MigrationSpec, status: str) -> Planned:
    if _vm(hardware) == _AWAITS:
        raise Unsupported(
            "This VM waits for an incoming migration and has no guest to send. Set state: incoming here, and start the migration "
            "on the other side."
        )
    if status == "pre-switchover":
        return [Begin("migrate-continue", {"state": status}, wait=spec.wait, passed=status)], "completed"
    if status == "cancelling":
        raise Conflict("Another migration of this VM is being cancelled. Run the task again when that is done.")
    if status in _ACTIVE:
        return [Follow(spec.wait)], "completed" if spec.wait else status
    steps: list[Step] = []
    if has_left(hardware):
        if not spec.force:
            return [], status
        steps.append(Execute("cont", {}))
    return [*steps, Begin("migrate", _where(hardware, spec, "migrate"), wait=spec.wait)], "completed" if spec.wait else "active"


def _listen(hardware: Hardware, spec: MigrationSpec, status: str) -> Planned:
    if _vm(hardware) != _AWAITS:
        if status == "completed" and not has_left(hardware):
            return [], status
        raise Unsupported("This VM does not wait for an incoming migration. Start its QEMU with -incoming defer.")
    where = _where(hardware, spec, "migrate-incoming")
    if status == "none":
        return [Execute("migrate-incoming", where)], "setup"
    uri = spec.uri or ""
    paths = [f"unix:{one['path']}" for one in _listening(hardware) if "path" in one]
    if uri.startswith("unix:") and paths and uri not in paths:
        raise Conflict(f"This VM already listens at {', '.join(paths)}, and the task sets {uri}. Set uri to that address.")
    if status == "setup" and uri.startswith(_LISTENS) and not _listening(hardware):
        raise Unsupported("An earlier migrate-incoming of this VM failed, and QEMU accepts no second one. Start this QEMU again.")
    return [], status


def _postcopy(hardware: Hardware, spec: MigrationSpec, status: str) -> Planned:
    steps: list[Step] = [Follow(spec.wait)]
    if status == "completed":
        return [], status
    if status in ("setup", "active") and _vm(hardware) != _AWAITS:
        if not _settings_now(hardware)["capabilities"].get("postcopy-ram"):
            raise Unsupported(
                "The active migration cannot switch to postcopy: the capability postcopy-ram is not set. Set it here and on the "
                "other side before the migration starts."
            )
        steps = [Begin("migrate-start-postcopy", {}, wait=spec.wait)]
    elif not status.startswith("postcopy"):
        raise Unsupported(f"This VM has no active migration to switch to postcopy: the status is {status}. Start one first.")
    return steps, "completed" if spec.wait else "postcopy-active"


def _cancel(hardware: Hardware, spec: MigrationSpec, status: str) -> Planned:
    if _vm(hardware) == _AWAITS:
        raise Unsupported("This VM waits for an incoming migration. Cancel the migration on the other side, where it comes from.")
    if status.startswith("postcopy"):
        raise Unsupported(
            "A migration in postcopy cannot be cancelled: the guest already runs on the other side. Wait until it has ended."
        )
    return ([Cancel()], "cancelled") if status in _ACTIVE else ([], status)


def _only_set(hardware: Hardware, spec: MigrationSpec, status: str) -> Planned:
    return [], status


_ACTS: Dict[str, Callable[[Hardware, MigrationSpec, str], Planned]] = {
    "started": _start,
    "incoming": _listen,
    "postcopy": _postcopy,
    "cancelled": _cancel,
    "status": _only_set,
}


def _where(hardware: Hardware, spec: MigrationSpec, command: str) -> Status:
    """The arguments with the address of the other side."""
    if spec.channels is not None and not hardware.schema.has_member(command, "channels"):
        raise Unsupported(f"This QEMU ({hardware.version_text}) does not support channels. Set uri.")
    if spec.uri is None and spec.channels is None:
        raise InvalidOption("The migration needs an address: set uri or channels.")
    return {"uri": spec.uri} if spec.channels is None else {"channels": spec.channels}


def _vm(hardware: Hardware) -> str:
    return str(hardware.cache.ask("query-status")["status"])


def _listening(hardware: Hardware) -> list[dict[str, Any]]:
    """The addresses at which this VM listens for an incoming migration."""
    addresses: list[dict[str, Any]] = hardware.cache.ask("query-migrate").get("socket-address", [])
    return addresses if _vm(hardware) == _AWAITS else []


def _continues(run: Run, now: Status) -> bool:
    """Whether the migration continues without a command. The VM gets its final status a moment after the migration."""
    status = now.get("status", "none")
    if status in ("pre-switchover", "postcopy-paused"):
        return False
    return status in _ACTIVE or run.read("query-status")["status"] == _SWITCHES


def _check_end(run: Run, now: Status) -> None:
    status = now.get("status", "none")
    if status in ("completed", "pre-switchover"):
        return
    vm = run.read("query-status")
    text = f"The migration {status}: {now.get('error-desc', 'QEMU reports no reason')}."
    if status == "cancelled":
        text = "The migration was cancelled while this task waited for it."
    elif status == "postcopy-paused":
        text = (
            "The connection broke in postcopy: parts of the guest are on both sides, and it runs on neither. To recover, use "
            "qmp_command with migrate-recover on the other side, then with migrate and resume: true here."
        )
    guest = "The guest continues to run here" if vm["running"] else f"The VM here is {vm['status']}"
    raise JobFailed(f"{text} {guest}.", migration=now, vm=vm["status"])


def _progress(now: Status) -> Progress:
    """How far a migration is. The guest writes meanwhile, so its memory is sent in several passes."""
    ram, status = now.get("ram"), now.get("status", "none")
    if not ram:
        return Progress("migration", note=str(status))
    passes = ram.get("dirty-sync-count", 1)
    notes = [*([] if status == "active" else [str(status)]), *([f"pass {passes} over the memory"] if passes > 1 else [])]
    return Progress(
        "migration", ram["total"] - ram["remaining"], ram["total"], moved=ram.get("transferred"), note=", ".join(notes)
    )


def _amount(now: Status) -> str:
    ram = now.get("ram")
    return f" ({ram['total'] - ram['remaining']} of {ram['total']} bytes of RAM)" if ram else ""
