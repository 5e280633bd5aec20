# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pattern hotplug_vm, run as AWX runs its job templates: by ansible-runner, with the answers of a survey as text."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.vmops.qemu.tests.support.pattern import PATTERN, TEMPLATES
from ansible_collections.vmops.qemu.tests.support.runner import Run, Runner
from ansible_collections.vmops.qemu.tests.vm.images import make_encrypted
from ansible_collections.vmops.qemu.tests.vm.machine import VM

pytestmark = pytest.mark.newest_core
SECRET = "correct-horse-battery-staple"
DISKS = """
- id: d1
  backend: {driver: null-co, size: 1048576}
  queues: "2"
  share_rw: "yes"
  limits: {iops: "100", bps: ""}
- id: d2
  backend: '{"driver": "null-co", "size": 4096}'
  read_only: "true"
  attach: "false"
- {id: d3, file: IMAGE, format: luks, passphrase: SECRET, attach: "no"}
"""
ANSWERS = {
    "vm_cpus": "2",
    "vm_nics": '[{"id": "n1", "type": "user", "mac": "52:54:00:00:00:01", "queues": ""}]',
    "vm_memory": "- {id: m1, size: 128M, share: 'no'}",
    "vm_devices": "- {id: r1, driver: virtio-rng-pci}",
    "vm_strategy": "modules",
    "vm_timeout": "20",
}
"""What a person has typed. A survey passes it as text."""


class Controller:
    """AWX with the job templates of the pattern, and an inventory in which each VM is a host."""

    def __init__(self, directory: Path, **hosts: dict[str, Any]) -> None:
        self._directory, self._hosts, self._jobs = directory, hosts, 0

    def job(self) -> Runner:
        """A private data directory, with the project as it comes from the collection."""
        self._jobs += 1
        return Runner(self._directory / f"job{self._jobs}", self._hosts, PATTERN.parent)

    def launch(self, template: str, **answers: str) -> Run:
        return self.job().run(*self.command(template), **self.answered(template, answers))

    def command(self, template: str) -> list[str]:
        """Path of the playbook in the project, and the arguments that the fields of the job template become."""
        fields = TEMPLATES[template]
        check, diff = fields.get("job_type") == "check", fields.get("diff_mode")
        return [f"hotplug_vm/playbooks/{fields['playbook']}", *["--check"] * check, *["--diff"] * bool(diff)]

    def answered(self, template: str, answers: dict[str, str]) -> dict[str, str]:
        """The answers to the survey. A question without an answer is passed as empty text, or with its default."""
        questions = {question["variable"]: question.get("default", "") for question in TEMPLATES[template]["survey"]["spec"]}
        return {**questions, "vm_hosts": "all", **{name: answer for name, answer in answers.items() if name in questions}}


def disks(vm: VM) -> list[str]:
    """The ids of the disks' nodes, sorted by number."""
    nodes = [node["node-name"] for node in vm.query("query-named-block-nodes")]
    return sorted((name for name in nodes if name[1:].isdigit()), key=lambda name: int(name[1:]))


@pytest.fixture
def controller(tmp_path: Path, vm: VM) -> Controller:
    return Controller(tmp_path, vm1={"hotplug_socket": str(vm.qmp_socket)})


def reported(run: Run, variable: str, host: str = "vm1") -> list[str]:
    changed: list[str] = run.artifacts[variable][host]["changed"]
    return changed


