# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""NICs: a network backend on the host, and the device through which the guest sees it. Both have the same id."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from ....qmp import CommandError, Version
from ...errors import Conflict, HardwareError, InvalidOption, Unsupported
from ...host.tap import check_tap, check_vhost, interfaces_of, is_macvtap, open_tap, open_vhost
from ...lazy import dataclass
from ...model.hardware import PERIPHERAL, Device, Hardware, Netdev
from ...model.slots import default_driver, refuse_unplug
from ...model.values import check_id, check_mac
from ...plan.command_line import device_argument
from ...plan.hotplug import Plug, Unplug, plug
from ...plan.plan import Command, ConsumeDescriptors, Delete, Execute, PassDescriptor, Plan, Run, Step, Steps, close_descriptor
from ..current import backends_of, current_arguments
from ..frontend import (
    FrontendSpec,
    device_arguments,
    device_differences,
    frontend_results,
    planned_results,
    recreated_arguments,
    refuse,
)
from ..option_table import planned, results
from .backend import CheckConnected, backend_arguments, backend_differences, check_new, launch_argument, macs, refuse_users
from .restore import DryRun, Restore, has_dry_run, known_backends
from .spec import BACKEND, PROPERTIES, REPORTED_TYPES, Nic, NicSpec, describe, find, interface_behind


class _Change(NamedTuple):
    """How a NIC is brought to *spec*, which may have more options than the task sets. ``arguments`` are those of ``device_add``,
    empty if the device stays; ``new_backend``: whether a network backend is added."""

    spec: NicSpec
    steps: list[Step]
    arguments: dict[str, Any]
    new_backend: bool
    warnings: list[str]


def plan_present(hardware: Hardware, spec: NicSpec) -> Plan:
    """Have the NIC: add it, or change its link, or with ``recreate`` replace it. Raises Conflict for any other difference."""
    check_id(spec.id)
    nic = find(hardware, spec.id)
    if nic.device is None and spec.type is None:
        raise InvalidOption(f"NIC {spec.id} does not exist. Set type to add it.")
    spec, driver = _checked(nic, spec)
    before = describe(hardware, spec.id)
    different, unverified = backend_differences(nic, spec)
    if spec.type is not None:
        backend_arguments(hardware, spec)  # options that no backend can have are refused whether or not there is one
    keeps_backend = nic.device is not None and nic.netdev is not None and not different
    not_applied = list(unverified)
    if nic.device:
        more, unread = device_differences(hardware, spec.frontend, nic.device)
        different, unverified = different + more, unverified + unread

    if different and spec.recreate and (spec.type is not None or keeps_backend):
        change = _recreated(nic, spec, driver, not_applied) if keeps_backend else _replaced(nic, spec, driver)
    else:
        refuse(f"NIC {spec.id}", different)
        change = _added(nic, spec, driver)
    spec, steps, arguments = change.spec, change.steps, change.arguments
    if spec.link is not None and (nic.device or not spec.link):
        steps.append(Execute("set_link", {"name": spec.id, "up": spec.link}))
        unverified.append("link")
    launch = _launch_args(hardware, spec, arguments, nic.device)
    if arguments and launch and "mac" not in arguments:
        steps.append(ReadMac(launch, {**arguments, "netdev": spec.id}, hardware.version))
    mac = arguments.get("mac") or (nic.device.properties.get("mac") if nic.device else None)
    warnings = (*change.warnings, *_mac_warnings(hardware, spec.id, mac))
    return Plan(tuple(steps), before, _after(nic, change), tuple(unverified), launch, warnings)


def plan_absent(hardware: Hardware, spec: NicSpec) -> Plan:
    """Have neither the device nor the backend behind it."""
    check_id(spec.id)
    nic = find(hardware, spec.id)
    if nic.device:
        refuse_only_nic(hardware, nic.device, spec.force)
        refuse_unplug(hardware, nic.device, spec.force)
    if nic.netdev:
        refuse_users(hardware, nic.netdev, spec.force)
    steps = [*_removal(spec.id, nic.device, nic.netdev), *_close_unused(hardware, spec.id)]
    return Plan(tuple(steps), describe(hardware, spec.id), None)


def refuse_only_nic(hardware: Hardware, device: Device, force: bool) -> None:
    """Raise Unsupported for the only NIC of a VM that was launched with it: people probably reach the VM over it."""
    if force or not device.at_launch:
        return
    if sum("netdev" in one.properties for one in hardware.devices) == 1:
        raise Unsupported(f"{device.id} is the only NIC of the VM. Set force: true to remove it anyway.")


