# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A task: its options become a spec, the spec a plan, and the plan a result or a Failure. AnsibleModule is not known here."""

from __future__ import annotations

from dataclasses import field
from functools import partial
from typing import Any, Callable, Mapping, NamedTuple, Protocol, TypeVar

from .._vm.errors import Conflict, HardwareError, NoFreeSlot, UnplugPending
from .._vm.lazy import dataclass
from .._vm.model.hardware import Hardware
from .._vm.model.identity import identity
from .._vm.model.query_cache import QueryCache
from .._vm.plan import race
from .._vm.plan.plan import RETRY_SECONDS, Plan, PlanFailed, redacted
from .._vm.plan.progress import Progress, Report
from ..qmp import CommandError, Monitor, QMPError, Tracer
from . import failure
from .connection import LEAST_SECONDS, OPTIONS, RULES, check_numbers, check_values, connect
from .masking import SecretPlaces, no_secret_places

PlanT = TypeVar("PlanT", bound=Plan)
Params = Mapping[str, Any]
"""The options of a task, checked and with their defaults, as AnsibleModule has them."""

STATE: dict[str, Any] = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "on_pending": {"type": "str", "choices": ["fail", "report"], "default": "fail"},
}
"""The options of every kind of hardware, documented by the doc fragment ``state``."""


ReportOf = Callable[[str, Progress], None]
"""Takes the name of a VM, and how far a step of its task is. It must not raise an exception."""


def ignore(_vm: str, _progress: Progress) -> None:
    """Report to nobody."""


class Task(NamedTuple):
    """One run of a module. ``spec`` is made from ``params`` by the spec builder; ``warn`` shows a warning, and ``report`` how far
    the steps are."""

    params: Params
    spec: Any
    check_mode: bool
    warn: Callable[[str], None]
    report: Report


class Work(Protocol):
    """What a module does: its options and rules as AnsibleModule takes them, the spec builder, and the work on one VM.

    ``secret_places`` masks the options that have secrets in places of their own.
    """

    @property
    def options(self) -> dict[str, Any]:
        """As AnsibleModule takes them."""

    @property
    def rules(self) -> dict[str, Any]:
        """Further arguments of AnsibleModule."""

    @property
    def secret_places(self) -> SecretPlaces:
        """See above."""

    @property
    def spec(self) -> Callable[[Params], Any]:
        """The spec builder."""

    def load(self) -> None:
        """Import all that a task can need. A module does not, because it imports what its task needs."""

    def run(self, monitor: Monitor, task: Task) -> dict[str, Any]:
        """The result of the work."""


@dataclass(frozen=True)
class Operation:
    """An operation on a VM.

    ``spec`` builds the spec from the options, ``plan`` makes the plan for it, and ``report`` reads the members of the result
    after the operation. Check mode returns instead what ``preview`` reads; without it the planned state under the key ``result``,
    or, if that is None, what ``report`` reads.
    ``reads``: whether the plan depends on the state of the VM, so that the ids and slots that it uses were free.
    """

    plan: Callable[[Hardware, Any], Plan]
    report: Callable[[Hardware, Any], dict[str, Any]]
    options: dict[str, Any]
    spec: Callable[[Params], Any] = dict
    rules: dict[str, Any] = field(default_factory=dict)
    result: str | None = None
    preview: Callable[[Hardware, Any], dict[str, Any]] | None = None
    secret_places: SecretPlaces = no_secret_places
    reads: bool = True

    def load(self) -> None:
        """All of an operation is loaded with its options."""

    def run(self, monitor: Monitor, task: Task) -> dict[str, Any]:
        return _operate(self, monitor, task)


class Functions(NamedTuple):
    """What a kind does. ``spec`` builds the spec from the options, ``present`` and ``absent`` make the plan for it, and
    ``describe`` returns the object as it is, None if it is absent."""

    spec: Callable[[Params], Any]
    present: Callable[[Hardware, Any], Plan]
    absent: Callable[[Hardware, Any], Plan]
    describe: Callable[[Hardware, Any], Any]


@dataclass(frozen=True)
class Kind:
    """A kind of hardware. A task makes one object of the kind present or absent.

    ``result`` is the key of the object in the result. ``functions`` imports and returns what the kind does: Ansible needs the
    options of all kinds to check those of qmp_hotplug, and a task has items of few kinds.
    """

    result: str
    functions: Callable[[], Functions]
    own_options: dict[str, Any]
    rules: dict[str, Any] = field(default_factory=dict)
    secret_places: SecretPlaces = no_secret_places

    @property
    def options(self) -> dict[str, Any]:
        return {**STATE, **self.own_options}

    @property
    def spec(self) -> Callable[[Params], Any]:
        return self.functions().spec

    def load(self) -> None:
        self.functions()

    def run(self, monitor: Monitor, task: Task) -> dict[str, Any]:
        plan = self.functions().present if task.params["state"] == "present" else self.functions().absent
        return _operate(Operation(plan, self._report, self.options, result=self.result), monitor, task)

    def _report(self, hardware: Hardware, spec: Any) -> dict[str, Any]:
        return {self.result: self.functions().describe(hardware, spec)}


