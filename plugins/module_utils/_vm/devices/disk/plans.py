# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks: a block node for the image, and the device through which the guest sees it.

The node is added in one ``blockdev-add`` with its protocol node inline, under the id of the disk; QEMU deletes the
inline node with it, so a disk is never left half made. The device has the same id.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ...errors import Conflict, InvalidOption, Unsupported
from ...host.image import probe
from ...model.block_graph import FILTERS, Stack, find, left_by
from ...model.hardware import Hardware
from ...model.slots import SLOT_OPTIONS, default_driver, refuse_companions, slot_options
from ...model.values import NODE_NAME_MAX, check_id
from ...plan.hotplug import Plug, Unplug, plug
from ...plan.plan import Await, Command, Delete, Execute, Plan, Run, Step, Steps, wire
from ..current import current_arguments
from ..frontend import device_arguments, device_differences, recreated_arguments, refuse
from ..option_table import Difference
from . import secrets as disk_secrets
from . import throttle
from .backend import backend_differences, backend_of, can_resize, node_arguments, own_options
from .launch_args import launch_args
from .spec import (
    DiskSpec,
    blockdev_arguments,
    check_shrink,
    check_values,
    describe,
    doubts,
    guest_path,
    refuse_boot_disk,
    resolved,
)


class Resize(Step):
    """``block_resize``, which QEMU would also let shrink; undone to the size that the image had."""

    def __init__(self, node: str, size: int, allow_shrink: bool) -> None:
        self.node, self.size, self.allow_shrink = node, size, allow_shrink
        self.was: int | None = None

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


def plan_present(hardware: Hardware, disk: DiskSpec) -> Plan:
    """Have the disk, or, with ``attach`` false, its block node alone."""
    check_id(disk.id, longest=NODE_NAME_MAX)
    stack = find(hardware, disk.id)
    device, node, top = stack.device, stack.own, stack.top
    is_empty = device is not None and node is None and disk.backend is None and disk.attach
    if node is None and disk.backend is None and not is_empty:
        raise InvalidOption(f"Disk {disk.id} does not exist yet: say with file or backend what is to be on it.")
    before = describe(hardware, disk.id)
    driver = disk.frontend.driver or (device.driver if device else default_driver(hardware, "virtio-blk") if disk.attach else "")
    disk, warnings = resolved(hardware, disk, driver, stack)
    check_values(hardware, disk, driver, stack)

    differences, unverified = _node_differences(hardware, disk, stack, driver)
    if device and disk.attach:
        more, unread = device_differences(hardware, disk.frontend, device)
        differences, unverified = differences + more, unverified + unread
    if device and node is None and disk.backend is not None:
        differences.append(Difference("file", None, disk.backend.get("filename", disk.id)))
    if differences and disk.recreate:
        return _recreated(hardware, disk, stack, driver, before, differences, warnings)
    refuse(f"Disk {disk.id}", differences)

    steps: list[Step] = []
    if device is None and node and disk.attach:
        stack.refuse_users()
        if node.read_only and not disk.is_read_only(driver):
            raise Conflict(
                f"The node {node.name} is read-only, as the image below a snapshot is whose device is gone. "
                "Without the snapshot "
                "the guest would read old data. Set read_only: true if that is meant; else set state: absent and "
                "add the "
                "snapshot's file."
            )
    if node is None and not is_empty:
        key = f"{disk.id}.secret"
        if disk.passphrase is None and disk.format == "luks" and key in disk_secrets.left_over(hardware, disk.id):
            disk = replace(disk, key_secret=key)  # a recreate that was killed has left it
        steps += _deletions(hardware, left_by(hardware, disk.id))
        steps += _node_steps(hardware, disk, driver)
    elif top and disk.size is not None and disk.size != top.size:
        _refuse_resize(hardware, disk, stack)
        steps.append(Resize(top.name, disk.size, disk.allow_shrink))
    arguments = None
    if disk.attach and device is None:
        arguments = device_arguments(hardware, disk.frontend, driver, {"drive": disk.id})
        steps += plug(arguments)
    elif device and not disk.attach:
        _refuse_detaching(hardware, stack, disk.force)
        steps.append(Unplug(device.id or device.path))
    steps += _limit_steps(hardware, disk, driver, stack)
    return Plan(
        tuple(steps),
        before,
        _after(disk, before, driver, arguments),
        tuple(unverified),
        launch_args(hardware, disk, driver, stack, arguments),
        warnings,
        doubts(hardware, disk, driver, stack),
    )


