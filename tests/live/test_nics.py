# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""NICs on each QEMU there is: started again with their launch arguments, recreated, compared, and removed with what is theirs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils._vm.errors import Conflict, InvalidOption, Unsupported
from ansible_collections.vmops.qemu.plugins.module_utils._vm.host import tap
from ansible_collections.vmops.qemu.plugins.module_utils._vm.model.hardware import Hardware
from ansible_collections.vmops.qemu.plugins.module_utils.qmp import Monitor, UnixAddress
from ansible_collections.vmops.qemu.tests.support import recordings
from ansible_collections.vmops.qemu.tests.support.modules import Modules, refused, unchanged
from ansible_collections.vmops.qemu.tests.support.waiting import until
from ansible_collections.vmops.qemu.tests.vm.binaries import Binary
from ansible_collections.vmops.qemu.tests.vm.machine import VM

LISTEN = {"type": "inet", "host": "127.0.0.1", "port": "0"}


def of_the_monitor(vm: VM) -> Monitor:
    return Monitor.connect(UnixAddress(str(vm.qmp_socket)))


@pytest.mark.parametrize("run", ["just plugged", "unchanged"])
def test_a_vm_that_is_started_with_the_launch_args_has_nothing_to_do(
    binary: Binary, make_vm: Callable[..., VM], tmp_path: Path, make_tap: Callable[..., str], run: str
) -> None:
    tasks: list[dict[str, Any]] = [
        {
            "id": "n1",
            "type": "user",
            "options": {
                "hostfwd": ["tcp:127.0.0.1:0-:22", "udp:127.0.0.1:0-:53"],
                "restrict": "on",
                "dnssearch": ["a.example", "b.example"],
                "hostname": "a,b",
            },
        },
        {
            "id": "n2",
            "type": "user",
            "driver": "e1000e",
            "bootindex": 4,
            "options": {"guestfwd": "tcp:10.0.2.100:80-cmd:echo a,b", "net": "10.0.2.0/24"},
        },
        {"id": "n3", "type": "tap", "ifname": make_tap(), "mac": "52:54:00:AA:BB:03", "properties": {"host_mtu": 1400}},
        {"id": "n4", "type": "tap", "ifname": make_tap("multi_queue"), "queues": "2"},
        {"id": "n5", "type": "stream", "options": {"addr": LISTEN, "server": "true"}},
        {"id": "n6", "type": "stream", "options": {"addr": {"type": "unix", "path": f"{tmp_path}/a,b=c"}, "server": True}},
        {"id": "n7", "type": "dgram", "options": {"local": LISTEN, "remote": {**LISTEN, "port": "9"}}, "romfile": ""},
        {"id": "n8", "type": "hubport", "options": {"hubid": "7"}, "properties": {"rx_queue_size": "512"}},
        {"id": "n9", "type": "socket", "options": {"listen": "127.0.0.1:0"}},
    ]
    first = make_vm(binary=binary, ports=10, boot=False)
    modules = Modules(first)
    results = [modules.netdev(**task) for task in tasks]
    assert all(result.get("changed") for result in results), results
    if run == "unchanged":
        results = [modules.netdev(**task) for task in tasks]
        assert all(unchanged(result) for result in results)
    facts = modules.info(gather_subset=["nics"])["nics"]
    first.stop()
    extra = tuple(word for result in results for word in result["launch_args"])
    again = Modules(make_vm(binary=binary, ports=10, boot=False, extra=extra))
    launched = again.info(gather_subset=["nics"])["nics"]
    for nic in launched:  # QEMU has opened the taps itself
        assert nic.pop("script", "no") == nic.pop("downscript", "no") == "no"
    assert launched == [{**nic, "at_launch": True} for nic in facts]
    for task in tasks:
        assert unchanged(again.netdev(**task))


def test_a_task_that_does_not_say_what_is_behind_a_nic_has_no_half_of_it_in_launch_args(bare_vm: VM) -> None:
    modules = Modules(bare_vm)
    assert modules.netdev(id="n1", type="user")["launch_args"]
    assert modules.netdev(id="n1")["launch_args"] == []


