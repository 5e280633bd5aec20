# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans for character devices and their ports, over recorded VMs: present, equal, different, absent, recreated, in conflict."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils._ansible.failure import Failure
from ansible_collections.vmops.qemu.plugins.module_utils._vm.devices.chardev import plans, spec
from ansible_collections.vmops.qemu.plugins.module_utils._vm.errors import Conflict, InvalidOption, NoFreeSlot
from ansible_collections.vmops.qemu.plugins.module_utils._vm.model.hardware import Chardev, Hardware
from ansible_collections.vmops.qemu.plugins.module_utils._vm.plan.plan import Plan
from ansible_collections.vmops.qemu.plugins.module_utils.qmp import CommandError
from ansible_collections.vmops.qemu.tests.support import recordings
from ansible_collections.vmops.qemu.tests.support.recordings import DIRECTORY
from ansible_collections.vmops.qemu.tests.support.round_trip import returned_options

CHARDEVS = (
    "null1",
    "port1",
    "console1",
    "unix1",
    "client1",
    "abstract1",
    "tcp1",
    "file1",
    "ring1",
    "used1",
    "serial1",
    "serial9",
)

RECORDED = "chardevs"


def plan(hardware: Hardware, chardev: str = "c1", **options: Any) -> Plan:
    return recordings.plan(hardware, "qmp_chardev", id=chardev, **options)


def names(made: Plan) -> list[str]:
    return [command["execute"] for command in made.commands()]


# add


@pytest.mark.parametrize(
    ("options", "backend", "returned"),
    [
        ({"type": "null"}, {"type": "null", "data": {}}, {}),
        ({"type": "pty"}, {"type": "pty", "data": {}}, {}),
        (
            {"type": "file", "path": "/o", "options": {"append": "on"}},
            {"type": "file", "data": {"out": "/o", "append": True}},
            {},
        ),
        ({"type": "pipe", "path": "/p"}, {"type": "pipe", "data": {"device": "/p"}}, {}),
        ({"type": "ringbuf", "options": {"size": "1024"}}, {"type": "ringbuf", "data": {"size": 1024}}, {}),
        (
            {"type": "socket", "path": "/s"},
            {"type": "socket", "data": {"addr": {"type": "unix", "data": {"path": "/s"}}, "server": True, "wait": False}},
            {"path": "/s", "server": True},
        ),
        (
            {"type": "socket", "path": "/s", "server": False},
            {"type": "socket", "data": {"addr": {"type": "unix", "data": {"path": "/s"}}, "server": False}},
            {"path": "/s", "server": False},
        ),
        (
            {"type": "socket", "address": "::1", "address_port": "80", "wait": True, "options": {"websocket": True}},
            {
                "type": "socket",
                "data": {
                    "addr": {"type": "inet", "data": {"host": "::1", "port": "80"}},
                    "server": True,
                    "wait": True,
                    "websocket": True,
                },
            },
            {"address": "::1", "address_port": 80, "server": True, "options": {"websocket": True}},
        ),
        (
            {"type": "socket", "server": False, "options": {"addr": {"type": "vsock", "data": {"cid": 3, "port": 9}}}},
            {"type": "socket", "data": {"addr": {"type": "vsock", "data": {"cid": "3", "port": "9"}}, "server": False}},
            {"options": {"addr": {"type": "vsock", "data": {"cid": "3", "port": "9"}}}},
        ),
    ],
)
def test_a_new_character_device(
    hardware: Hardware, options: dict[str, Any], backend: dict[str, Any], returned: dict[str, Any]
) -> None:
    made = plan(hardware, **options)
    (command,) = made.commands()
    assert command == {"execute": "chardev-add", "arguments": {"id": "c1", "backend": backend}}
    assert made.after == {"id": "c1", "attached": False, "type": options["type"], "open": False, **returned}


def test_a_new_port(hardware: Hardware) -> None:
    made = plan(hardware, type="null", driver="virtserialport", name="org.test.b", properties={"nr": "7"})
    assert made.commands()[1]["arguments"] == {
        "driver": "virtserialport",
        "id": "c1",
        "chardev": "c1",
        "bus": "vser0.0",
        "name": "org.test.b",
        "nr": 7,
    }
    assert made.after and made.after["guest_path"] == "/dev/virtio-ports/org.test.b"
    assert made.launch_args[0] == "-chardev" and made.launch_args[2] == "-device"
    assert names(plan(hardware, "null1", driver="virtconsole")) == ["device_add"]


