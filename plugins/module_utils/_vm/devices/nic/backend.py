# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Network backends: their arguments, checked as QEMU would check them, how they differ from the present ones, and their users."""

from __future__ import annotations

import re
from typing import Any, Mapping

from ...errors import Conflict, InvalidOption, Unsupported
from ...host.tap import check_name, is_macvtap
from ...lazy import dataclass
from ...model.arguments import check_members, natural
from ...model.hardware import Hardware, Netdev
from ...model.references import refuse_missing_chardev, refuse_missing_netdev, refuse_missing_objects
from ...model.users import users_of_netdev
from ...model.values import check_id, nearest, typed
from ...plan.command_line import netdev_argument
from ...plan.plan import Command, Run, Step
from ..option_table import Difference, compare
from .spec import BACKEND, Nic, NicSpec

MOST_QUEUES = 256
"""Queue pairs of a tap. A virtio NIC has few more."""

_LISTS_OF_STR = {"hostfwd", "guestfwd", "dnssearch"}
_OPTIONS_OF_THE_MODULE = ("id", "type", "queues")
_DESCRIPTORS = ("fd", "fds", "vhostfd", "vhostfds")
_MOST_BYTES = {"bootfile": 127, "hostname": 255, "domainname": 255, "tftp-server-name": 255}
"""The longest texts of a user network. A longer bootfile aborts QEMU."""
_EXCLUDED = {
    "fd": ("ifname", "script", "downscript", "vnet_hdr", "helper", "queues", "fds", "vhostfds"),
    "fds": ("ifname", "script", "downscript", "vnet_hdr", "helper", "queues", "vhostfd"),
    "helper": ("ifname", "script", "downscript", "vnet_hdr", "queues", "vhostfds"),
}
"""Arguments of a tap, each with those that QEMU does not accept together with it."""


def backend_arguments(hardware: Hardware, spec: NicSpec) -> dict[str, Any]:
    """The arguments of ``netdev_add`` for a backend that QEMU opens itself, in the types of QEMU's schema.

    Raises InvalidOption for options that the type does not have, and for options that exclude each other; Unsupported for several
    queues of a type that has one.
    """
    for name in _OPTIONS_OF_THE_MODULE:
        if f"options.{name}" in spec.values:
            raise InvalidOption(f"options has {name!r}. Set it by the option {name} of the module instead.")
    type_name, queues, options = str(spec.type), spec.queues, spec.options
    if queues is not None and not 1 <= queues <= MOST_QUEUES:
        raise InvalidOption(f"queues {queues} is not a number of queue pairs. Set a number from 1 to {MOST_QUEUES}.")
    known: dict[str, str] = {}
    if options or (queues or 1) > 1:
        known = {name: member.type for name, member in hardware.schema.command_arguments("netdev_add", type_name).items()}
    has_schema = bool(known.keys() - {*_OPTIONS_OF_THE_MODULE})  # QEMU 4 does not report the options of the types
    if has_schema and (queues or 1) > 1 and "queues" not in known:
        raise Unsupported(
            f"queues is {queues}, but in this QEMU a network backend of type {type_name} has one. Leave queues out."
        )
    values = {name: _as_list(hardware, name, value, known.get(name)) for name, value in options.items()}
    if has_schema:
        for name in values.keys() - known.keys():
            raise InvalidOption(
                f"{spec.option_of(name)} is not an option of a network backend of type {type_name}{nearest(name, known)}."
            )
        values = {name: natural(hardware.schema, "netdev_add", type_name, name, value) for name, value in values.items()}
        values = typed("network backend", values, known, {name: spec.option_of(name) for name in values})
    arguments = {"type": type_name, "id": spec.id, **values, **({"queues": queues} if queues and queues > 1 else {})}
    if type_name == "tap":
        _check_tap_arguments(spec, arguments)
    _refuse_numbers(spec, values)
    for name, most in _MOST_BYTES.items():
        if type_name == "user" and len(str(values.get(name, "")).encode()) > most:
            raise InvalidOption(f"{spec.option_of(name)} is too long: QEMU accepts {most} bytes.")
    return arguments


