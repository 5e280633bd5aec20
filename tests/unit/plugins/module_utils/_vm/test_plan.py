# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans: reported before they are applied, and rolled back when a step fails."""

from __future__ import annotations

import os
from typing import Any

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils._vm.errors import StillInProgress
from ansible_collections.vmops.qemu.plugins.module_utils._vm.model.query_cache import QueryCache
from ansible_collections.vmops.qemu.plugins.module_utils._vm.plan import plan
from ansible_collections.vmops.qemu.plugins.module_utils._vm.plan.plan import (
    Await,
    ConsumeDescriptors,
    Delete,
    Execute,
    PassDescriptor,
    Plan,
    PlanFailed,
    Run,
    Step,
    Steps,
)
from ansible_collections.vmops.qemu.plugins.module_utils.qmp import (
    CommandError,
    Disconnected,
    InvalidArguments,
    Monitor,
    OutcomeUnknown,
    ReadTimeout,
)
from ansible_collections.vmops.qemu.tests.support.scripted_monitor import connected, expect, hang_up, send_bytes, swallow

REFUSED = ("GenericError", "no")
IN_USE = ("GenericError", "Node a is in use")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "RETRY_SECONDS", 0.01)


def add(name: str) -> Step:
    return Execute("add", {"id": name}, Delete("del", {"id": name}))


def remove(name: str) -> Step:
    return Delete("del", {"id": name})


def wire(command: str, name: str) -> dict[str, Any]:
    return {"execute": command, "arguments": {"id": name}}


def failing(monitor: Monitor, *steps: Step, timeout: float = 5.0) -> PlanFailed:
    with pytest.raises(PlanFailed) as failure:
        Plan(steps).apply(monitor, timeout)
    return failure.value


def test_the_reported_commands_are_sent() -> None:
    steps = (add("a"), remove("b"), Execute("set", {"id": "c"}))
    with connected(expect("add", {"id": "a"}), expect("del", {"id": "b"}), expect("set", {"id": "c"})) as monitor:
        sent = Plan(steps).apply(monitor, 5.0).sent
    assert sent == Plan(steps).commands() == [wire("add", "a"), wire("del", "b"), wire("set", "c")]


def test_a_plan_without_steps_changes_nothing() -> None:
    assert not Plan().changed and Plan().commands() == []


def test_arguments_that_cannot_be_sent_cause_a_rollback() -> None:
    with connected(expect("add", {"id": "a"}), expect("del", {"id": "a"})) as monitor:
        failure = failing(monitor, add("a"), Execute("add", {"size": float("nan")}))
    assert isinstance(failure.cause, InvalidArguments) and failure.undone == [wire("del", "a")]


def test_a_failure_rolls_back_newest_first_and_is_the_error() -> None:
    with connected(
        expect("add", {"id": "a"}),
        expect("add", {"id": "b"}),
        expect("add", {"id": "c"}, error=REFUSED),
        expect("del", {"id": "b"}),
        expect("del", {"id": "a"}),
    ) as monitor:
        failure = failing(monitor, add("a"), add("b"), add("c"))
    assert isinstance(failure.cause, CommandError) and failure.cause.desc == "no"
    assert failure.sent == [wire("add", "a"), wire("add", "b"), wire("add", "c")]
    assert failure.undone == [wire("del", "b"), wire("del", "a")]
    assert failure.left == failure.done == []


def test_a_command_that_qemu_could_not_parse_causes_a_rollback() -> None:
    unread = b'{"error": {"class": "GenericError", "desc": "JSON parse error"}}'
    with connected(
        expect("add", {"id": "a"}), swallow("add", {"id": "b"}), send_bytes(unread), expect("del", {"id": "a"})
    ) as monitor:
        failure = failing(monitor, add("a"), add("b"))
    assert isinstance(failure.cause, CommandError) and failure.cause.desc == "JSON parse error"
    assert failure.undone == [wire("del", "a")] and failure.left == []


def test_steps_and_their_rollback_have_time_when_that_for_reading_is_over() -> None:
    with connected(
        expect("add", {"id": "a"}),
        expect("query-x"),
        expect("add", {"id": "b"}, error=REFUSED),
        expect("del", {"id": "a"}),
        swallow("query-x"),
        read_timeout=0.01,
    ) as monitor:
        look = Await(lambda run: run.read("query-x") == {}, lambda run: StillInProgress("never"))
        assert failing(monitor, add("a"), look, add("b")).undone == [wire("del", "a")]
        with pytest.raises(ReadTimeout):
            QueryCache(monitor).ask("query-x")


