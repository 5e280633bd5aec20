# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The decoder: where one message ends and the next begins, however the bytes are cut."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils.qmp import ProtocolError
from ansible_collections.vmops.qemu.plugins.module_utils.qmp import decoder as decoder_module
from ansible_collections.vmops.qemu.plugins.module_utils.qmp.decoder import Decoder
from ansible_collections.vmops.qemu.plugins.module_utils.qmp.shapes import memory_of

MESSAGES = [
    {"return": {}, "id": "1"},
    {"event": "STOP", "data": {"text": 'a "quote", a \\ and {[ brackets'}},
    {"return": [[], [{"name": "Grüße, 世界 😀"}], None, True, -1.5]},
]


def decode(*chunks: bytes, **limits: int) -> list[dict[str, Any]]:
    decoder = Decoder(**limits)
    return [message for chunk in chunks for message in decoder.feed(chunk)]


@pytest.mark.parametrize("separator", [b"", b" ", b"\n", b"\r\n", b"\r\n\t \r\n"])
@pytest.mark.parametrize("indent", [None, 4])
def test_objects_are_separated_whatever_is_between_and_within_them(separator: bytes, indent: int | None) -> None:
    stream = separator.join(json.dumps(message, indent=indent).encode() for message in MESSAGES)
    assert decode(stream) == MESSAGES


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_chunks_may_be_cut_anywhere_even_within_a_character_or_an_escape(size: int) -> None:
    stream = b"\r\n".join(json.dumps(message, ensure_ascii=False).encode() for message in MESSAGES)
    assert decode(*(stream[start : start + size] for start in range(0, len(stream), size))) == MESSAGES


def test_a_message_is_returned_as_soon_as_its_last_byte_is_there() -> None:
    decoder = Decoder()
    assert list(decoder.feed(b'{"return": {}')) == []
    assert list(decoder.feed(b"}")) == [{"return": {}}]


def test_a_reply_of_240_kilobytes_byte_by_byte_is_one_message() -> None:
    message = {"return": [{"name": f"entity-{number:05}", "members": []} for number in range(6000)]}
    stream = json.dumps(message).encode()
    assert len(stream) > 240000
    assert decode(*(stream[place : place + 1] for place in range(len(stream)))) == [message]


def test_the_work_grows_with_the_length_and_not_with_its_square() -> None:
    stream = json.dumps({"return": ["x" * 60] * 62500}).encode()
    decoder = Decoder()
    deadline = time.monotonic() + 15  # about 0.5 s are needed; looking at all again for each chunk would take minutes
    messages: list[dict[str, Any]] = []
    for start in range(0, len(stream), 64):
        messages += decoder.feed(stream[start : start + 64])
        assert time.monotonic() < deadline
    assert len(messages) == 1


@pytest.mark.parametrize(
    "stream",
    [
        b"QEMU 7.2.0 monitor - type 'help' for more information\r\n(qemu) ",
        b"[1]",
        b"null",
        b'"text"',
        b"\xff\xfd\x03",
        b"}",
        b'{"a": [}',
        b'{"a": 1]',
        b"{'a': 1}",
        b'{"a" 1}',
        b'{"a": nothing}',
        b'{"a": "line\nend"}',
        b'{"a": "\xc3("}',
        b"{\x00}",
    ],
)
def test_malformed_input_is_refused_with_its_beginning_shown(stream: bytes) -> None:
    with pytest.raises(ProtocolError, match="not a QMP message: "):
        decode(stream)


def test_messages_before_malformed_input_are_returned_first() -> None:
    decoded = Decoder().feed(b'{"return": {}} oops')
    assert next(decoded) == {"return": {}}
    with pytest.raises(ProtocolError, match="oops"):
        next(decoded)


def test_the_error_shows_no_more_than_a_line_of_the_input() -> None:
    with pytest.raises(ProtocolError) as caught:
        decode(b"x" * 100000)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("stream", [b'{"a": "1234567"}', b'{"a": "1234567'])
def test_a_message_above_the_cap_is_refused_whole_or_not(stream: bytes) -> None:
    with pytest.raises(ProtocolError, match="more than 13 bytes"):
        decode(stream, max_message=13)


def test_the_cap_is_for_one_message_and_not_for_the_stream() -> None:
    assert decode(b'{"a": "12345"}' * 1000, max_message=14) == [{"a": "12345"}] * 1000


def test_nesting_is_allowed_to_the_cap_and_refused_beyond() -> None:
    def nested(depth: int) -> bytes:
        return b'{"a": ' * depth + b"0" + b"}" * depth

    assert len(decode(nested(512))) == 1
    with pytest.raises(ProtocolError, match="deeper than 512"):
        decode(nested(513))


def test_brackets_within_strings_do_not_count() -> None:
    assert decode(b'{"a": "' + b"{[" * 1000 + b'"}', max_depth=1)


