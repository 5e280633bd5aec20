# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands and the playbooks that the README shows, as they are there except for paths and the name of the tap."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Iterator

import pytest

from ansible_collections.vmops.qemu.tests.support.playbooks import Playbooks
from ansible_collections.vmops.qemu.tests.support.readme import Readme
from ansible_collections.vmops.qemu.tests.vm.machine import VM

COLLECTION = Path(__file__).parents[2]
PAGES = {name: (COLLECTION / name).read_text(encoding="utf-8") for name in ("README.md", "roles/hotplug/README.md")}
EXAMPLES = [(name, number) for name, text in PAGES.items() for number in range(text.count("```yaml\n"))]
MOST_CHANGES = 3


@pytest.fixture
def tap() -> Iterator[str]:
    name = f"vmops{os.getpid()}r"
    subprocess.run(["ip", "tuntap", "add", "dev", name, "mode", "tap"], check=True)
    yield name
    subprocess.run(["ip", "link", "delete", name], check=True)


@pytest.mark.parametrize(("page", "number"), EXAMPLES)
def test_an_example_does_what_it_says_and_changes_nothing_the_second_time(
    playbooks: Playbooks, tmp_path: Path, tap: str, page: str, number: int
) -> None:
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", tmp_path / "data1.qcow2", "16M"], check=True)
    with VM(tmp_path / "vm") as vm:
        (tmp_path / "playbook.yml").write_text(Readme(PAGES[page], tmp_path, tap).playbooks[number])
        first = playbooks.run("playbook.yml")
        assert first.recap["failed"] == 0 and 1 <= first.recap["changed"] <= MOST_CHANGES, first.output
        vm.wait_guest(lambda guest: len(guest["disks"]) == len(guest["nics"]) == 1 and guest["cpus"]["present"] == "0-2")
        again = playbooks.run("playbook.yml")
        assert again.recap["failed"] == again.recap["changed"] == 0, again.output
