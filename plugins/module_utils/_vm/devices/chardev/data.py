# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The data of ``chardev-add``: typed and checked before it is sent, and that of a present character device."""

from __future__ import annotations

import os
import stat
from typing import Any, Mapping

from ...errors import InvalidOption
from ...model.arguments import check_type, natural_type
from ...model.hardware import Chardev, Hardware
from ..option_table import results
from .spec import OPTIONS, ChardevSpec, listens

_UNIX_PATH_MAX = 107  # bytes: a sockaddr_un has 108, with the NUL that most programs want
_RINGBUF_MAX = 1 << 30  # QEMU allocates it at once, and aborts if the host cannot give it
_NEEDS_PATH = ("file", "pipe", "serial", "parallel")
_WITHOUT_OPTIONS = {"null", "pty", "msmouse", "wctablet", "testdev", "braille"}


def check_address(spec: ChardevSpec, kind: str) -> None:
    """Raise InvalidOption for a path or an address that a character device of the type *kind* cannot have."""
    values = spec.values
    path, host, port = (values.get(name) for name in ("path", "address", "address_port"))
    if path is not None:
        if "path" not in {row.name for row in OPTIONS.get(kind, ())}:
            raise InvalidOption(f"path is set, but a {kind} has no path. Leave path out.")
        if not path.startswith("/"):
            raise InvalidOption(
                f"path {path!r} is not absolute, and QEMU would look for it in its own directory. Set an absolute path."
            )
    if (host is not None or port is not None) and kind != "socket":
        raise InvalidOption(f"address and address_port are for a socket, not for a {kind}. Set its address in options.")
    if host == "":
        raise InvalidOption("address is empty. Set a host name or an address, such as 0.0.0.0 for all addresses of this host.")
    if port is not None and not 0 <= port <= 65535:
        raise InvalidOption(f"address_port {port} is not a TCP port. Set a number from 0 to 65535.")
    if kind == "socket" and "options.addr" in values and (path is not None or host is not None or port is not None):
        raise InvalidOption("options.addr and path or address are set, and a socket has one address. Leave one of them out.")


