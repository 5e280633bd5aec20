# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The decoder turns any stream, in any chunks, into objects or a ProtocolError, in bounded memory and time."""

from __future__ import annotations

import json
import time
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.vmops.qemu.plugins.module_utils.qmp import ProtocolError
from ansible_collections.vmops.qemu.plugins.module_utils.qmp.decoder import MAX_DEPTH, Decoder

from .values import objects

CAP = 1 << 19  # bytes of a message here
CHUNK = 4096
blanks = st.text(" \t\r\n", max_size=3).map(str.encode)
forms = st.fixed_dictionaries({"indent": st.sampled_from([None, 1, 4]), "ensure_ascii": st.booleans()})


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[dict[str, Any]], bytes]:
    """Objects, and a stream of them as a QEMU might send it."""
    sent, data = [], draw(blanks)
    for message in draw(st.lists(objects, max_size=4)):
        form: dict[str, Any] = draw(forms)
        text = json.dumps(message, **form)
        sent.append(json.loads(text))
        data += text.encode() + draw(blanks)
    return sent, data


@st.composite
def cuts(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """*data* in chunks."""
    if len(data) < 2000 and draw(st.booleans()):
        return [data[cut : cut + 1] for cut in range(len(data))]
    ends = sorted(draw(st.sets(st.integers(0, len(data)), max_size=8)))
    return [data[start:end] for start, end in zip([0, *ends], [*ends, len(data)])]


def outcome(chunks: list[bytes], **limits: int) -> tuple[list[dict[str, Any]], bool]:
    """The objects from *chunks*, and whether the decoder then refused the rest."""
    decoder = Decoder(**limits)
    found: list[dict[str, Any]] = []
    try:
        for chunk in chunks:
            found.extend(decoder.feed(chunk))
    except ProtocolError:
        return found, True
    return found, False


@given(st.data(), streams())
def test_objects_are_decoded_as_they_were_encoded_however_the_stream_is_cut(data: st.DataObject, sent: Any) -> None:
    assert outcome(data.draw(cuts(sent[1]))) == (sent[0], False)


@given(st.data(), st.one_of(st.binary(max_size=60), streams().map(lambda sent: sent[1])), st.binary(max_size=3))
def test_any_bytes_give_the_same_objects_and_refusal_however_they_are_cut(
    data: st.DataObject, stream: bytes, noise: bytes
) -> None:
    cut = data.draw(st.integers(0, len(stream)))
    stream = stream[:cut] + noise + stream[cut + data.draw(st.integers(0, 2)) :]
    assert outcome(data.draw(cuts(stream))) == outcome([stream])


@pytest.mark.parametrize("number", ["1" * 5000, "-" + "9" * 21, "1e999", "-1e999", "NaN", "Infinity", "1." + "0" * 5000 + "e999"])
def test_a_number_that_qemu_cannot_mean_is_refused(number: str) -> None:
    assert outcome([f'{{"return": {number}}}'.encode()]) == ([], True)


@given(st.integers(1, 4 * MAX_DEPTH), st.sampled_from(['{"a":', '{"a":[', '{"a":[[[']), st.booleans())
def test_nesting_is_accepted_up_to_the_limit_and_refused_beyond(depth: int, opening: str, closed: bool) -> None:
    closing = opening[::-1].translate(str.maketrans("{[", "}]")).replace(':"a"', "")
    brackets = len(closing)
    whole = outcome([(opening * depth + "0" + closing * depth * closed).encode()])
    assert whole[1] == (depth * brackets > MAX_DEPTH)
    assert bool(whole[0]) == (closed and not whole[1])


@pytest.mark.parametrize(
    "head, body",
    [
        (b'{"a":"', b"x"),
        (b'{"a":"', b"\\\\"),
        (b'{"a":"', b'\\"'),
        (b'{"a":"', b"\xff"),
        (b'{"a":', b"1"),
        (b'{"a":0.', b"1"),
        (b'{"a":', b" "),
        (b'{"a":[', b"[],"),
        (b'{"a":[', b'"",'),
    ],
)
def test_an_endless_message_is_refused_at_the_cap_in_bounded_memory_and_time(head: bytes, body: bytes) -> None:
    decoder, sent, began = Decoder(CAP), 0, time.monotonic()
    chunk = body * (CHUNK // len(body))
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError, match="more than"):
            list(decoder.feed(head))
            while sent < 2 * CAP:
                list(decoder.feed(chunk))
                sent += len(chunk)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sent <= CAP + CHUNK
    assert peak < 3 * CAP
    assert time.monotonic() - began < 10


def test_endless_blanks_take_no_memory() -> None:
    decoder = Decoder(CAP)
    tracemalloc.start()
    try:
        for _chunk in range(8 * CAP // CHUNK):
            assert not list(decoder.feed(b" \r\n\t" * (CHUNK // 4)))
        assert tracemalloc.get_traced_memory()[1] < CAP
    finally:
        tracemalloc.stop()


def test_a_message_beyond_the_cap_is_refused_even_if_it_arrives_whole() -> None:
    whole = b'{"a":"' + b"x" * CAP + b'"}'
    assert outcome([whole], max_message=CAP) == ([], True)
    assert outcome([whole], max_message=2 * CAP)[0]
