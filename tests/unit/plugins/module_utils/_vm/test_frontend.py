# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unplugging: the rules of waiting for the guest."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils._vm.errors import DeviceLost, UnplugPending, UnplugRefused
from ansible_collections.vmops.qemu.plugins.module_utils._vm.plan import hotplug as frontend
from ansible_collections.vmops.qemu.plugins.module_utils._vm.plan.hotplug import Unplug, plug
from ansible_collections.vmops.qemu.plugins.module_utils._vm.plan.plan import Delete, Execute, Plan, PlanFailed, Run
from ansible_collections.vmops.qemu.plugins.module_utils.qmp import CommandError
from ansible_collections.vmops.qemu.tests.support.scripted_monitor import Step, connected, event, expect

UNDER_WAY = ("GenericError", "Device d1 is already in the process of unplug")
BLINKING = ("GenericError", "Hot-unplug failed: guest is busy (power indicator blinking)")
NO_ACPI = ("GenericError", "acpi: device unplug request for not supported device type: qemu64-x86_64-cpu")
DELETED = event("DEVICE_DELETED", {"device": "d1", "path": "/machine/peripheral/d1"})
DELETED_CHILD = event("DEVICE_DELETED", {"path": "/machine/peripheral/d1/virtio-backend"})


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frontend, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(frontend, "RESEND_SECONDS", 0.02)


@pytest.fixture
def no_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """The VM is read again only after an event, however slow this machine is."""
    monkeypatch.setattr(frontend, "POLL_SECONDS", 60.0)


def device_del(**options: Any) -> Step:
    return expect("device_del", {"id": "d1"}, **options)


def listed(*ids: str, **options: Any) -> Step:
    reply = [{"name": "type", "type": "string"}, *({"name": one, "type": "child<x>"} for one in ids)]
    return expect("qom-list", {"path": "/machine/peripheral"}, reply=reply, **options)


def unplug(*script: Step, timeout: float = 10.0) -> Run:
    with connected(*script) as monitor:
        run = Run(monitor, timeout)
        Unplug("d1").apply(run)
    return run


def test_done_is_when_the_device_is_listed_no_more() -> None:
    run = unplug(device_del(after=[DELETED_CHILD, DELETED]), listed("rp0"))
    assert run.sent == [{"execute": "device_del", "arguments": {"id": "d1"}}]


def test_an_event_of_its_part_is_not_a_reason_to_believe_it_gone() -> None:
    unplug(device_del(after=[DELETED_CHILD]), listed("d1", after=[DELETED]), listed())


def test_an_event_before_the_reply_counts() -> None:
    unplug(device_del(before=[DELETED]), listed())


def test_a_device_whose_event_never_comes_is_found_gone_by_looking() -> None:
    unplug(device_del(), listed("d1"), listed("d1"), listed())


def test_a_device_that_is_not_there_is_gone() -> None:
    unplug(device_del(error=("DeviceNotFound", "Device 'd1' not found")), listed(), listed())


def test_an_unplug_that_is_under_way_is_waited_for_and_not_asked_again() -> None:
    unplug(device_del(error=UNDER_WAY), listed("d1"), listed())


@pytest.mark.usefixtures("no_poll")
@pytest.mark.parametrize("refusal", [BLINKING, NO_ACPI])
def test_what_the_guest_refuses_for_now_is_asked_again_and_reported_once(refusal: tuple[str, str]) -> None:
    run = unplug(device_del(error=refusal), listed("d1"), device_del(after=[DELETED]), listed())
    assert len(run.sent) == 1


@pytest.mark.usefixtures("no_poll")
def test_a_request_that_the_guests_scan_may_have_missed_is_repeated_and_reported_once() -> None:
    with connected(device_del(), listed("d1"), device_del(after=[DELETED]), listed()) as monitor:
        run = Run(monitor, 10.0)
        Unplug("d1", by_scan=True).apply(run)
    assert len(run.sent) == 1


def test_rolling_back_a_plug_repeats_the_request_for_what_is_on_no_bus() -> None:
    scanned, on_a_bus = (plug({"driver": "x", "id": "d1", **bus})[0].undo() for bus in ({}, {"bus": "rp0"}))
    assert isinstance(scanned, Unplug) and scanned.by_scan
    assert isinstance(on_a_bus, Unplug) and not on_a_bus.by_scan


