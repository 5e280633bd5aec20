# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names and values, checked and typed before anything is sent."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils._vm.errors import InvalidOption
from ansible_collections.vmops.qemu.plugins.module_utils._vm.model.hardware import natural, parse_netdevs
from ansible_collections.vmops.qemu.plugins.module_utils._vm.model.slots import parse_addr, parse_devno
from ansible_collections.vmops.qemu.plugins.module_utils._vm.model.values import (
    check_enums,
    check_id,
    check_mac,
    same_value,
    typed,
)
from ansible_collections.vmops.qemu.plugins.module_utils._vm.plan.command_line import device_argument, netdev_argument
from ansible_collections.vmops.qemu.plugins.module_utils.qmp import Version


@pytest.mark.parametrize("value", ["d", "disk-1", "a.b_c", "X9"])
def test_a_good_id(value: str) -> None:
    assert check_id(value) == value


@pytest.mark.parametrize("value", ["", "1disk", "#block1", "a b", "a/b", "é", "disk\n", "-d"])
def test_an_id_that_makes_devices_that_never_go_away(value: str) -> None:
    with pytest.raises(InvalidOption, match="start with a letter"):
        check_id(value)


def test_a_mac_is_reported_in_lower_case() -> None:
    assert check_mac("52:54:00:AA:BB:CC") == "52:54:00:aa:bb:cc"


@pytest.mark.parametrize(
    ("type_name", "given", "sent"),
    [
        ("bool", True, True),
        ("bool", "on", True),
        ("bool", "No", False),
        ("boolean", "yes", True),
        ("uint32", 4, 4),
        ("uint32", "4", 4),
        ("int32", "0x10", 16),
        ("uint64", "-1", -1),
        ("int", "7", 7),
        ("size", "1M", 1 << 20),
        ("size32", "4k", 4096),
        ("OnOffAuto", True, "on"),
        ("OnOffAuto", False, "off"),
        ("OnOffAuto", "auto", "auto"),
        ("str", 5, "5"),
        ("string", "x", "x"),
        ("link<iothread>", "io1", "io1"),
        ("array", [1], [1]),
    ],
)
def test_a_property_gets_the_json_type_that_qemu_has_for_it(type_name: str, given: Any, sent: Any) -> None:
    result = typed("device x", {"p": given}, {"p": type_name})["p"]
    assert (result, type(result)) == (sent, type(sent))


@pytest.mark.parametrize(
    ("type_name", "given", "words"),
    [
        ("bool", "perhaps", "boolean"),
        ("uint32", "many", "whole number"),
        ("uint32", True, "whole number"),
        ("uint32", "1M", "whole number"),
        ("uint8", 256, "0 to 255"),
        ("uint16", "65536", "0 to 65535"),
        ("uint16", -1, "0 to 65535"),
        ("int32", 1 << 31, "-2147483648 to 2147483647"),
        ("size", -1, "0 to"),
        ("uint64", 1 << 64, "18446744073709551615"),
        ("uint4", 16, "0 to 15"),
        ("str", ["x"], "text"),
    ],
)
def test_a_value_that_fits_no_type_is_refused(type_name: str, given: Any, words: str) -> None:
    with pytest.raises(InvalidOption, match=words):
        typed("device x", {"p": given}, {"p": type_name})


@pytest.mark.parametrize(("given", "sent"), [("TRUE", "on"), (1, "on"), ("no", "off"), (0, "off"), ("auto", "auto")])
def test_on_and_off_in_the_words_of_a_survey(given: Any, sent: str) -> None:
    assert typed("device x", {"p": given}, {"p": "OnOffAuto"}) == {"p": sent}


def test_a_message_names_the_option_that_the_task_used() -> None:
    with pytest.raises(InvalidOption, match="'queues'"):
        typed("device x", {"num-queues": "many"}, {"num-queues": "uint16"}, {"num-queues": "queues"})


@pytest.mark.parametrize("about", ["Error policy, report/ignore/stop/auto", "Error policy (report/ignore/stop/auto)"])
def test_an_enumeration_has_what_its_description_lists(about: str) -> None:
    assert check_enums("device x", {"p": "Stop", "q": "any"}, {"p": about, "q": "on this or that"}) == {"p": "stop", "q": "any"}
    with pytest.raises(InvalidOption, match="'p' of the device x is one of report, ignore, stop, auto, not 'perhaps'"):
        check_enums("device x", {"p": "perhaps"}, {"p": about})


