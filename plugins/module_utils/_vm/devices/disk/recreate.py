# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk that differs from the task is removed and added again, in its present slot unless the task names another.

What the task does not set is carried over from the present disk. What cannot be carried over is refused before anything is
removed. QEMU opens another image for a trial. If the new disk fails nevertheless, the present one is restored.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ...errors import Conflict, InvalidOption
from ...host.image import probe
from ...model.block_graph import FILTERS, Disk
from ...model.hardware import Hardware
from ...plan.hotplug import plug
from ...plan.plan import Delete, Execute, Plan, Step
from ..frontend import recreated_arguments
from ..option_table import Difference, present_values, without_defaults
from . import secrets, throttle
from .backend import backend_of, own_options, with_discard
from .checks import doubts
from .launch_args import launch_args
from .node_steps import check_resize, node_steps
from .options import NODE
from .removal import removal_steps, restoring_step, trial_deletions, trial_name
from .results import planned
from .spec import DiskSpec, blockdev_arguments


def plan_recreate(
    hardware: Hardware,
    spec: DiskSpec,
    disk: Disk,
    driver: str,
    before: dict[str, Any] | None,
    differences: list[Difference],
    warnings: tuple[str, ...],
) -> Plan:
    """The plan that replaces *disk*. Raises Conflict, InvalidOption, Unsupported, NoFreeSlot."""
    _refuse_parts(disk)
    throttle.refuse_shared_group(hardware, spec.id, disk.block_info, spec.force)
    spec = _carried_over(hardware, spec, disk, driver)
    _refuse_other_format(hardware, spec)
    for doubt in doubts(hardware, spec, driver, disk):
        raise doubt
    if disk.device and restoring_step(hardware, disk) is None:
        raise Conflict(
            f"The disk {spec.id} cannot be recreated: QEMU does not report all of it, or it has no id, so it could not be "
            "restored if the new disk fails. Remove it (state: absent), then add the new one."
        )
    if spec.size is not None and disk.top and spec.size != disk.top.size and not _is_other_image(differences):
        check_resize(hardware, spec, disk)
    removed = removal_steps(hardware, disk, spec.force, restore=True)
    if spec.passphrase is None and spec.key_secret is not None:  # the new disk needs the secret too
        removed = [step for step in removed if not (isinstance(step, Delete) and step.arguments.get("id") == spec.key_secret)]
    objects = tuple(step.arguments["id"] for step in removed if isinstance(step, Delete) and step.command == "object-del")
    arguments = None
    steps = [*_trial(hardware, spec, driver, differences), *removed]
    if spec.backend is not None:
        steps += node_steps(hardware, spec, driver, objects)
    if spec.attach:
        drive = {} if spec.backend is None else {"drive": spec.id}
        arguments = recreated_arguments(hardware, spec.frontend, driver, drive, disk.device)
        steps += plug(arguments)
        if spec.limits:
            steps.append(throttle.set_limits(throttle.backend_path(spec.id, driver), spec.limits, {}))
    new = Disk(spec.id)
    return Plan(
        tuple(steps),
        before,
        planned(hardware, spec, new, driver, arguments),
        (),
        launch_args(hardware, spec, driver, new, arguments),
        (*warnings, *_unknown(spec)),
    )


def _refuse_parts(disk: Disk) -> None:
    """Raise Conflict for a disk that has parts which the new one would not have, or that something else uses."""
    disk.refuse_users()
    remedy = "Remove the disk (state: absent), then add the one that you want."
    if disk.snapshots and disk.top:
        raise Conflict(
            f"The disk {disk.id} cannot be recreated: it has the snapshot {disk.top.name} on top. The new disk would have the "
            "image below it, without the data that the guest has written since. Commit the snapshot first (qmp_block_job)."
        )
    if not disk.certain:
        raise Conflict(
            f"The disk {disk.id} cannot be recreated: it consists of the images {', '.join(disk.chain)}, and QEMU does not "
            f"report which of them it was launched with. {remedy}"
        )
    if disk.top and disk.top.driver in FILTERS:
        raise Conflict(
            f"The disk {disk.id} cannot be recreated: the filter {disk.top.name} ({disk.top.driver}) between its device and its "
            f"image cannot be carried over. {remedy}"
        )
    special = own_options(disk.original) if disk.original else {}
    if special is None or special:
        names = ", ".join(sorted(special or ())) or "unreadable"
        raise Conflict(
            f"The disk {disk.id} cannot be recreated: its node has options that this module does not set ({names}), so they "
            f"cannot be carried over. {remedy}"
        )


