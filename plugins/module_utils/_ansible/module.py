# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The glue between Ansible and the domain: options in, plan, result or failure out. The one place that ends a module."""

from __future__ import annotations

import inspect
import sys
import traceback
from dataclasses import dataclass, field
from typing import Any, Callable, Mapping, NoReturn

from ansible.module_utils import basic
from ansible.module_utils.common.text.formatters import human_to_bytes

from .._vm.devices.frontend import Front
from .._vm.errors import Conflict, HardwareError, InvalidOption, NoFreeSlot, NotYet, UnplugPending
from .._vm.facts import SUBSETS
from .._vm.hints import hint
from .._vm.model.hardware import Hardware
from .._vm.model.slots import Wanted
from .._vm.plan import race
from .._vm.plan.plan import Plan, PlanFailed, redacted
from ..qmp import (
    Address,
    CommandError,
    Disconnected,
    InvalidArguments,
    Monitor,
    MonitorBusy,
    OutcomeUnknown,
    ProtocolError,
    QMPError,
    TcpAddress,
    TlsAddress,
    UnixAddress,
    has_address,
    is_loopback,
    others_may_write,
    unreadable,
)
from . import masking as _masking
from .masking import Masking, Places, no_places
from .output import PrintableModule

Redactor, as_dict, as_list = _masking.Redactor, _masking.as_dict, _masking.as_list
"""For the modules that mask places of their own."""

CONNECTION: dict[str, Any] = {
    "socket": {"type": "path"},
    "host": {"type": "str"},
    "port": {"type": "int"},
    "tls": {
        "type": "dict",
        "options": {
            "ca_file": {"type": "path", "required": True},
            "cert_file": {"type": "path"},
            "key_file": {"type": "path", "no_log": False},
            "server_name": {"type": "str"},
        },
        "required_together": [("cert_file", "key_file")],
    },
    "allow_plaintext": {"type": "bool", "default": False},
    "connect_timeout": {"type": "float", "default": 10.0},
    "timeout": {"type": "float", "default": 30.0},
}
STATE: dict[str, Any] = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "on_pending": {"type": "str", "choices": ["fail", "report"], "default": "fail"},
}
FRONT: dict[str, Any] = {
    "driver": {"type": "str"},
    "bus": {"type": "str"},
    "addr": {"type": "str"},
    "romfile": {"type": "str"},
    "disable_modern": {"type": "bool"},
    "properties": {"type": "dict", "default": {}},
    "reserved": {"type": "list", "elements": "dict", "default": []},
    "recreate": {"type": "bool", "default": False},
    "force": {"type": "bool", "default": False},
}
"""The option groups that modules share; the doc fragments of the same names describe them."""

_PLACES = {
    "socket": "give the path of the VM's QMP socket, the one of QEMU's -qmp unix:PATH,server=on,wait=off.",
    "host": "give the host of QEMU's -qmp tcp:HOST:PORT,server=on,wait=off.",
    **{f"tls.{name}": "give the path of a PEM file, or leave it out." for name in ("ca_file", "cert_file", "key_file")},
    "tls.server_name": "give the name that QEMU's certificate is for, or leave it out.",
}
"""What to give for the options that say where the monitor is."""

_CODES = (
    (MonitorBusy, "monitor_busy"),
    (ProtocolError, "protocol_error"),
    (CommandError, "command_failed"),
    (InvalidArguments, "invalid_option"),
    (OutcomeUnknown, "outcome_unknown"),
    (Disconnected, "disconnected"),
    (QMPError, "connect_failed"),
)


_LEAST_SECONDS = 1.0
"""For QEMU to answer, also where a task does not want to wait for the guest."""


@dataclass(frozen=True)
class Kind:
    """One kind of hardware, as ``converge`` needs it.

    ``result`` is the key of the live object in the result; ``spec`` makes the domain's wish from the options;
    ``present`` and ``absent`` plan it; ``describe`` tells the object as it is, None for absent.
    """

    result: str
    spec: Callable[[Mapping[str, Any]], Any]
    present: Callable[[Hardware, Any], Plan]
    absent: Callable[[Hardware, Any], Plan]
    describe: Callable[[Hardware, Any], Any]
    options: dict[str, Any]
    rules: dict[str, Any] = field(default_factory=dict)
    places: Places = no_places