def test_recreate_keeps_what_the_task_does_not_set(
    bare_vm: VM, make_tap: Callable[..., str], make_vm: Callable[..., VM], binary: Binary
) -> None:
    modules = Modules(make_vm(binary=binary, native=True, boot=False))
    name, other = make_tap("multi_queue"), make_tap("multi_queue")
    nic = {
        "id": "n1",
        "type": "tap",
        "ifname": name,
        "queues": 3,
        "mac": "52:54:00:aa:bb:01",
        "bootindex": 5,
        "bus": "rp2",
        "properties": {"host_mtu": 1400, "rx_queue_size": 512},
    }
    before = modules.netdev(**nic)["commands"][-1]["arguments"]
    changed = modules.netdev(id="n1", type="tap", ifname=other, recreate=True)
    assert changed["changed"] and changed["commands"][-1]["arguments"] == before, changed
    assert changed["commands"][-2]["arguments"]["fds"] == "n1-fd0:n1-fd1:n1-fd2"
    assert unchanged(modules.netdev(**{**nic, "ifname": other}))
    changed = modules.netdev(id="n1", type="tap", mac="52:54:00:aa:bb:02", recreate=True)
    assert changed["nic"]["ifname"] == other and changed["nic"]["mac"] == "52:54:00:aa:bb:02", changed
    assert unchanged(modules.netdev(**{**nic, "ifname": other, "mac": "52:54:00:aa:bb:02"}))
    refused(modules.netdev(id="n1", type="user", recreate=True), "conflict", "3 queues", "queues: 1")
    changed = modules.netdev(id="n1", type="user", queues=1, recreate=True)
    assert changed["commands"][-1]["arguments"] == {
        **{key: value for key, value in before.items() if key != "vectors"},
        "mac": "52:54:00:aa:bb:02",
        "mq": False,
    }


def test_a_nic_of_another_driver_is_known_by_the_same_mac_in_the_same_slot(make_vm: Callable[..., VM], binary: Binary) -> None:
    modules = Modules(make_vm(binary=binary, native=True, boot=False))
    assert modules.netdev(id="n1", type="user", driver="e1000e", mac="52:54:00:aa:bb:01", bootindex=2, bus="rp3")["changed"]
    changed = modules.netdev(id="n1", type="user", driver="virtio-net-pci", recreate=True)
    assert changed["commands"][-1]["arguments"] == {
        "driver": "virtio-net-pci",
        "id": "n1",
        "netdev": "n1",
        "bus": "rp3",
        "addr": "0",
        "mac": "52:54:00:aa:bb:01",
        "bootindex": 2,
    }


def test_another_number_of_queues_is_a_conflict_and_none_is_not_compared(bare_vm: VM, make_tap: Callable[..., str]) -> None:
    modules = Modules(bare_vm)
    nic = {"id": "n1", "type": "tap", "ifname": make_tap("multi_queue")}
    assert modules.netdev(**nic, queues=2)["changed"]
    assert unchanged(modules.netdev(**nic)) and unchanged(modules.netdev(**nic, queues=2))
    for queues in (1, 3):
        refused(modules.netdev(**nic, queues=queues), "conflict", f"queues is 2 and the task sets {queues}")
    assert modules.netdev(id="n2", type="user")["changed"]
    assert unchanged(modules.netdev(id="n2", type="user", queues=1))


