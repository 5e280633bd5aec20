# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Live migration: sending a running guest to another QEMU, and awaiting one (QEMU's ``docs/devel/migration``).

QEMU does not tell where a migration goes, only how far it is (``query-migrate``). So one that goes on, or has just left the VM
in ``postmigrate``, is taken for the one that is asked for.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Mapping, Tuple

from ..errors import Conflict, InvalidOption, JobFailed, StillInProgress, Unsupported
from ..model.hardware import Hardware
from ..model.values import nearest, typed
from ..plan.plan import RETRY_SECONDS, Command, Execute, Plan, Run, Step, wire
from .power import has_left

_GOING = {
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
_SWITCHES = "finish-migrate"  # the guest stands still, on its way to the other side or back
_LISTENS = ("unix:", "tcp:", "vsock:")

Told = Dict[str, Any]


@dataclass(frozen=True)
class Migration:
    """What a task says of a migration: where it goes to or comes from, what is set for it beforehand, and whether to wait
    for its end. ``force`` lets a guest that has left run here again, to send it once more."""

    uri: str | None = None
    channels: list[dict[str, Any]] | None = None
    capabilities: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    wait: bool = True
    force: bool = False


@dataclass(frozen=True)
class Follow(Step):
    """Look how the migration fares: until it has ended, or stands in ``pre-switchover``; with *wait* off, until it
    is connected. Raises JobFailed, StillInProgress."""

    wait: bool
    changes = False

    def commands(self) -> list[Command]:
        return []

    def apply(self, run: Run) -> None:
        deadline = time.monotonic() + run.timeout
        while True:
            now = run.read("query-migrate")
            left = deadline - time.monotonic()
            if not _moves(run, now) or left <= 0 and now.get("status") not in _GOING:
                _raise_unless_well(run, now)
                return
            if not self.wait and now.get("status") != "setup":
                return
            if left <= 0:
                raise StillInProgress(
                    f"The migration is {now['status']} after {run.timeout:g} s and goes on{_progress(now)}. Run this "
                    "again to wait on, or set state: cancelled.",
                    migration=now,
                )
            run.monitor.poll_events(min(RETRY_SECONDS, left))


@dataclass(frozen=True)
class Begin(Execute):
    """A command that sets a migration going, and the wait that belongs to it."""

    wait: bool = True

    def apply(self, run: Run) -> None:
        super().apply(run)
        Follow(self.wait).apply(run)


@dataclass(frozen=True)
class Cancel(Step):
    """``migrate_cancel``, and the wait until the migration has stopped. Raises JobFailed where it was done before."""

    def commands(self) -> list[Command]:
        return [wire("migrate_cancel", None)]

    def apply(self, run: Run) -> None:
        deadline = time.monotonic() + run.timeout
        run.execute("migrate_cancel", {})
        while _moves(run, now := run.read("query-migrate")):
            left = deadline - time.monotonic()
            if left <= 0:
                raise StillInProgress(f"The migration was told to stop and is still {now.get('status')} after {run.timeout:g} s.")
            run.monitor.poll_events(min(RETRY_SECONDS, left))
        if now.get("status") == "completed":
            raise JobFailed("The migration was completed before it could be cancelled: the guest is on the other side.")


def plan(hardware: Hardware, state: str, spec: Migration) -> Plan:
    """Have a migration started, awaited (incoming), switched to postcopy, or cancelled; status changes the settings alone."""
    now = _settled(hardware)
    act = _ACTS[state]
    steps, status = act(hardware, spec, now["status"])
    settings, after = ([], now) if state == "cancelled" else _settings(hardware, spec, now)
    begins = any(step.changes for step in steps)
    unverified = [name for name in ("uri", "channels") if getattr(spec, name) and not begins and state in ("started", "incoming")]
    return Plan((*settings, *steps), now, {**after, "status": status}, tuple(unverified))


def describe(hardware: Hardware) -> Told:
    """What ``query-migrate`` tells (status, times in milliseconds, RAM in bytes …), and the settings."""
    return {**hardware.cache.ask("query-migrate"), **_settled(hardware)}


def _settled(hardware: Hardware) -> Told:
    """Status and settings. QEMU 7.2 tells no status while it listens, and QEMU 10.0 ``setup``; here it is the latter for both."""
    now = hardware.cache.ask("query-migrate")
    return {
        "status": now.get("status", "setup" if now.get("socket-address") else "none"),
        "capabilities": {one["capability"]: one["state"] for one in hardware.cache.ask("query-migrate-capabilities")},
        "parameters": hardware.cache.ask("query-migrate-parameters"),
    }


def _settings(hardware: Hardware, spec: Migration, now: Told) -> tuple[list[Step], Told]:
    """The steps that set what is different from now, each with the step that sets it back, and what is then."""
    capabilities = _differing(
        hardware, "capability", spec.capabilities, dict.fromkeys(now["capabilities"], "bool"), now["capabilities"]
    )
    members = hardware.schema.command_arguments("migrate-set-parameters")
    kinds = {name: "size" if member.type == "int" else member.type for name, member in members.items()}
    parameters = _differing(hardware, "parameter", spec.parameters, kinds, now["parameters"])
    steps: list[Step] = []
    if capabilities:
        if now["status"] in _GOING and not _listening(hardware):
            raise Conflict(
                f"The migration that goes on has other capabilities: {', '.join(sorted(capabilities))}. They are set "
                "before it starts; set state: cancelled first."
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
    hardware: Hardware, what: str, wanted: Mapping[str, Any], kinds: Mapping[str, str], now: Mapping[str, Any]
) -> Told:
    for name in wanted:
        if name not in kinds:
            raise InvalidOption(f"QEMU {hardware.version_text} has no migration {what} {name!r}{nearest(name, kinds)}.")
    return {name: value for name, value in typed("migration", wanted, kinds).items() if name not in now or now[name] != value}


def _set_capabilities(values: Mapping[str, bool], undo: Step | None = None) -> Execute:
    entries = [{"capability": name, "state": state} for name, state in values.items()]
    return Execute("migrate-set-capabilities", {"capabilities": entries}, undo)


Planned = Tuple[List[Step], str]


def _start(hardware: Hardware, spec: Migration, status: str) -> Planned:
    if _vm(hardware) == _AWAITS:
        raise Unsupported("This VM waits for a guest to come; it has none to send. Its own part is state: incoming.")
    if status == "pre-switchover":
        return [Begin("migrate-continue", {"state": status}, wait=spec.wait)], "completed"
    if status == "cancelling":
        raise Conflict("A migration of this VM is being cancelled. Start anew when that is done.")
    if status in _GOING:
        return [Follow(spec.wait)], "completed" if spec.wait else status
    steps: list[Step] = []
    if has_left(hardware):
        if not spec.force:
            return [], status
        steps.append(Execute("cont", {}))
    return [*steps, Begin("migrate", _where(hardware, spec, "migrate"), wait=spec.wait)], "completed" if spec.wait else "active"


def _listen(hardware: Hardware, spec: Migration, status: str) -> Planned:
    if _vm(hardware) != _AWAITS:
        if status == "completed" and not has_left(hardware):
            return [], status
        raise Unsupported("This VM does not wait for a guest to come. Start its QEMU with -incoming defer.")
    where = _where(hardware, spec, "migrate-incoming")
    if status == "none":
        return [Execute("migrate-incoming", where)], "setup"
    uri = spec.uri or ""
    paths = [f"unix:{one['path']}" for one in _listening(hardware) if "path" in one]
    if uri.startswith("unix:") and paths and uri not in paths:
        raise Conflict(f"This VM already listens at {', '.join(paths)}, not at {uri}.")
    if status == "setup" and uri.startswith(_LISTENS) and not _listening(hardware):
        raise Unsupported("This VM was told before to listen, and could not; its QEMU takes no second try. Start it anew.")
    return [], status


def _postcopy(hardware: Hardware, spec: Migration, status: str) -> Planned:
    steps: list[Step] = [Follow(spec.wait)]
    if status == "completed":
        return [], status
    if status in ("setup", "active") and _vm(hardware) != _AWAITS:
        if not _settled(hardware)["capabilities"].get("postcopy-ram"):
            raise Unsupported(
                "The migration that goes on cannot end by postcopy: the capability postcopy-ram has to be set, "
                "here and at the other side, before it starts."
            )
        steps = [Begin("migrate-start-postcopy", {}, wait=spec.wait)]
    elif not status.startswith("postcopy"):
        raise Unsupported(f"There is no migration of this VM to end by postcopy; its status is {status}. Start one first.")
    return steps, "completed" if spec.wait else "postcopy-active"


def _cancel(hardware: Hardware, spec: Migration, status: str) -> Planned:
    if _vm(hardware) == _AWAITS:
        raise Unsupported("A migration is cancelled where it comes from; this VM waits for one.")
    if status.startswith("postcopy"):
        raise Unsupported("A migration in postcopy cannot be cancelled: the guest already runs at the other side.")
    return ([Cancel()], "cancelled") if status in _GOING else ([], status)


def _only_set(hardware: Hardware, spec: Migration, status: str) -> Planned:
    return [], status


_ACTS: Dict[str, Callable[[Hardware, Migration, str], Planned]] = {
    "started": _start,
    "incoming": _listen,
    "postcopy": _postcopy,
    "cancelled": _cancel,
    "status": _only_set,
}


def _where(hardware: Hardware, spec: Migration, command: str) -> Told:
    """The arguments that name the other side."""
    if spec.channels is not None and not hardware.schema.has_member(command, "channels"):
        raise Unsupported(f"QEMU {hardware.version_text} takes no channels; give uri.")
    if spec.uri is None and spec.channels is None:
        raise InvalidOption("Say by uri or channels where the guest is to go to or to come from.")
    return {"uri": spec.uri} if spec.channels is None else {"channels": spec.channels}


def _vm(hardware: Hardware) -> str:
    return str(hardware.cache.ask("query-status")["status"])


def _listening(hardware: Hardware) -> list[dict[str, Any]]:
    """The addresses at which this VM awaits a migration."""
    addresses: list[dict[str, Any]] = hardware.cache.ask("query-migrate").get("socket-address", [])
    return addresses if _vm(hardware) == _AWAITS else []


def _moves(run: Run, now: Told) -> bool:
    """Whether waiting leads on. A guest that stands at the switch gets its last status a moment after the migration has its."""
    status = now.get("status", "none")
    if status in ("pre-switchover", "postcopy-paused"):
        return False
    return status in _GOING or run.read("query-status")["status"] == _SWITCHES


def _raise_unless_well(run: Run, now: Told) -> None:
    status = now.get("status", "none")
    if status in ("completed", "pre-switchover"):
        return
    vm = run.read("query-status")
    text = f"The migration {status}: {now.get('error-desc', 'QEMU gives no reason')}."
    if status == "cancelled":
        text = "The migration was cancelled while this run waited for it."
    elif status == "postcopy-paused":
        text = (
            "The connection broke in postcopy, so the guest has parts on both sides and runs on neither. Mend it by "
            "migrate-recover at the other side, and then migrate with resume here (vmops.qemu.qmp_command)."
        )
    guest = "The guest runs on here" if vm["running"] else f"The VM here is {vm['status']}"
    raise JobFailed(f"{text} {guest}.", migration=now, vm=vm["status"])


def _progress(now: Told) -> str:
    ram = now.get("ram")
    return f" ({ram['total'] - ram['remaining']} of {ram['total']} bytes of RAM)" if ram else ""