def backend_differences(nic: Nic, spec: NicSpec) -> tuple[list[Difference], list[str]]:
    """How the network backend of *nic* differs from *spec*, and the options that QEMU does not report.

    A backend of another type has no other difference, because its options are others too.
    """
    netdev = nic.netdev
    if netdev is None:
        missing = [Difference("type", None, spec.type)] if nic.device and spec.type else []
        return missing, [] if missing else sorted(spec.values) if nic.device else []
    arguments = backend_arguments(nic.hardware, spec if spec.type else spec.having(type=netdev.type))
    values = {row.name: arguments.get(row.qemu, spec.values[row.name]) for row in spec.rows}
    different, unverified = compare(spec.rows, values, nic)
    other_type = [one for one in different if one.option == "type"]
    return (other_type, []) if other_type else (sorted(different, key=lambda one: one.option), sorted(unverified))


def check_new(hardware: Hardware, spec: NicSpec, arguments: Mapping[str, Any]) -> None:
    """Raise InvalidOption for arguments that QEMU would reject, at any depth, and for those that make it wait without end."""
    options = {name: spec.option_of(name) for name in arguments}
    known = hardware.schema.command_arguments("netdev_add", str(arguments["type"]))
    if known.keys() - {*_OPTIONS_OF_THE_MODULE}:
        paths = {f"options.{name}": spec.option_of(name) for name in {*known, *arguments, *(row.qemu for row in BACKEND)}}
        subject = f"A network backend of type {arguments['type']}"
        check_members(hardware.schema, "netdev_add", arguments, subject, "options", paths)
    if arguments["type"] == "vhost-user":
        refuse_missing_chardev(hardware, options.get("chardev", "chardev"), arguments.get("chardev"))
        _check_chardev(hardware, str(arguments.get("chardev")))
    if arguments["type"] == "hubport":
        refuse_missing_netdev(hardware, options.get("netdev", "options.netdev"), arguments.get("netdev"))
    refuse_missing_objects(hardware, "options", arguments)


def _check_chardev(hardware: Hardware, name: str) -> None:
    """Raise InvalidOption for a character device that cannot lead to a vhost-user server."""
    chardev = hardware.chardevs.get(name)
    if chardev and (chardev.type != "socket" or chardev.addr.get("type", "unix") != "unix"):
        raise InvalidOption(
            f"chardev {name} is not a unix socket, but a {chardev.type}. A vhost-user server is reached over a unix socket: set "
            "chardev to a character device of type socket with a path."
        )


@dataclass(frozen=True)
class CheckConnected(Step):
    """Raises Conflict if no vhost-user server is connected: ``netdev_add`` would not return, and the VM would stand still.

    It is a step because the answer is valid only at the moment of the run. Check mode does not ask.
    """

    chardev: str
    changes = False

    def commands(self) -> list[Command]:
        return []

    def apply(self, run: Run) -> None:
        filenames = {one["label"]: one["filename"] for one in run.read("query-chardev")}
        if filenames.get(self.chardev, "").startswith("disconnected:"):
            raise Conflict(
                f"No vhost-user server is connected to the character device {self.chardev}, and QEMU would stand still until one "
                "is. Start the server, then run this again."
            )


def _refuse_numbers(spec: NicSpec, options: Mapping[str, Any]) -> None:
    """Raise InvalidOption for descriptors by number, which are QEMU's own, or do not exist: then it aborts."""
    found = [(name, str(options[name])) for name in _DESCRIPTORS if name in options]
    found += [
        (f"{name}.str", str(options[name].get("str")))
        for name in ("addr", "local", "remote")
        if isinstance(options.get(name), Mapping) and options[name].get("type") == "fd"
    ]
    for name, value in found:
        if any(one.strip().lstrip("+-").isdigit() for one in value.split(":")):
            raise InvalidOption(
                f"{spec.option_of(name)} is {value!r}, a number, and numbers of descriptors are QEMU's own. Set the name of a "
                "descriptor that was passed to QEMU (getfd)."
            )