@dataclass(frozen=True)
class Operation:
    """What a module does, as ``operate`` needs it.

    ``plan`` makes the plan from the options; ``tell`` reads what the result says of the VM after it. ``preview`` is what check
    mode tells instead; by default the planned state under the key ``result``, or, where there is no such thing, what ``tell``
    reads. ``places`` masks the options that have secrets in places of their own; all others are masked without it. ``looks``:
    whether the plan looks at what is there, so that what it adds was not.
    """

    plan: Callable[[Hardware, Mapping[str, Any]], Plan]
    tell: Callable[[Hardware, Mapping[str, Any]], dict[str, Any]]
    options: dict[str, Any]
    rules: dict[str, Any] = field(default_factory=dict)
    result: str | None = None
    preview: Callable[[Hardware, Mapping[str, Any]], dict[str, Any]] | None = None
    places: Places = no_places
    looks: bool = True


def converge(kind: Kind) -> None:
    """Run a module that brings one object of *kind* to the wanted state."""

    def plan(hardware: Hardware, params: Mapping[str, Any]) -> Plan:
        return (kind.present if params["state"] == "present" else kind.absent)(hardware, kind.spec(params))

    def tell(hardware: Hardware, params: Mapping[str, Any]) -> dict[str, Any]:
        return {kind.result: kind.describe(hardware, kind.spec(params))}

    operate(Operation(plan, tell, {**STATE, **kind.options}, kind.rules, kind.result, places=kind.places))


def operate(operation: Operation) -> None:
    """Run a module that changes a VM by a plan."""
    module = _make_module(operation.options, operation.places, **operation.rules)
    _run(module, lambda monitor: _operate(module, operation, monitor))


def inform(options: dict[str, Any]) -> None:
    """Run a module that only reads: the parts of the facts that ``gather_subset`` names."""
    module = _make_module(options)
    wanted = set(module.params["gather_subset"])

    def work(monitor: Monitor) -> dict[str, Any]:
        hardware = Hardware(monitor)
        return {"changed": False, **{name: read(hardware) for name, read in SUBSETS.items() if wanted & {"all", name}}}

    _run(module, work)


class AnsibleModule(PrintableModule):
    """Ansible's own, but that the secrets of a task are left out where they stand, in its log and in its result.

    Ansible replaces each occurrence of what a secret option holds, in all that it tells. That is done here instead, by place.
    Only what Ansible documents is overridden.
    """

    def __init__(self, places: Places = no_places, **arguments: Any) -> None:
        self._places = places
        try:
            super().__init__(**arguments)
        except UnicodeEncodeError:  # Ansible cannot log such options
            self.fail_json("An option has a text in it that is not valid Unicode (half of a surrogate pair); write it anew.")

    def _masking(self) -> Masking:
        """From the options as they are now: as given, or, when they are checked, brought to their types."""
        return Masking(self.params, self.argument_spec, self.aliases, self._places)

    def log(self, msg: str, log_args: dict[str, Any] | None = None) -> None:
        masking = self._masking()
        self.no_log_values = set()  # what is left to Ansible to replace has nothing to be replaced in it
        if log_args is None and not str(msg).startswith("Invoked"):
            super().log(masking.text(str(msg)))
        else:  # Ansible would log the options escaped, and so with secrets that it does not recognise
            shown = {name: str(value) for name, value in masking.options.items()}
            super().log(" ".join(["Invoked with", *(f"{name}={value}" for name, value in shown.items())]), log_args=shown)

    def warn(self, warning: str, **more: Any) -> None:
        super().warn(self._masking().text(warning), **more)

    def exit_json(self, **result: Any) -> NoReturn:
        super().exit_json(**self._shown(result))
        raise AssertionError("exit_json returned")

    def fail_json(self, msg: str, **result: Any) -> NoReturn:
        """Options that Ansible refuses come here as well, before they are logged."""
        contract = {"error_code": "invalid_option", "status": "failed", "changed": False, "details": {}}
        super().fail_json(**self._shown({**contract, **result, **self._traceback(), "msg": str(msg)}))
        raise AssertionError("fail_json returned")

    def _traceback(self) -> dict[str, str]:
        """What Ansible would add of the error that is being handled, if it is asked to, for its text may have a secret in it."""
        if sys.exc_info()[1] is None:
            return {}
        wanted = self._verbosity >= 3 or "exception" in inspect.signature(basic.AnsibleModule.fail_json).parameters
        return {"exception": traceback.format_exc()} if wanted else {}

    def _shown(self, result: Mapping[str, Any]) -> dict[str, Any]:
        masking = self._masking()
        self.no_log_values = set()
        return {**masking.result(result), "invocation": {"module_args": masking.options}}


def _make_module(options: dict[str, Any], places: Places = no_places, **rules: Any) -> AnsibleModule:
    """An AnsibleModule that has the connection options besides *options*."""
    rules = {
        **rules,
        "required_one_of": [("socket", "host"), *rules.get("required_one_of", ())],
        "mutually_exclusive": [("socket", "host"), *rules.get("mutually_exclusive", ())],
        "required_by": {"host": ("port",), "port": ("host",), "tls": ("host",), **rules.get("required_by", {})},
    }
    return AnsibleModule(places=places, argument_spec={**CONNECTION, **options}, supports_check_mode=True, **rules)


