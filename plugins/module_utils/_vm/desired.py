# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The desired hardware of a VM: many items, and one plan for all of them.

Each item is planned for the VM as the plans before it will leave it (see Forecast). So no slot is given twice, an item can use
what another one adds, and what the VM cannot take is refused before the first command.
"""

from __future__ import annotations

import heapq
from dataclasses import field, replace
from itertools import groupby
from typing import Any, Callable, Iterable, Mapping, NamedTuple, Sequence

from .devices.disk.resize import Resize
from .errors import Conflict, HardwareError, InvalidOption, NoFreeSlot, Unsupported
from .lazy import dataclass
from .model.forecast import Forecast
from .model.hardware import Hardware
from .plan.hotplug import Plug, StillThere, Unplug, UnplugTogether
from .plan.plan import Plan, PlanFailed, Run, Step

KINDS = ("objects", "memory", "chardevs", "devices", "blockdevs", "netdevs", "cpus")
"""In the order in which they are added if nothing else speaks for another one: what others need comes first."""

SLOTS = ("none", "named", "any")
"""Whether a thing takes a slot, and whether its task names it: those that take any come after those that name theirs."""


@dataclass(frozen=True)
class Position:
    """Where a task has an item, and the item's id. ``index`` is None for what the option ``exact`` removes."""

    kind: str
    index: int | None
    id: str | None

    def __str__(self) -> str:
        """The item for a message, as ``blockdevs[0] (data1)``."""
        where = self.kind if self.index is None or self.kind == "cpus" else f"{self.kind}[{self.index}]"
        return f"{where} ({self.id})" if self.id else where

    def details(self) -> dict[str, Any]:
        """The item for the details of a failure."""
        return {"kind": self.kind, "index": self.index, "id": self.id}


@dataclass(frozen=True)
class Item:
    """One thing that a task has present or absent.

    ``texts`` are all texts in its options: one may be the id of another item. ``claims`` are values that only one item may have,
    by option. ``slot``: one of SLOTS. ``may_pend``: whether its unplug may still be pending at the end.
    """

    position: Position
    plan: Callable[[Hardware], Plan]
    describe: Callable[[Hardware], Any]
    absent: bool = False
    texts: frozenset[str] = frozenset()
    claims: Mapping[str, str] = field(default_factory=dict)
    slot: str = "any"
    may_pend: bool = False

    @property
    def kind(self) -> str:
        return self.position.kind

    @property
    def index(self) -> int | None:
        return self.position.index

    @property
    def id(self) -> str | None:
        return self.position.id

    @property
    def name(self) -> str:
        return str(self.position)

    def mentioned(self) -> set[str]:
        """The ids that the options may refer to: all texts, and what stands before a dot in one, as in the name of a bus."""
        return {*self.texts, *(text.rpartition(".")[0] for text in self.texts)}


class Part(NamedTuple):
    """An item with its own plan."""

    item: Item
    plan: Plan

    @property
    def action(self) -> str:
        """``added``, ``changed``, ``removed`` or ``none``."""
        if not self.plan.changed:
            return "none"
        if self.plan.before is None:
            return "added"
        return "removed" if self.plan.after is None else "changed"


@dataclass(frozen=True)
class WholePlan(Plan):
    """The plan for all items. ``parts``: the items in the order in which the plan has them."""

    parts: tuple[Part, ...] = ()

    def item_of(self, failure: PlanFailed) -> Item | None:
        """The item at which the plan failed, None where that is not known."""
        device = getattr(failure.cause, "details", {}).get("device")
        last = failure.sent[-1:]
        for part in self.parts:
            if any(step is failure.step for step in part.plan.steps):
                return part.item
        for part in self.parts:
            commands = part.plan.commands()
            if device and any(command.get("arguments", {}).get("id") == device for command in commands):
                return part.item
        return next((part.item for part in self.parts if last and last[0] in part.plan.commands()), None)


def plan(
    hardware: Hardware, items: Sequence[Item], exact: Iterable[str] = (), removal: Callable[[str, str], Item] | None = None
) -> WholePlan:
    """The plan to have all *items*. What else there is of the kinds in *exact* is removed, by the item that *removal* makes."""
    refuse_twice(items)
    forecast = Forecast(hardware)
    surplus, warnings = _surplus(forecast, items, exact)
    removals = [removal(kind, name) for kind, name in surplus] if removal else []
    parts = _planned(forecast, in_order([*items, *removals]))
    return WholePlan(
        tuple(_steps(parts)),
        _side(parts, lambda plan: plan.before),
        _side(parts, lambda plan: plan.after),
        (),
        launch_args(parts),
        (*warnings, *(f"{part.item.name}: {warning}" for part in parts for warning in part.plan.warnings)),
        tuple(about(part.item.position, doubt) for part in parts for doubt in part.plan.doubts),
        tuple(parts),
    )


