# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk on QEMU's command line, in its present state: with its snapshots, after a mirror, with limits.

For a QEMU that is started with these arguments, the task that has added the disk changes nothing, and the guest reads the same
bytes.
"""

from __future__ import annotations

from typing import Any

from ...model.block_graph import Disk, subtree
from ...model.hardware import Hardware, Node
from ...plan.command_line import SECRET_FILE, blockdev_argument, device_argument, key_values, object_argument
from ..current import current_arguments
from . import throttle
from .backend import backend_of, node_arguments
from .secrets import key_of
from .spec import DiskSpec, blockdev_arguments


def launch_args(hardware: Hardware, spec: DiskSpec, driver: str, disk: Disk, arguments: dict[str, Any] | None) -> tuple[str, ...]:
    """The arguments for the disk as it will be; *arguments* are those of ``device_add`` for a new device. They are empty if QEMU
    does not report enough of what it has."""
    nodes = _nodes(hardware, spec, driver, disk)
    if nodes is None or (not nodes and spec.attach and disk.top):
        return ()
    args: list[str] = []
    for secret in _secrets(nodes):
        args += ["-object", object_argument("secret", secret, {"file": SECRET_FILE})]
    top = str(nodes[-1]["node-name"]) if nodes else None
    if not spec.attach:
        return (*args, *_blockdevs(nodes))
    if arguments is None and disk.device:
        arguments = {
            **current_arguments(hardware, disk.device),
            "id": spec.id,
            **spec.frontend.specified(hardware, disk.device.driver),
        }
    limits = throttle.in_force(throttle.present(disk.block_info) if spec.limits is None else spec.limits)
    drive = {} if top is None else {"drive": top}
    if limits and nodes:
        if isinstance(nodes[-1].get("file"), str):  # a -drive cannot refer to a node by name
            inline = backend_of(hardware, hardware.nodes[str(disk.top.name)]) if disk.top else None
            if inline is None:
                return ()
            nodes = [*(node for node in nodes[:-1] if node["node-name"] != nodes[-1]["file"]), {**nodes[-1], "file": inline}]
        args += _blockdevs(nodes[:-1])
        drive = {"drive": f"{spec.id}.drive"}
        flat = {"if": "none", "id": drive["drive"], **nodes[-1], **throttle.launch_options(limits)}
        args += ["-drive", ",".join(key_values(flat))]
    else:
        args += _blockdevs(nodes)
    if arguments:
        args += ["-device", device_argument({**arguments, **drive}, hardware.version)]
    return tuple(args)


def _blockdevs(nodes: list[dict[str, Any]]) -> list[str]:
    return [word for node in nodes for word in ("-blockdev", blockdev_argument(node))]


def _nodes(hardware: Hardware, spec: DiskSpec, driver: str, disk: Disk) -> list[dict[str, Any]] | None:
    """The arguments of each node that needs a name, children before parents; None if QEMU does not report one of them."""
    original, top = disk.original, disk.top
    if top and top.name.startswith("#") and disk.chain:  # the filter of a job does not belong to the disk
        top = hardware.nodes.get(disk.chain[0])
    if original is None or top is None:
        return [] if spec.backend is None else [blockdev_arguments(spec, driver)]
    # by its id the next QEMU finds the disk's node
    named = {original.name: spec.id} if original.name.startswith("#") or disk.snapshots else {}
    nodes: list[dict[str, Any]] = []
    for name in reversed(subtree(hardware, top)):
        if name.startswith("#") and name not in named:
            continue
        node = hardware.nodes[name]
        reported = node_arguments(hardware, node, key_of(hardware, spec.id, node), named)
        if name == original.name and spec.backend is not None:
            reported = _with_specified(spec, driver, original, reported or {})
        if reported is None:
            return None
        nodes.append(reported)
    return nodes


def _with_specified(spec: DiskSpec, driver: str, original: Node, reported: dict[str, Any]) -> dict[str, Any]:
    """The original node as QEMU has *reported* it, with what only the task specifies."""
    specified = {
        name: value for name, value in blockdev_arguments(spec, driver).items() if name not in ("node-name", "read-only")
    }
    if isinstance(reported.get("file"), str):  # its protocol node has a name of its own
        del specified["file"]
    return {"driver": original.driver, "node-name": spec.id, "read-only": original.read_only, **reported, **specified}


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
