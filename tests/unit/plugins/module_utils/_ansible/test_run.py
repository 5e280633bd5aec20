# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A task as a function: from options to a result or a Failure, with nothing left in the process that called it."""

from __future__ import annotations

import copy
import os
import sys
from typing import Any, Mapping

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils._ansible.failure import Failure
from ansible_collections.vmops.qemu.plugins.module_utils._ansible.run import Operation, run
from ansible_collections.vmops.qemu.plugins.module_utils._vm.errors import Conflict, HardwareError
from ansible_collections.vmops.qemu.plugins.module_utils._vm.model.hardware import Hardware
from ansible_collections.vmops.qemu.plugins.module_utils._vm.plan.plan import Execute, Plan, PlanFailed
from ansible_collections.vmops.qemu.plugins.module_utils.qmp import (
    CommandError,
    ConnectError,
    Disconnected,
    InvalidArguments,
    Monitor,
    MonitorBusy,
    OutcomeUnknown,
    ProtocolError,
    QMPError,
    UnixAddress,
)
from ansible_collections.vmops.qemu.tests.support import recordings
from ansible_collections.vmops.qemu.tests.support.scripted_monitor import ScriptedMonitor, expect, hang_up, swallow

CALLS = 50
UUID = "3f2f8a0e-6f0c-4f8e-9c58-0b1d2a3c4d5e"
OPTIONS = {"socket": None, "host": None, "port": None, "tls": None, "connect_timeout": 5.0, "timeout": 5.0}


def plan(hardware: Hardware, spec: Mapping[str, Any]) -> Plan:
    """Adds what is not there."""
    return Plan((Execute("add", {"id": "a"}),)) if hardware.cache.ask("query-name") == {} else Plan()


def report(hardware: Hardware, spec: Mapping[str, Any]) -> dict[str, Any]:
    return {"thing": hardware.cache.ask("query-name")["name"]}


ADD = Operation(plan=plan, report=report, options={})
ADDED = [expect("query-name", reply={}), expect("add", {"id": "a"}), expect("query-name", reply={"name": "a"})]


def monitor_of(*scripts: list[Any]) -> ScriptedMonitor:
    """A monitor that answers who the VM is, which every task asks first, and then follows a script for each connection."""
    who = [expect("query-name", reply={"name": "vm1"}), expect("query-uuid", reply={"UUID": UUID})]
    return ScriptedMonitor(*([*who, *script] for script in scripts))


def task(server: ScriptedMonitor, work: Operation = ADD, check_mode: bool = False, **options: Any) -> dict[str, Any]:
    assert isinstance(server.address, UnixAddress)
    return run(work, {**OPTIONS, "socket": server.address.path, **options}, check_mode, pytest.fail)


def failure_of(server: ScriptedMonitor, work: Operation = ADD, **options: Any) -> dict[str, Any]:
    with pytest.raises(Failure) as failure:
        task(server, work, **options)
    return failure.value.result


def state_of_the_process() -> tuple[int, set[str], dict[str, dict[str, Any]]]:
    """How many descriptors are open, what is imported, and the values of the global names of this collection's plugins."""
    plugins = {name: one for name, one in sys.modules.items() if name.startswith("ansible_collections.vmops.qemu.plugins.")}
    values = {
        module: {
            name: copy.deepcopy(value) if isinstance(value, (dict, list, set)) else id(value)
            for name, value in vars(one).items()
            if not name.startswith("__")
        }
        for module, one in plugins.items()
    }
    return len(os.listdir("/proc/self/fd")), set(sys.modules), values


def test_many_tasks_over_a_socket_leave_nothing_in_the_process() -> None:
    scripts = [ADDED] * (CALLS + 1) + [[expect("query-name", reply={}), swallow("add", {"id": "a"}), hang_up()]] * CALLS
    with monitor_of(*scripts) as server:
        first = task(server)
        before = state_of_the_process()
        for _number in range(CALLS):
            assert task(server) == first
        for _number in range(CALLS):
            assert failure_of(server)["error_code"] == "disconnected"
        # the thread of the monitor has the last connection open, or has closed it already
        after = state_of_the_process()
    assert after[0] <= before[0] + 1 and after[1:] == before[1:]


