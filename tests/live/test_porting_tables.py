# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables for those who come from other tools: their commands, and the tasks in their order on a VM with a Linux guest."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any, Callable

import pytest
import yaml

from ansible_collections.vmops.qemu.tests.support import in_process
from ansible_collections.vmops.qemu.tests.vm.binaries import Binary, binaries
from ansible_collections.vmops.qemu.tests.vm.machine import VM

PAGE = (Path(__file__).parents[2] / "docs/reference/porting.md").read_text(encoding="utf-8")
ROW = re.compile(r"(?m)^\| (.+?) \| `(qmp_\w+: .+?\})`(?:, or .+)? \|$")
TABLES = {name: ROW.findall(rows) for name, rows in re.findall(r"(?ms)^## From (\w+)\n(.*?)(?=^## |\Z)", PAGE)}
READING = ("qmp_info", "qmp_qom")


def test_each_row_has_a_task() -> None:
    assert list(TABLES) == ["virsh", "HMP", "Proxmox"]
    rows = [line for line in PAGE.splitlines() if line.startswith("| `")]
    assert len(rows) == sum(map(len, TABLES.values())) > 50


def test_virsh_has_the_commands_and_their_options() -> None:
    for command, _task in TABLES["virsh"]:
        _virsh, name, *words = shlex.split(command.strip("`"))
        known = subprocess.run(["virsh", "help", name], capture_output=True, text=True, check=True).stdout
        synopsis = known.partition("SYNOPSIS\n")[2].splitlines()[0]
        options = {word for word in words if word.startswith("--")}
        assert options <= set(re.findall(r"--[\w-]+", synopsis)), (command, synopsis)
        values = [word for word in words if word not in options]
        assert len(re.findall(r" <[\w-]+>", synopsis.partition(" [")[0])) <= len(values), (command, synopsis)


@pytest.mark.parametrize("binary", sorted({binaries()[0], binaries()[-1]}), ids=lambda binary: str(binary.version))
def test_qemu_has_the_commands_of_hmp(make_vm: Callable[..., VM], binary: Binary) -> None:
    vm = make_vm(binary=binary, boot=False)
    known, known_info = (vm.query("human-monitor-command", command_line=line) for line in ("help", "help info"))
    for command in re.findall(r"`((?:info )?[\w-]+)", " ".join(command for command, _task in TABLES["HMP"])):
        listing = known_info if command.startswith("info ") else known
        assert re.search(rf"(?m)^(\w+\|)?{command}\b", listing), command


def test_the_tasks_of_each_table_do_what_they_say(make_vm: Callable[..., VM], image: Callable[..., str]) -> None:
    vm = make_vm(ports=4)
    file = image("data1.qcow2", "16M", "qcow2")
    directory = str(Path(file).parent)
    for name, rows in TABLES.items():
        for command, text in rows:
            ((module, options),) = yaml.safe_load(text.replace("/srv/vm1", directory)).items()
            result: dict[str, Any] = in_process.main(module, socket=str(vm.qmp_socket), **options)
            assert not result.get("failed"), (name, command, text, result)
            if module not in READING:
                assert result["changed"] or module == "qmp_command", (name, command, text, result)
