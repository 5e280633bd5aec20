# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The names and values that QEMU takes, checked and typed before anything is sent.

QEMU itself does not protect its user: version 10 takes any device id and makes devices that can never be removed, 7.2 and
8.2 convert wrong JSON types in silence while 9.2 and later refuse them.
"""

from __future__ import annotations

import re
from typing import Any, Collection, Mapping

from ..errors import InvalidOption

NODE_NAME_MAX = 31
"""Bytes of a block node's name (QEMU: ``BlockDriverState.node_name[32]``)."""

_ID = re.compile(r"[A-Za-z][A-Za-z0-9._-]*\Z")
_MAC = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}\Z")
_SIZE = re.compile(r"(\d+)([KMGTPE]?)\Z", re.IGNORECASE)
_INTEGER_TYPES = re.compile(r"u?int\d*\Z|size\d*\Z|uint\d+_t\Z|int\d+_t\Z")
_CHOICES = re.compile(r"(?:\A|[ (])(\w+(?:/\w+)+)\)?\Z")
_HEXADECIMAL = {"mac", "host", "uuid", "dev_id"}
_TRUE = {"on", "yes", "true", "1"}
_FALSE = {"off", "no", "false", "0"}


def check_id(value: str, option: str = "id", longest: int | None = None) -> str:
    """Return *value* if it is a well-formed QEMU id, raise InvalidOption if not."""
    if not _ID.match(value):
        raise InvalidOption(
            f"{option} {value!r} is not a QEMU id: start with a letter and go on with letters, digits, '.', '_' or '-'."
        )
    if longest is not None and len(value) > longest:
        raise InvalidOption(
            f"{option} {value!r} has {len(value)} characters; it names a block node, which takes {longest} at most."
        )
    return value


def check_mac(value: str) -> str:
    """Return *value* in lower case if it is a unicast MAC address, raise InvalidOption if not."""
    if value.isdigit():
        raise InvalidOption(f"mac {value} is a number: YAML reads some MAC addresses as one (base 60), so put it in quotes.")
    if not _MAC.match(value):
        raise InvalidOption(f"mac {value!r} is not a MAC address: write six pairs of hex digits, such as 52:54:00:12:34:56.")
    if int(value[:2], 16) & 1:
        raise InvalidOption(f"mac {value!r} is a multicast address: the first byte of a NIC's address is even.")
    if not value.strip("0:"):
        raise InvalidOption(f"mac {value!r} is not an address for QEMU, which would choose one: omit mac for that.")
    return value.lower()


