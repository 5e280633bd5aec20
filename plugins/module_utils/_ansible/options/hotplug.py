# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of vmops.qemu.qmp_hotplug: lists of items, each with the options of the module of its kind."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any, Callable, Iterator, Mapping, NamedTuple, Sequence

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ..._vm import desired
from ..._vm.desired import Item, Part, Position, WholePlan
from ..._vm.errors import HardwareError, InvalidOption
from ..._vm.lazy import dataclass
from ..._vm.model.hardware import Hardware
from ..._vm.plan import race
from ..._vm.plan.plan import PlanFailed, Run, redacted
from ...qmp import Monitor
from ...qmp.secrets import Redactor
from .. import failure
from ..connection import check_numbers
from ..masking import SecretPlaces, as_dict, as_list, no_secret_places, shown_options
from ..run import Kind, Params, Task, as_planned, planned, read_back
from . import blockdev, chardev, cpu_hotplug, device, memory_hotplug, netdev, object


class Items(NamedTuple):
    """A list of items of one kind. ``module`` is the module of a single item. ``title`` and ``one`` are names of several items
    and of one in the output of the role; ``listed`` and ``note`` are for the documentation of the list."""

    kind: Kind
    module: str
    title: str
    one: str
    listed: str
    note: str = ""


CPUS = cpu_hotplug.KIND
ITEMS: dict[str, Items] = {
    "memory": Items(
        memory_hotplug.KIND,
        "qmp_memory_hotplug",
        "Memory",
        "Memory",
        "memory devices",
        "One item can have O(memory[].total) instead of an id.",
    ),
    "objects": Items(object.KIND, "qmp_object", "Objects", "Object", "objects"),
    "chardevs": Items(chardev.KIND, "qmp_chardev", "Character devices", "Character device", "character devices and serial ports"),
    "devices": Items(device.KIND, "qmp_device", "Devices", "Device", "other devices, controllers among them"),
    "blockdevs": Items(blockdev.KIND, "qmp_blockdev", "Disks", "Disk", "disks"),
    "netdevs": Items(netdev.KIND, "qmp_netdev", "NICs", "NIC", "NICs"),
}
"""The lists, by their options. The documentation of qmp_hotplug and the role have their parts from here: nox -s generate."""
LISTS = {name: items.kind for name, items in ITEMS.items()}
KINDS: dict[str, Kind] = {"cpus": CPUS, **LISTS}
_NOT_OF_ITEMS: dict[str, Any] = {"reserved": []}
"""An option of single tasks with its default: here no slot is given twice anyway."""
OPTIONS: dict[str, Any] = {
    "cpus": {"type": "raw"},
    **{
        name: {
            "type": "list",
            "elements": "dict",
            "options": {option: spec for option, spec in kind.options.items() if option not in _NOT_OF_ITEMS},
            **kind.rules,
        }
        for name, kind in LISTS.items()
    },
    "exact": {"type": "bool", "default": False},
    "on_pending": {"type": "str", "choices": ["fail", "report"], "default": "fail"},
}
_SLOT = ("bus", "addr", "scsi_id", "lun", "slot")
_CLAIMS = ("mac", "ifname", "guest_cid")
"""Options whose value only one item can have."""


class Desired(NamedTuple):
    """All items of a task. ``exact``: the kinds of which nothing else is to be there."""

    items: list[Item]
    exact: list[str]


def desired_hardware(params: Params) -> Desired:
    """The items of all lists, and ``cpus``. Raises InvalidOption that names the item."""
    given = [name for name in KINDS if params[name] is not None]
    kept = _of_fixed_size(params["memory"] or [])
    items = [
        _item(name, index, one, params["on_pending"], kept)
        for name in given
        for index, one in enumerate(params[name] if name in LISTS else [_cpus(params[name])])
    ]
    totals = [item.name for item in items if item.kind == "memory" and item.id is None]
    if len(totals) > 1:
        raise InvalidOption(f"{' and '.join(totals)} both have total. Give it once.")
    return Desired(items, given if params["exact"] else [])


