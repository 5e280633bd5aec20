# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several devices are unplugged at the same time: requested together, awaited together, each with its own outcome."""

from __future__ import annotations

import time
from typing import Any

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils._vm.errors import UnplugPending, UnplugRefused
from ansible_collections.vmops.qemu.plugins.module_utils._vm.plan import hotplug
from ansible_collections.vmops.qemu.plugins.module_utils._vm.plan.hotplug import Unplug, UnplugTogether, plug
from ansible_collections.vmops.qemu.plugins.module_utils._vm.plan.plan import Delete, Execute, Plan, PlanFailed
from ansible_collections.vmops.qemu.plugins.module_utils._vm.plan.plan import Step as PlanStep
from ansible_collections.vmops.qemu.plugins.module_utils._vm.plan.progress import Progress
from ansible_collections.vmops.qemu.plugins.module_utils.qmp import CommandError
from ansible_collections.vmops.qemu.tests.support.scripted_monitor import Step, connected, event, expect


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hotplug, "POLL_SECONDS", 0.05)


def gone(device: str) -> dict[str, Any]:
    return event("DEVICE_DELETED", {"device": device, "path": f"/machine/peripheral/{device}"})


def device_del(device: str, **options: Any) -> Step:
    return expect("device_del", {"id": device}, **options)


def delete(node: str) -> Step:
    return expect("blockdev-del", {"node-name": node})


def listed(*ids: str, **options: Any) -> Step:
    reply = [{"name": one, "type": "child<x>"} for one in ids]
    return expect("qom-list", {"path": "/machine/peripheral"}, reply=reply, **options)


def together(*devices: str, buses: dict[str, str] | None = None, may_pend: tuple[str, ...] = ()) -> UnplugTogether:
    return UnplugTogether(
        tuple(Unplug(device, bus=(buses or {}).get(device)) for device in devices),
        tuple((Delete("blockdev-del", {"node-name": device}),) for device in devices),
        frozenset(may_pend),
    )


def names(commands: list[dict[str, Any]]) -> list[str]:
    return [f"{command['execute']} {next(iter(command['arguments'].values()))}" for command in commands]


def test_all_are_requested_before_the_first_is_awaited() -> None:
    seen: list[Progress] = []
    step = together("a", "b")
    with connected(
        device_del("a"), device_del("b", after=[gone("b")]), listed("a", after=[gone("a")]), listed(), delete("a"), delete("b")
    ) as monitor:
        run = Plan((step,)).apply(monitor, 10.0, seen.append)
    assert seen == [Progress("", 1, 2, "devices unplugged", note="the guest has not released a")]
    assert run.sent == step.commands()
    assert names(run.sent) == ["device_del a", "device_del b", "blockdev-del a", "blockdev-del b"]


def test_one_that_the_guest_refuses_keeps_its_node_and_the_others_are_done() -> None:
    no = event("DEVICE_UNPLUG_GUEST_ERROR", {"device": "a"})
    with connected(device_del("a"), device_del("b", after=[no, gone("b")]), listed("a"), delete("b")) as monitor:
        with pytest.raises(PlanFailed) as failure:
            Plan((together("a", "b"),)).apply(monitor, 10.0)
    assert isinstance(failure.value.cause, UnplugRefused) and failure.value.cause.details == {"device": "a"}
    assert names(failure.value.done) == ["device_del b", "blockdev-del b"]


def test_one_that_is_late_is_pending_and_the_others_are_done() -> None:
    with connected(device_del("a"), device_del("b"), listed("a"), delete("b")) as monitor:
        with pytest.raises(PlanFailed) as failure:
            Plan((together("a", "b"),)).apply(monitor, 0.0)
    assert isinstance(failure.value.cause, UnplugPending) and failure.value.cause.details == {"device": "a"}
    assert names(failure.value.done) == ["device_del b", "blockdev-del b"]


