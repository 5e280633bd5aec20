# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which device, which nodes: a disk in the block graph. Whatever acts on a disk asks here.

Names alone do not tell. A disk of the launch may have a node of any name, a ``-drive`` may have none, a snapshot puts a new node
on top, a mirror puts another in place, and a node below may carry other disks too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Iterable, Mapping

from ..errors import Conflict, Unsupported
from ..host import qemu_process as launched
from .hardware import PERIPHERAL, Device, Hardware, Node

FILTERS = ("mirror_top", "commit_top", "copy-before-write", "copy-on-read", "throttle", "compress", "preallocate")
"""Drivers of nodes that hold no data; a job that runs has put one of the first four on top of its disk."""


@dataclass(frozen=True)
class Stack:
    """A disk: its device, None where there is only a node, and its nodes.

    ``drive``: the name of the ``-drive`` that the device is on, whose nodes QEMU deletes with the device. ``top``: the node that
    the guest writes to. ``own``: the image that the disk was plugged or launched with, below its snapshots; ``certain`` is false
    where QEMU does not tell which that is, and ``top`` stands for it. ``images``: the names of all images from the top down.
    ``private``: the nodes that came only for this disk and have names to delete them by, parents first. ``users``: who else
    uses one of the nodes that would go with the disk. ``entry``: what ``query-block`` says of the device.
    """

    id: str
    device: Device | None = None
    drive: str | None = None
    top: Node | None = None
    own: Node | None = None
    certain: bool = True
    images: tuple[str, ...] = ()
    private: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    entry: Mapping[str, Any] = field(default_factory=dict)

    @property
    def has_snapshot(self) -> bool:
        """Whether another image stands on top of the disk's own."""
        return bool(self.top and self.own and self.own.name in self.images[1:])

    def refuse_users(self, what: str = "") -> None:
        """Raise Conflict where a job, an export, another device or another's node uses what would go with the disk."""
        if self.users:
            raise Conflict(
                f"The disk {self.id} is used by {', '.join(self.users)}{what}. End that first, or take another id.",
                users=list(self.users),
            )


def find(hardware: Hardware, disk_id: str) -> Stack:
    """The disk of this id. Raises Conflict where the id belongs to something else.

    It is the device with this id; or a device without an id on the drive or node of this name; or the node of this name.
    """
    device = hardware.device(disk_id)
    if device and "drive" not in device.types:
        raise Conflict(f"The id {disk_id} belongs to a {device.driver}, which is no disk. Take another id.")
    if device is None:
        device = _without_id(hardware, disk_id)
    if device is None:
        return _of_node(hardware, disk_id, hardware.nodes.get(disk_id), everything=False)
    entry = _entry(hardware, device)
    drive = str(entry.get("device", "")) or None
    top = hardware.drive_of(device) or hardware.nodes.get((entry.get("inserted") or {}).get("node-name", ""))
    images = tuple(chain(hardware, top))
    own, certain = _own(hardware, disk_id, device, drive, top, images)
    foreign = device.at_launch or own is None or own.name != disk_id
    private, users = _private(hardware, top, own, foreign, _names_of(device, drive))
    given = str(hardware.launched.get(disk_id, {}).get("drive", "")) if device.at_launch else disk_id
    left = hardware.nodes.get(given)
    if left and given not in below(hardware, top) and (given == disk_id or _is_launched(hardware, left)):
        old, others = _private(hardware, left, left, given != disk_id, ())  # a mirror has moved the disk away from it
        private += () if others else old
    return Stack(disk_id, device, drive, top, own, certain, images, private, users, entry)


def left_by(hardware: Hardware, disk_id: str) -> Stack:
    """The nodes that are left of a disk whose device is gone: its own, or those that it was launched with under other names."""
    name = str(hardware.launched.get(disk_id, {}).get("drive", ""))
    node = hardware.nodes.get(name)
    if disk_id in hardware.nodes or node is None or not _is_launched(hardware, node):
        return find(hardware, disk_id)
    stack = _of_node(hardware, disk_id, node, everything=True)
    return Stack(disk_id) if stack.users else stack  # somebody else has it by now


def chain(hardware: Hardware, node: Node | None) -> list[str]:
    """The names of *node* and of all images below it, from the top down, without filters."""
    names = []
    while node:
        is_filter = node.driver in FILTERS
        names += [] if is_filter else [node.name]
        below = node.children.get("backing") or (node.children.get("file") if is_filter else None)
        node = hardware.nodes.get(below or "")
    return names


def below(hardware: Hardware, top: Node | None) -> list[str]:
    """The names of *top* and of all nodes below it, whatever their role, parents before children."""
    order: list[str] = []

    def visit(name: str) -> None:
        node = hardware.nodes.get(name)
        if node and name not in order:
            for child in node.children.values():
                visit(child)
            order.append(name)

    visit(top.name if top else "")
    return order[::-1]


