# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The messages of a monitor: requests as they are sent, and the contents of greetings, events and replies."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from .errors import CommandError, InvalidArguments, ProtocolError
from .text import unreadable

_JSON = json.JSONEncoder(allow_nan=False, separators=(",", ":"))
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")  # in JSON; after an odd number of backslashes it only looks like one
_NAMING = ("qom-list", "qom-get")  # they take the names that QEMU returned, with a NUL too
_LONGEST_DESC = 10_000  # characters of an error's text, which may contain file names


class Version(NamedTuple):
    """QEMU's version, from the greeting."""

    major: int
    minor: int
    micro: int


class Request(NamedTuple):
    """A command to send. ``arguments`` are native JSON types: QEMU 9.2 rejects "on" for a bool and "1" for an int."""

    command: str
    arguments: dict[str, Any] | None = None


class Event(NamedTuple):
    """An event of QEMU, ``seconds`` after the epoch by the clock of its host; ``seq``: its number on this connection, from 0."""

    name: str
    data: dict[str, Any]
    seconds: float
    seq: int


def message_of(ident: str | int, request: Request) -> dict[str, Any]:
    """The message of a request, as JSON has it."""
    if request.arguments is None:
        return {"execute": request.command, "id": ident}
    return {"execute": request.command, "arguments": request.arguments, "id": ident}


def encode(ident: str | int, request: Request) -> bytes:
    """The line that is sent. Raises InvalidArguments."""
    message = message_of(ident, request)
    try:
        line = _JSON.encode(message)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidArguments(request.command, str(error)) from None
    if "\\u" in line:
        has_nul = request.command not in _NAMING and _NUL.search(line)
        found = "U+0000" if has_nul else unreadable(json.dumps(message, ensure_ascii=False))
        if found:
            raise InvalidArguments(request.command, f"a text contains {found}, which QEMU does not read")
    return line.encode("ascii") + b"\n"


def greeting_of(message: dict[str, Any]) -> dict[str, Any]:
    """The member ``QMP`` of the first message that is not an event."""
    greeting = message.get("QMP")
    if not isinstance(greeting, dict):
        raise ProtocolError("QEMU did not greet.")
    return greeting


def is_negotiated(error: Exception) -> bool:
    """Whether QEMU reports that this was done: for the client before us, which left before QEMU executed it."""
    return isinstance(error, CommandError) and error.qmp_class == "CommandNotFound" and "already complete" in error.desc


def event_of(message: dict[str, Any], seq: int) -> Event:
    try:
        data, stamp = message.get("data", {}), message["timestamp"]
        seconds = float(stamp["seconds"] + stamp["microseconds"] * 1e-6)
    except (KeyError, TypeError):
        raise ProtocolError("QEMU sent an event without a proper timestamp.") from None
    if not isinstance(data, dict):
        raise ProtocolError("QEMU sent an event whose data is not an object.")
    return Event(str(message["event"]), data, seconds, seq)


def reply_of(message: dict[str, Any], command: str) -> Any:
    if "return" in message:
        return message["return"]
    error = message.get("error")
    qmp_class, desc = (error.get("class"), error.get("desc")) if isinstance(error, dict) else (None, None)
    if not isinstance(qmp_class, str) or not isinstance(desc, str):
        raise ProtocolError("QEMU's reply has neither a return value nor a proper error.")
    return CommandError(qmp_class, desc if len(desc) <= _LONGEST_DESC else f"{desc[:_LONGEST_DESC]} …", command)


def is_reply(head: bytes) -> bool:
    return b'"return"' in head or b'"error"' in head


def stranger(head: bytes) -> str:
    """Which other kind of socket this is by its first bytes, and what to do."""
    if b"QEMU" in head and b"monitor" in head:
        kind = "QEMU's human monitor (HMP)"
    elif is_reply(head):
        kind = "a guest agent (QGA)"
    else:
        kind = "another program"
    start = head.decode("utf-8", "backslashreplace")
    return f"this is not a QMP monitor but {kind}, which sent {start!r}; give the socket of QEMU's -qmp option."
