# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Character devices, and the virtio serial ports and consoles through which the guest sees them. Both have the same id."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Mapping

from .device import Difference, Front, device_arguments, device_differences, recreated_arguments, refuse
from .errors import Conflict, InvalidOption
from .frontend import Unplug, plug
from .launch import device_argument, key_values
from .model import Chardev, Device, Hardware
from .plan import Delete, Execute, Plan, Step
from .slots import PLACE_KEYS, place_of
from .values import check_id, nearest

_SOCKET = re.compile(r"(?:disconnected:)?(unix|tcp|telnet|tn3270|websocket|wss?):(.*?)(,server=on)?(?: <->.*)?\Z")


@dataclass(frozen=True)
class Line:
    """What a task says of a character device. ``data`` are the options of *type* as ``chardev-add`` takes them; a *front*
    without a driver stands for the backend alone."""

    front: Front
    type: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    recreate: bool = False

    @property
    def id(self) -> str:
        return self.front.id


def socket_data(path: str | None, host: str | None, port: int | None, server: bool, wait: bool) -> dict[str, Any]:
    """The options of a socket: at *path*, or on *host* and *port*."""
    if path:
        addr: dict[str, Any] = {"type": "unix", "data": {"path": path}}
    else:
        addr = {"type": "inet", "data": {"host": host or "127.0.0.1", "port": str(port)}}
    return {"addr": addr, "server": server, **({"wait": wait} if server else {})}


def plan_present(hardware: Hardware, line: Line) -> Plan:
    check_id(line.id)
    chardev, device = hardware.chardevs.get(line.id), _device(hardware, line.id)
    if chardev is None and line.type is None:
        raise InvalidOption(f"Character device {line.id} does not exist yet: say with type what it is to be.")
    if line.type is not None:
        _check_type(hardware, line.type)
    backend = {"type": line.type, "data": dict(line.data)}
    before = describe(hardware, line.id)
    steps: list[Step] = []
    changed, unverified = _backend_differences(line, chardev) if chardev else ([], [])
    differences: list[Difference] = []
    if device and line.front.driver:
        differences, unread = device_differences(hardware, line.front, device)
        unverified += unread
    arguments: dict[str, Any] = {}
    if differences and line.recreate:
        steps.append(Unplug(line.id))
        arguments = recreated_arguments(hardware, line.front, str(line.front.driver), {"chardev": line.id}, device)
    else:
        refuse(f"Port {line.id}", differences)
    if chardev is None:
        steps.append(Execute("chardev-add", {"id": line.id, "backend": backend}, Delete("chardev-remove", {"id": line.id})))
    elif changed:
        steps.append(Execute("chardev-change", {"id": line.id, "backend": backend}))
    if device is None and line.front.driver:
        arguments = device_arguments(hardware, line.front, line.front.driver, {"chardev": line.id})
    if arguments:
        steps += plug(arguments)
    return Plan(tuple(steps), before, _after(line, before, arguments, bool(changed) or chardev is None), tuple(unverified),
                _launch_args(hardware, line, arguments, device))


def plan_absent(hardware: Hardware, line: Line) -> Plan:
    """Have neither the port nor the character device behind it."""
    check_id(line.id)
    device = _device(hardware, line.id)
    steps: list[Step] = [Unplug(line.id)] if device else []
    if line.id in hardware.chardevs:
        users = (one for one in hardware.devices if one.properties.get("chardev") == line.id)
        others = [one.id or one.path for one in users if one.id != line.id]
        if others:
            raise Conflict(f"The character device {line.id} is used by {', '.join(sorted(others))}. Unplug that first.",
                           users=sorted(others))
        steps.append(Delete("chardev-remove", {"id": line.id}))
    return Plan(tuple(steps), describe(hardware, line.id), None)


def describe(hardware: Hardware, line_id: str) -> dict[str, Any] | None:
    """The character device, its address where it has one, and its port, if any; None when there is neither."""
    chardev, device = hardware.chardevs.get(line_id), _device(hardware, line_id)
    if chardev is None and device is None:
        return None
    result: dict[str, Any] = {"id": line_id, "attached": device is not None}
    if chardev:
        result.update({"type": chardev.type, "open": chardev.open, **_address(chardev)})
    if device:
        name = hardware.property_of(device, "name") or None
        result.update({"driver": device.driver, **place_of(device), "name": name, "guest_path": guest_path(device.driver, name),
                       "at_launch": device.at_launch})
    return result


