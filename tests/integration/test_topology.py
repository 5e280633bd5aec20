# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of the filter topology: its play with a real QEMU prints what the page shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from ansible_collections.vmops.qemu.tests.support.guide import Reader

PAGE = (Path(__file__).parents[2] / "docs" / "topology.md").read_text(encoding="utf-8")
(DIAGRAM,) = re.findall(r"(?m)^```mermaid\n((?:.*\n)*?)^```$", PAGE)
TREES = re.findall(r"(?m)^```text\n((?:.*\n)*?)^```$", PAGE)


def shown(output: str) -> list[list[str]]:
    """The lists that tasks with debug printed."""
    return [yaml.safe_load(found) for found in re.findall(r'\n    "msg": (\[\n(?:        .*\n)+    \])', output)]


def as_on_page(text: str, directory: Path) -> str:
    """What was printed, with the paths of the page and without the version of QEMU."""
    text = text.replace(f"{directory}/", "/")
    return re.sub(r"QEMU [\d.]+, pc-q35-[\d.]+", "QEMU 7.2.22, pc-q35-7.2", text)


@pytest.mark.newest_core
def test_the_play_of_the_page_prints_what_the_page_shows(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    try:
        done = reader.follow(PAGE, {"/run/": f"{tmp_path}/run/", "/srv/": f"{tmp_path}/srv/"})
    finally:
        reader.end_vms()
    (output,) = [printed for command, printed in done if "picture.yml" in command]
    assert [as_on_page("\n".join(one), tmp_path) + "\n" for one in shown(output)] == TREES
    assert as_on_page((tmp_path / "srv/vm1/vm1.md").read_text(), tmp_path) == f"```mermaid\n{DIAGRAM}```\n"