def test_there_is_no_controller_for_a_port(hardware: Hardware) -> None:
    hardware.__dict__["buses"] = [bus for bus in hardware.buses if bus.kind != "virtio-serial-bus"]
    with pytest.raises(NoFreeSlot, match="virtio-serial-pci"):
        plan(hardware, type="null", driver="virtserialport")


def test_a_character_device_that_the_command_line_cannot_express(hardware: Hardware) -> None:
    made = plan(hardware, type="socket", options={"addr": {"type": "vsock", "data": {"cid": "3", "port": "9"}}})
    assert made.launch_args == () and "cannot express it" in made.warnings[0]
    made = plan(hardware, "file1")
    assert made.launch_args == () and "does not report its options" in made.warnings[0]


# equal


@pytest.mark.parametrize("chardev", CHARDEVS)
def test_what_is_returned_for_a_character_device_is_equal_to_it(hardware: Hardware, chardev: str) -> None:
    returned = plans.describe(hardware, chardev)
    assert returned
    made = recordings.plan(hardware, "qmp_chardev", **returned_options("qmp_chardev", returned))
    assert made.steps == () and made.unverified == () and made.before == made.after == returned


def test_all_character_devices_are_described_as_options(hardware: Hardware) -> None:
    found = {one["id"]: one for one in plans.describe_all(hardware)}
    assert found.keys() >= set(CHARDEVS) and not any(name.startswith("compat_monitor") for name in found)
    assert found["port1"].items() >= {"driver": "virtserialport", "name": "org.test.a", "bus": "vser0.0"}.items()
    assert found["port1"]["guest_path"] == "/dev/virtio-ports/org.test.a"
    assert found["console1"]["pty"].startswith("/dev/pts/") and "name" not in found["console1"]
    assert found["unix1"].items() >= {"path": f"{DIRECTORY}/unix1", "server": True}.items()
    assert found["client1"].items() >= {"path": f"{DIRECTORY}/unix1", "server": False}.items()
    assert found["tcp1"].items() >= {"address": "127.0.0.1", "server": True, "options": {"telnet": True}}.items()
    assert isinstance(found["tcp1"]["address_port"], int)
    assert found["abstract1"]["options"]["addr"]["data"]["abstract"] is True and "path" not in found["abstract1"]
    assert found["file1"].keys() == {"id", "attached", "type", "open"}


def test_options_that_qemu_does_not_report_are_unverified_by_their_names(hardware: Hardware) -> None:
    assert plan(hardware, "file1", path="/o", options={"append": True}).unverified == ("options.append", "path")
    addr = {"type": "inet", "data": {"host": "127.0.0.1", "port": "0", "to": 99}}
    made = plan(hardware, "tcp1", options={"addr": addr})
    assert made.steps == () and made.unverified == ("options.addr",)


def test_a_name_that_is_not_known_here_is_unverified_for_a_server(hardware: Hardware, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_arguments: Any, **_options: Any) -> None:
        raise OSError("unknown name")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    made = plan(hardware, "tcp1", address="name.invalid", address_port=0)
    assert made.steps == () and made.unverified == ("address",)


# different


@pytest.mark.parametrize(
    ("chardev", "options"),
    [
        ("unix1", {"path": "/other"}),
        ("unix1", {"path": f"{DIRECTORY}/unix1", "server": False}),
        ("unix1", {"address": "127.0.0.1", "address_port": 0}),
        ("tcp1", {"path": "/other"}),
        ("tcp1", {"address": "127.0.0.1", "address_port": 1}),
        ("tcp1", {"address": "127.0.0.2", "address_port": 0}),
        ("tcp1", {"address": "127.0.0.1", "address_port": 0, "options": {"telnet": False}}),
        ("tcp1", {"options": {"addr": {"type": "unix", "data": {"path": "/other"}}}}),
        ("abstract1", {"options": {"addr": {"type": "unix", "data": {"path": f"{DIRECTORY}/a"}}}}),
        ("abstract1", {"path": "/other"}),
        ("null1", {"type": "ringbuf"}),
    ],
)
def test_another_backend_is_changed_in_place(hardware: Hardware, chardev: str, options: dict[str, Any]) -> None:
    made = plan(hardware, chardev, **options)
    assert names(made) == ["chardev-change"] and made.after and made.after["id"] == chardev