def _checked(nic: Nic, spec: NicSpec) -> tuple[NicSpec, str]:
    """*spec* in normal form, and the driver of its device. Raises InvalidOption for a device that cannot be a NIC."""
    hardware, options = nic.hardware, dict(spec.frontend.options)
    if options.get("mac") is not None:
        options["mac"] = check_mac(options["mac"])
    spec = replace(spec, frontend=replace(spec.frontend, options=options, driver=spec.frontend.driver or None))
    driver = spec.frontend.driver or (nic.device.driver if nic.device else default_driver(hardware, "virtio-net"))
    if "netdev" not in hardware.device_properties(driver):
        example = default_driver(hardware, "virtio-net")
        raise InvalidOption(f"driver {driver} is not a NIC. Set driver to a NIC, such as {example} or e1000.")
    _frontend(hardware, spec, driver)
    return spec, driver


def _added(nic: Nic, spec: NicSpec, driver: str) -> _Change:
    """Add the parts of the NIC that do not exist."""
    hardware = nic.hardware
    new_backend = nic.device is None and nic.netdev is None
    steps = _backend_steps(hardware, spec) if new_backend else []
    arguments: dict[str, Any] = {}
    if nic.device is None:
        arguments = device_arguments(hardware, _frontend(hardware, spec, driver), driver, {"netdev": spec.id})
        steps += plug(arguments)
    return _Change(spec, steps, arguments, new_backend, [])


def _recreated(nic: Nic, spec: NicSpec, driver: str, not_applied: list[str]) -> _Change:
    """Replace the device and keep the network backend, whose options *not_applied* cannot be compared."""
    hardware, device, netdev = nic.hardware, nic.device, nic.netdev
    if device is None or netdev is None:
        raise AssertionError("a NIC is recreated only if it has both")
    _refuse_removal(nic, spec)
    warnings = _link_warnings(spec)
    if not_applied:
        warnings.append(
            f"NIC {spec.id} keeps its network backend, of which QEMU does not report {', '.join(not_applied)}. To change these, "
            "remove the NIC (state: absent) and add it again."
        )
    steps = _removal(spec.id, device, None, _restored_device(hardware, device))
    frontend = _frontend(hardware, spec, driver)
    arguments = recreated_arguments(hardware, frontend, driver, {"netdev": netdev.id}, device)
    return _Change(spec, [*steps, *plug(arguments)], arguments, False, warnings)


def _replaced(nic: Nic, spec: NicSpec, driver: str) -> _Change:
    """Replace the network backend, and the device with it."""
    hardware = nic.hardware
    spec = _with_present_options(nic, spec, driver)
    _refuse_removal(nic, spec)
    warnings = _link_warnings(spec) if nic.device else []
    if nic.netdev:
        refuse_users(hardware, nic.netdev, spec.force)
        warnings += _lost_options_warnings(spec, nic.netdev)
    frontend = _frontend(hardware, spec, driver)
    removal, more = _restorable_removal(nic, spec)
    arguments = recreated_arguments(hardware, frontend, driver, {"netdev": spec.id}, nic.device)
    return _Change(spec, [*removal, *_backend_steps(hardware, spec), *plug(arguments)], arguments, True, [*warnings, *more])


def _refuse_removal(nic: Nic, spec: NicSpec) -> None:
    if nic.device:
        refuse_only_nic(nic.hardware, nic.device, spec.force)
        refuse_unplug(nic.hardware, nic.device, spec.force)


def _removal(
    nic_id: str, device: Device | None, netdev: Netdev | None, undo_device: Step | None = None, undo_netdev: Step | None = None
) -> list[Step]:
    """The steps that remove the NIC; *undo_device* and *undo_netdev* restore both.

    The backend goes last: ``netdev_del`` under a NIC leaves a NIC that can never be connected again.
    """
    steps: list[Step] = [Unplug(nic_id, undo_device)] if device else []
    return steps + ([Delete("netdev_del", {"id": netdev.id}, undo_netdev)] if netdev else [])


def _restored_device(hardware: Hardware, device: Device | None) -> Step | None:
    return Plug({**current_arguments(hardware, device), **backends_of(hardware, device)}) if device else None


