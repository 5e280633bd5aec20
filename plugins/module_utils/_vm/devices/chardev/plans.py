# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Character devices, and the virtio serial ports and consoles through which the guest sees them. Both have the same id."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass, field
from typing import Any, Mapping

from ...errors import Conflict, InvalidOption
from ...model.hardware import Chardev, Device, Hardware
from ...model.slots import slot_of, slot_options
from ...model.users import refuse_monitor_chardev, users_of_chardev
from ...model.values import check_id, nearest
from ...plan.command_line import chardev_argument, device_argument
from ...plan.hotplug import Plug, Unplug, plug
from ...plan.plan import Command, Delete, Execute, Plan, Run, Step
from ..current import backends_of, current_arguments
from ..frontend import FrontendSpec, device_arguments, device_differences, recreated_arguments, refuse
from ..option_table import Difference, Option
from . import data as chardev_data
from .data import check_address, path_member

_SERVER = re.compile(r",server(=on)?( <->.*)?\Z")


PROPERTIES = (Option("name", "name"),)
"""The options that are properties of the device."""


@dataclass(frozen=True)
class ChardevSpec:
    """What a task says of a character device: where it is, in options of their own, and any other ``options`` as
    ``chardev-add`` takes them. A *front* without a driver stands for the backend alone."""

    frontend: FrontendSpec
    type: str | None = None
    path: str | None = None
    host: str | None = None
    port: int | None = None
    server: bool = True
    wait: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    recreate: bool = False

    @property
    def id(self) -> str:
        return self.frontend.id

    def data(self, kind: str) -> dict[str, Any]:
        """The options of a character device of this type, as ``chardev-add`` takes them."""
        if kind == "socket" and self.path:
            addr: dict[str, Any] = {"type": "unix", "data": {"path": self.path}}
        elif kind == "socket" and (self.host or self.port is not None):
            addr = {"type": "inet", "data": {"host": self.host or "127.0.0.1", "port": str(self.port)}}
        else:
            return {**({path_member(kind) or "path": self.path} if self.path else {}), **self.options}
        return {"addr": addr, "server": self.server, **({"wait": self.wait} if self.server else {}), **self.options}


def plan_present(hardware: Hardware, line: ChardevSpec) -> Plan:
    check_id(line.id)
    refuse_monitor_chardev(hardware, line.id)
    _refuse_others(hardware, line.id)
    chardev, device = hardware.chardevs.get(line.id), _port(hardware, line.id)
    kind = line.type or (chardev.type if chardev else None)
    if kind is None:
        raise InvalidOption(f"Character device {line.id} does not exist yet: say with type what it is to be.")
    if line.type is not None:
        _check_type(hardware, line.type)
    check_address(kind, line.path, line.host, line.port, line.options)
    data = chardev_data.specified(hardware, kind, line.data(kind))
    before = describe(hardware, line.id)
    steps: list[Step] = []
    changed, unverified = _backend_differences(chardev, kind, data) if chardev else ([], [])
    known = chardev_data.present(chardev, _listens(chardev)) if chardev and chardev.type == kind else None
    if changed or chardev is None:
        chardev_data.check(hardware, kind, data)
    differences: list[Difference] = []
    if device and line.frontend.driver:
        differences, unread = device_differences(hardware, line.frontend, device)
        unverified += unread
    arguments: dict[str, Any] = {}
    if differences and line.recreate and device:
        steps.append(Unplug(line.id, Plug(_as_it_is(hardware, device))))
        arguments = recreated_arguments(hardware, line.frontend, str(line.frontend.driver), {"chardev": line.id}, device)
    else:
        refuse(f"Port {line.id}", differences)
    backend: dict[str, Any] = {"type": kind, "data": data}
    if chardev is None:
        steps.append(Execute("chardev-add", {"id": line.id, "backend": backend}, Delete("chardev-remove", {"id": line.id})))
    elif changed:
        steps += _change(hardware, chardev, backend, line.recreate)
    if device is None and line.frontend.driver:
        _refuse_in_use(hardware, line.id)
        arguments = device_arguments(hardware, line.frontend, line.frontend.driver, {"chardev": line.id})
    if arguments:
        steps += plug(arguments)
    after = _after(line, before, arguments, backend if changed or chardev is None else None)
    port = arguments or (_as_it_is(hardware, device) if device and line.frontend.driver else {})
    launch, warnings = _launch_args(hardware, line.id, kind, data if changed else {**(known or {}), **data}, port)
    return Plan(tuple(steps), before, after, tuple(unverified), launch, warnings)


