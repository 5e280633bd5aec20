# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps that add the block node of a disk, and that resize it."""

from __future__ import annotations

from ...errors import Conflict, InvalidOption
from ...model.block_graph import Disk
from ...model.hardware import Hardware
from ...plan.plan import Command, Delete, Execute, Run, Step, wire
from . import secrets
from .backend import can_resize
from .checks import check_shrink
from .spec import DiskSpec, blockdev_arguments


class Resize(Step):
    """``block_resize``, with which QEMU itself would also shrink a disk. It is undone to the size that the image had."""

    def __init__(self, node: str, size: int, allow_shrink: bool) -> None:
        self.node, self.size, self.allow_shrink = node, size, allow_shrink
        self.size_before: int | None = None

    def commands(self) -> list[Command]:
        return [wire("block_resize", {"node-name": self.node, "size": self.size})]

    def apply(self, run: Run) -> None:
        nodes = run.read("query-named-block-nodes")
        size = next((node["image"]["virtual-size"] for node in nodes if node["node-name"] == self.node), self.size)
        check_shrink(self.node, size, self.size, self.allow_shrink)
        run.execute("block_resize", {"node-name": self.node, "size": self.size})
        self.size_before = size

    def undo(self) -> Step | None:
        if self.size_before is None:
            return None
        return Execute("block_resize", {"node-name": self.node, "size": self.size_before})


def node_steps(hardware: Hardware, spec: DiskSpec, driver: str, removed: tuple[str, ...] = ()) -> list[Step]:
    """Add the node and its secrets, and give it the size. *removed* are secret objects that earlier steps remove."""
    steps = secrets.add_steps(hardware, spec.id, spec.secrets, removed, spec.key_secret)
    steps.append(Execute("blockdev-add", blockdev_arguments(spec, driver), Delete("blockdev-del", {"node-name": spec.id})))
    if spec.size is not None:
        steps.append(Resize(spec.id, spec.size, spec.allow_shrink))
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
