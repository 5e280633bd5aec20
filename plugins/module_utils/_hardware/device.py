# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The device that the guest sees, of any kind: its arguments for device_add, and how it differs from what is there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Mapping, NamedTuple

from .errors import Conflict, InvalidOption
from .model import Device, Hardware
from .settled import backends_of, settled_properties
from .settled import settled_arguments as settled_arguments
from .slots import Wanted, bus_class, find_place, parse_addr, place_of
from .values import typed

_NAMED_ELSEWHERE = {"id": "id", "driver": "driver", "bus": "bus", "addr": "addr", "drive": "file", "netdev": "type"}

_IDENTITY = {"serial", "wwn", "device_id", "mac", "bootindex", "name", "acpi-index", "failover_pair_id", "logical_block_size",
             "physical_block_size", "share-rw", "rerror", "werror", "write-cache"}
"""What a device of another driver has in common with the one before it: how the guest knows it, and what it reads from it."""

_PORTS = {"nr", "port"}
"""Numbers on a bus, which say nothing on another."""

_LEADERS = {"vectors": {"num-queues", "num_queues", "mq"}, "romsize": {"romfile"}}
"""Properties that follow others: where the task specifies one of these, QEMU chooses again."""


@dataclass(frozen=True)
class Front:
    """What a task says of a device. ``options`` are properties that have an option of their own, by property name,
    None where not stated; ``properties`` any others."""

    id: str
    driver: str | None = None
    place: Wanted = Wanted()
    options: Mapping[str, Any] = field(default_factory=dict)
    properties: Mapping[str, Any] = field(default_factory=dict)

    def stated(self, hardware: Hardware, driver: str) -> dict[str, Any]:
        """All properties that the task states, in the JSON types that *driver* has for them."""
        for name in self.properties:
            if name in _NAMED_ELSEWHERE:
                raise InvalidOption(f"properties has {name!r}, which the option {_NAMED_ELSEWHERE[name]!r} is for.")
        stated = {**{name: value for name, value in self.options.items() if value is not None}, **self.properties}
        return typed(f"device {driver}", stated, hardware.device_properties(driver))


class Difference(NamedTuple):
    option: str
    present: Any
    wanted: Any


def device_arguments(hardware: Hardware, front: Front, driver: str, backend: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments for ``device_add``: driver, id, *backend* (``drive`` or ``netdev``), a free place, properties."""
    properties = front.stated(hardware, driver)
    place = find_place(hardware, driver, front.place)
    return {"driver": driver, "id": front.id, **backend, **place, **properties}


def recreated_arguments(hardware: Hardware, front: Front, driver: str, backend: dict[str, Any],
                        device: Device | None) -> dict[str, Any]:
    """The arguments to plug *front* in the place of *device*: what the task does not specify is as it was.

    A device of another driver keeps the slot, where that is one for it, and what says which thing it is. Raises Conflict for
    what of this it cannot have.
    """
    if device is None:
        return device_arguments(hardware, front, driver, backend)
    specified = front.stated(hardware, driver)
    slot = _kept_slot(hardware, front, driver, device) or find_place(hardware, driver, front.place)
    if device.driver == driver:
        kept = settled_properties(hardware, device)
        moved = slot.get("bus") != device.bus
        kept = {name: value for name, value in kept.items() if name not in specified and not (moved and name in _PORTS)
                and not (_LEADERS.get(name, set()) & specified.keys())}
        return {"driver": driver, "id": front.id, **backends_of(hardware, device), **backend, **slot, **kept, **specified}
    kept = _identity(hardware, device, driver, specified)
    return {"driver": driver, "id": front.id, **backend, **slot, **kept, **specified}


def _kept_slot(hardware: Hardware, front: Front, driver: str, device: Device) -> dict[str, Any]:
    """The slot of *device*, if the task names no other and *driver* fits there; else nothing."""
    place = {name: value for name, value in place_of(device).items() if value is not None}
    if driver != device.driver and bus_class(hardware, driver) != bus_class(hardware, device.driver):
        return {}
    return place if not _place_differences(front, device) else {}


def _identity(hardware: Hardware, device: Device, driver: str, specified: Mapping[str, Any]) -> dict[str, Any]:
    """What a device of another *driver* has of *device* for the guest to take it for the same, and to read the same from it."""
    known = hardware.device_properties(driver)
    kept = {name: value for name, value in settled_properties(hardware, device).items()
            if name in _IDENTITY and name not in specified}
    lost = [f"{name} ({value!r})" for name, value in kept.items() if name not in known]
    if lost:
        raise Conflict(f"{device.id} is a {device.driver} with {', '.join(lost)}, which a {driver} cannot have. "
                       "Keep the driver, or remove the device (state: absent) and add it again.")
    return kept


def device_differences(hardware: Hardware, front: Front, device: Device) -> tuple[list[Difference], list[str]]:
    """How *device* differs from what the task states, and which properties QEMU does not report back."""
    different: list[Difference] = []
    unverified: list[str] = []
    if front.driver is not None and front.driver != device.driver:
        return [Difference("driver", device.driver, front.driver)], []
    different += _place_differences(front, device)
    for name, value in front.stated(hardware, device.driver).items():
        now = hardware.property_of(device, name)
        if now is None:
            unverified.append(name)
        elif _comparable(now, device.types.get(name, "")) != _comparable(value, ""):
            different.append(Difference(name, now, value))
    return different, unverified


def _place_differences(front: Front, device: Device) -> list[Difference]:
    different = []
    wanted, present = front.place, place_of(device)
    if wanted.bus is not None and wanted.bus != device.bus:
        different.append(Difference("bus", device.bus, wanted.bus))
    if wanted.addr is not None and not _same_addr(wanted.addr, present):
        different.append(Difference("addr", present.get("devno", present.get("addr")), wanted.addr))
    for option, name in (("scsi_id", "scsi-id"), ("lun", "lun")):
        value = getattr(wanted, option)
        if value is not None and value != present.get(name):
            different.append(Difference(option, present.get(name), value))
    return different


def _same_addr(addr: str, place: Mapping[str, Any]) -> bool:
    if "devno" in place:
        return addr.lower() == str(place["devno"]).lower()
    return "addr" in place and parse_addr(addr) == parse_addr(place["addr"])


def _comparable(value: Any, type_name: str) -> Any:
    """Links read back as QOM paths; everything else as it was sent, but for the case of hexadecimal digits."""
    if type_name.startswith("link<") and isinstance(value, str):
        return value.rsplit("/", 1)[-1].lower()
    return value.lower() if isinstance(value, str) else value


def refuse(what: str, differences: list[Difference]) -> None:
    """Raise Conflict that tells every difference with both values, if there is any."""
    if differences:
        told = "; ".join(f"{one.option} is {one.present!r}, wanted {one.wanted!r}" for one in differences)
        raise Conflict(f"{what} exists with other properties: {told}. Change the task, take another id, or set "
                       "recreate: true to have it removed and made anew.",
                       differences=[one._asdict() for one in differences])
