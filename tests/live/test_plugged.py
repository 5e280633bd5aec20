# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was plugged into a VM, as launch arguments: a QEMU that is started with them has nothing to do for the same tasks."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any, Callable

from ansible_collections.vmops.qemu.tests.support.modules import Modules, unchanged
from ansible_collections.vmops.qemu.tests.vm.binaries import Binary
from ansible_collections.vmops.qemu.tests.vm.machine import VM


def everything(directory: Path, image: str) -> dict[str, Any]:
    """Every kind of hardware, and things that need others. Texts have what a shell, systemd or QEMU gives a meaning to."""
    return {
        "cpus": 3,
        "objects": [
            {"id": "io1", "qom_type": "iothread"},
            {"id": "tg1", "qom_type": "throttle-group", "properties": {"limits": {"iops-total": 500}}},
        ],
        "memory": [
            {"id": "dimm1", "size": "128M"},
            {"id": "vm1", "type": "virtio-mem", "size": "256M", "requested_size": "128M"},
        ],
        "chardevs": [
            {"id": "line1", "type": "socket", "path": f"{directory}/a 'line',\"$nosuch\" 100%d \\n.sock"},
            {"id": "port1", "type": "null", "driver": "virtserialport", "bus": "ctl1.0", "name": "org.test"},
        ],
        "devices": [
            {"id": "ctl1", "driver": "virtio-serial-pci"},
            {"id": "scsi1", "driver": "virtio-scsi-pci"},
            {"id": "rng1", "driver": "virtio-rng-pci", "properties": {"max-bytes": 1024, "period": 1000}},
        ],
        "blockdevs": [
            {"id": "data1", "file": image, "format": "qcow2", "iothread": "io1", "serial": "data1"},
            {"id": "data2", "backend": {"driver": "null-co", "size": 1 << 20}, "driver": "scsi-hd", "bus": "scsi1.0"},
            {"id": "data3", "backend": {"driver": "null-co", "size": 1 << 20}, "limits": {"iops": 100}},
            {"id": "spare", "backend": {"driver": "null-co", "size": 1 << 20}, "attach": False},
        ],
        "netdevs": [{"id": "net1", "type": "hubport", "options": {"hubid": 1}, "mac": "52:54:00:00:00:01"}],
    }


def test_a_qemu_with_the_launch_arguments_has_nothing_to_do(
    binary: Binary, make_vm: Callable[..., VM], image: Callable[..., str], tmp_path: Path
) -> None:
    desired = everything(tmp_path, image("data1", format="qcow2"))
    first = make_vm(binary=binary, boot=False, native=True, ports=9)
    done = Modules(first).run("qmp_hotplug", **desired)
    assert done["changed"], done["msg"]
    found = Modules(first).info(gather_subset=["plugged"])["plugged"]
    assert found["incomplete"] == [], found["incomplete"]
    assert {(one["kind"], one["id"]) for one in found["hardware"]} == {
        ("cpus", None),
        *((kind, item["id"]) for kind, items in desired.items() if kind != "cpus" for item in items),
    }
    assert shlex.split(found["shell"]) == found["launch_args"]
    first.stop()
    second = make_vm(binary=binary, boot=False, native=True, ports=9, extra=found["launch_args"])
    again = Modules(second).run("qmp_hotplug", **desired)
    assert unchanged(again) and again["commands"] == [], again
    assert Modules(second).info(gather_subset=["plugged"])["plugged"]["hardware"] == []


def test_what_the_launch_arguments_do_not_have_is_named(vm: VM, modules: Modules, tmp_path: Path) -> None:
    desired: dict[str, Any] = {
        "objects": [{"id": "sec1", "qom_type": "secret", "secret": "correct-horse"}],
        "chardevs": [{"id": "file1", "type": "file", "path": str(tmp_path / "out")}],
        "netdevs": [{"id": "net1", "type": "user", "options": {"hostname": "guest"}}],
    }
    assert modules.run("qmp_hotplug", **desired)["changed"]
    found = modules.info(gather_subset=["plugged"])["plugged"]
    reasons = {one["id"]: one["reason"] for one in found["incomplete"]}
    assert reasons.keys() == {"sec1", "file1", "net1"}, found
    assert "FILE_WITH_THE_SECRET" in reasons["sec1"] and "correct-horse" not in str(found)
    gone: dict[str, Any] = {kind: [{"id": item["id"], "state": "absent"} for item in items] for kind, items in desired.items()}
    assert modules.run("qmp_hotplug", **gone)["changed"]
    assert modules.info(gather_subset=["plugged"])["plugged"]["launch_args"] == []
    assert "plugged" not in modules.info()