def test_the_backend_under_a_port_is_changed_in_place(hardware: Hardware) -> None:
    made = plan(hardware, "port1", type="file", path="/o")
    assert names(made) == ["chardev-change"] and made.after and made.after["driver"] == "virtserialport"


def test_one_whose_options_are_not_known_is_removed_with_recreate_only(hardware: Hardware) -> None:
    with pytest.raises(Conflict, match="type of the character device file1 is file and the task sets null"):
        plan(hardware, "file1", type="null")
    assert names(plan(hardware, "file1", type="null", recreate=True)) == ["chardev-remove", "chardev-add"]


def test_a_port_with_other_properties(hardware: Hardware) -> None:
    with pytest.raises(Conflict, match="name is 'org.test.a'"):
        plan(hardware, "port1", driver="virtserialport", name="org.test.b")
    made = plan(hardware, "port1", driver="virtserialport", name="org.test.b", recreate=True)
    assert names(made) == ["device_del", "device_add"]
    assert made.commands()[1]["arguments"]["name"] == "org.test.b" and made.commands()[1]["arguments"]["chardev"] == "port1"


@pytest.mark.parametrize(
    ("chardev", "words"),
    [("vser0", "no character device"), ("channel1", "character device backend1"), ("compat_monitor0", "monitor")],
)
def test_an_id_that_belongs_to_something_else(hardware: Hardware, chardev: str, words: str) -> None:
    for options in ({"type": "null"}, {"state": "absent"}):
        with pytest.raises(Conflict, match=words):
            plan(hardware, chardev, **options)


@pytest.mark.parametrize(("chardev", "user"), [("backend1", "channel1"), ("used1", "egd1")])
def test_one_that_something_uses_is_neither_removed_nor_given_a_port(hardware: Hardware, chardev: str, user: str) -> None:
    for options in ({"state": "absent"}, {"driver": "virtserialport"}):
        with pytest.raises(Conflict, match=user):
            plan(hardware, chardev, **options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "Set type"),
        ({"type": "sockt"}, "'socket'"),
        ({"type": "socket"}, "needs path, or address"),
        ({"type": "file"}, "needs path"),
        ({"type": "mux"}, "'options.chardev'"),
        ({"type": "null", "path": "/x"}, "null has no path"),
        ({"type": "null", "address": "a", "address_port": 1}, "for a socket"),
        ({"type": "socket", "path": "x"}, "not absolute"),
        ({"type": "socket", "path": "/" + "x" * 107}, "path has 108 bytes"),
        ({"type": "socket", "address": "", "address_port": 1}, "address is empty"),
        ({"type": "socket", "address": "a", "address_port": 65536}, "address_port 65536"),
        ({"type": "socket", "path": "/x", "options": {"addr": {}}}, "options.addr and path"),
        ({"type": "file", "path": "/x", "options": {"out": "/x"}}, "path and options.out"),
        ({"type": "socket", "options": {"addr": {"type": "inet", "data": {"host": "a"}}}}, "'options.addr.data.port'"),
        ({"type": "socket", "options": {"addr": {"type": "inet", "data": {"host": "a", "port": "70000"}}}}, "data.port 70000"),
        ({"type": "socket", "options": {"addr": {"type": "unix", "data": {"path": ""}}}}, "options.addr.data.path is empty"),
        ({"type": "socket", "path": "/x", "options": {"telnt": True}}, "'options.telnt'"),
        ({"type": "socket", "path": "/x", "options": {"tls-creds": "t"}}, "options.tls-creds is for a TCP socket"),
        ({"type": "socket", "address": "a", "address_port": 1, "options": {"tls-authz": "t"}}, "options.tls-authz needs"),
        ({"type": "socket", "path": "/x", "server": False, "options": {"wait": True}}, "options.wait"),
        ({"type": "socket", "path": "/x", "options": {"reconnect": 1}}, "reconnect"),
        (
            {"type": "udp", "options": {"remote": {"type": "inet", "data": {"host": "a", "port": "70000"}}}},
            "remote.data.port 70000",
        ),
        ({"type": "ringbuf", "options": {"size": 1000}}, "options.size 1000"),
    ],
)
def test_what_cannot_be_is_refused_by_the_name_of_its_option(hardware: Hardware, options: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidOption, match=words):
        plan(hardware, **options)


