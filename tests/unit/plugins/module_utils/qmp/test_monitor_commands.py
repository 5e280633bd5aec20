# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands and their replies."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from typing import Any, Callable, Dict
from unittest import mock

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils.qmp import (
    CommandError,
    ConnectError,
    Disconnected,
    InvalidArguments,
    Monitor,
    OutcomeUnknown,
    ProtocolError,
    Request,
)
from ansible_collections.vmops.qemu.plugins.module_utils.qmp import monitor as monitor_module
from ansible_collections.vmops.qemu.plugins.module_utils.qmp.transport import Transport
from ansible_collections.vmops.qemu.tests.support.scripted_monitor import (
    NEGOTIATION,
    Peer,
    ScriptedMonitor,
    Step,
    connected,
    event,
    expect,
    greeting,
    hang_up,
    hold,
    send,
    send_bytes,
    swallow,
)

DEL = ("device_del", {"id": "d0"})


def reply_to(ident: Any, value: Any = None, **layout: Any) -> bytes:
    return json.dumps({"return": {} if value is None else value, "id": ident}, **layout).encode() + b"\r\n"


def test_arguments_go_out_as_native_json_and_the_return_value_comes_back() -> None:
    arguments = {"id": "ä", "queues": 2, "share-rw": True, "none": None, "nested": {"list": [1.5]}}
    with connected(expect("device_add", arguments, reply=[1, "x"])) as monitor:
        assert monitor.execute("device_add", arguments) == [1, "x"]


def test_an_error_reply_is_raised_with_class_desc_and_command() -> None:
    script = [expect(*DEL, error=("DeviceNotFound", "Device 'd0' not found")), expect("query-status")]
    with connected(*script) as monitor:
        with pytest.raises(CommandError) as caught:
            monitor.execute(*DEL)
        assert monitor.execute("query-status") == {}
    error = caught.value
    assert (error.qmp_class, error.desc, error.command) == ("DeviceNotFound", "Device 'd0' not found", "device_del")
    assert str(error) == "device_del: Device 'd0' not found"


def test_many_commands_are_answered_in_order_with_errors_in_their_places() -> None:
    script = [
        expect("query-cpus-fast", reply=[1]),
        expect(*DEL, error=("GenericError", "busy")),
        expect("query-block", reply=[2]),
    ]
    with connected(*script) as monitor:
        first, second, third = monitor.execute_many(Request(*step) for step in (("query-cpus-fast",), DEL, ("query-block",)))
    assert (first, third) == ([1], [2])
    assert isinstance(second, CommandError)
    assert str(second) == "device_del: busy"


def test_no_commands_need_no_round_trip() -> None:
    with connected() as monitor:
        assert monitor.execute_many([]) == []
    with pytest.raises(Disconnected):
        monitor.execute_many([])


def test_replies_are_matched_by_id_and_not_by_order() -> None:
    ids = []

    def answer_backwards(peer: Peer) -> None:
        for name in ("a", "b"):
            peer.take(name, None, 0)
            ids.append((peer.last_id, name))
        for ident, name in reversed(ids):
            peer.send(reply_to(ident, name))

    with connected(Step("answer", answer_backwards)) as monitor:
        assert monitor.execute_many([Request("a"), Request("b")]) == ["a", "b"]


def test_requests_and_replies_beyond_all_socket_buffers_do_not_block_each_other() -> None:
    arguments, reply = {"text": "q" * 5000}, "r" * 20000
    script = [expect("echo", arguments, reply=reply)] * 200
    with connected(*script) as monitor:
        assert monitor.execute_many([Request("echo", arguments)] * 200) == [reply] * 200


def test_more_commands_than_go_at_once_are_still_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor_module, "_AT_ONCE", 3)
    script = [expect("echo", {"n": n}, reply=n) for n in range(8)]
    with connected(*script) as monitor:
        with mock.patch.object(Transport, "send", autospec=True, side_effect=Transport.send) as send:
            assert monitor.execute_many([Request("echo", {"n": n}) for n in range(8)]) == list(range(8))
    assert [call[0][1].count(b"\n") for call in send.call_args_list] == [3, 3, 2]


