# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""QEMU's object model (QOM): any property of any object, read, compared and set."""

from __future__ import annotations

from typing import Any

from ...qmp import CommandError
from ..errors import InvalidOption
from ..model.hardware import Hardware
from ..model.values import known_part, nearest, typed
from ..plan.plan import Execute, Plan

SECRET = ("data", "rawdata")
"""The properties of a secret object that contain the secret in clear text."""


def plan_set(hardware: Hardware, path: str, name: str, value: Any) -> Plan:
    """Set the property *name* of the object at *path* to *value*, unless it has this value."""
    known = properties(hardware, path)
    _check_property(hardware, path, name, known)
    desired = typed(f"object {path}", {name: value}, known)[name]
    present = _get(hardware, path, name)
    if _same(present, desired):
        return Plan(before={name: present}, after={name: present})
    undo = None if present is None else Execute("qom-set", {"path": path, "property": name, "value": present})
    step = Execute("qom-set", {"path": path, "property": name, "value": desired}, undo)
    return Plan((step,), {name: present}, {name: desired})


def read(hardware: Hardware, path: str, name: str | None) -> dict[str, Any]:
    """One property; or, without *name*, all properties of the object with their types and those values that can be read."""
    known = properties(hardware, path)
    if name is not None:
        _check_property(hardware, path, name, known)
        return {"path": path, "property": name, "type": known[name], "value": _get(hardware, path, name)}
    names = [one for one in known if not known[one].startswith("child<") and one not in SECRET]
    values = dict(zip(names, hardware.cache.qom_get((path, one) for one in names)))
    return {"path": path, "properties": {one: {"type": kind, "value": values.get(one)} for one, kind in known.items()}}


def _check_property(hardware: Hardware, path: str, name: str, known: dict[str, str]) -> None:
    if name not in known:
        raise InvalidOption(f"The object {path} has no property {name!r}{nearest(name, known)}.")
    refuse_secret(hardware, path, name)


def refuse_secret(hardware: Hardware, path: str, name: str) -> None:
    """Raise InvalidOption for a property that contains the secret of a secret object: the result would show it."""
    if name in SECRET and str(_get(hardware, path, "type")).startswith("secret"):
        raise InvalidOption(
            f"The property {name} of {path} contains a secret, and the result would show it. To change the secret, remove the "
            "object with qmp_object and add it again with its option secret."
        )


def without_secrets(replies: Any) -> Any:
    """The reply of ``qom-list-get`` without the secrets of secret objects."""
    return [{**one, "properties": _without_secret(one["properties"])} for one in replies]


def _without_secret(listed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if not any(entry["name"] == "type" and str(entry.get("value")).startswith("secret") for entry in listed):
        return listed
    return [{name: value for name, value in entry.items() if name != "value" or entry["name"] not in SECRET} for entry in listed]


def properties(hardware: Hardware, path: str) -> dict[str, str]:
    """The properties of the object at *path*, name to type. Raises InvalidOption if the VM has no such object."""
    try:
        listed = hardware.cache.ask("qom-list", path=path)
    except CommandError as error:
        raise InvalidOption(f"path {path!r} is not an object of the VM: {error.desc}.") from error
    return {entry["name"]: entry["type"] for entry in listed}


def _get(hardware: Hardware, path: str, name: str) -> Any:
    return hardware.cache.qom_get([(path, name)])[0]


def _same(present: Any, desired: Any) -> bool:
    """Whether the members that the task sets have the same values; True and 1 are different."""
    return type(present) is type(desired) and bool(known_part(present, desired) == desired)
