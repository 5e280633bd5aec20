# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A hostile monitor on a real socket."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ansible_collections.vmops.qemu.tests.support.measured import PATIENCE
from ansible_collections.vmops.qemu.tests.support.scripted_monitor import greeting

from .peer import line

Answer = Callable[[dict[str, Any]], Iterable[bytes]]


class Stranger:
    """Listens at ``path`` and answers each request with what *answer* makes of it, in chunks. The negotiation is true."""

    def __init__(self, directory: Path, answer: Answer) -> None:
        self.path = str(directory / "stranger.sock")
        self._answer = answer
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen(1)
        self._client: socket.socket | None = None
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Stranger:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        for sock in filter(None, (self._listener, self._client)):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(PATIENCE)
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._client = self._listener.accept()[0]
                with self._client as client, client.makefile("rb") as requests, contextlib.suppress(OSError):
                    client.sendall(line(greeting()))
                    for request in map(json.loads, requests):
                        for chunk in self._chunks(request):
                            client.sendall(chunk)

    def _chunks(self, request: dict[str, Any]) -> Iterable[bytes]:
        if request["execute"] == "qmp_capabilities":
            return [line({"return": {}, "id": request["id"]})]
        return self._answer(request)
