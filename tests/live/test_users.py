# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What uses an object, a character device or a network backend is found before it is deleted under its user."""

from __future__ import annotations

import base64
import subprocess
from typing import Any, Callable

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils._vm.model.hardware import Hardware
from ansible_collections.vmops.qemu.plugins.module_utils._vm.model.users import users_of_chardev, users_of_netdev, users_of_object
from ansible_collections.vmops.qemu.plugins.module_utils.qmp import Monitor, UnixAddress
from ansible_collections.vmops.qemu.tests.support.modules import Modules, refused
from ansible_collections.vmops.qemu.tests.vm.binaries import Binary
from ansible_collections.vmops.qemu.tests.vm.machine import VM

KEY = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
IV = "MDEyMzQ1Njc4OWFiY2RlZg=="
NULL: dict[str, Any] = {"driver": "null-co", "size": 1 << 20, "read-zeroes": True}


@pytest.fixture
def vm(binary: Binary, make_vm: Callable[..., VM]) -> VM:
    return make_vm(binary=binary, boot=False, native=True, ports=8, extra=("-device", "virtio-serial-pci,id=serial0"))


def add(vm: VM, qom_type: str, object_id: str, **properties: Any) -> None:
    vm.query("object-add", **{"qom-type": qom_type, "id": object_id, **properties})


def chardev(vm: VM, chardev_id: str, kind: str = "null") -> None:
    vm.query("chardev-add", id=chardev_id, backend={"type": kind, "data": {}})


def test_users_of_objects(vm: VM) -> None:
    add(vm, "rng-random", "rng", filename="/dev/urandom")
    vm.query("device_add", driver="virtio-rng-pci", id="d1", bus="rp0", rng="rng")
    add(vm, "memory-backend-ram", "mem", size=1 << 20)
    vm.query("device_add", driver="ivshmem-plain", id="d2", bus="rp1", memdev="mem")
    add(vm, "cryptodev-backend-builtin", "crypt")
    vm.query("device_add", driver="virtio-crypto-pci", id="d3", bus="rp2", cryptodev="crypt")
    add(vm, "iothread", "io")
    vm.query("device_add", driver="virtio-scsi-pci", id="d4", bus="rp3", iothread="io")
    add(vm, "throttle-group", "slow", limits={"iops-total": 9})
    vm.query(
        "blockdev-add",
        driver="raw",
        node_name="n2",
        file={"driver": "throttle", "throttle-group": "slow", "node-name": "n1", "file": NULL},
    )
    add(vm, "throttle-group", "group")
    vm.query("blockdev-add", node_name="n3", **NULL)
    vm.query("device_add", driver="scsi-hd", id="d5", drive="n3", bus="scsi0.0")
    limits = dict.fromkeys(("bps", "bps_rd", "bps_wr", "iops_rd", "iops_wr"), 0)
    with Monitor.connect(UnixAddress(str(vm.qmp_socket)), timeout=10) as monitor:
        monitor.execute("block_set_io_throttle", {"id": "d5", "group": "group", "iops": 9, **limits})
    add(vm, "tls-creds-anon", "tls", endpoint="client")
    vm.query("migrate-set-parameters", tls_creds="tls")
    add(vm, "iothread", "unused")
    users = {"rng": "d1", "mem": "d2", "crypt": "d3", "io": "d4", "slow": "n1", "group": "d5", "tls": "migration parameter"}
    with Monitor.connect(UnixAddress(str(vm.qmp_socket)), timeout=10) as monitor:
        found = {name: users_of_object(Hardware(monitor), name) for name in (*users, "unused")}
    assert found.pop("unused") == []
    assert {
        name: [one for one in found[name] if user in one]
        for name, user in users.items()
        if not any(user in one for one in found[name])
    } == {}
    modules = Modules(vm)
    for check in (True, False):
        refused(modules.run("qmp_object", check, id="rng", state="absent"), "conflict", "d1", "force")
        again = {"id": "rng", "properties": {"filename": "/dev/random"}, "recreate": True}
        refused(modules.run("qmp_object", check, **again), "conflict", "d1")
    for name in ("mem", "slow", "crypt"):
        with pytest.raises(RuntimeError):
            vm.query("object-del", id=name)
        refused(modules.run("qmp_object", check=True, id=name, state="absent", force=True), "conflict", users[name])
    assert modules.run("qmp_object", check=True, id="rng", state="absent", force=True)["changed"]
    assert modules.run("qmp_object", id="unused", state="absent")["changed"]


def test_the_memory_of_the_machine(vm: VM) -> None:
    refused(Modules(vm).run("qmp_object", check=True, id="pc.ram", state="absent"), "conflict", "the machine itself")


