# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests that move from one real QEMU to another over a unix socket, and those that do not get there."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from ansible_collections.vmops.qemu.tests.support.modules import Modules, finish, refused, unchanged
from ansible_collections.vmops.qemu.tests.support.waiting import until
from ansible_collections.vmops.qemu.tests.vm.binaries import Binary
from ansible_collections.vmops.qemu.tests.vm.machine import VM

COUNT = "(i=0; while true; do i=$((i+1)); echo $i > /tmp/new; mv /tmp/new /tmp/count; sleep 0.02; done) >/dev/null 2>&1 &"
Make = Callable[..., VM]


class Line:
    """A way from the unix socket *here* to the one *there* for one connection, which carries nothing until it is opened."""

    def __init__(self, here: Path, there: Path) -> None:
        self.uri = f"unix:{here}"
        self._there = str(there)
        self._opened = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(here))
        self._listener.listen()
        threading.Thread(target=self._carry, daemon=True).start()

    def open(self) -> None:
        self._opened.set()

    def _carry(self) -> None:
        with closing(self._listener):
            source, _address = self._listener.accept()
        self._opened.wait()
        target = socket.socket(socket.AF_UNIX)
        target.connect(self._there)
        for one, other in ((source, target), (target, source)):
            threading.Thread(target=self._pump, args=(one, other), daemon=True).start()

    def _pump(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(1 << 16):
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)


def migrate(vm: VM, check: bool = False, **options: Any) -> dict[str, Any]:
    return Modules(vm).run("qmp_migrate", check, **options)


def sent(result: dict[str, Any]) -> list[str]:
    return [command["execute"] for command in result["commands"]]


@pytest.fixture
def source(binary: Binary, make_vm: Make) -> VM:
    """A VM whose firmware runs, without a guest."""
    return make_vm(binary=binary, boot=False, paused=False)


@pytest.fixture
def target(binary: Binary, make_vm: Make) -> VM:
    """One that waits for it."""
    return make_vm(binary=binary, boot=False, extra=("-incoming", "defer"))


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return f"unix:{tmp_path}/migrate.sock"


@pytest.fixture
def line(target: VM, tmp_path: Path) -> Iterator[Line]:
    """A way to *target*, which listens at the end of it."""
    assert migrate(target, state="incoming", uri=f"unix:{tmp_path}/far.sock", capabilities={"postcopy-ram": True})["changed"]
    yield Line(tmp_path / "near.sock", tmp_path / "far.sock")


def test_a_guest_goes_on_counting_at_the_other_side(binary: Binary, make_vm: Make, uri: str) -> None:
    here = make_vm(binary=binary)
    there = make_vm(binary=binary, paused=True, extra=("-incoming", "defer"))
    here.guest(COUNT)
    count = _counted_on(here, 0)
    assert migrate(there, state="incoming", uri=uri)["changed"]
    options: dict[str, Any] = {
        "uri": uri,
        "capabilities": {"xbzrle": True},
        "parameters": {"max-bandwidth": "64M"},
        "timeout": 60,
    }
    planned = migrate(here, check=True, **options)
    assert planned["changed"] and planned["migration"]["status"] == "completed", planned
    done = migrate(here, **options)
    assert done.get("changed") and done["commands"] == planned["commands"], done
    assert sent(done) == ["migrate-set-capabilities", "migrate-set-parameters", "migrate"]
    migration = done["migration"]
    assert migration["status"] == "completed" and migration["capabilities"]["xbzrle"], done
    assert migration["parameters"]["max-bandwidth"] == 64 << 20 and "cache-size" in migration["xbzrle-cache"]
    assert migration["ram"]["transferred"] > 0 and migration["ram"]["remaining"] == 0 and migration["downtime"] >= 0
    assert done["vm"]["status"] == "postmigrate"

    again = migrate(here, **options)
    assert unchanged(again) and again["commands"] == [] and again["unverified"] == ["uri"], again
    assert unchanged(migrate(there, state="incoming", uri=uri))
    assert Modules(there).run("qmp_power", state="running")["vm"]["status"] == "running"
    _counted_on(there, count)


