# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rig for each kind, the sample of the kinds, and the summary: what was survived and what was left out."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from pathlib import Path
from typing import Any, Iterator

import pytest

from ansible_collections.vmops.qemu.tests.support.fixtures import binary, image, make_tap, make_vm
from ansible_collections.vmops.qemu.tests.support.values import ALL

from .kinds import KINDS, Kind
from .rig import Rig, temporary_tap
from .tally import TALLY

__all__ = ["binary", "image", "make_tap", "make_vm"]

_taps = itertools.count()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "removes: needs a kind whose objects the module can remove")
    config.addinivalue_line("markers", "other_side: needs a kind with a second VM")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "rig" in metafunc.fixturenames:
        kinds = [kind for kind in KINDS if kind.sample or kind.data or ALL]
        together = [pytest.param(kind, id=kind.name, marks=pytest.mark.xdist_group(kind.name)) for kind in kinds]
        metafunc.parametrize("rig", together, indirect=True, scope="module")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A sample has each test and fault once for the kinds with a guest's data: these kinds take turns."""
    if ALL:
        return
    candidates: dict[str, list[pytest.Item]] = {}  # by test and fault
    for item in items:
        kind = _kind(item)
        if kind and kind.data and not item.get_closest_marker("removes"):
            test = item.nodeid.split("[")[0]
            candidates.setdefault(f"{test} {_parameters(item).get('fault')}", []).append(item)
    taken = []
    for turn, of_one in enumerate(candidates.values()):
        fitting = [item for item in of_one if _fits(item)]
        taken += [item for item in fitting if _kind(item) is _kind(fitting[turn % len(fitting)])]
    left_out = [item for item in items if (kind := _kind(item)) and kind.data and item not in taken]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def _parameters(item: pytest.Item) -> dict[str, Any]:
    """The parameters of a test; none if it is not parametrised."""
    callspec = getattr(item, "callspec", None)
    parameters: dict[str, Any] = callspec.params if callspec else {}
    return parameters


def _kind(item: pytest.Item) -> Kind | None:
    return _parameters(item).get("rig")


def _fits(item: pytest.Item) -> bool:
    """Whether a test that needs a second VM has a kind with one."""
    kind = _kind(item)
    return not item.get_closest_marker("other_side") or bool(kind and kind.peer and not kind.at_peer)


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory for the saved states of guests that have booted."""
    return tmp_path_factory.mktemp("states")


@pytest.fixture(scope="module")
def rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, store: Path) -> Iterator[Rig]:
    with temporary_tap(f"vmops{os.getpid()}t{next(_taps)}") as tap:
        rig = Rig(request.param, tmp_path_factory.mktemp("rig"), store, tap)
        yield rig
        rig.stop()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A process of pytest-xdist hands its counts to the process that prints them."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["tally"] = {what: dict(counts) for what, counts in TALLY.items()}


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    for what, counts in getattr(node, "workeroutput", {}).get("tally", {}).items():
        TALLY.setdefault(what, Counter()).update(counts)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if TALLY:
        terminalreporter.section("fault injection")
        terminalreporter.line(f"{'fault':40} {'tried':>8} {'survived':>8} {'lost':>8}")
        for what, counts in [*TALLY.items(), ("all", sum(TALLY.values(), Counter()))]:
            terminalreporter.line(f"{what:40} {counts.total():8} {counts['survived']:8} {counts['lost']:8}")
