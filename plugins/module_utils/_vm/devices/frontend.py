# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The frontend: the device that the guest sees, of any kind. Its arguments for device_add, and how a present one differs."""

from __future__ import annotations

from dataclasses import field
from typing import Any, Iterable, Mapping

from ..errors import Conflict, InvalidOption, NoFreeSlot
from ..lazy import dataclass
from ..model.hardware import Device, Hardware
from ..model.slots import SLOT_OPTIONS, SlotRequest, bus_class, find_slot, same_addr, slot_arguments, slot_of, slot_options
from ..model.values import check_enums, same_value, typed
from .current import backends_of, current_properties, leaves_the_choice
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
"""Properties that a device keeps when it is recreated with another driver: the guest knows it by them, or reads them from it."""

_PORTS = {"nr", "port"}
"""Numbers on a bus, which are meaningless on another one."""

_DERIVED_FROM = {"vectors": {"num-queues", "num_queues", "mq"}, "romsize": {"romfile"}}
"""Properties that depend on others: if the task specifies one of the latter, QEMU chooses the former again."""


@dataclass(frozen=True)
class FrontendSpec:
    """What a task specifies of a device.

    ``options`` are properties that have an option of their own, by property name, None if not set; ``names`` are the names of
    these options; ``properties`` are any other properties.
    """

    id: str
    driver: str | None = None
    slot: SlotRequest = SlotRequest()
    options: Mapping[str, Any] = field(default_factory=dict)
    properties: Mapping[str, Any] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def untyped(self) -> dict[str, Any]:
        """All properties that the task sets, by option or not, as the task has them."""
        return {**self.properties, **{name: value for name, value in self.options.items() if value is not None}}

    def specified(self, hardware: Hardware, driver: str) -> dict[str, Any]:
        """All properties that the task sets, in the JSON types that *driver* has for them. Raises InvalidOption."""
        for name in self.properties:
            if name in _NAMED_ELSEWHERE:
                raise InvalidOption(f"properties contains {name!r}. Use the option {_NAMED_ELSEWHERE[name]!r} instead.")
        options = [name for name, value in self.options.items() if value is not None]
        types = hardware.device_properties(driver)
        for name in options:
            if name in self.properties:
                raise InvalidOption(f"{self.option_of(name)} is set twice: as an option and in properties ({name}). Remove one.")
            if name not in types:
                raise InvalidOption(f"{self.option_of(name)} cannot be set for a {driver}: it has no property {name!r}.")
        called = {name: self.option_of(name) for name in options}
        values = typed(f"device {driver}", self.untyped, types, called)
        known = hardware.schema.device_properties(driver)
        enums = {name: about["description"] for name, about in known.items() if about["type"][:1].isupper()}
        values = check_enums(f"device {driver}", values, enums)
        check_limits(driver, values, called)
        for name, value in values.items():
            if known[name]["type"].startswith("link<") and value:
                _check_link(hardware, called.get(name, name), known[name]["type"][len("link<") : -1], str(value))
        return values

    def option_of(self, name: str) -> str:
        """The option of the task that sets the property *name*; *name* itself if the task sets it in ``properties``."""
        return self.names.get(name, name) if self.options.get(name) is not None else name


def _check_link(hardware: Hardware, option: str, kind: str, name: str) -> None:
    """Raise InvalidOption for a link to nothing, or to an object that is not of the *kind* of the link."""
    if name.startswith("/"):
        return
    if name not in hardware.objects and name not in hardware.ids:
        raise InvalidOption(f"{option} {name!r} is not the id of an object or device of the VM. Add that first.")
    found = hardware.objects.get(name)
    types = hardware.cache.ask_or([], "qom-list-types", implements=kind) if found not in (None, kind) else []
    if types and found not in {entry["name"] for entry in types}:
        raise InvalidOption(f"{option} {name!r} is a {found}, and not a {kind}. Set the id of a {kind}.")


