# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans for NICs, over recorded VMs: present, equal, different, absent, recreated, without a slot, in conflict."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils._ansible.failure import Failure
from ansible_collections.vmops.qemu.plugins.module_utils._vm.devices.nic import backend, plans, restore, spec
from ansible_collections.vmops.qemu.plugins.module_utils._vm.errors import (
    Conflict,
    InvalidOption,
    NoFreeSlot,
    Unsupported,
)
from ansible_collections.vmops.qemu.plugins.module_utils._vm.model.hardware import Hardware, parse_netdevs
from ansible_collections.vmops.qemu.plugins.module_utils._vm.plan.plan import PassDescriptor, Plan
from ansible_collections.vmops.qemu.plugins.module_utils.qmp import CommandError
from ansible_collections.vmops.qemu.tests.support import recordings
from ansible_collections.vmops.qemu.tests.support.round_trip import returned_options

NICS = ("net0", "slot0", "slot1", "user1", "tap1", "multi1", "stream1", "filtered1")

RECORDED = "nics"


@pytest.fixture
def any_tap(monkeypatch: pytest.MonkeyPatch) -> None:
    """This host has every tap, and vhost-net."""
    monkeypatch.setattr(plans, "check_tap", lambda ifname, queues: None)
    monkeypatch.setattr(plans, "check_vhost", lambda: None)


def plan(hardware: Hardware, nic: str = "n1", **options: Any) -> Plan:
    return recordings.plan(hardware, "qmp_netdev", id=nic, **options)


def names(made: Plan) -> list[str]:
    return [command["execute"] for command in made.commands()]


# add


def test_a_new_nic_goes_to_the_free_port(hardware: Hardware) -> None:
    made = plan(hardware, type="user", options={"hostfwd": "tcp:127.0.0.1:0-:22", "restrict": "yes"}, mac="52:54:00:AA:BB:01")
    netdev_add, device_add = (command["arguments"] for command in made.commands())
    assert netdev_add == {"type": "user", "id": "n1", "hostfwd": [{"str": "tcp:127.0.0.1:0-:22"}], "restrict": True}
    slot = {"bus": "rp6", "addr": "0"}
    assert device_add == {"driver": "virtio-net-pci", "id": "n1", "netdev": "n1", **slot, "mac": "52:54:00:aa:bb:01"}
    assert made.before is None and made.after == {
        "id": "n1",
        "attached": True,
        "driver": "virtio-net-pci",
        **slot,
        "mac": "52:54:00:aa:bb:01",
        "at_launch": False,
        "netdev": "n1",
        "type": "user",
        "queues": 1,
        "options": {"restrict": True},
    }
    assert made.launch_args[1] == "user,id=n1,restrict=on,hostfwd=tcp:127.0.0.1:0-:22"


@pytest.mark.usefixtures("any_tap")
def test_a_tap_is_passed_as_descriptors(hardware: Hardware) -> None:
    made = plan(hardware, type="tap", ifname="t0", queues=2, vhost=True)
    assert names(made) == [*["getfd"] * 4, "netdev_add", "device_add"]
    netdev_add, device_add = (command["arguments"] for command in made.commands()[-2:])
    assert netdev_add == {
        "type": "tap",
        "id": "n1",
        "vhost": True,
        "fds": "n1-fd0:n1-fd1",
        "vhostfds": "n1-vhostfd0:n1-vhostfd1",
    }
    assert device_add["mq"] is True and device_add["vectors"] == 6
    assert made.after and made.after["ifname"] == "t0" and made.after["queues"] == 2
    assert isinstance(made.steps[0], PassDescriptor)


@pytest.mark.usefixtures("any_tap")
@pytest.mark.parametrize(
    "options", [{"script": "no"}, {"descriptors": False}, {"options": {"helper": "/h"}, "descriptors": False}]
)
def test_a_tap_that_qemu_opens(hardware: Hardware, options: dict[str, Any]) -> None:
    ifname = {} if "options" in options else {"ifname": "t0"}
    assert names(plan(hardware, type="tap", **ifname, **options)) == ["netdev_add", "device_add"]


