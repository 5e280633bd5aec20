# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection options that all modules share, and the connection to the monitor."""

from __future__ import annotations

from typing import Any, Callable, Mapping

from .._vm.errors import InvalidOption
from ..qmp import (
    Address,
    Monitor,
    TcpAddress,
    TlsAddress,
    Tracer,
    UnixAddress,
    has_address,
    is_loopback,
    others_may_write,
    unreadable,
)

OPTIONS: dict[str, Any] = {
    "socket": {"type": "path"},
    "host": {"type": "str"},
    "port": {"type": "int"},
    "tls": {
        "type": "dict",
        "options": {
            "ca_file": {"type": "path", "required": True},
            "cert_file": {"type": "path"},
            "key_file": {"type": "path", "no_log": False},
            "server_name": {"type": "str"},
        },
        "required_together": [("cert_file", "key_file")],
    },
    "allow_plaintext": {"type": "bool", "default": False},
    "connect_timeout": {"type": "float", "default": 10.0},
    "timeout": {"type": "float", "default": 30.0},
}
"""Documented by the doc fragment ``connection``."""

RULES: dict[str, Any] = {
    "required_one_of": [("socket", "host")],
    "mutually_exclusive": [("socket", "host")],
    "required_by": {"host": ("port",), "port": ("host",), "tls": ("host",)},
}

LEAST_SECONDS = 1.0
"""The minimum of the time that QEMU has to answer, even if the task sets a shorter ``timeout`` for the guest."""

_REMEDIES = {
    "socket": "set it to the path of the VM's QMP socket, the one in QEMU's -qmp unix:PATH,server=on,wait=off.",
    "host": "set it to the host of QEMU's -qmp tcp:HOST:PORT,server=on,wait=off.",
    "tls.ca_file": "set it to the path of a PEM file.",
    **{f"tls.{name}": "set it to the path of a PEM file, or omit it." for name in ("cert_file", "key_file")},
    "tls.server_name": "set it to the name in QEMU's certificate, or omit it.",
}


def connect(params: Mapping[str, Any], warn: Callable[[str], None], tracer: Tracer | None = None) -> Monitor:
    """A monitor that is ready for commands. Raises InvalidOption for an unsafe address, and what ``Monitor.connect`` raises."""
    if params["socket"] and others_may_write(params["socket"]):
        warn(
            f"Any user of this host can write to {params['socket']} and thus control the VM. Run chmod o-w on the socket, and on "
            "the directory in which QEMU creates it."
        )
    seconds = max(LEAST_SECONDS, params["timeout"])
    return Monitor.connect(
        address(params), timeout=params["connect_timeout"], command_timeout=seconds, read_timeout=seconds, tracer=tracer
    )


def check_values(params: Mapping[str, Any]) -> None:
    """Raise InvalidOption for values that JSON or a system call cannot represent, and for invalid timeouts."""
    for name in ("connect_timeout", "timeout"):
        if not 0 <= params[name] < float("inf"):
            raise InvalidOption(f"{name} {params[name]} is not a valid time: set a number of seconds, 0 or more.")
    pending: list[tuple[str, Any]] = list(params.items())
    while pending:
        name, value = pending.pop()
        if isinstance(value, dict):
            pending += [(name, key) for key in value]
            pending += [(f"{name}.{key}" if len(str(key)) < 40 else name, one) for key, one in value.items()]
        elif isinstance(value, list):
            pending += [(name, one) for one in value]
        elif isinstance(value, float) and not abs(value) < float("inf"):
            raise InvalidOption(f"{name} contains {value}, which QEMU does not accept as a number: write a finite number.")
        elif isinstance(value, str) and unreadable(value):
            found = unreadable(value)
            what = "a NUL byte" if found == "U+0000" else found
            raise InvalidOption(f"{name} contains {what}, which QEMU does not accept in a text: remove it.")


def check_numbers(params: Mapping[str, Any], options: Mapping[str, Any], where: str = "") -> None:
    """Raise InvalidOption for a boolean where *options*, an argument_spec, has a number: Ansible takes true as 1."""
    for name, spec in options.items():
        value = params.get(name)
        if isinstance(value, bool) and spec["type"] in ("int", "float"):
            raise InvalidOption(f"{where}{name} is {str(value).lower()}, and not a number. Give a number.")
        if value and "options" in spec:
            for number, one in enumerate(value) if isinstance(value, list) else [(None, value)]:
                check_numbers(one, spec["options"], f"{where}{name}." if number is None else f"{where}{name}[{number}].")


def address(params: Mapping[str, Any]) -> Address:
    """The address of the monitor. Raises InvalidOption for an address on which others could read or send commands."""
    for name, value in [*params.items(), *((f"tls.{name}", value) for name, value in (params["tls"] or {}).items())]:
        if name in _REMEDIES and value == "":
            raise InvalidOption(f"{name} is empty: {_REMEDIES[name]}")
    if params["socket"]:
        return UnixAddress(params["socket"])
    host, port, tls = params["host"], params["port"], params["tls"]
    if tls:
        return TlsAddress(host, port, tls["ca_file"], tls["cert_file"], tls["key_file"], tls["server_name"])
    if not params["allow_plaintext"] and not is_loopback(host):
        if not has_address(host):
            raise InvalidOption(f"host {host} has no address: check its spelling, and the name resolution of this host.")
        raise InvalidOption(
            f"host {host} is another machine. Without tls, everybody on the network path can read and send commands: set tls, "
            "use an SSH tunnel, or set allow_plaintext: true."
        )
    return TcpAddress(host, port)
