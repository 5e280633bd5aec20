# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rig for each kind; which of them are a sample; and the last word, on what was survived and what was left out."""

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
from .rig import Rig, made_tap
from .tally import TALLY

__all__ = ["binary", "image", "make_tap", "make_vm"]

_taps = itertools.count()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "removes: what the kind adds is removed by the VM's consent")
    config.addinivalue_line("markers", "other_side: for a kind with another QEMU at its other side")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "rig" in metafunc.fixturenames:
        kinds = [kind for kind in KINDS if kind.sample or kind.data or ALL]
        together = [pytest.param(kind, id=kind.name, marks=pytest.mark.xdist_group(kind.name)) for kind in kinds]
        metafunc.parametrize("rig", together, indirect=True, scope="module")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of the kinds with a guest's data, a sample takes one for each test and fault that is for them, in turn."""
    if ALL:
        return
    with_data = [kind for kind in KINDS if kind.data]
    takers: dict[str, list[pytest.Item]] = {}  # by test and fault
    for item in items:
        kind, test = _kind(item), item.nodeid.split("[")[0]
        if kind and kind.data and not item.get_closest_marker("removes"):
            fault = item.callspec.params.get("fault")  # type: ignore[attr-defined]
            takers.setdefault(f"{test} {fault}", []).append(item)
    taken = []
    for turn, of_one in enumerate(takers.values()):
        fitting = [item for item in of_one if _fits(item)]
        taken += [item for item in fitting if _kind(item) is _kind(fitting[turn % len(fitting)])]
    left_out = [item for item in items if (_kind(item) or KINDS[0]) in with_data and item not in taken]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def _kind(item: pytest.Item) -> Kind | None:
    return item.callspec.params.get("rig") if hasattr(item, "callspec") else None


def _fits(item: pytest.Item) -> bool:
    """Whether a test of the other side has a kind with one."""
    kind = _kind(item)
    return not item.get_closest_marker("other_side") or bool(kind and kind.peer and not kind.at_peer)


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the states of guests that have booted are kept."""
    return tmp_path_factory.mktemp("states")


@pytest.fixture(scope="module")
def rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, store: Path) -> Iterator[Rig]:
    with made_tap(f"vmops{os.getpid()}t{next(_taps)}") as tap:
        rig = Rig(request.param, tmp_path_factory.mktemp("rig"), store, tap)
        yield rig
        rig.stop()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand what one of several processes has counted to the one that prints."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["tally"] = {what: dict(counts) for what, counts in TALLY.items()}


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    for what, counts in getattr(node, "workeroutput", {}).get("tally", {}).items():
        TALLY.setdefault(what, Counter()).update(counts)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if TALLY:
        terminalreporter.section("torture")
        terminalreporter.line(f"{'fault':40} {'tried':>8} {'survived':>8} {'lost':>8}")
        for what, counts in [*TALLY.items(), ("all", sum(TALLY.values(), Counter()))]:
            terminalreporter.line(f"{what:40} {counts.total():8} {counts['survived']:8} {counts['lost']:8}")
    left_out: dict[str, set[str]] = {}  # tests by reason
    for report in terminalreporter.stats.get("skipped", []):
        reason = str(report.longrepr[2]).replace("Skipped: ", "")
        left_out.setdefault(reason, set()).add(report.nodeid.rpartition("[")[2].rstrip("]").split("-")[0] or report.nodeid)
    for reason, kinds in sorted(left_out.items()):
        terminalreporter.line(f"not tried, as {reason}: {', '.join(sorted(kinds))}")
