# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks: a block node for the image, and the device through which the guest sees it.

The node is added in one ``blockdev-add`` with its protocol node inline, under the id of the disk; QEMU deletes the
inline node with it, so a disk is never left half made. The device has the same id.
"""

from __future__ import annotations

import json
import os
import re
import stat
from dataclasses import dataclass, field, replace
from typing import Any, Mapping

from . import throttle
from .device import Difference, Front, device_arguments, device_differences, recreated_arguments, refuse
from .errors import Conflict, InvalidOption, Unsupported
from .frontend import Unplug, plug
from .launch import blockdev_argument, device_argument, object_argument
from .model import PERIPHERAL, Device, Hardware, Node, natural
from .objects import SECRET_FILE, add_object, delete_object
from .plan import Command, Delete, Execute, Plan, Run, Step, wire
from .slots import PLACE_KEYS, default_driver, place_of
from .values import NODE_NAME_MAX, check_id

_SECRET_OPTION = re.compile(r"[a-z-]*-secret\Z")
_READ_ONLY_DRIVERS = {"scsi-cd", "ide-cd"}
_SERIAL_MAX = {"virtio-blk-pci": 20, "virtio-blk-ccw": 20, "virtio-blk-device": 20, "nvme": 20, "scsi-hd": 36}
"""Bytes of a serial number that the guest gets to see; QEMU cuts or refuses longer ones."""
_GUEST_PATHS = {
    "virtio-blk": "/dev/disk/by-id/virtio-{serial}",
    "scsi-hd": "/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_{serial}",
    "scsi-cd": "/dev/disk/by-id/scsi-0QEMU_QEMU_CD-ROM_{serial}",
    "nvme": "/dev/disk/by-id/nvme-QEMU_NVMe_Ctrl_{serial}",
}


@dataclass(frozen=True)
class Disk:
    """What a task says of a disk; None is not stated. ``backend`` is a blockdev protocol driver with its options,
    as ``blockdev-add`` takes it; ``size`` in bytes; ``limits`` as in throttle.py, 0 for none. ``passphrase`` opens an encrypted
    image, ``backend_secrets`` are passwords by the option of *backend* that names a secret object (``password-secret`` …)."""

    front: Front
    backend: dict[str, Any] | None = None
    format: str = "raw"
    read_only: bool | None = None
    cache_direct: bool | None = None
    cache_no_flush: bool | None = None
    discard: str | None = None
    detect_zeroes: str | None = None
    size: int | None = None
    limits: Mapping[str, int] | None = None
    passphrase: str | None = None
    backend_secrets: Mapping[str, str] = field(default_factory=dict)
    allow_shrink: bool = False
    attach: bool = True
    recreate: bool = False
    force: bool = False

    @property
    def id(self) -> str:
        return self.front.id

    @property
    def secrets(self) -> dict[str, str]:
        """The data of the secret objects that come and go with the disk, by id. No two disks share one: what follows the last
        dot is no id of a disk."""
        image = {} if self.passphrase is None else {f"{self.id}.secret": self.passphrase}
        return {**image, **{f"{self.id}.{option}": value for option, value in self.backend_secrets.items()}}


@dataclass
class Resize(Step):
    """``block_resize``, which QEMU would also let shrink; taken back to the size that the image had."""

    node: str
    size: int
    allow_shrink: bool
    was: int | None = None

    def commands(self) -> list[Command]:
        return [wire("block_resize", {"node-name": self.node, "size": self.size})]

    def apply(self, run: Run) -> None:
        nodes = run.read("query-named-block-nodes")
        size = next((node["image"]["virtual-size"] for node in nodes if node["node-name"] == self.node), self.size)
        check_shrink(self.node, size, self.size, self.allow_shrink)
        run.execute("block_resize", {"node-name": self.node, "size": self.size})
        self.was = size

    def undo(self) -> Step | None:
        return None if self.was is None else Execute("block_resize", {"node-name": self.node, "size": self.was})


def check_shrink(node: str, size: int, wanted: int, allow_shrink: bool) -> None:
    if wanted < size and not allow_shrink:
        raise InvalidOption(f"Disk {node} has {size} bytes; size {wanted} would cut off its end. Set allow_shrink: true "
                            "if the guest has shrunk what is on it.", size=size, wanted=wanted)


def file_backend(path: str, aio: str | None) -> dict[str, Any]:
    """The protocol node of an image file or a host's block device. Raises InvalidOption for a relative path."""
    if not path.startswith("/"):
        raise InvalidOption(f"file {path!r} is relative, and QEMU's working folder is not known: write the whole path.")
    backend = {"driver": "host_device" if _is_block_device(path) else "file", "filename": path}
    return {**backend, **({"aio": aio} if aio else {})}


