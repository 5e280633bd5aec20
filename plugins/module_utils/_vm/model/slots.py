# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Free slots on buses that take devices while the VM runs.

The slot is always ours to choose and always sent whole: QEMU 7.2 and 8.2 accept a second device on an occupied
root port, and with native hotplug the guest then throws out both.
"""

from __future__ import annotations

import re
from typing import Any, Callable, Iterator, Mapping, NamedTuple

from ..errors import Conflict, InvalidOption, NoFreeSlot, Unsupported
from .hardware import Bus, Device, Hardware

_SLOT = re.compile(r"(?:0x)?([0-9A-Fa-f]{1,2})(?:\.([0-7]))?\Z")
_DEVNO = re.compile(r"([0-9a-fA-F]{1,2})\.([0-3])\.([0-9a-fA-F]{1,4})\Z")
_BUS_KINDS = {
    "pci-device": ("PCIE", "PCI"),
    "scsi-device": ("SCSI",),
    "virtio-ccw-device": ("virtual-css-bus",),
    "virtio-serial-port": ("virtio-serial-bus",),
}

_SCSI_LIMITS = {
    "virtio": (255, 16383),
    "vhost": (255, 16383),
    "megasas": (64, 255),
    "pvscsi": (64, 0),
    "mptsas": (8, 1),
    "lsi": (6, 0),
    "am53c974": (6, 7),
    "dc390": (6, 7),
}
"""The greatest target and LUN, by a word in the QOM type of the controller. A controller has target 7 of its parallel bus."""

_COLD = ("ide-device", "isa-device", "floppy", "i2c-slave")
"""Classes of devices whose buses take none while the VM runs, on any machine."""

_OPTION_OF = {"bus": "bus", "addr": "addr", "scsi-id": "scsi_id", "lun": "lun", "devno": "addr"}

SLOT_ARGUMENTS = tuple(_OPTION_OF)
"""The arguments of ``device_add`` that are the slot of a device."""

SLOT_OPTIONS = tuple(dict.fromkeys(_OPTION_OF.values()))
"""The options of a task, and the members of a result, that are the slot of a device."""


_SHOWN = 5
"""Devices that a message names; of others it has the number."""


class SlotRequest(NamedTuple):
    """What a task sets of the slot: all of it optional.

    ``addr`` is in QEMU's notation: hexadecimal slot[.function] on PCI, cssid.ssid.devno on a channel. ``reserved``
    are slots in the form of ``slot_of``, which are left free.
    """

    bus: str | None = None
    addr: str | None = None
    scsi_id: int | None = None
    lun: int | None = None
    reserved: tuple[dict[str, Any], ...] = ()


def default_driver(hardware: Hardware, device: str) -> str:
    """*device* (``virtio-blk``, ``virtio-net`` …) in the form that this machine takes. Raises Unsupported."""
    kinds = {bus.kind for bus in hardware.buses}
    if "virtual-css-bus" in kinds:
        return f"{device}-ccw"
    if kinds & {"PCI", "PCIE"}:
        return f"{device}-pci"
    raise Unsupported(f"The machine {hardware.machine} has neither PCI nor channel devices: nothing can be plugged.")


def launch_argument(hardware: Hardware, driver: str) -> list[str]:
    """What the VM would have to be started with to have one more bus, or more slots, for *driver*; empty where unknown."""
    if bus_class(hardware, driver) == "pci-device":
        if any(bus.kind == "PCIE" for bus in hardware.buses):
            name = _unused(hardware, "rp")
            return ["-device", f"pcie-root-port,id={name},chassis={int(name[2:]) + 1}"]
        name = _unused(hardware, "br")
        return ["-device", f"pci-bridge,id={name},chassis_nr={int(name[2:]) + 1}"]
    if bus_class(hardware, driver) == "scsi-device":
        return ["-device", f"{default_driver(hardware, 'virtio-scsi')},id={_unused(hardware, 'scsi')}"]
    if bus_class(hardware, driver) == "virtio-serial-port":
        return ["-device", f"{default_driver(hardware, 'virtio-serial')},id={_unused(hardware, 'serial')}"]
    return []


def _unused(hardware: Hardware, prefix: str) -> str:
    """A free id, and none of a character device: QEMU names those of ``-serial`` serial0, serial1 and so on."""
    used = {*hardware.ids, *hardware.chardevs}
    return next(name for name in (f"{prefix}{number}" for number in range(len(used) + 1)) if name not in used)


def bus_class(hardware: Hardware, driver: str) -> str | None:
    """Which of the known classes of buses *driver* needs; None for one that this file knows nothing of."""
    return next((name for name in _BUS_KINDS if hardware.driver_is_a(driver, name)), None)


def free_slots(hardware: Hardware, driver: str) -> Iterator[dict[str, Any]]:
    """Every free slot for a *driver*, best first, as the properties for ``device_add``."""
    for bus in _candidates(hardware, bus_class(hardware, driver)):
        yield from _free_on(hardware, bus, SlotRequest())


def count_free(hardware: Hardware, bus: Bus) -> int | None:
    """How many devices *bus* accepts while the VM runs; None for a bus whose ports QEMU does not report."""
    if not bus.hotpluggable:
        return 0
    return None if bus.kind == "virtio-serial-bus" else sum(1 for _slot in _free_on(hardware, bus, SlotRequest()))


def _candidates(hardware: Hardware, device_class: str | None) -> list[Bus]:
    """The buses that take devices of the class while the VM runs: root ports first, which are made for it."""
    return [
        bus for kind in _BUS_KINDS.get(device_class or "", ()) for bus in hardware.buses if bus.kind == kind and bus.hotpluggable
    ]


def find_slot(hardware: Hardware, driver: str, request: SlotRequest) -> dict[str, Any]:
    """The slot for a new *driver*, as the properties for ``device_add``; empty for a device that needs none.

    Raises NoFreeSlot where all are taken, or the one asked for is; InvalidOption for an unknown bus or a bad
    address; Unsupported for a bus that takes nothing while the VM runs.
    """
    device_class = bus_class(hardware, driver)
    if device_class is None and request.addr is not None and hardware.driver_is_a(driver, "ccw-device"):
        return {**_channel_slot(driver, request), **({"bus": request.bus} if request.bus else {})}
    if device_class is None:
        for name in ("addr", "scsi_id", "lun"):
            if getattr(request, name) is not None:
                raise InvalidOption(f"{name} is not for a {driver}: say with bus, and its own properties, where it goes.")
        if any(hardware.driver_is_a(driver, name) for name in _COLD):
            raise Unsupported(
                f"A {driver} sits on a bus that takes no device while the VM runs. Choose another driver, or "
                "give it to the "
                "VM at its start."
            )
        return {"bus": request.bus} if request.bus else {}
    _check_words(driver, device_class, request)
    if request.bus is None:
        buses = _candidates(hardware, device_class)
    else:
        buses = [_named_bus(hardware, driver, device_class, request.bus)]
    able = _able(hardware, buses, request)
    for bus in able:
        for slot in _free_on(hardware, bus, request):
            if not any(_same_slot(slot_options(slot), other) for other in request.reserved):
                return slot
    raise _no_free_slot(hardware, driver, request, able)


def _channel_slot(driver: str, request: SlotRequest) -> dict[str, Any]:
    """The address of a device on a channel that is not a virtio device, such as ``vfio-ccw``; by default QEMU chooses one."""
    for name in ("scsi_id", "lun"):
        if getattr(request, name) is not None:
            raise InvalidOption(f"{name} is not for a {driver}: say with addr where it goes, as cssid.ssid.devno.")
    if not _DEVNO.match(str(request.addr)):
        raise InvalidOption(
            f"addr {request.addr!r} is not the address of a device on a channel: write it as cssid.ssid.devno, such as fe.0.0042."
        )
    return {"devno": request.addr}


def _able(hardware: Hardware, buses: list[Bus], request: SlotRequest) -> list[Bus]:
    """Those of *buses* that have the address that the task names. Raises InvalidOption where none of them has."""
    able = []
    refusal = None
    for bus in buses:
        try:
            _check_address(hardware, bus, request)
            able.append(bus)
        except InvalidOption as error:
            refusal = refusal or error
    if refusal and not able:
        raise refusal
    return able


def _check_address(hardware: Hardware, bus: Bus, request: SlotRequest) -> None:
    """Raise InvalidOption for an address that *bus* does not have, or on which no guest would see the device."""
    if bus.kind in ("PCIE", "PCI") and request.addr is not None:
        slot, function = parse_addr(request.addr)
        if bus.kind == "PCIE" and (slot, function) != (0, 0):
            raise InvalidOption(f"{bus.name} is a root port: its only slot is addr 0, not {request.addr}.")
        if function and slot not in _taken_slots(bus):
            raise InvalidOption(
                f"addr {request.addr} is function {function} of a slot of {bus.name} that has no function 0: "
                f"the guest would see none of it. Name addr {slot:#x}."
            )
    if bus.kind == "SCSI":
        targets, luns = _scsi_limits(hardware, bus)
        for name, value, most in (("scsi_id", request.scsi_id, targets), ("lun", request.lun, luns)):
            if value is not None and not 0 <= value <= most:
                raise InvalidOption(f"{name} {value} is beyond what {bus.name} has: 0 to {most}.")


def _taken_slots(bus: Bus) -> set[int]:
    return {device.properties["addr"] >> 3 for device in bus.devices if isinstance(device.properties.get("addr"), int)}


def _scsi_limits(hardware: Hardware, bus: Bus) -> tuple[int, int]:
    """The greatest target and LUN of a SCSI bus, by what its controller is."""
    kind = str(hardware.cache.qom_get([(bus.owner, "type")])[0])
    return next((limits for word, limits in _SCSI_LIMITS.items() if word in kind), (6, 7))


def companions(hardware: Hardware, device: Device) -> list[Device]:
    """The other functions of a device's PCI slot, which leave the VM together with it: a guest ejects slots."""

    def slot(one: Device) -> tuple[Any, int]:
        return one.properties.get("parent_bus"), one.properties["addr"] >> 3

    if device.addr is None:
        return []
    return [one for one in hardware.devices if one.path != device.path and one.addr is not None and slot(one) == slot(device)]


