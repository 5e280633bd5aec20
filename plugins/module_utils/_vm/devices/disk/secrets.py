# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The secret objects that come and go with a disk, and how they are told from a user's own of the same name.

A secret of ours is base64 text that begins with a line end. QEMU ignores it, and nobody else writes it.
"""

from __future__ import annotations

import base64
import re
from typing import Mapping

from ...errors import Conflict
from ...model.hardware import Hardware, Node
from ...plan.plan import Delete, Step
from ..objects.plans import add_object, delete_object

_MARK = "\n"


def left_over(hardware: Hardware, disk_id: str) -> list[str]:
    """The ids of the objects that have the name of a secret of this disk and that a run of ours has made."""
    return [
        name
        for name, kind in hardware.objects.items()
        if kind == "secret" and re.fullmatch(rf"{re.escape(disk_id)}\.([a-z-]*-)?secret", name) and _is_ours(hardware, name)
    ]


def key_of(hardware: Hardware, disk_id: str, node: Node) -> str | None:
    """The secret object that an encrypted node of the disk was opened with, as far as that is known: by the command line, or one
    of ours that has the name of the node or of the disk."""
    options = hardware.command_line.nodes.get(node.name, {})
    encrypt = options.get("encrypt")
    stated = [
        options.get("key-secret"),
        options.get("encrypt.key-secret"),
        encrypt.get("key-secret") if isinstance(encrypt, dict) else None,
    ]
    names = [str(name) for name in stated if name]
    if not names:
        names = [f"{name}.secret" for name in (node.name, disk_id) if f"{name}.secret" in left_over(hardware, name)]
    return next((name for name in names if name in hardware.objects), None)


def add_steps(
    hardware: Hardware, disk_id: str, secrets: Mapping[str, str], going: tuple[str, ...] = (), kept: str | None = None
) -> list[Step]:
    """The steps to have the objects *secrets*, id to data, and none that a killed run left; *going* are removed before, and the
    one that is *kept* stays.

    One that is there with the same data is used as it is: another run may be about to use it too. Raises Conflict for a
    user's own.
    """
    steps: list[Step] = [
        delete_object(name)
        for name in left_over(hardware, disk_id)
        if name not in (*going, kept) and not (name in secrets and _holds(hardware, name, secrets[name]))
    ]
    for name, data in secrets.items():
        if name in hardware.objects and name not in going:
            if _holds(hardware, name, data):
                continue
            if not _is_ours(hardware, name):
                raise Conflict(
                    f"The VM has an object {name}, which was not made for disk {disk_id} and would have to make way "
                    "for its secret. Remove it (qmp_object), or take another id.",
                    object=name,
                )
        steps.append(add_object(hardware, "secret", name, _marked(data)))
    return steps


def delete_steps(hardware: Hardware, names: list[str], restore: bool) -> list[Step]:
    """Remove these objects; with *restore*, each is put back when a later step fails."""
    steps: list[Step] = []
    for name in names:
        data, form = hardware.cache.qom_get(((f"/objects/{name}", "data"), (f"/objects/{name}", "format")), str)
        back = add_object(hardware, "secret", name, {"data": data, "format": form}) if restore and data and form else None
        steps.append(Delete("object-del", {"id": name}, back))
    return steps


def _marked(data: str) -> dict[str, str]:
    text = base64.b64encode(data.encode("utf-8", "surrogateescape")).decode("ascii")
    return {"data": _MARK + text, "format": "base64"}


def _is_ours(hardware: Hardware, name: str) -> bool:
    data, form = hardware.cache.qom_get(((f"/objects/{name}", "data"), (f"/objects/{name}", "format")), str)
    return form == "base64" and bool(data) and str(data).startswith(_MARK)


def _holds(hardware: Hardware, name: str, secret: str) -> bool:
    data, form = hardware.cache.qom_get(((f"/objects/{name}", "data"), (f"/objects/{name}", "format")), str)
    if form == "base64" and data:
        try:
            return base64.b64decode(data) == secret.encode("utf-8", "surrogateescape")
        except ValueError:
            return False
    return bool(data == secret)
