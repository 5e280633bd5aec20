# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guest's side of a device: device_add, device_del and the rules of waiting for the guest."""

from __future__ import annotations

import time
from dataclasses import field
from typing import Any, Iterable, Mapping, Sequence

from ...qmp import CommandError, Event, Monitor
from ..errors import DeviceLost, HardwareError, UnplugPending, UnplugRefused
from ..lazy import dataclass
from ..model.hardware import PERIPHERAL
from ..model.query_cache import QueryCache
from .plan import RETRY_SECONDS, Command, Run, Step, wire
from .progress import Progress, named

POLL_SECONDS = 0.5
"""Between looks at whether a device is gone, for some events never come: under TCG a CPU's own does not."""

RESEND_SECONDS = 3.0
"""Between requests that the guest refused for now. Native PCIe hotplug blinks for five seconds."""

_UNDER_WAY = "already in the process of unplug"
_NOT_NOW = ("guest is busy", "unplug request for not supported device type")
_HELD = ("in use", "has already been used", "Permission conflict on node")
"""QEMU's errors about a backend, and about a position in the boot order, of a device that is removed but not yet freed."""
_OST_EJECT = 3
_OST_REFUSED = 130


@dataclass(frozen=True)
class Plug(Step):
    """``device_add``; undone by an unplug.

    If it replaces a device that was unplugged a moment ago, QEMU may not have freed the backend of that device yet. Then the
    command is repeated within the time limit.
    """

    arguments: dict[str, Any]

    def commands(self) -> list[Command]:
        return [wire("device_add", self.arguments)]

    def apply(self, run: Run) -> None:
        deadline = time.monotonic() + run.timeout
        replaces = run.rollback or any(command["execute"] == "device_del" for command in run.sent)
        while True:
            try:
                run.execute("device_add", self.arguments)
                return
            except CommandError as error:
                if not replaces or not any(text in error.desc for text in _HELD) or time.monotonic() > deadline:
                    raise
            run.monitor.poll_events(RETRY_SECONDS)

    def undo(self) -> Unplug:
        return Unplug(self.arguments["id"], by_scan="bus" not in self.arguments, bus=self.arguments.get("bus"))


@dataclass(frozen=True)
class StillThere(Step):
    """Verify that devices that were plugged are still there, because a guest that is booting can eject them."""

    devices: tuple[str, ...]
    changes = False

    def commands(self) -> list[Command]:
        return []

    def apply(self, run: Run) -> None:
        present = plugged(run.monitor, self.devices)
        lost = [device for device in self.devices if device not in present]
        if lost:
            raise DeviceLost(
                f"QEMU added {', '.join(lost)}, but then the guest ejected it. Wait until the guest has booted, and run the task "
                "again.",
                device=lost[0],
            )


def plug(arguments: dict[str, Any]) -> list[Step]:
    """The steps that add a device by ``device_add`` *arguments*."""
    return [Plug(arguments), StillThere((arguments["id"],))]


def plugged(monitor: Monitor, devices: Iterable[str]) -> set[str]:
    """The devices that QEMU has, among *devices*, each an id or a QOM path."""
    devices = list(devices)
    cache = QueryCache(monitor)
    listed: set[str] = set()
    if not all(device.startswith("/") for device in devices):
        listed = {entry["name"] for entry in cache.ask("qom-list", path=PERIPHERAL)}
    paths = [device for device in devices if device.startswith("/")]
    present = {path for path, kind in zip(paths, cache.qom_get((path, "type") for path in paths)) if kind is not None}
    return (listed | present) & set(devices)