def _carried_over(hardware: Hardware, spec: DiskSpec, disk: Disk, driver: str) -> DiskSpec:
    """*spec*, and for all that it does not set the present values of the disk."""
    image = disk.image
    if image is None:
        return spec
    secret = secrets.key_of(hardware, spec.id, image)
    if spec.backend is None:
        backend = backend_of(hardware, image)
        if backend is None:
            raise InvalidOption(
                f"QEMU does not report where the data of the disk {spec.id} is in a form that could be used again. Set file or "
                "backend."
            )
        spec = replace(spec, backend=backend)
    if image.details.get("encrypted") and spec.format in ("luks", "qcow2") and spec.passphrase is None:
        if secret is None:
            raise InvalidOption(f"The disk {spec.id} is encrypted, and the VM does not have its secret any more. Set passphrase.")
        spec = replace(spec, key_secret=secret)
    limits = throttle.present(disk.block_info) if spec.limits is None else spec.limits
    if limits and driver == "nvme":
        raise Conflict(
            f"The disk {spec.id} has limits ({', '.join(limits)}), and QEMU cannot limit an NVMe disk. Set limits: {{}} to "
            "remove them, or keep the driver."
        )
    values = without_defaults(NODE, present_values(NODE, image))
    del values["format"]  # a new image in another format has to be one that the task sets: see _refuse_other_format
    return replace(spec, node={**with_discard(values), **spec.node}, limits=limits)


def _refuse_other_format(hardware: Hardware, spec: DiskSpec) -> None:
    """Raise InvalidOption if the header of the new image shows another format than the disk has, and the task sets none."""
    found = probe(spec.path, hardware.cache.monitor.peer_pid).format if spec.path else None
    if spec.node.get("format") is None and found and found != spec.format:
        raise InvalidOption(
            f"{spec.path} is a {found} image. Because format is not set, the disk {spec.id} would use it as {spec.format}. Set "
            "format."
        )


def _trial(hardware: Hardware, spec: DiskSpec, driver: str, differences: list[Difference]) -> list[Step]:
    """Have QEMU open another image read-only, while it still has the present one, to see that it can."""
    left = trial_deletions(hardware, spec.id)
    if not _is_other_image(differences) or spec.secrets or spec.key_secret or spec.backend is None:
        return left
    values = {name: value for name, value in spec.node.items() if name not in ("detect_zeroes", "discard")}
    arguments = blockdev_arguments(replace(spec, node=values), driver)
    name = trial_name(spec.id)
    delete = Delete("blockdev-del", {"node-name": name})
    return [
        *left,
        Execute("blockdev-add", {**arguments, "node-name": name, "read-only": True, "force-share": True}, delete),
        delete,
    ]


def _is_other_image(differences: list[Difference]) -> bool:
    """Whether the new disk is on another image, or on the same one in another format."""
    return any(one.option.partition(".")[0] in ("file", "format", "backend") for one in differences)


def _unknown(spec: DiskSpec) -> tuple[str, ...]:
    """A warning of the options that the present disk may have and the new one does not."""
    unknown = [row.name for row in NODE if row.read is None and spec.node.get(row.name) is None]
    if not unknown or (spec.backend or {}).get("driver") not in ("file", "host_device"):
        return ()
    return (
        f"QEMU does not report {' and '.join(unknown)} of the disk {spec.id}, so the new disk has the default. Set what the "
        "present disk has.",
    )
