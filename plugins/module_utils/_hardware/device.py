# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The device that the guest sees, of any kind: its arguments for device_add, and how it differs from what is there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Mapping, NamedTuple

from .errors import Conflict, InvalidOption
from .model import Device, Hardware
from .slots import Wanted, find_place, parse_addr, place_of
from .values import typed

_NAMED_ELSEWHERE = {"id": "id", "driver": "driver", "bus": "bus", "addr": "addr", "drive": "file", "netdev": "type"}


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
    """The arguments to plug *front* in the place that *device* leaves, unless the task names another or it is of
    another kind."""
    place = place_of(device) if device else {}
    wanted = {name: value for name, value in front.place._asdict().items() if value is not None and name != "reserved"}
    kept = {name: value for name, value in place.items() if value is not None}
    same = all(str(kept.get(name.replace("_", "-"))) == str(value) for name, value in wanted.items())
    if device and same and device.driver == driver:
        return {"driver": driver, "id": front.id, **backend, **kept, **front.stated(hardware, driver)}
    return device_arguments(hardware, front, driver, backend)


def device_differences(hardware: Hardware, front: Front, device: Device) -> tuple[list[Difference], list[str]]:
    """How *device* differs from what the task states, and which properties QEMU does not report back."""
    different: list[Difference] = []
    unverified: list[str] = []
    if front.driver is not None and front.driver != device.driver:
        return [Difference("driver", device.driver, front.driver)], []
    wanted, present = front.place, place_of(device)
    if wanted.bus is not None and wanted.bus != device.bus:
        different.append(Difference("bus", device.bus, wanted.bus))
    if wanted.addr is not None and not _same_addr(wanted.addr, present):
        different.append(Difference("addr", present.get("devno", present.get("addr")), wanted.addr))
    for option, name in (("scsi_id", "scsi-id"), ("lun", "lun")):
        value = getattr(wanted, option)
        if value is not None and value != present.get(name):
            different.append(Difference(option, present.get(name), value))
    for name, value in front.stated(hardware, device.driver).items():
        now = hardware.property_of(device, name)
        if now is None:
            unverified.append(name)
        elif _comparable(now, device.types.get(name, "")) != _comparable(value, ""):
            different.append(Difference(name, now, value))
    return different, unverified


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
