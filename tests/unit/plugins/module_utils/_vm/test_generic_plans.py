# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans for devices without an option of their own, over a recorded VM."""

from __future__ import annotations

from typing import Callable

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils._ansible.failure import Failure
from ansible_collections.vmops.qemu.plugins.module_utils._vm.model.hardware import Hardware
from ansible_collections.vmops.qemu.plugins.module_utils.qmp import CommandError, OutcomeUnknown
from ansible_collections.vmops.qemu.tests.support import recordings
from ansible_collections.vmops.qemu.tests.support.changing import Changing

RECORDED = "devices"


def test_a_new_device_goes_to_the_free_port(hardware: Hardware) -> None:
    plan = recordings.plan(hardware, "qmp_device", id="rng2", driver="virtio-rng-pci")
    (command,) = plan.commands()
    assert command["arguments"] == {"driver": "virtio-rng-pci", "id": "rng2", "bus": "rp3", "addr": "0"}


@pytest.mark.parametrize("device", ["rng0", "rng1"])
def test_a_device_that_the_vm_has_is_left_as_it_is(hardware: Hardware, device: str) -> None:
    assert recordings.plan(hardware, "qmp_device", id=device, driver="virtio-rng-pci").steps == ()


def test_a_property_that_differs_is_a_conflict(recording: recordings.Recording) -> None:
    with pytest.raises(Failure) as failure:
        recordings.check(
            recording, "qmp_device", id="rng1", driver="virtio-rng-pci", properties={"max-bytes": 4096, "period": 1000}
        )
    assert failure.value.result["error_code"] == "conflict" and "max-bytes" in failure.value.result["msg"]


def test_check_mode_shows_the_device_as_it_will_be(recording: recordings.Recording) -> None:
    result = recordings.check(recording, "qmp_device", id="rng2", driver="virtio-rng-pci")
    assert result["changed"] and result["device"]["bus"] == "rp3"
    absent = recordings.check(recording, "qmp_device", id="rng1", state="absent")
    assert [command["execute"] for command in absent["commands"]] == ["device_del"] and absent["device"] is None


def test_a_device_is_added_changed_and_removed(
    recording: recordings.Recording, changing: Callable[[recordings.Recording], Changing]
) -> None:
    vm = changing(recording)
    added = vm.run("qmp_device", id="rng2", driver="virtio-rng-pci")
    assert added["changed"] and added["device"]["bus"] == "rp3"
    again = vm.run("qmp_device", id="rng2", driver="virtio-rng-pci")
    assert not again["changed"] and again["device"] == added["device"]
    removed = vm.main("qmp_device", id="rng2", state="absent")
    assert removed["changed"] and removed["device"] is None


def test_a_device_that_qemu_refuses(
    recording: recordings.Recording, changing: Callable[[recordings.Recording], Changing]
) -> None:
    vm = changing(recording)
    vm.fail("device_add", CommandError("GenericError", "it is on fire", "device_add"))
    result = vm.main("qmp_device", id="rng2", driver="virtio-rng-pci")
    assert result["failed"] and result["error_code"] == "command_failed" and "it is on fire" in result["msg"]
    vm.fail("device_add", OutcomeUnknown("device_add"))
    assert vm.main("qmp_device", id="rng2", driver="virtio-rng-pci")["error_code"] == "outcome_unknown"
