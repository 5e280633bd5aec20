# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""NICs: a network backend on the host, and the device through which the guest sees it. Both have the same id."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from .device import Difference, Front, device_arguments, device_differences, recreated_arguments, refuse
from .errors import Conflict, InvalidOption, Unsupported
from .frontend import Unplug, plug
from .launch import device_argument, netdev_argument
from .model import Device, Hardware, Netdev
from .plan import Delete, Execute, PassDescriptor, Plan, Step, close_descriptor
from .slots import PLACE_KEYS, default_driver, place_of
from .tap import check_tap, check_vhost, interface_of, interfaces_of, open_tap, open_vhost
from .values import check_id, check_mac, typed

_LISTS_OF_STR = {"hostfwd", "guestfwd", "dnssearch"}
_SHOWN_AS = {"bridge": "tap"}
"""Types that ``info network`` tells by another name."""


@dataclass(frozen=True)
class Nic:
    """What a task says of a NIC; None is not stated.

    ``options`` are those of ``netdev_add`` for this type in QEMU's spelling. ``descriptors`` has the tap opened
    here instead of by QEMU; None means wherever that is possible. ``link`` is True for up.
    """

    front: Front
    type: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    queues: int = 1
    descriptors: bool | None = None
    link: bool | None = None
    recreate: bool = False
    force: bool = False

    @property
    def id(self) -> str:
        return self.front.id


def plan_present(hardware: Hardware, nic: Nic) -> Plan:
    check_id(nic.id)
    mac = nic.front.options.get("mac")
    if mac is not None:
        nic = replace(nic, front=replace(nic.front, options={**nic.front.options, "mac": check_mac(mac)}))
    device, netdev = _present(hardware, nic.id)
    if device is None and nic.type is None:
        raise InvalidOption(f"NIC {nic.id} does not exist yet: say with type what it is to be connected to.")
    driver = nic.front.driver or (device.driver if device else default_driver(hardware, "virtio-net"))
    nic = _with_queues(hardware, nic, driver)
    before = describe(hardware, nic.id)

    differences, unverified = _netdev_differences(hardware, nic, netdev) if netdev else ([], [])
    if device:
        more, unread = device_differences(hardware, nic.front, device)
        differences, unverified = differences + more, unverified + unread
        if netdev is None:
            differences.append(Difference("type", None, nic.type))
    if differences and nic.recreate and nic.type is not None:
        if device:
            refuse_only_nic(hardware, device, nic.force)
        steps = list(_removal(nic, device, netdev))
        arguments = recreated_arguments(hardware, nic.front, driver, {"netdev": nic.id}, device)
        steps += [*_netdev_steps(hardware, nic), *plug(arguments)]
    else:
        refuse(f"NIC {nic.id}", differences)
        steps, arguments = [], {}
        if netdev is None:
            steps += _netdev_steps(hardware, nic)
        if device is None:
            arguments = device_arguments(hardware, nic.front, driver, {"netdev": nic.id})
            steps += plug(arguments)
    if nic.link is not None and (device or not nic.link):
        steps.append(Execute("set_link", {"name": nic.id, "up": nic.link}))
        unverified.append("link")
    return Plan(tuple(steps), before, _after(nic, before, arguments), tuple(unverified),
                _launch_args(hardware, nic, arguments, device))


def plan_absent(hardware: Hardware, nic: Nic) -> Plan:
    """Have neither the device nor the backend under it."""
    check_id(nic.id)
    device, netdev = _present(hardware, nic.id)
    if device:
        refuse_only_nic(hardware, device, nic.force)
    steps = [*_removal(nic, device, netdev), *_forgotten(hardware, nic.id)]
    return Plan(tuple(steps), describe(hardware, nic.id), None)


def describe(hardware: Hardware, nic_id: str) -> dict[str, Any] | None:
    """The NIC as it is now: device, place, MAC and backend; None when there is neither device nor backend."""
    device, netdev = _present(hardware, nic_id)
    if device is None and netdev is None:
        return None
    result: dict[str, Any] = {"id": nic_id, "attached": device is not None}
    if device:
        result.update({"driver": device.driver, **place_of(device), "mac": device.properties.get("mac"),
                       "at_launch": device.at_launch})
    if netdev:
        result.update({"netdev": netdev.id, "type": netdev.type})
        ifname = _ifname(hardware, netdev)
        result.update({"ifname": ifname} if ifname else {})
    return result


