# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A task in Ansible's own worker gives what the same task gives as a module, and becomes a module where it has to."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.vmops.qemu.plugins.module_utils._ansible.options.hotplug import ITEMS
from ansible_collections.vmops.qemu.tests.support.playbooks import Playbooks
from ansible_collections.vmops.qemu.tests.support.values import NULL
from ansible_collections.vmops.qemu.tests.vm.machine import VM

COLLECTION = "ansible_collections.vmops.qemu.plugins"
SECRET = "correct horse"
TASKS: list[dict[str, Any]] = [
    {"qmp_blockdev": {"id": "d1", "backend": NULL, "check": True}},
    {"qmp_blockdev": {"id": "d1", "backend": NULL}},
    {"qmp_blockdev": {"id": "d1", "backend": NULL}},
    {"qmp_blockdev": {"id": "d1", "serial": "other"}},
    {"qmp_blockdev": {"id": "d1", "state": "absent", "force": "yes"}},
    {"qmp_blockdev": {"id": "d2", "scsi_id": "abc"}},
    {"qmp_blockdev": {"id": "d2", "passfrase": SECRET}},
    {"qmp_blockdev": {"file": "/x"}},
    {"qmp_netdev": {"id": "n1", "type": "user", "properties": {"rx_queue_size": 300}}},
    {"qmp_netdev": {"id": "n1", "type": "wrong"}},
    {"qmp_object": {"id": "s1", "qom_type": "secret", "secret": SECRET}},
    {"qmp_object": {"id": "s1", "state": "absent"}},
    {"qmp_chardev": {"id": "c1", "type": "null", "host": "localhost"}},
    {"qmp_command": {"execute": "query-status"}},
    {"qmp_command": {"execute": "no-such-command"}},
    {"qmp_qom": {"path": "/machine", "property": "type"}},
    {"qmp_power": {"state": "paused"}},
    {"qmp_info": {"gather_subset": ["vm", "disks"]}},
]
NOT_NEAR: dict[str, dict[str, Any]] = {
    "async": {"async": 60, "poll": 1},
    "become": {"become": True},
    "environment": {"environment": {"A": "b"}},
    "the variable": {"vars": {"vmops_qemu_in_process": "no"}},
}


def play(tasks: list[dict[str, Any]], socket: str, output: Path) -> str:
    """A play that runs the tasks one after the other, whether or not they fail, and writes their results to *output*."""
    steps: list[dict[str, Any]] = []
    for number, task in enumerate(tasks):
        ((module, options),) = [(name, dict(value)) for name, value in task.items() if name.startswith("qmp_")]
        check = options.pop("check", False)
        keywords = {name: value for name, value in task.items() if not name.startswith("qmp_")}
        step = {f"vmops.qemu.{module}": options, "register": f"result{number}", "ignore_errors": True, **keywords}
        steps.append({**step, **({"check_mode": True} if check else {})})
    names = ", ".join(f"result{number}" for number in range(len(tasks)))
    steps.append({"ansible.builtin.copy": {"dest": str(output), "content": f"{{{{ [{names}] | to_nice_json }}}}"}})
    defaults = {"group/vmops.qemu.qmp": {"socket": socket}}
    return yaml.safe_dump([{"hosts": "all", "gather_facts": False, "module_defaults": defaults, "tasks": steps}])


def sent(result: dict[str, Any]) -> list[str]:
    """The messages to QEMU, without times, after the negotiation. The result no longer has the exchange then."""
    lines: list[str] = result.pop("exchange", [])
    assert lines or result.get("failed"), result
    return [line.split(" -> ")[1] for line in lines if " -> " in line and "qmp_capabilities" not in line]


def test_both_ways_give_the_same_results(playbooks: Playbooks, tmp_path: Path) -> None:
    found = {}
    for in_process in (True, False):
        output = tmp_path / f"{in_process}.json"
        with VM(tmp_path / "vm", boot=False) as vm:
            (tmp_path / "play.yml").write_text(play(TASKS, str(vm.qmp_socket), output))
            played = playbooks.run("play.yml", "-vvv", vmops_qemu_in_process=in_process)
        assert ("plugins/modules/qmp_blockdev.py" in played.output) is not in_process, played.output
        assert SECRET not in "\n".join(line for line in played.output.splitlines() if "passfrase: " not in line), played.output
        found[in_process] = json.loads(output.read_text())
    assert len(found[True]) == len(TASKS)
    for task, near, module in zip(TASKS, found[True], found[False]):
        for result in (near, module):  # some versions of Ansible return the traceback, which names files, or a mark of their own
            result.pop("exception", None)
            result.pop("ansible_parsed", None)
        assert sent(near) == sent(module), task
        assert near == module, task
    assert [result.get("failed", False) for result in found[True]].count(True) == 9


@pytest.mark.parametrize("reason", NOT_NEAR)
def test_a_task_that_the_worker_cannot_do_as_a_module_would_is_a_module(
    playbooks: Playbooks, tmp_path: Path, reason: str
) -> None:
    output = tmp_path / "results.json"
    with VM(tmp_path / "vm", boot=False) as vm:
        tasks = [{"qmp_blockdev": {"id": "d1", "backend": NULL}, **NOT_NEAR[reason]}]
        (tmp_path / "play.yml").write_text(play(tasks, str(vm.qmp_socket), output))
        played = playbooks.run("play.yml", "-vvv")
    assert "plugins/modules/qmp_blockdev.py" in played.output, played.output
    (result,) = json.loads(output.read_text())
    assert result["changed"] and result["disk"]["id"] == "d1"


@pytest.mark.parametrize(
    ("module", "needed"),
    [
        ("qmp_hotplug", {f"_ansible.specs.{items.module[len('qmp_') :]}" for items in ITEMS.values()}),
        ("qmp_netdev", {"_ansible.specs.netdev"}),
        ("qmp_info", {"_vm.capacity", "_vm.launch", "_vm.operations.balloon"}),
    ],
)
def test_an_action_plugin_loads_all_that_a_task_can_need(module: str, needed: set[str]) -> None:
    """Ansible loads it before it forks its workers. If not, each of many workers would load the same."""
    code = f"import json, sys, {COLLECTION}.action.{module}; print(json.dumps([*sys.modules]))"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {f"{COLLECTION}.module_utils.{name}" for name in needed} <= set(json.loads(child.stdout))