def test_a_backend_without_a_nic_gets_its_device(hardware: Hardware) -> None:
    made = plan(hardware, "hub1", type="hubport", options={"hubid": "5"})
    assert names(made) == ["device_add"] and made.unverified == ()


def test_there_is_no_free_slot(hardware: Hardware) -> None:
    with pytest.raises(NoFreeSlot, match="rp0"):
        plan(hardware, type="user", bus="rp0")
    with pytest.raises(NoFreeSlot, match="pcie-root-port"):
        plan(hardware, type="user", reserved=[{"bus": "rp6", "addr": "0"}])


# equal


@pytest.mark.parametrize("nic", NICS)
def test_what_is_returned_for_a_nic_is_equal_to_it(hardware: Hardware, nic: str) -> None:
    returned = spec.describe(hardware, nic)
    assert returned
    made = recordings.plan(hardware, "qmp_netdev", **returned_options("qmp_netdev", returned))
    assert made.steps == () and made.unverified == () and made.before == made.after == returned


def test_all_nics_that_have_an_id_are_described(hardware: Hardware) -> None:
    found = {nic["id"]: nic for nic in spec.describe_all(hardware)}
    assert found.keys() == set(NICS)
    assert found["net0"].items() >= {"netdev": "u0", "bootindex": 3, "at_launch": True, "options": {"restrict": True}}.items()
    assert found["user1"].items() >= {"driver": "e1000e", "romfile": "", "bus": "rp1", "addr": "0", "type": "user"}.items()
    assert found["tap1"].items() >= {"type": "tap", "script": "no", "downscript": "no", "queues": 1}.items()
    assert found["multi1"].items() >= {"ifname": "vmopsrec", "queues": 3, "bootindex": 5}.items()
    assert found["slot1"]["options"] == {"hubid": 8} and found["slot1"]["addr"] == "10.1"


def test_options_that_qemu_does_not_report_are_unverified_by_their_names(hardware: Hardware) -> None:
    options = {"addr": {"type": "unix", "path": "/x"}, "server": True}
    made = plan(hardware, "stream1", type="stream", options=options, link="up")
    assert names(made) == ["set_link"]
    assert made.unverified == ("options.addr", "options.server", "link") and made.after and made.after["link"] == "up"


def test_a_bridge_is_reported_as_a_tap(hardware: Hardware) -> None:
    made = plan(hardware, "tap1", type="bridge", options={"br": "br0"})
    assert made.steps == () and made.unverified == ("options.br",)


# different


