# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Imports run one way, directory by directory; only the glue and what is above it know Ansible."""

from __future__ import annotations

import importlib.util
import re
import sys
import sysconfig
from pathlib import Path
from typing import Iterable, List, Set, Tuple

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
HOST = [VM + "host", VM + "errors"]
MODEL = [VM + "model", VM + "lazy", *HOST, UTILS + "qmp"]
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
"""Each directory, and what it may import beyond the standard library: itself and the floors below. So ``devices`` and
``operations`` do not import each other, and ``host`` imports nothing but errors."""


@pytest.mark.parametrize("directory, allowed", FLOORS.items())
def test_each_floor_imports_only_those_below_it(directory: str, allowed: List[str]) -> None:
    package = "{}.{}".format(COLLECTION, directory.replace("/", "."))
    files = sorted((ROOT / directory).rglob("*.py"))
    found = {
        str(path.relative_to(ROOT)): strangers(
            path.read_text("utf-8"), ".".join([package, *path.relative_to(ROOT / directory).parent.parts]), allowed
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


# The picture of the floors in docs/architecture.md

Arrows = Set[Tuple[str, str]]


def room(dotted: str) -> str:
    """The room of the picture in which a module of the collection is."""
    parts = dotted[len(COLLECTION + ".plugins.") :].split(".")
    below = {"module_utils": 1, "module_utils._vm": 2}
    depth = max(depth for name, depth in {"": 0, **below}.items() if ".".join(parts).startswith(name))
    return parts[depth]


def rooms_and_arrows() -> Tuple[Set[str], Arrows]:
    """The rooms, and all imports between two of them."""
    arrows = set()
    rooms = set()
    for path in (ROOT / "plugins").rglob("*.py"):
        package = ".".join([COLLECTION, *path.relative_to(ROOT).parent.parts])
        here = room(f"{package}.{path.stem}")
        names = [name for name in imports(path.read_text("utf-8"), package) if name.startswith(COLLECTION + ".plugins.")]
        rooms |= {here} if names or path.stem != "__init__" else set()
        arrows |= {(here, room(name)) for name in names if room(name) != here}
    return rooms, arrows


def picture(text: str) -> Arrows:
    """The arrows of the first flowchart of a page."""
    (chart,) = re.findall(r"```mermaid\nflowchart TD\n(.*?)```", text, re.DOTALL)[:1]
    labels = dict(re.findall(r"(\w+)\[(\w+)\]", chart))
    drawn = re.findall(r"^ +(\w+)(?:\[\w+\])? --> (\w+)", chart, re.MULTILINE)
    return {(labels.get(above, above), labels.get(below, below)) for above, below in drawn}


def closure(arrows: Arrows) -> Arrows:
    """The arrows, and those that lead from one over others to a third."""
    known = set(arrows)
    while True:
        more = {(first, last) for first, middle in known for start, last in known if start == middle} - known
        if not more:
            return known
        known |= more


PAGE = (ROOT / "docs/architecture.md").read_text("utf-8")


def test_the_picture_shows_every_room() -> None:
    rooms = rooms_and_arrows()[0] - {"doc_fragments", "connection"}  # they stand alone
    assert {room for arrow in picture(PAGE) for room in arrow} == rooms


def test_each_arrow_of_the_picture_is_an_import_and_each_import_follows_arrows() -> None:
    arrows = rooms_and_arrows()[1]
    assert picture(PAGE) - arrows == set()
    assert arrows - closure(picture(PAGE)) == set()
    assert not [start for start, end in closure(picture(PAGE)) if start == end], "a circle"


def test_the_page_has_the_numbers() -> None:
    drawn = picture(PAGE)
    assert f"{len({room for arrow in drawn for room in arrow})} rooms and {len(drawn)} arrows" in PAGE
