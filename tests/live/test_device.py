# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Any device: real ones with a guest; those of hardware that is not here by their commands and QEMU's refusal."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from ansible_collections.vmops.qemu.tests.support.modules import Modules, refused, unchanged
from ansible_collections.vmops.qemu.tests.support.values import NULL
from ansible_collections.vmops.qemu.tests.support.waiting import until
from ansible_collections.vmops.qemu.tests.vm.binaries import Binary
from ansible_collections.vmops.qemu.tests.vm.machine import VM


def device(vm: VM, check: bool = False, **options: Any) -> dict[str, Any]:
    return Modules(vm).run("qmp_device", check, **options)


def life(vm: VM, seen: str, **options: Any) -> dict[str, Any]:
    """Plug, have the guest see it by a shell condition, plug again, unplug, unplug again."""
    before = vm.hardware()
    planned = device(vm, check=True, **options)
    added = device(vm, **options)
    assert added.get("changed") and added["commands"] == planned["commands"], added
    vm.guest(f"while ! {seen}; do :; done")
    again = device(vm, **options)
    assert unchanged(again), again
    assert device(vm, id=options["id"], state="absent").get("changed")
    assert unchanged(device(vm, id=options["id"], state="absent"))
    vm.guest(f"while {seen}; do :; done")
    assert vm.hardware() == before
    return added


def test_random_numbers(vm: VM) -> None:
    life(
        vm,
        "grep -q virtio /sys/class/misc/hw_random/rng_available",
        id="rng1",
        driver="virtio-rng-pci",
        properties={"max-bytes": "1024", "period": 1000},
    )


def test_a_balloon(vm: VM) -> None:
    life(vm, "ls -d /sys/bus/virtio/drivers/virtio_balloon/virtio*", id="b1", driver="virtio-balloon-pci")


def test_a_controller_and_what_it_carries(vm: VM) -> None:
    modules = Modules(vm)
    assert device(vm, id="scsi1", driver="virtio-scsi-pci")["changed"]
    assert modules.blockdev(id="d1", backend=NULL, driver="scsi-hd", bus="scsi1.0")["changed"]
    refused(device(vm, id="scsi1", state="absent"), "conflict", "d1", "force")
    assert modules.blockdev(id="d1", state="absent")["changed"]
    assert device(vm, id="scsi1", state="absent")["changed"]


@pytest.mark.parametrize(
    ("driver", "extra", "child"),
    [
        ("qemu-xhci", ("-device", "usb-kbd,id=k1,bus=x1.0"), "k1"),
        ("ich9-ahci", ("-device", "ide-cd,id=k1,bus=x1.0"), "k1"),
        (
            "nvme,serial=x",
            ("-blockdev", "null-co,node-name=n1,read-zeroes=on", "-device", "nvme-ns,drive=n1,bus=x1"),
            "/machine/peripheral-anon/device[0]",
        ),
    ],
    ids=["USB", "IDE", "NVMe"],
)
def test_controllers_of_any_sort_stay_while_they_carry_something(
    make_vm: Callable[..., VM], driver: str, extra: tuple[str, ...], child: str
) -> None:
    vm = make_vm(boot=False, extra=("-device", f"{driver},id=x1,bus=rp0", *extra))
    refused(device(vm, id="x1", state="absent"), "conflict", child, "force")
    refused(device(vm, id="x1", driver="virtio-rng-pci", recreate=True), "conflict", child, "force")
    assert device(vm, check=True, id="x1", state="absent", force=True)["changed"]


HUB = (
    "-device",
    "qemu-xhci,id=x1,bus=rp0",
    "-device",
    "usb-hub,id=h1,bus=x1.0,port=1",
    "-device",
    "usb-hub,id=h2,bus=x1.0,port=1.3",
    "-device",
    "usb-kbd,id=k1,bus=x1.0,port=1.3.1",
    "-device",
    "usb-mouse,id=m1,bus=x1.0,port=2",
    "-device",
    "usb-hub,id=h3,bus=x1.0,port=3",
)