def test_never_more_commands_are_on_their_way_than_there_are_ids_of_one_digit() -> None:
    seen: list[int] = []

    def answer(peer: Peer) -> None:
        for _command in range(10):
            peer.take("echo", None, 0)
            seen.append(peer.last_id)
        peer.socket.settimeout(0.2)
        with pytest.raises(socket.timeout):  # TimeoutError since Python 3.10
            peer.socket.recv(1)  # the others wait for replies
        peer.socket.settimeout(5)
        for number in range(10):
            peer.send(reply_to(seen[number], number))

    others = [expect("echo", reply=number) for number in range(10, 100)]
    with connected(Step("answer", answer), *others) as monitor:
        assert monitor.execute_many([Request("echo")] * 100) == [*range(100)]
    assert sorted(seen) == [*range(10)]


def answer_slowly(peer: Peer) -> None:
    peer.take("echo", None, 0)
    time.sleep(0.2)
    peer.send(reply_to(peer.last_id))


def test_the_time_is_for_all_commands_of_one_call() -> None:
    slowly = Step("answer slowly", answer_slowly)
    with connected(slowly, slowly, *[swallow("echo")] * 3) as monitor:
        with pytest.raises(OutcomeUnknown):
            monitor.execute_many([Request("echo")] * 5, timeout=0.3)


def test_arguments_that_are_not_json_keep_even_the_first_of_many_commands_from_being_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(monitor_module, "_AT_ONCE", 1)
    with connected(expect("query-status")) as monitor:
        with pytest.raises(InvalidArguments):
            monitor.execute_many([Request("stop"), Request("device_add", {"x": float("nan")})])
        assert monitor.execute("query-status") == {}


def test_replies_that_are_too_large_together_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor_module, "_AT_ONCE", 2)
    script = [expect("echo", reply="x" * 900)] * 7
    with connected(*script, max_message=1000) as monitor:
        assert [len(monitor.execute("echo")) for _time in range(2)] == [900, 900]
        with pytest.raises(ProtocolError, match="larger than 4000 bytes"):
            monitor.execute_many([Request("echo")] * 5)
        assert monitor.closed


def test_replies_that_take_too_much_memory_together_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor_module, "MAX_COST", 100000)
    with connected(*[expect("echo", reply=[{}] * 100)] * 6) as monitor:
        assert [len(monitor.execute("echo")) for _time in range(2)] == [100, 100]
        with pytest.raises(ProtocolError, match="replies together take more than 100000 bytes of memory"):
            monitor.execute_many([Request("echo")] * 4)
        assert monitor.closed


class Owner:
    """Has replies."""


def echo_until_it_leaves(peer: Peer) -> None:
    with contextlib.suppress(AssertionError):  # the client left
        while True:
            peer.take("echo", None, 0)
            peer.send(reply_to(peer.last_id, ["x" * 100] * 100))


@pytest.mark.parametrize("counted", [0, 1 << 30])
def test_what_is_kept_of_replies_is_limited_as_long_as_it_is_kept(monkeypatch: pytest.MonkeyPatch, counted: int) -> None:
    monkeypatch.setattr(monitor_module, "MAX_KEPT", 100000)
    monkeypatch.setattr(monitor_module, "_COUNTED", counted)
    with connected(Step("echo", echo_until_it_leaves)) as monitor:
        for _time in range(30):
            owner = Owner()
            monitor.keep(owner, monitor.execute("echo"))
            del owner
        owner = Owner()
        with pytest.raises(ProtocolError, match="replies take more than 100000 bytes of memory together"):
            for _time in range(10):
                monitor.keep(owner, monitor.execute("echo"))
        assert monitor.closed


def test_a_pretty_printed_reply_is_one_reply() -> None:
    value = {"status": "running", "list": [{"deep": [1, 2]}]}
    script = [
        swallow("query-status"),
        send_bytes(lambda ident: reply_to(ident, value, indent=4).replace(b"\n", b"\r\n")),
    ]
    with connected(*script) as monitor:
        assert monitor.execute("query-status") == value


def test_a_reply_of_240_kilobytes_arriving_byte_by_byte_is_taken_whole() -> None:
    schema = [{"name": str(number), "meta-type": "object", "members": []} for number in range(5000)]
    assert len(reply_to("", schema)) > 240000
    script = [swallow("query-qmp-schema"), send_bytes(lambda ident: reply_to(ident, schema), chunk=1)]
    with connected(*script) as monitor:
        assert monitor.execute("query-qmp-schema") == schema


def test_a_reply_above_the_cap_is_refused() -> None:
    with connected(expect("query-block", reply="x" * 2000), max_message=1000) as monitor:
        with pytest.raises(ProtocolError, match="query-block: QEMU sent a message of more than 1000 bytes"):
            monitor.execute("query-block")


