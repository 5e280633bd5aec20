# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line that QEMU was started with, read from this host's /proc.

It contains what QEMU itself forgets after a snapshot, or after the guest has released a device: which node, backend or memory
object that device was started with.
"""

from __future__ import annotations

import json
from typing import Any, Dict, Iterable, Iterator, List, NamedTuple

Options = Dict[str, Any]
"""One option's value by its keys: nested from JSON, or flat with dotted keys, all of them text."""
IMPLIED = {
    "device": "driver",
    "drive": "file",
    "blockdev": "driver",
    "netdev": "type",
    "object": "qom-type",
    "chardev": "backend",
}
_FILE_OF_OPTIONS = "readconfig"
_MOST_BYTES = 4 << 20
"""Bytes of a command line that are read; by default Linux accepts no longer one."""


class Launched(NamedTuple):
    """``devices`` by id, ``drives`` by id, ``nodes`` (of -blockdev and -drive) by node name, ``netdevs``, ``objects`` and
    ``chardevs`` by id. ``complete``: whether all that QEMU was started with is here, and nothing in a file (``-readconfig``)."""

    devices: dict[str, Options]
    drives: dict[str, Options]
    nodes: dict[str, Options]
    netdevs: dict[str, Options] = {}
    objects: dict[str, Options] = {}
    chardevs: dict[str, Options] = {}
    complete: bool = False


def read(pid: int | None) -> Launched:
    """The options on the command line of process *pid*; none if this host does not show it."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read(_MOST_BYTES).decode("utf-8", "surrogateescape").split("\0")
    except OSError:
        words = []
    return of_words(words)


def of_words(words: List[str]) -> Launched:
    """The options in these words of a command line."""
    found = {option: [parse(value, implied) for value in _values(words, option)] for option, implied in IMPLIED.items()}
    nodes = [*found["blockdev"], *found["drive"]]
    return Launched(
        _by(found["device"], "id"),
        _by(found["drive"], "id"),
        _by(nodes, "node-name"),
        _by(found["netdev"], "id"),
        _by(found["object"], "id"),
        _by(found["chardev"], "id"),
        any(words) and not any(word.lstrip("-") == _FILE_OF_OPTIONS for word in words),
    )


def parse(text: str, implied: str) -> Options:
    """An option's value: JSON, or ``value,key=value,…`` where a comma inside a value is doubled and ``key`` alone is on."""
    if text.startswith("{"):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = None
        return value if isinstance(value, dict) else {}
    options: Options = {}
    for number, part in enumerate(_parts(text)):
        key, equals, value = part.partition("=")
        if equals and implied == "type" and key in options:  # a list of a network backend is written as several options
            options[key] = [*(options[key] if isinstance(options[key], list) else [options[key]]), value]
        elif equals:
            options[key] = value
        elif number == 0:
            options[implied] = key
        elif key:
            options[key] = "on"
    return options


def filename(options: Options, nodes: Dict[str, Options]) -> str | None:
    """The image of a -blockdev or -drive, nested at any depth or in other *nodes*; None if it is not a file."""
    pending: List[Any] = [options]
    while pending:
        one = pending.pop(0)
        for key, value in one.items():
            if isinstance(value, dict):
                pending.append(value)
            elif isinstance(value, str) and (key == "filename" or key.endswith(".filename")):
                return value
        below = one.get("file")
        if isinstance(below, str):
            if below not in nodes:
                return below
            pending.append(nodes[below])
            nodes = {name: node for name, node in nodes.items() if name != below}  # each once: a command line may contain a cycle
    return None


def _values(words: List[str], option: str) -> Iterator[str]:
    for word, value in zip(words, words[1:]):
        if word in (f"-{option}", f"--{option}"):
            yield value


def _parts(text: str) -> Iterator[str]:
    """Split at single commas; a doubled one is a comma."""
    part = ""
    rest = text.split(",")
    while rest:
        part += rest.pop(0)
        if rest and rest[0] == "" and len(rest) > 1:
            rest.pop(0)
            part += ","
            continue
        yield part
        part = ""


def _by(found: Iterable[Options], key: str) -> dict[str, Options]:
    return {one[key]: one for one in found if isinstance(one.get(key), str)}
