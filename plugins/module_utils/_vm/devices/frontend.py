# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The device that the guest sees, of any kind: its arguments for device_add, and how it differs from what is there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Iterable, Mapping

from ..errors import Conflict, InvalidOption, NoFreeSlot
from ..model.hardware import Device, Hardware
from ..model.slots import SLOT_OPTIONS, SlotRequest, bus_class, find_slot, same_addr, slot_arguments, slot_of, slot_options
from ..model.values import check_enums, same_value, typed
from .current import backends_of, leaves_the_choice, settled_properties
from .option_table import Difference, Option
from .property_limits import check_block_sizes, check_limits

_NAMED_ELSEWHERE = {"id": "id", "driver": "driver", "bus": "bus", "addr": "addr", "drive": "file", "netdev": "type"}
PROPERTIES = (Option("romfile", "romfile"), Option("disable_modern", "disable-modern"))
"""The options of every frontend that are properties of its device."""

_IDENTITY = {
    "serial",
    "wwn",
    "device_id",
    "mac",
    "bootindex",
    "name",
    "acpi-index",
    "failover_pair_id",
    "logical_block_size",
    "physical_block_size",
    "share-rw",
    "rerror",
    "werror",
    "write-cache",
}
"""What a device of another driver has in common with the one before it: how the guest knows it, and what it reads from it."""

_PORTS = {"nr", "port"}
"""Numbers on a bus, which say nothing on another."""

_LEADERS = {"vectors": {"num-queues", "num_queues", "mq"}, "romsize": {"romfile"}}
"""Properties that follow others: where the task specifies one of these, QEMU chooses again."""


@dataclass(frozen=True)
class FrontendSpec:
    """What a task specifies of a device. ``options`` are properties that have an option of their own, by property name, None if
    not set; ``names`` are the names of these options; ``properties`` are any other properties."""

    id: str
    driver: str | None = None
    slot: SlotRequest = SlotRequest()
    options: Mapping[str, Any] = field(default_factory=dict)
    properties: Mapping[str, Any] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)

    def stated(self, hardware: Hardware, driver: str) -> dict[str, Any]:
        """All properties that the task states, in the JSON types that *driver* has for them."""
        for name in self.properties:
            if name in _NAMED_ELSEWHERE:
                raise InvalidOption(f"properties has {name!r}, which the option {_NAMED_ELSEWHERE[name]!r} is for.")
        options = {name: value for name, value in self.options.items() if value is not None}
        types = hardware.device_properties(driver)
        for name in options:
            if name in self.properties:
                raise InvalidOption(f"{self.option_of(name)} is set twice, by itself and as properties: {name}. Leave one out.")
            if name not in types:
                raise InvalidOption(f"{self.option_of(name)} is not for a {driver}, which has no property {name!r}.")
        called = {name: self.option_of(name) for name in options}
        values = typed(f"device {driver}", {**options, **self.properties}, types, called)
        known = hardware.schema.device_properties(driver)
        enums = {name: about["description"] for name, about in known.items() if about["type"][:1].isupper()}
        values = check_enums(f"device {driver}", values, enums)
        check_limits(driver, values, called)
        for name, value in values.items():
            if known[name]["type"].startswith("link<") and value and not _leads_somewhere(hardware, str(value)):
                raise InvalidOption(
                    f"{called.get(name, name)} {value!r} is not the id of an object or device of the VM. Add it first."
                )
        return values

    def option_of(self, name: str) -> str:
        """The option of the task that sets the property *name*; the property itself if it has no option, or that is not used."""
        return self.names.get(name, name) if self.options.get(name) is not None else name


def _leads_somewhere(hardware: Hardware, name: str) -> bool:
    return name.startswith("/") or name in hardware.objects or name in hardware.ids


