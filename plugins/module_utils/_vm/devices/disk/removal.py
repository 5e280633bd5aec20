# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps that remove a disk, and those that restore it if its replacement fails."""

from __future__ import annotations

from ...errors import Conflict
from ...model.block_graph import Disk
from ...model.hardware import Hardware
from ...model.slots import refuse_unplug
from ...model.values import NODE_NAME_MAX
from ...plan.hotplug import Plug, Unplug
from ...plan.plan import Await, Delete, Execute, Run, Step, Steps
from ..current import current_arguments
from . import secrets, throttle
from .backend import node_arguments
from .checks import refuse_boot_disk


def removal_steps(hardware: Hardware, disk: Disk, force: bool, restore: bool = False) -> list[Step]:
    """The steps that remove the disk. With *restore*, each step can restore what it has removed. Raises Conflict, Unsupported."""
    device = disk.device
    if device:
        refuse_boot_disk(hardware, device, force)
        refuse_unplug(hardware, device, force)
    disk.refuse_users()
    objects = secrets.secrets_of(hardware, disk.id)
    steps: list[Step] = []
    if device:
        steps.append(Unplug(device.id or device.path, restoring_step(hardware, disk) if restore else None))
    steps += node_deletions(hardware, disk, restore)
    steps += [] if restore else trial_deletions(hardware, disk.id)
    return steps + secrets.delete_steps(hardware, objects, restore)


def node_deletions(hardware: Hardware, disk: Disk, restore: bool = False) -> list[Step]:
    """Delete the nodes that belong to the disk alone. QEMU deletes those of a ``-drive`` itself, a moment after the device."""
    steps: list[Step] = []
    for name in disk.own_nodes:
        undo = _added_again(hardware, disk, name) if restore else None
        steps.append(Delete("blockdev-del", {"node-name": name}, undo))
    if disk.device and disk.drive and disk.top:
        steps.append(_await_deletion(disk.top.name))
    return steps


def restoring_step(hardware: Hardware, disk: Disk) -> Step | None:
    """The step that plugs the device again with its present limits; None if QEMU does not report all that it takes."""
    device, top = disk.device, disk.top
    if device is None or device.id is None:
        return None
    if top is None:  # an empty drive
        return Plug(current_arguments(hardware, device))
    if any(_added_again(hardware, disk, name) is None for name in disk.own_nodes):
        return None
    steps: list[Step] = []
    drive = top.name
    if disk.drive or top.name.startswith("#"):  # QEMU deletes the nodes together with the device
        arguments = node_arguments(hardware, top, secrets.key_of(hardware, disk.id, top))
        if arguments is None:
            return None
        drive = device.id
        steps.append(Execute("blockdev-add", {**arguments, "node-name": drive}))
    steps.append(Plug({**current_arguments(hardware, device), "drive": drive}))
    limits = throttle.present(disk.block_info)
    if limits:
        steps.append(throttle.set_limits(throttle.backend_path(device.id, device.driver), limits, {}))
    return Steps(tuple(steps))


def trial_name(disk_id: str) -> str:
    """The name of the node by which QEMU tries whether it can open a new image."""
    return f"try-{disk_id}"[:NODE_NAME_MAX]


def trial_deletions(hardware: Hardware, disk_id: str) -> list[Step]:
    """Delete the node of a trial that a killed run has left: it is read-only and nothing uses it."""
    node = hardware.nodes.get(trial_name(disk_id))
    return [Delete("blockdev-del", {"node-name": node.name})] if node and node.read_only and not node.users else []


def _added_again(hardware: Hardware, disk: Disk, name: str) -> Step | None:
    node = hardware.nodes[name]
    arguments = node_arguments(hardware, node, secrets.key_of(hardware, disk.id, node))
    return Execute("blockdev-add", arguments) if arguments else None


def _await_deletion(node: str) -> Await:
    def is_deleted(run: Run) -> bool:
        return node not in {one["node-name"] for one in run.read("query-named-block-nodes")}

    return Await(
        is_deleted,
        lambda run: Conflict(
            f"The device was removed, but QEMU still has its block node {node} after {run.timeout:g} s. Run the task again."
        ),
    )
