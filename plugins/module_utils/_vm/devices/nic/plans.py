# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""NICs: a network backend on the host, and the device through which the guest sees it. Both have the same id."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from ....qmp import CommandError, Version
from ...errors import Conflict, HardwareError, InvalidOption, Unsupported
from ...host.tap import check_tap, check_vhost, interfaces_of, is_macvtap, open_tap, open_vhost
from ...model.hardware import PERIPHERAL, Device, Hardware, Netdev
from ...model.slots import default_driver, refuse_companions, slot_of, slot_options
from ...model.values import check_id, check_mac
from ...plan.command_line import device_argument
from ...plan.hotplug import Plug, Unplug, plug
from ...plan.plan import Command, Delete, Execute, PassDescriptor, Plan, Run, Step, Steps, close_descriptor
from ..current import backends_of, current_arguments
from ..frontend import FrontendSpec, device_arguments, device_differences, recreated_arguments, refuse
from ..option_table import Difference, Option
from .backend import Connected, backend_arguments, check_new, interface_behind, launch_argument, macs, queues_of, refuse_users
from .restore import PutBack, Trial, is_tried, known_backends

_REPORTED = {"ifname", "script", "downscript", "br", "helper", "restrict", "net", "hubid"}
"""Options of backends that ``info network`` reports for types that have them."""

_SHOWN_AS = {"bridge": "tap"}
"""Types that ``info network`` tells by another name."""


PROPERTIES = (
    Option("mac", "mac"),
    Option("bootindex", "bootindex"),
)
"""The options that are properties of the device."""


@dataclass(frozen=True)
class NicSpec:
    """What a task says of a NIC; None is not stated.

    ``options`` are those of ``netdev_add`` for this type in QEMU's spelling. ``descriptors`` has the tap opened
    here instead of by QEMU; None means wherever that is possible. ``link`` is True for up.
    """

    frontend: FrontendSpec
    type: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    queues: int | None = None
    descriptors: bool | None = None
    link: bool | None = None
    recreate: bool = False
    force: bool = False

    @property
    def id(self) -> str:
        return self.frontend.id


def plan_present(hardware: Hardware, nic: NicSpec) -> Plan:
    check_id(nic.id)
    mac = nic.frontend.options.get("mac")
    if mac is not None:
        nic = replace(nic, frontend=replace(nic.frontend, options={**nic.frontend.options, "mac": check_mac(mac)}))
    device, netdev = _present(hardware, nic.id)
    if device is None and nic.type is None:
        raise InvalidOption(f"NIC {nic.id} does not exist yet: say with type what it is to be connected to.")
    nic = replace(nic, frontend=replace(nic.frontend, driver=nic.frontend.driver or None))
    driver = nic.frontend.driver or (device.driver if device else default_driver(hardware, "virtio-net"))
    if "netdev" not in hardware.device_properties(driver):
        raise InvalidOption(f"A {driver} is no NIC. Take a driver such as {default_driver(hardware, 'virtio-net')} or e1000.")
    _with_queues(hardware, nic, driver)
    before = describe(hardware, nic.id)

    differences, unread = _netdev_differences(hardware, nic, netdev) if netdev else ([], [])
    if device and netdev and nic.queues is not None:
        differences += _queue_difference(hardware, nic.queues, device, netdev)
    if device and netdev is None:
        differences.append(Difference("type", None, nic.type))
    kept = netdev if device and not differences else None
    unverified = list(unread)
    if device:
        more, unread_too = device_differences(hardware, nic.frontend, device)
        differences, unverified = differences + more, unverified + unread_too
    if nic.type is not None:
        _backend_arguments(hardware, nic)  # what no backend can be is refused whether or not there is one
    warnings: list[str] = []
    netdev_id = nic.id
    if differences and nic.recreate and (nic.type is not None or kept):
        nic = nic if kept and nic.type is None else _carried_over(hardware, nic, device, netdev)
        if device:
            refuse_only_nic(hardware, device, nic.force)
            refuse_companions(hardware, device, nic.force)
            warnings += _lost_link(nic)
        frontend = _with_queues(hardware, nic, driver)
        if kept:
            netdev_id = kept.id
            warnings += _not_applied(nic, unread)
            steps = list(_removal(nic, device, None, _device_again(hardware, device)))
        else:
            if netdev:
                refuse_users(hardware, netdev, nic.force)
                warnings += _forgotten_options(nic, netdev)
            steps, doubtful = _replacement(hardware, nic, device, netdev)
            warnings += doubtful
        arguments = recreated_arguments(hardware, frontend, driver, {"netdev": netdev_id}, device)
        steps += [*([] if kept else _netdev_steps(hardware, nic)), *plug(arguments)]
    else:
        refuse(f"NIC {nic.id}", differences)
        steps, arguments = [], {}
        if netdev is None:
            steps += _netdev_steps(hardware, nic)
        if device is None:
            arguments = device_arguments(hardware, _with_queues(hardware, nic, driver), driver, {"netdev": nic.id})
            steps += plug(arguments)
    if nic.link is not None and (device or not nic.link):
        steps.append(Execute("set_link", {"name": nic.id, "up": nic.link}))
        unverified.append("link")
    launch = _launch_args(hardware, nic, arguments, device)
    if arguments and launch and "mac" not in arguments:
        steps.append(LaunchArgs(launch, {**arguments, "netdev": nic.id}, hardware.version))
    warnings += _mac_warnings(hardware, nic.id, arguments.get("mac") or (device.properties.get("mac") if device else None))
    return Plan(tuple(steps), before, _after(nic, before, arguments, kept), tuple(unverified), launch, tuple(warnings))