@pytest.mark.parametrize(
    ("type_name", "options", "other"),
    [
        ("user", {"restrict": "yes", "net": "10.9.0.0/24"}, {"restrict": False}),
        ("user", {"net": "10.9.0.0/24"}, {"net": "10.8.0.0/24"}),
        ("hubport", {"hubid": "1"}, {"hubid": 2}),
        ("tap", {"script": "no", "downscript": "no"}, {"script": "/bin/true"}),
    ],
)
def test_what_qemu_reports_of_a_backend_is_compared(
    bare_vm: VM, make_tap: Callable[..., str], type_name: str, options: dict[str, Any], other: dict[str, Any]
) -> None:
    modules = Modules(bare_vm)
    tap_of_it = {"ifname": make_tap()} if type_name == "tap" else {}
    nic = {"id": "n1", "type": type_name, **tap_of_it}
    assert modules.netdev(**nic, options=options)["changed"]
    again = modules.netdev(**nic, options=options)
    assert unchanged(again) and again["unverified"] == [], again
    refused(modules.netdev(**nic, options={**options, **other}), "conflict", *other, "recreate")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"queues": 0}, ["queues 0", "1 to 256"]),
        ({"queues": -1}, ["queues -1"]),
        ({"queues": 257}, ["queues 257"]),
        ({"queues": 2, "options": {"fds": "a:b"}}, ["queues", "options.fds"]),
        ({"options": {"fds": ""}}, ["options.fds"]),
        ({"options": {"fds": "a:"}}, ["fds"]),
        ({"options": {"vhostfds": "a"}}, ["vhostfds", "fds"]),
        ({"options": {"fd": "a"}, "ifname": "tap0"}, ["ifname", "fd"]),
        ({"options": {"queues": 2}}, ["'queues'"]),
        ({"options": {"id": "x"}}, ["'id'"]),
        ({"ifname": "x" * 16, "script": "no"}, ["1 to 15"]),
        ({"type": "user", "ifname": "tap0"}, ["user", "ifname"]),
        ({"type": "user", "options": {"hostfwd": 5, "restrict": "perhaps"}}, ["restrict"]),
        ({"type": "user", "bootindex": -2}, ["bootindex", "-2"]),
        ({"type": "user", "bootindex": 1 << 31}, ["bootindex", str(1 << 31)]),
        ({"type": "user", "addr": "0x20"}, ["addr", "0x20"]),
        ({"type": "user", "addr": ""}, ["addr"]),
        ({"type": "user", "mac": "00:00:00:00:00:00"}, ["mac"]),
        ({"type": "user", "mac": "52-54-00-12-34-56"}, ["six pairs"]),
        ({"type": "user", "properties": {"mac": "52:54:00"}}, ["six pairs"]),
        ({"type": "user", "mac": "52:54:00:aa:bb:01", "properties": {"mac": "52:54:00:aa:bb:02"}}, ["mac is set twice"]),
        ({"type": "user", "properties": {"host_mtu": 70000}}, ["host_mtu", "65535"]),
        ({"type": "user", "properties": {"host_mtu": "-1"}}, ["host_mtu"]),
        ({"type": "user", "properties": {"duplex": ["full"]}}, ["duplex", "text"]),
        ({"type": "user", "properties": {"disable-legacy": "perhaps"}}, ["disable-legacy", "on, off, auto"]),
        ({"type": "user", "disable_modern": True}, ["disable_modern", "rp0"]),
        ({"type": "user", "driver": "e1000", "disable_modern": True}, ["disable_modern", "e1000"]),
    ],
)
def test_what_no_nic_can_be_is_refused_in_check_mode(bare_vm: VM, options: dict[str, Any], words: list[str]) -> None:
    before = bare_vm.hardware()
    for check in (True, False):
        refused(Modules(bare_vm).netdev(check=check, id="n1", **{"type": "tap", **options}), "invalid_option", *words)
    assert bare_vm.hardware() == before


def test_queues_of_a_backend_that_has_one(bare_vm: VM) -> None:
    refused(Modules(bare_vm).netdev(check=True, id="n1", type="user", queues=2), "unsupported", "user", "queues")


def test_a_place_in_the_boot_order_that_is_taken(bare_vm: VM) -> None:
    modules = Modules(bare_vm)
    assert modules.netdev(id="n1", type="user", bootindex=1)["changed"]
    refused(modules.netdev(check=True, id="n2", type="user", bootindex=1), "conflict", "bootindex 1", "n1")
    assert unchanged(modules.netdev(id="n1", type="user", bootindex=1))


def test_two_nics_with_one_mac_are_warned_of(binary: Binary, make_vm: Callable[..., VM]) -> None:
    vm = make_vm(binary=binary, boot=False, extra=("-nic", "user,model=e1000,mac=52:54:00:aa:bb:01"))
    with of_the_monitor(vm) as monitor:
        for mac, count in (("52:54:00:AA:BB:01", 1), ("52:54:00:aa:bb:02", 0)):
            plan = recordings.plan(Hardware(monitor), "qmp_netdev", id="n1", type="user", mac=mac)
            assert len(plan.warnings) == count and all(mac.lower() in warning for warning in plan.warnings)


