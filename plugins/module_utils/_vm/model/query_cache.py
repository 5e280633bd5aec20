# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers of read-only commands, each asked at most once, many of them in one pipelined round trip."""

from __future__ import annotations

import json
import sys
from typing import Any, Callable, Iterable, Mapping, Sequence

from ...qmp import CommandError, InvalidArguments, Monitor, Request, check, is_a

_AT_ONCE = 256
"""Questions whose answers are in memory as they came at one time; what is kept of them may be less."""
_WHOLE = 64
"""Objects of which all properties are read by one question. Each has about 3 kB in the reply."""
_ALIKE = {f"child<{driver}>" for driver in ("scsi-hd", "scsi-cd", "scsi-block", "scsi-generic")}
"""Frequent devices of which all of one driver have the same properties: there is nothing in them that is made for each."""

_REPLIES: dict[str, Any] = {
    "human-monitor-command": str,
    "qom-list": [{"name": str, "type": str}],
    "qom-list-get": [{"properties": [{"name": str, "type": str}]}],
    "qom-list-types": [{"name": str}],
    "query-accelerators": {"enabled": str},
    "query-acpi-ospm-status": [{"slot-type": str, "source": int, "status": int}],
    "query-balloon": {"actual": int},
    "query-block": [{"device": str, "qdev?": str, "inserted?": {"node-name": str, "file": str, "drv": str}}],
    "query-block-exports": [{"id": str, "node-name": str}],
    "query-chardev": [{"label": str, "filename": str, "frontend-open": bool}],
    "query-chardev-backends": [{"name": str}],
    "query-commands": [{"name": str}],
    "query-cpus-fast": [{"cpu-index": int, "qom-path": str, "thread-id": int}],
    "query-dump": {"status": str, "completed": int, "total": int},
    "query-dump-guest-memory-capability": {"formats": [str]},
    "query-hotpluggable-cpus": [{"type": str, "vcpus-count": int, "props": {"*": int}, "qom-path?": str}],
    "query-jobs": [{"id": str, "type": str, "status": str, "current-progress": int, "total-progress": int}],
    "query-kvm": {"enabled": bool},
    "query-memory-devices": [
        {
            "type": str,
            "data": {
                "id?": str,
                "size?": int,
                "max-size?": int,
                "requested-size?": int,
                "memdev?": str,
                "slot?": int,
                "node?": int,
                "addr?": int,
                "memaddr?": int,
            },
        }
    ],
    "query-memory-size-summary": {"base-memory": int, "plugged-memory?": int},
    "query-migrate": {
        "status?": str,
        "error-desc?": str,
        "ram?": {"total": int, "remaining": int, "transferred?": int, "dirty-sync-count?": int},
        "socket-address?": [{"type": str, "path?": str}],
    },
    "query-migrate-capabilities": [{"capability": str, "state": bool}],
    "query-migrate-parameters": dict,
    "query-name": {"name?": str},
    "query-named-block-nodes": [
        {"node-name": str, "drv": str, "file": str, "ro": bool, "image": {"virtual-size": int}, "cache?": dict}
    ],
    "query-status": {"status": str, "running": bool},
    "query-target": {"arch": str},
    "query-uuid": {"UUID": str},
    "x-debug-query-block-graph": {
        "nodes": [{"id": int, "type": str, "name": str}],
        "edges": [{"parent": int, "child": int, "name": str}],
    },
}
"""What the answers must have, as QEMU's QAPI schema documents them: all that is read of them without asking."""