@dataclass(frozen=True)
class Unplug(Step):
    """``device_del`` and the wait for the guest to release the device.

    It is done when the device is no longer in the VM. Raises UnplugRefused if the guest refuses, and UnplugPending if the guest
    does not respond in time; it may then still release the device, at its next reset at the latest.

    *device*: an id, or the QOM path of a device without one. ``undo_step`` restores it, such as when it was to be replaced; None
    for a removal that remains. *by_scan*: it is not on a bus but, like CPUs and DIMMs, found by the guest in a scan of ACPI. A
    scan that finds a plug and an unplug of the same device handles the plug only, and there is no further scan without a further
    request; so the request is repeated, which does no harm. *bus*: the name of the device's bus, if it is known.
    """

    device: str
    undo_step: Step | None = None
    by_scan: bool = field(default=False, compare=False)
    bus: str | None = field(default=None, compare=False)
    unplugs = True

    def commands(self) -> list[Command]:
        return [wire("device_del", {"id": self.device})]

    def apply(self, run: Run) -> None:
        for error in _release(run, [self])[1].values():
            raise error

    def undo(self) -> Step | None:
        return self.undo_step

    def together(self, others: Sequence[Step]) -> Step:
        return UnplugTogether((self, *(one for one in others if isinstance(one, Unplug))))

    def request(self, run: Run) -> CommandError | None:
        """Send device_del. Returns the error if it must be sent again, None if the unplug is in progress or done."""
        try:
            run.execute("device_del", {"id": self.device})
        except CommandError as error:
            if any(text in error.desc for text in _NOT_NOW):
                return error
            if _UNDER_WAY not in error.desc and plugged(run.monitor, [self.device]):
                raise
        return None


@dataclass(frozen=True)
class UnplugTogether(Step):
    """The unplug of several devices at the same time; a device that is on a bus of another one is unplugged before it.

    ``after``: for each unplug the steps that follow when the device is removed, such as the deletion of its backend. If the guest
    does not release a device, the others are still completed, and then the first error is raised. ``may_pend``: the devices
    whose unplug may still be pending at the end.
    """

    parts: tuple[Unplug, ...]
    after: tuple[tuple[Step, ...], ...] = ()
    may_pend: frozenset[str] = frozenset()

    def commands(self) -> list[Command]:
        return [
            command for part in (*self.parts, *(step for steps in self.after for step in steps)) for command in part.commands()
        ]

    def apply(self, run: Run) -> None:
        after = dict(zip((unplug.device for unplug in self.parts), self.after))
        for wave in _waves(self.parts):
            gone, errors = _release(run, wave)
            finished = [unplug for unplug in wave if unplug.device in gone]
            run.finished += finished
            for unplug in finished:
                for step in after.get(unplug.device, ()):
                    step.apply(run)
                    run.finished.append(step)
            pending = {device: error for device, error in errors.items() if isinstance(error, UnplugPending)}
            run.pending += [error for device, error in pending.items() if device in self.may_pend]
            for device, error in errors.items():
                if device not in pending or device not in self.may_pend:
                    raise error


def _waves(unplugs: Sequence[Unplug]) -> list[list[Unplug]]:
    """*unplugs* in the same order, in groups: a device is not in one group with a device that is on its bus."""
    waves: list[list[Unplug]] = []
    owners: set[str] = set()
    for unplug in unplugs:
        if not waves or unplug.device in owners:
            waves.append([])
            owners = set()
        waves[-1].append(unplug)
        if unplug.bus:  # a bus has the name of its bridge, or that of its controller with a dot and a number
            owners |= {unplug.bus, unplug.bus.rpartition(".")[0]}
    return waves


class _Request:
    """An unplug that the guest has not completed yet. ``refused``: the error because of which the request is sent again;
    ``deleted``: whether there was an event of its completion."""

    def __init__(self, unplug: Unplug, refused: CommandError | None) -> None:
        self.unplug = unplug
        self.refused = refused
        self.deleted = False
        self.again_at = time.monotonic() + RESEND_SECONDS

    @property
    def repeats(self) -> bool:
        return self.refused is not None or self.unplug.by_scan