def test_what_is_behind_a_usb_hub_goes_with_it(binary: Binary, make_vm: Callable[..., VM]) -> None:
    vm = make_vm(binary=binary, boot=False, extra=HUB)
    refused(device(vm, id="h1", state="absent"), "conflict", "h2", "k1", "force")
    refused(device(vm, check=True, id="h2", state="absent"), "conflict", "k1", "force")
    refused(device(vm, id="h1", driver="usb-tablet", recreate=True), "conflict", "h2", "k1")
    refused(device(vm, id="x1", state="absent"), "conflict", "h1", "k1", "m1")
    assert device(vm, id="h3", state="absent").get("changed") and device(vm, id="m1", state="absent").get("changed")
    assert device(vm, id="h1", state="absent", force=True).get("changed")
    assert not {"h1", "h2", "k1"} & set(vm.hardware()["devices"])


SLOT = (
    "-device",
    "virtio-rng-pci,id=r0,addr=5.0,multifunction=on",
    "-device",
    "virtio-rng-pci,id=r1,addr=5.1",
    "-device",
    "ich9-usb-ehci1,id=e1,addr=1d.7,multifunction=on",
    "-device",
    "ich9-usb-uhci1,id=u1,masterbus=e1.0,addr=6",
    "-device",
    "pci-bridge,id=b1,chassis_nr=2,addr=7",
    "-device",
    "virtio-scsi-pci,id=s1,bus=b1,addr=1",
    "-blockdev",
    "null-co,node-name=n1",
    "-device",
    "scsi-hd,id=d1,drive=n1,bus=s1.0",
)


def test_functions_of_one_slot_companions_and_what_is_behind_a_bridge_go_together(
    binary: Binary, make_vm: Callable[..., VM]
) -> None:
    """The guest ejects a slot whole, whichever of its functions was asked for."""
    vm = make_vm(binary=binary, machine="pc", extra=SLOT)
    refused(device(vm, id="r0", state="absent"), "conflict", "r1", "force")
    refused(device(vm, id="r1", state="absent"), "conflict", "r0", "force")
    refused(device(vm, id="e1", state="absent"), "conflict", "u1", "force")
    refused(device(vm, id="b1", state="absent"), "conflict", "s1", "d1", "force")
    assert device(vm, check=True, id="u1", state="absent").get("changed")
    assert device(vm, id="r1", state="absent", force=True).get("changed")
    until(lambda: "r0" not in vm.hardware()["devices"])


def test_a_device_that_cannot_be_recreated_is_restored(bare_vm: VM, make_vm: Callable[..., VM]) -> None:
    vm = make_vm(binary=bare_vm.binary, boot=False, native=True)
    options: dict[str, Any] = {"id": "rng1", "driver": "virtio-rng-pci", "properties": {"max-bytes": 1024, "period": 1000}}
    assert device(vm, **options).get("changed")
    place = device(vm, check=True, **options)["device"]
    failed = device(vm, id="rng1", driver="virtio-rng-pci", properties={"period": 0}, recreate=True)
    refused(failed, "command_failed", "period", "Restored: rng1")
    again = device(vm, **options)
    assert unchanged(again) and {**again["device"], "at_launch": False} == {**place, "at_launch": False}, again


def test_a_disk_or_nic_is_not_made_by_its_property(vm: VM) -> None:
    for name, module in (("drive", "qmp_blockdev"), ("netdev", "qmp_netdev")):
        refused(device(vm, id="x1", driver="virtio-blk-pci", properties={name: "n1"}), "invalid_option", name, module)


@pytest.mark.parametrize("cid", ["42", "0x2a", 42])
def test_guest_cid_in_any_form(bare_vm: VM, cid: Any) -> None:
    planned = device(bare_vm, True, id="x1", driver="vhost-vsock-pci", properties={"guest-cid": cid}, descriptors=False)
    assert planned["commands"][0]["arguments"]["guest-cid"] == 42, planned
    for bad in (0, -1, 2, (1 << 32) - 1, 1 << 32, "x", "", None):
        options = {"id": "x1", "driver": "vhost-vsock-pci", "properties": {"guest-cid": bad}, "descriptors": False}
        refused(device(bare_vm, True, **options), "invalid_option", "guest_cid")