def plan_absent(hardware: Hardware, disk: DiskSpec) -> Plan:
    """Have neither the device nor the node, nor the named nodes below it that came only for it."""
    check_id(disk.id, longest=NODE_NAME_MAX)
    stack = find(hardware, disk.id)
    if stack.device is None:
        stack = left_by(hardware, disk.id)
    return Plan(tuple(_removal(hardware, disk, stack)), describe(hardware, disk.id), None)


def _removal(hardware: Hardware, disk: DiskSpec, stack: Stack, restore: bool = False) -> list[Step]:
    """The steps that remove the disk; with *restore*, each knows how to put back what it removes."""
    device = stack.device
    if device:
        refuse_boot_disk(hardware, device, disk.force)
        refuse_companions(hardware, device, disk.force)
    stack.refuse_users()
    secrets = disk_secrets.left_over(hardware, disk.id)
    steps: list[Step] = [Unplug(device.id or device.path, _restored(hardware, stack) if restore else None)] if device else []
    steps += _deletions(hardware, stack, restore)
    steps += [] if restore else _forgotten_trial(hardware, disk.id)
    return steps + disk_secrets.delete_steps(hardware, secrets, restore)


def _deletions(hardware: Hardware, stack: Stack, restore: bool = False) -> list[Step]:
    """Delete the nodes that came only for the disk; those of a ``-drive`` go by themselves a moment after the device."""
    steps: list[Step] = []
    for name in stack.private:
        back = _added_back(hardware, stack, name) if restore else None
        steps.append(Delete("blockdev-del", {"node-name": name}, back))
    if stack.device and stack.drive and stack.top:
        steps.append(_gone(stack.top.name))
    return steps


def _gone(node: str) -> Await:
    def look(run: Run) -> bool:
        return node not in {one["node-name"] for one in run.read("query-named-block-nodes")}

    return Await(
        look,
        lambda run: Conflict(
            f"The device is gone, and QEMU still has its block node {node} after {run.timeout:g} s. Run this again."
        ),
    )


def _added_back(hardware: Hardware, stack: Stack, name: str) -> Step | None:
    node = hardware.nodes[name]
    arguments = node_arguments(hardware, node, disk_secrets.key_of(hardware, stack.id, node))
    return Execute("blockdev-add", arguments) if arguments else None


def _restored(hardware: Hardware, stack: Stack) -> Step | None:
    """What plugs the disk again as it is: its device, and its limits."""
    device, top = stack.device, stack.top
    if device is None or device.id is None:
        return None
    if top is None:  # an empty drive
        return Plug(current_arguments(hardware, device))
    if any(_added_back(hardware, stack, name) is None for name in stack.private):
        return None
    steps: list[Step] = []
    drive = top.name
    if stack.drive or top.name.startswith("#"):  # its nodes go with the device
        arguments = node_arguments(hardware, top, disk_secrets.key_of(hardware, stack.id, top))
        if arguments is None:
            return None
        drive = device.id
        steps.append(Execute("blockdev-add", {**arguments, "node-name": drive}))
    steps.append(Plug({**current_arguments(hardware, device), "drive": drive}))
    limits = throttle.present(stack.entry)
    if limits:
        steps.append(throttle.set_limits(throttle.backend_path(device.id, device.driver), device.driver, limits, {}))
    return Steps(tuple(steps))


