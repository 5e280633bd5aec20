# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Imports run one way, folder by folder; only the glue and the modules know Ansible."""

from __future__ import annotations

import importlib.util
import sys
import sysconfig
from pathlib import Path
from typing import Iterable, List, Set

import pytest

from ansible_collections.vmops.qemu.tests.support.imports import imports

COLLECTION = "ansible_collections.vmops.qemu"
ROOT = Path(__file__).resolve().parents[4]
UTILS = COLLECTION + ".plugins.module_utils."


def is_standard(name: str) -> bool:
    top = name.split(".")[0]
    spec = importlib.util.find_spec(top)
    if top in sys.builtin_module_names or spec is None or spec.origin is None:
        return top in sys.builtin_module_names
    return spec.origin == "frozen" or (spec.origin.startswith(sysconfig.get_path("stdlib")) and "-packages" not in spec.origin)


def strangers(source: str, package: str, allowed: Iterable[str]) -> Set[str]:
    """What *source* imports beyond the standard library and the *allowed* packages."""
    return {
        name
        for name in imports(source, package)
        if not is_standard(name) and not any((name + ".").startswith(prefix + ".") for prefix in allowed)
    }


VM = UTILS + "_vm."
ERRORS = [VM + "errors", UTILS + "qmp"]
HOST = [VM + "host", *ERRORS]
MODEL = [VM + "model", *HOST]
PLAN = [VM + "plan", *MODEL]
FLOORS = {
    "plugins/module_utils/qmp": [UTILS + "qmp"],
    "plugins/module_utils/_vm/host": HOST,
    "plugins/module_utils/_vm/model": MODEL,
    "plugins/module_utils/_vm/plan": PLAN,
    "plugins/module_utils/_vm/devices": [VM + "devices", *PLAN],
    "plugins/module_utils/_vm/operations": [VM + "operations", *PLAN],
    "plugins/module_utils/_vm": [UTILS + "_vm", UTILS + "qmp"],
    "plugins/module_utils/_ansible": ["ansible", UTILS + "_ansible", UTILS + "_vm", UTILS + "qmp"],
    "plugins/modules": ["ansible", UTILS + "_ansible", VM + "host"],
}
"""Each folder, and what it may import beyond the standard library: itself and the floors below."""


@pytest.mark.parametrize("folder, allowed", FLOORS.items())
def test_each_floor_imports_only_those_below_it(folder: str, allowed: List[str]) -> None:
    package = "{}.{}".format(COLLECTION, folder.replace("/", "."))
    files = sorted((ROOT / folder).rglob("*.py"))
    found = {
        str(path.relative_to(ROOT)): strangers(
            path.read_text("utf-8"), ".".join([package, *path.relative_to(ROOT / folder).parent.parts]), allowed
        )
        for path in files
    }
    assert files
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize(
    "statement, name",
    [
        ("import ansible", "ansible"),
        (
            "def f():\n    from ansible.module_utils.basic import AnsibleModule",
            "ansible.module_utils.basic.AnsibleModule",
        ),
        ("from .. import _ansible", UTILS + "_ansible"),
        ("from .._vm.plan import Plan", UTILS + "_vm.plan.Plan"),
        ("import yaml", "yaml"),
        ("import no_such_module", "no_such_module"),
    ],
)
def test_a_forbidden_import_is_found(statement: str, name: str) -> None:
    assert strangers(statement, UTILS + "qmp", [UTILS + "qmp"]) == {name}


@pytest.mark.parametrize(
    "statement", ["import os.path, sys", "from .errors import QMPError", "from . import errors", "import select"]
)
def test_an_allowed_import_is_let_through(statement: str) -> None:
    assert strangers(statement, UTILS + "qmp", [UTILS + "qmp"]) == set()
