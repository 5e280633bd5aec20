# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The event source, called as ansible-rulebook calls it: with real QEMUs, and with scripted monitors for what they never do."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import runpy
import socket
import threading
import time
from pathlib import Path
from typing import Any, AsyncIterator, Callable

import jsonschema
import pytest
import yaml

from ansible_collections.vmops.qemu.plugins.module_utils.qmp import UnixAddress
from ansible_collections.vmops.qemu.tests.support.scripted_monitor import (
    ScriptedMonitor,
    event,
    expect,
    hang_up,
    hold,
    send,
    send_bytes,
)
from ansible_collections.vmops.qemu.tests.vm.binaries import Binary, binaries
from ansible_collections.vmops.qemu.tests.vm.machine import VM

SOURCES = Path(__file__).parents[2] / "extensions/eda/plugins/event_source"
SECONDS = 20.0
GAP, DISCONNECTED = "qmp_gap", "qmp_disconnected"
READY = [
    expect("qom-list-types", {"implements": "monitor-qmp"}, reply=[]),
    expect("query-status", reply={"status": "running"}),
    expect("query-uuid", reply={"UUID": "3f2f8a0e-6f0c-4f8e-9c58-0b1d2a3c4d5e"}),
]
"""What the source asks a QEMU before 11.1."""


