# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The arguments of a block job's command, and the checks of the nodes that it reads and writes."""

from __future__ import annotations

from typing import Any, Mapping

from ...errors import Conflict, InvalidOption
from ...model.block_graph import Disk, backing_chain, find_disk
from ...model.hardware import Hardware, Node
from .spec import STREAM, JobSpec

_COPIES = ("full", "top")
"""The values of ``sync`` with which the target of a mirror can replace the disk; with any other it is incomplete."""
_LEAST_ALLOCATED = 1 << 20
"""Bytes that a disk must hold for the progress of a mirror to be compared with them."""


def root_node(hardware: Hardware, spec: JobSpec) -> Node:
    """The top node of what the job works on. Raises InvalidOption."""
    return _disk(hardware, spec)[1]


def _disk(hardware: Hardware, spec: JobSpec) -> tuple[Disk, Node]:
    """The disk that the job works on, which the task names by the disk's id or by a block node, and its top node."""
    if spec.disk is None:
        raise InvalidOption(f"Job {spec.id} needs disk: set the id of a disk, or the name of a block node.")
    disk = find_disk(hardware, spec.disk)
    if disk.top is None:
        raise InvalidOption(f"disk {spec.disk!r} is neither a disk nor a block node of the VM. Set the id of a disk.")
    return disk, disk.top


def job_arguments(hardware: Hardware, spec: JobSpec) -> dict[str, Any]:
    """The arguments that start the job. Raises InvalidOption, Conflict."""
    root = root_node(hardware, spec)
    arguments: dict[str, Any] = {"job-id": spec.id, "device": root.name, "auto-dismiss": spec.type == STREAM}
    if spec.type == STREAM:
        arguments["auto-finalize"] = False
    if spec.type in ("mirror", "backup"):
        target = _target(hardware, spec, root)
        arguments.update({"target": target.name, "sync": spec.sync})
    else:
        base = base_node(hardware, spec, root)
        arguments.update({} if base is None else {"base-node": base})
    if spec.speed is not None:
        arguments["speed"] = spec.speed
    return with_options(spec, arguments)


def with_options(spec: JobSpec, arguments: dict[str, Any]) -> dict[str, Any]:
    """*arguments* and those in the option ``options``. Raises InvalidOption for one that is in both."""
    for name in spec.options:
        if name in arguments:
            raise InvalidOption(f"options contains {name!r}, which this module sets itself. Remove it.")
    return {**arguments, **spec.options}


def _target(hardware: Hardware, spec: JobSpec, root: Node) -> Node:
    """The node to copy to. Raises for one that is in use or cannot be written: QEMU would overwrite it, or reject it late."""
    add = "Add one with qmp_blockdev and attach: false."
    if spec.target is None:
        raise InvalidOption(f"A {spec.type} needs target: the name of a block node. {add}")
    target = hardware.nodes.get(spec.target)
    if target is None:
        raise InvalidOption(f"target {spec.target!r} is not a block node of the VM. {add}")
    if target.name in backing_chain(hardware, root):
        raise InvalidOption(f"The target {target.name} belongs to the disk {spec.disk} itself. Set another block node.")
    parents = [f"the node {node.name}" for node in hardware.nodes.values() if target.name in node.children.values()]
    users = sorted({*target.users, *parents})
    if users:
        raise Conflict(
            f"The target {target.name} is used by {', '.join(users)}, and would be overwritten. Set a block node that nothing "
            "uses.",
            users=users,
        )
    if target.read_only:
        raise InvalidOption(f"The target {target.name} is read-only. Add it again without read_only: true.")
    if target.size < root.size:
        raise InvalidOption(
            f"The target {target.name} has {target.size} bytes, but the disk has {root.size}. Make the target as large as the "
            "disk."
        )
    return target


def base_node(hardware: Hardware, spec: JobSpec, root: Node) -> str | None:
    """The node to end at. The default of a commit is the disk's own node, so that an image below it, such as a template, stays
    as it is. Raises InvalidOption if that is not known."""
    if spec.base is not None or spec.type != "commit":
        return spec.base
    disk, _top = _disk(hardware, spec)
    if disk.device is None:  # the task names a node: the disk that has it determines which image is its own
        disks = (find_disk(hardware, device.id) for device in hardware.devices if device.id and "drive" in device.properties)
        disk = next((one for one in disks if root.name in one.chain), disk)
    own = disk.original.name if disk.original else root.name
    images = backing_chain(hardware, root)
    if not disk.certain or own not in images:
        raise InvalidOption(
            f"QEMU does not report which image the disk {disk.id} had before its first snapshot, and the images below that one "
            f"must not change. Set base to the image to commit to: {', '.join(images[1:]) or root.name}."
        )
    return own


def refuse_incomplete_copy(hardware: Hardware, spec: JobSpec, running: Mapping[str, Any] | None) -> None:
    """Raise if the target of a mirror would replace the disk, and has only a part of the disk's data."""
    if spec.type == "mirror" and spec.sync not in _COPIES:
        raise InvalidOption(
            f"With sync: {spec.sync} the mirror {spec.id} does not copy the whole disk, so its target cannot replace the disk. "
            "Set sync: full. To only keep the copy, set state: ready or state: started."
        )
    if spec.type == "mirror" and spec.sync == "top":
        source, target = _images(hardware, root_node(hardware, spec)), _images(hardware, hardware.nodes.get(spec.target or ""))
        if target and source[1:] != target[1:]:
            raise InvalidOption(
                f"With sync: top the mirror {spec.id} copies only the topmost image, and the target {spec.target} is not an "
                "overlay of the images below it. Set sync: full, or create the target with the same backing file."
            )
    source_node = _mirrored(hardware, spec.id) if running else None
    if running and source_node and running["type"] == "mirror":
        allocated = int((source_node.details.get("image") or {}).get("actual-size", 0))
        copied = int(running["progress"]["total"])
        if allocated >= _LEAST_ALLOCATED and copied < allocated // 2:
            raise Conflict(
                f"The mirror {spec.id} has copied {copied} bytes, and the disk holds about {allocated}. The mirror was started "
                "to copy only parts (as with sync: none), so its target cannot replace the disk. Set state: cancelled.",
                copied=copied,
                allocated=allocated,
            )


def _images(hardware: Hardware, node: Node | None) -> list[str]:
    """The files of an image and of all images below it."""
    return [hardware.nodes[name].filename for name in backing_chain(hardware, node)]


def _mirrored(hardware: Hardware, job_id: str) -> Node | None:
    """The node that a running mirror copies: the one below the filter that the mirror has put on top of it."""
    for node in hardware.nodes.values():
        if node.driver == "mirror_top":
            names = [name for name in node.children.values() if name in hardware.nodes]
            if any(f"job {job_id}" in hardware.nodes[name].users for name in (node.name, *names)):
                images = backing_chain(hardware, node)
                return hardware.nodes[images[0]] if images else None
    return None