def _is_block_device(path: str) -> bool:
    try:
        return stat.S_ISBLK(os.stat(path).st_mode)
    except ValueError:
        raise InvalidOption(f"file {path!r} is no path.") from None
    except OSError:  # not visible from here, as when the VM is on another host
        return path.startswith("/dev/")


def plan_present(hardware: Hardware, disk: Disk) -> Plan:
    """Have the disk, or, with ``attach`` false, its block node alone."""
    check_id(disk.id, longest=NODE_NAME_MAX)
    device = hardware.device(disk.id)
    node = _node_of(hardware, disk.id, device)
    if device and "drive" not in device.properties:
        raise Conflict(f"The id {disk.id} belongs to a {device.driver}, which is no disk. Take another id.")
    if node is None and disk.backend is None:
        raise InvalidOption(f"Disk {disk.id} does not exist yet: say with file or backend what is to be on it.")
    before = describe(hardware, disk.id)
    driver = disk.front.driver or (device.driver if device else default_driver(hardware, "virtio-blk") if disk.attach else "")
    disk = _with_serial(hardware, disk, driver, device)

    top = hardware.drive_of(device) if device else None
    top = top or node  # above the disk's own node where there are snapshots
    differences, unverified = _node_differences(hardware, disk, node, top, driver) if node and top else ([], [])
    if device and disk.attach:
        more, unread = device_differences(hardware, disk.front, device)
        differences, unverified = differences + more, unverified + unread
    if device and node is None:
        differences.append(Difference("file", None, (disk.backend or {}).get("filename", disk.id)))
    if differences and disk.recreate:
        return _recreated(hardware, disk, device, driver, before)
    refuse(f"Disk {disk.id}", differences)

    steps: list[Step] = []
    if device is None and node and disk.attach:
        _refuse_other_users(hardware, disk.id, [node.name])
    if node is None:
        steps += _node_steps(hardware, disk, driver)
    elif top and disk.size is not None and disk.size != top.size:
        check_shrink(disk.id, top.size, disk.size, disk.allow_shrink)
        steps.append(Resize(top.name, disk.size, disk.allow_shrink))
    arguments = None
    if disk.attach and device is None:
        arguments = device_arguments(hardware, disk.front, driver, {"drive": disk.id})
        steps += plug(arguments)
    elif device and not disk.attach:
        refuse_boot_disk(hardware, device, disk.force)
        if top and node and top.name != node.name:
            raise Conflict(f"The disk {disk.id} has the snapshot {top.name} on top, which would go with the device. Commit it "
                           "first (qmp_block_job).")
        steps.append(Unplug(disk.id))
    steps += _limit_steps(hardware, disk, driver, device)
    return Plan(tuple(steps), before, _after(disk, before, driver, arguments), tuple(unverified),
                _launch_args(hardware, disk, driver, arguments, device))


def _limit_steps(hardware: Hardware, disk: Disk, driver: str, device: Device | None) -> list[Step]:
    if disk.limits is None or not disk.attach:
        return []
    now = throttle.present(hardware, disk.id, driver) if device else {}
    wanted = throttle.in_force(disk.limits)
    return [throttle.set_limits(hardware, disk.id, driver, wanted, now)] if wanted != now else []


def plan_absent(hardware: Hardware, disk: Disk) -> Plan:
    """Have neither the device nor the block nodes that were only there for it."""
    check_id(disk.id)
    device = hardware.device(disk.id)
    if device and "drive" not in device.properties:
        raise Conflict(f"The id {disk.id} belongs to a {device.driver}, which is no disk. Take another id.")
    steps: list[Step] = []
    if device:
        refuse_boot_disk(hardware, device, disk.force)
        steps.append(Unplug(disk.id))
    nodes = _nodes_to_delete(hardware, disk.id, device)
    _refuse_other_users(hardware, disk.id, nodes)
    if device:
        _refuse_work_below(hardware, device)
    steps += [Delete("blockdev-del", {"node-name": name}) for name in nodes]
    steps += [delete_object(name) for name in _secrets_of(hardware, disk.id)]
    return Plan(tuple(steps), describe(hardware, disk.id), None)


def _secrets_of(hardware: Hardware, disk_id: str) -> list[str]:
    """The secret objects that came with a disk, also after a run that was killed before it made the node."""
    return [name for name, kind in sorted(hardware.objects.items())
            if kind == "secret" and re.fullmatch(rf"{re.escape(disk_id)}\.([a-z-]*-)?secret", name)]


