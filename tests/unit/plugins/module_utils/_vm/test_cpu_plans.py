# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans for vCPUs, over a recorded VM."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils._vm.errors import Conflict, InvalidOption, NoFreeSlot, Unsupported
from ansible_collections.vmops.qemu.plugins.module_utils._vm.model.hardware import Hardware
from ansible_collections.vmops.qemu.plugins.module_utils._vm.plan.plan import Command, Plan
from ansible_collections.vmops.qemu.plugins.module_utils.qmp import CommandError
from ansible_collections.vmops.qemu.tests.support import recordings
from ansible_collections.vmops.qemu.tests.support.recordings import Recording

SLOTS = "query-hotpluggable-cpus"
PSERIES = [
    {"props": {"core-id": 3, "node-id": 0}, "vcpus-count": 1, "type": "power9_v2.0-spapr-cpu-core"},
    {"props": {"core-id": 2, "node-id": 0}, "vcpus-count": 1, "type": "power9_v2.0-spapr-cpu-core"},
    {
        "props": {"core-id": 1, "node-id": 0},
        "vcpus-count": 1,
        "qom-path": "/machine/unattached/device[2]",
        "type": "power9_v2.0-spapr-cpu-core",
    },
    {
        "props": {"core-id": 0, "node-id": 0},
        "vcpus-count": 1,
        "qom-path": "/machine/unattached/device[1]",
        "type": "power9_v2.0-spapr-cpu-core",
    },
]
"""As QEMU 7.2 for ppc64 answers with ``-machine pseries -smp 2,maxcpus=4,threads=1``."""
S390X = [
    {"props": {"core-id": 1}, "vcpus-count": 1, "type": "qemu-s390x-cpu"},
    {"props": {"core-id": 0}, "vcpus-count": 1, "qom-path": "/machine/unattached/device[0]", "type": "qemu-s390x-cpu"},
]
"""As QEMU 7.2 for s390x answers with ``-smp 1,maxcpus=2``."""
VIRT = CommandError("GenericError", "The feature 'query-hotpluggable-cpus' is not enabled", SLOTS)
"""As QEMU 7.2 for aarch64 answers with ``-machine virt``."""
SECOND_SOCKET = {"socket-id": 1, "core-id": 0, "thread-id": 0}

RECORDED = "cpus"


def plan(hardware: Hardware, **options: Any) -> Plan:
    return recordings.plan(hardware, "qmp_cpu_hotplug", **options)


def acts(commands: list[Command]) -> list[tuple[str, str]]:
    return [(command["execute"], command["arguments"]["id"]) for command in commands]


def smp(made: Plan) -> set[str]:
    assert made.launch_args[0] == "-smp"
    return {*made.launch_args[1].split(",")}


def present(state: Any) -> dict[str, bool]:
    return {slot["id"]: slot["present"] for slot in state["slots"]}


def test_what_the_vm_has_is_not_changed(hardware: Hardware) -> None:
    for options in ({"count": 3}, {"topology": {"socket-id": 1, "core-id": 1}}, {"topology": SECOND_SOCKET, "state": "absent"}):
        made = plan(hardware, **options)
        assert made.steps == () and made.before == made.after and made.warnings == ()


def test_more_vcpus_fill_the_lowest_free_slots(hardware: Hardware) -> None:
    made = plan(hardware, count=4)
    (command,) = made.commands()
    assert command["arguments"].items() >= {"driver": "qemu64-x86_64-cpu", "id": "cpu-1-0-0", **SECOND_SOCKET}.items()
    assert made.after and made.after["count"] == 4 and present(made.after)["cpu-1-0-0"] is True
    assert made.before and made.before["count"] == 3 and present(made.before)["cpu-1-0-0"] is False
    assert "online" in made.warnings[0]
    assert smp(made) == {"cpus=4", "maxcpus=4", "sockets=2", "cores=2", "threads=1"} and len(made.launch_args) == 2


def test_fewer_vcpus_empty_the_highest_slots(hardware: Hardware) -> None:
    made = plan(hardware, count=1)
    (first, last), (second, launched) = acts(made.commands())
    assert (first, last, second) == ("device_del", "last", "device_del") and launched.startswith("/machine/unattached/device")
    assert made.after and made.after["count"] == 1 and [*present(made.after).values()] == [True, False, False, False]
    assert len(made.after["vcpus"]) == 1