def test_a_secret_that_another_is_encrypted_with(vm: VM) -> None:
    add(vm, "secret", "key", data=KEY, format="base64")
    key, iv = (base64.b64decode(text).hex() for text in (KEY, IV))
    text = (
        subprocess.run(
            ["openssl", "enc", "-aes-256-cbc", "-a", "-K", key, "-iv", iv], input=b"inside", capture_output=True, check=True
        )
        .stdout.decode()
        .strip()
    )
    properties = {"keyid": "key", "iv": IV, "format": "base64"}
    inner: dict[str, Any] = {"id": "inner", "qom_type": "secret", "secret": text, "properties": properties}
    assert Modules(vm).run("qmp_object", **inner).get("changed")
    refused(Modules(vm).run("qmp_object", id="key", state="absent"), "conflict", "inner", "force")


def test_an_io_thread_that_an_export_may_use(vm: VM, tmp_path: Any) -> None:
    for name in ("io1", "io2"):
        add(vm, "iothread", name)
    assert Modules(vm).run("qmp_object", id="io2", state="absent")["changed"]
    vm.query("blockdev-add", node_name="n1", **NULL)
    vm.query("nbd-server-start", addr={"type": "unix", "data": {"path": f"{tmp_path}/nbd"}})
    vm.query("block-export-add", type="nbd", id="e1", node_name="n1", iothread="io1")
    for check in (True, False):
        refused(Modules(vm).run("qmp_object", check, id="io1", state="absent"), "conflict", "e1", "does not report", "force")
        refused(Modules(vm).run("qmp_object", check, id="io1", properties={"poll-max-ns": 1}, recreate=True), "conflict", "e1")
    assert Modules(vm).run("qmp_object", check=True, id="io1", state="absent", force=True)["changed"]
    vm.query("block-export-del", id="e1")
    assert Modules(vm).run("qmp_object", id="io1", state="absent")["changed"]


def test_a_can_bus_is_never_deleted(vm: VM) -> None:
    assert Modules(vm).run("qmp_object", id="can0", qom_type="can-bus")["changed"]
    for options in ({"state": "absent"}, {"state": "absent", "force": True}):
        for check in (True, False):
            refused(Modules(vm).run("qmp_object", check, id="can0", **options), "unsupported", "can-bus")


def test_a_main_loop_is_never_deleted(binary: Any, make_vm: Any) -> None:
    vm = make_vm(binary=binary, boot=False)
    assert Modules(vm).run("qmp_object", id="ml0", qom_type="main-loop")["changed"]
    for check in (True, False):
        refused(Modules(vm).run("qmp_object", check, id="ml0", state="absent", force=True), "unsupported", "main-loop")


def test_users_of_character_devices_and_network_backends(vm: VM) -> None:
    for name in ("c1", "c2", "c3", "c4", "free"):
        chardev(vm, name)
    vm.query("netdev_add", type="user", id="u1")
    add(vm, "filter-mirror", "f1", netdev="u1", outdev="c1")
    add(vm, "rng-egd", "egd", chardev="c2")
    vm.query("device_add", driver="virtserialport", id="p1", chardev="c3", bus="serial0.0")
    vm.query("device_add", driver="pci-serial-2x", id="p2", chardev1="c4", bus="rp4", addr="0")
    with Monitor.connect(UnixAddress(str(vm.qmp_socket)), timeout=10) as monitor:
        hardware = Hardware(monitor)
        found = {name: users_of_chardev(hardware, name) for name in ("c1", "c2", "c3", "c4", "free")}
        assert found == {"c1": ["f1"], "c2": ["egd"], "c3": ["p1"], "c4": ["p2"], "free": []}
        assert users_of_chardev(hardware, "serial0") and users_of_chardev(hardware, "compat_monitor0")
        assert users_of_netdev(hardware, "u1") == ["f1"]
    modules = Modules(vm)
    for check in (True, False):
        for name, user in (("c1", "f1"), ("c2", "egd"), ("c3", "p1"), ("c4", "p2"), ("serial1", "/machine/unattached")):
            refused(modules.run("qmp_chardev", check, id=name, state="absent"), "conflict", user)
        options: dict[str, Any] = {"id": "c1", "type": "null", "driver": "virtserialport"}
        refused(modules.run("qmp_chardev", check, **options), "conflict", "c1", "f1")
    assert modules.run("qmp_chardev", id="free", state="absent")["changed"]


def test_monitors_are_left_alone(vm: VM) -> None:
    modules = Modules(vm)
    options: dict[str, Any]
    for check in (True, False):
        for options in ({"state": "absent"}, {"type": "null"}, {"type": "socket", "path": "/run/x"}):
            refused(modules.run("qmp_chardev", check, id="compat_monitor1", **options), "conflict", "monitor")
    if any(one["name"] == "compat_monitor1" for one in vm.query("qom-list", path="/objects")):
        for options in ({"state": "absent"}, {"qom_type": "iothread"}, {"qom_type": "iothread", "recreate": True}):
            refused(modules.run("qmp_object", id="compat_monitor1", **options, force=True), "conflict", "monitor")
        refused(modules.run("qmp_object", id="m2", qom_type="monitor-qmp"), "unsupported", "qmp_command")
    assert vm.query("query-status")