def launch_args(parts: Sequence[Part], run: Run | None = None) -> tuple[str, ...]:
    """The launch arguments of all items, each option once. *run* has those that were known only at the end."""
    late = run.launch_args if run else {}
    words = [word for part in parts for word in late.get(str(part.item.id), part.plan.launch_args)]
    return tuple(word for pair in dict.fromkeys(zip(words[::2], words[1::2])) for word in pair)


def order(parts: Sequence[Part]) -> list[dict[str, Any]]:
    """The items in the order of the plan, in groups of one kind and state: ``kind``, ``state``, and ``entries`` with ``kind``,
    ``id``, ``index`` and ``action``."""
    groups = groupby(parts, lambda part: (part.item.kind, part.item.absent))
    return [
        {
            "kind": kind,
            "state": "absent" if absent else "present",
            "entries": [{**part.item.position.details(), "action": part.action} for part in some],
        }
        for (kind, absent), some in groups
    ]


def undo(parts: Sequence[Part]) -> dict[str, Any]:
    """The options of a task that removes what this plan adds, and gives the VM as many vCPUs as it has now."""
    options: dict[str, Any] = {}
    for part in parts:
        if part.item.kind == "cpus" and part.plan.before and part.plan.after:
            options["cpus"] = min(part.plan.before["count"], part.plan.after["count"])
        elif part.item.id and part.action == "added":
            options.setdefault(part.item.kind, []).append({"id": part.item.id, "state": "absent"})
    return options


# -- what is refused without a look at the VM


def refuse_twice(items: Iterable[Item]) -> None:
    """Raise InvalidOption for items with one id, or with one of the values that only one can have."""
    found: dict[tuple[str, str], Item] = {}
    for item in items:
        claims = [] if item.absent else list(item.claims.items())
        if item.id is not None:  # objects have ids of their own, all other kinds share theirs
            claims.append(("id" if item.kind != "objects" else "id of an object", item.id))
        for option, value in claims:
            first = found.setdefault((option, value), item)
            if first is not item:
                raise InvalidOption(
                    f"{first.name} and {item.name} have the same {option}, {value}. Give each item its own.",
                    items=[first.name, item.name],
                )


# -- the order


def in_order(items: Sequence[Item]) -> list[Item]:
    """Removals first, users before what they use; then the others, what they refer to before them.

    Among those that do not refer to each other they are in the order of SLOTS, and then of KINDS.
    """
    removals = sorted((item for item in items if item.absent), key=_priority, reverse=True)
    return [*removals, *_sorted_by_references([item for item in items if not item.absent])]


def _priority(item: Item) -> tuple[Any, ...]:
    """A sort key. A total of memory comes after the memory that has ids."""
    index = -1 if item.index is None else item.index
    return SLOTS.index(item.slot), KINDS.index(item.kind), item.id is None, index, item.id or ""


def _sorted_by_references(items: Sequence[Item]) -> list[Item]:
    by_id: dict[str, list[int]] = {}
    for number, item in enumerate(items):
        if item.id:
            by_id.setdefault(item.id, []).append(number)
    needs: list[set[int]] = []
    needed_by: list[list[int]] = [[] for _item in items]
    for number, item in enumerate(items):
        found = {other for name in item.mentioned() for other in by_id.get(name, ())}
        needs.append(found - {number})
        for other in needs[-1]:
            needed_by[other].append(number)
    ready = [(_priority(item), number) for number, item in enumerate(items) if not needs[number]]
    heapq.heapify(ready)
    left = set(range(len(items)))
    result = []
    while left:
        # where each waits for another one, some text is an id by chance
        number = heapq.heappop(ready)[1] if ready else min(left, key=lambda one: _priority(items[one]))
        if number not in left:
            continue
        left.discard(number)
        result.append(items[number])
        for other in needed_by[number]:
            needs[other].discard(number)
            if not needs[other] and other in left:
                heapq.heappush(ready, (_priority(items[other]), other))
    return result


def _planned(hardware: Forecast, items: Sequence[Item]) -> list[Part]:
    """A plan for each item, for the VM as the plans before will leave it.

    What cannot be planned yet is tried again after the others: it may need what one of them adds or removes.
    """
    parts: list[Part] = []
    unexpected: Plan | None = None
    waiting = list(items)
    while waiting:
        deferred: list[tuple[Item, HardwareError]] = []
        for item in waiting:
            if unexpected:
                hardware.expect(unexpected.commands())
                unexpected = None
            try:
                unexpected = _with_buses(hardware, item.plan(hardware))
                parts.append(Part(item, unexpected))
            except (Conflict, NoFreeSlot, InvalidOption, Unsupported) as error:
                deferred.append((item, error))
        if len(deferred) == len(waiting):
            first, reason = deferred[0]
            raise about(first.position, reason)
        waiting = [item for item, _error in deferred]
    return parts


def _with_buses(hardware: Hardware, plan: Plan) -> Plan:
    """*plan* with the bus of each device that it unplugs, from which it follows what can be unplugged at the same time."""
    if not any(isinstance(step, Unplug) for step in plan.steps):
        return plan
    steps: list[Step] = []
    for step in plan.steps:
        device = hardware.device(step.device) if isinstance(step, Unplug) else None
        steps.append(replace(step, bus=device.bus) if device and isinstance(step, Unplug) else step)
    return replace(plan, steps=tuple(steps))