def plan_absent(hardware: Hardware, nic: NicSpec) -> Plan:
    """Have neither the device nor the backend under it."""
    check_id(nic.id)
    device, netdev = _present(hardware, nic.id)
    if device:
        refuse_only_nic(hardware, device, nic.force)
        refuse_companions(hardware, device, nic.force)
    if netdev:
        refuse_users(hardware, netdev, nic.force)
    steps = [*_removal(nic, device, netdev), *_forgotten(hardware, nic.id)]
    return Plan(tuple(steps), describe(hardware, nic.id), None)


def describe(hardware: Hardware, nic_id: str) -> dict[str, Any] | None:
    """The NIC as it is now: device, place, MAC and backend; None when there is neither device nor backend."""
    device, netdev = _present(hardware, nic_id)
    if device is None and netdev is None:
        return None
    result: dict[str, Any] = {"id": nic_id, "attached": device is not None}
    if device:
        result.update(
            {"driver": device.driver, **slot_of(device), "mac": device.properties.get("mac"), "at_launch": device.at_launch}
        )
    if netdev:
        result.update({"netdev": netdev.id, "type": netdev.type})
        ifname = interface_behind(hardware, netdev)
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
    if device is None and netdev is None:
        netdev = _left_behind(hardware, nic_id)
    if netdev and netdev.nic not in (None, nic_id):
        raise Conflict(f"The network backend {netdev.id} belongs to the NIC {netdev.nic}. Take another id.")
    return device, netdev


def _left_behind(hardware: Hardware, nic_id: str) -> Netdev | None:
    """The backend of a NIC that the VM was started with, where its guest has released the NIC after a run had stopped waiting."""
    netdev = hardware.netdevs.get(str(hardware.launched.get(nic_id, {}).get("netdev")))
    return netdev if netdev and netdev.nic is None else None


def _removal(
    nic: NicSpec, device: Device | None, netdev: Netdev | None, device_again: Step | None = None, netdev_again: Step | None = None
) -> list[Step]:
    """The backend goes last: ``netdev_del`` under a NIC leaves a NIC that can never be connected again. *device_again* and
    *netdev_again* put both back, where new ones were to take their place."""
    steps: list[Step] = [Unplug(nic.id, device_again)] if device else []
    return steps + ([Delete("netdev_del", {"id": netdev.id}, netdev_again)] if netdev else [])