def test_a_command_without_reply_in_time_has_an_unknown_outcome_and_ends_the_connection() -> None:
    with connected(swallow(*DEL)) as monitor:
        with pytest.raises(OutcomeUnknown, match="device_del: QEMU did not reply in time.*read the VM's state") as caught:
            monitor.execute(*DEL, timeout=0.1)
    assert (caught.value.command, monitor.closed) == ("device_del", True)


def test_the_time_for_commands_is_set_once_for_the_connection() -> None:
    with connected(swallow("stop"), command_timeout=0.1) as monitor:
        with pytest.raises(OutcomeUnknown):
            monitor.execute("stop")


def test_events_do_not_put_off_the_deadline_of_a_command() -> None:
    stop = threading.Event()

    def flood(peer: Peer) -> None:
        while not stop.is_set():
            peer.send_message(event("RTC_CHANGE"))

    with connected(swallow("stop"), Step("flood", flood)) as monitor:
        with pytest.raises(OutcomeUnknown):
            monitor.execute("stop", timeout=0.1)
        stop.set()


def test_a_late_reply_after_a_time_out_is_never_taken_for_anothers() -> None:
    gate = threading.Event()
    late = [swallow("query-block"), hold(gate), send_bytes(reply_to)]
    with ScriptedMonitor(late, [expect("query-status", reply="mine")]) as server:
        monitor = Monitor.connect(server.address)
        with pytest.raises(OutcomeUnknown):
            monitor.execute("query-block", timeout=0.1)
        with pytest.raises(Disconnected):
            monitor.execute("query-status")
        gate.set()
        with Monitor.connect(server.address) as again:
            assert again.execute("query-status") == "mine"


def test_a_reply_meant_for_an_earlier_client_is_not_taken_for_ours() -> None:
    ids: list[str] = []

    def note(ident: str) -> bytes:
        ids.append(ident)
        return b""

    first = [swallow("query-block"), send_bytes(note)]
    owed = Step("owed", lambda peer: peer.send(reply_to(ids[0], "not yours")))  # QEMU sends it before it executes ours
    second = [send(greeting()), owed, expect("qmp_capabilities"), expect("query-status", reply="mine")]
    with ScriptedMonitor([*NEGOTIATION, *first], second, negotiate=False) as server:
        with pytest.raises(OutcomeUnknown):
            Monitor.connect(server.address).execute("query-block", timeout=0.1)
        with Monitor.connect(server.address) as monitor:
            assert monitor.execute("query-status") == "mine"


@pytest.mark.parametrize("ident", ["elsewhere-1", 7, ["a"], {"a": 1}, True, ""])
@pytest.mark.parametrize("outcome", [{"return": {"not": "yours"}}, {"error": {"class": "GenericError", "desc": "not yours"}}])
def test_a_reply_with_an_id_that_is_none_of_ours_is_dropped(ident: Any, outcome: dict[str, Any]) -> None:
    strange = json.dumps({**outcome, "id": ident}).encode()
    with connected(swallow(*DEL), send_bytes(strange), send_bytes(lambda ident: reply_to(ident, "mine"))) as monitor:
        assert monitor.execute(*DEL) == "mine"


def test_an_error_without_an_id_is_the_reply_to_the_oldest_command() -> None:
    unread = b'{"error": {"class": "GenericError", "desc": "JSON parse error"}}'
    ids = []

    def answer(peer: Peer) -> None:
        for name in ("a", "b", "c"):
            peer.take(name, None, 0)
            ids.append(peer.last_id)
        peer.send(reply_to(ids[0], "A") + unread + reply_to(ids[2], "C"))

    with connected(Step("answer", answer), expect("d", reply="D")) as monitor:
        first, second, third = monitor.execute_many([Request("a"), Request("b"), Request("c")])
        assert (first, third, monitor.execute("d")) == ("A", "C", "D")
    assert isinstance(second, CommandError)
    assert (second.command, second.desc) == ("b", "JSON parse error")


def test_an_error_without_an_id_is_raised_and_the_connection_goes_on() -> None:
    unread = b'{"error": {"class": "GenericError", "desc": "JSON parse error"}}'
    with connected(swallow(*DEL), send_bytes(unread), expect("query-status")) as monitor:
        with pytest.raises(CommandError, match="device_del: JSON parse error"):
            monitor.execute(*DEL)
        assert monitor.execute("query-status") == {}


