# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A VM's memory in all, brought to a number of bytes in the way that the VM allows."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import Any, Collection, Mapping

from ...errors import Conflict, InvalidOption
from ...model.hardware import Hardware
from ...plan.plan import Command, Plan, Run, Step
from ..frontend import FrontendSpec
from .backend import check_size
from .plans import describe_all, launch_args, plan_absent, plan_present, requested_steps
from .spec import MOST, MemorySpec

_MOST_SUMS = 10_000


@dataclass(frozen=True)
class NotMore(Step):
    """A last look at the total after a DIMM was plugged, for another run may have plugged one for the same total meanwhile."""

    total: int
    changes = False

    def commands(self) -> list[Command]:
        return []

    def apply(self, run: Run) -> None:
        now = describe_total(Hardware(run.monitor))["total"]
        if now > self.total:
            raise Conflict(
                f"total is {now} after this run has plugged a DIMM, wanted {self.total}: another task or user has "
                "added memory meanwhile. Run this again: it reads what the VM has now."
            )


def plan_total(hardware: Hardware, total: int) -> Plan:
    """Have *total* bytes in all, in the way that this VM allows: a virtio-mem device grows and shrinks; otherwise a DIMM comes,
    or those go that make up the difference."""
    before = describe_total(hardware)
    missing = total - before["total"]
    after = {**before, "total": total, "plugged": total - before["base"]}
    elastic = next((one for one in before["devices"] if one["type"] == "virtio-mem"), None)
    if not before["base"] <= total < MOST:
        limit = f"less than the {before['base']} bytes that the VM was started with" if total < MOST else "more than any VM has"
        raise InvalidOption(f"total {total} is {limit}.")
    if missing == 0:
        steps = requested_steps(hardware, elastic["id"], elastic["requested_size"], elastic) if elastic else []
        return Plan(tuple(steps), before, before, (), _launch_args(hardware, {}))
    if elastic:
        return _resized(hardware, before, elastic, missing, after)
    if missing > 0:
        check_size(hardware, "ram", {}, missing, f"total {total} needs a DIMM of")
        made = _new_dimm(hardware, missing)
        launch = (*_launch_args(hardware, {}), *made.launch_args)
        return Plan((*made.steps, NotMore(total)), before, after, (), launch, made.warnings)
    dimms = [one for one in before["devices"] if one["type"] == "pc-dimm" and not one["at_launch"]]
    sums = _sums(dimms)
    if -missing not in sums:
        sizes = [one["size"] for one in dimms]
        totals = sorted(before["total"] - size for size in sums)
        near = [*[one for one in totals if one < total][-1:], next(one for one in totals if one > total)]
        raise InvalidOption(
            f"No plugged DIMMs make up the {-missing} bytes that are too many; they have {sizes or 'nothing'}. "
            f"The nearest total that can be is {' or '.join(map(str, near))}.",
            sizes=sizes,
            totals=near,
        )
    gone = sums[-missing]
    removals = [step for name in gone for step in plan_absent(hardware, MemorySpec(FrontendSpec(name))).steps]
    return Plan(tuple(removals), before, after, (), _launch_args(hardware, {}, gone))


def _resized(hardware: Hardware, before: dict[str, Any], elastic: dict[str, Any], missing: int, after: dict[str, Any]) -> Plan:
    """A virtio-mem device gives or takes the whole difference."""
    wanted = elastic["requested_size"] + missing
    if not 0 <= wanted <= elastic["size"]:
        least = before["total"] - elastic["requested_size"]
        raise InvalidOption(
            f"{elastic['id']} has {elastic['requested_size']} of at most {elastic['size']} bytes: the total "
            f"can be {least} to {least + elastic['size']}."
        )
    device = hardware.device(elastic["id"])
    block = hardware.property_of(device, "block-size") if device else None
    if isinstance(block, int) and wanted % block:
        near = [after["total"] - wanted % block, after["total"] - wanted % block + block]
        raise InvalidOption(
            f"total {after['total']} cannot be: {elastic['id']} gives memory in blocks of {block} bytes. The "
            f"nearest total is {near[0]} or {near[1]}.",
            totals=near,
        )
    steps = requested_steps(hardware, elastic["id"], wanted, elastic)
    return Plan(tuple(steps), before, after, (), _launch_args(hardware, {elastic["id"]: wanted}))


def _new_dimm(hardware: Hardware, size: int) -> Plan:
    """A DIMM under the first free name, or the one over a backend that a killed run left."""
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


def _launch_args(hardware: Hardware, requested: Mapping[str, int], gone: Collection[str] = ()) -> tuple[str, ...]:
    """What gives the VM its memory devices at its next start: all that have an id but the *gone*, *requested* being what
    virtio-mem devices are to have."""
    words: list[str] = []
    for one in describe_all(hardware):
        device = hardware.device(one["id"])
        if device and one["id"] not in gone:
            stated = {"requested-size": requested[one["id"]]} if one["id"] in requested else {}
            words += launch_args(hardware, device, stated)
    return tuple(words)


def describe_total(hardware: Hardware) -> dict[str, Any]:
    """Bytes at start, plugged and in all, with what a virtio-mem device is to have rather than what its guest has taken yet."""
    summary = hardware.cache.ask("query-memory-size-summary")
    pieces = describe_all(hardware)
    plugged = sum(one.get("requested_size", one["size"]) for one in pieces)
    return {"base": summary["base-memory"], "plugged": plugged, "total": summary["base-memory"] + plugged, "devices": pieces}


def _sums(pieces: list[dict[str, Any]]) -> dict[int, list[str]]:
    """The numbers of bytes that pieces make up together, _MOST_SUMS at most, with their ids; the newest slots first."""
    sums: dict[int, list[str]] = {0: []}
    for piece in sorted(pieces, key=lambda one: -(one["slot"] or 0)):
        for reached, names in list(sums.items())[: _MOST_SUMS - len(sums)]:
            sums.setdefault(reached + piece["size"], [*names, piece["id"]])
    return sums
