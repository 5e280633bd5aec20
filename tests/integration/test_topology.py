# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of the filter topology: its play with a real QEMU prints what the page shows."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Callable

import pytest
import yaml

from ansible_collections.vmops.qemu.tests.support.fixtures import make_vm
from ansible_collections.vmops.qemu.tests.support.playbooks import Playbooks
from ansible_collections.vmops.qemu.tests.vm.machine import VM

__all__ = ["make_vm"]

PAGE = Path(__file__).parents[2] / "docs" / "topology.md"
BLOCKS = dict(re.findall(r"(?m)^```(yaml|mermaid)\n((?:.*\n)*?)^```$", PAGE.read_text(encoding="utf-8")))
TREES = re.findall(r"(?m)^```text\n((?:.*\n)*?)^```$", PAGE.read_text(encoding="utf-8"))


def shown(output: str) -> list[list[str]]:
    """The lists that tasks with debug printed."""
    return [yaml.safe_load(found) for found in re.findall(r"\n    msg:\n((?:    .*\n)+)", output)]


def as_on_page(text: str, directory: Path) -> str:
    """What was printed, with the paths of the page and without the version of QEMU."""
    text = text.replace(f"{directory}/vm0", "/run/vm1").replace(str(directory), "/srv/vm1")
    return re.sub(r"QEMU [\d.]+, pc-q35-[\d.]+", "QEMU 7.2.22, pc-q35-7.2", text)


@pytest.mark.newest_core
def test_the_play_of_the_page_prints_what_the_page_shows(
    playbooks: Playbooks, tmp_path: Path, make_vm: Callable[..., VM]
) -> None:
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", tmp_path / "data1.qcow2", "10G"], check=True)
    make_vm(boot=False, extra=("-name", "vm1", "-device", "virtio-rng-pci,id=rng1,bus=rp0"), ports=3)
    text = BLOCKS["yaml"].replace("/run/vm1", f"{tmp_path}/vm0").replace("/srv/vm1", str(tmp_path))
    (tmp_path / "picture.yml").write_text(text.replace("localhost", "hypervisor"))
    played = playbooks.run("picture.yml")
    assert played.recap["failed"] == 0, played.output
    assert [as_on_page("\n".join(one), tmp_path) + "\n" for one in shown(played.output)] == TREES
    diagram = as_on_page((tmp_path / "vm1.md").read_text(), tmp_path)
    assert diagram == f"```mermaid\n{BLOCKS['mermaid']}```\n"
