# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The monitor against a peer that lies and floods: each call ends in time, with a value or a QMPError."""

from __future__ import annotations

import itertools
import time
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ansible_collections.vmops.qemu.plugins.module_utils.qmp import (
    CommandError,
    ConnectError,
    Disconnected,
    InvalidArguments,
    OutcomeUnknown,
    ProtocolError,
    QMPError,
    Request,
    Schema,
    unreadable,
)
from ansible_collections.vmops.qemu.plugins.module_utils.qmp import monitor as monitor_module
from ansible_collections.vmops.qemu.tests.support.scripted_monitor import event, greeting

from .peer import Peer, connect, line
from .values import anything, paths_in, replaced, texts

OURS = "the id of the request"
members = st.fixed_dictionaries(
    {},
    optional={
        "id": st.one_of(st.just(OURS), anything),
        "return": anything,
        "error": st.one_of(anything, st.fixed_dictionaries({}, optional={"class": anything, "desc": anything})),
        "event": anything,
        "timestamp": st.one_of(anything, st.fixed_dictionaries({}, optional={"seconds": anything, "microseconds": anything})),
        "data": anything,
        "QMP": anything,
    },
)
"""Messages in which any member may be missing, or may have any type."""


def say(*messages: dict[str, Any]) -> Peer:
    """A peer that answers every request with *messages*."""

    def reply(request: dict[str, Any]) -> Iterator[bytes]:
        for message in messages:
            ours = message.get("id") == OURS
            yield line({**message, "id": request["id"]} if ours else message)

    return Peer(reply)


@given(st.lists(members, min_size=1, max_size=4))
@example([{"event": "E", "timestamp": {"seconds": 10**19, "microseconds": -1}}, {"id": OURS, "error": {"class": 1, "desc": []}}])
@example([{"id": OURS, "return": 0}, {"id": OURS, "return": 1}])
@example([{"event": "E", "timestamp": {"seconds": 0, "microseconds": 0}}])
def test_any_messages_end_in_a_value_or_one_error_and_a_protocol_error_closes_the_connection(
    messages: list[dict[str, Any]],
) -> None:
    monitor = connect(say(*messages))
    try:
        monitor.execute("query-status", timeout=0.01)
    except CommandError as error:
        assert isinstance(error.desc, str) and isinstance(error.qmp_class, str)
        assert not monitor.closed
    except QMPError as error:
        assert isinstance(error, (ProtocolError, OutcomeUnknown)) and str(error)
        assert monitor.closed
        with pytest.raises(Disconnected):
            monitor.execute("query-status")


@given(st.data())
def test_any_greeting_ends_in_a_connection_or_a_connect_error(data: st.DataObject) -> None:
    true = greeting()
    path = data.draw(st.sampled_from(paths_in(true)))
    message = replaced(true, path, data.draw(st.one_of(st.just(...), anything)))
    first = [line(message) if isinstance(message, dict) else repr(message).encode()]
    reply = data.draw(members)
    peer = Peer(lambda request: [line({**reply, "id": request["id"]} if reply.get("id") == OURS else reply)], first)
    try:
        monitor = connect(peer, timeout=0.01)
    except ConnectError as error:
        assert str(error)
    else:
        assert all(isinstance(part, int) for part in monitor.version)


def is_of_one_digit(ident: Any) -> bool:
    return isinstance(ident, int) and not isinstance(ident, bool) and 0 <= ident < 10


@given(anything.filter(lambda ident: ident is not None and not is_of_one_digit(ident)))
@example(True)
@example(0.0)
@example("0")
def test_an_answer_to_an_id_that_was_never_sent_is_ignored(ident: Any) -> None:
    outcomes: list[dict[str, Any]] = [{"return": "no"}, {"error": {}}]
    strange = ({**outcome, "id": ident} for outcome in outcomes)
    monitor = connect(say(*strange, {"return": 1, "id": OURS}))
    assert monitor.execute("query-status") == 1


@given(anything, anything)
def test_a_schema_of_any_shape_is_read_or_refused(reply: Any, properties: Any) -> None:
    schema = Schema(
        connect(
            Peer(
                lambda request: [
                    line({"id": request["id"], "return": reply if request["execute"] == "query-qmp-schema" else properties})
                ]
            )
        )
    )
    for ask in (lambda: schema.command_arguments("x"), lambda: schema.device_properties("x")):
        try:
            assert isinstance(ask(), dict)
        except QMPError as error:
            assert "." in str(error)


@pytest.mark.parametrize("inner", ["1", "2", "nowhere"])
def test_a_schema_whose_types_refer_to_each_other_is_read_to_an_end(inner: str) -> None:
    variants = [{"case": "a", "type": "2"}, {"case": "b", "type": inner}]
    entities = [
        {"name": "x", "meta-type": "command", "arg-type": "1"},
        {"name": "1", "meta-type": "object", "members": [], "variants": variants},
        {"name": "2", "meta-type": "alternate", "members": [{"type": "3"}, {"type": "1"}]},
        {"name": "3", "meta-type": "array", "element-type": "3"},
    ]
    schema = Schema(connect(say({"id": OURS, "return": entities})))
    if inner == "nowhere":
        with pytest.raises(ProtocolError, match="nowhere"):
            schema.command_arguments("x")
    else:
        assert schema.command_arguments("x") == {}