class QueryCache:
    """The VM's answers as of now. Make a new one to look again."""

    def __init__(self, monitor: Monitor) -> None:
        self.monitor = monitor
        self._answers: dict[str, Any] = {}
        self._lists: dict[str, dict[str, str]] = {}
        self._assumed: dict[str, Mapping[str, Any]] = {}
        self._alike: dict[str, str] = {}

    def assume(self, path: str, types: Mapping[str, str], values: Mapping[str, Any]) -> None:
        """Assume that the object at the QOM *path* has these properties, without asking QEMU; no properties mean no object."""
        self._lists[path] = dict(types)
        self._assumed[path] = values
        self._alike = {kind: like for kind, like in self._alike.items() if like != path}

    def learn(self, path: str, values: Mapping[str, Any]) -> None:
        """Take these values of properties of the object at the QOM *path* for QEMU's, which another reply had."""
        self._answers.update((_key(_qom_get(path, name)), value) for name, value in values.items())

    def ask_many(self, requests: Iterable[Request]) -> list[Any]:
        """The answer to each request, asking only those not asked before; a CommandError stands for a refusal.

        Raises ProtocolError where an answer is not of the documented shape.
        """
        requests = list(requests)
        keys = [_key(request) for request in requests]
        missing = {key: request for key, request in zip(keys, requests) if key not in self._answers}
        for some in _portions(list(missing.items())):
            self._answers.update(zip((key for key, _request in some), self._asked([request for _key, request in some])))
        return [self._answers[key] for key in keys]

    def _asked(self, requests: Sequence[Request], keep: Callable[[Any], Any] = lambda answer: answer) -> list[Any]:
        """What there is to *keep* of the answers to *requests*, asked in one round trip; a CommandError for a refusal.

        A name that cannot be sent came from a monitor that is not QEMU, because the names of the task are checked before: that
        request alone fails.
        """
        try:
            answers = self.monitor.execute_many(requests)
        except InvalidArguments as error:
            if len(requests) == 1:
                return [CommandError("GenericError", str(error), error.command)]
            half = len(requests) // 2
            return [*self._asked(requests[:half], keep), *self._asked(requests[half:], keep)]
        for request, answer in zip(requests, answers):
            if not isinstance(answer, CommandError):
                check(request.command, answer, _REPLIES.get(request.command, object))
        answers = [answer if isinstance(answer, CommandError) else keep(answer) for answer in answers]
        self.monitor.keep(self, [answer.args if isinstance(answer, CommandError) else answer for answer in answers])
        return answers

    def ask(self, command: str, /, **arguments: Any) -> Any:
        """The answer to one command; raises the CommandError of a refusal."""
        answer = self.ask_many([Request(command, arguments or None)])[0]
        if isinstance(answer, CommandError):
            raise answer
        return answer

    def ask_or(self, default: Any, command: str, /, **arguments: Any) -> Any:
        """The answer to one command, or *default* where this VM refuses it."""
        try:
            return self.ask(command, **arguments)
        except CommandError:
            return default

    def qom_list(self, paths: Iterable[str]) -> list[dict[str, str]]:
        """For each QOM path its properties, name to type; empty where there is no such object.

        They are nearly all that there is to remember of a large VM, and most of it over and over: each text is kept once, and
        of devices that are alike one is asked.
        """
        paths = list(paths)
        missing = {path: self._like(path) for path in paths if path not in self._lists}
        self._list([like for like in dict.fromkeys(missing.values()) if like not in self._lists])
        self._list([path for path, like in missing.items() if path not in self._lists and not self._lists[like]])
        for path, like in missing.items():
            self._lists.setdefault(path, self._lists[like])
        return [self._lists[path] for path in paths]

    def _list(self, paths: list[str]) -> None:
        for some in _portions(paths):
            for path, types in zip(some, self._asked([Request("qom-list", {"path": path}) for path in some], _types)):
                self._lists[path] = {} if isinstance(types, CommandError) else types

    def _like(self, path: str) -> str:
        """The path of the object that has the same properties as the one at *path*; often that one itself."""
        kind = self.child_type(path)
        return self._alike.setdefault(kind, path) if kind in _ALIKE else path

    def child_type(self, path: str) -> str | None:
        """The type of the object at a QOM path, as ``child<TYPE>``, if the object that it is in has been listed already."""
        parent, _slash, name = path.rpartition("/")
        return None if path in self._assumed else self._lists.get(parent, {}).get(name)

    def read_whole(self, paths: Sequence[str]) -> bool:
        """Read all properties of many objects with few questions; False if this QEMU cannot, as before 10.1, or one is not there.

        A property whose value QEMU cannot read has none in the reply, as it would have none by itself.
        """
        asked = [path for path in paths if path not in self._assumed]
        for start in range(0, len(asked), _WHOLE):
            some = asked[start : start + _WHOLE]
            (answer,) = self._asked([Request("qom-list-get", {"paths": some})])
            if isinstance(answer, CommandError) or len(answer) != len(some):
                return False
            for path, one in zip(some, answer):
                self._lists.setdefault(path, _types(one["properties"]))
                self.learn(path, {entry["name"]: entry.get("value") for entry in one["properties"]})
        return True

    def qom_get(self, places: Iterable[tuple[str, str]], kind: type = object) -> list[Any]:
        """For each (path, property) its value; None where there is no such property of this JSON type."""
        places = list(places)
        asked = [_qom_get(path, name) for path, name in places if path not in self._assumed]
        answers = iter(self.ask_many(asked))
        found = [self._assumed[path].get(name) if path in self._assumed else next(answers) for path, name in places]
        return [None if isinstance(answer, CommandError) or not is_a(answer, kind) else answer for answer in found]


def _types(listing: list[dict[str, str]]) -> dict[str, str]:
    return {sys.intern(entry["name"]): sys.intern(entry["type"]) for entry in listing}


def _qom_get(path: str, name: str) -> Request:
    return Request("qom-get", {"path": path, "property": name})


_key = json.JSONEncoder(sort_keys=True).encode
"""A text for each request."""


def _portions(whole: list[Any]) -> list[list[Any]]:
    return [whole[start : start + _AT_ONCE] for start in range(0, len(whole), _AT_ONCE)]