def test_a_backend_that_a_filter_or_a_hub_uses_is_not_removed(binary: Binary, make_vm: Callable[..., VM], tmp_path: Path) -> None:
    vm = make_vm(binary=binary, native=True, boot=False)
    modules = Modules(vm)
    assert modules.netdev(id="n1", type="user")["changed"]
    vm.query("object-add", qom_type="filter-dump", id="dump1", netdev="n1", file=str(tmp_path / "packets"))
    before = vm.hardware()
    refused(modules.netdev(id="n1", state="absent"), "conflict", "dump1", "force")
    refused(modules.netdev(id="n1", type="hubport", options={"hubid": 1}, recreate=True), "conflict", "dump1")
    assert vm.hardware() == before
    vm.query("object-del", id="dump1")
    assert modules.netdev(id="n1", state="absent")["changed"]
    vm.query("netdev_add", type="user", id="n2")
    vm.query("netdev_add", type="hubport", id="h1", hubid=1, netdev="n2")
    refused(modules.netdev(id="n2", state="absent"), "conflict", "h1 (hubport)")


def test_what_a_nic_of_the_start_leaves_behind_goes_with_the_next_run(binary: Binary, make_vm: Callable[..., VM]) -> None:
    vm = make_vm(binary=binary, extra=("-netdev", "user,id=u0", "-device", "virtio-net-pci,netdev=u0,id=net0,bus=rp0"))
    vm.query("device_del", id="net0")
    vm.wait_guest(lambda report: report["nics"] == [])
    until(lambda: "net0" not in vm.hardware()["devices"])
    modules = Modules(vm)
    gone = modules.netdev(id="net0", state="absent")
    assert gone["changed"] and gone["commands"] == [{"execute": "netdev_del", "arguments": {"id": "u0"}}], gone
    assert unchanged(modules.netdev(id="net0", state="absent"))
    assert vm.hardware()["netdevs"] == []


def test_a_function_of_a_slot_that_the_guest_would_not_see(binary: Binary, make_vm: Callable[..., VM]) -> None:
    vm = make_vm(
        binary=binary,
        machine="pc",
        boot=False,
        extra=(
            "-netdev",
            "user,id=a",
            "-device",
            "virtio-net-pci,netdev=a,id=a,addr=0x10,multifunction=on",
            "-netdev",
            "user,id=b",
            "-device",
            "virtio-net-pci,netdev=b,id=b,addr=0x10.1",
        ),
    )
    modules = Modules(vm)
    refused(modules.netdev(check=True, id="n1", type="user", addr="5.1"), "invalid_option", "5.1", "function 0")
    refused(modules.netdev(check=True, id="n1", type="user", addr="0x10.2"), "no_free_slot", "0x10.2")
    assert unchanged(modules.netdev(id="b", type="user", addr="10.1"))
    before = vm.hardware()
    refused(modules.netdev(id="b", state="absent"), "conflict", "a", "would go with it")
    refused(modules.netdev(id="b", type="hubport", options={"hubid": 1}, recreate=True), "conflict", "a", "would go with it")
    assert vm.hardware() == before


def test_an_address_is_looked_for_on_every_bus(binary: Binary, make_vm: Callable[..., VM]) -> None:
    vm = make_vm(
        binary=binary, boot=False, extra=("-device", "pcie-pci-bridge,id=br0,bus=rp3", "-device", "lsi53c895a,id=virtio-lsi")
    )
    modules = Modules(vm)
    placed = modules.netdev(id="n1", type="user", addr="0x5")
    assert placed["changed"] and placed["nic"]["bus"] == "br0", placed
    disk = {"id": "d1", "backend": {"driver": "null-co", "size": 1 << 20}, "driver": "scsi-hd", "scsi_id": 9}
    placed = modules.blockdev(**disk)
    assert placed["changed"] and placed["disk"]["bus"] == "scsi0.0", placed
    for beyond in ({"scsi_id": 256}, {"scsi_id": -1}, {"lun": 16384}, {"scsi_id": 7, "bus": "virtio-lsi.0"}):
        refused(modules.blockdev(check=True, **{**disk, "id": "d2", **beyond}), "invalid_option", next(iter(beyond)))


def test_upper_and_lower_case_are_two_serial_numbers_and_one_mac(bare_vm: VM) -> None:
    modules = Modules(bare_vm)
    disk = {"id": "d1", "backend": {"driver": "null-co", "size": 1 << 20}}
    assert modules.blockdev(**disk, serial="Abc")["changed"]
    assert unchanged(modules.blockdev(**disk, serial="Abc"))
    refused(modules.blockdev(**disk, serial="abc"), "conflict", "'Abc'", "'abc'")
    assert modules.netdev(id="n1", type="user", properties={"mac": "52:54:00:AA:BB:01"})["changed"]
    assert unchanged(modules.netdev(id="n1", type="user", mac="52:54:00:aa:BB:01"))


