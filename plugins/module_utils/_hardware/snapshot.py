# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers of read-only commands, each asked at most once, many of them in one pipelined round trip."""

from __future__ import annotations

import json
from typing import Any, Iterable

from ..qmp import CommandError, Monitor, Request


class Snapshot:
    """The VM's answers as of now. Make a new one to look again."""

    def __init__(self, monitor: Monitor) -> None:
        self.monitor = monitor
        self._answers: dict[str, Any] = {}

    def ask_many(self, requests: Iterable[Request]) -> list[Any]:
        """The answer to each request, asking only those not asked before; a CommandError stands for a refusal."""
        requests = list(requests)
        keys = [json.dumps(request, sort_keys=True) for request in requests]
        missing = {key: request for key, request in zip(keys, requests) if key not in self._answers}
        if missing:
            self._answers.update(zip(missing, self.monitor.execute_many(missing.values())))
        return [self._answers[key] for key in keys]

    def ask(self, command: str, **arguments: Any) -> Any:
        """The answer to one command; raises the CommandError of a refusal."""
        answer = self.ask_many([Request(command, arguments or None)])[0]
        if isinstance(answer, CommandError):
            raise answer
        return answer

    def ask_or(self, default: Any, command: str, **arguments: Any) -> Any:
        """The answer to one command, or *default* where this VM refuses it."""
        try:
            return self.ask(command, **arguments)
        except CommandError:
            return default

    def qom_list(self, paths: Iterable[str]) -> list[dict[str, str]]:
        """For each QOM path its properties, name to type; empty where there is no such object."""
        answers = self.ask_many([Request("qom-list", {"path": path}) for path in paths])
        return [
            {} if isinstance(answer, CommandError) else {entry["name"]: entry["type"] for entry in answer}
            for answer in answers
        ]

    def qom_get(self, places: Iterable[tuple[str, str]]) -> list[Any]:
        """For each (path, property) its value; None where there is no such property."""
        answers = self.ask_many([Request("qom-get", {"path": path, "property": name}) for path, name in places])
        return [None if isinstance(answer, CommandError) else answer for answer in answers]