def _refuse_detaching(hardware: Hardware, stack: Stack, force: bool) -> None:
    """Raise where the node would not stay as it is when the device goes."""
    device = stack.device
    if device is None:
        return
    refuse_boot_disk(hardware, device, force)
    refuse_companions(hardware, device, force)
    jobs = [user for user in stack.users if user.startswith("job ")]
    if jobs:
        stack.refuse_users()
    if stack.drive:
        stack.refuse_users(", and QEMU ends that without a word")
        raise Unsupported(
            f"The disk {stack.id} was launched with -drive, so QEMU deletes its node together with its device: "
            "attach: false cannot be. Set state: absent to remove both."
        )
    if stack.has_snapshot and stack.top:
        raise Conflict(
            f"The disk {stack.id} has the snapshot {stack.top.name} on top, which would go with the device. Commit it "
            "first (qmp_block_job)."
        )
    if stack.top and stack.top.name != stack.id:
        raise Conflict(
            f"The disk {stack.id} is on the node {stack.top.name}. Without its device it would not be found again "
            "by its id: "
            "attach: false cannot be. Set state: absent to remove it."
        )


def _refuse_resize(hardware: Hardware, disk: DiskSpec, stack: Stack) -> None:
    """Raise for a size that the disk cannot get."""
    top, size = stack.top, disk.size
    if top is None or size is None:
        return
    check_shrink(disk.id, top.size, size, disk.allow_shrink)
    if stack.users:
        raise Conflict(
            f"The disk {disk.id} cannot be resized while {', '.join(stack.users)} uses it. End that first.",
            users=list(stack.users),
        )
    if top.read_only:
        raise InvalidOption(f"The disk {disk.id} is read-only, so its size cannot be changed. Leave size out.")
    if not can_resize(hardware, top):
        raise InvalidOption(
            f"The disk {disk.id} has {top.size} bytes, and its storage cannot be resized by QEMU. Leave size out."
        )


def _limit_steps(hardware: Hardware, disk: DiskSpec, driver: str, stack: Stack) -> list[Step]:
    if disk.limits is None or not disk.attach:
        return []
    now = throttle.present(stack.entry)
    wanted = throttle.in_force(disk.limits)
    if wanted == now:
        return []
    throttle.refuse_shared_group(hardware, disk.id, stack.entry, disk.force)
    path = throttle.backend_path(disk.id, driver, stack.device)
    return [throttle.set_limits(path, driver, disk.limits, now)]


def _node_steps(hardware: Hardware, disk: DiskSpec, driver: str, going: tuple[str, ...] = ()) -> list[Step]:
    """Add the node and its secrets; *going* are secrets that are removed before."""
    steps = disk_secrets.add_steps(hardware, disk.id, disk.secrets, going, disk.key_secret)
    steps.append(Execute("blockdev-add", blockdev_arguments(disk, driver), Delete("blockdev-del", {"node-name": disk.id})))
    if disk.size is not None:
        steps.append(Resize(disk.id, disk.size, disk.allow_shrink))
    return steps


def _node_differences(hardware: Hardware, disk: DiskSpec, stack: Stack, driver: str) -> tuple[list[Difference], list[str]]:
    """How the disk's own node differs; whether it may be written is up to the one on top, for below a snapshot none may."""
    node, top = stack.own, stack.top
    if node is None or top is None:
        return [], []
    cache = node.details.get("cache", {})
    pairs = [
        ("format", node.driver, disk.stated_format),
        ("read_only", top.read_only, disk.read_only),
        ("cache.direct", cache.get("direct"), disk.cache_direct),
        ("cache.no_flush", cache.get("no-flush"), disk.cache_no_flush),
        ("detect_zeroes", node.details.get("detect_zeroes"), disk.detect_zeroes),
    ]
    different = [Difference(*pair) for pair in pairs if pair[2] is not None and pair[1] != pair[2]]
    unverified = [name for name, value in (("discard", disk.discard), ("passphrase", disk.passphrase)) if value is not None]
    unverified += [f"backend_secrets.{option}" for option in disk.backend_secrets]
    more, unread = backend_differences(hardware, node, disk.backend or {})
    return different + more, unverified + unread