def refuse_fixed(hardware: Hardware, device: Device) -> None:
    """Raise Unsupported for a device that QEMU does not unplug: it was on its bus when the VM was started."""
    if hardware.is_fixed(device):
        raise Unsupported(
            f"{device.id or device.path} is on the bus {device.bus}, from which QEMU removes no device while the VM runs. "
            "Stop the VM, and remove the device from QEMU's command line."
        )


def refuse_unplug(hardware: Hardware, device: Device, force: bool) -> None:
    """Raise Conflict for a device that would take others with it when it is unplugged, and Unsupported for one that QEMU does not
    unplug."""
    others = sorted(one.id or one.path for one in companions(hardware, device))
    if others and not force:
        raise Conflict(
            f"{device.id} is in one PCI slot with {', '.join(others)}, which would go with it: a guest releases "
            "all functions of a slot at once. Set force: true to have all of them go.",
            companions=others,
        )
    refuse_fixed(hardware, device)


def _check_words(driver: str, device_class: str, request: SlotRequest) -> None:
    if device_class == "scsi-device" and request.addr is not None:
        raise InvalidOption(f"A {driver} has no addr: its slot is set by bus, scsi_id and lun.")
    if device_class != "scsi-device" and (request.scsi_id, request.lun) != (None, None):
        raise InvalidOption(f"A {driver} is not a SCSI device: it has neither scsi_id nor lun.")


