# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The recordings themselves: small, complete and strict."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils.qmp import CommandError, Request
from ansible_collections.vmops.qemu.tests.support import recordings
from ansible_collections.vmops.qemu.tests.support.changing import Changing, Replayed

MOST_BYTES = 3 << 20
FILES = sorted(recordings.RECORDED.glob("*.json"))
DEVICE: dict[str, Any] = {"id": "rng2", "driver": "virtio-rng-pci"}
Make = Callable[[recordings.Recording], Changing]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_recording_names_its_qemu_and_its_day_and_no_path_of_the_machine_that_made_it(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    written = json.loads(text)
    assert path.stem.endswith(f"-{written['qemu']}") and re.match(r"20\d\d-\d\d-\d\d\Z", written["date"])
    assert not [place for place in (tempfile.gettempdir(), str(Path.home())) if f"{place}/" in text]


def test_all_recordings_together_are_small() -> None:
    assert sum(path.stat().st_size for path in recordings.RECORDED.rglob("*") if path.is_file()) < MOST_BYTES


def test_answers_are_the_same_when_they_are_unpacked() -> None:
    answers: recordings.Answers = {
        recordings.key(Request("qom-list", {"path": "/a"})): {"return": [{"name": "b", "type": "bool"}]},
        recordings.key(Request("qom-list", {"path": "/b"})): {"return": [{"name": "b", "type": "bool", "description": "x"}]},
        recordings.key(Request("qom-list", {"path": "/c"})): {"error": ["DeviceNotFound", "no"]},
        recordings.key(Request("qom-get", {"path": "/a", "property": "b"})): {"return": None},
        recordings.key(Request("qom-get", {"path": "/a", "property": "c"})): {"error": ["GenericError", "no"]},
        recordings.key(Request("query-status")): {"return": {"status": "running"}},
    }
    assert recordings.unpacked(json.loads(json.dumps(recordings.packed(answers)))) == answers


def test_a_question_that_was_not_recorded_fails_the_test() -> None:
    recorded = recordings.Recorded(recordings.of("devices")[0])
    with pytest.raises(pytest.fail.Exception, match="make record"):
        recorded.execute("query-nothing")
    with pytest.raises(pytest.fail.Exception, match="device_add"):
        recorded.execute("device_add", dict(DEVICE))


@pytest.mark.skipif(bool(recordings.RECORD), reason="what is replayed is not asked of a real VM")
def test_a_change_that_was_not_recorded_fails_the_test_and_so_does_one_that_is_missing() -> None:
    vm = Replayed(recordings.of("devices")[0])
    with pytest.raises(pytest.fail.Exception, match="did not run"):
        vm.run("qmp_device", id="never", driver="virtio-rng-pci")
    vm = Replayed(recordings.of("devices")[0])
    vm._tasks.append(["qmp_device", DEVICE, False])
    vm._begin()
    with pytest.raises(pytest.fail.Exception, match="changes the VM by"):
        vm.execute("device_add", {"driver": "virtio-rng-pci", "id": "other"})
    vm = Replayed(recordings.of("devices")[0])
    vm._tasks.append(["qmp_device", DEVICE, False])
    vm._begin()
    with pytest.raises(pytest.fail.Exception, match="did not make the change"):
        vm._end()


def test_a_failure_of_the_test_is_not_taken_for_a_failure_of_the_task(changing: Make) -> None:
    vm = changing(recordings.of("devices")[0])
    vm.fail("device_add", CommandError("GenericError", "it is on fire", "device_add"))
    assert vm.main("qmp_device", **DEVICE)["error_code"] == "command_failed"