def typed(
    owner: str, values: Mapping[str, Any], known: Mapping[str, str], called: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return *values* in the JSON types that the properties of *owner* have.

    *known* maps each property to its type: a QOM type name, as ``device-list-properties`` gives it, or a JSON type. An
    unknown property is refused here, with the nearest known name, for QEMU would refuse it only half way. *called* are the names
    that messages give to properties which the task knows by another.
    """
    called = called or {}
    result = {}
    for name, value in values.items():
        if name not in known:
            raise InvalidOption(f"The {owner} has no property {name!r}{nearest(name, known)}.")
        result[name] = _typed(owner, called.get(name, name), value, known[name])
    return result


def known_part(now: Any, desired: Any) -> Any:
    """Of a structure, such as a throttle group's limits, only the members that the task states."""
    return {name: now.get(name) for name in desired} if isinstance(desired, dict) and isinstance(now, dict) else now


def nearest(name: str, known: Collection[str]) -> str:
    """A half sentence that names what *name* may have been meant to be, or nothing."""
    import difflib  # only here: few tasks have a name that is wrong

    close = difflib.get_close_matches(name, known, n=1)
    return f"; the nearest is {close[0]!r}" if close else ""


def check_enums(owner: str, values: Mapping[str, Any], descriptions: Mapping[str, str]) -> dict[str, Any]:
    """Return *values*, those of enumerations as QEMU spells them; raise InvalidOption for one that it does not have.

    What an enumeration has is known from the *descriptions* of the properties alone: ``on/off/auto``, ``Error handling
    policy (report/ignore/enospc/stop/auto)``.
    """
    result = {}
    for name, value in values.items():
        listed = _CHOICES.search(descriptions.get(name, ""))
        choices = listed.group(1).split("/") if listed else []
        word = str(value)
        if choices and word not in choices:
            if word.lower() not in choices:
                raise InvalidOption(f"The property {name!r} of the {owner} is one of {', '.join(choices)}, not {value!r}.")
            word = word.lower()
        result[name] = word if choices else value
    return result


def same_value(name: str, type_name: str, now: Any, desired: Any) -> bool:
    """Whether a property that reads back as *now* is as it was *desired*.

    Links read back as QOM paths, the addresses of hardware in lower case, the host's PCI addresses with their domain, and what
    was negative as an unsigned number. Everything else, such as a serial number, is as it was given.
    """
    if isinstance(now, str) and isinstance(desired, str):
        if type_name.startswith("link<"):
            return now.rsplit("/", 1)[-1] == desired.rsplit("/", 1)[-1]
        if name in _HEXADECIMAL:
            return _hexadecimal(name, now) == _hexadecimal(name, desired)
    if type_name in ("uint64", "size") and isinstance(now, int) and isinstance(desired, int):
        return now % (1 << 64) == desired % (1 << 64)
    return bool(now == desired)


def _hexadecimal(name: str, text: str) -> str:
    text = text.lower()
    if name == "host" and text.count(":") == 1:
        return f"0000:{text}"
    return text.replace("-", ":") if name == "mac" else text


def _typed(owner: str, name: str, value: Any, type_name: str) -> Any:
    if type_name in ("bool", "boolean"):
        return _boolean(owner, name, value)
    if _INTEGER_TYPES.match(type_name):
        return _integer(owner, name, value, type_name)
    if type_name == "OnOffAuto" and str(value).lower() in _TRUE | _FALSE:
        return "on" if str(value).lower() in _TRUE else "off"
    if isinstance(value, bool):
        # YAML reads a bare on or off as a boolean; QEMU's enumerations (OnOffAuto) want the word.
        return "on" if value else "off"
    if type_name in ("str", "string") and isinstance(value, (list, dict)):
        raise InvalidOption(f"The property {name!r} of the {owner} is a text, not {value!r}.")
    if isinstance(value, (int, float)) and (type_name.startswith("str") or type_name == "OnOffAuto"):
        return str(value)
    return value


def _boolean(owner: str, name: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    word = str(value).lower()
    if word not in _TRUE | _FALSE:
        raise InvalidOption(f"The property {name!r} of the {owner} is a boolean, not {value!r}.")
    return word in _TRUE


def _integer(owner: str, name: str, value: Any, type_name: str) -> int:
    number = value if isinstance(value, int) and not isinstance(value, bool) else _number(owner, name, str(value), type_name)
    least, most = _range(type_name)
    if not least <= number <= most:
        raise InvalidOption(f"The property {name!r} of the {owner} is a number from {least} to {most}, not {value!r}.")
    return number


def _number(owner: str, name: str, text: str, type_name: str) -> int:
    size = _SIZE.match(text)
    try:
        if size and (not size.group(2) or type_name.startswith("size")):
            return int(size.group(1)) << (10 * " KMGTPE".index((size.group(2) or " ").upper()))
        return int(text, 0)
    except ValueError:
        raise InvalidOption(f"The property {name!r} of the {owner} is a whole number, not {text!r}.") from None


def _range(type_name: str) -> tuple[int, int]:
    """What a number of this type can be. QEMU takes a negative one for uint64, and JSON's int is for all."""
    digits = re.search(r"\d+", type_name)
    bits = int(digits.group()) if digits else 64
    if type_name.startswith("int") and digits:
        return -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    negative = bits == 64 and not type_name.startswith("size")
    return -(1 << 63) if negative else 0, (1 << bits) - 1
