# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk on QEMU's command line, in the state that it is in: with its snapshots, after a mirror, with limits.

A QEMU that is started with it has nothing to do for the task that the disk was made with, and its guest reads the same bytes.
"""

from __future__ import annotations

from typing import Any

from ...model.block_graph import Stack, below
from ...model.hardware import Hardware, Node
from ...plan.command_line import blockdev_argument, device_argument, key_values, object_argument
from ..current import current_arguments
from ..objects.plans import SECRET_FILE
from . import throttle
from .backend import backend_of, node_arguments
from .secrets import key_of
from .spec import DiskSpec, blockdev_arguments


def launch_args(
    hardware: Hardware, disk: DiskSpec, driver: str, stack: Stack, arguments: dict[str, Any] | None
) -> tuple[str, ...]:
    """The arguments for the disk as it will be; *arguments* are those of ``device_add`` for a new device."""
    nodes = _nodes(hardware, disk, driver, stack)
    if nodes is None or (not nodes and disk.attach and stack.top):
        return ()  # QEMU does not report enough of what it has
    args: list[str] = []
    for secret in _secrets(nodes):
        args += ["-object", object_argument("secret", secret, {"file": SECRET_FILE})]
    top = str(nodes[-1]["node-name"]) if nodes else None
    if not disk.attach:
        return (*args, *_blockdevs(nodes))
    if arguments is None and stack.device:
        arguments = {
            **current_arguments(hardware, stack.device),
            "id": disk.id,
            **disk.frontend.specified(hardware, stack.device.driver),
        }
    limits = throttle.in_force(throttle.present(stack.entry) if disk.limits is None else disk.limits)
    drive = {} if top is None else {"drive": top}
    if limits and nodes:
        if isinstance(nodes[-1].get("file"), str):  # -drive takes no name of a node there
            inline = backend_of(hardware, hardware.nodes[str(stack.top.name)]) if stack.top else None
            if inline is None:
                return ()
            nodes = [*(node for node in nodes[:-1] if node["node-name"] != nodes[-1]["file"]), {**nodes[-1], "file": inline}]
        args += _blockdevs(nodes[:-1])
        drive = {"drive": f"{disk.id}.drive"}
        flat = {"if": "none", "id": drive["drive"], **nodes[-1], **throttle.launch_options(limits)}
        args += ["-drive", ",".join(key_values(flat))]
    else:
        args += _blockdevs(nodes)
    if arguments:
        args += ["-device", device_argument({**arguments, **drive}, hardware.version)]
    return tuple(args)


def _blockdevs(nodes: list[dict[str, Any]]) -> list[str]:
    return [word for node in nodes for word in ("-blockdev", blockdev_argument(node))]


def _nodes(hardware: Hardware, disk: DiskSpec, driver: str, stack: Stack) -> list[dict[str, Any]] | None:
    """The arguments of each node that is to have a name, children before parents; None where QEMU does not report one."""
    own, top = stack.own, stack.top
    if top and top.name.startswith("#") and stack.images:  # the filter of a job is not part of the disk
        top = hardware.nodes.get(stack.images[0])
    if own is None or top is None:
        return [] if disk.backend is None else [blockdev_arguments(disk, driver)]
    named = {own.name: disk.id} if own.name.startswith("#") or stack.has_snapshot else {}  # the next QEMU finds it by its name
    nodes: list[dict[str, Any]] = []
    for name in reversed(below(hardware, top)):
        if name.startswith("#") and name not in named:
            continue
        now = node_arguments(hardware, hardware.nodes[name], key_of(hardware, disk.id, hardware.nodes[name]), named)
        if name == own.name and disk.backend is not None:
            now = _with_task(disk, driver, own, now or {})
        if now is None:
            return None
        nodes.append(now)
    return nodes


def _with_task(disk: DiskSpec, driver: str, own: Node, now: dict[str, Any]) -> dict[str, Any]:
    """The disk's own node as QEMU reports it, *now*, with what only the task says of it."""
    stated = {name: value for name, value in blockdev_arguments(disk, driver).items() if name not in ("node-name", "read-only")}
    if isinstance(now.get("file"), str):  # its protocol node has a name of its own
        del stated["file"]
    return {"driver": own.driver, "node-name": disk.id, "read-only": own.read_only, **now, **stated}


def _secrets(nodes: list[dict[str, Any]]) -> list[str]:
    """The ids of all secret objects that the nodes refer to."""
    found: dict[str, None] = {}
    pending: list[Any] = list(nodes)
    while pending:
        one = pending.pop(0)
        for key, value in one.items():
            if isinstance(value, dict):
                pending.append(value)
            elif key.endswith("-secret") and isinstance(value, str):
                found[value] = None
    return list(found)