def describe_all(hardware: Hardware) -> list[dict[str, Any]]:
    """All NICs of the VM that have an id."""
    found = (describe(hardware, device.id) for device in hardware.devices if device.id and "netdev" in device.properties)
    return [nic for nic in found if nic]


def refuse_only_nic(hardware: Hardware, device: Device, force: bool) -> None:
    """Raise Unsupported for the only NIC of a VM that was launched with it: it is likely how people reach it."""
    if force or not device.at_launch:
        return
    if sum("netdev" in one.properties for one in hardware.devices) == 1:
        raise Unsupported(f"{device.id} is the only NIC of the VM. Set force: true to take it away all the same.")


def _present(hardware: Hardware, nic_id: str) -> tuple[Device | None, Netdev | None]:
    device = hardware.device(nic_id)
    if device and "netdev" not in device.properties:
        raise Conflict(f"The id {nic_id} belongs to a {device.driver}, which is no NIC. Take another id.")
    netdev = hardware.netdevs.get(device.properties["netdev"] if device else nic_id)
    if netdev and netdev.nic not in (None, nic_id):
        raise Conflict(f"The network backend {netdev.id} belongs to the NIC {netdev.nic}. Take another id.")
    return device, netdev


def _removal(nic: Nic, device: Device | None, netdev: Netdev | None) -> list[Step]:
    """The backend goes last: ``netdev_del`` under a NIC leaves a NIC that can never be connected again."""
    steps: list[Step] = [Unplug(nic.id)] if device else []
    return steps + ([Delete("netdev_del", {"id": netdev.id})] if netdev else [])


def _forgotten(hardware: Hardware, nic_id: str) -> list[Step]:
    """Close what a killed run had handed to QEMU for this NIC and not used yet: as many descriptors as QEMU has on taps that
    are behind no network backend. Those of another NIC have other names."""
    used = {_ifname(hardware, netdev) for netdev in hardware.netdevs.values()}
    count = sum(name not in used for name in interfaces_of(hardware.snapshot.monitor.peer_pid))
    return [close_descriptor(f"{nic_id}-{option}{number}") for option in ("fd", "vhostfd") for number in range(count)]


def _with_queues(hardware: Hardware, nic: Nic, driver: str) -> Nic:
    """A NIC of several queues has ``mq`` on, and on PCI a vector for each direction of each queue and two more."""
    if nic.queues == 1:
        return nic
    known = hardware.device_properties(driver)
    if "mq" not in known:
        raise InvalidOption(f"A {driver} has one queue only; leave queues out or take a virtio driver.")
    options = {**nic.front.options, "mq": True, **({"vectors": 2 * nic.queues + 2} if "vectors" in known else {})}
    return replace(nic, front=replace(nic.front, options=options))


def _passes_descriptors(hardware: Hardware, nic: Nic) -> bool:
    monitor = hardware.snapshot.monitor
    if nic.type != "tap":
        if nic.descriptors:
            raise InvalidOption(f"descriptors is for type tap, not {nic.type}.")
        return False
    if nic.descriptors and not monitor.passes_fds:
        raise Unsupported("Descriptors only travel over a unix socket: connect by socket, or set descriptors: false.")
    if nic.descriptors is None:
        by_qemu = {"script", "downscript", "helper", "br", "fd", "fds"} & set(nic.options)
        return monitor.passes_fds and not by_qemu
    return nic.descriptors


