# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines of other architectures, without a guest: where their devices go, and what they refuse."""

from __future__ import annotations

from typing import Callable

from ansible_collections.vmops.qemu.tests.support.modules import Modules, refused, unchanged
from ansible_collections.vmops.qemu.tests.support.values import NULL
from ansible_collections.vmops.qemu.tests.vm.machine import VM


def test_s390x_devices_go_on_channels(make_other: Callable[..., VM]) -> None:
    vm = make_other("qemu-system-s390x", "-machine", "s390-ccw-virtio", "-smp", "1,maxcpus=3", "-m", "256")
    modules, before = Modules(vm), vm.hardware()
    result = modules.blockdev(id="d1", backend=NULL)
    assert (result["disk"]["driver"], result["disk"]["addr"]) == ("virtio-blk-ccw", "fe.0.0000"), result
    assert unchanged(modules.blockdev(id="d1", backend=NULL, addr="fe.0.0000"))
    refused(modules.blockdev(id="d2", backend=NULL, addr="FE.0.0000"), "no_free_slot", "FE.0.0000")
    refused(modules.blockdev(id="d2", backend=NULL, addr="3"), "invalid_option", "fe.0.0001")
    nic = modules.netdev(id="n1", type="user", queues=1, mac="52:54:00:00:00:01")
    assert nic["nic"]["addr"] == "fe.0.0001", nic
    assert modules.netdev(id="n1", state="absent")["changed"]
    assert modules.blockdev(id="d1", state="absent")["changed"]
    assert vm.hardware() == before
    assert modules.cpus(count=2)["cpus"]["count"] == 2
    assert "not supported" in modules.cpus(count=1)["msg"]


def test_s390x_passthrough_is_sent_as_it_must_be(make_other: Callable[..., VM]) -> None:
    vm = make_other("qemu-system-s390x", "-machine", "s390-ccw-virtio", "-m", "256")
    before = vm.hardware()
    for driver, said in (("vfio-ccw", "Host device '/sys/nosuch' not found"), ("vfio-ap", "No 'ap-bus' bus found")):
        result = Modules(vm).run("qmp_device", id="x1", driver=driver, properties={"sysfsdev": "/sys/nosuch"})
        refused(result, "command_failed", said)
        sent = result["details"]["sent"][0]["arguments"]
        assert sent.items() >= {"driver": driver, "id": "x1", "sysfsdev": "/sys/nosuch"}.items(), sent
    assert vm.hardware() == before


def test_aarch64_takes_devices_on_root_ports_and_no_cpus(make_other: Callable[..., VM]) -> None:
    vm = make_other(
        "qemu-system-aarch64", "-machine", "virt", "-cpu", "cortex-a57", "-m", "256", "-device", "pcie-root-port,id=rp0,chassis=1"
    )
    modules, before = Modules(vm), vm.hardware()
    result = modules.blockdev(id="d1", backend=NULL)
    assert (result["disk"]["driver"], result["disk"]["bus"]) == ("virtio-blk-pci", "rp0"), result
    refused(modules.netdev(id="n1", type="user"), "no_free_slot", "pcie-root-port,id=rp1")
    assert modules.blockdev(id="d1", state="absent")["changed"]
    assert modules.netdev(id="n1", type="user", romfile="").get("changed")
    assert modules.netdev(id="n1", state="absent")["changed"]
    assert vm.hardware() == before
    refused(modules.cpus(count=2), "unsupported", "virt", "no CPU hotplug")
    cpus = modules.info(gather_subset=["cpus"])["cpus"]
    assert [one["type"] for one in cpus["vcpus"]] == ["cortex-a57-arm-cpu"] and cpus["vcpus"][0]["thread_id"], cpus


def test_ppc64_takes_devices_and_cores(make_other: Callable[..., VM]) -> None:
    vm = make_other("qemu-system-ppc64", "-machine", "pseries", "-smp", "1,maxcpus=4", "-m", "512")
    modules, before = Modules(vm), vm.hardware()
    result = modules.blockdev(id="d1", backend=NULL)
    assert result["disk"]["driver"] == "virtio-blk-pci", result
    assert unchanged(modules.blockdev(id="d1", backend=NULL))
    assert modules.blockdev(id="d1", state="absent")["changed"]
    assert vm.hardware() == before
    assert modules.cpus(count=3)["cpus"]["count"] == 3
    assert unchanged(modules.cpus(count=3))
    cpus = modules.info(gather_subset=["cpus"])["cpus"]
    assert len({one["thread_id"] for one in cpus["vcpus"]}) == 3 == sum(bool(one["thread_id"]) for one in cpus["slots"]), cpus
    for check in (True, False):  # QEMU would end
        refused(modules.run("qmp_cpu_hotplug", check, count=2), "unsupported", "pseries", "without KVM")
    assert len(vm.query("query-cpus-fast")) == 3


def test_a_device_on_a_channel_that_is_not_virtio_has_an_address(make_other: Callable[..., VM]) -> None:
    vm = make_other("qemu-system-s390x", "-M", "s390-ccw-virtio")
    options = {"id": "v1", "driver": "vfio-ccw", "properties": {"sysfsdev": "/nosuch"}}
    planned = Modules(vm).run("qmp_device", True, addr="fe.0.0042", **options)
    assert planned["commands"][0]["arguments"]["devno"] == "fe.0.0042", planned
    refused(Modules(vm).run("qmp_device", True, addr="4", **options), "invalid_option", "addr", "cssid.ssid.devno")
    options = {"id": "a1", "driver": "vfio-ap", "properties": {"sysfsdev": "/nosuch"}}
    refused(Modules(vm).run("qmp_device", True, addr="fe.0.0042", **options), "invalid_option", "addr")