def test_a_slot_is_filled_and_emptied_by_its_topology(hardware: Hardware) -> None:
    assert acts(plan(hardware, topology=SECOND_SOCKET).commands()) == [("device_add", "cpu-1-0-0")]
    made = plan(hardware, topology={"socket-id": "1", "core-id": "1"}, state="absent")
    assert acts(made.commands()) == [("device_del", "last")]
    assert "cpus=2" in smp(made) and len(made.launch_args) == 2


def test_a_cpu_beyond_a_free_slot_has_a_launch_argument_of_its_own(hardware: Hardware) -> None:
    made = plan(hardware, count=3)
    assert "cpus=2" in smp(made) and made.launch_args[2] == "-device" and '"last"' in made.launch_args[3]


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"count": 0}, InvalidOption, "count 0 is too few"),
        ({"count": 5}, NoFreeSlot, "more than the 4 vCPUs .* maxcpus=5 or more"),
        ({"topology": {}}, InvalidOption, "matches 4 CPU slots .* socket-id, core-id, thread-id"),
        ({"topology": {"socket-id": 2}}, InvalidOption, "matches no CPU slot"),
        ({"topology": {"socket_id": 1}}, InvalidOption, "the key 'socket_id'.*nearest is 'socket-id'"),
        ({"topology": {"socket-id": True}}, InvalidOption, "socket-id is True. Set a whole number"),
        ({"topology": {"socket-id": -1}}, InvalidOption, "socket-id is -1. Set a whole number"),
        ({"topology": {"socket-id": 0, "core-id": 0}, "state": "absent"}, Unsupported, "booted on the CPU at socket-id 0"),
    ],
)
def test_tasks_that_are_refused(hardware: Hardware, options: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        plan(hardware, **options)


def test_an_id_of_another_device_is_not_used(hardware: Hardware) -> None:
    hardware.ids["cpu-1-0-0"] = "/machine/peripheral/cpu-1-0-0"
    with pytest.raises(Conflict, match="needs the id cpu-1-0-0"):
        plan(hardware, count=4)


def test_no_vcpu_is_added_after_one_was_removed_with_tcg(recording: Recording) -> None:
    removed = [{"slot-type": "CPU", "slot": "2", "source": 3, "status": 0}]
    with pytest.raises(Unsupported, match="TCG"):
        plan(recordings.hardware(recording, {"query-acpi-ospm-status": removed}), count=4)
    hardware = recordings.hardware(recording, {"query-acpi-ospm-status": removed})
    hardware.__dict__["accelerator"] = "kvm"
    assert plan(hardware, count=4).steps


def test_a_machine_without_cpu_hotplug(recording: Recording) -> None:
    hardware = recordings.hardware(recording, {SLOTS: VIRT})
    with pytest.raises(Unsupported, match="no CPU hotplug"):
        plan(hardware, count=2)
    described = recordings.work_of("qmp_cpu_hotplug").functions().describe(hardware, None)
    assert described["count"] == described["maximum"] == 3 and described["slots"] == []
    assert {one["type"] for one in described["vcpus"]} == {"qemu64-x86_64-cpu"}


def test_cores_of_other_machines(recording: Recording) -> None:
    made = plan(recordings.hardware(recording, {SLOTS: PSERIES}), count=3)
    (command,) = made.commands()
    assert command["arguments"] == {"driver": "power9_v2.0-spapr-cpu-core", "id": "cpu-2", "core-id": 2, "node-id": 0}
    (command,) = plan(recordings.hardware(recording, {SLOTS: S390X}), topology={"core-id": 1}).commands()
    assert command["arguments"] == {"driver": "qemu-s390x-cpu", "id": "cpu-1", "core-id": 1}


def test_the_threads_of_a_core_come_and_go_together(recording: Recording) -> None:
    """As with KVM; without it a core of pseries has one thread."""
    hardware = recordings.hardware(recording, {SLOTS: [{**one, "vcpus-count": 2} for one in PSERIES]})
    assert acts(plan(hardware, count=6).commands()) == [("device_add", "cpu-2")]
    with pytest.raises(InvalidOption, match="plugs and unplugs 2 vCPUs together"):
        plan(hardware, count=5)
    with pytest.raises(InvalidOption, match="multiple of 2"):
        plan(hardware, count=3)