def about(position: Position, error: HardwareError) -> HardwareError:
    """The same error, of which the message and the details say which item it is about."""
    return type(error)(f"{position}: {error}", **{**error.details, "item": position.details()})


# -- one plan of many


def _steps(parts: Iterable[Part]) -> Iterable[Step]:
    """All steps; unplugs that follow each other at the same time, and one look at all plugged devices at the end."""
    plugged: list[str] = []
    for removes, some in groupby((part for part in parts if part.plan.steps), _only_removes):
        if removes:
            yield from _together(list(some))
            continue
        for step in _resized_together(list(some)):
            if isinstance(step, StillThere):
                plugged += step.devices
            else:
                yield step
    if plugged:
        yield StillThere(tuple(plugged))


def _resized_together(parts: Sequence[Part]) -> Iterable[Step]:
    """The steps of parts that add or change something. Of new disks that get a size and follow each other, all nodes are added
    before the first is resized: then the sizes of all are read once, and not all sizes again for each."""
    waiting: list[tuple[Part, Resize]] = []
    ids: set[str] = set()
    for part in parts:
        steps = part.plan.steps
        resize = next((step for step in steps if isinstance(step, Resize) and step.is_new and part.plan.before is None), None)
        if resize is None or ids & part.item.mentioned():
            yield from _resizes(waiting)
            waiting, ids = [], set()
        if resize is None:
            yield from steps
        else:
            waiting.append((part, resize))
            ids.add(str(part.item.id))
            yield from steps[: steps.index(resize)]
    yield from _resizes(waiting)


def _resizes(parts: Sequence[tuple[Part, Resize]]) -> Iterable[Step]:
    """The steps of new disks from the one on that gives the node its size."""
    for _part, resize in parts:
        resize.read_with(parts[0][1])
        yield resize
    for part, resize in parts:
        yield from part.plan.steps[part.plan.steps.index(resize) + 1 :]


def _only_removes(part: Part) -> bool:
    steps = part.plan.steps
    unplugs = any(isinstance(step, Unplug) and step.undo_step is None for step in steps)
    return part.item.absent or (unplugs and not any(isinstance(step, Plug) for step in steps))


def _together(parts: Sequence[Part]) -> Iterable[Step]:
    """The steps of removals: those before the unplugs, all unplugs, each with what follows it, and what has none."""
    unplugs: list[Unplug] = []
    after: list[list[Step]] = []
    last: list[Step] = []
    may_pend: set[str] = set()
    for part in parts:
        number = len(unplugs)
        has_unplug = any(isinstance(step, Unplug) for step in part.plan.steps)
        for step in part.plan.steps:
            if isinstance(step, Unplug):
                unplugs.append(step)
                after.append([])
                may_pend |= {step.device} if part.item.may_pend else set()
            elif not has_unplug:
                last.append(step)
            elif len(unplugs) > number:
                after[-1].append(step)
            else:
                yield step
    if unplugs:
        yield UnplugTogether(tuple(unplugs), tuple(map(tuple, after)), frozenset(may_pend))
    yield from last


def _side(parts: Iterable[Part], of: Callable[[Plan], Any]) -> dict[str, Any]:
    """One side of the diff: by kind and id what changes."""
    side: dict[str, Any] = {}
    for part in parts:
        state = of(part.plan)
        if part.plan.changed and state is not None:
            if part.item.kind == "cpus":
                side["cpus"] = state
            else:
                side.setdefault(part.item.kind, {})[part.item.id or "total"] = state
    return side


# -- what is not listed


def _surplus(hardware: Hardware, items: Sequence[Item], exact: Iterable[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """Kind and id of what was plugged while the VM runs and is not among *items*, and warnings of what cannot be known."""
    found: list[tuple[str, str]] = []
    warnings: list[str] = []
    line = hardware.command_line
    launched = {"blockdevs": line.nodes, "netdevs": line.netdevs, "chardevs": line.chardevs}
    # a number of vCPUs and a total are exact by themselves
    by_themselves = {"cpus", *(item.kind for item in items if item.kind == "memory" and item.id is None)}
    kinds = [kind for kind in exact if kind not in by_themselves]
    if not kinds:
        return [], []
    from .plugged import plugged  # only here: it imports several kinds

    there = plugged(hardware, kinds)
    for kind in kinds:
        listed = {str(item.id) for item in items if item.kind == kind}
        unclear = there.unclear.get(kind, set()) - listed
        if unclear:
            warnings.append(
                f"{kind}: exact: true does not remove {', '.join(sorted(unclear))}: QEMU does not report whether the VM "
                "was started with them, and its command line is not visible from here. Remove them with state: absent."
            )
        found += [(kind, name) for name in sorted(there.known[kind] - listed - launched.get(kind, {}).keys())]
    return found, warnings