def _counted_on(vm: VM, least: int) -> int:
    """The guest's count, when it has grown past *least* and once more while looked at."""
    deadline = time.monotonic() + 30
    first = None
    while time.monotonic() < deadline:
        now = int(vm.guest("cat /tmp/count 2>/dev/null || echo 0"))
        if first is None and now > least:
            first = now
        if first is not None and now > first:
            return now
        time.sleep(0.05)
    raise AssertionError(f"the guest does not count on from {least}")


def test_a_socket_where_nobody_listens(source: VM, uri: str) -> None:
    settings: dict[str, Any] = {"capabilities": {"auto-converge": True}, "parameters": {"downtime-limit": 77}}
    before = migrate(source, state="status")["migration"]
    result = migrate(source, uri=uri, **settings)
    refused(result, "command_failed", "No such file", "continues to run here")
    assert result["details"]["vm"] == "running" and result["details"]["migration"]["status"] == "failed"
    assert source.query("query-status")["running"]
    after = migrate(source, state="status")["migration"]
    assert after["capabilities"] == before["capabilities"] and after["parameters"] == before["parameters"]
    refused(migrate(source, uri="nosuch:x", **settings), "command_failed", "protocol")
    refused(migrate(source, uri=uri, wait=False), "command_failed", "No such file")


def test_settings_are_set_only_where_different(source: VM) -> None:
    settings: dict[str, Any] = {"state": "status", "capabilities": {"xbzrle": "yes"}, "parameters": {"max-bandwidth": "1M"}}
    planned = migrate(source, check=True, **settings)
    done = migrate(source, **settings)
    assert done.get("changed") and done["commands"] == planned["commands"] and done["diff"] == planned["diff"], done
    assert sent(done) == ["migrate-set-capabilities", "migrate-set-parameters"]
    assert done["migration"]["status"] == "none" and done["migration"]["parameters"]["max-bandwidth"] == 1 << 20
    assert unchanged(migrate(source, **settings))
    other: dict[str, Any] = {
        **settings,
        "capabilities": {"xbzrle": True, "auto-converge": False},
        "parameters": {"downtime-limit": 99},
    }
    assert sent(migrate(source, **other)) == ["migrate-set-parameters"]


def test_a_migration_that_takes_long_is_reported_and_waited_for_and_cancelled(source: VM, target: VM, line: Line) -> None:
    slow: dict[str, Any] = {"uri": line.uri, "parameters": {"max-bandwidth": 1000}}
    begun = migrate(source, wait=False, **slow)
    assert begun.get("changed") and begun["migration"]["status"] == "active", begun
    again = migrate(source, wait=False, **slow)
    assert again.get("changed") is False and again["unverified"] == ["uri"], again
    late = migrate(source, timeout=1, **slow)
    assert late["error_code"] == "outcome_unknown" and "cancelled" in late["msg"] and "of RAM" in late["msg"], late
    refused(migrate(source, capabilities={"xbzrle": True}, **slow), "conflict", "xbzrle", "cancelled")
    refused(migrate(source, state="postcopy"), "unsupported", "postcopy-ram")
    refused(migrate(target, state="cancelled"), "unsupported", "comes from")

    assert sent(migrate(source, check=True, state="cancelled")) == ["migrate_cancel"]
    gone = migrate(source, state="cancelled")
    assert gone.get("changed") and gone["migration"]["status"] == "cancelled" and gone["vm"]["status"] == "running", gone
    assert unchanged(migrate(source, state="cancelled"))


def test_a_second_run_waits_for_what_the_first_began(source: VM, line: Line) -> None:
    begun: dict[str, Any] = {"uri": line.uri, "capabilities": {"postcopy-ram": True}}
    assert migrate(source, wait=False, **begun)["changed"]
    waiting = Modules(source).start("qmp_migrate", parameters={"max-bandwidth": "1G"}, timeout=60, **begun)
    until(lambda: source.query("query-migrate-parameters")["max-bandwidth"] == 1 << 30)
    line.open()
    done = finish(waiting)
    assert done.get("changed") and sent(done) == ["migrate-set-parameters"], done
    assert done["migration"]["status"] == "completed"