def _run(module: AnsibleModule, work: Callable[[Monitor], dict[str, Any]]) -> None:
    """As ``_with_monitor``. An error that nobody has foreseen fails as others do, for its text may have a secret in it."""
    try:
        _with_monitor(module, work)
    except Exception as error:
        module.fail_json(
            msg=f"This is a fault of the module itself ({type(error).__name__}: {error}). The VM's state is not known: read it "
            "with vmops.qemu.qmp_info. Please report this with its traceback (ANSIBLE_DISPLAY_TRACEBACK=error, or -vvv).",
            error_code="outcome_unknown",
            changed=True,
        )


def _with_monitor(module: AnsibleModule, work: Callable[[Monitor], dict[str, Any]]) -> None:
    """Connect, do *work*, and end the module with what it returns, or with the one failure of the contract."""
    if module.params["socket"] and others_may_write(module.params["socket"]):
        module.warn(
            f"Any user of this host may write to {module.params['socket']}, and so rule the VM: chmod o-w it, and the "
            "folder that QEMU makes it in."
        )
    try:
        _check_values(module.params)
        seconds = max(_LEAST_SECONDS, module.params["timeout"])
        with Monitor.connect(
            _address(module.params), timeout=module.params["connect_timeout"], command_timeout=seconds, read_timeout=seconds
        ) as monitor:
            result = work(monitor)
    except PlanFailed as failure:
        _fail_plan(module, failure)
    except (QMPError, HardwareError, OSError) as error:
        _fail(module, error)
    module.exit_json(**result)


def front(params: Mapping[str, Any], options: Mapping[str, Any]) -> Front:
    """The device part of a wish: the options of FRONT, and *options*, which are properties of this kind alone."""
    return Front(
        id=params["id"],
        driver=params.get("driver"),
        place=Wanted(params["bus"], params.get("addr"), params.get("scsi_id"), params.get("lun"), tuple(params["reserved"])),
        options={"romfile": params.get("romfile"), "disable-modern": params.get("disable_modern"), **options},
        properties=params["properties"],
    )


def size_in_bytes(value: str | None) -> int | None:
    """Bytes of a size such as ``10G`` (powers of 1024). Raises InvalidOption."""
    try:
        return None if value is None else int(human_to_bytes(value))
    except (ValueError, OverflowError):
        raise InvalidOption(f"size {value!r} is no size: write bytes or a number with K, M, G or T, such as 10G.") from None


def _check_values(params: Mapping[str, Any]) -> None:
    """Raise InvalidOption for what JSON and the system's calls cannot carry, and for times that are none."""
    for name in ("connect_timeout", "timeout"):
        if not 0 <= params[name] < float("inf"):
            raise InvalidOption(f"{name} {params[name]} is no time: give seconds.")
    pending: list[tuple[str, Any]] = list(params.items())
    while pending:
        name, value = pending.pop()
        if isinstance(value, dict):
            pending += [(name, key) for key in value]
            pending += [(f"{name}.{key}" if len(str(key)) < 40 else name, one) for key, one in value.items()]
        elif isinstance(value, list):
            pending += [(name, one) for one in value]
        elif isinstance(value, float) and not abs(value) < float("inf"):
            raise InvalidOption(f"{name} has {value} in it, which is no number that QEMU takes.")
        elif isinstance(value, str) and unreadable(value):
            found = unreadable(value)
            what = (
                "a NUL byte in it, which ends a text for QEMU"
                if found == "U+0000"
                else (f"{found} in it, which is no character that QEMU reads")
            )
            raise InvalidOption(f"{name} has {what}: leave it out.")


def _address(params: Mapping[str, Any]) -> Address:
    """Where the monitor is. Raises InvalidOption for one that could be listened in on, or spoken to by anybody."""
    for name, value in [*params.items(), *((f"tls.{name}", value) for name, value in (params["tls"] or {}).items())]:
        if name in _PLACES and value == "":
            raise InvalidOption(f"{name} is empty: {_PLACES[name]}")
    if params["socket"]:
        return UnixAddress(params["socket"])
    host, port, tls = params["host"], params["port"], params["tls"]
    if tls:
        return TlsAddress(host, port, tls["ca_file"], tls["cert_file"], tls["key_file"], tls["server_name"])
    if not params["allow_plaintext"] and not is_loopback(host):
        if not has_address(host):
            raise InvalidOption(f"host {host} has no address: check its spelling, and name resolution.")
        raise InvalidOption(
            f"{host} is not this host, and without tls whoever is in between can read along and rule the VM: "
            "give tls, go through an SSH tunnel, or set allow_plaintext: true."
        )
    return TcpAddress(host, port)


