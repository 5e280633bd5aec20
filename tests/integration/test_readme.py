# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks and variables of the READMEs on a VM with a guest, as they are there except for paths and the name of the tap."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Iterator

import pytest

from ansible_collections.vmops.qemu.tests.support.guide import blocks
from ansible_collections.vmops.qemu.tests.support.playbooks import Playbooks
from ansible_collections.vmops.qemu.tests.vm.machine import VM

COLLECTION = Path(__file__).parents[2]
PAGES = ("README.md", "roles/hotplug/README.md")
EXAMPLES = [
    pytest.param(block.text, id=f"{page}{number}")
    for page in PAGES
    for number, block in enumerate(blocks((COLLECTION / page).read_text(encoding="utf-8")))
    if block.language == "yaml"
]
MOST_CHANGES = 3


@pytest.fixture
def tap() -> Iterator[str]:
    name = f"vmops{os.getpid()}r"
    subprocess.run(["ip", "tuntap", "add", "dev", name, "mode", "tap"], check=True)
    yield name
    subprocess.run(["ip", "link", "delete", name], check=True)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_does_what_it_says_and_changes_nothing_the_second_time(
    playbooks: Playbooks, tmp_path: Path, tap: str, example: str
) -> None:
    replaced = {"/run/vm1": f"{tmp_path}/vm", "/srv/vm1": str(tmp_path), "vm1-net1": tap, "localhost": "hypervisor"}
    for shown, real in replaced.items():
        example = example.replace(shown, real)
    (tmp_path / "example.yml").write_text(example)
    words = ["example.yml"] if "hosts:" in example else ["vmops.qemu.hotplug", "-e", "@example.yml"]
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", tmp_path / "data1.qcow2", "16M"], check=True)
    with VM(tmp_path / "vm") as vm:
        first = playbooks.run(*words)
        assert first.recap["failed"] == 0 and 1 <= first.recap["changed"] <= MOST_CHANGES, first.output
        assert "None" not in first.output, first.output
        vm.wait_guest(lambda guest: len(guest["disks"]) == len(guest["nics"]) == 1 and guest["cpus"]["present"] == "0-2")
        again = playbooks.run(*words)
        assert again.recap["failed"] == again.recap["changed"] == 0, again.output
