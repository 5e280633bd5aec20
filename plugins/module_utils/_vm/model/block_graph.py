# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk in QEMU's block graph: its device and its nodes. Everything that acts on a disk finds it here.

Names do not identify a disk. A disk of the launch may have a node of any name, and a ``-drive`` may have no name for its node. A
snapshot puts a new node on top, a mirror replaces the top, and a node below may be part of other disks too.
"""

from __future__ import annotations

from dataclasses import field
from typing import Any, Iterable, Mapping

from ..errors import Conflict, Unsupported
from ..host import qemu_process as launched
from ..lazy import dataclass
from .hardware import PERIPHERAL, Device, Hardware, Node

_UNNAMED = "block-backend"
"""The user of a node for which QEMU has no name: an export, or a device that is being freed."""
FILTERS = ("mirror_top", "commit_top", "copy-before-write", "copy-on-read", "throttle", "compress", "preallocate")
"""Drivers of nodes that hold no data. A running job has put one of the first four on top of its disk."""


@dataclass(frozen=True)
class Disk:
    """A disk that the VM has: its device, None if there is only a node, and its nodes.

    ``drive``: the name of the ``-drive`` that the device uses; QEMU deletes the nodes of a ``-drive`` together with the device.
    ``top``: the node that the guest writes to. ``original``: the image that the disk was plugged or launched with, which is below
    its snapshots. ``certain`` is false if QEMU does not report which image that is; ``original`` is then ``top``.
    ``chain``: the names of all images from the top down. ``own_nodes``: the nodes that belong to this disk alone and have names
    by which they can be deleted, parents first. ``users``: what else uses a node that would be deleted with the disk.
    ``block_info``: the device's entry of ``query-block``.
    """

    id: str
    device: Device | None = None
    drive: str | None = None
    top: Node | None = None
    original: Node | None = None
    certain: bool = True
    chain: tuple[str, ...] = ()
    own_nodes: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    block_info: Mapping[str, Any] = field(default_factory=dict)

    @property
    def snapshots(self) -> tuple[str, ...]:
        """The names of the images on top of the original one, from the top down."""
        if self.original is None or self.original.name not in self.chain:
            return ()
        return self.chain[: self.chain.index(self.original.name)]

    @property
    def image(self) -> Node | None:
        """The original image as the options of a task describe it: whether the disk is read-only depends on the node on top,
        because every image below a snapshot is read-only."""
        if self.original is None or self.top is None:
            return None
        return self.original._replace(read_only=self.top.read_only)

    def refuse_users(self, consequence: str = "") -> None:
        """Raise Conflict if a job, an export, another device or another's node uses a node that would be deleted."""
        if self.users:
            raise Conflict(
                f"The disk {self.id} is used by {', '.join(self.users)}{consequence}. End that first, or use another id.",
                users=list(self.users),
            )


def find_disk(hardware: Hardware, disk_id: str) -> Disk:
    """The disk with this id. Raises Conflict if the id belongs to something else.

    It is the device with this id; or a device without an id that uses the drive or node of this name; or the node of this name.
    """
    device = hardware.device(disk_id)
    if device and "drive" not in device.types:
        raise Conflict(f"The id {disk_id} belongs to a {device.driver}, which is not a disk. Use another id.")
    if device is None:
        device = _device_without_id(hardware, disk_id)
    if device is None:
        return _disk_without_device(hardware, disk_id, hardware.nodes.get(disk_id), everything=False)
    block_info = _block_info(hardware, device)
    drive = str(block_info.get("device", "")) or None
    top = hardware.drive_of(device) or hardware.nodes.get((block_info.get("inserted") or {}).get("node-name", ""))
    chain = tuple(backing_chain(hardware, top))
    original, certain = _original(hardware, disk_id, device, drive, top, chain)
    everything = device.at_launch or original is None or original.name != disk_id
    own_nodes, users = _own_nodes(hardware, top, original, everything, _names_of(device, drive))
    given = str(hardware.launched.get(disk_id, {}).get("drive", "")) if device.at_launch else disk_id
    left = hardware.nodes.get(given)
    if left and given not in subtree(hardware, top) and (given == disk_id or _is_launched(hardware, left)):
        # a mirror has moved the disk from this node to another one
        old_nodes, old_users = _own_nodes(hardware, left, left, given != disk_id, ())
        own_nodes += () if old_users else old_nodes
    return Disk(disk_id, device, drive, top, original, certain, chain, own_nodes, users, block_info)


def find_leftover(hardware: Hardware, disk_id: str) -> Disk:
    """What is left of a disk whose device is gone: its nodes, also those that it was launched with under other names.

    Raises Conflict while QEMU has not yet freed them.
    """
    name = str(hardware.launched.get(disk_id, {}).get("drive", ""))
    node = hardware.nodes.get(name)
    if disk_id in hardware.nodes or node is None or not _is_launched(hardware, node):
        return find_disk(hardware, disk_id)
    disk = _disk_without_device(hardware, disk_id, node, everything=True)
    if _UNNAMED in disk.users:  # QEMU frees what is behind a device a moment after the device is gone
        raise Conflict(f"The device of disk {disk_id} is gone, but QEMU still uses its node {name}. Run the task again.")
    return Disk(disk_id) if disk.users else disk  # something else uses it now


def backing_chain(hardware: Hardware, node: Node | None) -> list[str]:
    """The names of *node* and of all images below it, from the top down, without filters."""
    names = []
    while node:
        is_filter = node.driver in FILTERS
        names += [] if is_filter else [node.name]
        below = node.children.get("backing") or (node.children.get("file") if is_filter else None)
        node = hardware.nodes.get(below or "")
    return names


