# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A hostile monitor on a real socket, and processes of ours that speak to it, whose memory and time are measured."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.vmops.qemu.tests.unit.scripted_monitor import greeting

from .peer import line

MODULES = "ansible_collections.vmops.qemu.plugins.modules"
PATIENCE = 300.0  # seconds until a process counts as hung
_MEASURED = """
import sys
try:
    {code}
finally:
    sys.stdout.flush()
    with open("/proc/self/status") as status:
        print(next(line.split()[1] for line in status if line.startswith("VmHWM")), file=sys.stderr)
"""

Answer = Callable[[dict[str, Any]], Iterable[bytes]]


class Stranger:
    """Listens at ``path`` and answers each request with what *answer* makes of it, in pieces; the negotiation is true."""

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
                        for piece in self._pieces(request):
                            client.sendall(piece)

    def _pieces(self, request: dict[str, Any]) -> Iterable[bytes]:
        if request["execute"] == "qmp_capabilities":
            return [line({"return": {}, "id": request["id"]})]
        return self._answer(request)


class Outcome(NamedTuple):
    """What a process printed, the most memory that it had, in MB, and the seconds that it took."""

    result: Any
    memory: float
    seconds: float


def measured(code: str, stdin: str = "") -> Outcome:
    """Run *code*, one line of Python that prints JSON, in a process of its own."""
    began = time.monotonic()
    child = subprocess.run(
        [sys.executable, "-c", _MEASURED.format(code=code)],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert child.stderr.strip().isdigit(), child.stderr
    return Outcome(json.loads(child.stdout), int(child.stderr) / 1024, time.monotonic() - began)


def run_measured(module: str, options: dict[str, Any]) -> Outcome:
    """Run a module in a process of its own, as Ansible does."""
    arguments = json.dumps({"ANSIBLE_MODULE_ARGS": {"_ansible_remote_tmp": "/tmp", **options}})
    return measured(f"import runpy; runpy.run_module('{MODULES}.{module}', run_name='__main__')", arguments)
