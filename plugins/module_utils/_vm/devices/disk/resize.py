# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The step that gives a node another size."""

from __future__ import annotations

from ...errors import InvalidOption
from ...plan.plan import Command, Execute, Run, Step, wire


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


def check_shrink(node: str, size: int, desired: int, allow_shrink: bool) -> None:
    """Raise InvalidOption if a disk of *size* bytes would lose its end, unless that is allowed."""
    if desired < size and not allow_shrink:
        raise InvalidOption(
            f"The disk {node} has {size} bytes, and size {desired} would cut off its end. Set allow_shrink: true if the guest "
            "has shrunk its file systems before.",
            size=size,
            desired=desired,
        )
