# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The spec of a NIC, the NICs that a VM has, and the table of the options of both."""

from __future__ import annotations

from dataclasses import field, replace
from functools import cached_property
from typing import Any, Callable, Mapping, NamedTuple

from ...errors import Conflict
from ...host.tap import interface_of
from ...lazy import dataclass
from ...model.hardware import Device, Hardware, Netdev
from ..frontend import FrontendSpec, frontend_results
from ..option_table import Option, arguments, results, rows_for

REPORTED_TYPES = {"bridge": "tap"}
"""Types that ``info network`` reports under another name."""


class Nic(NamedTuple):
    """A NIC of the VM: the device that the guest sees and the network backend behind it. One of them may be missing."""

    hardware: Hardware
    device: Device | None
    netdev: Netdev | None


def _info(name: str) -> Callable[[Nic], Any]:
    """Reads what ``info network`` reports under *name*."""
    return lambda nic: nic.netdev.info.get(name) if nic.netdev else None


def _type(nic: Nic) -> str | None:
    return nic.netdev.type if nic.netdev else None


def _ifname(nic: Nic) -> str | None:
    return interface_behind(nic.hardware, nic.netdev) if nic.netdev else None


def _chardev(nic: Nic) -> str | None:
    """``info network`` has for vhost-user: ``vhost-user0 to CHARDEV``."""
    words = nic.netdev.info if nic.netdev and nic.netdev.type == "vhost-user" else ()
    return next((word.partition(" to ")[2] for word in words if " to " in word), None)


def _queues(nic: Nic) -> int | None:
    """The queue pairs that the guest can use: those of the backend, or one if the device has ``mq=off``."""
    if nic.netdev is None or nic.netdev.queues == 1:
        return 1 if nic.netdev else None
    device = nic.device
    multiple = device is None or "mq" not in device.types or nic.hardware.property_of(device, "mq") is True
    return nic.netdev.queues if multiple else 1


def _restrict(nic: Nic) -> bool | None:
    return {"on": True, "off": False}.get(_info("restrict")(nic))


def _hubid(nic: Nic) -> int | None:
    hub = str(_info("hubid")(nic))
    return int(hub) if hub.isdigit() else None


def _same_net(nic: Nic, value: Any) -> bool:
    """Whether the addresses are the same: ``info network`` has no mask."""
    return bool(str(value).partition("/")[0] == _info("net")(nic))


BACKEND = (
    Option("type", "type", _type, lambda nic, value: REPORTED_TYPES.get(value, value) == _type(nic)),
    Option("ifname", "ifname", _ifname),
    Option("script", "script", _info("script")),
    Option("downscript", "downscript", _info("downscript")),
    Option("chardev", "chardev", _chardev),
    Option("vhostdev", "vhostdev"),
    Option("vhost", "vhost"),
    Option("queues", "queues", _queues),
    Option("options.br", "br", _info("br")),
    Option("options.helper", "helper", _info("helper")),
    Option("options.hubid", "hubid", _hubid, lambda nic, value: str(value) == _info("hubid")(nic)),
    Option("options.net", "net", _info("net"), _same_net, partial=True),
    Option("options.restrict", "restrict", _restrict, lambda nic, value: value in (_restrict(nic), _info("restrict")(nic))),
)
"""The options of the network backend. QEMU does not report the members of ``options`` that have no row."""

PROPERTIES = (
    Option("mac", "mac"),
    Option("bootindex", "bootindex"),
)
"""The options that are properties of the device."""


@dataclass(frozen=True)
class NicSpec:
    """What a task specifies of a NIC; None is not set.

    ``values`` are the options of the network backend by their names in the task: those of BACKEND, and ``options.NAME`` for any
    other argument of ``netdev_add``. ``descriptors``: this host opens the tap, and not QEMU; None: if possible. ``link`` is True
    for up.
    """

    frontend: FrontendSpec
    values: Mapping[str, Any] = field(default_factory=dict)
    descriptors: bool | None = None
    link: bool | None = None
    recreate: bool = False
    force: bool = False

    @property
    def id(self) -> str:
        return self.frontend.id

    @property
    def type(self) -> str | None:
        return self.values.get("type")

    @property
    def queues(self) -> int | None:
        return self.values.get("queues")

    @cached_property
    def rows(self) -> list[Option]:
        """A row for each of ``values``. Raises InvalidOption for an option that is set in two ways."""
        return rows_for(BACKEND, self.values)

    @cached_property
    def options(self) -> dict[str, Any]:
        """The options of the network backend as arguments of ``netdev_add``, without its type and queues."""
        return arguments([row for row in self.rows if row.name not in ("type", "queues")], self.values)

    def option_of(self, name: str) -> str:
        """The option that sets the argument *name* of ``netdev_add``."""
        return next((row.name for row in (*self.rows, *BACKEND) if row.qemu == name), f"options.{name}")

    def having(self, **values: Any) -> NicSpec:
        """The same with other options of the network backend."""
        return replace(self, values={**self.values, **values})


def find(hardware: Hardware, nic_id: str) -> Nic:
    """The NIC with this id, as far as it exists. Raises Conflict if the id belongs to something else."""
    device = hardware.device(nic_id)
    if device and "netdev" not in device.properties:
        raise Conflict(f"The id {nic_id} belongs to a {device.driver}, which is not a NIC. Choose another id.")
    netdev = hardware.netdevs.get(device.properties["netdev"] if device else nic_id)
    if device is None and netdev is None:
        netdev = _left_behind(hardware, nic_id)
    if netdev and netdev.nic not in (None, nic_id):
        raise Conflict(f"The network backend {netdev.id} belongs to the NIC {netdev.nic}. Choose another id.")
    return Nic(hardware, device, netdev)


def _left_behind(hardware: Hardware, nic_id: str) -> Netdev | None:
    """The backend of a NIC of the launch whose guest released it after the run that unplugged it had stopped waiting."""
    netdev = hardware.netdevs.get(str(hardware.launched.get(nic_id, {}).get("netdev")))
    return netdev if netdev and netdev.nic is None else None


def describe(hardware: Hardware, nic_id: str) -> dict[str, Any] | None:
    """The NIC as the options that would add it, as far as QEMU reports them; None if it has neither device nor backend."""
    nic = find(hardware, nic_id)
    if nic.device is None and nic.netdev is None:
        return None
    return {
        "id": nic_id,
        "attached": nic.device is not None,
        **(frontend_results(hardware, nic.device, PROPERTIES) if nic.device else {}),
        **({"netdev": nic.netdev.id, **results(BACKEND, nic)} if nic.netdev else {}),
    }


def describe_all(hardware: Hardware) -> list[dict[str, Any]]:
    """All NICs of the VM that have an id."""
    found = (describe(hardware, device.id) for device in hardware.devices if device.id and "netdev" in device.properties)
    return [nic for nic in found if nic]


def interface_behind(hardware: Hardware, netdev: Netdev) -> str | None:
    """The interface of this host behind a tap; None if that is not known."""
    return netdev.info.get("ifname") or interface_of(hardware.cache.monitor.peer_pid, netdev.info.get("fd", ""))
