# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Devices of the host that are opened here and passed to QEMU. An ordinary file stands in for vhost devices, up to the error
that QEMU reports for it."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils._vm.devices import generic as peripheral
from ansible_collections.vmops.qemu.plugins.module_utils._vm.host import tap
from ansible_collections.vmops.qemu.plugins.module_utils._vm.model.hardware import Hardware
from ansible_collections.vmops.qemu.plugins.module_utils._vm.plan.plan import PlanFailed, Run
from ansible_collections.vmops.qemu.plugins.module_utils.qmp import Monitor, UnixAddress
from ansible_collections.vmops.qemu.tests.support import recordings
from ansible_collections.vmops.qemu.tests.support.modules import Modules, refused, unchanged
from ansible_collections.vmops.qemu.tests.vm.machine import VM


@pytest.fixture
def no_vhost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A file in the place of the host's vhost devices."""
    path = tmp_path / "vhost"
    path.touch()
    for module, name in ((peripheral, "VHOST_VSOCK"), (tap, "VHOST_NET")):
        monkeypatch.setattr(module, name, str(path))
    return str(path)


def test_the_vhost_device_of_a_vsock_is_passed_with_it(make_vm: Callable[..., VM], no_vhost: str) -> None:
    vm = make_vm(boot=False)
    before = vm.hardware()
    with Monitor.connect(UnixAddress(str(vm.qmp_socket))) as monitor:
        device = {"id": "v1", "driver": "vhost-vsock-pci", "properties": {"guest-cid": 42}}
        plan = recordings.plan(Hardware(monitor), "qmp_device", **device)
        getfd, device_add = plan.commands()
        assert getfd == {"execute": "getfd", "arguments": {"fdname": "v1-vhostfd"}}
        assert device_add["arguments"].items() >= {"driver": "vhost-vsock-pci", "guest-cid": 42, "vhostfd": "v1-vhostfd"}.items()
        with pytest.raises(PlanFailed, match="vhost_set_owner") as failure:
            plan.apply(monitor, 10.0)
        assert failure.value.undone == [{"execute": "closefd", "arguments": {"fdname": "v1-vhostfd"}}]
    assert vm.hardware() == before


def test_each_queue_of_a_tap_has_its_vhost_device(
    make_vm: Callable[..., VM], make_tap: Callable[..., str], no_vhost: str
) -> None:
    vm, ifname = make_vm(boot=False), make_tap("multi_queue")
    with Monitor.connect(UnixAddress(str(vm.qmp_socket))) as monitor:
        nic = {"id": "n1", "type": "tap", "ifname": ifname, "vhost": True, "queues": 2}
        *passed, add, plug = recordings.plan(Hardware(monitor), "qmp_netdev", **nic).commands()
    names = [command["arguments"]["fdname"] for command in passed]
    assert names == ["n1-fd0", "n1-fd1", "n1-vhostfd0", "n1-vhostfd1"]
    assert add["arguments"] == {
        "type": "tap",
        "id": "n1",
        "vhost": True,
        "fds": "n1-fd0:n1-fd1",
        "vhostfds": "n1-vhostfd0:n1-vhostfd1",
    }
    assert plug["arguments"].items() >= {"mq": True, "vectors": 6}.items()


def test_a_tap_that_a_killed_run_left_in_qemu_goes_with_the_nic(make_vm: Callable[..., VM], make_tap: Callable[..., str]) -> None:
    vm, ifname = make_vm(boot=False), make_tap()
    nic = {"id": "n1", "type": "tap", "ifname": ifname}
    with Monitor.connect(UnixAddress(str(vm.qmp_socket))) as monitor:
        recordings.plan(Hardware(monitor), "qmp_netdev", **nic).steps[0].apply(Run(monitor, 10.0))
    modules = Modules(vm)
    refused(modules.netdev(**{**nic, "id": "n2"}), "unsupported", "may hold it")
    gone = modules.netdev(id="n1", state="absent")
    assert unchanged(gone) and [command["execute"] for command in gone["commands"]] == ["closefd", "closefd"], gone
    assert modules.netdev(id="n1", state="absent")["commands"] == []
    assert modules.netdev(**{**nic, "id": "n2"})["changed"]


def test_vhost_off_in_words_is_off(make_vm: Callable[..., VM], make_tap: Callable[..., str]) -> None:
    modules = Modules(make_vm(boot=False))
    assert modules.netdev(id="n1", type="tap", ifname=make_tap(), options={"vhost": "off"}).get("changed")


def test_the_only_nic_is_not_recreated_without_force(make_vm: Callable[..., VM]) -> None:
    vm = make_vm(extra=("-netdev", "user,id=net0", "-device", "virtio-net-pci,netdev=net0,id=net0,bus=rp0"))
    modules = Modules(vm)
    other = {"id": "net0", "type": "hubport", "options": {"hubid": 1}, "recreate": True}
    before = vm.hardware()
    refused(modules.netdev(**other), "unsupported", "only NIC")
    assert vm.hardware() == before
    failed = modules.netdev(**{**other, "type": "user", "options": {"net": "bogus"}}, force=True)
    refused(failed, "command_failed", "Restored: net0.")
    assert [command["execute"] for command in failed["details"]["undone"]] == ["netdev_add", "device_add"]
    assert vm.hardware() == before
