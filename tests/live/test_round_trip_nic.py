# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What qmp_netdev and qmp_info return for a NIC, fed back to qmp_netdev as options, changes nothing. On real QEMU."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.vmops.qemu.tests.support.modules import Modules, refused, unchanged
from ansible_collections.vmops.qemu.tests.support.round_trip import returned_options
from ansible_collections.vmops.qemu.tests.vm.binaries import Binary
from ansible_collections.vmops.qemu.tests.vm.machine import VM

LISTEN = {"type": "inet", "host": "127.0.0.1", "port": "0"}


def fed_back(modules: Modules, nic: dict[str, Any]) -> dict[str, Any]:
    """The options that a NIC was returned with, after they have been fed back."""
    options = returned_options("qmp_netdev", nic)
    again = modules.netdev(**options)
    assert unchanged(again) and again["nic"] == nic and again["unverified"] == [], again
    return options


SORTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    # what is set, and what of it is returned
    "user": ({"type": "user", "options": {"restrict": True}}, {"type": "user", "queues": 1, "options": {"restrict": True}}),
    "identity": (
        {"type": "user", "driver": "e1000e", "mac": "52:54:00:AA:BB:01", "bootindex": 0, "bus": "rp2", "romfile": ""},
        {"driver": "e1000e", "mac": "52:54:00:aa:bb:01", "bootindex": 0, "bus": "rp2", "addr": "0", "romfile": ""},
    ),
    "hubport": ({"type": "hubport", "options": {"hubid": "7"}}, {"type": "hubport", "options": {"hubid": 7}}),
    "stream": ({"type": "stream", "options": {"addr": LISTEN, "server": True}}, {"type": "stream"}),
    "dgram": ({"type": "dgram", "options": {"local": LISTEN, "remote": {**LISTEN, "port": "9"}}}, {"type": "dgram"}),
    "socket": ({"type": "socket", "options": {"listen": "127.0.0.1:0"}}, {"type": "socket"}),
    "tap by descriptors": ({"type": "tap", "ifname": "{tap}"}, {"type": "tap", "ifname": "{tap}", "queues": 1}),
    "tap opened by QEMU": (
        {"type": "tap", "ifname": "{tap}", "script": "no", "downscript": "no"},
        {"type": "tap", "ifname": "{tap}", "script": "no", "downscript": "no"},
    ),
    "multiqueue by descriptors": ({"type": "tap", "ifname": "{multi}", "queues": 3}, {"ifname": "{multi}", "queues": 3}),
    "multiqueue by QEMU": (
        {"type": "tap", "ifname": "{multi}", "queues": 2, "descriptors": False},
        {"ifname": "{multi}", "queues": 2},
    ),
}


@pytest.mark.parametrize("sort", SORTS)
def test_a_nic_is_returned_as_the_options_that_add_it(bare_vm: VM, make_tap: Callable[..., str], sort: str) -> None:
    names = {"{tap}": make_tap(), "{multi}": make_tap("multi_queue")}
    options, expected = ({name: names.get(str(value), value) for name, value in one.items()} for one in SORTS[sort])
    if sort == "multiqueue by QEMU":
        options.update(script="no", downscript="no")
    modules = Modules(bare_vm)
    planned = modules.netdev(check=True, id="n1", **options)
    added = modules.netdev(id="n1", **options)
    assert added.get("changed"), added
    assert expected.items() <= fed_back(modules, added["nic"]).items()
    foreseen = {name: value for name, value in planned["nic"].items() if name not in ("script", "downscript", "options")}
    assert foreseen.items() <= added["nic"].items(), planned
    assert modules.info(gather_subset=["nics"])["nics"] == [added["nic"]]


def test_nics_of_the_launch(binary: Binary, make_vm: Callable[..., VM]) -> None:
    vm = make_vm(
        binary=binary,
        boot=False,
        extra=(
            *(
                "-netdev",
                "user,id=u0,net=10.9.0.0/16,restrict=on",
                "-device",
                "virtio-net-pci,netdev=u0,id=net0,bus=rp0,bootindex=3",
            ),
            *("-nic", "user,model=e1000,mac=52:54:00:aa:bb:01"),
            *("-nic", "user,id=nic0,model=virtio-net-pci"),
        ),
    )
    modules = Modules(vm)
    (nic,) = modules.info(gather_subset=["nics"])["nics"]  # those of -nic have no id, so no task can name them
    assert nic.items() >= {"id": "net0", "netdev": "u0", "bootindex": 3, "at_launch": True, "options": {"restrict": True}}.items()
    fed_back(modules, nic)
    for name, holder in (("nic0", "virtio-net-pci.0"),):
        refused(modules.netdev(id=name, type="user"), "conflict", holder)


def test_a_backend_that_has_no_device_yet(bare_vm: VM) -> None:
    """As a killed run leaves it: what is fed back adds the device and nothing else."""
    bare_vm.query("netdev_add", type="hubport", id="n1", hubid=5)
    modules = Modules(bare_vm)
    refused(modules.netdev(id="n1", type="hubport", options={"hubid": 6}), "conflict", "options.hubid is 5")
    added = modules.netdev(id="n1", type="hubport", options={"hubid": 5})
    assert [command["execute"] for command in added["commands"]] == ["device_add"], added
    fed_back(modules, added["nic"])


def test_an_option_is_named_as_it_is_written(bare_vm: VM, make_tap: Callable[..., str], tmp_path: Path) -> None:
    modules, name = Modules(bare_vm), make_tap()
    assert modules.netdev(id="n1", type="tap", ifname=name)["changed"]
    refused(modules.netdev(id="n1", type="tap", ifname="other0"), "conflict", f"ifname is '{name}'")
    refused(modules.netdev(id="n1", type="tap", options={"ifname": "other0"}), "conflict", f"options.ifname is '{name}'")
    refused(modules.netdev(id="n1", type="tap", ifname=name, options={"ifname": name}), "invalid_option", "options.ifname")
    stream = {"addr": {"type": "unix", "path": str(tmp_path / "sock")}, "server": True}
    assert modules.netdev(id="n2", type="stream", options=stream)["changed"]
    assert modules.netdev(id="n2", type="stream", options=stream)["unverified"] == ["options.addr", "options.server"]