def _restorable_removal(nic: Nic, spec: NicSpec) -> tuple[list[Step], list[str]]:
    """The steps that remove device and backend such that both can be restored, and warnings of what cannot be restored."""
    hardware, device, netdev = nic
    if netdev is None:
        return _removal(spec.id, device, None, _restored_device(hardware, device)), []
    known = known_backends(hardware, netdev, spec.options if spec.type == netdev.type else None)
    found = [(steps, one.complete) for steps, one in ((_restored_backend(hardware, one.spec), one) for one in known) if steps]
    alternatives = tuple(steps for steps, _complete in found)
    complete = bool(found) and found[0][1]
    dry_run: list[Step] = [DryRun(backend_arguments(hardware, spec))] if not complete and has_dry_run(str(spec.type)) else []
    warnings = []
    if not alternatives:
        warnings = [
            f"If QEMU rejects the new NIC {spec.id}, the present one cannot be restored: QEMU does not report the options of its "
            f"network backend, of type {netdev.type}."
        ]
    elif not complete:
        warnings = [
            f"If QEMU rejects the new NIC {spec.id}, the present one is restored without those options of its network backend "
            f"(type {netdev.type}) that QEMU does not report."
        ]
    restore = Restore(alternatives) if alternatives else None
    undo_device = _restored_device(hardware, device) if restore else None
    return [*dry_run, *_removal(spec.id, device, netdev, undo_device, restore)], warnings


def _restored_backend(hardware: Hardware, spec: NicSpec) -> Steps | None:
    """The steps that add a backend again; None if its options are not enough."""
    try:
        return Steps(tuple(_backend_steps(hardware, spec)))
    except HardwareError:
        return None


def _link_warnings(spec: NicSpec) -> list[str]:
    if spec.link is not None:
        return []
    return [
        f"NIC {spec.id} is recreated, and its link is up then. QEMU does not report whether the link was down: set link to have "
        "it down."
    ]


def _lost_options_warnings(spec: NicSpec, netdev: Netdev) -> list[str]:
    if spec.options or netdev.type not in ("user", "socket", "stream", "dgram", "l2tpv3", "vhost-user", "vhost-vdpa"):
        return []
    return [
        f"NIC {spec.id} is recreated with a network backend of type {spec.type} without options. QEMU does not report the "
        "options of the present one: set in options those that the NIC keeps."
    ]


def _mac_warnings(hardware: Hardware, nic_id: str, mac: str | None) -> list[str]:
    same = sorted(name for name, other in macs(hardware).items() if mac and other == mac.lower() and name != nic_id)
    return [
        f"NIC {nic_id} has the MAC address {mac}, and NIC {name} has it too. On one network neither of them works: set a "
        "different mac for each."
        for name in same
    ]


def _close_unused(hardware: Hardware, nic_id: str) -> list[Step]:
    """Close the descriptors that a killed run had passed to QEMU for this NIC and not used.

    There may be as many as QEMU has open taps that are behind no network backend. Those of other NICs have other names.
    """
    used = {interface_behind(hardware, netdev) for netdev in hardware.netdevs.values()}
    count = sum(name not in used for name in interfaces_of(hardware.cache.monitor.peer_pid))
    return [close_descriptor(f"{nic_id}-{name}{number}") for name in ("fd", "vhostfd") for number in range(count)]


def _frontend(hardware: Hardware, spec: NicSpec, driver: str) -> FrontendSpec:
    """The device of the NIC. With several queues it has ``mq=on``, and on PCI an interrupt vector for each direction of each
    queue, and two more."""
    if spec.queues is None or spec.queues == 1:
        return spec.frontend
    known = hardware.device_properties(driver)
    if "mq" not in known:
        raise InvalidOption(f"queues is {spec.queues}, but a {driver} has one queue. Leave queues out, or set a virtio driver.")
    options = {"mq": True, **({"vectors": 2 * spec.queues + 2} if "vectors" in known else {})}
    more = {name: value for name, value in options.items() if name not in spec.frontend.properties}
    return replace(spec.frontend, options={**spec.frontend.options, **more})


def _with_present_options(nic: Nic, spec: NicSpec, driver: str) -> NicSpec:
    """*spec* with the options of the present NIC that the task does not set. Raises Conflict if the new one cannot have them."""
    hardware, device, netdev = nic
    if netdev is None:
        return spec
    if spec.type == netdev.type == "tap" and not {"ifname", "fd", "fds", "helper", "br"} & spec.options.keys():
        ifname = interface_behind(hardware, netdev)
        spec = spec.having(ifname=ifname) if ifname else spec
    if spec.queues is not None or netdev.queues == 1:
        off = {"mq": False} if spec.queues == 1 and device and hardware.property_of(device, "mq") else {}
        return replace(spec, frontend=replace(spec.frontend, options={**spec.frontend.options, **off}))
    spec = spec.having(queues=netdev.queues)
    try:
        backend_arguments(hardware, spec)
        _frontend(hardware, spec, driver)
    except (InvalidOption, Unsupported) as error:
        raise Conflict(
            f"NIC {spec.id} has {netdev.queues} queues, and the new one cannot keep them: {error} For one queue, set queues: 1."
        ) from error
    return spec