def test_postcopy_ends_what_has_begun(source: VM, line: Line, uri: str) -> None:
    refused(migrate(source, state="postcopy"), "unsupported", "none")
    slow = {"max-bandwidth": 1000}  # or all is there before postcopy has anything to fetch
    assert migrate(source, wait=False, uri=line.uri, capabilities={"postcopy-ram": True}, parameters=slow)["changed"]
    switching = migrate(source, state="postcopy", wait=False)
    assert switching.get("changed") and sent(switching) == ["migrate-start-postcopy"], switching
    line.open()
    done = migrate(source, state="started", timeout=60)
    assert done.get("changed") is False, done
    assert done["migration"]["ram"]["postcopy-bytes"] > 0 and done["vm"]["status"] == "postmigrate", done
    assert unchanged(migrate(source, state="postcopy"))
    refused(migrate(source, state="incoming", uri=uri), "unsupported", "-incoming defer")


def test_a_guest_that_stands_before_the_switch_is_switched_by_the_next_run(source: VM) -> None:
    options: dict[str, Any] = {"uri": "exec:cat>/dev/null", "capabilities": {"pause-before-switchover": True}}
    stands = migrate(source, **options)
    assert stands.get("changed") and stands["migration"]["status"] == "pre-switchover", stands
    done = migrate(source, **options)
    assert done.get("changed") and sent(done) == ["migrate-continue"], done
    assert done["migration"]["status"] == "completed" and done["vm"]["status"] == "postmigrate"
    assert unchanged(migrate(source, **options))
    forced = migrate(source, force=True, uri="exec:cat>/dev/null", capabilities={"pause-before-switchover": False})
    assert sent(forced) == ["migrate-set-capabilities", "cont", "migrate"] and forced["vm"]["status"] == "postmigrate"


def test_channels_are_taken_where_this_qemu_has_them(source: VM, target: VM, binary: Binary, tmp_path: Path) -> None:
    path = str(tmp_path / "channel.sock")
    channels = [{"channel-type": "main", "addr": {"transport": "socket", "type": "unix", "path": path}}]
    if int(binary.version.split(".")[0]) < 9:
        refused(migrate(source, channels=channels), "unsupported", "uri")
        return
    assert migrate(target, state="incoming", channels=channels)["changed"]
    assert unchanged(migrate(target, state="incoming", channels=channels))
    assert migrate(source, channels=channels)["migration"]["status"] == "completed"


def test_a_target_listens_once_and_says_so(target: VM, uri: str) -> None:
    planned = migrate(target, check=True, state="incoming", uri=uri)
    done = migrate(target, state="incoming", uri=uri)
    assert done.get("changed") and done["commands"] == planned["commands"] and done["vm"]["status"] == "inmigrate", done
    assert done["migration"]["status"] == "setup"
    assert unchanged(migrate(target, state="incoming", uri=uri))
    refused(migrate(target, state="incoming", uri=f"{uri}2"), "conflict", uri)
    refused(migrate(target, uri=uri), "unsupported", "incoming")


def test_a_target_that_cannot_listen_says_why_also_the_second_time(target: VM) -> None:
    refused(migrate(target, state="incoming", uri="unix:/nosuch/sock"), "command_failed", "/nosuch/sock")
    again = migrate(target, state="incoming", uri="unix:/nosuch/sock")
    assert again["error_code"] in ("command_failed", "unsupported") and again["changed"] is False, again


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "uri"),
        ({"state": "incoming"}, "-incoming defer"),
        ({"uri": "tcp:x:1", "capabilities": {"xbzrl": True}}, "'xbzrle'"),
        ({"uri": "tcp:x:1", "capabilities": {"xbzrle": "maybe"}}, "boolean"),
        ({"uri": "tcp:x:1", "parameters": {"max-bandwith": 5}}, "'max-bandwidth'"),
        ({"uri": "tcp:x:1", "parameters": {"max-bandwidth": "much"}}, "whole number"),
    ],
    ids=str,
)
def test_what_cannot_be(vm: VM, options: dict[str, Any], said: str) -> None:
    result = migrate(vm, **options)
    refused(result, result["error_code"], said)
    assert result["error_code"] in ("invalid_option", "unsupported")
