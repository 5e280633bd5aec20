# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Free slots: which one a device gets, and why it gets none, on recorded VMs."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils._vm.errors import Conflict, InvalidOption, NoFreeSlot, Unsupported
from ansible_collections.vmops.qemu.plugins.module_utils._vm.model import slots
from ansible_collections.vmops.qemu.plugins.module_utils._vm.model.hardware import Bus, Hardware
from ansible_collections.vmops.qemu.plugins.module_utils._vm.model.slots import SlotRequest, find_slot, free_slots
from ansible_collections.vmops.qemu.tests.support import recordings


@pytest.fixture(params=recordings.of("buses"), ids=str)
def pc(request: pytest.FixtureRequest) -> Hardware:
    return recordings.hardware(request.param)


@pytest.fixture(params=recordings.of("devices"), ids=str)
def q35(request: pytest.FixtureRequest) -> Hardware:
    return recordings.hardware(request.param)


def slot(hardware: Hardware, driver: str, **request: Any) -> dict[str, Any]:
    return find_slot(hardware, driver, SlotRequest(**request))


@pytest.mark.parametrize(
    ("driver", "request_", "found"),
    [
        ("virtio-rng-pci", {"bus": "br0"}, {"bus": "br0", "addr": "1"}),
        ("virtio-rng-pci", {"bus": "pci.0", "addr": "1e"}, {"bus": "pci.0", "addr": "1e"}),
        ("virtio-rng-pci", {"addr": "0x1e.0"}, {"bus": "br0", "addr": "1e"}),
        ("scsi-hd", {}, {"bus": "lsi0.0", "scsi-id": 0, "lun": 0}),
        ("scsi-hd", {"bus": "scsi0.0"}, {"bus": "scsi0.0", "scsi-id": 1, "lun": 0}),
        ("scsi-hd", {"bus": "scsi0.0", "scsi_id": 0, "lun": 3}, {"bus": "scsi0.0", "scsi-id": 0, "lun": 3}),
        ("scsi-hd", {"scsi_id": 200}, {"bus": "scsi0.0", "scsi-id": 200, "lun": 0}),
        ("scsi-hd", {"lun": 9}, {"bus": "scsi0.0", "scsi-id": 0, "lun": 9}),
        ("virtserialport", {}, {"bus": "vser0.0"}),
        ("usb-tablet", {"bus": "usb.0"}, {"bus": "usb.0"}),
        ("usb-tablet", {}, {}),
    ],
)
def test_a_device_gets_the_slot_that_it_requests_or_the_first_free_one(
    pc: Hardware, driver: str, request_: dict[str, Any], found: dict[str, Any]
) -> None:
    assert slot(pc, driver, **request_) == found