@pytest.mark.parametrize(
    ("nic", "options", "words"),
    [
        ("user1", {"type": "hubport", "options": {"hubid": 1}}, "type is 'user'"),
        ("user1", {"driver": "virtio-net-pci"}, "driver is 'e1000e'"),
        ("net0", {"mac": "52:54:00:00:00:11"}, "mac is '52:54:00:00:00:10'"),
        ("net0", {"type": "user", "options": {"restrict": False}}, "options.restrict is True"),
        ("net0", {"type": "user", "options": {"net": "10.8.0.0/16"}}, "options.net is '10.9.0.0'"),
        ("slot1", {"type": "hubport", "options": {"hubid": 9}}, "options.hubid is 8"),
        ("multi1", {"type": "tap", "ifname": "t9"}, "ifname is 'vmopsrec'"),
        ("multi1", {"type": "tap", "options": {"ifname": "t9"}}, "options.ifname is 'vmopsrec'"),
        ("multi1", {"queues": 2}, "queues is 3"),
        ("multi1", {"ifname": "t9"}, "ifname is 'vmopsrec'"),
        ("hub1", {"type": "hubport", "options": {"hubid": 6}}, "options.hubid is 5"),
    ],
)
def test_a_difference_is_a_conflict_by_the_name_of_the_option(
    hardware: Hardware, nic: str, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(Conflict, match=words):
        plan(hardware, nic, **options)


@pytest.mark.parametrize(
    ("nic", "words"),
    [("rp0", "not a NIC"), ("u0", "belongs to the NIC net0"), ("board0", "belongs to the NIC"), ("scsi0", "not a NIC")],
)
def test_an_id_that_belongs_to_something_else(hardware: Hardware, nic: str, words: str) -> None:
    with pytest.raises(Conflict, match=words):
        plan(hardware, nic, type="user")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "Set type"),
        ({"type": "user", "driver": "virtio-blk-pci"}, "not a NIC"),
        ({"type": "user", "queues": 0}, "1 to 256"),
        ({"type": "user", "options": {"id": "x"}}, "option id"),
        ({"type": "user", "options": {"hostfw": "x"}}, "options.hostfw .*'hostfwd'"),
        ({"type": "user", "ifname": "t0"}, "ifname is not an option .* user"),
        ({"type": "user", "options": {"bootfile": "x" * 128}}, "options.bootfile .* 127"),
        ({"type": "user", "descriptors": True}, "descriptors: true needs type: tap"),
        ({"type": "tap"}, "needs ifname"),
        ({"type": "tap", "ifname": "a/b"}, "ifname"),
        ({"type": "tap", "ifname": "t0", "options": {"ifname": "t0"}}, "ifname and options.ifname"),
        ({"type": "tap", "ifname": "t0", "options": {"fd": "x"}}, "ifname and options.fd exclude each other"),
        ({"type": "tap", "options": {"fd": "3"}}, "options.fd is '3'"),
        ({"type": "tap", "options": {"fds": "a:"}}, "options.fds"),
        ({"type": "tap", "options": {"vhostfds": "a"}}, "options.vhostfds needs options.fds"),
        ({"type": "tap", "options": {"fd": "a", "vhostfd": "b"}, "vhost": False}, "needs vhost: true"),
        ({"type": "tap", "options": {"fd": "a"}, "descriptors": True}, "options.fd exclude each other"),
        ({"type": "stream"}, "needs 'options.addr'"),
        ({"type": "stream", "options": {"addr": {"type": "fd", "str": "3"}}}, "options.addr.str is '3'"),
        ({"type": "vhost-user"}, "needs 'chardev'"),
        ({"type": "vhost-user", "chardev": "null1"}, "chardev null1 is not a unix socket"),
        ({"type": "tap", "ifname": "t0", "queues": 2, "driver": "e1000", "script": "no"}, "e1000 has one queue"),
    ],
)
def test_what_no_nic_can_be_is_refused(hardware: Hardware, options: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidOption, match=words):
        plan(hardware, **options)


def test_queues_of_a_type_that_has_one(hardware: Hardware) -> None:
    with pytest.raises(Unsupported, match="queues is 2, but .* user has one"):
        plan(hardware, type="user", queues=2)


def test_descriptors_need_a_unix_socket(hardware: Hardware, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware.cache.monitor, "passes_fds", False, raising=False)
    with pytest.raises(Unsupported, match="Connect by socket"):
        plan(hardware, type="tap", ifname="t0", descriptors=True)
    assert names(plan(hardware, type="tap", ifname="t0")) == ["netdev_add", "device_add"]