def _netdev_steps(hardware: Hardware, nic: Nic) -> list[Step]:
    """Add the backend, over descriptors of the tap that this host opens where that was chosen."""
    arguments = netdev_arguments(hardware, nic)
    delete = Delete("netdev_del", {"id": nic.id})
    if arguments.get("vhost"):
        check_vhost()
    if not _passes_descriptors(hardware, nic):
        return [Execute("netdev_add", arguments, delete)]
    ifname = nic.options.get("ifname")
    if ifname is None:
        raise InvalidOption("type tap needs ifname, the tap interface of this host.")
    check_tap(ifname, nic.queues)
    steps: list[Step] = []
    for option, opener in (("fd", partial(open_tap, ifname, nic.queues)), ("vhostfd", open_vhost)):
        if option == "vhostfd" and not arguments.get("vhost"):
            continue
        names = [f"{nic.id}-{option}{number}" for number in range(nic.queues)]
        steps += [PassDescriptor(name, opener) for name in names]
        arguments[option if nic.queues == 1 else f"{option}s"] = ":".join(names)
    for name in ("ifname", "queues"):
        arguments.pop(name, None)
    return [*steps, Execute("netdev_add", arguments, delete, uses=tuple(steps))]


def netdev_arguments(hardware: Hardware, nic: Nic) -> dict[str, Any]:
    """The arguments of ``netdev_add`` in which QEMU itself opens what it needs, in the types that its schema has."""
    known = {name: member.type for name, member in hardware.schema.command_arguments("netdev_add").items()} if nic.options else {}
    options = {name: [{"str": one} if isinstance(one, str) else one for one in value] if name in _LISTS_OF_STR else value
               for name, value in nic.options.items()}
    queues = {"queues": nic.queues} if nic.queues > 1 else {}
    if "ifname" in known:  # QEMU 4 does not tell the options of the types
        options = typed("network backend", options, known)
    return {"type": nic.type, "id": nic.id, **options, **queues}


def _ifname(hardware: Hardware, netdev: Netdev) -> str | None:
    return netdev.info.get("ifname") or interface_of(hardware.snapshot.monitor.peer_pid, netdev.info.get("fd", ""))


def _netdev_differences(hardware: Hardware, nic: Nic, netdev: Netdev) -> tuple[list[Difference], list[str]]:
    """QEMU tells of a backend its type and little more; the rest is named as unverified."""
    if nic.type is None:
        return [], sorted(nic.options)
    if netdev.type != _SHOWN_AS.get(nic.type, nic.type):
        return [Difference("type", netdev.type, nic.type)], []
    ifname = _ifname(hardware, netdev)
    unverified = sorted(name for name in nic.options if name != "ifname" or ifname is None)
    wanted = nic.options.get("ifname")
    return [Difference("ifname", ifname, wanted)] if wanted and ifname and wanted != ifname else [], unverified


def _after(nic: Nic, before: dict[str, Any] | None, arguments: dict[str, Any]) -> dict[str, Any]:
    """What the description will say, as far as it is known beforehand."""
    after = {"id": nic.id, **(before or {}), "attached": True}
    if before is None or arguments:
        after.update({"netdev": nic.id, "type": _SHOWN_AS.get(str(nic.type), nic.type)})
        after.update({"ifname": nic.options["ifname"]} if "ifname" in nic.options else {})
    if arguments:
        place: dict[str, Any] = {name: arguments[name] for name in PLACE_KEYS if name in arguments}
        after.update({"driver": arguments["driver"], **place, "at_launch": False})
        after.update({"mac": arguments["mac"]} if "mac" in arguments else {})
    if nic.link is not None:
        after["link"] = "up" if nic.link else "down"
    return after


def _launch_args(hardware: Hardware, nic: Nic, arguments: dict[str, Any], device: Device | None) -> tuple[str, ...]:
    args: list[str] = []
    if nic.type is not None:
        args += ["-netdev", netdev_argument(_launch_netdev(hardware, nic))]
    if not arguments and device:
        arguments = {"driver": device.driver, "id": nic.id, "netdev": nic.id, **place_of(device),
                     **nic.front.stated(hardware, device.driver)}
    return (*args, "-device", device_argument(arguments, hardware.version))


def _launch_netdev(hardware: Hardware, nic: Nic) -> dict[str, Any]:
    """At launch QEMU opens the tap itself; the scripts it would run for it by default are not part of this."""
    arguments = netdev_arguments(hardware, nic)
    if nic.type == "tap" and "helper" not in arguments:
        arguments = {**arguments, "script": arguments.get("script", "no"), "downscript": arguments.get("downscript", "no")}
    return arguments
