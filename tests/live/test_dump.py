# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The memory of real guests, written by real QEMUs and opened again."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from ansible_collections.vmops.qemu.tests.support.modules import Modules, refused
from ansible_collections.vmops.qemu.tests.vm.machine import VM

PT_LOAD, PT_NOTE = 1, 4
NT_PRSTATUS = 1


def dump(vm: VM, check: bool = False, **options: Any) -> dict[str, Any]:
    return Modules(vm).run("qmp_dump", check, timeout=60, **options)


@pytest.fixture
def running(vm: VM) -> Iterator[VM]:
    """A guest that runs, and must run on."""
    yield vm
    assert vm.query("query-status")["status"] == "running"
    assert vm.guest("echo here") == "here\n"


def segments(data: bytes) -> list[tuple[int, bytes, int]]:
    """The program headers of a 64-bit ELF core as type, content and physical address."""
    kind, offset, size, count = struct.unpack_from("<16xH14xQ14xHH", data)
    assert kind == 4  # ET_CORE
    found = []
    for number in range(count):
        type_, start, address, length = struct.unpack_from("<I4xQ8xQQ", data, offset + number * size)
        found.append((type_, data[start : start + length], address))
    return found


def notes(data: bytes) -> Iterator[tuple[str, int]]:
    """Name and type of each note."""
    position = 0
    while position < len(data):
        name, content, type_ = struct.unpack_from("<III", data, position)
        position += 12
        yield data[position : position + name].rstrip(b"\0").decode(), type_
        position += -(-name // 4) * 4 + -(-content // 4) * 4


def test_a_dump_is_an_elf_core_with_a_note_for_each_vcpu(running: VM, tmp_path: Path) -> None:
    path = tmp_path / "vm.elf"
    planned = dump(running, check=True, path=str(path))
    assert planned["changed"] and not path.exists(), planned
    done = dump(running, path=str(path))
    assert done.get("changed") and done["commands"] == planned["commands"], done
    assert done["vm"]["status"] == "running" and done["dump"]["status"] == "completed"
    assert done["dump"]["size"] == path.stat().st_size > done["dump"]["completed"] == done["dump"]["total"] > 256 << 20
    data = path.read_bytes()
    assert data.startswith(b"\x7fELF")
    found = segments(data)
    inside = [note for type_, content, _address in found if type_ == PT_NOTE for note in notes(content)]
    assert inside.count(("CORE", NT_PRSTATUS)) == 1 and ("QEMU", 0) in inside, inside
    assert b"vmlinux" in data or b"Linux version" in b"".join(content for type_, content, _address in found if type_ == PT_LOAD)


def test_a_part_of_the_memory(running: VM, tmp_path: Path) -> None:
    path = tmp_path / "part.elf"
    done = dump(running, path=str(path), begin="0x100000", length="1M", paging=False)
    assert done.get("changed"), done
    assert done["commands"][0]["arguments"].items() >= {"begin": 1 << 20, "length": 1 << 20}.items()
    loaded = [(len(content), address) for type_, content, address in segments(path.read_bytes()) if type_ == PT_LOAD]
    assert (1 << 20, 1 << 20) in loaded, loaded


@pytest.mark.parametrize("format", ["kdump-zlib", "kdump-raw-zlib"])
def test_a_compressed_dump_where_the_vm_has_it(bare_vm: VM, tmp_path: Path, format: str) -> None:
    path = tmp_path / "vm.kdump"
    result = dump(bare_vm, path=str(path), format=format)
    if format not in bare_vm.query("query-dump-guest-memory-capability")["formats"]:
        refused(result, "invalid_option", format, "'kdump-zlib'")
        return
    assert result.get("changed") and result["dump"]["size"] < 64 << 20 and result["vm"]["status"] == "prelaunch", result
    start = {"kdump-zlib": b"makedumpfile", "kdump-raw-zlib": b"KDUMP   "}[format]
    assert path.read_bytes().startswith(start)


def test_a_file_that_is_there_is_overwritten_only_by_force(bare_vm: VM, tmp_path: Path) -> None:
    path = tmp_path / "vm.elf"
    path.write_text("precious")
    tasks: list[dict[str, Any]] = [{"path": str(path)}, {"protocol": f"file:{path}"}]
    for options in tasks:
        refused(dump(bare_vm, **options), "conflict", str(path), "force")
    assert path.read_text() == "precious"
    done = dump(bare_vm, path=str(path), force=True)
    assert done.get("changed") and path.read_bytes().startswith(b"\x7fELF"), done


def test_a_disk_that_is_full_is_reported_and_the_guest_runs_on(running: VM) -> None:
    refused(dump(running, path="/dev/full"), "command_failed", "No space left on device")


def test_a_named_pipe_is_refused_for_qemu_would_hang(bare_vm: VM, tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    refused(dump(bare_vm, path=str(path)), "invalid_option", "pipe")


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        ({"path": "vm.elf"}, "invalid_option", "absolute path"),
        ({"path": "/nosuch/vm.elf"}, "command_failed", "/nosuch/vm.elf"),
        ({"protocol": "nosuch:x"}, "command_failed", "protocol"),
        ({"path": "/nosuch/vm.elf", "format": "kdump-zip"}, "invalid_option", "'kdump-zlib'"),
        ({"path": "/nosuch/vm.elf", "begin": "here", "length": "1M"}, "invalid_option", "whole number"),
        ({"path": "/nosuch/vm.elf", "format": "kdump-zlib", "paging": True}, "command_failed", "paging"),
    ],
    ids=str,
)
def test_what_cannot_be(running: VM, options: dict[str, Any], code: str, said: str) -> None:
    refused(dump(running, check=True, **options), code, said)
    refused(dump(running, **options), code, said)


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        ({"path": None}, "invalid_option", "path"),
        ({"path": None, "protocol": None}, "invalid_option", "protocol"),
        ({"protocol": ""}, "command_failed", "protocol"),
        ({"protocol": "x"}, "command_failed", "protocol"),
        ({"protocol": "exec:true"}, "command_failed", "protocol"),
        ({"protocol": "FILE:/x"}, "command_failed", "protocol"),
        ({"path": "{dir}/vm", "begin": "0", "length": "0"}, "invalid_option", "length"),
        ({"path": "{dir}/vm", "begin": str(1 << 63), "length": "1M"}, "invalid_option", "begin"),
        ({"path": "{dir}/vm", "begin": "0", "length": str(1 << 63)}, "invalid_option", "length"),
        ({"path": "{dir}/vm", "begin": "-1", "length": "1M"}, "invalid_option", "begin"),
        ({"path": "{dir}/vm", "begin": "0", "length": "1M", "format": "kdump-zlib"}, "command_failed", ""),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_in_check_mode_too(
    bare_vm: VM, tmp_path: Path, options: dict[str, Any], code: str, said: str
) -> None:
    options = {name: value and value.replace("{dir}", str(tmp_path)) for name, value in options.items()}
    for check in (True, False):
        refused(dump(bare_vm, check=check, **options), code, said)
    assert not (tmp_path / "vm").exists()


def test_a_dump_in_time_or_said_to_go_on(make_vm: Callable[..., VM], tmp_path: Path) -> None:
    vm = make_vm()
    late = Modules(vm).run("qmp_dump", path=str(tmp_path / "vm.kdump"), format="kdump-zlib", timeout=0.01)
    assert late.get("error_code") == "outcome_unknown" and late["changed"] and late["details"]["dump"]["total"] > 0, late
    busy = dump(vm, path=str(tmp_path / "other"))
    refused(busy, "conflict", "being written")
