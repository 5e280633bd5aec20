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
    """``block_resize``, with which QEMU itself would also shrink a disk. It is undone to the size that the image had.

    ``is_new``: whether an earlier step of the plan adds the node, so that nobody else knows it. ``sizes``: of such nodes, as they
    were read for an earlier step; see read_with.
    """

    def __init__(self, node: str, size: int, allow_shrink: bool, is_new: bool = False) -> None:
        self.node, self.size, self.allow_shrink, self.is_new = node, size, allow_shrink, is_new
        self.sizes: dict[str, int] = {}
        self.size_before: int | None = None

    def commands(self) -> list[Command]:
        return [wire("block_resize", {"node-name": self.node, "size": self.size})]

    def read_with(self, other: Resize) -> None:
        """Read the sizes of all nodes once for this step and an *other* one, if the plan adds both nodes before the first of
        them: QEMU has no question for one node."""
        self.sizes = other.sizes

    def apply(self, run: Run) -> None:
        if self.node not in self.sizes:
            nodes = run.read("query-named-block-nodes")
            self.sizes.update((node["node-name"], node["image"]["virtual-size"]) for node in nodes)
        size = self.sizes.pop(self.node, self.size)
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