def _recreated(
    hardware: Hardware,
    disk: DiskSpec,
    stack: Stack,
    driver: str,
    before: dict[str, Any] | None,
    differences: list[Difference],
    warnings: tuple[str, ...],
) -> Plan:
    """Remove the disk and add it again, in the slot that it has unless the task names another.

    What the task does not specify is carried over from the disk that is there, and what cannot be is refused, before anything
    is removed. Another image is opened for a try. When the new disk fails all the same, the old one is put back.
    """
    stack.refuse_users()
    if stack.has_snapshot and stack.top:
        raise Conflict(
            f"The disk {disk.id} has the snapshot {stack.top.name} on top. The new disk would have the image below "
            "it, without "
            "what the guest has written since. Commit the snapshot first (qmp_block_job)."
        )
    if not stack.certain:
        raise Conflict(
            f"The disk {disk.id} consists of the images {', '.join(stack.images)}, and QEMU does not tell which of "
            "them it "
            "was launched with. Remove the disk (state: absent) and add the one that you want."
        )
    device = stack.device
    if stack.top and stack.top.driver in FILTERS:
        raise Conflict(
            f"The disk {disk.id} has the filter {stack.top.name} ({stack.top.driver}) between its device and its "
            "image, which "
            "cannot be carried over. Remove the disk (state: absent) and add the one that you want."
        )
    special = own_options(stack.own) if stack.own else {}
    if special is None or special:
        raise Conflict(
            f"The node of the disk {disk.id} has options that this module does not set "
            f"({', '.join(sorted(special or ()))}), so "
            "they cannot be carried over. Remove the disk (state: absent) and add the one that you want."
        )
    throttle.refuse_shared_group(hardware, disk.id, stack.entry, disk.force)
    disk = _carried_over(hardware, disk, stack, driver)
    _refuse_wrong_format(hardware, disk)
    for doubt in doubts(hardware, disk, driver, stack):
        raise doubt
    if device and _restored(hardware, stack) is None:
        raise Conflict(
            f"The disk {disk.id} could not be put back as it is if the new one fails: QEMU does not report all of "
            "it, or it has no "
            "id. Remove it (state: absent) and add the one that you want."
        )
    if disk.size is not None and stack.top and disk.size != stack.top.size and not _on_other(differences):
        _refuse_resize(hardware, disk, stack)
    kept = disk.passphrase is None and disk.key_secret is not None
    removed = _removal(hardware, disk, stack, restore=True)
    if kept:
        removed = [step for step in removed if not (isinstance(step, Delete) and step.arguments.get("id") == disk.key_secret)]
    going = tuple(step.arguments["id"] for step in removed if isinstance(step, Delete) and step.command == "object-del")
    arguments = None
    steps = [*_trial(hardware, disk, driver, differences), *removed]
    if disk.backend is not None:
        steps += _node_steps(hardware, disk, driver, going)
    if disk.attach:
        drive = {} if disk.backend is None else {"drive": disk.id}
        arguments = recreated_arguments(hardware, disk.frontend, driver, drive, device)
        steps += plug(arguments)
        if disk.limits:
            steps.append(throttle.set_limits(throttle.backend_path(disk.id, driver), driver, disk.limits, {}))
    backend = disk.backend or {}
    unknown = [name for name, value in (("discard", disk.discard), ("aio", backend.get("aio"))) if value is None]
    if unknown and backend.get("driver") in ("file", "host_device"):
        warnings += (
            f"QEMU does not report {' and '.join(unknown)} of the disk {disk.id}, so the new one has the default. "
            "Set what the old "
            "one had.",
        )
    return Plan(
        tuple(steps),
        before,
        _after(disk, None, driver, arguments),
        (),
        launch_args(hardware, disk, driver, Stack(disk.id), arguments),
        warnings,
    )