def _of_node(hardware: Hardware, disk_id: str, node: Node | None, everything: bool) -> Stack:
    """A disk that has no device."""
    _refuse_drive(hardware, disk_id)
    private, users = _private(hardware, node, node, everything, set())
    return Stack(disk_id, None, None, node, node, True, tuple(chain(hardware, node)), private, users)


def _without_id(hardware: Hardware, disk_id: str) -> Device | None:
    """The device without an id on the ``-drive`` or the node of this name."""
    for entry in hardware.block_devices:
        path = str(entry.get("qdev", ""))
        names = (entry["device"], (entry.get("inserted") or {}).get("node-name"))
        if path.startswith(f"{PERIPHERAL}-anon/") and disk_id in names:
            return hardware.device_at("/".join(path.split("/")[:4]))
    return None


def _refuse_drive(hardware: Hardware, name: str) -> None:
    """Raise where a ``-drive`` has the name and no device of that name, nor one without a name, is on it."""
    entry = next((one for one in hardware.block_devices if one["device"] == name), None)
    if entry and entry.get("qdev"):
        path = str(entry["qdev"])
        user = path if path.startswith("/machine/unattached") else path.replace(f"{PERIPHERAL}/", "").partition("/")[0]
        raise Conflict(f"{name} is the drive of the device {user}. Use id: {user}, or take another id.", device=user)
    if entry:
        raise Unsupported(
            f"{name} is a -drive of the launch without a device. Take another id, or remove it with qmp_command: "
            f"execute: human-monitor-command, arguments: {{command-line: drive_del {name}}}."
        )


def _entry(hardware: Hardware, device: Device) -> dict[str, Any]:
    """What ``query-block`` says of the device, which may have its backend in a device inside."""
    for entry in hardware.block_devices:
        qdev = str(entry.get("qdev", ""))
        if qdev in (device.id, device.path) or qdev.startswith(f"{device.path}/"):
            found: dict[str, Any] = entry
            return found
    return {}


def _names_of(device: Device, drive: str | None) -> set[str]:
    """What the block graph calls the device's use of its node; what begins with its path and a slash belongs to it too."""
    return {name for name in (device.id, device.path, drive) if name}


def _own(
    hardware: Hardware, disk_id: str, device: Device, drive: str | None, top: Node | None, images: tuple[str, ...]
) -> tuple[Node | None, bool]:
    """The disk's own image below its snapshots, and whether that is certain."""
    nodes = below(hardware, top)
    options = hardware.command_line.drives.get(drive or "", {})
    given = str(hardware.launched.get(disk_id, {}).get("drive", ""))
    for name in (disk_id, given, str(options.get("node-name", ""))):
        if name in nodes:
            # where the launch named a node above one that has the disk's id, that one may as well be a template
            ambiguous = name == disk_id and given in nodes and given != name and name in images
            return hardware.nodes[next(iter(chain(hardware, hardware.nodes[name])), name)], not ambiguous
    unnamed = [name for name in images if name.startswith("#")]
    if drive and unnamed:  # QEMU named what a -drive opened, and snapshots have names of their own
        return hardware.nodes[unnamed[0]], True
    return top, len(images) <= 1


def _is_launched(hardware: Hardware, node: Node) -> bool:
    """Whether the node is the very one of the command line, and not a later one of the same name."""
    options = hardware.command_line.nodes.get(node.name)
    if options is None:
        return False
    path = launched.filename(options, hardware.command_line.nodes)
    return path is None or path in node.filename


def _private(
    hardware: Hardware, top: Node | None, own: Node | None, everything: bool, names: Iterable[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The nodes to delete with the disk, and who else uses one of them.

    A node that carries others too stays, and all below it. Below the disk's own node stays what a task may have added for itself,
    unless *everything* came with the disk, as at launch.
    """
    nodes = below(hardware, top)
    parents: dict[str, set[str]] = {}
    for node in hardware.nodes.values():
        for child in node.children.values():
            parents.setdefault(child, set()).add(node.name)
    going: list[str] = []
    for name in nodes:
        if name == nodes[0] or parents.get(name, set()) <= set(going):
            going.append(name)
    if own and not everything:
        kept = set(below(hardware, own)[1:]) - {own.children.get("file", "")}
        going = [name for name in going if name not in kept or name.startswith("#")]
    names = set(names)
    exports = {one["node-name"]: f"export {one['id']}" for one in hardware.cache.ask_or([], "query-block-exports")}
    users = set()
    for name in going:
        others = [
            user
            for user in hardware.nodes[name].users
            if user not in names and not any(user.startswith(f"{own_name}/") for own_name in names)
        ]
        users |= {exports.get(name, user) if user == "block-backend" else user for user in others}
    if top and parents.get(top.name):
        users |= {f"the node {parent}" for parent in parents[top.name]}
    return tuple(name for name in going if not name.startswith("#")), tuple(sorted(users))