def test_a_named_pipe_is_refused_because_qemu_would_wait(hardware: Hardware, tmp_path: Path) -> None:
    pipe = str(tmp_path / "pipe")
    os.mkfifo(pipe)
    with pytest.raises(InvalidOption, match="path .* is a named pipe.* type: pipe"):
        plan(hardware, type="file", path=pipe)
    with pytest.raises(InvalidOption, match="options.logfile .* is a named pipe"):
        plan(hardware, type="null", options={"logfile": pipe})


def test_the_two_ways_to_connect_again_exclude_each_other(hardware: Hardware) -> None:
    options = {"reconnect": 1, "reconnect-ms": 1}
    with pytest.raises(InvalidOption, match="reconnect"):  # a QEMU has one of them, or both
        plan(hardware, type="socket", path="/x", server=False, options=options)


# addresses that a recorded VM does not have


@pytest.mark.parametrize(
    ("addr", "value", "same"),
    [
        ({"type": "vsock", "cid": "3", "port": "9"}, {"type": "vsock", "data": {"cid": "3", "port": "9"}}, True),
        ({"type": "vsock", "cid": "3", "port": "9"}, {"type": "vsock", "data": {"cid": "4", "port": "9"}}, False),
        ({"type": "fd", "str": "5"}, {"type": "fd", "data": {"str": "5"}}, True),
        ({"type": "fd", "str": "5"}, {"type": "fd", "data": {"str": "name"}}, None),
        ({"type": "fd", "str": "5"}, "fd", False),
        (
            {"type": "inet", "host": "127.0.0.1", "port": "80"},
            {"type": "inet", "data": {"host": "127.0.0.1", "port": "http"}},
            True,
        ),
        (
            {"type": "inet", "host": "127.0.0.1", "port": "80"},
            {"type": "inet", "data": {"host": "127.0.0.1", "port": "no such"}},
            False,
        ),
    ],
)
def test_addresses_in_qemus_form(addr: dict[str, Any], value: Any, same: bool | None) -> None:
    chardev = Chardev("c1", "socket", "", False, addr)
    (row,) = (row for row in spec.OPTIONS["socket"] if row.name == "options.addr")
    assert row.same and row.same(chardev, value) is same


def test_nothing_is_compared_of_a_socket_whose_address_is_not_reported() -> None:
    chardev = Chardev("c1", "socket", "unix:", False, {})
    read = {row.name: row.read(chardev) for row in spec.OPTIONS["socket"] if row.read and not row.partial}
    assert {name for name, value in read.items() if value is not None} == {"server"}
    vsock = Chardev("c1", "socket", "vsock:3:9", False, {"type": "vsock", "cid": "3", "port": "9"})
    assert spec.listens(vsock) is None


# remove and run


def test_a_port_is_removed_before_its_character_device(hardware: Hardware) -> None:
    assert names(plan(hardware, "port1", state="absent")) == ["device_del", "chardev-remove"]
    assert names(plan(hardware, "null1", state="absent")) == ["chardev-remove"]
    assert plan(hardware, "nosuch", state="absent").steps == ()


def test_one_that_cannot_be_changed_is_restored(changing: Any, recording: recordings.Recording) -> None:
    vm = changing(recording)
    with pytest.raises(Failure) as failure:
        vm.run("qmp_chardev", id="unix1", type="socket", path="/nosuch/directory/x")
    assert "Restored: unix1." in failure.value.result["msg"]
    (found,) = (one for one in vm.run("qmp_info", gather_subset=["chardevs"])["chardevs"] if one["id"] == "unix1")
    assert found["path"] == f"{DIRECTORY}/unix1"


def test_one_that_still_exists_is_not_added_again(changing: Any, recording: recordings.Recording) -> None:
    vm = changing(recording)
    vm.fail("chardev-change", CommandError("GenericError", "no", "chardev-change"))
    with pytest.raises(Failure) as failure:
        vm.run("qmp_chardev", id="null1", type="ringbuf")
    assert failure.value.result["error_code"] == "command_failed"