@pytest.mark.parametrize(
    ("name", "type_name", "now", "desired", "same"),
    [
        ("serial", "str", "Abc", "abc", False),
        ("serial", "str", "Abc", "Abc", True),
        ("name", "str", "org.X", "org.x", False),
        ("mac", "str", "52:54:00:aa:bb:cc", "52:54:00:AA:BB:CC", True),
        ("host", "str", "0000:3b:00.0", "3B:00.0", True),
        ("iothread", "link<iothread>", "/objects/io1", "io1", True),
        ("iothread", "link<iothread>", "/objects/io1", "IO1", False),
        ("wwn", "uint64", (1 << 64) - 1, -1, True),
        ("uuid", "QemuUUID", "aaaa", "AAAA", True),
        ("num-queues", "uint16", 2, 1, False),
    ],
)
def test_whether_a_property_is_as_it_was_desired(name: str, type_name: str, now: Any, desired: Any, same: bool) -> None:
    assert same_value(name, type_name, now, desired) is same


@pytest.mark.parametrize("text", ["fe.0.0001", "FE.0.1", "fe.0.001"])
def test_a_channel_address_in_any_writing(text: str) -> None:
    assert parse_devno(text) == "fe.0.0001"


def test_an_unknown_property_is_refused_with_the_nearest() -> None:
    with pytest.raises(InvalidOption, match="device x has no property 'num-queue'; the nearest is 'num-queues'"):
        typed("device x", {"num-queue": 1}, {"num-queues": "uint16", "serial": "str"})


@pytest.mark.parametrize(("text", "place"), [("5", (5, 0)), ("0x1f", (31, 0)), ("1f.7", (31, 7)), ("0", (0, 0))])
def test_a_pci_address_is_hexadecimal(text: str, place: tuple[int, int]) -> None:
    assert parse_addr(text) == place


@pytest.mark.parametrize("text", ["20", "5.8", "rp0", "", "0x", "5."])
def test_what_is_not_a_pci_address(text: str) -> None:
    with pytest.raises(InvalidOption, match="hexadecimal"):
        parse_addr(text)


def test_ports_are_taken_in_the_order_that_people_count() -> None:
    assert sorted(["rp10", "rp2", "pci.0", "rp1"], key=natural) == ["pci.0", "rp1", "rp2", "rp10"]


NETWORK = "\r\n".join(
    [
        "hub 7",
        r" \ h1: net1: index=0,type=nic,model=virtio-net-pci,macaddr=52:54:00:12:34:56",
        r" \ h2: u9: index=0,type=user,net=10.0.2.0,restrict=off",
        r" \ h3",
        "net2: index=0,type=nic,model=virtio-net-pci,macaddr=52:54:00:12:34:57",
        r" \ tap2: index=0,type=tap,fd=33",
        "net2: index=1,type=nic,model=virtio-net-pci,macaddr=52:54:00:12:34:57",
        r" \ tap2: index=1,type=tap,fd=34",
        "alone: index=0,type=stream,error: Failed to connect to 'x': No such file",
        "e0: index=0,type=nic,model=e1000,macaddr=52:54:00:12:34:58",
        "net3: index=0,type=nic,model=virtio-net-pci,macaddr=52:54:00:12:34:59",
        r" \ l2: index=0,type=l2tpv3,l2tpv3: connected",
        "",
    ]
)


def test_the_text_of_info_network_reports_every_backend_and_its_nic() -> None:
    found = parse_netdevs(NETWORK)
    assert {name: (netdev.type, netdev.nic) for name, netdev in found.items()} == {
        "h1": ("hubport", "net1"),
        "h2": ("hubport", None),
        "u9": ("user", None),
        "h3": ("hubport", None),
        "tap2": ("tap", "net2"),
        "alone": ("stream", None),
        "l2": ("l2tpv3", "net3"),
    }
    assert found["tap2"].info["fd"] == "33"
    assert {name: netdev.queues for name, netdev in found.items() if netdev.queues != 1} == {"tap2": 2}


def test_launch_arguments_of_an_older_qemu_are_key_value() -> None:
    arguments = {"driver": "virtio-blk-pci", "id": "d1", "serial": "a,b", "share-rw": True}
    assert device_argument(arguments, Version(6, 1, 0)) == "virtio-blk-pci,id=d1,serial=a,,b,share-rw=on"


def test_a_network_backend_on_the_command_line_is_dotted() -> None:
    arguments = {
        "type": "stream",
        "id": "n1",
        "addr": {"type": "unix", "path": "/a,b"},
        "server": False,
        "dnssearch": [{"str": "x"}, {"str": "y"}],
    }
    assert netdev_argument(arguments) == "stream,id=n1,addr.type=unix,addr.path=/a,,b,server=off,dnssearch=x,dnssearch=y"
