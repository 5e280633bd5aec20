# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a VM has, where its answers are unusual."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Iterable

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils._vm.errors import Conflict, InvalidOption, Unsupported
from ansible_collections.vmops.qemu.plugins.module_utils._vm.hints import hint
from ansible_collections.vmops.qemu.plugins.module_utils._vm.model.hardware import Chardev, Hardware, is_at
from ansible_collections.vmops.qemu.plugins.module_utils._vm.model.query_cache import QueryCache
from ansible_collections.vmops.qemu.plugins.module_utils.qmp import (
    CommandError,
    InvalidArguments,
    ProtocolError,
    Request,
    TcpAddress,
    UnixAddress,
    Version,
)
from ansible_collections.vmops.qemu.tests.support import recordings

NEW = Version(10, 0, 0)


class Scripted(recordings.Answering):
    """Answers each command with what is given, a CommandError if there is none."""

    command_line: list[str] = []

    def __init__(self, version: Version = NEW, **answers: Any) -> None:
        self.version = version
        self.answers = {name.replace("_", "-"): answer for name, answer in answers.items()}
        self.asked: list[Request] = []

    def execute_many(self, requests: Iterable[Request], **_options: Any) -> list[Any]:
        requests = list(requests)
        self.asked += requests
        refused = CommandError("CommandNotFound", "no such command", "x")
        return [self.answers.get(request.command, refused) for request in requests]


def of(version: Version = NEW, **answers: Any) -> Hardware:
    scripted: Any = Scripted(version, **answers)
    return Hardware(scripted)


def test_the_accelerator_is_read_as_far_as_qemu_reports_it() -> None:
    assert of(query_accelerators={"enabled": "mshv"}).accelerator == "mshv"
    assert of(query_kvm={"enabled": True}).accelerator == "kvm"
    assert of(query_kvm={"enabled": False}, human_monitor_command="TB count  12/34").accelerator == "tcg"
    assert of(query_kvm={"enabled": False}).accelerator == "other"


def test_a_driver_with_one_half_only_is_not_asked_for() -> None:
    half = of(qom_list_types=[{"name": "virtio-vga-gl"}])
    with pytest.raises(Unsupported, match="virtio-gpu-gl-device"):
        half.device_properties("virtio-vga-gl")
    of(qom_list_types=[{"name": "virtio-vga-gl"}, {"name": "virtio-gpu-gl-device"}]).refuse_incomplete("virtio-vga-gl")
    with pytest.raises(InvalidOption, match="'nosuch'"):
        of(device_list_properties=CommandError("DeviceNotFound", "no", "x")).device_properties("nosuch")


def test_a_concluded_stream_makes_old_qemus_crash_when_nodes_are_asked_for() -> None:
    job = {"id": "s", "type": "stream", "status": "concluded", "current-progress": 1, "total-progress": 1}
    with pytest.raises(Conflict, match="id: s"):
        _nodes = of(query_jobs=[job]).nodes
    node = {"node-name": "a", "drv": "raw", "file": "/f", "ro": False, "image": {"virtual-size": 512}}
    assert [*of(Version(11, 1, 0), query_jobs=[job], query_named_block_nodes=[node]).nodes] == ["a"]
    assert [*of(query_jobs=[{**job, "status": "running"}], query_named_block_nodes=[node]).nodes] == ["a"]


def graph(*edges: tuple[int, int]) -> dict[str, Any]:
    nodes = [{"id": number, "type": "block-driver", "name": f"n{number}"} for number in (1, 2)]
    return {"nodes": nodes, "edges": [{"parent": parent, "child": child, "name": "file"} for parent, child in edges]}


@pytest.mark.parametrize(("edges", "said"), [([(1, 3)], "not there"), ([(1, 2), (2, 1)], "below itself")])
def test_a_block_graph_that_cannot_be(edges: list[tuple[int, int]], said: str) -> None:
    with pytest.raises(ProtocolError, match=said):
        _nodes = of(query_named_block_nodes=[], x_debug_query_block_graph=graph(*edges)).nodes


def test_a_name_that_cannot_be_asked_for_is_refused_alone() -> None:
    class Picky(Scripted):
        def execute_many(self, requests: Iterable[Request], **options: Any) -> list[Any]:
            requests = list(requests)
            for request in requests:
                if "\ud800" in (request.arguments or {}).values():
                    raise InvalidArguments(request.command, "not Unicode")
            return super().execute_many(requests, **options)

    picky: Any = Picky(qom_get=5)
    assert QueryCache(picky).qom_get([("/a", "x"), ("/b", "\ud800"), ("/c", "y")]) == [5, None, 5]


def test_an_answer_is_asked_for_once() -> None:
    scripted: Any = Scripted(query_status={"status": "running", "running": True})
    cache = QueryCache(scripted)
    assert cache.ask("query-status") is cache.ask("query-status") and len(scripted.asked) == 1
    assert cache.ask_or(7, "query-nothing") == 7
    with pytest.raises(CommandError):
        cache.ask("query-nothing")
    with pytest.raises(ProtocolError):
        QueryCache(Scripted(query_status=[])).ask("query-status")  # type: ignore[arg-type]  # it has all of a Monitor that is used


@pytest.mark.parametrize(
    ("described", "addr", "at"),
    [
        ("unix:/run/a,server=on", {"path": "/run/a"}, True),
        ("unix:/run/b,server=on", {"path": "/run/b"}, False),
        ("disconnected:unix:/run/a", {"path": "/run/a"}, False),
        ("tcp:127.0.0.1:1", {"host": "127.0.0.1", "port": "1"}, False),
    ],
)
def test_the_character_device_of_this_connection_is_known_by_its_address(
    described: str, addr: dict[str, Any], at: bool, tmp_path: Path
) -> None:
    chardev = Chardev("c", "socket", described, True, addr)
    assert is_at(chardev, UnixAddress("/run/a")) is at
    assert is_at(chardev, TcpAddress("127.0.0.1", 1)) is described.startswith("tcp")
    assert not is_at(chardev._replace(type="null"), UnixAddress("/run/a"))


def test_a_socket_is_the_same_by_another_path(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "b").symlink_to("a")
    chardev = Chardev("c", "socket", "unix", True, {"path": str(tmp_path / "b")})
    assert is_at(chardev, UnixAddress(str(tmp_path / "a")))


@pytest.mark.parametrize(
    ("desc", "advice"),
    [
        ('Failed to get "write" lock', "fuser FILE"),
        ("Could not open '/f': Permission denied", "the user that QEMU runs as"),
        ("Bus 'pcie.0' does not support hotplugging", "qmp_info"),
    ],
)
def test_an_error_of_qemu_gets_a_hint(desc: str, advice: str) -> None:
    assert advice in hint(desc) and hint(desc).startswith(" ")


def test_an_error_that_says_all_gets_none() -> None:
    assert hint("Duplicate device ID 'a'") == ""


@pytest.mark.parametrize("name", ["buses", "users", "acpi", "devices"])
def test_the_capacity_of_a_vm_has_a_count_or_a_reason(name: str) -> None:
    for recording in recordings.of(name):
        facts = recordings.check(recording, "qmp_info", gather_subset=["capacity", "devices", "memory", "vm", "balloon"])
        for kind in facts["capacity"].values():
            assert (kind["count"] > 0) == (kind["reason"] is None)
            assert kind["count"] == 0 or not kind["launch_args"]
        assert facts["vm"]["target"] == "x86_64" and facts["memory"]["slots"] == 4
        assert facts["capacity"]["disk"]["count"] == {"buses": 56, "users": 0, "acpi": 3, "devices": 1}[name]