def _device_again(hardware: Hardware, device: Device | None) -> Step | None:
    return Plug({**current_arguments(hardware, device), **backends_of(hardware, device)}) if device else None


def _replacement(hardware: Hardware, nic: NicSpec, device: Device | None, netdev: Netdev | None) -> tuple[list[Step], list[str]]:
    """Take the device and the backend away such that both can be put back, and say what of them cannot."""
    if netdev is None:
        return _removal(nic, device, None, _device_again(hardware, device)), []
    known = known_backends(hardware, netdev, nic.options if nic.type == netdev.type else None)
    found = [(way, one.whole) for way, one in ((_again(hardware, netdev, one.type, one.options), one) for one in known) if way]
    ways = tuple(way for way, _whole in found)
    whole = bool(found) and found[0][1]
    trial: list[Step] = [Trial(_backend_arguments(hardware, nic))] if not whole and is_tried(str(nic.type)) else []
    warnings = []
    if not ways:
        warnings = [
            f"If QEMU refuses the new NIC {nic.id}, the present one cannot be put back: QEMU does not report the options "
            f"of its network backend, of type {netdev.type}."
        ]
    elif not whole:
        warnings = [
            f"If QEMU refuses the new NIC {nic.id}, the present one is put back without those options of its network "
            f"backend (type {netdev.type}) that QEMU does not report."
        ]
    again = PutBack(ways) if ways else None
    return [*trial, *_removal(nic, device, netdev, _device_again(hardware, device) if again else None, again)], warnings


def _again(hardware: Hardware, netdev: Netdev, type_name: str, options: dict[str, Any]) -> Steps | None:
    """The steps that make a backend again; None where it cannot be made of these options."""
    nic = NicSpec(FrontendSpec(netdev.id), type_name, options, queues_of(hardware, netdev))
    try:
        return Steps(tuple(_netdev_steps(hardware, nic)))
    except HardwareError:
        return None


def _lost_link(nic: NicSpec) -> list[str]:
    if nic.link is not None:
        return []
    return [
        f"NIC {nic.id} is recreated, and its link is up then. QEMU does not report whether it was down: set link to keep it so."
    ]


def _not_applied(nic: NicSpec, options: list[str]) -> list[str]:
    """A backend that is kept has the options that it had."""
    if not options:
        return []
    return [
        f"NIC {nic.id} keeps its network backend, of which QEMU does not report {', '.join(options)}. If these are to "
        "change, remove the NIC (state: absent) and add it again."
    ]


def _forgotten(hardware: Hardware, nic_id: str) -> list[Step]:
    """Close what a killed run had handed to QEMU for this NIC and not used yet: as many descriptors as QEMU has on taps that
    are behind no network backend. Those of another NIC have other names."""
    used = {interface_behind(hardware, netdev) for netdev in hardware.netdevs.values()}
    count = sum(name not in used for name in interfaces_of(hardware.cache.monitor.peer_pid))
    return [close_descriptor(f"{nic_id}-{option}{number}") for option in ("fd", "vhostfd") for number in range(count)]


def _with_queues(hardware: Hardware, nic: NicSpec, driver: str) -> FrontendSpec:
    """The device of a NIC of several queues: ``mq`` is on, and on PCI there is a vector for each direction of each queue and two
    more."""
    if nic.queues is None or nic.queues == 1:
        return nic.frontend
    known = hardware.device_properties(driver)
    if "mq" not in known:
        raise InvalidOption(f"A {driver} has one queue only; leave queues out or take a virtio driver.")
    options = {"mq": True, **({"vectors": 2 * nic.queues + 2} if "vectors" in known else {})}
    more = {name: value for name, value in options.items() if name not in nic.frontend.properties}
    return replace(nic.frontend, options={**nic.frontend.options, **more})


def _queue_difference(hardware: Hardware, queues: int, device: Device, netdev: Netdev) -> list[Difference]:
    multiple = "mq" not in device.types or hardware.property_of(device, "mq") is True
    now = queues_of(hardware, netdev) if multiple else 1
    return [Difference("queues", now, queues)] if now != queues else []


