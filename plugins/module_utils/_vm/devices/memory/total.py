# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans for the total memory of a VM, reached in the way that the VM allows."""

from __future__ import annotations

from itertools import count
from typing import Any, Collection, Iterable, Mapping, Sequence

from ...errors import Conflict, InvalidOption
from ...lazy import dataclass
from ...model.hardware import Hardware
from ...plan.plan import Command, Plan, Run, Step
from ..frontend import FrontendSpec
from .backend import check_size
from .device import launch_args, plan_absent, plan_present, requested_steps, with_requested_size
from .present import MemoryDevice, describe, memory_devices
from .spec import MOST, MemorySpec

_MOST_SUMS = 10_000


@dataclass(frozen=True)
class NotMore(Step):
    """Read the total again after a DIMM was plugged: another run may have plugged one for the same total in the meantime."""

    total: int
    changes = False

    def commands(self) -> list[Command]:
        return []

    def apply(self, run: Run) -> None:
        now = describe_total(Hardware(run.monitor))["total"]
        if now > self.total:
            raise Conflict(
                f"total is {now} after this run has plugged a DIMM, more than the requested {self.total}: another task or user "
                "has added memory in the meantime. Run the task again: it reads what the VM has now."
            )


def plan_total(hardware: Hardware, total: int, kept: Collection[str] = ()) -> Plan:
    """Have *total* bytes, in the way that this VM allows: a virtio-mem device grows and shrinks; without one, a DIMM is plugged,
    or DIMMs that have the surplus are unplugged. The devices with the ids *kept* stay as they are."""
    base, present = _base(hardware), memory_devices(hardware)
    before = _description(base, map(describe, present))
    missing = total - before["total"]
    elastic = next((one for one in present if one.type == "virtio-mem" and one.id and one.id not in kept), None)
    if not base <= total < MOST:
        limit = f"less than the {base} bytes that the VM was started with" if total < MOST else "more than any VM can have"
        raise InvalidOption(f"total {total} is {limit}.")
    if missing == 0:
        steps = requested_steps(hardware, elastic, elastic.requested_size) if elastic else []
        return Plan(tuple(steps), before, before, (), _launch_args(hardware, present))
    if elastic:
        return _resized(hardware, before, present, elastic, missing)
    if missing > 0:
        check_size(hardware, "ram", {}, missing, f"total {total} requires a DIMM of")
        made = _new_dimm(hardware, missing)
        after = _description(base, [*before["devices"], made.after or {}])
        launch = (*_launch_args(hardware, present), *made.launch_args)
        return Plan((*made.steps, NotMore(total)), before, after, (), launch, made.warnings)
    removed = _surplus(present, kept, before["total"], -missing)
    left = [one for one in present if one.id not in removed]
    removals = [step for name in removed for step in plan_absent(hardware, MemorySpec(FrontendSpec(name))).steps]
    return Plan(tuple(removals), before, _description(base, map(describe, left)), (), _launch_args(hardware, left))


def _resized(
    hardware: Hardware, before: dict[str, Any], present: Sequence[MemoryDevice], elastic: MemoryDevice, missing: int
) -> Plan:
    """The plan in which a virtio-mem device gives or takes the whole difference."""
    now, total = elastic.requested_size or 0, before["total"] + missing
    requested = now + missing
    if not 0 <= requested <= elastic.size:
        least = before["total"] - now
        raise InvalidOption(
            f"total {total} is not possible: {elastic.id} gives the guest {now} of at most {elastic.size} bytes, so the total "
            f"can be {least} to {least + elastic.size}."
        )
    device = hardware.device(elastic.id)
    block = hardware.property_of(device, "block-size") if device else None
    if isinstance(block, int) and requested % block:
        near = [total - requested % block, total - requested % block + block]
        raise InvalidOption(
            f"total {total} is not possible: the block size of {elastic.id} is {block} bytes. The nearest total is {near[0]} or "
            f"{near[1]}.",
            totals=near,
        )
    after = [with_requested_size(one, requested) if one is elastic else one for one in present]
    return Plan(
        tuple(requested_steps(hardware, elastic, requested)),
        before,
        _description(before["base"], map(describe, after)),
        (),
        _launch_args(hardware, present, {elastic.id: requested}),
    )


def _surplus(present: Sequence[MemoryDevice], kept: Collection[str], total: int, surplus: int) -> list[str]:
    """The ids of plugged DIMMs, none *kept*, that have *surplus* bytes together. Raises InvalidOption if there are none."""
    plugged = [one for one in present if one.type == "pc-dimm" and one.id and not one.at_launch]
    dimms = [one for one in plugged if one.id not in kept]
    sums = _sums(dimms)
    if surplus in sums:
        return sums[surplus]
    sizes = [one.size for one in dimms]
    totals = sorted(total - size for size in sums)
    desired = total - surplus
    near = [*[one for one in totals if one < desired][-1:], next(one for one in totals if one > desired)]
    which = "plugged DIMMs that this task does not list" if len(dimms) < len(plugged) else "plugged DIMMs"
    found = f"the sizes of the {which} are {sizes}" if sizes else f"there are no {which}"
    raise InvalidOption(
        f"total {desired} requires to remove DIMMs of {surplus} bytes together, but {found}. The nearest possible total is "
        f"{' or '.join(map(str, near))}.",
        sizes=sizes,
        totals=near,
    )


def _new_dimm(hardware: Hardware, size: int) -> Plan:
    """The plan of a DIMM with the first free id, or with the backend that a killed run left."""
    for number in count(1):
        name = f"dimm{number}"
        if name in hardware.ids:
            continue
        try:
            return plan_present(hardware, MemorySpec(FrontendSpec(name), size=size))
        except Conflict:
            if f"{name}.mem" not in hardware.objects:
                raise
    raise AssertionError("numbers do not end")


def _launch_args(
    hardware: Hardware, devices: Collection[MemoryDevice], requested: Mapping[str, int] | None = None
) -> tuple[str, ...]:
    """The arguments that give the VM these present memory devices at its next start. *requested*: sizes by id of those that
    change."""
    words: list[str] = []
    for one in devices:
        device = hardware.device(one.id)
        if device:
            size = (requested or {}).get(one.id)
            words += launch_args(hardware, device, {} if size is None else {"requested-size": size})
    return tuple(words)


def describe_total(hardware: Hardware) -> dict[str, Any]:
    """Bytes at start, plugged and in total, and all memory devices. A virtio-mem device counts with its requested size, which its
    guest may not have taken yet."""
    return _description(_base(hardware), map(describe, memory_devices(hardware)))


def _base(hardware: Hardware) -> int:
    return int(hardware.cache.ask("query-memory-size-summary")["base-memory"])


def _description(base: int, devices: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    listed = list(devices)
    plugged = sum(one.get("requested_size", one["size"]) for one in listed)
    return {"base": base, "plugged": plugged, "total": base + plugged, "devices": listed}


def _sums(dimms: Sequence[MemoryDevice]) -> dict[int, list[str]]:
    """The sizes that DIMMs have together, _MOST_SUMS at most, each with the ids of these DIMMs; those in the last slots first."""
    sums: dict[int, list[str]] = {0: []}
    for one in sorted(dimms, key=lambda one: -(one.properties.get("slot") or 0)):
        for reached, names in list(sums.items())[: _MOST_SUMS - len(sums)]:
            sums.setdefault(reached + one.size, [*names, one.id])
    return sums