def _cpus(value: Any) -> dict[str, Any]:
    """The options of qmp_cpu_hotplug from ``cpus``, which is a number or has these options."""
    options = as_dict(value) if isinstance(value, str) and not value.strip().isdigit() else value
    options = options if isinstance(options, dict) else {"count": value}
    checked = ArgumentSpecValidator(CPUS.options, **CPUS.rules).validate(options)
    if checked.error_messages:
        raise InvalidOption(f"cpus: {checked.error_messages[0]}. Give a number, or the options of qmp_cpu_hotplug.")
    check_numbers(checked.validated_parameters, CPUS.options, "cpus.")
    return dict(checked.validated_parameters)


def _of_fixed_size(memory: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    """The ids of the items whose memory a total must not change: all that are present, but for those of type virtio-mem of which
    the task does not say how much they give."""
    return frozenset(
        str(one["id"])
        for one in memory
        if one["id"] and one["state"] == "present" and (one["type"] != "virtio-mem" or one["requested_size"] is not None)
    )


def _item(name: str, index: int | None, params: Mapping[str, Any], on_pending: str, kept: frozenset[str] = frozenset()) -> Item:
    functions = KINDS[name].functions()
    absent = params["state"] == "absent"
    where = Position(name, index, params.get("id"))
    try:
        spec = functions.spec({**_NOT_OF_ITEMS, **params})
    except HardwareError as error:
        raise desired.about(where, error) from error
    if params.get("total") is not None:
        spec = replace(spec, kept=kept)
    return Item(
        where,
        plan=partial(_plan, functions.absent if absent else functions.present, spec),
        describe=partial(_plan, functions.describe, spec),
        absent=absent and name != "cpus",
        texts=frozenset(_texts([value for option, value in params.items() if option != "id"])),
        claims=_claims(params),
        slot=_slot(name, params),
        may_pend="report" in (params["on_pending"], on_pending),
    )


def _plan(make: Callable[[Hardware, Any], Any], spec: Any, hardware: Hardware) -> Any:
    return make(hardware, spec)


def _claims(params: Mapping[str, Any]) -> dict[str, str]:
    found = {option: str(params[option]).lower() for option in _CLAIMS if params.get(option)}
    if params.get("path") and params["server"] and params["type"] in (None, "socket"):
        found["path"] = str(params["path"])  # QEMU replaces the socket of another one that listens there
    return found


def _slot(name: str, params: Mapping[str, Any]) -> str:
    if name == "objects" or (name == "chardevs" and not params["driver"]):
        return "none"
    return "named" if any(params.get(option) is not None for option in _SLOT) else "any"


def _texts(value: Any) -> Iterator[str]:
    """All texts in *value*, at any depth."""
    pending = [value]
    while pending:
        one = pending.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            pending += one.values()
        elif isinstance(one, list):
            pending += one


def _removal(on_pending: str, name: str, thing: str) -> Item:
    """The item that removes what no item has, by the option ``exact``."""
    kind = KINDS[name]
    checked = ArgumentSpecValidator(kind.options).validate({"id": thing, "state": "absent"})
    return _item(name, None, checked.validated_parameters, on_pending)


def secret_places(params: Mapping[str, Any], redactor: Redactor) -> dict[str, Any]:
    """The items as they may be shown, of those kinds that have secrets in places of their own."""
    kinds = {name: kind for name, kind in LISTS.items() if kind.secret_places is not no_secret_places}
    found = {name: as_list(params[name]) for name in kinds if params.get(name) is not None}
    return {
        name: [_shown(kinds[name], as_dict(one), redactor) for one in items] if isinstance(items, list) else redactor.hide(items)
        for name, items in found.items()
    }


def _shown(kind: Kind, item: Any, redactor: Redactor) -> Any:
    if not isinstance(item, dict):
        return redactor.hide(item)
    return {**shown_options(item, kind.options, redactor), **kind.secret_places(item, redactor)}


@dataclass(frozen=True)
class Hotplug:
    """The whole of a VM's hardware as one plan, with a result for each item."""

    options: dict[str, Any]
    rules: dict[str, Any]
    secret_places: SecretPlaces
    spec: Callable[[Params], Any]

    def load(self) -> None:
        for kind in KINDS.values():
            kind.load()

    def run(self, monitor: Monitor, task: Task) -> dict[str, Any]:
        spec: Desired = task.spec
        hardware, plan = planned(partial(_whole_plan, on_pending=task.params["on_pending"]), monitor, spec)
        result = {
            **as_planned(plan, task),
            "status": "present",
            "order": desired.order(plan.parts),
            "undo": desired.undo(plan.parts),
        }
        if task.check_mode:
            return {**result, **_by_kind(plan, [part.plan.after for part in _in_task_order(plan)])}
        if not plan.steps:
            return {**result, **_report(plan, None, hardware)}
        if plan.doubts and any(part.action == "removed" for part in plan.parts):
            raise plan.doubts[0]  # else QEMU decides; but a removal comes first, and nothing restores what it removed
        del hardware  # so that its cache and that of the next one do not exist at the same time
        try:
            run = plan.apply(monitor, task.params["timeout"], task.report)
        except PlanFailed as error:
            error.cause = race.lost(error.cause)
            raise _of_item(failure.of_plan(error), plan.item_of(error)) from error
        result.update(
            commands=[redacted(command) for command in run.sent], launch_args=list(desired.launch_args(plan.parts, run))
        )
        for pending in run.pending:
            task.warn(str(pending))
        if run.pending:
            result["status"] = "unplug_pending"
        return {**result, **read_back(monitor, plan, result, lambda now: _report(plan, run, now))}


def _whole_plan(hardware: Hardware, spec: Desired, on_pending: str) -> WholePlan:
    return desired.plan(hardware, spec.items, spec.exact, partial(_removal, on_pending))


def _report(plan: WholePlan, run: Run | None, now: Hardware) -> dict[str, Any]:
    parts = _in_task_order(plan)
    if sum(part.item.kind != "objects" for part in parts) > 1:
        now.read_devices()
    return _by_kind(plan, [part.item.describe(now) for part in parts], run)


def _in_task_order(plan: WholePlan) -> list[Part]:
    """The items in the order of the task, and after them what ``exact`` removes."""
    return sorted(plan.parts, key=lambda part: (part.item.index is None, part.item.index or 0))


def _by_kind(plan: WholePlan, states: Sequence[Any], run: Run | None = None) -> dict[str, Any]:
    """The result for each item, in lists by kind."""
    pending = {str(error.details["device"]) for error in run.pending} if run else set()
    result: dict[str, Any] = {}
    for part, state in zip(_in_task_order(plan), states):
        item, one = part.item, part.plan
        devices = {str(command["arguments"]["id"]) for command in one.commands() if command["execute"] == "device_del"}
        entry = {
            "id": item.id,
            "changed": one.changed,
            "action": part.action,
            "status": "unplug_pending" if devices & pending else "absent" if item.absent else "present",
            KINDS[item.kind].result: state,
            "unverified": list(one.unverified),
            "launch_args": list(desired.launch_args([part], run)),
        }
        if item.kind == "cpus":
            result["cpus"] = entry
        else:
            result.setdefault(item.kind, []).append(entry)
    return result


def _of_item(failed: failure.Failure, item: Item | None) -> failure.Failure:
    """The same failure, of which the message says at which item the plan failed."""
    if item is None:
        return failed
    result = failed.result
    details = {**result["details"], "item": item.position.details()}
    return failure.Failure(**{**result, "msg": f"{item.name}: {result['msg']}", "details": details})


OPERATION = Hotplug(
    options=OPTIONS,
    spec=desired_hardware,
    rules={"required_one_of": [tuple(KINDS)]},
    secret_places=secret_places,
)