@pytest.mark.parametrize("separator", [b"", b"\r\n"], ids=["in chunks", "in a line"])
@pytest.mark.parametrize(
    "item",
    [b"{}", b"[]", b'""', b"1.5", b"12345678901234567890", b'{"a":1}', b"[[[[0]]]]", '"ä"'.encode(), b'"\\ud83d\\ude00"'],
    ids=str,
)
def test_what_a_message_takes_in_memory_is_estimated_from_above(item: bytes, separator: bytes) -> None:
    decoder = Decoder()
    (message,) = [one for chunk in (b'{"return":[', b",".join([item] * 500), b"]}", separator) for one in decoder.feed(chunk)]
    assert len(message["return"]) == 500
    assert memory_of(message) <= decoder.cost < 8 * memory_of(message)


@pytest.mark.parametrize("separator", [b"", b"\r\n"], ids=["in chunks", "in a line"])
@pytest.mark.parametrize(
    "body",
    [
        b"[" + b",".join([b"{}"] * 20000) + b"]",
        b"[" + b"0," * 50000 + b"0]",
        b"[" + b'"",' * 50000 + b"0]",
        b"{" + b",".join(b'"%d":0' % number for number in range(20000)) + b"}",
    ],
    ids=["objects", "numbers", "strings", "members"],
)
def test_what_would_take_too_much_memory_is_refused_before_it_is_parsed(
    body: bytes, separator: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoder_module, "_JSON", None)
    with pytest.raises(ProtocolError, match="takes more than 2000000 bytes of memory"):
        decode(b'{"return":' + body + b"}" + separator, max_cost=2000000)


def test_commas_and_brackets_within_strings_cost_what_strings_cost() -> None:
    text = "{[,]}" * 20000
    assert decode(b'{"a": "' + text.encode() + b'"}\r\n', max_cost=300000, max_depth=1) == [{"a": text}]


@pytest.mark.parametrize("blank", [b"", b" ", b"\r\n"])
def test_many_messages_in_one_line_take_no_longer_than_in_many(blank: bytes) -> None:
    deadline = time.monotonic() + 15  # about 0.5 s are needed; to try the whole line for each would take minutes
    assert len(decode((b'{"a": 1}' + blank) * 100000 + b"\n")) == 100000
    assert time.monotonic() < deadline


def lines(count: int) -> dict[str, Any]:
    """A large message as QEMU sends it: with quotes, backslashes, brackets and commas in its strings."""
    file = 'json:{"driver":"qcow2","file":{"filename":"C:\\\\disks\\\\a,b[1].img"}}'
    return {"return": [{"node-name": f"n{number}", "file": file, "in": [{"a": [number, True]}]} for number in range(count)]}


def parsed_bracket_by_bracket(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """From now on: how many brackets the decoder looks at one by one."""
    opened: list[int] = []
    real = Decoder._open

    def note(self: Decoder, bracket: int) -> None:
        opened.append(bracket)
        real(self, bracket)

    monkeypatch.setattr(Decoder, "_open", note)
    return opened


@pytest.mark.parametrize("size", [100, 4096, 65536, 1 << 20])
@pytest.mark.parametrize("indent", [None, 4])
def test_of_a_large_message_only_the_last_chunk_is_read_bracket_by_bracket(
    size: int, indent: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = parsed_bracket_by_bracket(monkeypatch)
    stream = json.dumps(lines(2000), indent=indent).encode() + b"\r\n"
    chunks = [stream[start : start + size] for start in range(0, len(stream), size)]
    assert decode(*chunks) == [lines(2000)]
    assert len(opened) <= (1 if indent is None else 1 + size // 20)


@pytest.mark.parametrize("hidden", ["}", "]", "}]" * 100, '\\"}'])
@pytest.mark.parametrize("end", [b"", b"\n"])
def test_brackets_in_strings_do_not_hide_how_deep_a_message_nests(hidden: str, end: bytes) -> None:
    stream = b"[".join([b'{"%s":' % hidden.encode()] * 513) + b"0" + b"]}" * 513 + end
    with pytest.raises(ProtocolError, match="deeper than 512"):
        decode(stream)
    with pytest.raises(ProtocolError, match="deeper than 512"):
        decode(*(stream[start : start + 500] for start in range(0, len(stream), 500)))


def test_the_cost_of_a_chunk_counts() -> None:
    with pytest.raises(ProtocolError, match="takes more than 20000 bytes of memory"):
        decode(b'{"a":[', b"[1]," * 20, b"{}," * 100, max_cost=20000)


def test_brackets_that_do_not_match_are_found_in_any_chunk() -> None:
    for chunk in (b"[[}]", b"}", b"{]", b'"x"}', b"]]"):
        with pytest.raises(ProtocolError, match="not a QMP message"):
            decode(b'{"a":[{"b":1},', chunk)