def describe_all(hardware: Hardware) -> list[dict[str, Any]]:
    found = (describe(hardware, name) for name in sorted(hardware.chardevs))
    return [one for one in found if one]


def guest_path(driver: str, name: str | None) -> str | None:
    """Where udev in a Linux guest puts a named port."""
    return f"/dev/virtio-ports/{name}" if driver == "virtserialport" and name else None


def _device(hardware: Hardware, line_id: str) -> Device | None:
    device = hardware.device(line_id)
    if device and "chardev" not in device.properties:
        raise Conflict(f"The id {line_id} belongs to a {device.driver}, which has no character device. Take another id.")
    return device


def _check_type(hardware: Hardware, name: str) -> None:
    known = [entry["name"] for entry in hardware.snapshot.ask("query-chardev-backends")]
    if name not in known:
        raise InvalidOption(f"This QEMU ({hardware.version_text}) has no character device {name!r}{nearest(name, known)}.")


def _address(chardev: Chardev) -> dict[str, Any]:
    """Path or address of a socket, the path of a pty; as far as QEMU tells it."""
    if chardev.type == "pty":
        return {"path": chardev.told.partition("pty:")[2] or None}
    match = _SOCKET.match(chardev.told)
    if not match:
        return {}
    kind, address, server = match.groups()
    return {"path" if kind == "unix" else "address": address, "server": server is not None}


def _backend_differences(line: Line, chardev: Chardev) -> tuple[list[Difference], list[str]]:
    """How the backend differs; of most types QEMU tells the type alone."""
    if line.type is None:
        return [], []
    if line.type != chardev.type:
        return [Difference("type", chardev.type, line.type)], []
    addr = line.data.get("addr", {})
    now = _address(chardev)
    if "server" not in now or addr.get("type") not in ("unix", "inet"):
        return [], sorted(line.data)
    inside = addr["data"]
    pairs = [("server", now["server"], line.data.get("server", True))]
    if addr["type"] == "unix":
        pairs.append(("path", now.get("path"), inside["path"]))
    elif inside["port"] != "0":
        pairs.append(("address", now.get("address"), f"{inside['host']}:{inside['port']}"))
    different = [Difference(*pair) for pair in pairs if pair[1] != pair[2]]
    return different, sorted(set(line.data) - {"addr", "server", "wait"})


def _after(line: Line, before: dict[str, Any] | None, arguments: dict[str, Any], new_backend: bool) -> dict[str, Any]:
    after = {"id": line.id, "attached": False, **(before or {})}
    if new_backend:
        addr = line.data.get("addr", {}).get("data", {})
        after.update({"type": line.type, **({"path": addr["path"], "server": line.data["server"]} if "path" in addr else {})})
    if arguments:
        place: dict[str, Any] = {name: arguments[name] for name in PLACE_KEYS if name in arguments}
        name = arguments.get("name")
        after.update({"attached": True, "driver": arguments["driver"], **place, "name": name, "at_launch": False,
                      "guest_path": guest_path(arguments["driver"], name)})
    return after


def _launch_args(hardware: Hardware, line: Line, arguments: dict[str, Any], device: Device | None) -> tuple[str, ...]:
    args: list[str] = []
    if line.type is not None:
        data = dict(line.data)
        addr = data.pop("addr", {}).get("data", {})
        renamed = {"path" if name in ("out", "device") else name: value for name, value in {**addr, **data}.items()}
        args += ["-chardev", ",".join([line.type, *key_values({"id": line.id, **renamed})])]
    if not arguments and device and line.front.driver:
        arguments = {"driver": device.driver, "id": line.id, "chardev": line.id, **place_of(device),
                     **line.front.stated(hardware, device.driver)}
    if arguments:
        args += ["-device", device_argument(arguments, hardware.version)]
    return tuple(args)
