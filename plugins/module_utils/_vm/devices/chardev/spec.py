# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The spec of a character device, and the tables of the options of each type."""

from __future__ import annotations

import re
import socket
from dataclasses import field
from typing import Any, Callable, Mapping

from ...lazy import dataclass
from ...model.hardware import Chardev
from ..frontend import FrontendSpec
from ..option_table import UNSET, Option, arguments, rows_for

_LISTENS = re.compile(r",server(=on)?( <->.*)?\Z")
_PROTOCOL = re.compile(r"(?:disconnected:)?(telnet|websocket):")


def listens(chardev: Chardev) -> bool | None:
    """Whether QEMU listens on the socket; None if it does not report that."""
    if chardev.addr.get("type", "unix") == "vsock":
        return None
    return _LISTENS.search(chardev.filename) is not None


def _path(chardev: Chardev) -> Any:
    if not chardev.addr:
        return None
    return chardev.addr.get("path", UNSET) if not chardev.addr.get("abstract") else UNSET


def _host(chardev: Chardev) -> Any:
    return chardev.addr.get("host", UNSET) if chardev.addr else None


def _port(chardev: Chardev) -> Any:
    if not chardev.addr:
        return None
    port = str(chardev.addr.get("port"))
    return int(port) if "host" in chardev.addr and port.isdigit() else UNSET


def _addr(chardev: Chardev) -> Any:
    """The address in QEMU's form, if path, or address and address_port, cannot express it."""
    if not chardev.addr:
        return None
    if _path(chardev) is not UNSET or _host(chardev) is not UNSET:
        return UNSET
    return {"type": chardev.addr.get("type"), "data": {name: value for name, value in chardev.addr.items() if name != "type"}}


def _same_host(chardev: Chardev, host: Any) -> bool | None:
    """Whether *host* is the host of the socket; None if that cannot be known here.

    QEMU reports where a server listens in numbers, so that a name must be looked up. It reports the address of a client as it was
    set: a name that cannot be looked up is another one.
    """
    present = _host(chardev)
    if present is UNSET or host == present:
        return bool(host == present)
    try:
        return not _numbers(host, None).isdisjoint(_numbers(present, None))
    except (OSError, ValueError):
        return None if listens(chardev) else False


def _same_port(chardev: Chardev, port: Any) -> bool:
    """Whether *port* is the port of the socket. 0 is any free port."""
    present = _port(chardev)
    if present is UNSET or str(port) in ("0", str(present)):
        return present is not UNSET
    try:
        return (present,) in {address[1:] for address in _numbers(None, port)}
    except (OSError, ValueError):
        return False


def _numbers(host: Any, port: Any) -> set[tuple[Any, ...]]:
    """The addresses and ports that *host* and *port* stand for, in numbers. Raises OSError for unknown names."""
    found = socket.getaddrinfo(
        str(host) if host else None, None if port is None else str(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    return {address[: 1 if port is None else 2] for _family, _kind, _protocol, _name, address in found}


def _same_addr(chardev: Chardev, addr: Any) -> bool | None:
    """Whether *addr*, in QEMU's form, is the address of the socket; None if some of it is not reported."""
    inside = addr.get("data") if isinstance(addr, Mapping) else None
    if not isinstance(inside, Mapping) or addr.get("type") != chardev.addr.get("type"):
        return False
    compared: list[bool | None] = []
    for name, value in {**({"abstract": False} if "path" in inside else {}), **inside}.items():
        if name == "host":
            compared.append(_same_host(chardev, value))
        elif name == "port" and "host" in inside:
            compared.append(_same_port(chardev, value))
        elif name in ("path", "port", "cid", "abstract"):
            compared.append(str(value) == str(chardev.addr.get(name, False if name == "abstract" else None)))
        else:
            compared.append(True if value == chardev.addr.get(name) else None)
    return False if False in compared else None if None in compared else True


def _speaks(protocol: str) -> Callable[[Chardev], Any]:
    """Reads whether a TCP socket speaks a protocol; QEMU does not report that of other sockets."""

    def read(chardev: Chardev) -> Any:
        found = _PROTOCOL.match(chardev.filename)
        return (bool(found and found.group(1) == protocol) or UNSET) if "host" in chardev.addr else None

    return read


def _protocol_row(protocol: str) -> Option:
    read = _speaks(protocol)
    return Option(f"options.{protocol}", protocol, read, lambda chardev, value: (read(chardev) is True) == value)


OPTIONS: dict[str, tuple[Option, ...]] = {
    "socket": (
        Option("path", "addr.data.path", _path),
        Option("address", "addr.data.host", _host, _same_host),
        Option("address_port", "addr.data.port", _port, _same_port),
        Option("server", "server", listens),
        Option("wait", "wait", lambda chardev: UNSET, lambda chardev, value: True, partial=True),  # it is over once added
        Option("options.addr", "addr", _addr, _same_addr),
        _protocol_row("telnet"),
        _protocol_row("websocket"),
    ),
    "file": (Option("path", "out"),),
    "pipe": (Option("path", "device"),),
    "serial": (Option("path", "device"),),
    "parallel": (Option("path", "device"),),
    "pty": (Option("path", "path"),),
}
"""The options of each type. A type that is not here has no options of its own. QEMU does not report the members of ``options``
that have no row."""

PROPERTIES = (Option("name", "name"),)
"""The options that are properties of the device."""

ALL_OPTIONS = tuple({row.name: row for rows in OPTIONS.values() for row in rows}.values())


@dataclass(frozen=True)
class ChardevSpec:
    """What a task specifies of a character device.

    ``values`` are the options by their names in the task: those of OPTIONS, and ``options.NAME`` for any other argument of
    ``chardev-add``. A frontend without a driver stands for the character device alone.
    """

    frontend: FrontendSpec
    type: str | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    recreate: bool = False

    @property
    def id(self) -> str:
        return self.frontend.id

    def values_for(self, kind: str) -> dict[str, Any]:
        """The values for a character device of the type *kind*: ``server`` and ``wait`` only where they have a meaning."""
        values = dict(self.values)
        has_address = kind == "socket" and not values.keys().isdisjoint({"path", "address", "address_port", "options.addr"})
        if not has_address or "options.server" in values:
            values.pop("server", None)
        if not has_address or "options.wait" in values or values.get("options.server", values.get("server")) is False:
            values.pop("wait", None)
        return values

    def rows_for(self, kind: str) -> list[Option]:
        """A row for each of ``values_for``. Raises InvalidOption for an option that is set in two ways."""
        return rows_for(OPTIONS.get(kind, ()), self.values_for(kind))

    def data(self, kind: str) -> dict[str, Any]:
        """The options of a character device of this type, as ``chardev-add`` takes them."""
        values = self.values_for(kind)
        data = arguments(self.rows_for(kind), values)
        if "address" in values or "address_port" in values:
            inside = {"host": "127.0.0.1", **data["addr"]["data"]}
            data["addr"] = {"type": "inet", "data": {**inside, "port": str(inside.get("port"))}}
        elif kind == "socket" and "path" in values:
            data["addr"] = {"type": "unix", **data["addr"]}
        return data

    def names(self, kind: str) -> dict[str, str]:
        """The option of its own for each path of a member that has one, such as ``options.addr.data.path``, unless it is set in
        ``options``."""
        in_options = [row.qemu for row in self.rows_for(kind) if row.name.startswith("options.")]
        return {
            f"options.{row.qemu}": row.name
            for row in OPTIONS.get(kind, ())
            if not row.name.startswith("options.") and not any(f"{row.qemu}.".startswith(f"{one}.") for one in in_options)
        }