def _operate(module: AnsibleModule, operation: Operation, monitor: Monitor) -> dict[str, Any]:
    params = module.params
    hardware = Hardware(monitor)
    try:
        plan = operation.plan(hardware, params)
    except (Conflict, NoFreeSlot, CommandError):  # somebody may have changed the VM while it was read
        hardware = Hardware(monitor)
        plan = operation.plan(hardware, params)
    result = {
        "changed": plan.changed,
        "status": params.get("state"),
        "commands": [redacted(command) for command in plan.commands()],
        "diff": {"before": plan.before or {}, "after": plan.after or {}},
        "launch_args": list(plan.launch_args),
        "unverified": list(plan.unverified),
    }
    for warning in plan.warnings:
        module.warn(warning)
    if module.check_mode:
        if plan.doubts:
            raise plan.doubts[0]
        planned = {operation.result: plan.after} if operation.result else (operation.preview or operation.tell)(hardware, params)
        if "reserved" in params:
            result["reserved"] = [*params["reserved"], *([plan.after] if plan.after else [])]
        return {**result, **planned}
    told: dict[str, Any] = {}
    if plan.steps:
        try:
            run = plan.apply(monitor, params["timeout"])
            result["commands"], told = [redacted(command) for command in run.sent], run.told
        except PlanFailed as failure:
            if operation.looks:
                failure.cause = race.lost(failure.cause)
            if not isinstance(failure.cause, UnplugPending) or failure.left or params.get("on_pending") != "report":
                raise
            module.warn(str(failure.cause))
            result.update(status="unplug_pending", commands=[redacted(command) for command in failure.sent])
    del hardware  # what it remembers would be there twice
    monitor.read_again(_LEAST_SECONDS)
    try:
        return {**result, **operation.tell(Hardware(monitor), params), **told}
    except QMPError as error:
        if not plan.steps:
            raise
        _fail(
            module,
            error,
            changed=plan.changed,
            more="All of the change was made before that; what the VM has since could not be read. Run this again to see it.",
            sent=result["commands"],
            undone=[],
            left=[],
            done=result["commands"],
        )


def _fail_plan(module: AnsibleModule, failure: PlanFailed) -> NoReturn:
    """Fail with the first error, and say truly what of the plan is in force."""
    cause = failure.cause
    unclear = isinstance(cause, (OutcomeUnknown, Disconnected, ProtocolError, NotYet))
    more = ""
    if failure.left:
        more = (
            "What this run had changed could not all be undone; these commands, sent when the cause is gone, "
            f"undo the rest: {[redacted(one) for one in failure.left]}"
        )
    elif unclear and not isinstance(cause, NotYet):
        more = "Run this again: it reads what the VM has now and goes on from there."
    elif failure.undone:
        more = "What this run had added was taken back."
        back = [
            command["arguments"]["id"]
            for command in failure.undone
            if command["execute"] in ("device_add", "object-add", "chardev-add")
        ]
        more += f" {', '.join(dict.fromkeys(back))} was put back as it was." if back else ""
    gone = [] if unclear else [command["arguments"]["id"] for command in failure.done if command["execute"] == "device_del"]
    if gone:
        more += f" {', '.join(gone)} had been unplugged before that, and stays so."
    changed = bool(unclear or failure.left or failure.done or isinstance(cause, UnplugPending))
    _fail(
        module,
        cause,
        "rollback_incomplete" if failure.left else None,
        changed,
        more.strip(),
        **{name: [redacted(one) for one in getattr(failure, name)] for name in ("sent", "undone", "left", "done")},
    )


def _fail(
    module: AnsibleModule, error: Exception, code: str | None = None, changed: bool = False, more: str = "", **details: Any
) -> NoReturn:
    details.update(getattr(error, "details", {}))
    if isinstance(error, CommandError):
        details.update(command=error.command, qmp_class=error.qmp_class, desc=error.desc)
        text = f"QEMU refused {error.command}: {error.desc}.{hint(error.desc)}"
    else:
        text = str(error)
    code = (
        code
        or getattr(error, "error_code", None)
        or next((code for kind, code in _CODES if isinstance(error, kind)), "command_failed")
    )
    status = "unplug_pending" if code == "unplug_pending" else "failed"
    module.fail_json(msg=f"{text} {more}".strip(), error_code=code, details=details, changed=changed, status=status)
    raise AssertionError("fail_json returned")