def _as_list(hardware: Hardware, name: str, value: Any, type_name: str | None) -> Any:
    """QMP has lists of ``{"str": …}`` for QEMU's lists of strings. One string stands for a list of it."""
    if name not in _LISTS_OF_STR and not (type_name == "array" and hardware.schema.has_member("netdev_add", name, "str")):
        return value
    elements = value if isinstance(value, list) else [value]
    return [one if isinstance(one, dict) else {"str": str(one)} for one in elements]


def _check_tap_arguments(spec: NicSpec, arguments: Mapping[str, Any]) -> None:
    for name in _DESCRIPTORS:
        if name in arguments:  # an empty list of them aborts QEMU
            for one in str(arguments[name]).split(":"):
                if not one.isdigit():
                    check_id(one, f"{spec.option_of(name)}: descriptor")
    for name, excluded in _EXCLUDED.items():
        besides = [spec.option_of(one) for one in excluded if one in arguments]
        if name in arguments and besides:
            raise InvalidOption(f"{besides[0]} and {spec.option_of(name)} exclude each other. Leave one of them out.")
    vhost_descriptors = [spec.option_of(name) for name in ("vhostfd", "vhostfds") if name in arguments]
    if "fd" not in arguments and "fds" not in arguments and "vhostfds" in arguments:
        raise InvalidOption("options.vhostfds needs options.fds.")
    if vhost_descriptors and arguments.get("vhost") is False:
        raise InvalidOption(f"{vhost_descriptors[0]} needs vhost: true.")
    if "ifname" in arguments:
        check_name(str(arguments["ifname"]))


def launch_argument(arguments: Mapping[str, Any]) -> str | None:
    """The value of ``-netdev`` for the same backend; None if only the process that starts QEMU can open it.

    At launch QEMU opens a tap itself. Without the scripts that it would run by default, because this module does not run them.
    """
    if any(name in arguments for name in _DESCRIPTORS) or is_macvtap(str(arguments.get("ifname", ""))):
        return None
    if arguments["type"] == "tap" and "helper" not in arguments:
        arguments = {**arguments, "script": arguments.get("script", "no"), "downscript": arguments.get("downscript", "no")}
    return netdev_argument(arguments)


def macs(hardware: Hardware) -> dict[str, str]:
    """The MAC address of each NIC of the VM by its name. NICs of the launch that have no id are included."""
    line = re.compile(r"(?:^|[\s\\])([^\s\\]+): index=\d+,type=nic,\S*?macaddr=([0-9A-Fa-f:]{17})", re.MULTILINE)
    found = line.findall(_info_network(hardware))
    return {name: mac.lower() for name, mac in found if name not in hardware.gone}


def refuse_users(hardware: Hardware, netdev: Netdev, force: bool) -> None:
    """Raise Conflict for a backend with other users than its NIC: QEMU deletes filters with it, and a hub loses it."""
    own = {netdev.nic} if netdev.nic else set()
    others = [name for name in users_of_netdev(hardware, netdev.id) if name not in own]
    users = [f"{name} ({hardware.objects.get(name, 'device')})" for name in others]
    port = re.search(rf"\\ (\S+): {re.escape(netdev.id)}: index=\d+,type=(?!nic)", _info_network(hardware))
    if port and port.group(1) in hardware.netdevs and hardware.netdevs[port.group(1)].type == "hubport":
        users.append(f"{port.group(1)} (hubport)")
    if users and not force:
        raise Conflict(
            f"The network backend {netdev.id} is used by {', '.join(sorted(users))}, which would lose it. Remove these first, or "
            "set force: true.",
            users=sorted(users),
        )


def _info_network(hardware: Hardware) -> str:
    return str(hardware.cache.ask("human-monitor-command", **{"command-line": "info network"}))