def test_look_preview_apply_and_remove(tmp_path: Path) -> None:
    with VM(tmp_path / "vm") as vm:
        controller = Controller(tmp_path, vm1={"hotplug_socket": str(vm.qmp_socket)})
        before = vm.hardware()
        image = make_encrypted(tmp_path / "image", "luks", SECRET)
        answers = {**ANSWERS, "vm_disks": DISKS.replace("IMAGE", str(image)).replace("SECRET", SECRET)}
        look = controller.launch("look")
        assert look.succeeded and "Can take" in look.output, look.output

        preview = controller.launch("preview", **answers)
        assert preview.succeeded and vm.hardware() == before, preview.output
        expected = ["+m1", "+r1", "+d1", "+d2", "+d3", "+n1", "vCPUs 1 to 2"]
        assert reported(preview, "vm_preview") == expected
        (planned,) = [one for one in preview.results("qmp_hotplug") if one["changed"]]
        commands = {command["arguments"].get("id"): command["arguments"] for command in planned["commands"]}
        assert commands["d1"]["num-queues"] == 2 and commands["d1"]["share-rw"] is True
        assert any("diff" in one["res"] for one in preview.data if "res" in one)

        done = controller.launch("apply", **answers)
        assert done.succeeded and reported(done, "vm_changes") == expected, done.output
        items = [one["res"] for one in done.data if "__hotplug_entry" in one.get("res", {})]
        assert [one["__hotplug_entry"]["id"] for one in items][:-1] == [name.strip("+") for name in expected][:-1]
        assert all(one["changed"] for one in items) and len(items) == len(expected)
        again = controller.launch("apply", **answers)
        assert again.succeeded and reported(again, "vm_changes") == [], again.output

        ids = {"vm_remove_disks": "d1, d2,d3,", "vm_remove_nics": "n1", "vm_remove_memory": "m1", "vm_remove_devices": "r1"}
        removed = controller.launch("remove", **ids)
        assert removed.succeeded and set(reported(removed, "vm_removed")) == {"-d1", "-d2", "-d3", "-n1", "-m1", "-r1"}, (
            removed.output
        )
        assert disks(vm) == []
        for run in (look, preview, done, again, removed):
            assert not [name for name, text in run.left.items() if SECRET in text]


def test_a_preview_that_is_not_in_check_mode_is_refused(controller: Controller) -> None:
    playbook, *_arguments = controller.command("preview")
    played = controller.job().run(playbook, **controller.answered("preview", ANSWERS))
    assert not played.succeeded and "Run it in check mode" in played.output


DEADLINE_SECONDS = 60
MANY = [f"d{number:02}" for number in range(16)]  # enough for the signal to come in time
MANY_DISKS = "\n".join(f"- {{id: {name}, backend: {{driver: null-co, size: 4096}}, driver: scsi-hd}}" for name in MANY)


def below(pid: int) -> list[int]:
    """The processes that a process has started, and those that they have started."""
    listing = subprocess.run(["pgrep", "--parent", str(pid)], capture_output=True, text=True, check=False).stdout
    return [one for child in map(int, listing.split()) for one in (child, *below(child))]


def cancel(job: Runner, process: subprocess.Popen[str], sent: signal.Signals) -> None:
    """End the runner at the first change of an item, with all that it has started, as the end of its container does."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not any(event.get("event_data", {}).get("res", {}).get("__hotplug_entry") for event in job.events()):
        assert process.poll() is None and time.monotonic() < deadline, (job.directory / "output").read_text()
        time.sleep(0.05)
    started = below(process.pid)
    process.send_signal(sent)
    assert process.wait(DEADLINE_SECONDS) != 0
    for pid in started:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_a_cancelled_job_is_completed_by_recover(tmp_path: Path) -> None:
    """AWX cancels a job with SIGINT, and with SIGKILL if that does not help, or if the node goes away."""
    # as processes of their own, the changes take long enough to be interrupted
    with VM(tmp_path / "vm", boot=False) as vm:
        controller = Controller(tmp_path, vm1={"hotplug_socket": str(vm.qmp_socket), "vmops_qemu_in_process": False})
        for template, variable, answers, sent in (
            ("apply", "vm_changes", {"vm_disks": MANY_DISKS}, signal.SIGINT),
            ("remove", "vm_removed", {"vm_remove_disks": ", ".join(MANY)}, signal.SIGKILL),
        ):
            before = disks(vm)
            job = controller.job()
            cancel(job, job.start(*controller.command(template), **controller.answered(template, answers)), sent)
            left = disks(vm)
            assert left != before
            recovered = controller.launch("recover", **answers)
            assert recovered.succeeded, recovered.output
            assert 0 < len(reported(recovered, variable)) < len(MANY)
            assert disks(vm) == (MANY if template == "apply" else [])
            again = controller.launch(template, **answers)
            assert again.succeeded and reported(again, variable) == [], again.output