def test_usb_devices_have_a_bus_and_no_address(make_vm: Callable[..., VM]) -> None:
    vm = make_vm(boot=False, extra=("-device", "qemu-xhci,id=x1"))
    slots: list[dict[str, Any]] = [{"addr": "1"}, {"addr": "1", "bus": "x1.0"}]
    for options in slots:
        refused(device(vm, id="k1", driver="usb-kbd", **options), "invalid_option", "addr is not for a usb-kbd", "bus")
    refused(Modules(vm).blockdev(id="d1", backend=NULL, driver="usb-storage", scsi_id=1), "invalid_option", "scsi_id")
    refused(Modules(vm).blockdev(id="d1", backend=NULL, driver="usb-storage", lun=0), "invalid_option", "lun")
    assert device(vm, id="k1", driver="usb-kbd", bus="x1.0").get("changed")
    assert unchanged(device(vm, id="k1", driver="usb-kbd", bus="x1.0"))
    refused(device(vm, id="x1", state="absent"), "conflict", "k1")
    assert device(vm, id="k1", state="absent")["changed"]


def test_memory_that_is_shared_and_not_the_guests_own(bare_vm: VM) -> None:
    assert Modules(bare_vm).run("qmp_object", id="m1", qom_type="memory-backend-ram", properties={"size": 1 << 20})["changed"]
    options: dict[str, Any] = {"id": "iv1", "driver": "ivshmem-plain", "properties": {"memdev": "m1"}}
    assert device(bare_vm, **options).get("changed")
    assert unchanged(device(bare_vm, **options))
    refused(
        Modules(bare_vm).run("qmp_memory_hotplug", id="iv1", state="absent"), "conflict", "ivshmem-plain", "not a memory device"
    )
    assert device(bare_vm, check=True, id="iv1", state="absent").get("changed")
    assert Modules(bare_vm).run("qmp_memory_hotplug", id="dimm1", size="128M")["changed"]
    refused(device(bare_vm, id="dimm1", state="absent"), "conflict", "qmp_memory_hotplug")


def test_other_properties_are_a_conflict_unless_recreate_is_set(vm: VM) -> None:
    assert device(vm, id="rng1", driver="virtio-rng-pci", properties={"period": 1000})["changed"]
    refused(device(vm, id="rng1", driver="virtio-rng-pci", properties={"period": 2000}), "conflict", "1000", "2000")
    refused(device(vm, id="rng1", driver="virtio-balloon-pci"), "conflict", "virtio-rng-pci", "virtio-balloon-pci")
    result = device(vm, id="rng1", driver="virtio-rng-pci", properties={"period": 2000}, recreate=True)
    assert [command["execute"] for command in result["commands"]] == ["device_del", "device_add"]
    assert device(vm, id="rng1", state="absent")["changed"]