def test_a_macvtap_is_opened_here_alone(hardware: Hardware, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (plans, backend):
        monkeypatch.setattr(module, "is_macvtap", lambda ifname: ifname == "mv0")
    monkeypatch.setattr(plans, "check_tap", lambda ifname, queues: None)
    assert plan(hardware, type="tap", ifname="mv0").launch_args == ()
    with pytest.raises(InvalidOption, match="macvtap"):
        plan(hardware, type="tap", ifname="mv0", script="no")


def test_a_mac_that_another_nic_has_is_warned_of(hardware: Hardware) -> None:
    (warning,) = plan(hardware, type="user", mac="52:54:00:00:00:20").warnings
    assert "e1000.0" in warning and "52:54:00:00:00:20" in warning


# remove


def test_a_nic_is_removed_before_its_backend(hardware: Hardware) -> None:
    made = plan(hardware, "user1", state="absent")
    assert names(made) == ["device_del", "netdev_del"] and made.after is None
    assert names(plan(hardware, "hub1", state="absent")) == ["netdev_del"]
    assert plan(hardware, "nosuch", state="absent").steps == ()


def test_descriptors_that_a_killed_run_left_are_closed(hardware: Hardware, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "interfaces_of", lambda pid: ["t9", "vmopsrec"])
    made = plan(hardware, "nosuch", state="absent")
    assert names(made) == ["closefd", "closefd"] and not made.changed


@pytest.mark.parametrize(
    ("nic", "words"), [("filtered1", "dump1"), ("slot0", "slot1"), ("slot1", "slot0"), ("inhub1", r"hub2 \(hubport\)")]
)
def test_what_others_would_lose_is_removed_with_force_only(
    hardware: Hardware, nic: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Conflict, match=words):
        plan(hardware, nic, state="absent")
    if nic.startswith("slot"):
        with pytest.raises(Unsupported, match="removes no device while the VM runs"):
            plan(hardware, nic, state="absent", force=True)
    monkeypatch.setattr(Hardware, "is_fixed", lambda *_device: False)  # as if they were not on the root bus
    assert names(plan(hardware, nic, state="absent", force=True))[-1] == "netdev_del"


def test_the_only_nic_of_the_launch(hardware: Hardware) -> None:
    net0 = hardware.device("net0")
    assert net0
    hardware.__dict__["devices"] = [net0]
    with pytest.raises(Unsupported, match="only NIC"):
        plan(hardware, "net0", state="absent")
    assert plan(hardware, "net0", state="absent", force=True).changed


def test_the_backend_of_a_nic_that_its_guest_has_released(hardware: Hardware) -> None:
    """It has another id, which the command line of QEMU names."""
    netdev = hardware.netdevs["u0"]
    hardware.__dict__["netdevs"] = {"u0": netdev._replace(nic=None)}
    hardware.__dict__["ids"] = {}
    assert plan(hardware, "net0", state="absent").commands() == [{"execute": "netdev_del", "arguments": {"id": "u0"}}]


# recreate


def test_a_device_is_recreated_on_the_backend_that_does_not_differ(hardware: Hardware) -> None:
    made = plan(hardware, "stream1", mac="52:54:00:00:00:31", recreate=True)
    assert names(made) == ["device_del", "device_add"]
    device_add = made.commands()[-1]["arguments"]
    assert device_add["host_mtu"] == 1400 and device_add["bus"] == "rp4" and device_add["netdev"] == "stream1"
    made = plan(hardware, "stream1", type="stream", options={"server": True}, mac="52:54:00:00:00:31", recreate=True)
    assert any("options.server" in warning for warning in made.warnings)
    assert any("link" in warning for warning in made.warnings)


@pytest.mark.usefixtures("any_tap")
def test_a_new_tap_keeps_the_queues_and_the_mac(hardware: Hardware) -> None:
    made = plan(hardware, "multi1", type="tap", ifname="t9", recreate=True, link="up")
    assert names(made)[:2] == ["device_del", "netdev_del"] and names(made)[-1] == "set_link"
    device_add = made.commands()[-2]["arguments"]
    assert device_add["mac"] == "52:54:00:00:01:03" and device_add["mq"] is True and device_add["bootindex"] == 5
    assert made.after and made.after["queues"] == 3 and made.after["ifname"] == "t9"
    one = plan(hardware, "multi1", type="user", queues=1, recreate=True)
    assert one.commands()[-1]["arguments"]["mq"] is False
    with pytest.raises(Conflict, match="3 queues"):
        plan(hardware, "multi1", type="user", recreate=True)


@pytest.mark.usefixtures("any_tap")
def test_a_recreated_tap_keeps_its_interface(hardware: Hardware) -> None:
    made = plan(hardware, "multi1", type="tap", script="/bin/true", recreate=True)
    netdev_add = next(command["arguments"] for command in made.commands() if command["execute"] == "netdev_add")
    assert netdev_add["ifname"] == "vmopsrec" and netdev_add["queues"] == 3


@pytest.mark.parametrize(
    ("nic", "words", "dry_run"),
    [
        ("net0", "", False),  # all of its options are on the command line
        ("user1", "without those options", True),
        ("stream1", "cannot be restored", True),
        ("multi1", "", False),
        ("slot1", "", False),
    ],
)
def test_what_cannot_be_restored_is_warned_of_and_tried_out_first(
    hardware: Hardware, nic: str, words: str, dry_run: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Hardware, "is_fixed", lambda *_device: False)  # as if none was on the root bus
    other = {"type": "socket", "options": {"listen": "127.0.0.1:0"}, "queues": 1}
    made = plan(hardware, nic, recreate=True, force=True, **other)
    assert any("restored" in warning for warning in made.warnings) is bool(words)
    assert any(words in warning for warning in made.warnings)
    assert (names(made)[:2] == ["netdev_add", "netdev_del"]) is dry_run
    if dry_run:
        assert made.commands()[0]["arguments"]["id"] == f"try-{nic}"


def test_options_that_a_new_backend_does_not_repeat_are_warned_of(hardware: Hardware) -> None:
    made = plan(hardware, "stream1", type="user", recreate=True)
    assert any("without options" in warning for warning in made.warnings)


@pytest.mark.parametrize(
    ("nic", "known"),
    [
        (
            "u0",
            [
                ({"net": "10.9.0.0/16", "restrict": "on", "hostfwd": "tcp:127.0.0.1:0-:22"}, True),
                ({"hostfwd": "x", "net": "10.9.0.0/24", "restrict": True}, False),
                ({"net": "10.9.0.0/24", "restrict": True}, False),
            ],
        ),
        ("hub1", [({"hubid": 5}, True)]),
        ("multi1", [({"ifname": "vmopsrec", "script": "no", "downscript": "no"}, True)]),
        ("stream1", []),
    ],
)
def test_how_a_backend_can_be_added_again(hardware: Hardware, nic: str, known: list[Any]) -> None:
    found = restore.known_backends(hardware, hardware.netdevs[nic], {"hostfwd": "x", "restrict": False})
    assert [(one.spec.options, one.complete) for one in found] == known


def test_a_backend_that_took_an_id_of_the_command_line_is_not_restored_from_there(hardware: Hardware) -> None:
    netdev = hardware.netdevs["u0"]._replace(info={"type": "user", "net": "10.0.2.0", "restrict": "off"})
    assert [one.spec.options for one in restore.known_backends(hardware, netdev, None)] == [{}]


def test_the_chardev_of_vhost_user_is_reported(hardware: Hardware) -> None:
    netdev = parse_netdevs("v1: index=0,type=vhost-user,vhost-user0 to switch1")["v1"]
    hardware.__dict__["netdevs"] = {"v1": netdev}
    made = plan(hardware, "v1", type="vhost-user", chardev="switch1")
    assert names(made) == ["device_add"]
    with pytest.raises(Conflict, match="chardev is 'switch1'"):
        plan(hardware, "v1", type="vhost-user", chardev="null1")
    (known,) = restore.known_backends(hardware, netdev, None)
    assert known.complete and known.spec.options == {"chardev": "switch1"}


# run


def test_a_vhost_user_server_must_be_connected(changing: Any, recording: recordings.Recording) -> None:
    vm = changing(recording)
    with pytest.raises(Failure) as failure:
        vm.run("qmp_netdev", id="n1", type="vhost-user", chardev="switch1")
    assert failure.value.result["error_code"] == "conflict" and "switch1" in failure.value.result["msg"]


def test_a_nic_that_fails_leaves_the_old_one(changing: Any, recording: recordings.Recording) -> None:
    vm = changing(recording)
    before = vm.run("qmp_info", gather_subset=["nics"])["nics"]
    vm.fail("device_add", CommandError("GenericError", "no", "device_add"))
    options: dict[str, Any] = {"id": "user1", "type": "hubport", "options": {"hubid": 3}, "recreate": True}
    with pytest.raises(Failure) as failure:
        vm.run("qmp_netdev", **options)
    result = failure.value.result
    assert result["error_code"] == "command_failed" and "Restored: user1." in result["msg"]
    assert vm.run("qmp_info", gather_subset=["nics"])["nics"] == before


def test_launch_args_have_the_mac_that_qemu_chose(changing: Any, recording: recordings.Recording) -> None:
    result = changing(recording).run("qmp_netdev", id="n1", type="user")
    assert result["nic"]["mac"] in result["launch_args"][-1]