def _named_bus(hardware: Hardware, driver: str, device_class: str, name: str) -> Bus:
    taking = _candidates(hardware, device_class)
    bus = hardware.bus(name)
    if bus is None:
        raise InvalidOption(f"The VM has no bus {name!r}; {_listed(taking, 'these take devices while it runs:')}.")
    if bus.kind not in _BUS_KINDS[device_class]:
        raise InvalidOption(f"A {driver} does not fit on {name}, a {bus.kind} bus; {_listed(taking, 'it fits on')}.")
    if not bus.hotpluggable:
        raise Unsupported(f"Bus {name} takes no device while the VM runs; {_listed(taking, 'these do:')}.")
    return bus


def _listed(buses: list[Bus], words: str) -> str:
    return f"{words} {', '.join(bus.name for bus in buses)}" if buses else "there is none"


def _holders(devices: list[Device], request: SlotRequest) -> str:
    """The devices that hold the slot, for a message: those at the target and LUN of the request, or all of the bus."""
    scsi = {name: value for name, value in (("scsi_id", request.scsi_id), ("lun", request.lun)) if value is not None}
    there = [device for device in devices if scsi.items() <= slot_of(device).items()] or devices
    names = [f"{device.id or device.path} ({device.driver})" for device in there]
    more = [f"{len(names) - _SHOWN} more"] if len(names) > _SHOWN else []
    return f": it holds {', '.join([*names[:_SHOWN], *more])}" if names else ""


def _no_free_slot(hardware: Hardware, driver: str, request: SlotRequest, buses: list[Bus]) -> NoFreeSlot:
    arguments = launch_argument(hardware, driver)
    remedy = f" Start the VM with {' '.join(arguments)} (or more of them)." if arguments else ""
    if request.bus is not None or request.addr is not None or request.scsi_id is not None:
        where = ", ".join(f"{name} {value}" for name, value in request._asdict().items() if value is not None and value != ())
        held = _holders([device for bus in buses for device in bus.devices], request)
        return NoFreeSlot(f"There is not a free slot for a {driver} at {where}{held}. Set another slot, or none.")
    if not buses:
        return NoFreeSlot(f"The VM has no bus that takes a {driver} while it runs.{remedy}")
    return NoFreeSlot(
        f"All {len(buses)} buses that take a {driver} while the VM runs are full "
        f"({', '.join(bus.name for bus in buses)}).{remedy}"
    )


