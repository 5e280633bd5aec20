# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Automation Platform counts the VMs that a job has managed: jq runs the queries over the results of every module."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import yaml

from ansible_collections.vmops.qemu.tests.support.runner import Runner
from ansible_collections.vmops.qemu.tests.vm.machine import VM

COLLECTION = Path(__file__).parents[2]
QUERIES: dict[str, dict[str, str]] = yaml.safe_load((COLLECTION / "extensions/audit/event_query.yml").read_text(encoding="utf-8"))
UUID = "3f2f8a0e-6f0c-4f8e-9c58-0b1d2a3c4d5e"
COUNTED = {
    "name": "vm1",
    "canonical_facts": {"uuid": UUID},
    "facts": {"infra_type": "PrivateCloud", "infra_bucket": "Compute", "device_type": "VM"},
}
EXTRA = ("-device", "virtio-balloon-pci", "-device", "scsi-cd,id=cd0,bus=scsi0.0", "-device", "virtio-serial-pci,id=serial0")


def tasks(directory: Path) -> dict[str, dict[str, Any]]:
    """Options with which each module succeeds on one VM, in this order."""
    null = {"driver": "null-co", "size": 1 << 20}
    return {
        "qmp_info": {},
        "qmp_balloon": {"size": "256M"},
        "qmp_object": {"id": "io1", "qom_type": "iothread"},
        "qmp_blockdev": {"id": "d1", "backend": null, "iothread": "io1"},
        "qmp_block_job": {"id": "s1", "type": "snapshot", "disk": "d1", "file": str(directory / "s1.qcow2")},
        "qmp_netdev": {"id": "n1", "type": "user"},
        "qmp_chardev": {"id": "p1", "type": "null", "driver": "virtserialport", "name": "org.test"},
        "qmp_device": {"id": "r1", "driver": "virtio-rng-pci"},
        "qmp_memory_hotplug": {"id": "m1", "size": "128M"},
        "qmp_cpu_hotplug": {"count": 2},
        "qmp_hotplug": {"cpus": 2},
        "qmp_media": {"id": "cd0", "state": "absent"},
        "qmp_command": {"execute": "query-status"},
        "qmp_qom": {"path": "/objects/io1"},
        "qmp_migrate": {"state": "status"},
        "qmp_dump": {"path": str(directory / "dump")},
        "qmp_power": {"state": "quit"},
    }


def counted(module: str, result: dict[str, Any]) -> list[dict[str, Any]]:
    """What jq makes of a result."""
    query = QUERIES[f"vmops.qemu.{module}"]["query"]
    ran = subprocess.run(["jq", "--compact-output", query], input=json.dumps(result), text=True, capture_output=True, check=True)
    return [json.loads(line) for line in ran.stdout.splitlines()]


def test_each_module_has_a_query() -> None:
    modules = {f"vmops.qemu.{path.stem}" for path in (COLLECTION / "plugins/modules").glob("qmp_*.py")}
    assert set(QUERIES) == modules - {"vmops.qemu.qmp_persist"}, "it connects to no VM"


def test_every_result_of_a_job_is_counted_for_its_vm_and_for_no_other(tmp_path: Path) -> None:
    named = ("-name", "vm1", "-uuid", UUID)
    with VM(tmp_path / "vm", boot=False, extra=(*EXTRA, *named)) as vm, VM(tmp_path / "other", boot=False) as other:
        planned: list[dict[str, Any]] = [{"name": "Look for VMs", "vmops.qemu.qmp_vms_info": {"name": "vm1"}}]
        planned += [
            {"name": module, f"vmops.qemu.{module}": {"socket": str(vm.qmp_socket), **options}, "ignore_errors": True}
            for module, options in tasks(tmp_path).items()
        ]
        planned += [
            {"name": "Started without -uuid", "vmops.qemu.qmp_info": {"socket": str(other.qmp_socket)}},
            {"name": "Fails", "vmops.qemu.qmp_info": {"socket": "/nosuch"}, "ignore_errors": True},
        ]
        (tmp_path / "project").mkdir()
        (tmp_path / "project" / "job.yml").write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": planned}]))
        played = Runner(tmp_path / "job", project=tmp_path / "project").run("job.yml")
    assert played.succeeded, played.output
    by_task = {one["task"]: one for one in played.data if "res" in one}
    for module in tasks(tmp_path):
        one = by_task[module]
        assert one["resolved_action"] == f"vmops.qemu.{module}"
        assert counted(module, one["res"]) == [COUNTED], (module, one["res"])
    assert counted("qmp_vms_info", by_task["Look for VMs"]["res"]) == [COUNTED]
    assert counted("qmp_info", by_task["Started without -uuid"]["res"]) == counted("qmp_info", by_task["Fails"]["res"]) == []
