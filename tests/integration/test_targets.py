# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each integration target: a module in a playbook, on a VM.

With older versions of ansible-core only a sample runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.vmops.qemu.tests.support.playbooks import TARGETS, Playbooks

MODULES = Path(__file__).parents[2] / "plugins" / "modules"
NAMES = sorted(path.parent.name for path in TARGETS.glob("*/aliases"))
SAMPLE = ("qmp_blockdev", "qmp_cpu_hotplug", "qmp_info", "qmp_migrate")


def marked(name: str) -> Any:
    return pytest.param(name, marks=() if name in SAMPLE else pytest.mark.newest_core)


def test_each_module_has_a_target() -> None:
    assert {path.stem for path in MODULES.glob("qmp_*.py")} <= set(NAMES)


@pytest.mark.parametrize("target", [marked(name) for name in NAMES])
def test_the_target_succeeds(target: str, playbooks: Playbooks) -> None:
    play = playbooks.directory / "play.yml"
    play.write_text(f"- hosts: all\n  gather_facts: false\n  roles: [{target}]\n")
    played = playbooks.run("play.yml", output_dir=str(playbooks.directory))
    assert played.recap["failed"] == 0, played.output
