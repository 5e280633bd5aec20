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

from ansible_collections.vmops.qemu.tests.support.guide import Reader

COLLECTION = Path(__file__).parents[2]
USED = {"meta", "plugins", "roles", "playbooks"}
"""What has to be installed. Distributions leave out the rest."""


@pytest.mark.newest_core
def test_the_archive_alone_does_what_its_readme_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subprocess.run(["ansible-galaxy", "collection", "build", "--output-path", tmp_path / "build", COLLECTION], check=True)
    (archive,) = (tmp_path / "build").iterdir()
    venv, installed = tmp_path / "venv", tmp_path / "collections"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    subprocess.run([venv / "bin/pip", "install", "--quiet", f"ansible-core=={version('ansible-core')}"], check=True)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ANSIBLE_COLLECTIONS_PATH", str(installed))
    monkeypatch.setenv("ANSIBLE_PYTHON_INTERPRETER", str(venv / "bin/python"))
    page = (COLLECTION / "README.md").read_text(encoding="utf-8")
    install = "ansible-galaxy collection install"
    assert f"\n$ {install} vmops.qemu\n" in page
    subprocess.run([venv / "bin/ansible-galaxy", *install.split()[1:], "--offline", str(archive)], check=True)
    collection = installed / "ansible_collections/vmops/qemu"
    assert (collection / "README.md").read_text(encoding="utf-8") == page
    for path in collection.iterdir():
        if path.name not in USED:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    (tmp_path / "reader").mkdir()
    reader, tap = Reader(tmp_path / "reader", programs=venv / "bin"), f"vmops{os.getpid()}w"
    try:
        done = reader.follow(page, {"/run/": f"{tmp_path}/reader/run/", "/srv/": f"{tmp_path}/reader/srv/", "vm1-net1": tap})
    finally:
        reader.end_vms()
        subprocess.run(["ip", "link", "delete", tap], check=False, stderr=subprocess.DEVNULL)
    assert sum("ansible-playbook" in command for command, _printed in done) == 5