def _carried_over(hardware: Hardware, nic: NicSpec, device: Device | None, netdev: Netdev | None) -> NicSpec:
    """*nic* with what the task does not set and the backend that it replaces has. Raises Conflict where it cannot have it."""
    if netdev is None:
        return nic
    options = nic.options
    if nic.type == netdev.type == "tap" and not {"ifname", "fd", "fds", "helper", "br"} & set(options):
        ifname = interface_behind(hardware, netdev)
        options = {**options, **({"ifname": ifname} if ifname else {})}
    queues = queues_of(hardware, netdev)
    if nic.queues is not None or queues == 1:
        off = {"mq": False} if nic.queues == 1 and device and hardware.property_of(device, "mq") else {}
        return replace(nic, options=options, frontend=replace(nic.frontend, options={**nic.frontend.options, **off}))
    nic = replace(nic, options=options, queues=queues)
    try:
        _backend_arguments(hardware, nic)
        _with_queues(hardware, nic, nic.frontend.driver or (device.driver if device else default_driver(hardware, "virtio-net")))
    except (InvalidOption, Unsupported) as error:
        raise Conflict(f"{nic.id} has {queues} queues, which it cannot keep: {error} For one queue, set queues: 1.") from error
    return nic


def _forgotten_options(nic: NicSpec, netdev: Netdev) -> list[str]:
    """QEMU does not report the options of a backend: what the task does not repeat of them cannot be carried over."""
    if nic.options or netdev.type not in ("user", "socket", "stream", "dgram", "l2tpv3", "vhost-user", "vhost-vdpa"):
        return []
    return [
        f"NIC {nic.id} is recreated with a network backend of type {nic.type} without options. QEMU does not report "
        "those that the present one has: set in options what it is to keep."
    ]


def _mac_warnings(hardware: Hardware, nic_id: str, mac: str | None) -> list[str]:
    same = sorted(name for name, other in macs(hardware).items() if mac and other == mac.lower() and name != nic_id)
    return [
        f"NIC {nic_id} has the MAC address {mac}, and so has {name}. On one network that breaks both: give each its own mac."
        for name in same
    ]


def _passes_descriptors(hardware: Hardware, nic: NicSpec) -> bool:
    monitor = hardware.cache.monitor
    if nic.type != "tap":
        if nic.descriptors:
            raise InvalidOption(f"descriptors is for type tap, not {nic.type}.")
        return False
    if nic.descriptors and not monitor.passes_fds:
        raise Unsupported("Descriptors only travel over a unix socket: connect by socket, or set descriptors: false.")
    if nic.descriptors is None:
        by_qemu = {"script", "downscript", "helper", "br", "fd", "fds"} & set(nic.options)
        return monitor.passes_fds and not by_qemu
    given = {"fd", "fds", "helper"} & set(nic.options)
    if nic.descriptors and given:
        raise InvalidOption(f"descriptors: true does not go together with {min(given)}: leave one of them out.")
    return nic.descriptors


def _netdev_steps(hardware: Hardware, nic: NicSpec) -> list[Step]:
    """Add the backend, over descriptors of the tap that this host opens where that was chosen."""
    arguments = _backend_arguments(hardware, nic)
    check_new(hardware, arguments)
    queues = nic.queues or 1
    delete = Delete("netdev_del", {"id": nic.id})
    if arguments.get("vhost"):
        check_vhost()
    if not _passes_descriptors(hardware, nic):
        if is_macvtap(str(arguments.get("ifname", ""))):
            raise InvalidOption(
                f"Interface {arguments['ifname']} is a macvtap, which QEMU cannot open by its name: leave "
                "descriptors, script and downscript out, and connect by socket."
            )
        served: list[Step] = []
        if arguments["type"] == "vhost-user" and "chardev" in arguments:
            served.append(Connected(str(arguments["chardev"])))
        return [*served, Execute("netdev_add", arguments, delete)]
    ifname = nic.options.get("ifname")
    if ifname is None:
        raise InvalidOption("type tap needs ifname, the tap interface of this host.")
    check_tap(ifname, queues)
    steps: list[Step] = []
    for option, opener in (("fd", partial(open_tap, ifname, queues)), ("vhostfd", open_vhost)):
        if option == "vhostfd" and not arguments.get("vhost"):
            continue
        names = [f"{nic.id}-{option}{number}" for number in range(queues)]
        steps += [PassDescriptor(name, opener) for name in names]
        arguments[option if queues == 1 else f"{option}s"] = ":".join(names)
    for name in ("ifname", "queues"):
        arguments.pop(name, None)
    return [*steps, Execute("netdev_add", arguments, delete, uses=tuple(steps))]


