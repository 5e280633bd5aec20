# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks of the collection, each a session of nox. ``make test`` runs them all.

The checkout may have any name, while Ansible wants …/ansible_collections/vmops/qemu: a link tree serves what only reads, a copy
serves ansible-test, which follows links.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nox

nox.options.default_venv_backend = "venv"
nox.options.reuse_existing_virtualenvs = True

ROOT = Path(__file__).parent
CACHE = ROOT / ".cache"
LINKED = CACHE / "collections"
RESULTS = CACHE / "results"
ANSIBLE_CORE = "ansible-core>=2.18,<2.20" if sys.version_info < (3, 12) else "ansible-core>=2.18"
TARGET_ANSIBLE_CORE = "ansible-core==2.18.*"  # the last whose modules still run on Python 3.8
PACKAGES = [f"ansible_collections.vmops.qemu.plugins.module_utils.{name}" for name in ("qmp", "_hardware")]

# pyenv's own commands stand for Pythons that may not be active; the Pythons themselves go first
os.environ["PATH"] = os.pathsep.join([*map(str, (Path.home() / ".pyenv/versions").glob("3.*/bin")), os.environ["PATH"]])


def works(python: str) -> bool:
    """Whether virtual environments can be made with it."""
    told = subprocess.run([python, "-c", "import ensurepip"], capture_output=True, check=False) if shutil.which(python) else None
    return told is not None and told.returncode == 0


PYTHONS = [version for version in (f"3.{minor}" for minor in range(8, 15)) if works(f"python{version}")]


def linked(session: nox.Session) -> dict[str, str]:
    """The environment in which the checkout is found as a collection, and in which Ansible takes the session's Python."""
    link = LINKED / "ansible_collections" / "vmops" / "qemu"
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(ROOT)
    RESULTS.mkdir(parents=True, exist_ok=True)
    return {"PYTHONPATH": str(LINKED), "ANSIBLE_COLLECTIONS_PATH": str(LINKED), "PYTHONDONTWRITEBYTECODE": "1"}


def copied(session: nox.Session) -> Path:
    """A fresh copy of what git tracks or would track, at the path that Ansible wants, below .cache/NAME-OF-SESSION.

    It is a repository of its own, for this one ignores it, and then so does ansible-test.
    """
    root = CACHE / session.name
    collection = root / "ansible_collections" / "vmops" / "qemu"
    shutil.rmtree(root, ignore_errors=True)
    listing = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=True)
    for name in filter(None, listing.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (collection / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, collection / name)
    subprocess.run(["git", "init", "--quiet"], cwd=collection, check=True)
    return collection


@nox.session
def lint(session: nox.Session) -> None:
    """ruff, mypy --strict on engine and domain, ansible-lint with its strictest profile, and the documentation."""
    session.install("ruff", "mypy", "ansible-lint", "antsibull-docs", ANSIBLE_CORE)
    session.run("ruff", "check", ".")
    env = linked(session)
    packages = [word for package in PACKAGES for word in ("-p", package)]
    with session.chdir(LINKED):
        session.run("mypy", "--config-file", str(ROOT / "pyproject.toml"), *packages, env=env)
    with session.chdir(copied(session)):
        env["ANSIBLE_COLLECTIONS_PATH"] = str(CACHE / session.name)
        session.run("ansible-lint", "--strict", env=env)
        session.run("antsibull-docs", "lint-collection-docs", "--plugin-docs", "--skip-rstcheck", ".", env=env)


@nox.session
def types(session: nox.Session) -> None:
    """The quick part of lint, for the daily loop."""
    session.install("ruff", "mypy")
    session.run("ruff", "check", ".")
    env = linked(session)
    packages = [word for package in PACKAGES for word in ("-p", package)]
    with session.chdir(LINKED):
        session.run("mypy", "--config-file", str(ROOT / "pyproject.toml"), *packages, env=env)


@nox.session
def sanity(session: nox.Session) -> None:
    """ansible-test sanity on every Python that it knows and finds, with no ignore file."""
    session.install(ANSIBLE_CORE)
    session.run("python", str(ROOT / "tests/tools/cache_get_pip.py"))
    if list((ROOT / "tests/sanity").glob("ignore*")):
        session.error("There is an ignore file in tests/sanity. Mend what it ignores.")
    with session.chdir(copied(session)):
        session.run("ansible-test", "sanity", "--venv", "--color", "no", *session.posargs)


@nox.session(python=PYTHONS)
def units(session: nox.Session) -> None:
    """Unit tests on one Python, with the ansible-core that still serves the oldest."""
    session.install("pytest", "pyyaml")
    session.install("--no-deps", "--ignore-requires-python", TARGET_ANSIBLE_CORE)
    results = RESULTS / f"units-{session.python}.xml"
    session.run("pytest", "-q", "tests/unit", f"--junit-xml={results}", *session.posargs, env=linked(session))


@nox.session
def coverage(session: nox.Session) -> None:
    """Unit tests on this Python, and how much of the engine's branches they take: 95 % at least."""
    session.install("pytest", "pyyaml", "coverage", ANSIBLE_CORE)
    env = {**linked(session), "COVERAGE_FILE": str(CACHE / "coverage")}
    session.run("coverage", "run", "-m", "pytest", "-q", "tests/unit", f"--junit-xml={RESULTS / 'coverage.xml'}", env=env)
    session.run("coverage", "report", "--include=*/module_utils/qmp/*", env=env)


@nox.session
def live(session: nox.Session) -> None:
    """Tests against real QEMU, as root."""
    session.install("pytest", ANSIBLE_CORE)
    session.run("pytest", "-q", "tests/live", f"--junit-xml={RESULTS / 'live.xml'}", *session.posargs, env=linked(session))


@nox.session
def integration(session: nox.Session) -> None:
    """Playbooks against real QEMU with a Linux guest, as root."""
    session.install(ANSIBLE_CORE)
    env = {**linked(session), "RESULTS": str(RESULTS / "integration.xml")}
    session.run("tests/integration/run", *session.posargs, env=env, external=True)


@nox.session
def build(session: nox.Session) -> None:
    """The collection as an archive, in build/."""
    session.install(ANSIBLE_CORE)
    session.run("ansible-galaxy", "collection", "build", "--force", "--output-path", str(ROOT / "build"), str(copied(session)))