def describe(hardware: Hardware, disk_id: str) -> dict[str, Any] | None:
    """The disk as it is now: device, place, node and image; None when there is neither device nor node."""
    device = hardware.device(disk_id)
    node = hardware.drive_of(device) if device else hardware.nodes.get(disk_id)
    if device is None and node is None:
        return None
    result: dict[str, Any] = {"id": disk_id, "attached": device is not None}
    if device:
        serial = device.properties.get("serial") or None
        result.update({"driver": device.driver, **place_of(device), "serial": serial,
                       "guest_path": guest_path(device.driver, serial), "at_launch": device.at_launch,
                       "limits": throttle.present(hardware, disk_id, device.driver)})
    if node:
        file = _backend_of(node).get("filename", node.filename)
        result.update({"node": node.name, "file": file, "format": node.driver, "read_only": node.read_only, "size": node.size})
    return result


def describe_all(hardware: Hardware) -> list[dict[str, Any]]:
    """All disks of the VM that have an id."""
    found = (describe(hardware, device.id) for device in hardware.devices if device.id and "drive" in device.properties)
    return [disk for disk in found if disk]


def guest_path(driver: str, serial: str | None) -> str | None:
    """Where udev in a Linux guest puts the disk, None where nothing stable is known."""
    form = next((path for name, path in _GUEST_PATHS.items() if driver.startswith(name)), None)
    if form is None or not serial:
        return None
    return form.format(serial=serial[:20] if driver.startswith("virtio") else serial)


def refuse_boot_disk(hardware: Hardware, device: Device, force: bool) -> None:
    """Raise Unsupported for the disk that the VM was started from: of those it was launched with, the one with the
    lowest bootindex. Where none has any, the firmware chooses, and the first of each driver may be it."""
    if force or not device.at_launch:
        return
    disks = [one for one in hardware.devices if one.at_launch and one.properties.get("drive")]
    indexed = [one for one in disks if one.properties.get("bootindex", -1) >= 0]
    if indexed:
        first = min(indexed, key=lambda one: int(one.properties["bootindex"]))
    else:
        first = min((one for one in disks if one.driver == device.driver), key=_boot_order, default=device)
        if device.driver in _READ_ONLY_DRIVERS and any(one.driver not in _READ_ONLY_DRIVERS for one in disks):
            return
    if first.path == device.path:
        raise Unsupported(f"{device.id} is the disk that the VM boots from, or may be. Set force: true to take it away all the "
                          "same.")


def _boot_order(device: Device) -> tuple[Any, ...]:
    """A sort key: the order in which firmware comes upon disks."""
    places = (device.properties.get(name, 0) for name in ("addr", "scsi-id", "lun"))
    return (natural(str(device.bus)), *places)


def _with_serial(hardware: Hardware, disk: Disk, driver: str, device: Device | None) -> Disk:
    """Check a stated serial; give a new disk its id as serial, so that the guest can find it by a stable name."""
    options = dict(disk.front.options)
    serial = options.get("serial")
    longest = _SERIAL_MAX.get(driver, 20)
    length = 0 if serial is None else len(serial.encode("utf-8", "surrogatepass"))
    if length > longest:
        raise InvalidOption(f"serial {serial!r} has {length} bytes; a {driver} shows the guest {longest}.")
    if serial is None and driver and device is None and "serial" not in disk.front.properties \
            and len(disk.id) <= longest and "serial" in hardware.device_properties(driver):
        options["serial"] = disk.id
    return replace(disk, front=replace(disk.front, options=options))


def _node_of(hardware: Hardware, disk_id: str, device: Device | None) -> Node | None:
    """The disk's own node: of its name, looked for below what the device has, for a snapshot puts new nodes in between;
    or, for a disk that the VM was launched with under other names, what the device has."""
    if device is None:
        return hardware.nodes.get(disk_id)
    top = hardware.drive_of(device)
    pending = [top.name] if top else []
    while pending:
        node = hardware.nodes.get(pending.pop())
        if node and node.name == disk_id:
            return node
        pending += node.children.values() if node else ()
    return top


def _nodes_to_delete(hardware: Hardware, disk_id: str, device: Device | None) -> list[str]:
    """Top to bottom: what the device has, and the named nodes below it down to the disk's own and its protocol node.

    Nodes that QEMU named itself (``#block…``) go with their parents, those of a ``-drive`` with the device.
    """
    top = hardware.drive_of(device) if device else hardware.nodes.get(disk_id)
    names: list[str] = []
    while top and not top.name.startswith("#"):
        names.append(top.name)
        below = top.children.get("file") if top.name == disk_id else top.children.get("backing", top.children.get("file"))
        top = hardware.nodes.get(below or "")
    if disk_id in hardware.nodes and disk_id not in names:
        names.append(disk_id)
    return names


