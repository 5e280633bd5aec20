# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Network backends: their options, checked as QEMU would, the queues that they have, and who uses them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Mapping

from ...errors import Conflict, InvalidOption, Unsupported
from ...host.tap import check_name, interface_of, is_macvtap
from ...model.arguments import check_members, natural
from ...model.hardware import Hardware, Netdev
from ...model.users import users_of_netdev
from ...model.values import check_id, nearest, typed
from ...plan.command_line import netdev_argument
from ...plan.plan import Command, Run, Step

MOST_QUEUES = 256
"""Queue pairs of a tap; a virtio NIC has not many more."""

_LISTS_OF_STR = {"hostfwd", "guestfwd", "dnssearch"}
_OF_THE_MODULE = {"id": "id", "type": "type", "queues": "queues"}
_DESCRIPTORS = ("fd", "fds", "vhostfd", "vhostfds")
_MOST_BYTES = {"bootfile": 127, "hostname": 255, "domainname": 255, "tftp-server-name": 255}
"""Of texts of a user network. A longer bootfile aborts QEMU."""
_EXCLUDED = {
    "fd": ("ifname", "script", "downscript", "vnet_hdr", "helper", "queues", "fds", "vhostfds"),
    "fds": ("ifname", "script", "downscript", "vnet_hdr", "helper", "queues", "vhostfd"),
    "helper": ("ifname", "script", "downscript", "vnet_hdr", "queues", "vhostfds"),
}
"""Options of a tap, each with those that QEMU does not take besides it."""


def backend_arguments(
    hardware: Hardware, type_name: str, netdev_id: str, options: Mapping[str, Any], queues: int | None
) -> dict[str, Any]:
    """The arguments of ``netdev_add`` in which QEMU itself opens what it needs, in the types that its schema has.

    Raises InvalidOption for options that the type does not have, and that do not go together; Unsupported for queues where it
    has one.
    """
    for name, option in _OF_THE_MODULE.items():
        if name in options:
            raise InvalidOption(f"options has {name!r}, which the option {option!r} is for.")
    if queues is not None and not 1 <= queues <= MOST_QUEUES:
        raise InvalidOption(f"queues {queues} is not a number of queue pairs: give 1 to {MOST_QUEUES}.")
    known: dict[str, str] = {}
    if options or (queues or 1) > 1:
        known = {name: member.type for name, member in hardware.schema.command_arguments("netdev_add", type_name).items()}
    told = bool(known.keys() - _OF_THE_MODULE.keys())  # QEMU 4 does not report the options of the types
    if told and (queues or 1) > 1 and "queues" not in known:
        raise Unsupported(f"In this QEMU the type {type_name} has one queue only; leave queues out.")
    values = {name: _listed(hardware, name, value, known.get(name)) for name, value in options.items()}
    if told:
        unknown = [name for name in values if name not in known]
        if unknown:
            raise InvalidOption(f"The type {type_name} has no option {unknown[0]!r}{nearest(unknown[0], known)}.")
        values = {name: natural(hardware.schema, "netdev_add", type_name, name, value) for name, value in values.items()}
        values = typed("network backend", values, known)
    arguments = {"type": type_name, "id": netdev_id, **values, **({"queues": queues} if queues and queues > 1 else {})}
    if type_name == "tap":
        _check_tap_options(arguments)
    _refuse_numbers(values)
    for name, most in _MOST_BYTES.items():
        if type_name == "user" and len(str(values.get(name, "")).encode()) > most:
            raise InvalidOption(f"options.{name} is longer than {most} bytes, and QEMU takes no more there.")
    return arguments


def check_new(hardware: Hardware, arguments: Mapping[str, Any]) -> None:
    """Refuse what QEMU would refuse to make a network backend of, at any depth, and what it would wait for without end."""
    known = hardware.schema.command_arguments("netdev_add", str(arguments["type"]))
    if known.keys() - _OF_THE_MODULE.keys():
        check_members(hardware.schema, "netdev_add", arguments, f"A network backend of type {arguments['type']}", "options")
    if arguments["type"] == "vhost-user":
        _check_chardev(hardware, str(arguments.get("chardev")))


def _check_chardev(hardware: Hardware, name: str) -> None:
    """Refuse a character device that no vhost-user server can be at."""
    chardev = hardware.chardevs.get(name)
    if chardev is None:
        return
    if chardev.type != "socket" or chardev.addr.get("type", "unix") != "unix":
        raise InvalidOption(
            f"chardev {name} is a {chardev.type} that is no unix socket. A vhost-user network is served over a "
            "unix socket: name a character device of type socket with a path."
        )


@dataclass(frozen=True)
class Connected(Step):
    """A look at whether the vhost-user server is connected: until it is, ``netdev_add`` does not return, and the VM stands still.
    That may be another by the time of the run, so check mode does not ask. Raises Conflict."""

    chardev: str
    changes = False

    def commands(self) -> list[Command]:
        return []

    def apply(self, run: Run) -> None:
        told = {one["label"]: one["filename"] for one in run.read("query-chardev")}
        if told.get(self.chardev, "").startswith("disconnected:"):
            raise Conflict(
                f"Nobody is connected to the character device {self.chardev}, and QEMU would stand still until the "
                "vhost-user server is there. Start that first, and run this again."
            )


