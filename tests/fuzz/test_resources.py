# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A task stays below 150 MB and ends at its timeout, whatever a monitor sends and however slowly."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils.qmp import decoder
from ansible_collections.vmops.qemu.tests.support.measured import measured, run_measured
from ansible_collections.vmops.qemu.tests.support.scripted_monitor import event
from ansible_collections.vmops.qemu.tests.support.values import ALL

from .peer import line
from .stranger import Stranger
from .truth import Truth

MOST = 150  # MB
EVENTS = 1_000_000 if ALL else 100_000
DISK = {"id": "x1", "backend": {"driver": "null-co", "size": 1 << 20}}


def array(item: bytes, count: int) -> bytes:
    return b"[" + b",".join([item] * count) + b"]"


def largest(item: bytes, end: bytes = b"]") -> bytes:
    """An array with as many of *item* as one message may have."""
    few = 1000
    taken = decoder.Decoder()
    list(taken.feed(b'{"a":' + array(item, few) + b"} "))
    return array(item, int(decoder.MAX_COST / taken.cost * few * 0.95))


FLOODS = {
    "16 MB of empty objects": lambda: array(b"{}", 5_600_000),
    "empty objects": lambda: largest(b"{}"),
    "empty arrays": lambda: largest(b"[]"),
    "nested arrays": lambda: largest(b'[[[[[[[{"a":[[[[0]]]]}]]]]]]]'),
    "floats": lambda: largest(b"1.5"),
    "large numbers": lambda: largest(b"12345678901234567890"),
    "strings": lambda: largest(b'"abc"'),
    "members": lambda: b"{" + b",".join(b'"%d":%d.5' % (one, one) for one in range(180_000)) + b"}",
    "one string": lambda: b'"' + b"x" * (decoder.MAX_MESSAGE - 1000) + b'"',
    "one string with one wide character": lambda: b'"' + b"x" * (4 << 20) + "😀".encode() + b'"',
    "control characters": lambda: b'"' + "\x85".encode() * (decoder.MAX_MESSAGE // 2 - 1000) + b'"',
    "a deep nest": lambda: b'{"a":' * 500 + b"1" + b"}" * 500,
}
SAMPLE = ("16 MB of empty objects", "nested arrays", "one string", "control characters", "a deep nest")
floods = pytest.mark.parametrize("flood", FLOODS if ALL else SAMPLE)


class Flood:
    """Answers as *truth* does, but with something large in each answer to the *victims*, or in every answer."""

    def __init__(self, truth: Truth, something: bytes, *victims: str) -> None:
        self._truth, self._something, self._victims = truth, something, victims

    def __call__(self, request: dict[str, Any]) -> Iterable[bytes]:
        reply = self._truth(request)
        answer = reply.get("return")
        if self._victims and request["execute"] not in self._victims or answer is None:
            return [line({"id": request["id"], **reply})]
        mark = "in place of this"
        if isinstance(answer, dict) and "version" not in request["execute"]:
            answer = {**answer, "more": mark}
        elif isinstance(answer, list) and answer and isinstance(answer[0], dict):
            answer = [{**answer[0], "more": mark}, *answer[1:]]
        else:
            answer = mark if "version" in request["execute"] else answer
        return [line({"return": answer, "id": request["id"]}).replace(json.dumps(mark).encode(), self._something)]


@floods
@pytest.mark.parametrize("module, options", [("qmp_info", {}), ("qmp_blockdev", DISK)], ids=["info", "blockdev"])
def test_large_answers_to_all_queries_leave_a_task_small(
    truth: Truth, tmp_path: Path, flood: str, module: str, options: Any
) -> None:
    with Stranger(tmp_path, Flood(truth, FLOODS[flood]())) as stranger:
        ended = run_measured(module, {"socket": stranger.path, **options})
    assert ended.memory < MOST, ended.memory
    if flood != "a deep nest":  # its size is allowed
        assert ended.result["error_code"] in ("protocol_error", "outcome_unknown") and not ended.result["changed"], ended


@floods
def test_large_answers_in_a_result_leave_a_task_small(truth: Truth, tmp_path: Path, flood: str) -> None:
    commands = [{"execute": "query-version"}] * 4
    with Stranger(tmp_path, Flood(truth, FLOODS[flood](), "query-version")) as stranger:
        ended = run_measured("qmp_command", {"socket": stranger.path, "commands": commands})
    assert ended.memory < MOST, ended.memory
    assert ended.result.get("error_code") == "protocol_error" or len(ended.result["replies"]) == 4


def test_a_large_error_leaves_a_task_small_and_its_message_short(tmp_path: Path) -> None:
    text = "x\x1b" * (1 << 19)
    error = {"error": {"class": "GenericError", "desc": text}}
    with Stranger(tmp_path, lambda request: [line({**error, "id": request["id"]})]) as stranger:
        ended = run_measured("qmp_info", {"socket": stranger.path})
    assert ended.memory < MOST and ended.result["error_code"] == "command_failed"
    assert len(ended.result["msg"]) < 50_000 and "\\x1b" in ended.result["msg"]


@pytest.mark.parametrize("data", [None, {"x": [{}] * 1000}, {"x": "y" * 100_000}], ids=["small", "many values", "large"])
def test_a_reply_is_found_behind_a_million_events_and_the_memory_stays_small(tmp_path: Path, data: Any) -> None:
    """There are fewer large events, so that the bytes are the same."""
    message = line(event("DEVICE_DELETED", {"device": "d1"} if data is None else data))
    count = EVENTS if data is None else EVENTS * 80 // len(message)

    def answer(request: dict[str, Any]) -> Iterator[bytes]:
        yield from itertools.repeat(message * 10, count // 10)
        yield line({"return": "found", "id": request["id"]})

    with Stranger(tmp_path, answer) as stranger:
        ended = measured(str(Path(__file__).with_name("read_past_events.py")), stranger.path)
    reply, seen, kept, last = ended.result
    assert reply == "found" and seen == count // 10 * 10 == last + 1 and 0 < kept <= seen
    assert ended.memory < 100, ended.memory


# -- time: the limits are far above what a run needs, and far below what it took before it was limited


def answered_late(truth: Truth, seconds: float, silent: str = "") -> Any:
    def answer(request: dict[str, Any]) -> Iterator[bytes]:
        time.sleep(seconds)
        if request["execute"] != silent:
            yield line({"id": request["id"], **truth(request)})

    return answer


@pytest.mark.parametrize(
    "module, options",
    [("qmp_info", {}), ("qmp_blockdev", DISK), ("qmp_power", {"state": "running"})],
    ids=["info", "blockdev", "power"],
)
def test_a_task_with_a_silent_monitor_ends_at_its_timeout(tmp_path: Path, module: str, options: dict[str, Any]) -> None:
    with Stranger(tmp_path, lambda request: []) as stranger:
        ended = run_measured(module, {"socket": stranger.path, "timeout": 1, **options})
    assert ended.result["error_code"] == "outcome_unknown" and ended.result["changed"] is False, ended
    assert "Reading the VM's state took longer than the timeout of 1 s" in ended.result["msg"]
    assert ended.seconds < 10


@pytest.mark.parametrize("module, options", [("qmp_info", {}), ("qmp_blockdev", DISK)], ids=["info", "blockdev"])
def test_a_monitor_that_answers_each_query_just_in_time_does_not_delay_a_task(
    truth: Truth, tmp_path: Path, module: str, options: Any
) -> None:
    with Stranger(tmp_path, answered_late(truth, 0.9)) as stranger:
        ended = run_measured(module, {"socket": stranger.path, "timeout": 1, **options})
    assert ended.result["error_code"] == "outcome_unknown" and ended.result["changed"] is False, ended
    assert "Reading the VM's state" in ended.result["msg"] and ended.seconds < 10


def test_a_monitor_that_is_silent_at_a_change_leaves_the_outcome_unknown(truth: Truth, tmp_path: Path) -> None:
    with Stranger(tmp_path, answered_late(truth, 0.0, "blockdev-add")) as stranger:
        ended = run_measured("qmp_blockdev", {"socket": stranger.path, "timeout": 2, **DISK})
    assert ended.result["error_code"] == "outcome_unknown" and ended.result["changed"] is True, ended
    assert "blockdev-add" in ended.result["msg"] and ended.seconds < 12


def test_a_monitor_that_falls_silent_after_the_change_is_reported_with_the_change(truth: Truth, tmp_path: Path) -> None:
    changed = threading.Event()

    def answer(request: dict[str, Any]) -> Iterator[bytes]:
        if request["execute"] == "object-add":
            changed.set()
        elif changed.is_set():
            return
        yield line({"id": request["id"], **truth(request)})

    with Stranger(tmp_path, answer) as stranger:
        ended = run_measured("qmp_object", {"socket": stranger.path, "timeout": 2, "id": "o1", "qom_type": "iothread"})
    assert ended.result["error_code"] == "outcome_unknown" and ended.result["changed"] is True, ended
    assert "change was completed" in ended.result["msg"] and ended.result["details"]["sent"], ended
    assert ended.seconds < 12
