# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a network backend is restored if the one that replaces it fails.

QEMU reports few of the options of a backend. If they are not all known, the new backend is first added and deleted under another
id, while the old one still exists: a dry run.
"""

from __future__ import annotations

from dataclasses import field
from typing import Any, Mapping, Sequence

from ....qmp import CommandError
from ...errors import HardwareError
from ...lazy import dataclass
from ...model.hardware import Hardware, Netdev
from ...plan.plan import Command, Delete, Run, Step, Steps, wire
from ..frontend import FrontendSpec
from ..option_table import results
from .spec import BACKEND, Nic, NicSpec

_DEFAULT_NET = "10.0.2.0"
_EXCLUSIVE = {"tap", "bridge", "vhost-user", "vhost-vdpa"}
"""Types without a dry run: they need something that only one backend can have."""
_HOST_PORTS = ("hostfwd", "guestfwd")
"""Options that a dry run leaves out, because the old backend may have the same ports."""


@dataclass(frozen=True)
class Known:
    """What is known of a present backend: a spec that adds it. ``complete``: it has all options, not only the reported ones."""

    spec: NicSpec
    complete: bool


def known_backends(hardware: Hardware, netdev: Netdev, specified: Mapping[str, Any] | None) -> list[Known]:
    """Specs that may add *netdev* again, the most likely first; empty if QEMU reports too little.

    *specified* are the options of the task, by argument of ``netdev_add``, if it is for a backend of the same type.
    """
    known: list[Known] = []
    reported = _reported(hardware, netdev)

    def add(type_name: str, options: Mapping[str, Any], complete: bool) -> None:
        values = {"type": type_name, "queues": netdev.queues, **{f"options.{name}": value for name, value in options.items()}}
        known.append(Known(NicSpec(FrontendSpec(netdev.id), values), complete))

    launched = hardware.command_line.netdevs.get(netdev.id)
    if launched and launched.get("type") in (netdev.type, "bridge" if netdev.type == "tap" else None):
        options = _nested({name: value for name, value in launched.items() if name not in ("type", "id", "queues")})
        if _agrees(options, reported or {}):
            add(str(launched["type"]), options, True)
    if reported is None:
        return known
    if netdev.type != "user":
        add(netdev.type, reported, True)
        return known
    repeated = {name: value for name, value in (specified or {}).items() if name not in ("net", "restrict")}
    if repeated:
        add("user", {**repeated, **reported}, False)
    add("user", reported, False)
    return known


def _reported(hardware: Hardware, netdev: Netdev) -> dict[str, Any] | None:
    """The options that QEMU reports of a backend, by argument of ``netdev_add``; None if they are not enough to add it."""
    found = results(BACKEND, Nic(hardware, None, netdev))
    options = {name: value for name, value in found.items() if name not in ("type", "queues", "options")}
    options.update(found.get("options", {}))
    if netdev.type == "user":
        net = netdev.info.get("net", _DEFAULT_NET)
        return {
            **({"net": f"{net}/24"} if net != _DEFAULT_NET else {}),
            **({"restrict": True} if options.get("restrict") else {}),
        }
    needed = {"hubport": {"hubid"}, "tap": {"ifname", "br"}, "vhost-user": {"chardev"}}.get(netdev.type, set())
    return options if needed & options.keys() else None


def _agrees(launched: Mapping[str, Any], reported: Mapping[str, Any]) -> bool:
    """Whether a backend of the command line may be the present one, and not one that was added later with the same id."""
    net = str(reported.get("net", _DEFAULT_NET)).partition("/")[0]
    names = launched.keys() & reported.keys() & {"hubid", "ifname"}
    return net == str(launched.get("net", _DEFAULT_NET)).partition("/")[0] and all(
        str(launched[name]) == str(reported[name]) for name in names
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


def has_dry_run(type_name: str) -> bool:
    """Whether a new backend of the type can exist beside the old one for a moment."""
    return type_name not in _EXCLUSIVE


@dataclass(frozen=True)
class DryRun(Step):
    """Adds a new backend under another id and deletes it, to see whether QEMU accepts it."""

    arguments: dict[str, Any]

    def _add(self) -> dict[str, Any]:
        arguments = {name: value for name, value in self.arguments.items() if name not in _HOST_PORTS}
        return {**arguments, "id": f"try-{self.arguments['id']}"}

    def commands(self) -> list[Command]:
        return [wire("netdev_add", self._add()), wire("netdev_del", {"id": self._add()["id"]})]

    def apply(self, run: Run) -> None:
        run.execute("netdev_add", self._add())
        Delete("netdev_del", {"id": self._add()["id"]}).apply(run)

    def undo(self) -> Step:
        """Nothing to undo, and nothing that stays done."""
        return Steps(())


@dataclass(frozen=True)
class Restore(Step):
    """Adds a backend again by the first of several alternatives that QEMU accepts."""

    alternatives: Sequence[Steps]
    used: list[Command] = field(default_factory=list, compare=False)

    def commands(self) -> list[Command]:
        return self.used or self.alternatives[0].commands()

    def apply(self, run: Run) -> None:
        for number, one in enumerate(self.alternatives):
            try:
                one.apply(run)
                self.used[:] = one.commands()
                return
            except (CommandError, HardwareError):
                if number == len(self.alternatives) - 1:
                    raise