@pytest.mark.parametrize("recording", recordings.of("mixed")[-1:], ids=str)
def test_many_tasks_on_a_vm_leave_nothing_in_the_process(recording: recordings.Recording) -> None:
    def tasks() -> list[dict[str, Any]]:
        return [
            recordings.check(recording, "qmp_info", gather_subset=["vm", "disks", "nics"]),
            recordings.check(recording, "qmp_device", id="rng1", driver="virtio-rng-pci"),
            recordings.check(recording, "qmp_netdev", id="n1", type="user"),
        ]

    first = tasks()
    before = state_of_the_process()
    for _number in range(CALLS // len(first)):
        assert tasks() == first
    assert state_of_the_process() == before


def test_the_options_and_the_operation_are_not_changed() -> None:
    options: dict[str, Any] = {"reserved": [{"bus": "rp0"}], "properties": {"a": [1]}}
    given = copy.deepcopy(options)
    with monitor_of([expect("query-name", reply={})]) as server:
        result = task(server, Operation(plan=plan, report=report, options={}, result="thing"), True, **options)
    assert options == given and result["reserved"] == [{"bus": "rp0"}] and result["reserved"] is not options["reserved"]


def test_a_plan_that_a_race_spoiled_is_made_once_more_after_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[Exception | Plan] = [Conflict("taken"), Plan()]
    waits: list[float] = []
    monkeypatch.setattr(Monitor, "poll_events", lambda _monitor, timeout: waits.append(timeout))

    def once(_hardware: Hardware, _spec: Any) -> Plan:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    with monitor_of([]) as server:
        assert task(server, Operation(plan=once, report=lambda hardware, spec: {}, options={}))["changed"] is False
    assert len(waits) == 1 and waits[0] > 0  # QEMU frees what is behind a device a moment after the device
    answers[:] = [Conflict("taken"), Conflict("still taken")]
    with monitor_of([]) as server:
        assert failure_of(server, Operation(plan=once, report=report, options={}))["msg"] == "still taken"


@pytest.mark.parametrize("error", [Conflict("two of them"), PermissionError("denied")])
def test_a_vm_that_cannot_be_read_after_the_change_is_changed(error: Exception) -> None:
    def broken(_hardware: Hardware, _spec: Any) -> dict[str, Any]:
        raise error

    with monitor_of(ADDED[:2]) as server:
        result = failure_of(server, Operation(plan=plan, report=broken, options={}))
    assert result["changed"] is True and "The change was completed" in result["msg"] and str(error) in result["msg"]
    assert [command["execute"] for command in result["details"]["done"]] == ["add"]
    with monitor_of([expect("query-name", reply={"name": "a"})]) as server:
        result = failure_of(server, Operation(plan=plan, report=broken, options={}))
    assert result["changed"] is False and result["msg"] == str(error)


def test_a_defect_of_the_collection_is_a_failure_too() -> None:
    def defect(_hardware: Hardware, _spec: Any) -> Plan:
        raise KeyError("oops")

    with monitor_of([]) as server:
        result = failure_of(server, Operation(plan=defect, report=report, options={}))
    assert result["error_code"] == "outcome_unknown" and "KeyError: 'oops'" in result["msg"] and result["changed"] is True


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MonitorBusy("held"), "monitor_busy"),
        (ConnectError("no such socket"), "connect_failed"),
        (ProtocolError("not JSON", "query-x"), "protocol_error"),
        (CommandError("GenericError", "no", "add"), "command_failed"),
        (InvalidArguments("add", "not finite"), "invalid_option"),
        (OutcomeUnknown("add"), "outcome_unknown"),
        (Disconnected("add"), "disconnected"),
        (HardwareError("it failed"), "command_failed"),
        (Conflict("it differs"), "conflict"),
        (PlanFailed(OutcomeUnknown("add"), []), "outcome_unknown"),
        (PlanFailed(FileNotFoundError(2, "No such file"), []), "command_failed"),
        (PermissionError(13, "Permission denied"), "command_failed"),
    ],
)
def test_each_error_has_its_code(error: Exception, code: str) -> None:
    def failing(_hardware: Hardware, _spec: Any) -> Plan:
        raise error

    with monitor_of([]) as server:
        result = failure_of(server, Operation(plan=failing, report=report, options={}))
    assert result["error_code"] == code and result["status"] == "failed" and result["msg"]
    assert isinstance(error, (QMPError, HardwareError, PlanFailed, OSError))


def test_what_was_removed_before_the_error_and_what_was_restored_is_reported() -> None:
    removal = Execute("device_del", {"id": "old"})
    replaced = Execute("device_del", {"id": "d1"}, Execute("device_add", {"id": "d1"}))
    failing = Execute("device_add", {"id": "d2"})

    def steps(_hardware: Hardware, _spec: Any) -> Plan:
        return Plan((removal, replaced, failing))

    refusal = ("GenericError", "no")
    script = [
        expect("device_del", {"id": "old"}),
        expect("device_del", {"id": "d1"}),
        expect("device_add", {"id": "d2"}, error=refusal),
        expect("device_add", {"id": "d1"}),
    ]
    with monitor_of(script) as server:
        result = failure_of(server, Operation(plan=steps, report=report, options={}))
    assert "Restored: d1." in result["msg"] and "not restored: old." in result["msg"] and result["changed"] is True


def idle(report: dict[str, Any]) -> Operation:
    """An operation that changes nothing, and reports this."""
    return Operation(plan=lambda hardware, spec: Plan(), report=lambda hardware, spec: report, options={})


@pytest.mark.parametrize(
    ("name", "uuid", "expected"),
    [
        ({"name": "vm1"}, {"UUID": UUID}, {"name": "vm1", "uuid": UUID}),
        ({}, {"UUID": "00000000-0000-0000-0000-000000000000"}, {"name": None, "uuid": None}),
    ],
    ids=["named", "started without -name and -uuid"],
)
def test_each_result_says_which_vm_it_is_about(name: Any, uuid: Any, expected: dict[str, Any]) -> None:
    who = [expect("query-name", reply=name), expect("query-uuid", reply=uuid)]
    reports: list[dict[str, Any]] = [{}, {"vm": {"status": "running"}}]
    for report in reports:
        with ScriptedMonitor(who) as server:
            assert task(server, idle(report))["vm"] == {**expected, **report.get("vm", {})}


def test_a_vm_that_does_not_say_who_it_is_is_changed_nevertheless() -> None:
    refusal = ("CommandNotFound", "The command query-name has not been found")
    with ScriptedMonitor([expect("query-name", error=refusal), expect("query-uuid", error=refusal), *ADDED]) as server:
        result = task(server)
    assert result["changed"] is True and result["vm"] == {"name": None, "uuid": None}