def _refuse_other_users(hardware: Hardware, disk_id: str, names: list[str]) -> None:
    """Raise Conflict where anything but the disk itself uses one of its nodes: another device, a job, an export."""
    own = (disk_id, f"{PERIPHERAL}/{disk_id}", f"{PERIPHERAL}/{disk_id}/virtio-backend")
    for name in names:
        users = set(hardware.nodes[name].users) - set(own)
        users |= {node.name for node in hardware.nodes.values() if name in node.children.values() and node.name not in names}
        if users:
            raise Conflict(f"The block node {name} is used by {', '.join(sorted(users))}. End that first, or take another id.",
                           users=sorted(users))


def _refuse_work_below(hardware: Hardware, device: Device) -> None:
    """Raise Conflict where a job or an export works on a node that goes with the device, as those of a ``-drive`` do: QEMU would
    end it without a word."""
    top = hardware.drive_of(device)
    below, pending = set(), [top.name] if top else []
    while pending:
        name = pending.pop()
        if name in hardware.nodes:
            below.add(name)
            pending += hardware.nodes[name].children.values()
    jobs = {entry["id"] for entry in hardware.snapshot.ask_or([], "query-jobs")}
    users = jobs & {user for name in below for user in hardware.nodes[name].users}
    users |= {entry["id"] for entry in hardware.snapshot.ask_or([], "query-block-exports") if entry["node-name"] in below}
    if users:
        raise Conflict(f"The disk {device.id} is worked on by {', '.join(sorted(users))}. End that first.", users=sorted(users))


def _read_only(disk: Disk, driver: str) -> bool:
    return disk.read_only if disk.read_only is not None else driver in _READ_ONLY_DRIVERS


def blockdev_arguments(disk: Disk, driver: str) -> dict[str, Any]:
    """The arguments for ``blockdev-add``. Cache modes and read-only are inherited by the inline protocol node."""
    cache = {name: value for name, value in (("direct", disk.cache_direct), ("no-flush", disk.cache_no_flush))
             if value is not None}
    optional = {"cache": cache or None, "discard": disk.discard, "detect-zeroes": disk.detect_zeroes}
    backend = {**(disk.backend or {}), **{option: f"{disk.id}.{option}" for option in disk.backend_secrets}}
    return {"driver": disk.format, "node-name": disk.id, "read-only": _read_only(disk, driver), "file": backend,
            **_encryption(disk), **{name: value for name, value in optional.items() if value is not None}}


def _encryption(disk: Disk) -> dict[str, Any]:
    """What names the secret of an encrypted image: LUKS itself, or the LUKS inside a qcow2."""
    if disk.passphrase is None:
        return {}
    secret = {"key-secret": f"{disk.id}.secret"}
    if disk.format == "luks":
        return secret
    if disk.format == "qcow2":
        return {"encrypt": {"format": "luks", **secret}}
    raise InvalidOption(f"passphrase is for the formats luks and qcow2, not {disk.format}.")


def _node_steps(hardware: Hardware, disk: Disk, driver: str, anew: bool = False) -> list[Step]:
    """Add the node; *anew* after it was removed with all that came with it."""
    for option, secret in disk.backend_secrets.items():
        if not isinstance(secret, str):
            raise InvalidOption(f"backend_secrets.{option} is no text: put it in quotes.")
        if not _SECRET_OPTION.match(option):
            raise InvalidOption(f"backend_secrets has {option!r}, which names no secret; in QEMU's spelling they end in -secret, "
                                "such as password-secret.")
    steps: list[Step] = [] if anew else [delete_object(name) for name in _secrets_of(hardware, disk.id)]
    steps += [add_object(hardware, "secret", name, {"data": data}) for name, data in disk.secrets.items()]
    delete = Delete("blockdev-del", {"node-name": disk.id})
    steps.append(Execute("blockdev-add", blockdev_arguments(disk, driver), delete))
    if disk.size is not None:
        steps.append(Resize(disk.id, disk.size, disk.allow_shrink))
    return steps