def _release(run: Run, unplugs: Sequence[Unplug]) -> tuple[set[str], dict[str, Exception]]:
    """Request all unplugs and wait for the guest. Returns the devices that are removed, and the error of each other one.

    The time limit starts again with each device that is removed. After a request that QEMU refuses, no further one is sent.
    """
    monitor = run.monitor
    seen = monitor.mark()
    waiting: dict[str, _Request] = {}
    gone: set[str] = set()
    errors: dict[str, Exception] = {}
    for unplug in unplugs:
        try:
            waiting[unplug.device] = _Request(unplug, unplug.request(run))
        except CommandError as error:
            errors[unplug.device] = error
            break
    deadline = time.monotonic() + run.timeout
    look_at = 0.0
    while waiting:
        for event in monitor.events(since=seen):
            seen = event.seq + 1
            refusal = _refusal(event, waiting)
            if refusal:
                errors[refusal.details["device"]] = refusal
                del waiting[refusal.details["device"]]
            elif event.name == "DEVICE_DELETED":  # of parts of a device (…/virtio-backend, …/lapic) the path alone is reported
                for name in (event.data.get("device"), event.data.get("path")):
                    if name in waiting:
                        waiting[name].deleted = True
        if waiting and all(request.deleted for request in waiting.values()):
            look_at = 0.0
        now = time.monotonic()
        if waiting and now >= look_at:
            left = plugged(monitor, waiting)
            if len(left) < len(waiting):
                deadline = now + run.timeout
            gone |= waiting.keys() - left
            waiting = {device: request for device, request in waiting.items() if device in left}
            for request in waiting.values():
                request.deleted = False
            look_at = now + POLL_SECONDS
        if now >= deadline:
            for device, request in waiting.items():
                errors[device] = _late(run, device, request.refused)
            break
        for device, request in list(waiting.items()):
            if request.repeats and now >= request.again_at:
                try:
                    request.refused = request.unplug.request(run)
                    request.again_at = now + RESEND_SECONDS
                except CommandError as error:
                    errors[device] = error
                    del waiting[device]
        if waiting:
            run.report(_progress(run, len(unplugs), waiting))
            wake_at = min(look_at, deadline, *(request.again_at for request in waiting.values() if request.repeats))
            monitor.poll_events(max(0.0, wake_at - now))
    return gone, {unplug.device: errors[unplug.device] for unplug in unplugs if unplug.device in errors}


def _progress(run: Run, total: int, waiting: Mapping[str, _Request]) -> Progress:
    what = "rollback" if run.rollback else ""
    if total == 1:
        return Progress(what, note=f"the guest has not released {named([*waiting])}")
    return Progress(
        what, total - len(waiting), total, unit="devices unplugged", note=f"the guest has not released {named([*waiting])}"
    )


def _refusal(event: Event, waiting: Mapping[str, _Request]) -> UnplugRefused | None:
    """The error that *event* stands for, if the guest refuses to release one of the devices."""
    info = event.data.get("info")
    device, said = None, ""
    if event.name in ("DEVICE_UNPLUG_GUEST_ERROR", "MEM_UNPLUG_ERROR"):
        device = next((name for name in (event.data.get("device"), event.data.get("path")) if name in waiting), None)
        said = str(event.data.get("msg") or event.name)
    elif event.name == "ACPI_DEVICE_OST" and isinstance(info, dict):
        if (info.get("source"), info.get("status")) == (_OST_EJECT, _OST_REFUSED):
            device, said = info.get("device"), "the guest has it in use"
    if device not in waiting:
        return None
    return UnplugRefused(
        f"The guest refused to release {device}: {said}. The device remains plugged. Stop its use in the guest, and run the task "
        "again.",
        device=device,
    )


def _late(run: Run, device: str, refused: CommandError | None) -> HardwareError:
    if refused:
        return UnplugRefused(
            f"The guest did not accept the unplug request for {device} within {run.timeout:g} s: {refused.desc}. "
            "The device remains plugged. Wait until the guest has booted, and run the task again.",
            device=device,
        )
    return UnplugPending(
        f"The guest has not released {device} within {run.timeout:g} s. The request remains in force and cannot be withdrawn: "
        "the guest may still release the device, at its next reset at the latest. The backend of the device was not touched. "
        "Run the task again to finish.",
        device=device,
    )
