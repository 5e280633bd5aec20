# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection as Galaxy installs it: its archive alone, in a new virtual environment, without this checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from ansible_collections.vmops.qemu.tests.support.playbooks import Playbooks
from ansible_collections.vmops.qemu.tests.support.readme import Readme

COLLECTION = Path(__file__).parents[2]
USED = {"meta", "plugins", "roles", "playbooks"}
"""What has to be installed. Distributions leave out the rest."""


@pytest.mark.newest_core
def test_the_archive_alone_does_what_its_readme_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From top to bottom on the VM of the README. Only the first playbook has something to do; the others want the same."""
    subprocess.run(["ansible-galaxy", "collection", "build", "--output-path", tmp_path / "build", COLLECTION], check=True)
    (archive,) = (tmp_path / "build").iterdir()
    venv, installed = tmp_path / "venv", tmp_path / "collections"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    subprocess.run([venv / "bin/pip", "install", "--quiet", f"ansible-core=={version('ansible-core')}"], check=True)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{venv}/bin{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("ANSIBLE_COLLECTIONS_PATH", str(installed))
    page = (COLLECTION / "README.md").read_text(encoding="utf-8")
    readme = Readme(page, tmp_path, f"vmops{os.getpid()}w")
    words = readme.command("ansible-galaxy collection install").split()
    assert words[-1] == "vmops.qemu"
    subprocess.run([*words[:-1], "--offline", str(archive)], check=True)
    collection = installed / "ansible_collections/vmops/qemu"
    assert (collection / "README.md").read_text(encoding="utf-8") == page
    for path in collection.iterdir():
        if path.name not in USED:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    playbooks = Playbooks(tmp_path, python=venv / "bin/python")
    with readme.vm():
        for number, playbook in enumerate(readme.playbooks):
            (tmp_path / "playbook.yml").write_text(playbook)
            played = playbooks.run("playbook.yml")
            assert (played.recap["failed"], played.recap["changed"]) == (0, int(number == 0)), played.output
        checked = playbooks.run(*readme.arguments())
        assert checked.recap["failed"] == checked.recap["changed"] == 0, checked.output