def _backend_arguments(hardware: Hardware, nic: NicSpec) -> dict[str, Any]:
    return backend_arguments(hardware, str(nic.type), nic.id, nic.options, nic.queues)


def _netdev_differences(hardware: Hardware, nic: NicSpec, netdev: Netdev) -> tuple[list[Difference], list[str]]:
    """QEMU tells of a backend its type and little more; the rest is named as unverified."""
    if nic.type is None:
        return [], sorted(nic.options)
    if netdev.type != _SHOWN_AS.get(nic.type, nic.type):
        return [Difference("type", netdev.type, nic.type)], []
    reported = dict(netdev.info)
    ifname = interface_behind(hardware, netdev)
    if ifname:
        reported["ifname"] = ifname
    different, unverified = [], []
    for name, value in sorted(_backend_arguments(hardware, nic).items()):
        if name not in nic.options:
            continue
        now = reported.get(name) if name in _REPORTED else None
        if now is None:
            unverified.append(name)
        elif now != _as_reported(name, value):
            different.append(Difference(name, now, nic.options[name]))
    return different, unverified


def _as_reported(name: str, value: Any) -> str:
    """A value as ``info network`` has it, which shows of a network its address alone."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value).partition("/")[0] if name == "net" else str(value)


def _after(nic: NicSpec, before: dict[str, Any] | None, arguments: dict[str, Any], kept: Netdev | None) -> dict[str, Any]:
    """What the description will say, as far as it is known beforehand."""
    after = {"id": nic.id, **(before or {}), "attached": True}
    if before is None or (arguments and not kept):
        after.update({"netdev": nic.id, "type": _SHOWN_AS.get(str(nic.type), nic.type)})
        after.update({"ifname": nic.options["ifname"]} if "ifname" in nic.options else {})
    if arguments:
        after.update({"driver": arguments["driver"], **slot_options(arguments), "at_launch": False})
        after.update({"mac": arguments["mac"]} if "mac" in arguments else {})
    if nic.link is not None:
        after["link"] = "up" if nic.link else "down"
    return after


def _launch_args(hardware: Hardware, nic: NicSpec, arguments: dict[str, Any], device: Device | None) -> tuple[str, ...]:
    """Nothing where the task does not say what the backend is, or where only whoever starts QEMU can open it: a device alone
    would keep QEMU from starting."""
    backend = launch_argument(_backend_arguments(hardware, nic)) if nic.type is not None else None
    if backend is None:
        return ()
    if not arguments and device:
        arguments = current_arguments(hardware, device)
    return ("-netdev", backend, "-device", device_argument({**arguments, "netdev": nic.id}, hardware.version))


@dataclass(frozen=True)
class LaunchArgs(Step):
    """A look at the MAC address that QEMU chose for a new NIC, for the next start to give it the same."""

    planned: tuple[str, ...]
    arguments: dict[str, Any]
    version: Version
    changes = False

    def commands(self) -> list[Command]:
        return []

    def apply(self, run: Run) -> None:
        try:
            mac = run.read("qom-get", path=f"{PERIPHERAL}/{self.arguments['id']}", property="mac")
        except CommandError:
            return
        device = device_argument({**self.arguments, "mac": mac}, self.version)
        run.launch_args[self.arguments["id"]] = [*self.planned[:-1], device]