def test_a_value_that_leaves_the_choice_to_qemu_is_not_a_difference(bare_vm: VM) -> None:
    modules = Modules(bare_vm)
    nic = {
        "id": "n1",
        "type": "user",
        "properties": {
            "vectors": 0xFFFFFFFF,
            "disable-legacy": "auto",
            "romsize": "0xffffffff",
            "packed": "off",
            "ioeventfd": "yes",
        },
    }
    assert modules.netdev(**nic)["changed"]
    again = modules.netdev(**nic)
    assert unchanged(again) and set(again["unverified"]) <= {"vectors", "disable-legacy", "romsize"}


@pytest.mark.parametrize(
    ("driver", "properties"),
    [
        ("virtio-blk-pci", {"num-queues": 2049}),
        ("virtio-scsi-pci", {"num_queues": (1 << 31) - 1}),
        ("virtio-scsi-pci", {"virtqueue_size": 1025}),
        ("nvme", {"cmb_size_mb": 3}),
        ("nvme", {"cmb_size_mb": 1 << 20}),
        ("nvme", {"min_io_size": 513}),
        ("nvme", {"discard_granularity": 1025}),
        ("nvme", {"logical_block_size": 65536}),
    ],
    ids=str,
)
def test_what_aborts_qemu_or_keeps_a_node_for_ever_is_not_sent(bare_vm: VM, driver: str, properties: dict[str, Any]) -> None:
    modules, before = Modules(bare_vm), bare_vm.hardware()
    for check in (True, False):
        if driver == "virtio-scsi-pci":
            result = modules.run("qmp_device", check=check, id="x1", driver=driver, properties=properties)
        else:
            result = modules.blockdev(
                check=check, id="x1", driver=driver, properties=properties, backend={"driver": "null-co", "size": 1 << 20}
            )
        refused(result, "invalid_option", next(iter(properties)))
    assert bare_vm.hardware() == before


def test_a_disk_without_a_mode_to_work_in_leaves_no_node(bare_vm: VM) -> None:
    modules, before = Modules(bare_vm), bare_vm.hardware()
    disk = {"id": "d1", "backend": {"driver": "null-co", "size": 1 << 20}}
    refused(modules.blockdev(**disk, disable_modern=True), "invalid_option", "disable_modern", "rp0")
    legacy_off = modules.blockdev(**disk, disable_modern=True, properties={"disable-legacy": True})
    refused(legacy_off, "invalid_option", "disable_modern")
    assert bare_vm.hardware() == before
    assert modules.blockdev(**disk, disable_modern=True, properties={"disable-legacy": "off"})["changed"]


