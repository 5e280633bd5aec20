# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands and the playbooks that the README shows, as they are there except for paths and the name of the tap."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
from pathlib import Path
from typing import Iterator

import pytest
import yaml

from ansible_collections.vmops.qemu.tests.support.playbooks import Playbooks
from ansible_collections.vmops.qemu.tests.vm.machine import VM

COLLECTION = Path(__file__).parents[2]
README = (COLLECTION / "README.md").read_text(encoding="utf-8")
ROLE_README = (COLLECTION / "roles" / "hotplug" / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"```(yaml|console)\n(.*?)```", re.DOTALL)
PLAYBOOKS = [text for language, text in BLOCK.findall(README) + BLOCK.findall(ROLE_README) if language == "yaml"]
COMMANDS = [text for language, text in BLOCK.findall(README) if language == "console"]
MOST_CHANGES = 3


@pytest.fixture
def tap() -> Iterator[str]:
    name = f"vmops{os.getpid()}r"
    subprocess.run(["ip", "tuntap", "add", "dev", name, "mode", "tap"], check=True)
    yield name
    subprocess.run(["ip", "link", "delete", name], check=True)


def here(text: str, directory: Path, tap: str) -> str:
    """*text* with the paths and the tap of this test."""
    for shown, real in (
        ("/run/vm1", f"{directory}/vm"),
        ("/srv/vm1", str(directory)),
        ("vm1-net1", tap),
        ("localhost", "hypervisor"),
    ):
        text = text.replace(shown, real)
    return text


@pytest.mark.parametrize("number", range(len(PLAYBOOKS)))
def test_an_example_does_what_it_says_and_changes_nothing_the_second_time(
    playbooks: Playbooks, tmp_path: Path, tap: str, number: int
) -> None:
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", tmp_path / "data1.qcow2", "16M"], check=True)
    with VM(tmp_path / "vm") as vm:
        (tmp_path / "playbook.yml").write_text(here(PLAYBOOKS[number], tmp_path, tap))
        first = playbooks.run("playbook.yml")
        assert first.recap["failed"] == 0 and 1 <= first.recap["changed"] <= MOST_CHANGES, first.output
        vm.wait_guest(lambda guest: len(guest["disks"]) == len(guest["nics"]) == 1 and guest["cpus"]["present"] == "0-2")
        again = playbooks.run("playbook.yml")
        assert again.recap["failed"] == again.recap["changed"] == 0, again.output


def test_the_vm_of_the_readme_takes_what_its_first_playbook_asks_for(playbooks: Playbooks, tmp_path: Path) -> None:
    """Its commands, word for word, in an empty directory; then the first playbook, and the command in check mode."""
    tap = f"vmops{os.getpid()}w"
    start = next(text for text in COMMANDS if "qemu-system-x86_64" in text)
    check = next(text for text in COMMANDS if "ansible-playbook" in text)
    pidfile = tmp_path / "pid"
    script = re.sub(r"(?m)^# ", "", here(start, tmp_path, tap)).replace("-daemonize", f"-daemonize -pidfile {pidfile}")
    try:
        subprocess.run(["bash", "-euc", script], check=True, cwd=tmp_path)
        (tmp_path / "playbook.yml").write_text(here(PLAYBOOKS[0], tmp_path, tap))
        first = playbooks.run("playbook.yml")
        assert first.recap["failed"] == 0 and first.recap["changed"] == 1, first.output
        (role,) = [play for play in map(yaml.safe_load, PLAYBOOKS) if "roles" in play[0] and play[0]["hosts"] == "localhost"]
        variables = yaml.safe_dump(role[0]["roles"][0]["vars"])
        (tmp_path / "hardware.yml").write_text(here(variables, tmp_path, tap))
        words = shlex.split(here(check, tmp_path, tap).removeprefix("$ "))
        assert words[:2] == ["ansible-playbook", "vmops.qemu.hotplug"]
        checked = playbooks.run(*words[1:])
        assert checked.recap["failed"] == checked.recap["changed"] == 0, checked.output
    finally:
        subprocess.run(["ip", "link", "delete", tap], check=False)
        if pidfile.exists():
            os.kill(int(pidfile.read_text()), signal.SIGTERM)
