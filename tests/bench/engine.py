# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine against a raw socket, on one QEMU without a guest."""

from __future__ import annotations

import asyncio
import importlib
import itertools
import socket
import time
from typing import Any, Iterator

from ansible_collections.vmops.qemu.plugins.module_utils.qmp import Monitor, Request, UnixAddress
from ansible_collections.vmops.qemu.plugins.module_utils.qmp.access import reached
from ansible_collections.vmops.qemu.tests.vm.machine import VM

from .rounds import Group, Raw, Row, timed


def _pairs(count: int) -> list[Request]:
    """Commands that add and delete null block nodes."""
    names = [f"n{number}" for number in range(count)]
    both = (
        (Request("blockdev-add", {"driver": "null-co", "node-name": name}), Request("blockdev-del", {"node-name": name}))
        for name in names
    )
    return list(itertools.chain.from_iterable(both))


def _shortest(request: Request) -> bytes:
    arguments = ",".join(f'"{name}":"{value}"' for name, value in (request.arguments or {}).items())
    return f'{{"execute":"{request.command}","arguments":{{{arguments}}}}}'.encode()


class Engine:
    """The sides of the rows. Ours is on one socket of the VM, a raw client on the other."""

    def __init__(self, vm: VM, pairs: int) -> None:
        self._ours, self._theirs = str(vm.qmp_socket), str(vm.directory / "watch.sock")
        self._requests = _pairs(pairs)
        self._lines = [_shortest(request) for request in self._requests]
        self._numbered = [line[:-1] + b',"id":%d}\n' % (number % 10) for number, line in enumerate(self._lines)]

    def groups(self, rounds: int) -> Iterator[Group]:
        text = f"blockdev-add and blockdev-del, in turns of {len(self._requests) // 2}"
        yield Group(
            [
                Row(f"{text}: engine / raw socket with the shortest bytes", 1.15, self.engine, self.raw),
                Row("the same: engine / raw socket with the engine's bytes", 1.06, self.engine, self.raw_numbered),
                Row(
                    "the same: engine, pipelined / raw one by one with the shortest bytes",
                    1.00,
                    self.pipelined,
                    self.raw,
                    floor=self.raw_pipelined,
                ),
                Row("the same: engine / qemu.qmp, asyncio", 0.75, self.engine, self.asynchronous, floor=self.raw_numbered),
                Row("the same: engine / qemu.qmp, legacy", 0.75, self.engine, self.legacy, floor=self.raw_numbered),
            ],
            rounds,
        )
        name = "connect, negotiate, close, ten times: engine / raw"
        yield Group([Row(name, 1.25, self.connect, self.raw_connect, floor=self.raw_connect_safely)], rounds)
        yield Group([Row("query-qmp-schema: engine / raw read and json.loads", 1.15, self.schema, self.raw_schema)], rounds)

    def engine(self) -> float:
        with Monitor.connect(UnixAddress(self._ours)) as monitor:
            return timed(lambda: [monitor.execute(*request) for request in self._requests])

    def pipelined(self) -> float:
        with Monitor.connect(UnixAddress(self._ours)) as monitor:
            return timed(lambda: monitor.execute_many(self._requests))

    def _raw(self, lines: list[bytes]) -> float:
        raw = Raw(self._theirs)
        try:
            return timed(lambda: [raw.ask(line) for line in lines])
        finally:
            raw.close()

    def raw(self) -> float:
        return self._raw(self._lines)

    def raw_numbered(self) -> float:
        return self._raw(self._numbered)

    def raw_pipelined(self) -> float:
        """The engine's bytes, all at once."""
        raw = Raw(self._theirs)
        try:
            return timed(lambda: raw.ask_many(self._numbered))
        finally:
            raw.close()

    def connect(self) -> float:
        def ten() -> None:
            for _time in range(10):
                Monitor.connect(UnixAddress(self._ours)).close()

        return timed(ten)

    def raw_connect(self) -> float:
        def ten() -> None:
            for _time in range(10):
                Raw(self._theirs).close()

        return timed(ten)

    def raw_connect_safely(self) -> float:
        """With the engine's bytes, and with its check of the path."""

        def ten() -> None:
            for _time in range(10):
                with reached(self._theirs) as file:
                    Raw(file.path, b'{"execute":"qmp_capabilities","id":"7f"}\n').close()

        return timed(ten)

    def schema(self) -> float:
        with Monitor.connect(UnixAddress(self._ours)) as monitor:
            return timed(lambda: monitor.execute("query-qmp-schema"))

    def raw_schema(self) -> float:
        return self._raw([b'{"execute":"query-qmp-schema"}'])

    def asynchronous(self) -> float:
        client_class = importlib.import_module("qemu.qmp").QMPClient

        async def run() -> float:
            client: Any = client_class("bench")
            await client.connect(self._theirs)
            began = time.perf_counter()
            for request in self._requests:
                await client.execute(*request)
            seconds = time.perf_counter() - began
            await client.disconnect()
            return seconds

        return asyncio.run(run())

    def legacy(self) -> float:
        client: Any = importlib.import_module("qemu.qmp.legacy").QEMUMonitorProtocol(self._theirs)
        client.connect()
        try:
            return timed(lambda: [client.cmd_raw(request.command, request.arguments) for request in self._requests])
        finally:
            client.close()


def deleted(vm: VM, rounds: int) -> Group:
    """The time from DEVICE_DELETED on the wire to the return of the call that awaits it, in milliseconds."""

    def once() -> float:
        watch = socket.socket(socket.AF_UNIX)
        watch.connect(str(vm.directory / "watch.sock"))
        stream = watch.makefile("rwb")
        stream.readline()
        stream.write(b'{"execute":"qmp_capabilities"}')
        stream.flush()
        stream.readline()
        with Monitor.connect(UnixAddress(str(vm.qmp_socket))) as monitor:
            monitor.execute("blockdev-add", {"driver": "null-co", "node-name": "gone", "size": 1 << 20})
            monitor.execute("device_add", {"driver": "scsi-hd", "drive": "gone", "id": "gone", "bus": "scsi0.0"})
            mark = monitor.mark()
            monitor.execute("device_del", {"id": "gone"})
            monitor.wait_event(lambda event: event.name == "DEVICE_DELETED" and event.data.get("device") == "gone", mark, 10)
            returned = time.time()
            event = next(event for event in monitor.events(mark) if event.data.get("device") == "gone")
            monitor.execute("blockdev-del", {"node-name": "gone"})
        watch.close()
        return (returned - event.seconds) * 1000

    return Group([Row("DEVICE_DELETED on the wire → the call returns (ms)", 2.0, once, None, "ms")], rounds)