def specified(hardware: Hardware, kind: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """*data* of a task with text in it as the numbers and booleans that QEMU's schema has there, at any depth."""
    type_name = _type_of_data(hardware, kind)
    typed: dict[str, Any] = natural_type(hardware.schema, type_name, data) if type_name else dict(data)
    return typed


def check(hardware: Hardware, kind: str, data: Mapping[str, Any], names: Mapping[str, str] | None = None) -> None:
    """Raise InvalidOption for data that QEMU would reject. *names*: see ChardevSpec.names."""
    names = names or {}
    needed = {"socket": "addr", **{one: OPTIONS[one][0].qemu for one in _NEEDS_PATH}}.get(kind)
    if needed is not None and needed not in data:
        also = ", or address and address_port, or options.addr" if kind == "socket" else ""
        raise InvalidOption(f"A character device of type {kind} needs path{also}.")
    type_name = _type_of_data(hardware, kind)
    if type_name:
        check_type(hardware.schema, type_name, data, f"A {kind}", "options", names)
    size = data.get("size")
    if kind in ("ringbuf", "memory") and isinstance(size, int) and (not 0 <= size <= _RINGBUF_MAX or size & (size - 1)):
        raise InvalidOption(
            f"options.size {size} is not valid for a {kind}. Set a power of two, such as 65536, up to {_RINGBUF_MAX}."
        )
    _refuse_pipes(kind, data, names)
    if kind == "socket":
        _check_socket(data, names)
    for name in ("remote", "local"):
        _check_port(f"options.{name}.data.port", data.get(name), names)


def _refuse_pipes(kind: str, data: Mapping[str, Any], names: Mapping[str, str]) -> None:
    """Raise InvalidOption for a file that this host shows as a named pipe: QEMU would wait in open(), and the VM with it."""
    for name in ("logfile", *(("in", "out") if kind == "file" else ())):
        path = data.get(name)
        if isinstance(path, str) and is_pipe(path):
            remedy = "Set a file." if name == "logfile" else "Set a file, or type: pipe."
            option = names.get(f"options.{name}", f"options.{name}")
            raise InvalidOption(
                f"{option} {path!r} is a named pipe: QEMU would stand still until its other end is opened. {remedy}"
            )


def is_pipe(path: str) -> bool:
    try:
        return stat.S_ISFIFO(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def _check_socket(data: Mapping[str, Any], names: Mapping[str, str]) -> None:
    addr, server = data["addr"], data.get("server", True)
    inside = addr.get("data", {})
    path = str(inside.get("path", ""))
    path_option = names.get("options.addr.data.path", "options.addr.data.path")
    if len(os.fsencode(path)) > _UNIX_PATH_MAX:
        raise InvalidOption(
            f"{path_option} has {len(os.fsencode(path))} bytes, and the path of a unix socket has at most {_UNIX_PATH_MAX}. "
            "Set a shorter path."
        )
    _check_port("options.addr.data.port", addr, names)
    if addr.get("type") == "unix" and not path and not inside.get("abstract"):
        raise InvalidOption(f"{path_option} is empty. Set the path of the unix socket.")
    if not server and "wait" in data:
        raise InvalidOption("options.wait is for a socket that listens, and server is false. Leave options.wait out.")
    reconnects = [name for name in ("reconnect", "reconnect-ms") if data.get(name)]
    if server and reconnects:
        raise InvalidOption(f"options.{reconnects[0]} is for a socket that connects. Set server: false, or leave it out.")
    if len([name for name in ("reconnect", "reconnect-ms") if name in data]) > 1:
        raise InvalidOption("options.reconnect and options.reconnect-ms exclude each other. Leave one of them out.")
    if "tls-creds" in data and addr.get("type") != "inet":
        raise InvalidOption("options.tls-creds is for a TCP socket. Set address, or leave it out.")
    if "tls-authz" in data and "tls-creds" not in data:
        raise InvalidOption("options.tls-authz needs options.tls-creds.")


def _check_port(option: str, addr: Any, names: Mapping[str, str]) -> None:
    """Raise InvalidOption for a port that does not exist: QEMU 7.2 to 11.1 use another one instead."""
    inside = addr.get("data", {}) if isinstance(addr, Mapping) else {}
    port = str(inside.get("port", "0")) if addr and addr.get("type", "inet") == "inet" else "0"
    if port.lstrip("-").isdigit() and not 0 <= int(port) <= 65535:
        raise InvalidOption(f"{names.get(option, option)} {port} is not a port. Set a number from 0 to 65535.")


def present(chardev: Chardev) -> dict[str, Any] | None:
    """The data of a present character device, as ``chardev-add`` takes it; None if QEMU reports too little of it."""
    if chardev.type in _WITHOUT_OPTIONS:
        return {}
    kind, server = chardev.addr.get("type"), listens(chardev)
    if chardev.type != "socket" or kind not in ("unix", "inet"):
        return None
    names = ("path", "abstract", "tight") if kind == "unix" else ("host", "port", "to", "ipv4", "ipv6")
    inside = {name: chardev.addr[name] for name in names if name in chardev.addr}
    found = results(OPTIONS["socket"], chardev).get("options", {})
    protocols = {name: value for name, value in found.items() if name != "addr"}
    return {"addr": {"type": kind, "data": inside}, "server": server, **({"wait": False} if server else {}), **protocols}


def _type_of_data(hardware: Hardware, kind: str) -> str | None:
    schema = hardware.schema
    command = schema.argument_type("chardev-add")
    backend = schema.member_types(command).get("backend") if command else None
    wrapper = schema.member_types(backend, kind) if backend else {}
    return wrapper.get("data")