def _refuse_numbers(options: Mapping[str, Any]) -> None:
    """Descriptors by number are QEMU's own, or none at all, at which it aborts; those that it was handed have names."""
    found = [(name, str(options[name])) for name in _DESCRIPTORS if name in options]
    found += [
        (f"{name}.str", str(options[name].get("str")))
        for name in ("addr", "local", "remote")
        if isinstance(options.get(name), Mapping) and options[name].get("type") == "fd"
    ]
    for name, value in found:
        if any(one.strip().lstrip("+-").isdigit() for one in value.split(":")):
            raise InvalidOption(
                f"options.{name} is {value!r}, a number. Name there descriptors that QEMU was handed (getfd); "
                "its own numbers are not known here."
            )


def _listed(hardware: Hardware, name: str, value: Any, type_name: str | None) -> Any:
    """QEMU's lists of strings are on QMP lists of ``{"str": …}``; one string stands for a list of it."""
    if name not in _LISTS_OF_STR and not (type_name == "array" and hardware.schema.has_member("netdev_add", name, "str")):
        return value
    elements = value if isinstance(value, list) else [value]
    return [one if isinstance(one, dict) else {"str": str(one)} for one in elements]


def _check_tap_options(arguments: Mapping[str, Any]) -> None:
    for name in _DESCRIPTORS:
        if name in arguments:  # an empty list of them aborts QEMU
            for one in str(arguments[name]).split(":"):
                if not one.isdigit():
                    check_id(one, f"{name}: descriptor")
    for name, excluded in _EXCLUDED.items():
        besides = [one for one in excluded if one in arguments]
        if name in arguments and besides:
            raise InvalidOption(f"{besides[0]} does not go together with {name}: leave one of them out.")
    if "fd" not in arguments and "fds" not in arguments and "vhostfds" in arguments:
        raise InvalidOption("vhostfds does not go without fds.")
    if any(name in arguments for name in ("vhostfd", "vhostfds")) and arguments.get("vhost") is False:
        raise InvalidOption("vhostfd and vhostfds do not go together with vhost: false.")
    if "ifname" in arguments:
        check_name(str(arguments["ifname"]))


def launch_argument(arguments: Mapping[str, Any]) -> str | None:
    """The value of ``-netdev`` for the same backend; None where only whoever starts QEMU can open it.

    At launch QEMU opens a tap itself; the scripts that it would run for it by default are not part of this.
    """
    if any(name in arguments for name in _DESCRIPTORS) or is_macvtap(str(arguments.get("ifname", ""))):
        return None
    if arguments["type"] == "tap" and "helper" not in arguments:
        arguments = {**arguments, "script": arguments.get("script", "no"), "downscript": arguments.get("downscript", "no")}
    return netdev_argument(arguments)


def interface_behind(hardware: Hardware, netdev: Netdev) -> str | None:
    """The interface of this host behind a tap, None where that is not known."""
    return netdev.info.get("ifname") or interface_of(hardware.cache.monitor.peer_pid, netdev.info.get("fd", ""))


def queues_of(hardware: Hardware, netdev: Netdev) -> int:
    """The number of its queue pairs: ``info network`` has a line for each."""
    line = re.compile(rf"(?:^|[\s\\]){re.escape(netdev.id)}: index=\d+,type=(?!nic)", re.MULTILINE)
    return max(1, len(line.findall(_network(hardware))))


def macs(hardware: Hardware) -> dict[str, str]:
    """The MAC address of each NIC of the VM by its name, those that QEMU was started with and that have no id too."""
    line = re.compile(r"(?:^|[\s\\])([^\s\\]+): index=\d+,type=nic,\S*?macaddr=([0-9A-Fa-f:]{17})", re.MULTILINE)
    found = line.findall(_network(hardware))
    return {name: mac.lower() for name, mac in found if name not in hardware.gone}


def refuse_users(hardware: Hardware, netdev: Netdev, force: bool) -> None:
    """Raise Conflict for a backend that something besides its NIC uses: filters go with it, a hub loses it."""
    own = {netdev.nic} if netdev.nic else set()
    others = [name for name in users_of_netdev(hardware, netdev.id) if name not in own]
    users = [f"{name} ({hardware.objects.get(name, 'device')})" for name in others]
    port = re.search(rf"\\ (\S+): {re.escape(netdev.id)}: index=\d+,type=(?!nic)", _network(hardware))
    if port and port.group(1) in hardware.netdevs and hardware.netdevs[port.group(1)].type == "hubport":
        users.append(f"{port.group(1)} (hubport)")
    if users and not force:
        raise Conflict(
            f"The network backend {netdev.id} is used by {', '.join(sorted(users))}, which would lose it. "
            "Remove these first, or set force: true.",
            users=sorted(users),
        )


def _network(hardware: Hardware) -> str:
    return str(hardware.cache.ask("human-monitor-command", **{"command-line": "info network"}))
