# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""QEMU's command line: the arguments that would give a VM the same device at its next start."""

from __future__ import annotations

import json
import re
from typing import Any, Mapping

from ...qmp import Version
from ..errors import InvalidOption

SECRET_FILE = "FILE_WITH_THE_SECRET"
"""Stands in launch arguments for a file, because a secret does not belong on a command line."""
_DEVICE_JSON_SINCE = (6, 2)
_FILE_INPUT_SINCE = (8, 1)
_NAME = re.compile(r"[A-Za-z0-9_.-]+\Z")


def blockdev_argument(arguments: Mapping[str, Any]) -> str:
    """The value of ``-blockdev``: JSON, which all supported versions accept."""
    return json.dumps(arguments)


def device_argument(arguments: Mapping[str, Any], version: Version) -> str:
    """The value of ``-device``: JSON if this QEMU accepts it, else ``driver,key=value,…``."""
    if tuple(version) >= _DEVICE_JSON_SINCE:
        return json.dumps(arguments)
    rest = {name: value for name, value in arguments.items() if name != "driver"}
    return ",".join([_escaped(arguments["driver"]), *key_values(rest)])


def netdev_argument(arguments: Mapping[str, Any]) -> str:
    """The value of ``-netdev``: ``type,key=value,…``, or JSON (since QEMU 7.2) if it contains lists of structures."""
    if _has_list_of_structures(arguments):
        return json.dumps(arguments)
    rest = {name: value for name, value in arguments.items() if name != "type"}
    return ",".join([_escaped(arguments["type"]), *key_values(rest)])


def object_argument(qom_type: str, object_id: str, properties: Mapping[str, Any]) -> str:
    """The value of ``-object``: ``type,id=…,key=value,…``, or JSON (since QEMU 6.0) if a value is a structure or a list, because
    throttle groups do not accept dotted keys."""
    if any(isinstance(value, (Mapping, list, tuple)) for value in properties.values()):
        return json.dumps({"qom-type": qom_type, "id": object_id, **properties})
    return ",".join([_escaped(qom_type), *key_values({"id": object_id, **properties})])


def chardev_argument(kind: str, chardev_id: str, data: Mapping[str, Any], version: Version) -> str | None:
    """The value of ``-chardev`` for a character device with the ``chardev-add`` *data*. None if the command line cannot express
    it: a vsock address, a descriptor that was passed, the input of a file before QEMU 8.1."""
    options = dict(data)
    where: dict[str, Any] = {}
    if kind == "socket":  # the command line has other defaults than chardev-add
        options.setdefault("server", True)
        if options["server"]:
            options.setdefault("wait", False)
    if kind == "socket" and "addr" in options:
        where = _inside(options.pop("addr"))
        unknown = where.keys() - _SOCKET_WORDS
    elif kind == "udp":
        remote, local = (_inside(options.pop(name, {})) for name in ("remote", "local"))
        unknown = (remote.keys() - {"host", "port", "ipv4", "ipv6"}) | (local.keys() - {"host", "port"})
        where = {**remote, **{f"local{_LOCAL.get(name, name)}": value for name, value in local.items()}}
    elif kind == "file" and "in" in options:
        where = {"input-path": options.pop("in")}
        unknown = set() if tuple(version) >= _FILE_INPUT_SINCE else {"in"}
    else:
        unknown = set()
    if unknown:
        return None
    named = {_CHARDEV_WORDS.get((kind, name), name): value for name, value in {**where, **options}.items()}
    for name, value in list(named.items()):
        if isinstance(value, (list, tuple)):
            del named[name]
            named.update({f"{name}.{number}": one for number, one in enumerate(value)})
    return ",".join([_escaped(kind), *key_values({"id": chardev_id, **named})])


_CHARDEV_WORDS = {
    ("file", "out"): "path",
    ("pipe", "device"): "path",
    ("serial", "device"): "path",
    ("parallel", "device"): "path",
    ("spicevmc", "type"): "name",
    ("spiceport", "fqdn"): "name",
}
"""Options whose name in ``-chardev`` is not that in ``chardev-add``, by type."""
_LOCAL = {"host": "addr"}
_SOCKET_WORDS = {"path", "abstract", "tight", "host", "port", "to", "ipv4", "ipv6"}


def _inside(addr: Mapping[str, Any]) -> dict[str, Any]:
    """The members of a ``SocketAddressLegacy``, with a ``type`` if the command line does not have this type."""
    return dict(addr.get("data") or {}) if addr.get("type") in (None, "unix", "inet") else {"type": addr["type"]}


def _has_list_of_structures(value: Any) -> bool:
    """Whether there is a list of anything but plain values and strings, which are ``{"str": …}`` in QMP."""
    if isinstance(value, Mapping):
        return any(_has_list_of_structures(one) for one in value.values())
    return isinstance(value, (list, tuple)) and any(
        isinstance(one, (list, tuple)) or isinstance(one, Mapping) and one.keys() != {"str"} for one in value
    )


def key_values(values: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Options in dotted ``key=value`` form; a list becomes ``key.0=…``, or one ``key=`` for each plain element."""
    result: list[str] = []
    for name, value in values.items():
        if not _NAME.match(name):
            raise InvalidOption(f"{name!r} is not the name of a QEMU option: use letters, digits, `.`, `_` and `-`.")
        if isinstance(value, Mapping):
            result += key_values(value, f"{prefix}{name}.")
        elif isinstance(value, (list, tuple)):
            for element in value:
                # in QMP a list of strings (hostfwd, guestfwd, dnssearch) is a list of {"str": …}
                plain = element.get("str", element) if isinstance(element, Mapping) else element
                result.append(f"{prefix}{name}={_escaped(plain)}")
        else:
            result.append(f"{prefix}{name}={_escaped(value)}")
    return result


def _escaped(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value).replace(",", ",,")