def test_an_error_without_an_id_that_nobody_waits_for_is_dropped() -> None:
    unread = {"error": {"class": "GenericError", "desc": "JSON parse error"}}
    with connected(expect("stop", after=[unread, event("STOP")]), expect("cont")) as monitor:
        monitor.execute("stop")
        monitor.wait_event(lambda seen: seen.name == "STOP", 0, 5)
        assert monitor.execute("cont") == {}


def test_requests_are_compact_and_their_ids_have_one_digit() -> None:
    lines: list[bytes] = []

    def answer(peer: Peer) -> None:
        lines.append(peer.socket.recv(1000))
        peer.last_id = json.loads(lines[-1])["id"]
        peer.send(reply_to(peer.last_id))

    with connected(*[Step("answer", answer)] * 25) as monitor:
        for _command in range(25):
            monitor.execute("device_del", {"id": "d0"})
    assert lines == [b'{"execute":"device_del","arguments":{"id":"d0"},"id":%d}\n' % (number % 10) for number in range(25)]


def test_a_reply_that_comes_twice_is_not_taken_for_the_next_commands() -> None:
    twice = [swallow("a"), send_bytes(lambda ident: 2 * reply_to(ident, "A")), expect("b", reply="B")]
    with connected(*twice) as monitor:
        assert (monitor.execute("a"), monitor.execute("b")) == ("A", "B")


@pytest.mark.parametrize(
    "data, reason",
    [
        (b"HTTP/1.1 400\r\n", "something that is not a QMP message: 'HTTP/1.1 400"),
        (b'{"return": {}, "id": 1]', "something that is not a QMP message"),
        (b'{"return": {}}', "neither an event nor a reply to a command of ours"),
        (b'{"QMP": {}}', "neither an event nor a reply to a command of ours"),
        (b"{}", "neither an event nor a reply to a command of ours"),
        (b'{"error": {}}', "neither a return value nor a proper error"),
        (lambda ident: json.dumps({"id": ident}).encode(), "neither a return value nor a proper error"),
        (lambda ident: json.dumps({"id": ident, "error": "no"}).encode(), "neither a return value nor a proper error"),
        (b'{"event": "STOP"}', "an event without a proper timestamp"),
        (json.dumps({**event("STOP"), "data": [1]}).encode(), "an event whose data is not an object"),
        (b'{"event": "STOP", "timestamp": {"seconds": "1", "microseconds": 0}}', "an event without a proper timestamp"),
    ],
)
def test_malformed_input_names_the_pending_command_and_ends_the_connection(data: bytes, reason: str) -> None:
    with connected(swallow(*DEL), send_bytes(data)) as monitor:
        with pytest.raises(ProtocolError) as caught:
            monitor.execute(*DEL)
    assert (caught.value.command, monitor.closed) == ("device_del", True)
    assert str(caught.value).startswith("device_del: ")
    assert reason in str(caught.value)


def test_malformed_input_with_no_command_pending_names_none() -> None:
    gate = threading.Event()
    with connected(hold(gate), send_bytes(b"oops")) as monitor:
        gate.set()
        with pytest.raises(ProtocolError) as caught:
            monitor.poll_events(5)
    assert (caught.value.command, str(caught.value)) == (None, "The monitor sent something that is not a QMP message: 'oops'.")


@pytest.mark.parametrize("data", [b"", b'{"return": {"half": '])
def test_an_end_before_or_amid_the_reply_is_a_disconnection_with_the_command(data: bytes) -> None:
    with connected(swallow(*DEL), send_bytes(data), hang_up()) as monitor:
        with pytest.raises(Disconnected, match="device_del: the connection broke before the reply.*connect again") as caught:
            monitor.execute(*DEL)
    assert (caught.value.command, monitor.closed) == ("device_del", True)


def test_of_many_commands_the_first_without_reply_is_named() -> None:
    script = [expect("query-status"), swallow(*DEL), swallow("query-block"), hang_up()]
    with connected(*script) as monitor:
        with pytest.raises(Disconnected) as caught:
            monitor.execute_many([Request("query-status"), Request(*DEL), Request("query-block")])
    assert caught.value.command == "device_del"


@pytest.mark.parametrize("method, error", [("send", BrokenPipeError), ("receive", ConnectionResetError)])
def test_a_connection_that_breaks_is_a_disconnection_whatever_the_system_calls_it(method: str, error: type[OSError]) -> None:
    with connected(Step("whatever", lambda peer: peer.socket.recv(100))) as monitor:
        with mock.patch.object(Transport, method, side_effect=error), pytest.raises(Disconnected) as caught:
            monitor.execute("stop")
    assert (caught.value.command, monitor.closed) == ("stop", True)


