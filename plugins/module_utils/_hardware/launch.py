# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""QEMU's command line: the arguments that would give a VM the same device at its next start."""

from __future__ import annotations

import json
import re
from typing import Any, Mapping

from ..qmp import Version
from .errors import InvalidOption

_DEVICE_JSON_SINCE = (6, 2)
_NAME = re.compile(r"[A-Za-z0-9_.-]+\Z")


def blockdev_argument(arguments: Mapping[str, Any]) -> str:
    """The value of ``-blockdev``: JSON, as all supported versions take it."""
    return json.dumps(arguments)


def device_argument(arguments: Mapping[str, Any], version: Version) -> str:
    """The value of ``-device``: JSON where this QEMU takes it, else ``driver,key=value,…``."""
    if tuple(version) >= _DEVICE_JSON_SINCE:
        return json.dumps(arguments)
    rest = {name: value for name, value in arguments.items() if name != "driver"}
    return ",".join([_escaped(arguments["driver"]), *key_values(rest)])


def netdev_argument(arguments: Mapping[str, Any]) -> str:
    """The value of ``-netdev``: ``type,key=value,…``."""
    rest = {name: value for name, value in arguments.items() if name != "type"}
    return ",".join([_escaped(arguments["type"]), *key_values(rest)])


def object_argument(qom_type: str, object_id: str, properties: Mapping[str, Any]) -> str:
    """The value of ``-object``: ``type,id=…,key=value,…``."""
    return ",".join([_escaped(qom_type), *key_values({"id": object_id, **properties})])


def key_values(values: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Options in dotted ``key=value`` form; a list becomes ``key.0=…``, or one ``key=`` for each plain element."""
    result: list[str] = []
    for name, value in values.items():
        if not _NAME.match(name):
            raise InvalidOption(f"{name!r} is no name of an option of QEMU.")
        if isinstance(value, Mapping):
            result += key_values(value, f"{prefix}{name}.")
        elif isinstance(value, (list, tuple)):
            for element in value:
                # QEMU's lists of strings are on QMP lists of {"str": …} (hostfwd, guestfwd, dnssearch)
                plain = element.get("str", element) if isinstance(element, Mapping) else element
                result.append(f"{prefix}{name}={_escaped(plain)}")
        else:
            result.append(f"{prefix}{name}={_escaped(value)}")
    return result


def _escaped(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value).replace(",", ",,")
