# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The secret objects that are added and removed with a disk.

A user may have an object of the same name. The data of a secret object that belongs to a disk is base64 text that begins with a
line end. QEMU ignores the line end, and nothing else writes it.
"""

from __future__ import annotations

import base64
import re
from typing import Mapping

from ...errors import Conflict
from ...model.hardware import Hardware, Node
from ...plan.plan import Delete, Step
from ..objects.steps import add_object, delete_object

_MARK = "\n"


def secrets_of(hardware: Hardware, disk_id: str) -> list[str]:
    """The ids of the secret objects that an earlier task has added for this disk."""
    return [
        name
        for name, kind in hardware.objects.items()
        if kind == "secret" and re.fullmatch(rf"{re.escape(disk_id)}\.([a-z-]*-)?secret", name) and _is_of_a_disk(hardware, name)
    ]


def key_of(hardware: Hardware, disk_id: str, node: Node) -> str | None:
    """The secret object that an encrypted node of the disk was opened with, as far as that is known: the one on the command line,
    or one that an earlier task has added for the node or the disk."""
    options = hardware.command_line.nodes.get(node.name, {})
    encrypt = options.get("encrypt")
    launched = [
        options.get("key-secret"),
        options.get("encrypt.key-secret"),
        encrypt.get("key-secret") if isinstance(encrypt, dict) else None,
    ]
    names = [str(name) for name in launched if name]
    if not names:
        names = [f"{name}.secret" for name in (node.name, disk_id) if f"{name}.secret" in secrets_of(hardware, name)]
    return next((name for name in names if name in hardware.objects), None)


def add_steps(
    hardware: Hardware, disk_id: str, secrets: Mapping[str, str], removed: tuple[str, ...] = (), kept: str | None = None
) -> list[Step]:
    """The steps to have the objects *secrets*, id to data, and no others of this disk, as a killed run leaves them.

    *removed* are objects that earlier steps remove, and the object *kept* stays. An object with the same data is used as it is,
    because another run may be about to use it too. Raises Conflict if a user has an object of the same name.
    """
    steps: list[Step] = [
        delete_object(name)
        for name in secrets_of(hardware, disk_id)
        if name not in (*removed, kept) and not (name in secrets and _has_data(hardware, name, secrets[name]))
    ]
    for name, data in secrets.items():
        if name in hardware.objects and name not in removed:
            if _has_data(hardware, name, data):
                continue
            if not _is_of_a_disk(hardware, name):
                raise Conflict(
                    f"The secret of the disk {disk_id} needs the object id {name}, and the VM has such an object that was not "
                    "added for this disk. Remove the object (qmp_object), or use another id for the disk.",
                    object=name,
                )
        steps.append(add_object(hardware, "secret", name, _marked(data)))
    return steps


def delete_steps(hardware: Hardware, names: list[str], restore: bool) -> list[Step]:
    """Remove these objects; with *restore*, each is restored if a later step fails."""
    steps: list[Step] = []
    for name in names:
        data, form = hardware.cache.qom_get(((f"/objects/{name}", "data"), (f"/objects/{name}", "format")), str)
        undo = add_object(hardware, "secret", name, {"data": data, "format": form}) if restore and data and form else None
        steps.append(Delete("object-del", {"id": name}, undo))
    return steps


def _marked(data: str) -> dict[str, str]:
    text = base64.b64encode(data.encode("utf-8", "surrogateescape")).decode("ascii")
    return {"data": _MARK + text, "format": "base64"}


def _is_of_a_disk(hardware: Hardware, name: str) -> bool:
    data, form = hardware.cache.qom_get(((f"/objects/{name}", "data"), (f"/objects/{name}", "format")), str)
    return form == "base64" and bool(data) and str(data).startswith(_MARK)


def _has_data(hardware: Hardware, name: str, secret: str) -> bool:
    data, form = hardware.cache.qom_get(((f"/objects/{name}", "data"), (f"/objects/{name}", "format")), str)
    if form == "base64" and data:
        try:
            return base64.b64decode(data) == secret.encode("utf-8", "surrogateescape")
        except ValueError:
            return False
    return bool(data == secret)