@pytest.mark.parametrize(
    ("driver", "request_", "error", "said"),
    [
        ("virtio-rng-pci", {"bus": "nosuch"}, InvalidOption, "'nosuch'"),
        ("virtio-rng-pci", {"bus": "scsi0.0"}, InvalidOption, "SCSI bus"),
        ("virtio-rng-pci", {"addr": "20"}, InvalidOption, "addr '20'"),
        ("virtio-rng-pci", {"addr": "first"}, InvalidOption, "addr 'first'"),
        ("virtio-rng-pci", {"bus": "pci.0", "addr": "1e.3"}, InvalidOption, "function 3"),
        ("virtio-rng-pci", {"scsi_id": 1}, InvalidOption, "scsi_id"),
        ("virtio-rng-pci", {"bus": "pci.0", "addr": "0x11"}, NoFreeSlot, "first"),
        ("scsi-hd", {"addr": "1"}, InvalidOption, "addr"),
        ("scsi-hd", {"bus": "lsi0.0", "scsi_id": 7}, InvalidOption, "scsi_id 7"),
        ("scsi-hd", {"bus": "scsi0.0", "lun": 16384}, InvalidOption, "lun 16384"),
        ("scsi-hd", {"bus": "scsi0.0", "scsi_id": 0, "lun": 0}, NoFreeSlot, r"scsi_id 0, lun 0: it holds cd1 \(scsi-cd\)\."),
        ("usb-tablet", {"addr": "1"}, InvalidOption, "addr"),
        ("ide-hd", {}, Unsupported, "ide-hd"),
        ("vfio-ccw", {"addr": "1", "lun": 0}, InvalidOption, "addr"),
    ],
)
def test_a_slot_that_a_device_cannot_have_is_named(
    pc: Hardware, driver: str, request_: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        slot(pc, driver, **request_)


def test_a_root_port_has_one_slot(q35: Hardware) -> None:
    assert slot(q35, "virtio-rng-pci") == {"bus": "rp3", "addr": "0"}
    assert slot(q35, "virtio-rng-pci", bus="rp3", addr="0.0") == {"bus": "rp3", "addr": "0"}
    with pytest.raises(InvalidOption, match="root port"):
        slot(q35, "virtio-rng-pci", bus="rp3", addr="1")
    with pytest.raises(Unsupported, match=r"pcie\.0"):
        slot(q35, "virtio-rng-pci", bus="pcie.0")
    with pytest.raises(NoFreeSlot, match="rng0"):
        slot(q35, "virtio-rng-pci", bus="rp0")


def test_reserved_slots_are_left_free(q35: Hardware, pc: Hardware) -> None:
    with pytest.raises(NoFreeSlot, match="pcie-root-port,id=rp4,chassis=5"):
        slot(q35, "virtio-rng-pci", reserved=({"bus": "rp3", "addr": "0"},))
    taken = ({"bus": "scsi0.0", "scsi_id": 1, "lun": 0}, {"bus": "vser0.0"}, {"bus": "br0", "addr": "1.0"})
    assert slot(pc, "scsi-hd", bus="scsi0.0", reserved=taken) == {"bus": "scsi0.0", "scsi-id": 2, "lun": 0}
    assert slot(pc, "virtserialport", reserved=taken) == {"bus": "vser0.0"}, "each port takes the next number"
    assert slot(pc, "virtio-rng-pci", bus="br0", reserved=taken) == {"bus": "br0", "addr": "2"}


def test_all_free_slots_are_listed(pc: Hardware, q35: Hardware) -> None:
    assert list(free_slots(q35, "virtio-rng-pci")) == [{"bus": "rp3", "addr": "0"}]
    found = list(free_slots(pc, "virtio-rng-pci"))
    assert {"bus": "br0", "addr": "1f"} in found and {"bus": "pci.0", "addr": "11"} not in found
    assert len(list(free_slots(pc, "scsi-hd"))) == 7 + 255


def test_a_bus_that_would_allow_one_more_device_is_known(pc: Hardware, q35: Hardware) -> None:
    assert slots.launch_argument(pc, "virtio-rng-pci") == ["-device", "pci-bridge,id=br1,chassis_nr=2"]
    assert slots.launch_argument(pc, "scsi-hd") == ["-device", "virtio-scsi-pci,id=scsi1"]
    assert slots.launch_argument(pc, "virtserialport")[1].startswith("virtio-serial-pci,id=serial")
    assert slots.launch_argument(q35, "usb-tablet") == []
    assert slots.default_driver(q35, "virtio-blk") == "virtio-blk-pci"


def test_without_any_bus_there_is_nothing_to_plug(q35: Hardware) -> None:
    with pytest.raises(NoFreeSlot, match="virtio-serial-pci"):
        slot(q35, "virtserialport")
    q35.__dict__["buses"] = []
    with pytest.raises(Unsupported, match="q35"):
        slots.default_driver(q35, "virtio-blk")
    q35.__dict__["buses"] = [Bus("virtual-css", "/machine/css", "virtual-css-bus", "/machine", True, ())]
    assert slots.default_driver(q35, "virtio-blk") == "virtio-blk-ccw"


def test_functions_of_one_slot_leave_together(pc: Hardware) -> None:
    first, cd = pc.device("first"), pc.device("cd1")
    assert first and cd
    assert [one.id for one in slots.companions(pc, first)] == ["second"] and slots.companions(pc, cd) == []
    with pytest.raises(Conflict, match="second") as conflict:
        slots.refuse_unplug(pc, first, force=False)
    assert conflict.value.details["companions"] == ["second"]
    slots.refuse_unplug(pc, first, force=True)
    slots.refuse_unplug(pc, cd, force=False)


def test_channels_have_device_numbers(pc: Hardware, monkeypatch: pytest.MonkeyPatch) -> None:
    """No recording of s390x is needed: only the kind of the bus and the class of the driver differ."""
    channel = Bus("virtual-css", "/machine/css", "virtual-css-bus", "/machine", True, ())
    pc.__dict__["buses"] = [channel]
    monkeypatch.setattr(Hardware, "driver_is_a", lambda _hardware, driver, kind: kind == f"{driver.rpartition('-')[0]}-device")
    driver = "virtio-ccw-x"
    assert slot(pc, driver) == {"devno": "fe.0.0000"}
    assert slot(pc, driver, addr="FE.0.7") == {"devno": "fe.0.0007"}
    with pytest.raises(InvalidOption, match="addr 'x'"):
        slot(pc, driver, addr="x")
    assert slot(pc, "ccw-x", addr="fe.0.0042", bus="b") == {"devno": "fe.0.0042", "bus": "b"}
    for wrong in ({"addr": "5"}, {"addr": "fe.0.1", "lun": 1}):
        with pytest.raises(InvalidOption, match="cssid.ssid.devno"):
            slot(pc, "ccw-x", **wrong)


@pytest.mark.parametrize(
    ("addr", "present", "same"), [("5", "0x5", True), ("0x5.0", "5", True), ("5.1", "5", False), ("FE.0.1", "fe.0.0001", True)]
)
def test_addresses_are_compared_by_value(addr: str, present: str, same: bool) -> None:
    assert slots.same_addr(addr, present) is same
