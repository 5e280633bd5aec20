# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tiers of the tests share files only through ``support`` and ``vm``."""

from __future__ import annotations

from pathlib import Path
from typing import List

import pytest

from ansible_collections.vmops.qemu.tests.support.imports import imports

TESTS = Path(__file__).resolve().parents[1]
PACKAGE = "ansible_collections.vmops.qemu.tests"
SHARED = {"support", "vm"}
"""What every tier may import. It imports no tier."""


def foreign(source: str, package: str) -> List[str]:
    """What *source*, of a file in *package*, imports from a tier other than its own, from a test file or from a conftest."""
    tier = package[len(PACKAGE) + 1 :].split(".")[0]
    found = []
    for name in imports(source, package):
        parts = name[len(PACKAGE) + 1 :].split(".") if name.startswith(PACKAGE + ".") else []
        if parts and (parts[0] not in SHARED | {tier} or any(part.startswith("test_") or part == "conftest" for part in parts)):
            found.append(name)
    return found


def test_no_tier_imports_the_files_of_another_and_no_file_imports_a_test() -> None:
    found = {}
    for path in TESTS.rglob("*.py"):
        package = ".".join([PACKAGE, *path.relative_to(TESTS).parent.parts])
        names = foreign(path.read_text(encoding="utf-8"), package)
        if names:
            found[str(path.relative_to(TESTS))] = names
    assert found == {}


@pytest.mark.parametrize(
    ("statement", "package"),
    [
        ("from ansible_collections.vmops.qemu.tests.live.life import has_disk", "fuzz"),
        ("from ..fuzz import peer", "live"),
        ("from .test_life import MiB", "live"),
        ("from . import test_life", "live"),
        ("from .conftest import binary", "live"),
        ("from ..live import memory", "support"),
        ("from ..unit import recordings", "vm"),
    ],
)
def test_a_foreign_import_is_found(statement: str, package: str) -> None:
    assert foreign(statement, f"{PACKAGE}.{package}")


@pytest.mark.parametrize(
    ("statement", "package"),
    [
        ("from .life import has_disk", "live"),
        ("from ..support.values import NULL", "live"),
        ("from ..vm.machine import VM", "support"),
        ("import json", "unit"),
    ],
)
def test_an_import_of_a_shared_file_is_not_foreign(statement: str, package: str) -> None:
    assert foreign(statement, f"{PACKAGE}.{package}") == []