def test_disks_and_nics_have_modules_of_their_own(vm: VM) -> None:
    modules = Modules(vm)
    assert modules.blockdev(id="d1", backend=NULL)["changed"]
    refused(device(vm, id="d1", state="absent"), "conflict", "qmp_blockdev")
    assert modules.blockdev(id="d1", state="absent")["changed"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"driver": "virtio-rgn-pci"}, ["'virtio-rng-pci'"]),
        ({"driver": "virtio-rng-pci", "properties": {"perod": 1}}, ["'period'"]),
        ({"driver": "virtio-rng-pci", "properties": {"period": "often"}}, ["period", "often"]),
        ({"driver": "vfio-pci", "properties": {"host": "3b"}}, ["0000:3b:00.0"]),
        ({"driver": "vhost-vsock-pci"}, ["guest_cid"]),
        ({"driver": "vhost-vsock-pci", "guest_cid": 2}, ["guest_cid", "3"]),
        ({"driver": "virtio-rng-pci", "descriptors": True}, ["vhost-vsock"]),
        ({}, ["driver"]),
    ],
    ids=str,
)
def test_what_cannot_be(vm: VM, options: dict[str, Any], words: list[str]) -> None:
    refused(device(vm, id="x1", **options), "invalid_option", *words)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"driver": "vfio-pci", "properties": {"host": "0000:3b:00.0"}}, ["vfio"]),
        ({"driver": "vfio-pci", "properties": {"sysfsdev": "/sys/bus/mdev/devices/83b8f4f2"}}, ["vfio"]),
        ({"driver": "vhost-user-blk-pci", "chardev": "nosuch"}, ["nosuch"]),
    ],
    ids=["a host address", "a mediated device", "a chardev"],
)
def test_hardware_that_is_not_here_is_refused_by_qemu_and_leaves_nothing(
    bare_vm: VM, options: dict[str, Any], words: list[str]
) -> None:
    before = bare_vm.hardware()
    planned = device(bare_vm, check=True, id="x1", **options)
    result = device(bare_vm, id="x1", **options)
    refused(result, "command_failed", *words)
    desired = options.get("properties") or {"chardev": "nosuch"}
    sent = {"execute": "device_add", "arguments": {"driver": options["driver"], "id": "x1", "bus": "rp0", "addr": "0", **desired}}
    assert result["details"]["sent"] == planned["commands"] == [sent]
    assert bare_vm.hardware() == before


def test_a_vsock_needs_the_host_to_have_one(vm: VM) -> None:
    refused(device(vm, id="x1", driver="vhost-vsock-pci", guest_cid=42), "unsupported", "modprobe vhost_vsock")
    planned = device(vm, check=True, id="x1", driver="vhost-vsock-pci", guest_cid=42, descriptors=False)
    assert planned["commands"][0]["arguments"]["guest-cid"] == 42
    refused(device(vm, id="x1", driver="vhost-vsock-pci", guest_cid=42, descriptors=False), "command_failed", "vhost-vsock")


@pytest.fixture
def served_disk(tmp_path: Path) -> Iterator[Path]:
    """The socket of a disk of 8 MiB that a real qemu-storage-daemon serves."""
    (tmp_path / "image").write_bytes(bytes(8 << 20))
    path = tmp_path / "vub.sock"
    daemon = subprocess.Popen(
        [
            "qemu-storage-daemon",
            "--blockdev",
            f"file,filename={tmp_path}/image,node-name=n1",
            "--export",
            f"vhost-user-blk,id=e1,node-name=n1,addr.type=unix,addr.path={path},writable=on",
            "--pidfile",
            str(tmp_path / "pid"),
        ]
    )
    while not (tmp_path / "pid").exists():
        assert daemon.poll() is None
    yield path
    daemon.kill()
    daemon.wait()


def test_a_vhost_user_disk_of_a_storage_daemon(make_vm: Callable[..., VM], served_disk: Path) -> None:
    shared = ("-object", "memory-backend-memfd,id=ram,size=256M,share=on", "-machine", "memory-backend=ram")
    vm = make_vm(extra=shared)
    before = vm.hardware()
    assert Modules(vm).run("qmp_chardev", id="c1", type="socket", path=str(served_disk), server=False)["changed"]
    added = device(vm, id="v1", driver="vhost-user-blk-pci", chardev="c1")
    assert added.get("changed"), added
    vm.wait_guest(lambda guest: [disk["size"] for disk in guest["disks"]] == [8 << 20])
    vm.guest("echo written by the guest | dd of=/dev/vda conv=sync 2>/dev/null && sync")
    assert unchanged(device(vm, id="v1", driver="vhost-user-blk-pci", chardev="c1"))
    assert unchanged(Modules(vm).run("qmp_chardev", id="c1", type="socket", path=str(served_disk), server=False))
    assert device(vm, id="v1", state="absent")["changed"]
    assert Modules(vm).run("qmp_chardev", id="c1", state="absent")["changed"]
    assert vm.hardware() == before
    assert (served_disk.parent / "image").read_bytes().startswith(b"written by the guest\n")