def test_a_qemu_that_stops_reading_does_not_hold_us_beyond_the_deadline() -> None:
    gate = threading.Event()
    drain = Step("drain", lambda peer: list(iter(lambda: peer.socket.recv(65536), b"")))
    with connected(hold(gate), drain) as monitor:
        with pytest.raises(OutcomeUnknown) as caught:
            monitor.execute("echo", {"text": "x" * 5000000}, timeout=0.1)
        gate.set()
    assert (caught.value.command, monitor.closed) == ("echo", True)


CIRCLE: Dict[str, Any] = {}
DEEP: Dict[str, Any] = {}
CIRCLE["x"] = CIRCLE
for _level in range(200000):
    DEEP = {"x": DEEP}


@pytest.mark.parametrize(
    "arguments",
    [{"x": float("nan")}, {"x": [{"y": float("-inf")}]}, {"x": object()}, {("x",): 1}, CIRCLE, DEEP],
    ids=["nan", "inf", "object", "key", "circle", "deep"],
)
def test_arguments_that_are_not_json_are_refused_before_anything_is_sent(arguments: dict[str, Any]) -> None:
    with connected(expect("query-status")) as monitor:
        with pytest.raises(InvalidArguments, match=r"^device_add: its arguments cannot be sent \(.+\); give JSON types"):
            monitor.execute("device_add", arguments)
        assert monitor.execute("query-status") == {}


UNREAD = [0, 0xD800, 0xDFFF, 0xFDD0, 0xFDEF, *(plane << 16 | last for plane in range(17) for last in (0xFFFE, 0xFFFF))]
NEARLY = [1, 0x1B, 0x7F, 0xD7FF, 0xE000, 0xFDCF, 0xFDF0, 0xFFFD, 0x10000, 0x1FDD0, 0x1FFFD, 0x10FFFD]


@pytest.mark.parametrize("code", UNREAD, ids=hex)
@pytest.mark.parametrize("shape", [lambda text: {"x": text}, lambda text: {"x": [{text: 1}]}], ids=["value", "key"])
def test_a_text_that_qemu_does_not_read_is_refused_before_anything_is_sent(code: int, shape: Callable[[str], Any]) -> None:
    with connected(expect("query-status")) as monitor:
        with pytest.raises(InvalidArguments, match=rf"^device_add: .*contains U\+{code:04X}, which QEMU does not read"):
            monitor.execute("device_add", shape(f"a{chr(code)}b"))
        assert monitor.execute("query-status") == {}


@pytest.mark.parametrize("text", [*map(chr, NEARLY), "\\u0000", "\\\\u0000", "\\ufffe", "\\ud800", "\\x00"], ids=ascii)
def test_a_text_that_only_looks_like_one_is_sent_as_it_is(text: str) -> None:
    with connected(expect("echo", {text: [text]}, reply=text)) as monitor:
        assert monitor.execute("echo", {text: [text]}) == text


def test_an_interrupted_command_ends_the_connection() -> None:
    with connected(swallow("stop")) as monitor:
        with mock.patch.object(Transport, "receive", side_effect=KeyboardInterrupt):
            with pytest.raises(KeyboardInterrupt):
                monitor.execute("stop")
        assert monitor.closed


# -- descriptors


def test_a_descriptor_goes_with_its_command() -> None:
    reader, writer = os.pipe()
    with ScriptedMonitor([expect("getfd", {"fdname": "tap0"}, fds=1)]) as server:
        with Monitor.connect(server.address) as monitor:
            monitor.execute("getfd", {"fdname": "tap0"}, fds=[writer])
        os.write(server.fds[0], b"!")
    os.close(writer)
    assert os.read(reader, 2) == b"!"
    os.close(reader)


def test_two_descriptors_are_refused_and_the_connection_goes_on() -> None:
    with connected(expect("query-status")) as monitor:
        with pytest.raises(ValueError, match="one file descriptor to a message"):
            monitor.execute("getfd", {"fdname": "tap0"}, fds=[0, 1])
        assert monitor.execute("query-status") == {}


def test_descriptors_over_tcp_are_refused_and_the_connection_goes_on() -> None:
    with connected(expect("query-status"), tcp=True) as monitor:
        with pytest.raises(ConnectError, match="Only a unix socket passes file descriptors"):
            monitor.execute("getfd", {"fdname": "tap0"}, fds=[0])
        assert monitor.execute("query-status") == {}
