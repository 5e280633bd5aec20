# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guest's side of a device: device_add, device_del and the rules of waiting for the guest."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from ...qmp import CommandError, Event, Monitor
from ..errors import DeviceLost, HardwareError, UnplugPending, UnplugRefused
from ..model.hardware import PERIPHERAL
from ..model.query_cache import QueryCache
from .plan import RETRY_SECONDS, Command, Run, Step, wire

POLL_SECONDS = 0.5
"""Between looks at whether a device is gone, for some events never come: under TCG a CPU's own does not."""

RESEND_SECONDS = 3.0
"""Between requests that the guest refused for now. Native PCIe hotplug blinks for five seconds."""

_UNDER_WAY = "already in the process of unplug"
_NOT_NOW = ("guest is busy", "unplug request for not supported device type")
_HELD = ("in use", "has already been used", "Permission conflict on node")
"""What QEMU says of a backend, and of a place in the boot order, that a device has which is gone but not yet freed."""
_OST_EJECT = 3
_OST_REFUSED = 130


@dataclass(frozen=True)
class Plug(Step):
    """``device_add``; taken back by unplugging.

    Where it comes in the place of a device that was unplugged a moment ago, QEMU may still have in use what that one had.
    """

    arguments: dict[str, Any]

    def commands(self) -> list[Command]:
        return [wire("device_add", self.arguments)]

    def apply(self, run: Run) -> None:
        deadline = time.monotonic() + run.timeout
        replaces = run.undoes or any(command["execute"] == "device_del" for command in run.sent)
        while True:
            try:
                run.execute("device_add", self.arguments)
                return
            except CommandError as error:
                if not replaces or not any(text in error.desc for text in _HELD) or time.monotonic() > deadline:
                    raise
            run.monitor.poll_events(RETRY_SECONDS)

    def undo(self) -> Unplug:
        return Unplug(self.arguments["id"], by_scan="bus" not in self.arguments)


@dataclass(frozen=True)
class StillThere(Step):
    """A last look at a device that was plugged, for a guest that is booting can eject it."""

    device: str
    changes = False

    def commands(self) -> list[Command]:
        return []

    def apply(self, run: Run) -> None:
        if not is_plugged(run.monitor, self.device):
            raise DeviceLost(
                f"QEMU took {self.device}, and then the guest ejected it. Wait until the guest is up and run this again.",
                device=self.device,
            )


def plug(arguments: dict[str, Any]) -> list[Step]:
    """The steps that add a device by ``device_add`` *arguments*."""
    return [Plug(arguments), StillThere(arguments["id"])]


def is_plugged(monitor: Monitor, device: str) -> bool:
    """Whether QEMU has the device with this id, or at this QOM path. What it lists is the truth."""
    if not device.startswith("/"):
        return device in {entry["name"] for entry in QueryCache(monitor).ask("qom-list", path=PERIPHERAL)}
    try:
        monitor.execute("qom-get", {"path": device, "property": "type"})
    except CommandError:
        return False
    return True


@dataclass(frozen=True)
class Unplug(Step):
    """``device_del`` and the wait for the guest to let go.

    Done means that the device is no longer in the VM. Raises UnplugRefused when the guest says no, UnplugPending
    when it says nothing in time; the guest may then still do it, at its next reset at the latest.

    *device* is an id, or the QOM path of a device that has none. ``undo_step`` puts it back, as where a new one was to take its
    place; None for a removal that stays. *by_scan*: it is on no bus, as CPUs and DIMMs are, which the guest finds by ACPI's scan.
    A scan that meets a plug and an unplug of one device sees the plug alone, and without a further request there is no further
    scan; so the request is repeated, which does no harm.
    """

    device: str
    undo_step: Step | None = None
    by_scan: bool = field(default=False, compare=False)

    def commands(self) -> list[Command]:
        return [wire("device_del", {"id": self.device})]

    def apply(self, run: Run) -> None:
        monitor = run.monitor
        deadline = time.monotonic() + run.timeout
        seen = monitor.mark()
        refused = self._request(run)
        request_at = time.monotonic() + RESEND_SECONDS
        look_at = 0.0
        while True:
            for event in monitor.events(since=seen):
                seen = event.seq + 1
                self._check_refusal(event)
                if self._is_deletion(event):
                    look_at = 0.0
            now = time.monotonic()
            if now >= look_at:
                if not is_plugged(monitor, self.device):
                    return
                look_at = now + POLL_SECONDS
            if now >= deadline:
                raise self._pending(run, refused)
            again = refused is not None or self.by_scan
            if again and now >= request_at:
                refused = self._request(run)
                request_at = now + RESEND_SECONDS
            wake_at = min(look_at, deadline, request_at) if again else min(look_at, deadline)
            monitor.poll_events(max(0.0, wake_at - now))

    def undo(self) -> Step | None:
        return self.undo_step

    def _request(self, run: Run) -> CommandError | None:
        """Send device_del; return the error when it must be sent again, None when it is under way or done."""
        try:
            run.execute("device_del", {"id": self.device})
        except CommandError as error:
            if any(text in error.desc for text in _NOT_NOW):
                return error
            if _UNDER_WAY not in error.desc and is_plugged(run.monitor, self.device):
                raise
        return None

    def _is_this(self, data: dict[str, Any]) -> bool:
        return self.device in (data.get("device"), data.get("path"))

    def _is_deletion(self, event: Event) -> bool:
        """Events of its parts (``…/virtio-backend``, ``…/lapic``) carry a path below it and no ``device``."""
        return event.name == "DEVICE_DELETED" and self._is_this(event.data)

    def _check_refusal(self, event: Event) -> None:
        """Raise UnplugRefused if *event* is the guest's no to this device."""
        said = ""
        if event.name in ("DEVICE_UNPLUG_GUEST_ERROR", "MEM_UNPLUG_ERROR") and self._is_this(event.data):
            said = str(event.data.get("msg") or event.name)
        elif event.name == "ACPI_DEVICE_OST":
            info = event.data.get("info")
            told = [info.get(name) for name in ("device", "source", "status")] if isinstance(info, dict) else []
            if told == [self.device, _OST_EJECT, _OST_REFUSED]:
                said = "the guest has it in use"
        if said:
            raise UnplugRefused(
                f"The guest refused to let go of {self.device}: {said}. It stays plugged; "
                "free it in the guest and run this again.",
                device=self.device,
            )

    def _pending(self, run: Run, refused: CommandError | None) -> HardwareError:
        if refused:
            return UnplugRefused(
                f"The guest took no unplug request for {self.device} within {run.timeout:g} s: {refused.desc}. "
                "It stays plugged; try again when the guest is up.",
                device=self.device,
            )
        return UnplugPending(
            f"The guest has not let go of {self.device} within {run.timeout:g} s. The request stands and cannot be "
            "withdrawn: the guest may still do it, at its next reset at the latest. What backs the device was "
            "left alone; run this again to finish.",
            device=self.device,
        )
