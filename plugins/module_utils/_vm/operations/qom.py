# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""QEMU's object model: any property of any object, read, compared and set."""

from __future__ import annotations

from typing import Any

from ...qmp import CommandError
from ..errors import InvalidOption
from ..model.hardware import Hardware
from ..model.values import known_part, nearest, typed
from ..plan.plan import Execute, Plan

SECRET = ("data", "rawdata")
"""What holds the secret in a secret object, for all to read."""


def plan_set(hardware: Hardware, path: str, name: str, value: Any) -> Plan:
    """Have the property *name* of the object at *path* be *value*; taken back to what it was."""
    known = properties(hardware, path)
    if name not in known:
        raise InvalidOption(f"The object {path} has no property {name!r}{nearest(name, known)}.")
    refuse_secret(hardware, path, name)
    wanted = typed(f"object {path}", {name: value}, known)[name]
    now = _get(hardware, path, name)
    if _equal(now, wanted):
        return Plan(before={name: now}, after={name: now})
    undo = None if now is None else Execute("qom-set", {"path": path, "property": name, "value": now})
    return Plan((Execute("qom-set", {"path": path, "property": name, "value": wanted}, undo),), {name: now}, {name: wanted})


def read(hardware: Hardware, path: str, name: str | None) -> dict[str, Any]:
    """The value of one property, or of an object all properties with their types and the values that can be read."""
    known = properties(hardware, path)
    if name is not None:
        if name not in known:
            raise InvalidOption(f"The object {path} has no property {name!r}{nearest(name, known)}.")
        refuse_secret(hardware, path, name)
        return {"path": path, "property": name, "type": known[name], "value": _get(hardware, path, name)}
    names = [one for one in known if not known[one].startswith("child<") and one not in SECRET]
    values = dict(zip(names, hardware.cache.qom_get((path, one) for one in names)))
    return {"path": path, "properties": {one: {"type": kind, "value": values.get(one)} for one, kind in known.items()}}


def refuse_secret(hardware: Hardware, path: str, name: str) -> None:
    """Raise InvalidOption for the property that holds the secret of a secret object: it would be shown."""
    if name in SECRET and str(_get(hardware, path, "type")).startswith("secret"):
        raise InvalidOption(
            f"{name} of {path} is a secret, which would be shown. To have it hold another, remove the object by "
            "qmp_object and add it anew with its option secret."
        )


def without_secrets(replies: Any) -> Any:
    """The reply of ``qom-list-get`` without what secret objects in it hold."""
    return [{**one, "properties": _shown(one["properties"])} for one in replies]


def _shown(listed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if not any(entry["name"] == "type" and str(entry.get("value")).startswith("secret") for entry in listed):
        return listed
    return [{name: value for name, value in entry.items() if name != "value" or entry["name"] not in SECRET} for entry in listed]


def properties(hardware: Hardware, path: str) -> dict[str, str]:
    """The properties of the object at *path*, name to type. Raises InvalidOption where there is none."""
    try:
        listed = hardware.cache.ask("qom-list", path=path)
    except CommandError as error:
        raise InvalidOption(f"The VM has no object at {path!r}: {error.desc}.") from error
    return {entry["name"]: entry["type"] for entry in listed}


def _get(hardware: Hardware, path: str, name: str) -> Any:
    return hardware.cache.qom_get([(path, name)])[0]


def _equal(now: Any, wanted: Any) -> bool:
    """Whether they are the same in what the task states, True and 1 being two things."""
    return type(now) is type(wanted) and bool(known_part(now, wanted) == wanted)