@pytest.mark.parametrize(
    "message", [pytest.param(event("E"), id="events"), pytest.param(event("E", {"x": "y" * 5000}), id="large events")]
)
def test_a_flood_of_events_does_not_delay_a_command_beyond_its_timeout(message: dict[str, Any]) -> None:
    monitor, began = connect(Peer(lambda request: itertools.repeat(line(message) * 1000))), time.monotonic()
    with pytest.raises(OutcomeUnknown):
        monitor.execute("query-status", timeout=0.3)
    assert time.monotonic() - began < 3


def flood(data: dict[str, Any] | None, count: int) -> Peer:
    """A peer that sends *count* events before it answers."""

    def reply(request: dict[str, Any]) -> Iterator[bytes]:
        yield from itertools.repeat(line(event("E", data)) * 100, count // 100)
        yield line({"return": 1, "id": request["id"]})

    return Peer(reply)


def test_the_time_for_events_grows_only_with_their_number() -> None:
    def seconds(count: int) -> float:
        monitor, began = connect(flood(None, count)), time.process_time()
        since = monitor.mark()
        assert monitor.execute("query-status", timeout=100) == 1
        assert len(monitor.events(since)) == min(count, monitor_module.MAX_EVENTS)
        return time.process_time() - began

    few, many = min(seconds(10_000), seconds(10_000)), seconds(120_000)
    assert many < 12 * few * 2


@pytest.mark.parametrize("data, count", [(None, 10_000), ({"x": "y" * 1000}, 10_000), ({"x": [[]] * 100}, 2_000)])
def test_the_queue_stays_bounded_under_a_flood_of_events(data: Any, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor_module, "MAX_EVENTS", 2000)
    monkeypatch.setattr(monitor_module, "MAX_EVENT_BYTES", 200_000)
    size = len(line(event("E", data)))
    monitor = connect(flood(data, count))
    since = monitor.mark()
    tracemalloc.start()
    try:
        assert monitor.execute("query-status", timeout=100) == 1
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    kept = monitor.events(since)
    assert 0 < len(kept) <= min(2000, 200_000 // (size - 2))
    assert kept[-1].seq == count - 1
    assert peak < 8_000_000


def test_replies_that_are_large_only_together_are_refused_before_they_fill_the_memory() -> None:
    text = "y" * 90_000
    peer = Peer(lambda request: [line({"return": text, "id": request["id"]})])
    monitor = connect(peer, max_message=100_000)
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError, match="replies together are larger than 400000 bytes"):
            monitor.execute_many([Request("query-block")] * 20_000)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert monitor.closed and len(peer.requests()) < 1000
    assert peak < 50_000_000


def texts_of(value: Any) -> str:
    """All texts in *value*, joined."""
    if isinstance(value, dict):
        return "".join(map(texts_of, [*value, *value.values()]))
    return "".join(map(texts_of, value)) if isinstance(value, list) else value if isinstance(value, str) else ""


@given(st.lists(st.dictionaries(texts, st.one_of(anything, st.floats(), st.lists(st.floats())), max_size=3), max_size=600))
@example([{}] * 599 + [{"x": {"y": [float("inf")]}}])
def test_either_all_arguments_are_sent_as_they_are_or_none(arguments: list[dict[str, Any]]) -> None:
    peer = Peer(lambda request: [line({"return": {}, "id": request["id"]})])
    monitor = connect(peer)
    try:
        monitor.execute_many([Request("device_add", one) for one in arguments])
    except InvalidArguments as error:
        assert "nan" in repr(arguments) or "inf" in repr(arguments) or unreadable(texts_of(arguments)), error
        assert len(peer.requests()) == 1  # the negotiation
        assert monitor.execute("query-status") == {}
    else:
        assert [request["arguments"] for request in peer.requests()[1:]] == arguments
        assert not unreadable(texts_of(arguments))


def test_an_event_larger_than_the_queue_is_still_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor_module, "MAX_EVENT_BYTES", 100)
    monitor = connect(say(event("BIG", {"x": "y" * 1000}), {"return": 1, "id": OURS}))
    since = monitor.mark()
    assert monitor.execute("query-status") == 1
    assert [one.name for one in monitor.events(since)] == ["BIG"]


def test_a_message_nested_to_the_limit_can_be_traced() -> None:
    seen: list[dict[str, Any]] = []
    deep: Any = 0
    for _level in range(500):
        deep = {"a": deep}
    connect(say({"return": deep, "id": OURS}), tracer=lambda direction, message: seen.append(message)).execute("query-status")
    assert seen[-1]["return"] == deep