class Received:
    """What the source puts into its queue, which has room for one event as that of ansible-rulebook. ``all``: what was taken."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue(1)
        self.all: list[dict[str, Any]] = []

    async def next(self, *names: str, vm: str | None = None) -> dict[str, Any]:
        """The next event that has one of these names and is of this VM; all others before it are skipped."""
        async with asyncio.timeout(SECONDS):
            while True:
                one = await self.queue.get()
                self.all.append(one)
                if (not names or one["qmp"]["event"] in names) and vm in (None, one["vm"]["name"]):
                    return one

    def names(self) -> list[str]:
        return [one["qmp"]["event"] for one in self.all]


@contextlib.asynccontextmanager
async def running(
    *monitors: dict[str, Any], constants: dict[str, float] | None = None, **options: Any
) -> AsyncIterator[Received]:
    """The source with these monitors, and with other values of its *constants*. It ends with the context."""
    received = Received()
    main = runpy.run_path(str(SOURCES / "qmp_events.py"))["main"]
    main.__globals__.update({"SCAN_SECONDS": 0.2, **(constants or {})})
    task = asyncio.create_task(main(received.queue, {"monitors": list(monitors), "max_backoff": 0.2, **options}))
    try:
        yield received
        assert not task.done(), await task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def of(server: ScriptedMonitor) -> dict[str, Any]:
    assert isinstance(server.address, UnixAddress)
    return {"name": "vm1", "socket": server.address.path}


@pytest.fixture(params=binaries(), ids=lambda binary: str(binary.version))
def binary(request: pytest.FixtureRequest) -> Binary:
    found: Binary = request.param
    return found


def test_events_come_from_each_qemu_until_it_ends_and_after_it_has_started_again(
    binary: Binary, make_vm: Callable[..., VM]
) -> None:
    """QEMU 11.1 also gives the source a monitor of its own, and leaves the given one to others."""
    vm = make_vm(binary=binary, boot=False)
    has_own = binary.version == "11.1"
    before = vm.hardware()

    async def scenario() -> None:
        async with running({"name": "vm1", "socket": str(vm.qmp_socket)}) as received:
            first = await received.next()
            assert first["qmp"]["event"] == GAP and first["qmp"]["data"] == {"reason": "start", "status": "prelaunch"}
            assert first["vm"] == {"name": "vm1", "socket": str(vm.qmp_socket), "uuid": None}
            for _number in range(50):
                vm.query("cont")
                vm.query("stop")
            for _number in range(50):
                assert (await received.next())["qmp"]["event"] == "RESUME"
                assert (await received.next())["qmp"]["event"] == "STOP"
            if has_own:
                assert vm.query("query-status", over="qmp")["running"] is False
                assert len(vm.hardware()["objects"]) == len(before["objects"]) + 1
            await asyncio.to_thread(vm.stop)
            await received.next(DISCONNECTED)
            await asyncio.to_thread(vm.start)
            assert (await received.next())["qmp"]["data"]["reason"] == "reconnect"
            vm.query("cont")
            await received.next("RESUME")
        for _attempt in range(100):
            if vm.hardware() == before:
                break
            await asyncio.sleep(0.05)
        assert vm.hardware() == before

    asyncio.run(scenario())


def test_a_monitor_behind_tls_is_followed(port: int, tls: dict[str, str], tmp_path: Path) -> None:
    async def scenario() -> None:
        vm = VM(tmp_path / "vm0")
        async with running({"host": "localhost", "port": port, "tls": tls}) as received:
            assert (await received.next())["vm"] == {
                "name": f"localhost:{port}",
                "host": "localhost",
                "port": port,
                "uuid": None,
            }
            await asyncio.to_thread(lambda: [vm.query(command) for command in ["cont", "stop"] * 50])
            for _number in range(50):
                assert [(await received.next())["qmp"]["event"] for _event in range(2)] == ["RESUME", "STOP"]
            vm.query("quit")
            await received.next("SHUTDOWN")
            await received.next(DISCONNECTED)

    asyncio.run(scenario())


def test_a_reconnection_is_a_gap_and_what_comes_twice_is_passed_on_once() -> None:
    panic, other = event("GUEST_PANICKED", {"action": "pause"}), event("GUEST_PANICKED", {"action": "pause"}, at=(1700000000, 1))
    first = [*READY, send(panic, panic), hang_up()]
    second = [*READY, send(panic, other), hold(gate := threading.Event())]

    async def scenario() -> Received:
        with ScriptedMonitor(first, second) as server:
            async with running(of(server)) as received:
                for _number in range(6):
                    await received.next()
                gate.set()
        return received

    received = asyncio.run(scenario())
    assert received.names() == [GAP, "GUEST_PANICKED", "GUEST_PANICKED", DISCONNECTED, GAP, "GUEST_PANICKED"]
    gap, lost = received.all[4]["qmp"]["data"], received.all[3]["qmp"]
    assert gap["reason"] == "reconnect" and lost["seconds"] - 1 < gap["since"] <= lost["seconds"]
    assert received.all[-1]["qmp"]["seconds"] == 1700000000.000001


def test_attempts_begin_with_a_short_pause_again_after_a_connection_that_lasted() -> None:
    """Otherwise each restart of a VM would double the time until its events come again."""
    constants = {"FIRST_PAUSE": 0.01, "LASTING": 0.1}

    async def scenario() -> None:
        server = ScriptedMonitor(
            [*READY, hold(first := threading.Event()), hang_up()], [*READY, hold(second := threading.Event())]
        )
        path = Path(of(server)["socket"])
        hidden = path.rename(path.with_name("hidden"))
        with server:
            async with running(of(server), constants=constants, max_backoff=60) as received:
                await received.next(DISCONNECTED)
                await asyncio.sleep(1)  # by now the pauses are longer than half a second
                hidden.rename(path)
                await received.next(GAP)
                await asyncio.sleep(0.2)
                first.set()
                ended = await received.next(DISCONNECTED)
                again = await received.next(GAP)
                assert again["qmp"]["seconds"] - ended["qmp"]["seconds"] < 0.2
                second.set()

    asyncio.run(scenario())


def test_a_connection_for_which_the_system_has_no_thread_is_tried_again(
    make_vm: Callable[..., VM], monkeypatch: pytest.MonkeyPatch
) -> None:
    vm = make_vm(boot=False)
    start, refused = threading.Thread.start, threading.Event()

    def start_all_but_one(thread: threading.Thread) -> None:
        if thread.name.startswith("qmp_events") and not refused.is_set():
            refused.set()
            raise RuntimeError("can't start new thread")  # as Python says it at the limit of the system
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_all_but_one)

    async def scenario() -> None:
        async with running({"name": "vm1", "socket": str(vm.qmp_socket)}) as received:
            assert "new thread" in (await received.next(DISCONNECTED))["qmp"]["data"]["reason"]
            await received.next(GAP)

    asyncio.run(scenario())


def test_a_slow_rulebook_gets_the_newest_events_and_the_number_of_lost_ones() -> None:
    flood = [json.dumps(event("STOP", {"number": number})).encode() + b"\r\n" for number in range(30_000)]
    script = [*READY, send_bytes(b"".join(flood)), send(event("SHUTDOWN")), hold(gate := threading.Event())]

    async def scenario() -> Received:
        with ScriptedMonitor(script) as server:
            async with running(of(server)) as received:
                while server.commands[-1:] != [("query-uuid", None)]:
                    await asyncio.sleep(0.05)
                await asyncio.sleep(3)
                await received.next("SHUTDOWN")
                gate.set()
        return received

    received = asyncio.run(scenario())
    gap = received.names().index(GAP, 1)
    numbers = [one["qmp"]["data"]["number"] for one in received.all if one["qmp"]["event"] == "STOP"]
    lost = received.all[gap]["qmp"]["data"]["lost"]
    assert received.all[gap]["qmp"]["data"]["reason"] == "overflow"
    assert numbers[: gap - 1] == list(range(gap - 1)) and numbers[gap - 1 :] == list(range(gap - 1 + lost, 30_000))
    assert lost > 9_000


@pytest.mark.parametrize(
    ("garbage", "shown"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "not a QMP message"),
        (b'{"event": "STOP", "timestamp": 7}\r\n', "timestamp"),
        (b'{"event": "STOP", "data": [], "timestamp": {"seconds": 1, "microseconds": 1}}\r\n', "data"),
        (b'{"event": "STOP", "data": {"a": "' + b"x" * 1100_000, "more than 1048576 bytes"),
        (b'{"return": {}}\r\n', "neither"),
    ],
    ids=["text", "timestamp", "data", "size", "reply"],
)
def test_garbage_ends_the_connection_with_the_reason_and_what_came_before_is_passed_on(garbage: bytes, shown: str) -> None:
    async def scenario() -> None:
        gate = threading.Event()
        with ScriptedMonitor([*READY, hold(gate), send(event("STOP")), send_bytes(garbage)]) as server:
            async with running(of(server), connect_timeout=1) as received:
                await received.next(GAP)
                gate.set()
                assert (await received.next())["qmp"]["event"] == "STOP"
                ended = await received.next()
                assert ended["qmp"]["event"] == DISCONNECTED and shown in ended["qmp"]["data"]["reason"], ended

    asyncio.run(scenario())


def test_a_text_of_qemu_is_neither_a_template_nor_a_control_sequence() -> None:
    """Ansible would evaluate a template: events are extra variables of the playbooks that they start."""
    data = {"{{ 7 * 7 }}": ["{% raw %}", {"a": "{{{# x #}"}], "text": "\x1b[2J", "number": 1 << 63}

    async def scenario() -> dict[str, Any]:
        with ScriptedMonitor([*READY, send(event("STOP", data)), hold(gate := threading.Event())]) as server:
            async with running(of(server)) as received:
                found = await received.next("STOP")
                gate.set()
                return found

    found = asyncio.run(scenario())["qmp"]["data"]
    assert found == {"{ { 7 * 7 }}": ["{ % raw %}", {"a": "{ { { # x #}"}], "text": "\\x1b[2J", "number": 1 << 63}


def test_one_monitor_that_never_greets_and_one_that_is_missing_delay_no_other(
    tmp_path: Path, make_vm: Callable[..., VM], caplog: pytest.LogCaptureFixture
) -> None:
    vm = make_vm(boot=False)
    silent = socket.socket(socket.AF_UNIX)
    silent.bind(str(tmp_path / "silent"))
    silent.listen(16)

    async def scenario() -> None:
        waiting = [{"name": f"silent{number}", "socket": str(tmp_path / "silent")} for number in range(10)]
        missing = {"name": "missing", "socket": str(tmp_path / "missing")}
        began = time.monotonic()
        async with running(*waiting, missing, {"name": "vm1", "socket": str(vm.qmp_socket)}, connect_timeout=3) as received:
            await received.next(GAP, vm="vm1")
            assert time.monotonic() - began < 2
            vm.query("cont")
            await received.next("RESUME", vm="vm1")
            if "missing" not in [one["vm"]["name"] for one in received.all]:
                await received.next(DISCONNECTED, vm="missing")
            assert "greeting" in (await received.next(DISCONNECTED, vm="silent9"))["qmp"]["data"]["reason"]
        assert received.names().count(DISCONNECTED) <= 11  # it is reported once
        assert caplog.text.count("missing is not connected: ") == 1  # of the many attempts

    with silent:
        asyncio.run(scenario())


def test_a_wildcard_finds_vms_that_come_and_names_them(tmp_path: Path, make_vm: Callable[..., VM]) -> None:
    first = make_vm(boot=False)
    name = first.directory.name

    async def scenario() -> None:
        async with running({"socket": f"{tmp_path}/v*/q*.sock"}, events=["SHUTDOWN"]) as received:
            assert (await received.next())["vm"]["name"] == name[1:]
            await asyncio.to_thread(first.stop)
            await asyncio.to_thread(first.start)
            await received.next(GAP)
            first.qmp_socket.unlink()  # the connection stays
            second = await asyncio.to_thread(make_vm, boot=False)
            assert (await received.next(GAP))["vm"]["name"] == second.directory.name[1:]
            for vm in (second, first):
                vm.query("cont")
                vm.query("quit")
                last = await received.next("SHUTDOWN")
                assert last["vm"]["name"] == vm.directory.name[1:] and last["qmp"]["data"]["reason"] == "host-qmp-quit"

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ({}, "monitors"),
        ({"monitors": []}, "monitors is empty"),
        ({"monitors": [{}]}, "socket, host"),
        ({"monitors": [{"socket": ""}]}, "socket is empty"),
        ({"monitors": [{"socket": "/a", "host": "localhost", "port": 1}]}, "mutually exclusive"),
        ({"monitors": [{"host": "localhost"}]}, "port"),
        ({"monitors": [{"host": "192.0.2.1", "port": 1}]}, "allow_plaintext"),
        ({"monitors": [{"host": "localhost", "port": True}]}, "port is true"),
        ({"monitors": [{"socket": "/a"}, {"socket": "/a"}]}, "two monitors"),
        ({"monitors": [{"socket": "/*/a", "name": "vm1"}]}, "omit name"),
        ({"monitors": [{"socket": "/a", "nmae": "vm1"}]}, "nmae"),
        ({"monitors": [{"socket": "/a"}], "max_backoff": -1}, "max_backoff"),
        ({"monitors": [{"socket": "/a"}], "timeout": "nan"}, "timeout"),
    ],
)
def test_wrong_options_are_refused_with_their_names(options: dict[str, Any], shown: str) -> None:
    main = runpy.run_path(str(SOURCES / "qmp_events.py"))["main"]
    with pytest.raises(ValueError, match=re.escape(shown)):
        asyncio.run(asyncio.wait_for(main(asyncio.Queue(1), options), SECONDS))


def test_the_schema_accepts_the_examples_and_the_credential_type_fits_the_options() -> None:
    schema = json.loads((SOURCES / "schemas/qmp_events.json").read_text())
    names = runpy.run_path(str(SOURCES / "qmp_events.py"))
    for ruleset in yaml.safe_load(names["EXAMPLES"]):
        jsonschema.validate(ruleset["sources"][0]["vmops.qemu.qmp_events"], schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"monitors": [{"path": "/run/vm1/events.sock"}]}, schema)
    kind = SOURCES / "credential_types/qmp_tls"
    fields = {field["id"] for field in yaml.safe_load((kind / "input.yml").read_text())["fields"]}
    injected = yaml.safe_load((kind / "injectors.yml").read_text())
    assert {name.removeprefix("template.") for name in injected["file"]} == fields
    tls = schema["properties"]["monitors"]["items"]["properties"]["tls"]["properties"]
    assert {name.removeprefix("qmp_") for name in injected["extra_vars"]} <= set(tls)