def _change(hardware: Hardware, chardev: Chardev, backend: dict[str, Any], recreate: bool) -> list[Step]:
    """Give a character device another backend in place, and the one that it has if QEMU refuses that.

    One that nothing is on QEMU deletes before it looks at what it is to be. So where QEMU does not report how it was made,
    only a task that says ``recreate`` has it removed.
    """
    data = chardev_data.present(chardev, _listens(chardev))
    old = {"id": chardev.id, "backend": {"type": chardev.type, "data": data}}
    new = {"id": chardev.id, "backend": backend}
    undo = None if data is None else Execute("chardev-change", old)
    if chardev.type == "mux" or users_of_chardev(hardware, chardev.id):
        return [Execute("chardev-change", new, undo)]
    if undo:
        kept = KeepBackend(old)
        return [kept, Execute("chardev-change", new, undo, uses=(kept,))]
    if not recreate:
        raise Conflict(
            f"The character device {chardev.id} is a {chardev.type}, wanted {backend['type']}. QEMU does not report "
            "how it was made, and deletes it first, so it could not be put back if the other fails. Remove "
            "it first (state: absent), or set recreate: true."
        )
    return [
        Delete("chardev-remove", {"id": chardev.id}),
        Execute("chardev-add", new, Delete("chardev-remove", {"id": chardev.id})),
    ]


@dataclass(frozen=True)
class KeepBackend(Step):
    """Nothing by itself; undone by adding a character device again, which a change that QEMU refuses deletes."""

    old: dict[str, Any]
    changes = False

    def commands(self) -> list[Command]:
        return []

    def apply(self, run: Run) -> None:
        pass

    def undo(self) -> Step:
        return AddIfGone("chardev-add", self.old)


@dataclass(frozen=True)
class AddIfGone(Execute):
    """``chardev-add`` of what was there before, unless it still is."""

    def apply(self, run: Run) -> None:
        if self.arguments["id"] not in {entry["label"] for entry in run.read("query-chardev")}:
            super().apply(run)


def plan_absent(hardware: Hardware, line: ChardevSpec) -> Plan:
    """Have neither the port nor the character device behind it."""
    check_id(line.id)
    refuse_monitor_chardev(hardware, line.id)
    _refuse_others(hardware, line.id)
    device = _port(hardware, line.id)
    steps: list[Step] = [Unplug(line.id)] if device else []
    if line.id in hardware.chardevs:
        _refuse_in_use(hardware, line.id)
        steps.append(Delete("chardev-remove", {"id": line.id}))
    return Plan(tuple(steps), describe(hardware, line.id), None)


def describe(hardware: Hardware, line_id: str) -> dict[str, Any] | None:
    """The character device, its address where it has one, and its port, if any; None when there is neither."""
    chardev, device = hardware.chardevs.get(line_id), _port(hardware, line_id)
    if chardev is None and device is None:
        return None
    result: dict[str, Any] = {"id": line_id, "attached": device is not None}
    if chardev:
        result.update({"type": chardev.type, "open": chardev.open, **_address(chardev)})
    if device:
        name = hardware.property_of(device, "name") or None
        result.update(
            {
                "driver": device.driver,
                **slot_of(device),
                "name": name,
                "guest_path": guest_path(device.driver, name),
                "at_launch": device.at_launch,
            }
        )
    return result


def describe_all(hardware: Hardware) -> list[dict[str, Any]]:
    found = (describe(hardware, name) for name in sorted(hardware.chardevs))
    return [one for one in found if one]


def guest_path(driver: str, name: str | None) -> str | None:
    """Where udev in a Linux guest puts a named port."""
    return f"/dev/virtio-ports/{name}" if driver == "virtserialport" and name else None


def _port(hardware: Hardware, line_id: str) -> Device | None:
    """The device on the character device of the same id. One of this id on another, or on none, has nothing to do with it."""
    device = hardware.device(line_id)
    return device if device and device.properties.get("chardev") == line_id else None


def _refuse_others(hardware: Hardware, line_id: str) -> None:
    """Raise Conflict where the id belongs to a device that is no port of the character device of this id."""
    device = hardware.device(line_id)
    if device is None or _port(hardware, line_id):
        return
    other = device.properties.get("chardev")
    if other:
        raise Conflict(
            f"The {device.driver} {line_id} is on the character device {other}, and not on one of its own id. Take "
            f"another id, or see to the port with qmp_device and to {other} by that id.",
            chardev=other,
        )
    raise Conflict(f"The id {line_id} belongs to a {device.driver}, which has no character device. Take another id.")


def _refuse_in_use(hardware: Hardware, line_id: str) -> None:
    """Raise Conflict where anything but the port of the same id is on the character device: QEMU lets one alone have it."""
    others = [one for one in users_of_chardev(hardware, line_id) if one != line_id]
    if others:
        raise Conflict(f"The character device {line_id} is used by {', '.join(others)}. Remove that first.", users=others)


def _check_type(hardware: Hardware, name: str) -> None:
    known = [entry["name"] for entry in hardware.cache.ask("query-chardev-backends")]
    if name not in known:
        raise InvalidOption(f"This QEMU ({hardware.version_text}) has no character device {name!r}{nearest(name, known)}.")


def _listens(chardev: Chardev) -> bool:
    return _SERVER.search(chardev.told) is not None


def _address(chardev: Chardev) -> dict[str, Any]:
    """Path or address of a socket, the path of a pty; as far as QEMU tells it."""
    if chardev.type == "pty":
        return {"path": chardev.told.partition("pty:")[2] or None}
    if chardev.type != "socket":
        return {}
    return {**_where(chardev.addr), "server": _listens(chardev)}