def test_an_undo_that_fails_is_reported_and_nothing_below_it_is_undone() -> None:
    with connected(
        expect("add", {"id": "a"}),
        expect("add", {"id": "b"}),
        expect("add", {"id": "c"}),
        expect("add", {"id": "d"}, error=REFUSED),
        expect("del", {"id": "c"}),
        expect("del", {"id": "b"}, error=("GenericError", "never")),
    ) as monitor:
        failure = failing(monitor, add("a"), add("b"), add("c"), add("d"))
    assert isinstance(failure.cause, CommandError) and failure.cause.command == "add"
    assert failure.undone == [wire("del", "c")]
    assert failure.left == [wire("del", "b"), wire("del", "a")]


def test_a_removal_remains_in_force() -> None:
    with connected(expect("del", {"id": "a"}), expect("add", {"id": "b"}, error=REFUSED)) as monitor:
        failure = failing(monitor, remove("a"), add("b"))
    assert failure.done == [wire("del", "a")] and failure.undone == []


def test_after_a_broken_connection_nothing_more_is_tried() -> None:
    with connected(expect("add", {"id": "a"}), swallow("add", {"id": "b"}), hang_up()) as monitor:
        failure = failing(monitor, add("a"), add("b"))
    assert isinstance(failure.cause, Disconnected)
    assert failure.undone == failure.left == [] and failure.done == [wire("add", "a")]


def test_a_command_without_an_answer_leaves_the_outcome_unknown() -> None:
    with connected(swallow("add", {"id": "a"}), command_timeout=0.05) as monitor:
        assert isinstance(failing(monitor, add("a")).cause, OutcomeUnknown)


def test_a_connection_that_breaks_in_a_rollback_leaves_the_rest() -> None:
    with connected(
        expect("add", {"id": "a"}),
        expect("add", {"id": "b"}),
        expect("add", {"id": "c"}, error=REFUSED),
        swallow("del", {"id": "b"}),
        hang_up(),
    ) as monitor:
        failure = failing(monitor, add("a"), add("b"), add("c"))
    assert failure.left == [wire("del", "b"), wire("del", "a")]


@pytest.mark.parametrize(
    "gone",
    [
        ("DeviceNotFound", "Device 'a' not found"),
        ("GenericError", "Failed to find node with node-name='a'"),
        ("GenericError", "File descriptor named 'a' has not been found"),
    ],
)
def test_deleting_an_object_that_does_not_exist_is_done(gone: tuple[str, str]) -> None:
    with connected(expect("del", {"id": "a"}, error=gone)) as monitor:
        Plan((remove("a"),)).apply(monitor, 5.0)


def test_deleting_an_object_in_use_is_repeated_and_reported_once() -> None:
    with connected(expect("del", {"id": "a"}, error=IN_USE), expect("del", {"id": "a"})) as monitor:
        assert Plan((remove("a"),)).apply(monitor, 5.0).sent == [wire("del", "a")]


def test_deleting_an_object_that_remains_in_use_fails_after_the_time_limit() -> None:
    with connected(expect("del", {"id": "a"}, error=IN_USE)) as monitor:
        assert "in use" in str(failing(monitor, remove("a"), timeout=-1.0).cause)


def test_a_descriptor_is_passed_and_closed_here() -> None:
    opened: list[int] = []

    def null() -> int:
        opened.append(os.open(os.devnull, os.O_RDONLY))
        return opened[-1]

    with connected(expect("getfd", {"fdname": "fd0"}, fds=1)) as monitor:
        PassDescriptor("fd0", null).apply(Run(monitor, 5.0))
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(opened[0])


def test_a_descriptor_that_was_not_consumed_is_closed_in_qemu() -> None:
    with connected(
        expect("getfd", {"fdname": "fd0"}, fds=1), expect("add", {"id": "a"}, error=REFUSED), expect("closefd", {"fdname": "fd0"})
    ) as monitor:
        failing(monitor, PassDescriptor("fd0", lambda: os.open(os.devnull, os.O_RDONLY)), add("a"))