def _carried_over(hardware: Hardware, disk: DiskSpec, stack: Stack, driver: str) -> DiskSpec:
    """The task's disk, and in it what it does not specify as the disk has it now."""
    node, top = stack.own, stack.top
    if node is None or top is None:
        return disk
    secret = disk_secrets.key_of(hardware, disk.id, node)
    if disk.backend is None:
        inline = backend_of(hardware, node)
        if inline is None:
            raise InvalidOption(
                f"QEMU does not report what the disk {disk.id} is on in a form that can be used again. Set "
                "file or "
                "backend to what the new one is to be on."
            )
        disk = replace(disk, backend=inline)
    encrypted = bool(node.details.get("encrypted")) and disk.format in ("luks", "qcow2")
    if encrypted and disk.passphrase is None:
        if secret is None:
            raise InvalidOption(f"The disk {disk.id} is encrypted, and its secret is not in the VM. Set passphrase.")
        disk = replace(disk, key_secret=secret)
    cache = node.details.get("cache", {})
    zeroes = node.details.get("detect_zeroes")
    limits = throttle.present(stack.entry) if disk.limits is None and driver != "nvme" else disk.limits
    return replace(
        disk,
        read_only=top.read_only if disk.read_only is None else disk.read_only,
        cache_direct=disk.cache_direct if disk.cache_direct is not None else cache.get("direct") or None,
        cache_no_flush=disk.cache_no_flush if disk.cache_no_flush is not None else cache.get("no-flush") or None,
        detect_zeroes=disk.detect_zeroes if disk.detect_zeroes is not None or zeroes == "off" else zeroes,
        discard=disk.discard or ("unmap" if zeroes == "unmap" else None),
        limits=limits,
    )


def _refuse_wrong_format(hardware: Hardware, disk: DiskSpec) -> None:
    """Raise where the new image has another format by its header than the one that is assumed."""
    path = (disk.backend or {}).get("filename")
    found = probe(path, hardware.cache.monitor.peer_pid).format if isinstance(path, str) else None
    if disk.stated_format is None and found and found != disk.format:
        raise InvalidOption(
            f"{path} is a {found} image, and without format the disk {disk.id} would become {disk.format}. Set format."
        )


def _forgotten_trial(hardware: Hardware, disk_id: str) -> list[Step]:
    """Delete the node of a trial that a killed run has left: read-only and used by nothing."""
    node = hardware.nodes.get(_trial_name(disk_id))
    return [Delete("blockdev-del", {"node-name": node.name})] if node and node.read_only and not node.users else []


def _trial_name(disk_id: str) -> str:
    return f"try-{disk_id}"[:NODE_NAME_MAX]


def _trial(hardware: Hardware, disk: DiskSpec, driver: str, differences: list[Difference]) -> list[Step]:
    """Have QEMU open another image, read-only and beside the old one, to see that it can."""
    forgotten = _forgotten_trial(hardware, disk.id)
    if not _on_other(differences) or disk.secrets or disk.key_secret or disk.backend is None:
        return forgotten
    name = _trial_name(disk.id)
    arguments = blockdev_arguments(replace(disk, detect_zeroes=None, discard=None), driver)
    delete = Delete("blockdev-del", {"node-name": name})
    added = {**arguments, "node-name": name, "read-only": True, "force-share": True}
    return [*forgotten, Execute("blockdev-add", added, delete), delete]


def _on_other(differences: list[Difference]) -> bool:
    """Whether the new disk is on another image, or on the same in another format."""
    return any(one.option in ("file", "format") or one.option.startswith("backend") for one in differences)


def _after(disk: DiskSpec, before: dict[str, Any] | None, driver: str, arguments: dict[str, Any] | None) -> dict[str, Any]:
    """What the description will say, as far as it is known beforehand."""
    after = {"id": disk.id, **(before or {}), "attached": disk.attach}
    if (before is None or "node" not in before) and disk.backend is not None:
        after.update({"node": disk.id, "format": disk.format, "read_only": disk.is_read_only(driver)})
        filename = disk.backend.get("filename")
        after.update({"file": filename} if filename else {})
    if arguments:
        serial = arguments.get("serial")
        after.update(
            {
                "driver": driver,
                **slot_options(arguments),
                "serial": serial,
                "at_launch": False,
                "guest_path": guest_path(driver, serial),
            }
        )
    if not disk.attach:
        for name in ("driver", *SLOT_OPTIONS, "serial", "guest_path", "at_launch", "limits"):
            after.pop(name, None)
    if disk.size is not None:
        after["size"] = disk.size
    if disk.attach:
        limits = (before or {}).get("limits", {}) if disk.limits is None else disk.limits
        after["limits"] = throttle.in_force(limits)
    return after