def _where(addr: Mapping[str, Any]) -> dict[str, Any]:
    """The path or address that a socket's address, as QEMU tells or takes it, stands for."""
    host, port = str(addr.get("host")), str(addr.get("port"))
    if "path" in addr:
        return {"path": addr["path"]}
    return {"address": f"[{host}]:{port}" if ":" in host else f"{host}:{port}"} if {"host", "port"} <= addr.keys() else {}


def _inside(data: Mapping[str, Any]) -> dict[str, Any]:
    """Of a socket's options what its address is, whatever sort of address it is."""
    addr = data.get("addr")
    inside = addr.get("data") if isinstance(addr, dict) else None
    return inside if isinstance(inside, dict) else {}


def _backend_differences(chardev: Chardev, kind: str, wanted: Mapping[str, Any]) -> tuple[list[Difference], list[str]]:
    """How the backend differs from *wanted*, and what of it QEMU does not tell: of most types all but the type."""
    if kind != chardev.type:
        return [Difference("type", chardev.type, kind)], []
    unverified = {"path" if name == path_member(kind) else name for name in wanted}
    if kind != "socket" or "addr" not in wanted:
        return [], sorted(unverified)
    different: list[Difference] = []
    server = _address(chardev)["server"]
    if wanted.get("server", True) is not server:
        different.append(Difference("server", server, not server))
    inside = _inside(wanted)
    now, stated = _where(chardev.addr), _where(inside)
    same = now.keys() == stated.keys() and (now == stated or _same_address(chardev.addr, inside, server))
    if now and stated and same is False:
        different += [Difference(name, now.get(name), stated.get(name)) for name in sorted({*now, *stated})]
    elif not now or not stated or same is None:
        unverified |= stated.keys()
    more = {name for name in inside if name not in ("path", "host", "port") and inside[name] != chardev.addr.get(name)}
    return different, sorted(unverified - {"addr", "server", "wait"} | more)


def _same_address(present: Mapping[str, Any], wanted: Mapping[str, Any], server: bool) -> bool | None:
    """Whether two addresses on the network are one; None where that cannot be told here.

    QEMU tells where a server listens in numbers, so what it was given by name is looked up. A client's address it tells as
    given: one that cannot be looked up is then another.
    """
    host, port = wanted.get("host"), wanted.get("port")
    if port in ("0", 0):  # any that is free
        port = present.get("port")
    if "path" in present:
        return False
    if (host, str(port)) == (present.get("host"), str(present.get("port"))):
        return True
    try:
        return not _numbers(host, port).isdisjoint(_numbers(present.get("host"), present.get("port")))
    except (OSError, ValueError):
        return None if server else False


def _numbers(host: Any, port: Any) -> set[tuple[Any, ...]]:
    """Each address that *host* and *port* stand for, in numbers. Raises OSError for names that are not known."""
    found = socket.getaddrinfo(str(host) if host else None, str(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return {address[:2] for _family, _kind, _protocol, _name, address in found}


def _after(
    line: ChardevSpec, before: dict[str, Any] | None, arguments: dict[str, Any], new_backend: dict[str, Any] | None
) -> dict[str, Any]:
    after = {"id": line.id, "attached": False, **(before or {})}
    if new_backend:
        kept = {name: value for name, value in after.items() if name not in ("path", "address", "server")}
        data = new_backend["data"]
        where = _where(_inside(data)) if new_backend["type"] == "socket" else {}
        after = {**kept, "type": new_backend["type"], **({**where, "server": data.get("server", True)} if where else {})}
    if arguments:
        name = arguments.get("name")
        after.update(
            {
                "attached": True,
                "driver": arguments["driver"],
                **slot_options(arguments),
                "name": name,
                "at_launch": False,
                "guest_path": guest_path(arguments["driver"], name),
            }
        )
    return after


def _as_it_is(hardware: Hardware, device: Device) -> dict[str, Any]:
    """The arguments of ``device_add`` that make a port again as it is."""
    settled = current_arguments(hardware, device)
    return {"driver": settled.pop("driver"), "id": settled.pop("id"), **backends_of(hardware, device), **settled}


def _launch_args(
    hardware: Hardware, line_id: str, kind: str, data: Mapping[str, Any], port: Mapping[str, Any]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The launch arguments of the character device and its port, and a warning where there are none for the former."""
    try:
        chardev_data.check(hardware, kind, data)
        argument = chardev_argument(kind, line_id, data, hardware.version)
        why = "QEMU's command line has no words for it. Add it with this task after the next start."
    except InvalidOption:  # of one that is there, QEMU does not tell what it was made with
        argument, why = None, "QEMU does not report how it was made. Set all of its options in the task."
    if argument is None:
        return (), (f"launch_args is empty for the character device {line_id} ({kind}): {why}",)
    return ("-chardev", argument, *(("-device", device_argument(port, hardware.version)) if port else ())), ()
