# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each target: a module used in a playbook on a VM with a guest."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.vmops.qemu.tests.support.playbooks import Playbooks

TARGETS = sorted(path.parent.name for path in (Path(__file__).parent / "targets").glob("*/aliases"))


@pytest.mark.parametrize("target", TARGETS)
def test_the_playbook_of(target: str, playbooks: Playbooks) -> None:
    play = playbooks.directory / "play.yml"
    play.write_text(f"- hosts: all\n  gather_facts: false\n  roles: [{target}]\n")
    played = playbooks.run("play.yml", output_dir=str(playbooks.directory))
    assert played.recap["failed"] == 0, played.output
