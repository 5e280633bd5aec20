# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks: a block node for the image, and the device through which the guest sees it. Both have the id of the disk.

The node is added in one ``blockdev-add`` with its protocol node inline. QEMU deletes the inline node together with it, so a disk
is never left half made.
"""

from __future__ import annotations

from dataclasses import replace

from ...errors import Conflict, InvalidOption, Unsupported
from ...model.block_graph import Disk, find_disk, find_leftover
from ...model.hardware import Hardware
from ...model.slots import default_driver, refuse_unplug
from ...model.values import NODE_NAME_MAX, check_id
from ...plan.hotplug import Unplug, plug
from ...plan.plan import Plan, Step
from ..frontend import device_arguments, device_differences, refuse
from ..option_table import Difference, compare
from . import throttle
from .backend import backend_differences, file_differences
from .checks import check_values, completed, doubts, refuse_boot_disk
from .launch_args import launch_args
from .node_steps import check_resize, node_steps
from .options import NODE
from .removal import node_deletions, removal_steps
from .resize import Resize
from .results import describe, describe_disk, planned
from .secrets import secrets_of
from .spec import DiskSpec


def plan_present(hardware: Hardware, spec: DiskSpec) -> Plan:
    """Have the disk, or, if ``attach`` is false, its block node alone."""
    check_id(spec.id, longest=NODE_NAME_MAX)
    disk = find_disk(hardware, spec.id)
    device, top = disk.device, disk.top
    sets_backend = spec.file is not None or spec.backend is not None
    is_empty_drive = device is not None and disk.original is None and not sets_backend and spec.attach
    if disk.original is None and not sets_backend and not is_empty_drive:
        raise InvalidOption(f"The disk {spec.id} does not exist, and neither file nor backend is set. Set one of them to add it.")
    before = describe_disk(hardware, disk)
    driver = spec.frontend.driver or (device.driver if device else default_driver(hardware, "virtio-blk") if spec.attach else "")
    spec, warnings = completed(hardware, spec, driver, disk)
    check_values(hardware, spec, driver, disk)

    differences, unverified = _differences(hardware, spec, disk)
    if differences and spec.recreate:
        from .recreate import plan_recreate  # only here: few tasks need it

        return plan_recreate(hardware, spec, disk, driver, before, differences, warnings)
    refuse(f"Disk {spec.id}", differences)

    steps: list[Step] = []
    if device is None and disk.original and spec.attach:
        disk.refuse_users()
        _refuse_image_below_snapshot(spec, disk, driver)
    if disk.original is None and not is_empty_drive:
        key = f"{spec.id}.secret"
        if spec.passphrase is None and spec.format == "luks" and key in secrets_of(hardware, spec.id):
            spec = replace(spec, key_secret=key)  # a recreate that was killed has left it
        steps += node_deletions(hardware, find_leftover(hardware, spec.id))
        steps += node_steps(hardware, spec, driver)
    elif top and spec.size is not None and spec.size != top.size:
        check_resize(hardware, spec, disk)
        steps.append(Resize(top.name, spec.size, spec.allow_shrink))
    arguments = None
    if spec.attach and device is None:
        arguments = device_arguments(hardware, spec.frontend, driver, {"drive": spec.id})
        steps += plug(arguments)
    elif device and not spec.attach:
        _refuse_detaching(hardware, disk, spec.force)
        steps.append(Unplug(device.id or device.path))
    steps += _limit_steps(hardware, spec, driver, disk)
    return Plan(
        tuple(steps),
        before,
        planned(hardware, spec, disk, driver, arguments),
        tuple(unverified),
        launch_args(hardware, spec, driver, disk, arguments),
        warnings,
        doubts(hardware, spec, driver, disk),
    )


def plan_absent(hardware: Hardware, spec: DiskSpec) -> Plan:
    """Have neither the device nor the node, nor the named nodes below it that belong to this disk alone."""
    check_id(spec.id, longest=NODE_NAME_MAX)
    disk = find_disk(hardware, spec.id)
    if disk.device is None:
        disk = find_leftover(hardware, spec.id)
    return Plan(tuple(removal_steps(hardware, disk, spec.force)), describe(hardware, spec.id), None)


def _differences(hardware: Hardware, spec: DiskSpec, disk: Disk) -> tuple[list[Difference], list[str]]:
    """How the disk differs from the options of the task, and which of these QEMU does not report."""
    different: list[Difference] = []
    unverified: list[str] = []
    if disk.image:
        different, unverified = compare(NODE, spec.node, disk.image)
        unverified += ["passphrase"] if spec.passphrase is not None else []
        unverified += [f"backend_secrets.{option}" for option in spec.backend_secrets]
        more: tuple[list[Difference], list[str]] = ([], [])
        if spec.file is not None:
            more = file_differences(hardware, disk.image, spec.file)
        elif spec.backend is not None:
            more = backend_differences(hardware, disk.image, spec.backend)
        different, unverified = different + more[0], unverified + more[1]
    if disk.device and spec.attach:
        more = device_differences(hardware, spec.frontend, disk.device)
        different, unverified = different + more[0], unverified + more[1]
    if disk.device and disk.original is None and spec.backend is not None:
        desired = {"file": spec.file} if spec.file is not None else {"backend": spec.backend}
        different += [Difference(option, None, value) for option, value in desired.items()]
    return different, unverified


def _refuse_image_below_snapshot(spec: DiskSpec, disk: Disk, driver: str) -> None:
    """Raise Conflict for a node without a device that is not the one which the guest has written to."""
    node = disk.original
    if node and node.read_only and not spec.is_read_only(driver):
        raise Conflict(
            f"The disk {spec.id} has no device, and its node {node.name} is read-only, like an image below a snapshot whose "
            "device is gone. Without the snapshot the guest would read old data. Set read_only: true if that is intended. If "
            "not, set state: absent, then add the file of the snapshot."
        )


def _refuse_detaching(hardware: Hardware, disk: Disk, force: bool) -> None:
    """Raise Conflict or Unsupported if the node would not stay as it is without the device."""
    device = disk.device
    if device is None:
        return
    refuse_boot_disk(hardware, device, force)
    refuse_unplug(hardware, device, force)
    jobs = [user for user in disk.users if user.startswith("job ")]
    if jobs:
        disk.refuse_users()
    if disk.drive:
        disk.refuse_users(", which QEMU would end together with the device")
        raise Unsupported(
            f"attach: false is not possible for the disk {disk.id}: it was launched with -drive, so QEMU deletes its node "
            "together with its device. Set state: absent to remove both."
        )
    if disk.snapshots and disk.top:
        raise Conflict(
            f"attach: false is not possible for the disk {disk.id}: without the device, the snapshot {disk.top.name} on top of "
            "it would be lost. Commit it first (qmp_block_job)."
        )
    if disk.top and disk.top.name != disk.id:
        raise Conflict(
            f"attach: false is not possible for the disk {disk.id}: its node is {disk.top.name}, so without its device it would "
            "not be found by its id. Set state: absent to remove it."
        )


def _limit_steps(hardware: Hardware, spec: DiskSpec, driver: str, disk: Disk) -> list[Step]:
    if spec.limits is None or not spec.attach:
        return []
    present = throttle.present(disk.block_info)
    if throttle.in_force(spec.limits) == present:
        return []
    throttle.refuse_shared_group(hardware, spec.id, disk.block_info, spec.force)
    return [throttle.set_limits(throttle.backend_path(spec.id, driver, disk.device), spec.limits, present)]