def test_a_file_that_cannot_be_opened_causes_a_rollback() -> None:
    def missing() -> int:
        return os.open("/nosuch", os.O_RDONLY)

    nothing = ("GenericError", "File descriptor named 'fd0' not found")
    with connected(
        expect("add", {"id": "a"}), expect("closefd", {"fdname": "fd0"}, error=nothing), expect("del", {"id": "a"})
    ) as monitor:
        assert isinstance(failing(monitor, add("a"), PassDescriptor("fd0", missing)).cause, FileNotFoundError)


def test_a_descriptor_of_a_killed_run_is_closed_in_qemu_first() -> None:
    answers: list[OSError | None] = [OSError("busy"), None]

    def busy_once() -> int:
        answer = answers.pop(0)
        if answer:
            raise answer
        return os.open(os.devnull, os.O_RDONLY)

    with connected(expect("closefd", {"fdname": "fd0"}), expect("getfd", {"fdname": "fd0"}, fds=1)) as monitor:
        PassDescriptor("fd0", busy_once).apply(Run(monitor, 5.0))


@pytest.mark.parametrize("again", [False, True])
def test_descriptors_that_qemu_has_closed_are_passed_once_more(again: bool) -> None:
    closed = ("GenericError", "Can't use file descriptor 14: Bad file descriptor")
    passed, refused = expect("getfd", {"fdname": "fd0"}, fds=1), expect("add", {"id": "a"}, error=closed)
    last = [refused, expect("closefd", {"fdname": "fd0"})] if again else [expect("add", {"id": "a"})]
    with connected(passed, refused, passed, *last) as monitor:
        passing = PassDescriptor("fd0", lambda: os.open(os.devnull, os.O_RDONLY))
        consuming = ConsumeDescriptors("add", {"id": "a"}, uses=(passing,))
        if again:
            assert isinstance(failing(monitor, passing, consuming).cause, CommandError)
        else:
            Plan((passing, consuming)).apply(monitor, 5.0)


class Look(Step):
    """A step that only reads."""

    changes = False

    def commands(self) -> list[plan.Command]:
        return [{"execute": "query-x"}]

    def apply(self, run: Run) -> None:
        run.read("query-x")


def test_only_steps_that_change_the_vm_count_as_a_change() -> None:
    with connected(expect("query-x"), expect("add", {"id": "a"}, error=REFUSED)) as monitor:
        failure = failing(monitor, Look(), add("a"))
    assert failure.done == [{"execute": "query-x"}] and not failure.changed
    with connected(expect("del", {"id": "b"}), expect("add", {"id": "a"}, error=REFUSED)) as monitor:
        assert failing(monitor, remove("b"), add("a")).changed
    with connected(swallow("query-x"), hang_up()) as monitor:
        assert not failing(monitor, Look()).changed
    with connected(expect("query-x"), swallow("add", {"id": "a"}), hang_up()) as monitor:
        assert failing(monitor, Look(), add("a")).changed


def test_an_operation_that_continues_is_a_change_of_the_run_that_started_it() -> None:
    late = Await(lambda run: False, lambda run: StillInProgress("not yet"))
    with connected(expect("add", {"id": "a"})) as monitor:
        failure = failing(monitor, add("a"), late, timeout=0.0)
    assert failure.changed and failure.undone == [] and failure.step is late
    with connected() as monitor:
        assert not failing(monitor, late, timeout=0.0).changed


def test_steps_in_a_group_are_one_step() -> None:
    group = Steps((add("a"), add("b")))
    assert group.commands() == [wire("add", "a"), wire("add", "b")] and group.undo() is None
    with connected(expect("add", {"id": "a"}), expect("add", {"id": "b"})) as monitor:
        assert Plan((group,)).apply(monitor, 5.0).sent == group.commands()


def test_a_step_that_consumes_others_is_undone_alone() -> None:
    first = add("a")
    with connected(
        expect("add", {"id": "a"}),
        expect("join", {"id": "a"}),
        expect("add", {"id": "b"}, error=REFUSED),
        expect("part", {"id": "a"}),
    ) as monitor:
        joined = Execute("join", {"id": "a"}, Execute("part", {"id": "a"}), uses=(first,))
        assert failing(monitor, first, joined, add("b")).undone == [wire("part", "a")]


def test_a_step_that_waits_can_restore_what_it_waited_for() -> None:
    gone = Await(lambda run: True, lambda run: StillInProgress("late"), undo_step=Execute("add", {"id": "old"}))
    with connected(expect("add", {"id": "b"}, error=REFUSED), expect("add", {"id": "old"})) as monitor:
        assert failing(monitor, gone, add("b")).undone == [wire("add", "old")]
