# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Slots: as ``device_add`` has them, and as the options of a task do."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils._vm.errors import InvalidOption
from ansible_collections.vmops.qemu.plugins.module_utils._vm.model.hardware import Device
from ansible_collections.vmops.qemu.plugins.module_utils._vm.model.slots import (
    SLOT_OPTIONS,
    SlotRequest,
    same_addr,
    slot_arguments,
    slot_of,
    slot_options,
)

SLOTS = [
    ({"parent_bus": "/machine/peripheral/rp0/rp0", "addr": 9}, {"bus": "rp0", "addr": "1.1"}, {"bus": "rp0", "addr": "1.1"}),
    (
        {"parent_bus": "/machine/peripheral/s/s.0", "scsi-id": 3, "lun": 1},
        {"bus": "s.0", "scsi-id": 3, "lun": 1},
        {"bus": "s.0", "scsi_id": 3, "lun": 1},
    ),
    ({"dev_id": "fe.0.0042"}, {"devno": "fe.0.0042"}, {"addr": "fe.0.0042"}),
]


@pytest.mark.parametrize("properties, arguments, options", SLOTS, ids=["PCI", "SCSI", "channel"])
def test_a_slot_is_reported_as_the_options_that_request_it(
    properties: dict[str, Any], arguments: dict[str, Any], options: dict[str, Any]
) -> None:
    device = Device("/machine/peripheral/d1", "d1", "driver", properties, {})
    assert slot_arguments(device) == arguments
    assert slot_of(device) == slot_options(arguments) == options
    assert SlotRequest(**options)._asdict().items() >= options.items()


def test_the_options_of_a_slot_are_those_of_a_request() -> None:
    assert {*SLOT_OPTIONS, "reserved"} == {*SlotRequest._fields}


@pytest.mark.parametrize("addr, present", [("5", "0x5"), ("0x1f", "1f"), ("FE.0.1", "fe.0.0001")])
def test_an_address_has_several_notations(addr: str, present: str) -> None:
    assert same_addr(addr, present)
    assert not same_addr(addr, "fe.0.0003" if "." in addr else "3")


@pytest.mark.parametrize("addr, present, notation", [("5", "fe.0.0001", "cssid.ssid.devno"), ("fe.0.1", "5", "slot.function")])
def test_an_address_of_another_kind_of_bus_is_refused(addr: str, present: str, notation: str) -> None:
    with pytest.raises(InvalidOption, match=notation):
        same_addr(addr, present)