def test_one_that_may_pend_does_not_end_the_plan() -> None:
    with connected(device_del("a"), device_del("b"), listed("a"), delete("b"), expect("x", {"id": "x"})) as monitor:
        run = Plan((together("a", "b", may_pend=("a",)), Execute("x", {"id": "x"}))).apply(monitor, 0.0)
    assert [error.details for error in run.pending] == [{"device": "a"}]


def test_after_a_request_that_qemu_refuses_no_further_one_is_sent() -> None:
    with connected(
        device_del("a"), device_del("b", error=("GenericError", "no")), listed("a", "b", "c"), listed("b", "c"), delete("a")
    ) as monitor:
        with pytest.raises(PlanFailed) as failure:
            Plan((together("a", "b", "c"),)).apply(monitor, 10.0)
    assert isinstance(failure.value.cause, CommandError) and names(failure.value.done) == ["device_del a", "blockdev-del a"]


def test_the_time_limit_starts_again_with_each_device_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])

    def later(*ids: str) -> Step:
        step = listed(*ids)

        def act(peer: Any) -> None:
            clock[0] += 9.0
            step.act(peer)

        return Step(step.name, act)

    unplugs = UnplugTogether((Unplug("a"), Unplug("b")))
    with connected(device_del("a"), device_del("b"), later("b"), later(), timeout=1e6, command_timeout=1e6) as monitor:
        assert Plan((unplugs,)).apply(monitor, 10.0).pending == []


@pytest.mark.parametrize("bus", ["owner", "owner.0"])
def test_a_device_that_others_are_on_comes_after_them(bus: str) -> None:
    with connected(
        device_del("a"),
        listed("owner", "b"),
        delete("a"),
        device_del("owner"),
        device_del("b"),
        listed(),
        delete("owner"),
        delete("b"),
    ) as monitor:
        Plan((together("a", "owner", "b", buses={"a": bus}),)).apply(monitor, 10.0)


def test_a_rollback_unplugs_all_at_the_same_time() -> None:
    steps: list[PlanStep] = []
    for name in ("a", "b"):
        steps.append(Execute("blockdev-add", {"node-name": name}, Delete("blockdev-del", {"node-name": name})))
        steps.append(plug({"driver": "x", "id": name, "bus": f"port-{name}"})[0])
    with connected(
        expect("blockdev-add", {"node-name": "a"}),
        expect("device_add", {"driver": "x", "id": "a", "bus": "port-a"}),
        expect("blockdev-add", {"node-name": "b"}),
        expect("device_add", {"driver": "x", "id": "b", "bus": "port-b"}),
        expect("x", {"id": "x"}, error=("GenericError", "no")),
        device_del("b"),
        device_del("a"),
        listed(),
        delete("b"),
        delete("a"),
    ) as monitor:
        with pytest.raises(PlanFailed) as failure:
            Plan((*steps, Execute("x", {"id": "x"}))).apply(monitor, 10.0)
    assert names(failure.value.undone) == ["device_del b", "device_del a", "blockdev-del b", "blockdev-del a"]
    assert failure.value.left == []


def test_a_rollback_that_the_guest_does_not_complete_leaves_what_is_not_undone() -> None:
    steps: list[PlanStep] = []
    for name in ("a", "b"):
        steps.append(Execute("blockdev-add", {"node-name": name}, Delete("blockdev-del", {"node-name": name})))
        steps.append(plug({"driver": "x", "id": name})[0])
    with connected(
        *(
            step
            for name in ("a", "b")
            for step in (expect("blockdev-add", {"node-name": name}), expect("device_add", {"driver": "x", "id": name}))
        ),
        expect("x", {"id": "x"}, error=("GenericError", "no")),
        device_del("b"),
        device_del("a"),
        listed("b"),
    ) as monitor:
        with pytest.raises(PlanFailed) as failure:
            Plan((*steps, Execute("x", {"id": "x"}))).apply(monitor, 0.0)
    assert names(failure.value.undone) == ["device_del a"]
    assert names(failure.value.left) == ["device_del b", "blockdev-del b", "blockdev-del a"]