def _node_differences(hardware: Hardware, disk: Disk, node: Node, top: Node, driver: str) -> tuple[list[Difference], list[str]]:
    """How the disk's own node differs; whether it may be written is up to the one on *top*, for below a snapshot none may."""
    cache = node.details.get("cache", {})
    pairs = [
        ("format", node.driver, disk.format if disk.backend is not None else None),
        ("read_only", top.read_only, disk.read_only if disk.backend is None else _read_only(disk, driver)),
        ("cache.direct", cache.get("direct"), disk.cache_direct),
        ("cache.no_flush", cache.get("no-flush"), disk.cache_no_flush),
        ("detect_zeroes", node.details.get("detect_zeroes"), disk.detect_zeroes),
    ]
    different = [Difference(*pair) for pair in pairs if pair[2] is not None and pair[1] != pair[2]]
    unverified = [name for name, value in (("discard", disk.discard), ("passphrase", disk.passphrase)) if value is not None]
    unverified += [f"backend_secrets.{option}" for option in disk.backend_secrets]
    for name, value in (disk.backend or {}).items():
        option = "file" if name == "filename" else f"backend.{name}"
        present = _backend_value(hardware, node, name)
        if present is None:
            unverified.append("aio" if name == "aio" else option)
        elif present != value and not (name == "filename" and same_file(present, value)):
            different.append(Difference(option, present, value))
    return different, unverified


def _backend_value(hardware: Hardware, node: Node, name: str) -> Any:
    """What QEMU tells of one option of the protocol node; None where it tells nothing."""
    if name == "driver":
        protocol = hardware.nodes.get(node.children.get("file", ""))
        return protocol.driver if protocol else None
    return _backend_of(node).get(name)


def _backend_of(node: Node) -> dict[str, Any]:
    """The options of the protocol node: its file name, or, where they have no short form, all of them, told as ``json:{…}``
    for the whole stack."""
    if not node.filename.startswith("json:"):
        return {"filename": node.filename}
    try:
        told = json.loads(node.filename[len("json:"):])
    except (ValueError, RecursionError):  # as when it was cut off
        told = None
    if not isinstance(told, dict):
        return {"filename": node.filename}
    below = told.get("file") if told.get("driver") == node.driver else None
    return below if isinstance(below, dict) else told


def same_file(one: Any, other: Any) -> bool:
    try:
        return bool(os.path.realpath(one) == os.path.realpath(other))
    except (TypeError, ValueError):  # at least one is no path
        return False


def _recreated(hardware: Hardware, disk: Disk, device: Device | None, driver: str,
               before: dict[str, Any] | None) -> Plan:
    """Remove and make anew, at the place it has unless the task names another."""
    if disk.backend is None:
        raise InvalidOption(f"Disk {disk.id} cannot be made anew without file or backend.")
    steps = [*plan_absent(hardware, disk).steps, *_node_steps(hardware, disk, driver, anew=True)]
    arguments = None
    if disk.attach:
        arguments = recreated_arguments(hardware, disk.front, driver, {"drive": disk.id}, device)
        steps += plug(arguments)
        steps += _limit_steps(hardware, disk, driver, None)
    return Plan(tuple(steps), before, _after(disk, None, driver, arguments), (),
                _launch_args(hardware, disk, driver, arguments, None))


def _after(disk: Disk, before: dict[str, Any] | None, driver: str,
           arguments: dict[str, Any] | None) -> dict[str, Any]:
    """What the description will say, as far as it is known beforehand."""
    after = {"id": disk.id, **(before or {}), "attached": disk.attach}
    if before is None or "node" not in before:
        after.update({"node": disk.id, "format": disk.format, "read_only": _read_only(disk, driver)})
        filename = (disk.backend or {}).get("filename")
        after.update({"file": filename} if filename else {})
    if arguments:
        place: dict[str, Any] = {name: arguments[name] for name in PLACE_KEYS if name in arguments}
        serial = arguments.get("serial")
        after.update({"driver": driver, **place, "serial": serial, "at_launch": False,
                      "guest_path": guest_path(driver, serial)})
    if not disk.attach:
        for name in ("driver", *PLACE_KEYS, "serial", "guest_path", "at_launch", "limits"):
            after.pop(name, None)
    if disk.size is not None:
        after["size"] = disk.size
    if disk.attach:
        limits = (before or {}).get("limits", {}) if disk.limits is None else disk.limits
        after["limits"] = throttle.in_force(limits)
    return after


def _launch_args(hardware: Hardware, disk: Disk, driver: str, arguments: dict[str, Any] | None,
                 device: Device | None) -> tuple[str, ...]:
    args: list[str] = []
    if disk.backend is not None:
        for name in disk.secrets:
            args += ["-object", object_argument("secret", name, {"file": SECRET_FILE})]
        args += ["-blockdev", blockdev_argument(blockdev_arguments(disk, driver))]
    if arguments is None and disk.attach and device:
        arguments = {"driver": device.driver, "id": disk.id, "drive": disk.id, **place_of(device),
                     **disk.front.stated(hardware, device.driver)}
    if arguments:
        args += ["-device", device_argument(arguments, hardware.version)]
    return tuple(args)