def test_a_macvtap_is_opened_by_its_own_device(bare_vm: VM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This kernel may have none: files stand for it, down to what the kernel says of them."""
    (tmp_path / "mv0" / "macvtap").mkdir(parents=True)
    (tmp_path / "mv0" / "ifindex").write_text("12\n")
    monkeypatch.setattr(tap, "_INTERFACES", str(tmp_path))
    monkeypatch.setattr(tap, "_DEVICES", str(tmp_path))
    nic: dict[str, Any] = {"id": "n1", "type": "tap", "ifname": "mv0"}
    with of_the_monitor(bare_vm) as monitor:
        with pytest.raises(Unsupported, match="/tap12"):
            recordings.plan(Hardware(monitor), "qmp_netdev", **nic, queues=2)
        (tmp_path / "tap12").touch()
        plan = recordings.plan(Hardware(monitor), "qmp_netdev", **nic, queues=2)
        assert [command["execute"] for command in plan.commands()] == ["getfd", "getfd", "netdev_add", "device_add"]
        assert plan.launch_args == () and "ifname" not in plan.commands()[2]["arguments"]
        with pytest.raises(Unsupported, match="mv0 cannot be opened"):
            tap.open_tap("mv0", 2)
        with pytest.raises(InvalidOption, match="macvtap"):
            recordings.plan(Hardware(monitor), "qmp_netdev", **nic, script="no")
    assert tap._macvtap_of(f"{tmp_path}/tap12") == "mv0" and tap._macvtap_of(f"{tmp_path}/tap1") is None


def test_a_task_that_lost_a_race_reports_the_other_task(make_vm: Callable[..., VM]) -> None:
    vm = make_vm(ports=1, boot=False)
    with of_the_monitor(vm) as monitor:
        hardware = Hardware(monitor)
        assert hardware.ids.keys() == {"rp0", "scsi0"}
        vm.query("netdev_add", type="user", id="other")
        vm.query("device_add", driver="virtio-net-pci", id="n1", netdev="other", bus="rp0", addr="0")
        with pytest.raises(Conflict, match="Another task"):
            recordings.plan(hardware, "qmp_netdev", id="n1", type="user")


def test_launch_arguments_are_json_where_qemu_takes_it(bare_vm: VM) -> None:
    *_backend, device = Modules(bare_vm).netdev(id="n1", type="user")["launch_args"]
    assert json.loads(device)["mac"].startswith("52:54:00")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        *[
            ({"options": {name: "x" * (most + 1)}}, [name, str(most)])
            for name, most in (("bootfile", 127), ("hostname", 255), ("domainname", 255), ("tftp-server-name", 255))
        ],
        ({"options": {"bootfile": "é" * 64}}, ["bootfile", "127"]),
        *[
            ({"type": "tap", "options": {name: value}}, [name, value])
            for name, value in (("fd", "99"), ("fd", "0"), ("fds", "99"), ("fds", "a:99"))
        ],
        ({"type": "tap", "options": {"fd": "a", "vhostfd": "99"}}, ["vhostfd", "99"]),
        ({"type": "socket", "options": {"fd": "0"}}, ["fd", "'0'"]),
        ({"type": "stream", "options": {"addr": {"type": "fd", "str": 3}}}, ["addr.str", "'3'"]),
        ({"type": "stream", "options": {"addr": {"type": "unix", "pth": "/x"}}}, ["options.addr.pth", "'path'"]),
        ({"type": "stream", "options": {"addr": {"type": "unix"}}}, ["options.addr.path"]),
        ({"type": "stream"}, ["options.addr"]),
        ({"type": "hubport"}, ["options.hubid"]),
        ({"driver": "virtio-blk-pci"}, ["virtio-blk-pci", "not a NIC"]),
        ({"driver": "qemu-xhci"}, ["qemu-xhci", "not a NIC"]),
    ],
)
def test_what_stops_qemu_or_can_be_no_nic_is_not_sent(
    binary: Binary, make_vm: Callable[..., VM], options: dict[str, Any], words: list[str]
) -> None:
    vm = make_vm(binary=binary, native=True, boot=False)
    before = vm.hardware()
    for check in (True, False):
        refused(Modules(vm).netdev(check=check, id="n1", **{"type": "user", **options}), "invalid_option", *words)
    assert vm.hardware() == before


def test_a_driver_of_no_letters_is_not_set(bare_vm: VM) -> None:
    modules = Modules(bare_vm)
    assert modules.netdev(id="n1", type="user", driver="", options={"bootfile": "x" * 127, "hostname": "x" * 255})["changed"]
    assert unchanged(modules.netdev(id="n1", type="user", driver=""))


def test_vhost_user_without_a_server_is_refused(binary: Binary, make_vm: Callable[..., VM], tmp_path: Path) -> None:
    vm = make_vm(binary=binary, native=True, boot=False)
    modules = Modules(vm)
    inet = {"type": "inet", "data": {"host": "127.0.0.1", "port": "0"}}
    for name, addr in (("c1", {"type": "unix", "data": {"path": str(tmp_path / "sock")}}), ("c2", inet)):
        vm.query("chardev-add", id=name, backend={"type": "socket", "data": {"addr": addr, "server": True, "wait": False}})
    vm.query("chardev-add", id="c3", backend={"type": "null", "data": {}})
    before = vm.hardware()
    for name, code, word in (("c1", "conflict", "connected"), ("c2", "invalid_option", "unix"), ("c3", "invalid_option", "null")):
        for check in (True, False) if code == "invalid_option" else (False,):  # who is connected is a matter of the moment
            refused(modules.netdev(check=check, id="n1", type="vhost-user", chardev=name), code, name, word)
    assert vm.hardware() == before