def _same_slot(slot: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two slots, both as options have them, are the same one.

    A bus alone is not a slot that only one device can have: on a virtio serial bus each port takes the next number.
    """
    if set(slot) == {"bus"}:
        return False
    if "addr" in slot and other.get("addr") is not None:
        return slot.get("bus") == other.get("bus") and same_addr(str(other["addr"]), slot["addr"])
    return all(str(other.get(name)) == str(value) for name, value in slot.items())


def _free_on(hardware: Hardware, bus: Bus, request: SlotRequest) -> Iterator[dict[str, Any]]:
    if bus.kind == "PCIE":
        if not bus.devices:
            yield {"bus": bus.name, "addr": "0"}
    elif bus.kind == "PCI":
        yield from _free_slots(bus, request)
    elif bus.kind == "SCSI":
        yield from _free_luns(hardware, bus, request)
    elif bus.kind == "virtual-css-bus":
        yield from _free_subchannels(hardware, request)
    else:
        yield {"bus": bus.name}


def _free_slots(bus: Bus, request: SlotRequest) -> Iterator[dict[str, Any]]:
    """Slot 0 is the bridge's own, so a conventional PCI bus takes devices at 1 to 31."""
    taken = _taken_slots(bus)
    if request.addr is None:
        yield from ({"bus": bus.name, "addr": f"{slot:x}"} for slot in range(1, 32) if slot not in taken)
        return
    slot, function = parse_addr(request.addr)
    if slot not in taken:
        yield {"bus": bus.name, "addr": f"{slot:x}.{function}" if function else f"{slot:x}"}


def parse_addr(addr: str) -> tuple[int, int]:
    """Slot and function from QEMU's notation, ``5``, ``0x1f`` or ``5.1`` (hexadecimal). Raises InvalidOption."""
    match = _SLOT.match(addr)
    if not match or int(match.group(1), 16) > 31:
        raise InvalidOption(
            f"addr {addr!r} is not a PCI address: write slot or slot.function in hexadecimal, such as 0x5 or 5.1."
        )
    return int(match.group(1), 16), int(match.group(2) or 0)


def parse_devno(addr: str) -> str:
    """A channel address as QEMU writes it, from ``fe.0.1`` or ``FE.0.0001``. Raises InvalidOption."""
    match = _DEVNO.match(addr)
    if not match:
        raise InvalidOption(f"addr {addr!r} is not a channel address: write cssid.ssid.devno, such as fe.0.0001.")
    return f"{int(match.group(1), 16):x}.{match.group(2)}.{int(match.group(3), 16):04x}"


def same_addr(addr: str, present: str) -> bool:
    """Whether *addr* is the address *present*. Raises InvalidOption if it is not in the notation of that one."""
    parse: Callable[[str], Any] = parse_devno if _DEVNO.match(present) else parse_addr
    return bool(parse(addr) == parse(present))


def _free_luns(hardware: Hardware, bus: Bus, request: SlotRequest) -> Iterator[dict[str, Any]]:
    targets = range(_scsi_limits(hardware, bus)[0] + 1)
    taken = {(device.properties.get("scsi-id"), device.properties.get("lun")) for device in bus.devices}
    used_targets = {target for target, _lun in taken}
    for target in targets if request.scsi_id is None else [request.scsi_id]:
        if request.scsi_id is None and request.lun is None and target in used_targets:
            continue
        if (target, request.lun or 0) not in taken:
            yield {"bus": bus.name, "scsi-id": target, "lun": request.lun or 0}


def _free_subchannels(hardware: Hardware, request: SlotRequest) -> Iterator[dict[str, Any]]:
    taken = {str(device.properties.get("dev_id")).lower() for device in hardware.devices}
    if request.addr is not None:
        devno = parse_devno(request.addr)
        if devno not in taken:
            yield {"devno": devno}
        return
    yield from ({"devno": f"fe.0.{number:04x}"} for number in range(0x10000) if f"fe.0.{number:04x}" not in taken)


def slot_of(device: Device) -> dict[str, Any]:
    """The slot of *device*, as options have it."""
    return slot_options(slot_arguments(device))


def slot_options(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The slot in the *arguments* of ``device_add``, as options have it: ``scsi_id``, and ``addr`` for every address."""
    return {option: arguments[name] for name, option in _OPTION_OF.items() if name in arguments}


def slot_arguments(device: Device) -> dict[str, Any]:
    """The slot of *device*, as ``device_add`` has it."""
    properties = device.properties
    if "dev_id" in properties:
        return {"devno": properties["dev_id"]}
    if "scsi-id" in properties:
        return {"bus": device.bus, "scsi-id": properties["scsi-id"], "lun": properties.get("lun")}
    return {"bus": device.bus, **({"addr": device.addr} if device.addr is not None else {})}