def device_arguments(hardware: Hardware, frontend: FrontendSpec, driver: str, backend: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments for ``device_add``: driver, id, *backend* (``drive``, ``netdev`` …), a free slot, properties."""
    properties = frontend.specified(hardware, driver)
    try:
        slot = find_slot(hardware, driver, frontend.slot)
    except NoFreeSlot as error:
        if any(device.id == frontend.id for bus in hardware.buses for device in bus.devices):  # since its id was looked up
            raise Conflict(f"Another task has just added {frontend.id}. Run the task again to compare it.") from error
        raise
    return _checked(hardware, {"driver": driver, "id": frontend.id, **backend, **slot, **properties})


def _checked(hardware: Hardware, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return *arguments*. Raises for those that QEMU rejects only after it has made half of the device: QEMU 10 then keeps the
    backend."""
    legacy = arguments.get("disable-legacy", "auto")
    if arguments.get("disable-modern") and legacy != "off":
        bus = hardware.bus(arguments.get("bus", ""))
        if legacy == "on" or bus and bus.kind == "PCIE":
            where = "with disable-legacy: on" if legacy == "on" else f"on {arguments['bus']}, a PCI Express port,"
            raise InvalidOption(
                f"disable_modern: true leaves a {arguments['driver']} {where} without any mode. Remove it, or set "
                "properties: {disable-legacy: 'off'}."
            )
    check_block_sizes(arguments)
    holder = _boot_index_holder(hardware, arguments)
    if holder:
        raise Conflict(
            f"bootindex {arguments['bootindex']} is used by {holder.id or holder.path} ({holder.driver}). Set another one."
        )
    return arguments


def _boot_index_holder(hardware: Hardware, arguments: Mapping[str, Any]) -> Device | None:
    """The other device that has the boot index of *arguments*, if any."""
    bootindex = arguments.get("bootindex", -1)
    if bootindex < 0:
        return None
    others = (device for device in hardware.devices if device.id != arguments["id"])
    return next((device for device in others if device.properties.get("bootindex") == bootindex), None)


def recreated_arguments(
    hardware: Hardware, frontend: FrontendSpec, driver: str, backend: dict[str, Any], device: Device | None
) -> dict[str, Any]:
    """The arguments to plug *frontend* instead of *device*. Everything that the task does not specify stays as it was.

    With another driver the slot is kept if it fits, and so is the identity (serial number, MAC address …). Raises Conflict if
    the new driver has no such property.
    """
    if device is None:
        return device_arguments(hardware, frontend, driver, backend)
    specified = frontend.specified(hardware, driver)
    slot = _kept_slot(hardware, frontend, driver, device) or find_slot(hardware, driver, frontend.slot)
    if device.driver == driver:
        kept = current_properties(hardware, device)
        moved = slot.get("bus") != device.bus
        kept = {
            name: value
            for name, value in kept.items()
            if name not in specified
            and not (moved and name in _PORTS)
            and not (_DERIVED_FROM.get(name, set()) & specified.keys())
        }
        backend = {**backends_of(hardware, device), **backend}
    else:
        kept = _identity(hardware, device, driver, specified)
    return _checked(hardware, {"driver": driver, "id": frontend.id, **backend, **slot, **kept, **specified})


def _kept_slot(hardware: Hardware, frontend: FrontendSpec, driver: str, device: Device) -> dict[str, Any]:
    """The slot of *device* if *driver* fits there and the task specifies no other; otherwise {}."""
    slot = {name: value for name, value in slot_arguments(device).items() if value is not None}
    if driver != device.driver and bus_class(hardware, driver) != bus_class(hardware, device.driver):
        return {}
    return slot if not _slot_differences(frontend, device) else {}


def _identity(hardware: Hardware, device: Device, driver: str, specified: Mapping[str, Any]) -> dict[str, Any]:
    """The properties of *device* by which the guest recognises it, to be kept with another *driver*. Raises Conflict."""
    known = hardware.device_properties(driver)
    kept = {
        name: value for name, value in current_properties(hardware, device).items() if name in _IDENTITY and name not in specified
    }
    lost = [f"{name} ({value!r})" for name, value in kept.items() if name not in known]
    if lost:
        raise Conflict(
            f"{device.id} is a {device.driver} with {', '.join(lost)}, and a {driver} has no such property. Keep the driver, "
            "or remove the device (state: absent) and add it again."
        )
    return kept


def frontend_results(hardware: Hardware, device: Device, rows: Iterable[Option] = ()) -> dict[str, Any]:
    """*device* as the options that create it, and ``at_launch``.

    The options are driver, slot, and those that are properties of the device: PROPERTIES and the *rows* of its kind, without
    those that have the default of the driver.
    """
    names = {row.qemu: row.name for row in (*PROPERTIES, *rows)}
    values = current_properties(hardware, device, names.keys())
    return {
        "driver": device.driver,
        **slot_of(device),
        **{names[name]: value for name, value in values.items()},
        "at_launch": device.at_launch,
    }


def planned_results(arguments: Mapping[str, Any], rows: Iterable[Option] = ()) -> dict[str, Any]:
    """As frontend_results, for a device that *arguments* of ``device_add`` will create; values that QEMU chooses are missing."""
    options = {row.name: arguments[row.qemu] for row in (*PROPERTIES, *rows) if row.qemu in arguments}
    return {"driver": arguments["driver"], **slot_options(arguments), **options, "at_launch": False}


def device_differences(hardware: Hardware, frontend: FrontendSpec, device: Device) -> tuple[list[Difference], list[str]]:
    """How *device* differs from what the task specifies, and the options whose present value QEMU does not report."""
    different: list[Difference] = []
    unverified: list[str] = []
    if frontend.driver is not None and frontend.driver != device.driver:
        return [Difference("driver", device.driver, frontend.driver)], []
    different += _slot_differences(frontend, device)
    known = hardware.schema.device_properties(device.driver)
    for name, value in frontend.specified(hardware, device.driver).items():
        present = hardware.property_of(device, name)
        if present is None:
            unverified.append(frontend.option_of(name))
        elif same_value(name, device.types.get(name, known[name]["type"]), present, value):
            continue
        elif leaves_the_choice(name, value, known[name].get("default")):
            unverified.append(frontend.option_of(name))  # QEMU has chosen the value, and reports its choice
        else:
            different.append(Difference(frontend.option_of(name), present, value))
    return different, unverified


def _slot_differences(frontend: FrontendSpec, device: Device) -> list[Difference]:
    """How the slot of *device* differs from the one that the task specifies."""
    different = []
    slot = slot_of(device)
    for option in SLOT_OPTIONS:
        desired, present = getattr(frontend.slot, option), slot.get(option)
        if desired is None:
            continue
        same = same_addr(desired, present) if option == "addr" and present is not None else desired == present
        if not same:
            different.append(Difference(option, present, desired))
    return different


def refuse(subject: str, differences: list[Difference]) -> None:
    """Raise Conflict for *subject*, such as ``Disk d1``, with both values of every difference, if there is any."""
    if differences:
        listed = "; ".join(map(_both_values, differences))
        raise Conflict(
            f"{subject} exists, but {listed}. Change the task, use another id, or set recreate: true to remove it and add it "
            "again.",
            differences=[one._asdict() for one in differences],
        )


def _both_values(difference: Difference) -> str:
    present = "not set" if difference.present is None else repr(difference.present)
    return f"{difference.option} is {present} and the task sets {difference.desired!r}"
