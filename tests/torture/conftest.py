# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rig for each kind; which of them are a sample; and the last word, on what was survived and what was left out."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from pathlib import Path
from typing import Iterator

import pytest

from ansible_collections.vmops.qemu.tests.live import conftest as live

from .kinds import KINDS, Kind
from .rig import Rig, made_tap
from .tally import ALL, TALLY

make_vm, make_tap, image = live.make_vm, live.make_tap, live.image  # fixtures
_taps = itertools.count()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "rig" in metafunc.fixturenames:
        kinds = [kind for kind in KINDS if kind.sample or kind.data or ALL]
        metafunc.parametrize("rig", kinds, indirect=True, ids=[kind.name for kind in kinds], scope="module")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of the kinds with a guest's data, a sample takes one for each test and fault, in turn."""
    if ALL:
        return
    with_data = [kind for kind in KINDS if kind.data]
    turns: dict[str, int] = {}  # by test and fault
    left_out = []
    for item in items:
        parameters = dict(item.callspec.params) if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
        kind = parameters.pop("rig", None)
        if isinstance(kind, Kind) and kind.data:
            turn = turns.setdefault(f"{item.nodeid.split('[')[0]}{parameters}", len(turns))
            if kind is not with_data[turn % len(with_data)]:
                left_out.append(item)
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


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
