# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What puts a network backend back, as far as it is known what it was, where a new one was to take its place.

QEMU reports few of the options of a backend. Where they are not known, the new backend is tried out beside the old one first.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Mapping, Sequence

from ....qmp import CommandError
from ...errors import HardwareError
from ...model.hardware import Hardware, Netdev
from ...plan.plan import Command, Delete, Run, Step, Steps, wire
from .backend import interface_behind

_DEFAULT_NET = "10.0.2.0"
_OF_USER = ("net", "restrict")
_OF_TAP = ("ifname", "script", "downscript", "br", "helper")
_TAKES_HOLD = {"tap", "bridge", "vhost-user", "vhost-vdpa"}
"""Types that are not tried out: they take hold of a thing that there is once only."""
_OF_THE_HOST = ("hostfwd", "guestfwd")
"""Options that are left out of a trial, for the old backend may have the same ports."""


@dataclass(frozen=True)
class Known:
    """The options of a backend that is there. ``whole``: these are all, and not only those that QEMU reports."""

    type: str
    options: dict[str, Any]
    whole: bool


def known_backends(hardware: Hardware, netdev: Netdev, wanted: Mapping[str, Any] | None) -> list[Known]:
    """What *netdev* may be made of again, the most likely first; empty where QEMU reports too little to make one.

    *wanted* are the options of the task, where it is for a backend of the same type.
    """
    known = []
    reported = _reported(hardware, netdev)
    launched = hardware.command_line.netdevs.get(netdev.id)
    if launched and launched.get("type") in (netdev.type, "bridge" if netdev.type == "tap" else None):
        options = _nested({name: value for name, value in launched.items() if name not in ("type", "id", "queues")})
        known += [Known(str(launched["type"]), options, True)] if _agrees(options, reported or {}) else []
    if reported is None:
        return known
    if netdev.type != "user":
        return [*known, Known(netdev.type, reported, True)]
    repeated = {name: value for name, value in (wanted or {}).items() if name not in _OF_USER}
    known += [Known("user", {**repeated, **reported}, False)] if repeated else []
    return [*known, Known("user", reported, False)]


def _reported(hardware: Hardware, netdev: Netdev) -> dict[str, Any] | None:
    """The options that QEMU reports of a backend; None where these do not make one."""
    info = netdev.info
    if netdev.type == "hubport":
        return {"hubid": info["hubid"]}
    if netdev.type == "user":
        net = info.get("net", _DEFAULT_NET)
        user = {"net": f"{net}/24"} if net != _DEFAULT_NET else {}
        return {**user, "restrict": "on"} if info.get("restrict") == "on" else user
    if netdev.type != "tap":
        return None
    options = {name: info[name] for name in _OF_TAP if name in info}
    ifname = None if "br" in options else interface_behind(hardware, netdev)
    if ifname is None and "br" not in options:
        return None
    return {**options, **({"ifname": ifname} if ifname else {})}


def _agrees(launched: Mapping[str, Any], reported: Mapping[str, Any]) -> bool:
    """Whether a backend of the command line may be the present one, and not one that has taken its id since."""
    net = str(reported.get("net", _DEFAULT_NET)).partition("/")[0]
    names = launched.keys() & reported.keys() & {"hubid", "ifname"}
    return net == str(launched.get("net", _DEFAULT_NET)).partition("/")[0] and all(
        str(launched[name]) == reported[name] for name in names
    )


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Options with dotted keys as the structures that ``netdev_add`` has."""
    result: dict[str, Any] = {}
    for key, value in flat.items():
        *above, last = key.split(".")
        inside = result
        for name in above:
            inside = inside.setdefault(name, {}) if isinstance(inside.get(name, {}), dict) else {}
        inside[last] = value
    return result


def is_tried(type_name: str) -> bool:
    """Whether a backend of the type can stand beside the old one for a moment."""
    return type_name not in _TAKES_HOLD


@dataclass(frozen=True)
class Trial(Step):
    """A new backend under another id, only to see whether QEMU takes it."""

    arguments: dict[str, Any]

    def _add(self) -> dict[str, Any]:
        arguments = {name: value for name, value in self.arguments.items() if name not in _OF_THE_HOST}
        return {**arguments, "id": f"try-{self.arguments['id']}"}

    def commands(self) -> list[Command]:
        return [wire("netdev_add", self._add()), wire("netdev_del", {"id": self._add()["id"]})]

    def apply(self, run: Run) -> None:
        run.execute("netdev_add", self._add())
        Delete("netdev_del", {"id": self._add()["id"]}).apply(run)

    def undo(self) -> Step:
        return Steps(())


@dataclass(frozen=True)
class PutBack(Step):
    """The first of several ways to make a backend again that QEMU takes."""

    ways: Sequence[Steps]
    taken: list[Command] = field(default_factory=list, compare=False)

    def commands(self) -> list[Command]:
        return self.taken or self.ways[0].commands()

    def apply(self, run: Run) -> None:
        for number, way in enumerate(self.ways):
            try:
                way.apply(run)
                self.taken[:] = way.commands()
                return
            except (CommandError, HardwareError):
                if number == len(self.ways) - 1:
                    raise