def subtree(hardware: Hardware, top: Node | None) -> list[str]:
    """The names of *top* and of all nodes below it, in whatever role, parents before children."""
    order: list[str] = []

    def visit(name: str) -> None:
        node = hardware.nodes.get(name)
        if node and name not in order:
            for child in node.children.values():
                visit(child)
            order.append(name)

    visit(top.name if top else "")
    return order[::-1]


def _disk_without_device(hardware: Hardware, disk_id: str, node: Node | None, everything: bool) -> Disk:
    _refuse_drive(hardware, disk_id)
    own_nodes, users = _own_nodes(hardware, node, node, everything, set())
    return Disk(disk_id, None, None, node, node, True, tuple(backing_chain(hardware, node)), own_nodes, users)


def _device_without_id(hardware: Hardware, disk_id: str) -> Device | None:
    """The device without an id that uses the ``-drive`` or the node of this name."""
    for entry in hardware.block_devices:
        path = str(entry.get("qdev", ""))
        names = (entry["device"], (entry.get("inserted") or {}).get("node-name"))
        if path.startswith(f"{PERIPHERAL}-anon/") and disk_id in names:
            return hardware.device_at("/".join(path.split("/")[:4]))
    return None


def _refuse_drive(hardware: Hardware, name: str) -> None:
    """Raise if there is a ``-drive`` of this name that no device of this name, nor a device without an id, uses."""
    entry = next((one for one in hardware.block_devices if one["device"] == name), None)
    if entry and entry.get("qdev"):
        path = str(entry["qdev"])
        user = path if path.startswith("/machine/unattached") else path.replace(f"{PERIPHERAL}/", "").partition("/")[0]
        raise Conflict(f"{name} is the drive of the device {user}. Set id: {user}, or use another id.", device=user)
    if entry:
        raise Unsupported(
            f"{name} is a -drive of the launch that no device uses. Use another id, or remove the drive with qmp_command: "
            f"execute: human-monitor-command, arguments: {{command-line: drive_del {name}}}."
        )


def _block_info(hardware: Hardware, device: Device) -> dict[str, Any]:
    """The entry of ``query-block`` for the device, which may have its backend in a device inside of it."""
    for entry in hardware.block_devices:
        qdev = str(entry.get("qdev", ""))
        if qdev in (device.id, device.path) or qdev.startswith(f"{device.path}/"):
            found: dict[str, Any] = entry
            return found
    return {}


def _names_of(device: Device, drive: str | None) -> set[str]:
    """The names under which the block graph has the device as the user of its node. A name that begins with one of them and a
    slash is the device's too."""
    return {name for name in (device.id, device.path, drive) if name}


def _original(
    hardware: Hardware, disk_id: str, device: Device, drive: str | None, top: Node | None, chain: tuple[str, ...]
) -> tuple[Node | None, bool]:
    """The image that the disk was plugged or launched with, and whether it certainly is that one."""
    nodes = subtree(hardware, top)
    options = hardware.command_line.drives.get(drive or "", {})
    given = str(hardware.launched.get(disk_id, {}).get("drive", ""))
    for name in (disk_id, given, str(options.get("node-name", ""))):
        if name in nodes:
            # if the launch named a node above one that has the disk's id, the latter may as well be a template
            ambiguous = name == disk_id and given in nodes and given != name and name in chain
            return hardware.nodes[next(iter(backing_chain(hardware, hardware.nodes[name])), name)], not ambiguous
    unnamed = [name for name in chain if name.startswith("#")]
    if drive and unnamed:  # QEMU named the node of a -drive itself, and snapshots have names of their own
        return hardware.nodes[unnamed[0]], True
    return top, len(chain) <= 1


def _is_launched(hardware: Hardware, node: Node) -> bool:
    """Whether the node is the one of the command line, and not a later one of the same name."""
    options = hardware.command_line.nodes.get(node.name)
    if options is None:
        return False
    path = launched.filename(options, hardware.command_line.nodes)
    return path is None or path in node.filename


def _own_nodes(
    hardware: Hardware, top: Node | None, original: Node | None, everything: bool, names: Iterable[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The nodes to delete with the disk, and what else uses one of them. *names* are those of the disk as a user of nodes.

    A node that is part of another disk stays, and everything below it. Nodes below the original image stay too, because another
    task may have added them, unless *everything* came with the disk, as at launch.
    """
    nodes = subtree(hardware, top)
    parents: dict[str, set[str]] = {}
    for node in hardware.nodes.values():
        for child in node.children.values():
            parents.setdefault(child, set()).add(node.name)
    deleted: list[str] = []
    for name in nodes:
        if name == nodes[0] or parents.get(name, set()) <= set(deleted):
            deleted.append(name)
    if original and not everything:
        kept = set(subtree(hardware, original)[1:]) - {original.children.get("file", "")}
        deleted = [name for name in deleted if name not in kept or name.startswith("#")]
    names = set(names)
    exports = {one["node-name"]: f"export {one['id']}" for one in hardware.cache.ask_or([], "query-block-exports")}
    users = set()
    for name in deleted:
        others = [
            user
            for user in hardware.nodes[name].users
            if user not in names and not any(user.startswith(f"{own_name}/") for own_name in names)
        ]
        users |= {exports.get(name, user) if user == _UNNAMED else user for user in others}
    if top and parents.get(top.name):
        users |= {f"the node {parent}" for parent in parents[top.name]}
    return tuple(name for name in deleted if not name.startswith("#")), tuple(sorted(users))