def device_arguments(hardware: Hardware, frontend: FrontendSpec, driver: str, backend: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments for ``device_add``: driver, id, *backend* (``drive`` or ``netdev``), a free place, properties."""
    properties = frontend.stated(hardware, driver)
    try:
        place = find_slot(hardware, driver, frontend.slot)
    except NoFreeSlot as error:
        if any(one.id == frontend.id for bus in hardware.buses for one in bus.devices):  # since its id was looked for
            raise Conflict(f"{frontend.id} has been added by another task meanwhile. Run this again to compare it.") from error
        raise
    return _checked(hardware, {"driver": driver, "id": frontend.id, **backend, **place, **properties})


def _checked(hardware: Hardware, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return *arguments*, unless QEMU would refuse them when the device is half made: version 10 then keeps what is behind it."""
    legacy = arguments.get("disable-legacy", "auto")
    if arguments.get("disable-modern") and legacy != "off":
        bus = hardware.bus(arguments.get("bus", ""))
        if legacy == "on" or bus and bus.kind == "PCIE":
            where = "with disable-legacy: on" if legacy == "on" else f"on {arguments['bus']}, a port of PCI Express,"
            raise InvalidOption(
                f"disable_modern: true leaves a {arguments['driver']} {where} without a mode to work in. Leave "
                "it out, or set properties: {disable-legacy: 'off'}."
            )
    check_block_sizes(arguments)
    bootindex = arguments.get("bootindex", -1)
    holder = (
        next(
            (one for one in hardware.devices if one.id != arguments["id"] and one.properties.get("bootindex") == bootindex), None
        )
        if bootindex >= 0
        else None
    )
    if holder:
        raise Conflict(f"bootindex {bootindex} is taken by {holder.id or holder.path} ({holder.driver}). Give another.")
    return arguments


def recreated_arguments(
    hardware: Hardware, frontend: FrontendSpec, driver: str, backend: dict[str, Any], device: Device | None
) -> dict[str, Any]:
    """The arguments to plug *front* in the place of *device*: what the task does not specify is as it was.

    A device of another driver keeps the slot, where that is one for it, and what says which thing it is. Raises Conflict for
    what of this it cannot have.
    """
    if device is None:
        return device_arguments(hardware, frontend, driver, backend)
    specified = frontend.stated(hardware, driver)
    slot = _kept_slot(hardware, frontend, driver, device) or find_slot(hardware, driver, frontend.slot)
    if device.driver == driver:
        kept = settled_properties(hardware, device)
        moved = slot.get("bus") != device.bus
        kept = {
            name: value
            for name, value in kept.items()
            if name not in specified and not (moved and name in _PORTS) and not (_LEADERS.get(name, set()) & specified.keys())
        }
        backend = {**backends_of(hardware, device), **backend}
    else:
        kept = _identity(hardware, device, driver, specified)
    return _checked(hardware, {"driver": driver, "id": frontend.id, **backend, **slot, **kept, **specified})


def _kept_slot(hardware: Hardware, frontend: FrontendSpec, driver: str, device: Device) -> dict[str, Any]:
    """The slot of *device*, if the task names no other and *driver* fits there; else nothing."""
    slot = {name: value for name, value in slot_arguments(device).items() if value is not None}
    if driver != device.driver and bus_class(hardware, driver) != bus_class(hardware, device.driver):
        return {}
    return slot if not _slot_differences(frontend, device) else {}


def _identity(hardware: Hardware, device: Device, driver: str, specified: Mapping[str, Any]) -> dict[str, Any]:
    """What a device of another *driver* has of *device* for the guest to take it for the same, and to read the same from it."""
    known = hardware.device_properties(driver)
    kept = {
        name: value for name, value in settled_properties(hardware, device).items() if name in _IDENTITY and name not in specified
    }
    lost = [f"{name} ({value!r})" for name, value in kept.items() if name not in known]
    if lost:
        raise Conflict(
            f"{device.id} is a {device.driver} with {', '.join(lost)}, which a {driver} cannot have. "
            "Keep the driver, or remove the device (state: absent) and add it again."
        )
    return kept


def frontend_results(hardware: Hardware, device: Device, rows: Iterable[Option] = ()) -> dict[str, Any]:
    """*device* as the options that would make it: driver, slot, and each property with an option of its own that has not its
    default; and ``at_launch``. *rows* are the property options of the kind."""
    names = {row.qemu: row.name for row in (*PROPERTIES, *rows)}
    values = settled_properties(hardware, device, names.keys())
    return {
        "driver": device.driver,
        **slot_of(device),
        **{names[name]: value for name, value in values.items()},
        "at_launch": device.at_launch,
    }


def planned_results(arguments: Mapping[str, Any], rows: Iterable[Option] = ()) -> dict[str, Any]:
    """The same for a device that *arguments* of ``device_add`` will make, except for what QEMU chooses."""
    options = {row.name: arguments[row.qemu] for row in (*PROPERTIES, *rows) if row.qemu in arguments}
    return {"driver": arguments["driver"], **slot_options(arguments), **options, "at_launch": False}


def device_differences(hardware: Hardware, frontend: FrontendSpec, device: Device) -> tuple[list[Difference], list[str]]:
    """How *device* differs from what the task states, and which properties QEMU does not report back."""
    different: list[Difference] = []
    unverified: list[str] = []
    if frontend.driver is not None and frontend.driver != device.driver:
        return [Difference("driver", device.driver, frontend.driver)], []
    different += _slot_differences(frontend, device)
    known = hardware.schema.device_properties(device.driver)
    for name, value in frontend.stated(hardware, device.driver).items():
        now = hardware.property_of(device, name)
        if now is None:
            unverified.append(frontend.option_of(name))
        elif same_value(name, device.types.get(name, known[name]["type"]), now, value):
            continue
        elif leaves_the_choice(name, value, known[name].get("default")):
            unverified.append(frontend.option_of(name))  # the choice was left to QEMU, which reports what it has chosen
        else:
            different.append(Difference(frontend.option_of(name), now, value))
    return different, unverified


def _slot_differences(frontend: FrontendSpec, device: Device) -> list[Difference]:
    """How the slot of *device* differs from the one that the task names."""
    different = []
    present = slot_of(device)
    for option in SLOT_OPTIONS:
        desired, now = getattr(frontend.slot, option), present.get(option)
        same = same_addr(desired, now) if option == "addr" and desired is not None and now is not None else desired == now
        if desired is not None and not same:
            different.append(Difference(option, now, desired))
    return different


def refuse(what: str, differences: list[Difference]) -> None:
    """Raise Conflict that tells every difference with both values, if there is any."""
    if differences:
        told = "; ".join(f"{one.option} is {one.present!r}, wanted {one.wanted!r}" for one in differences)
        raise Conflict(
            f"{what} exists with other properties: {told}. Change the task, take another id, or set "
            "recreate: true to have it removed and made anew.",
            differences=[one._asdict() for one in differences],
        )