def _passes_descriptors(hardware: Hardware, spec: NicSpec) -> bool:
    """Whether this host opens the tap, and not QEMU."""
    monitor, option_of = hardware.cache.monitor, spec.option_of
    if spec.type != "tap":
        if spec.descriptors:
            raise InvalidOption(f"descriptors: true needs type: tap, not {spec.type}. Leave descriptors out.")
        return False
    if spec.descriptors and not monitor.passes_fds:
        raise Unsupported("Descriptors can be passed only over a unix socket. Connect by socket, or set descriptors: false.")
    if spec.descriptors is None:
        opened_by_qemu = {"script", "downscript", "helper", "br", "fd", "fds"} & spec.options.keys()
        return monitor.passes_fds and not opened_by_qemu
    excluded = {"fd", "fds", "helper"} & spec.options.keys()
    if spec.descriptors and excluded:
        raise InvalidOption(f"descriptors: true and {option_of(min(excluded))} exclude each other. Leave one of them out.")
    return spec.descriptors


def _backend_steps(hardware: Hardware, spec: NicSpec) -> list[Step]:
    """Add the backend, over descriptors of the tap if this host opens it."""
    arguments = backend_arguments(hardware, spec)
    check_new(hardware, spec, arguments)
    delete = Delete("netdev_del", {"id": spec.id})
    if arguments.get("vhost"):
        check_vhost()
    ifname = str(arguments.get("ifname", ""))
    if not _passes_descriptors(hardware, spec):
        if is_macvtap(ifname):
            raise InvalidOption(
                f"ifname {ifname} is a macvtap, which QEMU cannot open by its name. Leave descriptors, script and downscript "
                "out, and connect by socket."
            )
        connected: list[Step] = []
        if arguments["type"] == "vhost-user" and "chardev" in arguments:
            connected.append(CheckConnected(str(arguments["chardev"])))
        return [*connected, Execute("netdev_add", arguments, delete)]
    if not ifname:
        raise InvalidOption("type: tap needs ifname, the tap interface of this host.")
    queues = spec.queues or 1
    check_tap(ifname, queues)
    steps: list[Step] = []
    for name, opener in (("fd", partial(open_tap, ifname, queues)), ("vhostfd", open_vhost)):
        if name == "vhostfd" and not arguments.get("vhost"):
            continue
        names = [f"{spec.id}-{name}{number}" for number in range(queues)]
        steps += [PassDescriptor(one, opener) for one in names]
        arguments[name if queues == 1 else f"{name}s"] = ":".join(names)
    for name in ("ifname", "queues"):
        arguments.pop(name, None)
    return [*steps, ConsumeDescriptors("netdev_add", arguments, delete, uses=tuple(steps))]


def _after(nic: Nic, change: _Change) -> dict[str, Any]:
    """What ``describe`` will return, as far as it is known before the change, and the link."""
    hardware, device, netdev = nic
    spec = change.spec
    after: dict[str, Any] = {"id": spec.id, "attached": True}
    if change.arguments:
        after.update(planned_results(change.arguments, PROPERTIES))
    elif device:
        after.update(frontend_results(hardware, device, PROPERTIES))
    if change.new_backend:
        reported = {"queues": 1, **backend_arguments(hardware, spec), "type": REPORTED_TYPES.get(str(spec.type), spec.type)}
        after.update({"netdev": spec.id, **planned(BACKEND, reported)})
    elif netdev:
        after.update({"netdev": netdev.id, **results(BACKEND, nic)})
    if spec.link is not None:
        after["link"] = "up" if spec.link else "down"
    return after


def _launch_args(hardware: Hardware, spec: NicSpec, arguments: dict[str, Any], device: Device | None) -> tuple[str, ...]:
    """The arguments of QEMU's command line; empty if the task does not set the type, or if only the process that starts QEMU can
    open the backend. With the device alone QEMU would not start."""
    backend = launch_argument(backend_arguments(hardware, spec)) if spec.type is not None else None
    if backend is None:
        return ()
    if not arguments and device:
        arguments = current_arguments(hardware, device)
    return ("-netdev", backend, "-device", device_argument({**arguments, "netdev": spec.id}, hardware.version))


@dataclass(frozen=True)
class ReadMac(Step):
    """Reads the MAC address that QEMU chose for a new NIC, so that ``launch_args`` give it the same at the next start."""

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
        run.results["launch_args"] = [*self.planned[:-1], device]
