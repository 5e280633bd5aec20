# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps that add the block node of a disk, and that resize it."""

from __future__ import annotations

from ...errors import Conflict, InvalidOption
from ...model.block_graph import Disk
from ...model.hardware import Hardware
from ...model.references import refuse_missing_nodes, refuse_missing_objects
from ...plan.plan import Delete, Execute, Step
from . import secrets
from .backend import can_resize
from .resize import Resize, check_shrink
from .spec import DiskSpec, blockdev_arguments


def node_steps(hardware: Hardware, spec: DiskSpec, driver: str, removed: tuple[str, ...] = ()) -> list[Step]:
    """Add the node and its secrets, and give it the size. *removed* are secret objects that earlier steps remove.

    Raises InvalidOption for a backend that refers to what the VM does not have.
    """
    steps = secrets.add_steps(hardware, spec.id, spec.secrets, removed, spec.key_secret)
    if spec.file is None:
        refuse_missing_nodes(hardware, "backend", spec.backend or {})
        refuse_missing_objects(hardware, "backend", spec.backend or {}, spec.secrets)
    steps.append(Execute("blockdev-add", blockdev_arguments(spec, driver), Delete("blockdev-del", {"node-name": spec.id})))
    if spec.size is not None:
        steps.append(Resize(spec.id, spec.size, spec.allow_shrink, is_new=True))
    return steps


def check_resize(hardware: Hardware, spec: DiskSpec, disk: Disk) -> None:
    """Raise Conflict or InvalidOption for a size that the disk cannot get."""
    top, size = disk.top, spec.size
    if top is None or size is None:
        return
    check_shrink(spec.id, top.size, size, spec.allow_shrink)
    if disk.users:
        raise Conflict(
            f"The disk {spec.id} cannot be resized while {', '.join(disk.users)} uses it. End that first.", users=list(disk.users)
        )
    if top.read_only:
        raise InvalidOption(f"The disk {spec.id} is read-only, so its size cannot be changed. Leave size out.")
    if not can_resize(hardware, top):
        raise InvalidOption(f"The disk {spec.id} has {top.size} bytes, and QEMU cannot resize its storage. Leave size out.")
