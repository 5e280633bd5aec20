# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The data of ``chardev-add``: typed and checked before it is sent, and read back as far as QEMU reports it."""

from __future__ import annotations

import os
import stat
from typing import Any, Mapping

from ...errors import InvalidOption
from ...model.arguments import check_type, natural_type
from ...model.hardware import Chardev, Hardware

_UNIX_PATH_MAX = 107  # bytes: a sockaddr_un has 108, with the NUL that most programs want
_RINGBUF_MAX = 1 << 30  # QEMU allocates it at once, and aborts where the host cannot give it
_PATH_OF = {"file": "out", "pipe": "device", "serial": "device", "parallel": "device", "pty": "path"}
"""What ``chardev-add`` calls the path, by type; of a socket it is part of its address."""
_WITHOUT_OPTIONS = {"null", "pty", "msmouse", "wctablet", "testdev", "braille"}
_PROTOCOLS = ("telnet", "tn3270", "websocket")


def path_member(kind: str) -> str | None:
    """The member of *kind*'s data that a path is; None where it has none."""
    return _PATH_OF.get(kind)


def check_address(kind: str, path: str | None, host: str | None, port: int | None, options: Mapping[str, Any]) -> None:
    """Raise InvalidOption for a path or an address that a character device of this type cannot have."""
    if path is not None:
        if kind != "socket" and kind not in _PATH_OF:
            raise InvalidOption(f"path is not for a {kind}, which has none.")
        if not path.startswith("/"):
            raise InvalidOption(
                f"path {path!r} is not absolute. QEMU would look for it in a directory of its own; write the whole path."
            )
    if (host is not None or port is not None) and kind != "socket":
        raise InvalidOption(f"address and address_port are not for a {kind}. Give it options as chardev-add takes them.")
    if host == "":
        raise InvalidOption("address is empty. Give a host name or an address, such as 0.0.0.0 for all of this host.")
    if port is not None and not 0 <= port <= 65535:
        raise InvalidOption(f"address_port is {port}. A TCP port is a number from 0 to 65535.")
    if kind == "socket" and "addr" in options and (path is not None or host is not None or port is not None):
        raise InvalidOption("options has addr, and path or address names an address too. Set one of them only.")


def specified(hardware: Hardware, kind: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """*data* of a task with text in it as the numbers and booleans that QEMU's schema has there, at any depth."""
    type_name = _type_of_data(hardware, kind)
    typed: dict[str, Any] = natural_type(hardware.schema, type_name, data) if type_name else dict(data)
    return typed


def check(hardware: Hardware, kind: str, data: Mapping[str, Any]) -> None:
    """Raise InvalidOption for what QEMU would refuse to make a character device of."""
    needed = {"socket": "addr", **_PATH_OF}.get(kind)
    if needed not in (None, "path") and needed not in data:
        also = ", or address and address_port (or options.addr)" if kind == "socket" else ""
        raise InvalidOption(f"A {kind} needs path{also}.")
    type_name = _type_of_data(hardware, kind)
    if type_name:
        check_type(hardware.schema, type_name, data, f"A {kind}", "options")
    size = data.get("size")
    if kind in ("ringbuf", "memory") and isinstance(size, int) and (not 0 <= size <= _RINGBUF_MAX or size & (size - 1)):
        raise InvalidOption(f"options.size is {size}. A {kind} needs a power of two, such as 65536, and {_RINGBUF_MAX} at most.")
    _refuse_pipes(kind, data)
    if kind == "socket":
        _check_socket(data)
    for name in ("remote", "local"):
        _check_port(f"options.{name}.data.port", data.get(name))


def _refuse_pipes(kind: str, data: Mapping[str, Any]) -> None:
    """Raise InvalidOption for a file that is a named pipe, as far as it is seen from here: QEMU, all of it, waits in open()."""
    for name in ("logfile", *(("in", "out") if kind == "file" else ())):
        path = data.get(name)
        if isinstance(path, str) and is_pipe(path):
            told = "path or options.out" if name == "out" else f"options.{name}"
            more = ", or use type: pipe" if name != "logfile" else ""
            raise InvalidOption(
                f"{told} {path!r} is a named pipe: QEMU would stand still until somebody opens its other end. Give a file{more}."
            )


def is_pipe(path: str) -> bool:
    try:
        return stat.S_ISFIFO(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def _check_socket(data: Mapping[str, Any]) -> None:
    addr, server = data["addr"], data.get("server", True)
    inside = addr.get("data", {})
    path = str(inside.get("path", ""))
    if len(os.fsencode(path)) > _UNIX_PATH_MAX:
        raise InvalidOption(f"path has {len(os.fsencode(path))} bytes. The path of a unix socket has {_UNIX_PATH_MAX} at most.")
    _check_port("options.addr.data.port", addr)
    if addr.get("type") == "unix" and not path and not inside.get("abstract"):
        raise InvalidOption("options.addr.data.path is empty. A unix socket needs a path.")
    if not server and "wait" in data:
        raise InvalidOption("options has wait, which is only for a socket that listens (server: true).")
    reconnects = [name for name in ("reconnect", "reconnect-ms") if data.get(name)]
    if server and reconnects:
        raise InvalidOption(f"options has {reconnects[0]}, which is only for a socket that connects (server: false).")
    if len([name for name in ("reconnect", "reconnect-ms") if name in data]) > 1:
        raise InvalidOption("options has both reconnect and reconnect-ms. Set one of them only.")
    if "tls-creds" in data and addr.get("type") != "inet":
        raise InvalidOption("options has tls-creds, which is only for a TCP socket (address).")
    if "tls-authz" in data and "tls-creds" not in data:
        raise InvalidOption("options has tls-authz, which needs tls-creds.")


def _check_port(option: str, addr: Any) -> None:
    """Raise InvalidOption for a number of a port that there is not: QEMU 7.2 to 11.1 take another in its place."""
    inside = addr.get("data", {}) if isinstance(addr, Mapping) else {}
    port = str(inside.get("port", "0")) if addr and addr.get("type", "inet") == "inet" else "0"
    if port.lstrip("-").isdigit() and not 0 <= int(port) <= 65535:
        raise InvalidOption(f"{option} is {port}. A port is a number from 0 to 65535.")


def present(chardev: Chardev, server: bool) -> dict[str, Any] | None:
    """The data of a character device that is there, as ``chardev-add`` takes it; None where QEMU does not report enough."""
    if chardev.type in _WITHOUT_OPTIONS:
        return {}
    kind = chardev.addr.get("type")
    if chardev.type != "socket" or kind not in ("unix", "inet"):
        return None
    names = ("path", "abstract", "tight") if kind == "unix" else ("host", "port", "to", "ipv4", "ipv6")
    inside = {name: chardev.addr[name] for name in names if name in chardev.addr}
    spoken = {name: True for name in _PROTOCOLS if f"{name}:" in chardev.told.partition("//")[0]}
    return {"addr": {"type": kind, "data": inside}, "server": server, **({"wait": False} if server else {}), **spoken}


def _type_of_data(hardware: Hardware, kind: str) -> str | None:
    schema = hardware.schema
    command = schema.argument_type("chardev-add")
    backend = schema.member_types(command).get("backend") if command else None
    wrapper = schema.member_types(backend, kind) if backend else {}
    return wrapper.get("data")