def test_any_other_error_ends_it_at_once() -> None:
    with pytest.raises(CommandError, match="does not support hotplugging"):
        unplug(device_del(error=("GenericError", "Bus 'pcie.0' does not support hotplugging")), listed("d1"))


@pytest.mark.parametrize(
    "refusal",
    [
        event("DEVICE_UNPLUG_GUEST_ERROR", {"device": "d1", "path": "/machine/peripheral/d1"}),
        event("MEM_UNPLUG_ERROR", {"device": "d1", "msg": "in use"}),
        event("ACPI_DEVICE_OST", {"info": {"device": "d1", "slot": "0", "slot-type": "DIMM", "source": 3, "status": 130}}),
    ],
    ids=lambda message: message["event"],
)
def test_the_guests_no_ends_it_at_once(refusal: dict[str, Any]) -> None:
    with pytest.raises(UnplugRefused, match="refused to release d1"):
        unplug(device_del(before=[refusal]))


@pytest.mark.parametrize(
    "other",
    [
        event("ACPI_DEVICE_OST", {"info": {"device": "d1", "slot": "0", "slot-type": "CPU", "source": 3, "status": 132}}),
        event("ACPI_DEVICE_OST", {"info": {"device": "d2", "slot": "0", "slot-type": "DIMM", "source": 3, "status": 130}}),
        event("DEVICE_UNPLUG_GUEST_ERROR", {"device": "d2", "path": "/machine/peripheral/d2"}),
        event("DEVICE_DELETED", {"device": "d2", "path": "/machine/peripheral/d2"}),
    ],
    ids=["in progress", "another DIMM", "another device", "another's deletion"],
)
def test_other_news_is_not_a_answer(other: dict[str, Any]) -> None:
    unplug(device_del(after=[other]), listed("d1", after=[DELETED]), listed())


def test_a_refusal_of_an_earlier_request_is_not_taken_for_this_ones() -> None:
    stale = event("DEVICE_UNPLUG_GUEST_ERROR", {"device": "d1", "path": "/machine/peripheral/d1"})
    with connected(expect("query-status", before=[stale]), device_del(after=[DELETED]), listed()) as monitor:
        monitor.execute("query-status")
        Unplug("d1").apply(Run(monitor, 10.0))


def test_a_guest_that_says_nothing_in_time_leaves_it_pending() -> None:
    with pytest.raises(UnplugPending, match="cannot be withdrawn") as failure:
        unplug(device_del(), listed("d1"), timeout=0.0)
    assert failure.value.details == {"device": "d1"}


def test_a_guest_that_never_took_the_request_has_refused_it() -> None:
    with pytest.raises(UnplugRefused, match="Wait until the guest has booted"):
        unplug(device_del(error=NO_ACPI), listed("d1"), timeout=0.0)


def test_a_device_without_an_id_is_named_and_looked_for_by_its_path() -> None:
    path = "/machine/unattached/device[2]"
    get = {"path": path, "property": "type"}
    with connected(
        expect("device_del", {"id": path}),
        expect("qom-get", get, reply="cpu"),
        expect("qom-get", get, error=("DeviceNotFound", "gone")),
    ) as monitor:
        Unplug(path).apply(Run(monitor, 10.0))


def test_what_backs_a_device_goes_with_one_that_the_guest_ejected_at_once() -> None:
    backend = Execute("object-add", {"id": "o1"}, Delete("object-del", {"id": "o1"}))
    plan = Plan((backend, *plug({"driver": "x", "id": "d1"})))
    with connected(
        expect("object-add", {"id": "o1"}),
        expect("device_add", {"driver": "x", "id": "d1"}),
        listed("rp0"),
        device_del(error=("DeviceNotFound", "gone")),
        listed("rp0"),
        listed("rp0"),
        expect("object-del", {"id": "o1"}),
    ) as monitor, pytest.raises(PlanFailed, match="ejected") as failure:
        plan.apply(monitor, 10.0)
    assert isinstance(failure.value.cause, DeviceLost) and failure.value.left == []
