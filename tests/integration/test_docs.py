# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages of the website, each followed from an empty directory. Only paths, the port and QEMU's version are replaced."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Iterator

import pytest

import ansible_collections
from ansible_collections.vmops.qemu.tests.support.guide import Reader, blocks
from ansible_collections.vmops.qemu.tests.vm.binaries import own

DOCS = Path(__file__).parents[2] / "docs"
COLLECTIONS = str(Path(next(iter(ansible_collections.__path__))).parent)
WITH_MOUNT = str(Path(__file__).parents[1] / "vm/with_mount")
TOPOLOGY = "topology.md"  # test_topology.py follows it, and compares its pictures
PAGES = sorted(
    str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md") if page.name != TOPOLOGY and any(blocks(page.read_text("utf-8")))
)
OF_THE_HOST = ("/etc/systemd/system", "/etc/vmops-qemu", "/usr/local/lib/vmops-qemu")
"""Directories to which one page writes. Its commands see empty ones in their place."""

pytestmark = pytest.mark.newest_core


@pytest.fixture
def reader(tmp_path: Path, name: str) -> Iterator[Reader]:
    page = (DOCS / name).read_text(encoding="utf-8")
    words = []
    made = []
    for number, target in enumerate(Path(one) for one in OF_THE_HOST if one in page):
        if not target.exists():
            target.mkdir()
            made.append(target)
        source = tmp_path / f"host{number}"
        source.mkdir()
        words += [WITH_MOUNT, str(source), str(target)]
    (tmp_path / "reader").mkdir()
    reader = Reader(tmp_path / "reader", words)
    try:
        yield reader
    finally:
        reader.end_vms()
        for target in made:
            target.rmdir()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_can_be_followed_step_by_step(name: str, reader: Reader, free_port: int) -> None:
    printed = subprocess.run([*own().command, "-version"], check=True, capture_output=True, text=True).stdout
    version = printed.split()[3].replace(".", "_")
    reader.follow(
        (DOCS / name).read_text(encoding="utf-8"),
        {
            "/run/": f"{reader.directory}/run/",
            "/srv/": f"{reader.directory}/srv/",
            "4444": str(free_port),
            "~/.ansible/collections": COLLECTIONS,
            "7_2_22": version,
            "q35_7_2": f"q35_{version.rpartition('_')[0]}",
        },
    )