@dataclass(frozen=True)
class Information:
    """A module that only reads: it returns those of the ``subsets`` of the facts that ``gather_subset`` names. ``all`` does not
    name the ``slow`` ones. A subset imports and returns the function that reads it."""

    options: dict[str, Any]
    subsets: Mapping[str, Callable[[], Callable[[Hardware], Any]]]
    slow: frozenset[str] = frozenset()
    rules: dict[str, Any] = field(default_factory=dict)
    secret_places: SecretPlaces = no_secret_places
    spec: Callable[[Params], Any] = dict

    def load(self) -> None:
        for read in self.subsets.values():
            read()

    def run(self, monitor: Monitor, task: Task) -> dict[str, Any]:
        hardware = Hardware(monitor)
        chosen = set(task.params["gather_subset"])
        if "all" in chosen:
            chosen |= self.subsets.keys() - self.slow
        return {"changed": False, **{name: read()(hardware) for name, read in self.subsets.items() if name in chosen}}


def arguments(work: Work) -> dict[str, Any]:
    """The options and rules of a module, its own and those of the connection, as arguments of AnsibleModule."""
    rules = {name: [*value] for name, value in work.rules.items() if name != "required_by"}
    for name in ("required_one_of", "mutually_exclusive"):
        rules[name] = [*RULES[name], *rules.get(name, ())]
    return {
        "argument_spec": {**OPTIONS, **work.options},
        "required_by": {**RULES["required_by"], **work.rules.get("required_by", {})},
        **rules,
    }


def run(
    work: Work,
    params: Params,
    check_mode: bool,
    warn: Callable[[str], None],
    report: ReportOf = ignore,
    tracer: Tracer | None = None,
) -> dict[str, Any]:
    """The result of a task. Raises Failure, and nothing else."""
    try:
        check_values(params)
        check_numbers(params, {**OPTIONS, **work.options})
        spec = work.spec(params)
        with connect(params, warn, tracer) as monitor:
            vm = identity(QueryCache(monitor))  # first, because the task can end QEMU
            named = partial(report, vm["name"] or str(monitor.address))
            result = work.run(monitor, Task(params, spec, check_mode, warn, named))
            return {**result, "vm": {**vm, **result.get("vm", {})}}
    except failure.Failure:
        raise
    except PlanFailed as error:
        raise failure.of_plan(error) from error
    except (QMPError, HardwareError, OSError) as error:
        raise failure.of_error(error) from error
    except Exception as error:
        raise failure.of_fault(error) from error


def _operate(operation: Operation, monitor: Monitor, task: Task) -> dict[str, Any]:
    params, spec = task.params, task.spec
    hardware, plan = planned(operation.plan, monitor, spec)
    result = as_planned(plan, task)
    if task.check_mode:
        shown = {operation.result: plan.after} if operation.result else (operation.preview or operation.report)(hardware, spec)
        if "reserved" in params:
            result["reserved"] = [*params["reserved"], *([plan.after] if plan.after else [])]
        return {**result, **shown}
    if not plan.steps:
        return {**result, **operation.report(hardware, spec)}
    del hardware  # so that its cache and that of the next one do not exist at the same time
    results: dict[str, Any] = {}
    try:
        run = plan.apply(monitor, params["timeout"], task.report)
        result["commands"], results = [redacted(command) for command in run.sent], run.results
        for words in run.launch_args.values():
            result["launch_args"] = words
    except PlanFailed as error:
        if operation.reads:
            error.cause = race.lost(error.cause)
        if not isinstance(error.cause, UnplugPending) or error.left or params.get("on_pending") != "report":
            raise
        task.warn(str(error.cause))
        result.update(status="unplug_pending", commands=[redacted(command) for command in error.sent])
    return {**result, **read_back(monitor, plan, result, lambda now: operation.report(now, spec)), **results}


def planned(make: Callable[[Hardware, Any], PlanT], monitor: Monitor, spec: Any) -> tuple[Hardware, PlanT]:
    """The VM, and the plan that *make* makes for it. After an error that a race can cause, both are made once more.

    Another task may have changed the VM while it was read. And QEMU frees what is behind a device a moment after the device is
    gone, so that a node can have a user that the task before has just unplugged.
    """
    hardware = Hardware(monitor)
    try:
        return hardware, make(hardware, spec)
    except (Conflict, NoFreeSlot, CommandError):
        monitor.poll_events(RETRY_SECONDS)
        hardware = Hardware(monitor)
        return hardware, make(hardware, spec)


def as_planned(plan: Plan, task: Task) -> dict[str, Any]:
    """The members of a task's result that come from its *plan*. In check mode, raises the first doubt."""
    for warning in plan.warnings:
        task.warn(warning)
    if task.check_mode and plan.doubts:
        raise plan.doubts[0]
    return {
        "changed": plan.changed,
        "status": task.params.get("state"),
        "commands": [redacted(command) for command in plan.commands()],
        "diff": {"before": plan.before or {}, "after": plan.after or {}},
        "launch_args": list(plan.launch_args),
        "unverified": list(plan.unverified),
    }


def read_back(
    monitor: Monitor, plan: Plan, result: Mapping[str, Any], report: Callable[[Hardware], dict[str, Any]]
) -> dict[str, Any]:
    """The members of the result that *report* reads after the plan was applied."""
    monitor.read_again(LEAST_SECONDS)
    try:
        return report(Hardware(monitor))
    except (QMPError, HardwareError, OSError) as error:
        raise failure.of_error(
            error,
            changed=plan.changed,
            more="The change was completed, but the state of the VM could not be read afterwards. Run the task again to see it.",
            sent=result["commands"],
            undone=[],
            left=[],
            done=result["commands"],
        ) from error
