# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a guest writes to an NVDIMM is in its file, and there at the next start."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.vmops.qemu.tests.support.modules import refused, unchanged
from ansible_collections.vmops.qemu.tests.vm.binaries import Binary
from ansible_collections.vmops.qemu.tests.vm.machine import VM

from .memory import memory

ON = ("-machine", "nvdimm=on")
WRITTEN = b"written by the guest"


def test_what_the_guest_writes_stays(binary: Binary, make_vm: Callable[..., VM], tmp_path: Path) -> None:
    task: dict[str, Any] = {"id": "nv1", "type": "nvdimm", "size": "128M", "mem_path": str(tmp_path / "nv")}
    vm = make_vm(binary=binary, extra=ON)
    planned = memory(vm, check=True, **task)
    added = memory(vm, **task)
    assert added.get("changed") and added["commands"] == planned["commands"], added
    assert added["launch_args"] == planned["launch_args"]
    vm.wait_command("test -b /dev/pmem0")
    vm.guest(f"printf '{WRITTEN.decode()}' | dd of=/dev/pmem0 conv=fsync")
    assert (tmp_path / "nv").read_bytes().startswith(WRITTEN)
    again = memory(vm, **task)
    assert unchanged(again) and again["launch_args"], again
    vm.stop()
    vm = make_vm(binary=binary, extra=tuple(added["launch_args"]))
    at_launch = memory(vm, **task)
    assert unchanged(at_launch)
    assert vm.guest(f"dd if=/dev/pmem0 bs={len(WRITTEN)} count=1 2>/dev/null").encode() == WRITTEN
    vm.stop()
    for launch_args in (again["launch_args"], at_launch["launch_args"]):
        assert unchanged(memory(make_vm(binary=binary, boot=False, extra=tuple(launch_args)), **task))
        assert "share=on" in str(launch_args)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mem_path": "{dir}/nv", "share": False}, ["share: false", "lost"]),
        ({"mem_path": "{dir}/nv", "backend": "file", "share": False}, ["share: false", "lost"]),
        ({"backend": "ram"}, ["backend: ram", "mem_path"]),
        ({"backend": "memfd"}, ["backend: memfd", "mem_path"]),
        ({"backend": "memfd", "share": True}, ["backend: memfd", "mem_path"]),
        ({}, ["mem_path"]),
        ({"mem_path": "{dir}"}, ["directory"]),
        ({"mem_path": "nv"}, ["absolute path"]),
        ({"mem_path": "{dir}/nv", "bus": "rp0"}, ["bus", "slot"]),
    ],
    ids=str,
)
def test_an_nvdimm_that_would_lose_its_content_is_refused(
    make_vm: Callable[..., VM], tmp_path: Path, options: dict[str, Any], words: list[str]
) -> None:
    vm = make_vm(boot=False, extra=ON)
    task = {
        "id": "nv1",
        "type": "nvdimm",
        "size": "128M",
        **{name: value.format(dir=tmp_path) if name == "mem_path" else value for name, value in options.items()},
    }
    for check in (True, False):
        refused(memory(vm, check, **task), "invalid_option", *words)
    assert not (tmp_path / "nv").exists()


def test_pmem_is_sent_to_qemu(binary: Binary, make_vm: Callable[..., VM], tmp_path: Path) -> None:
    vm = make_vm(binary=binary, boot=False, extra=ON)
    task: dict[str, Any] = {
        "id": "nv1",
        "type": "nvdimm",
        "size": "128M",
        "backend": "file",
        "mem_path": str(tmp_path / "nv"),
        "pmem": True,
    }
    added = memory(vm, **task)
    assert added.get("changed"), added
    assert added["commands"][0] == {
        "execute": "object-add",
        "arguments": {
            "qom-type": "memory-backend-file",
            "id": "nv1.mem",
            "size": 128 << 20,
            "mem-path": str(tmp_path / "nv"),
            "pmem": True,
            "share": True,
        },
    }
    assert unchanged(memory(vm, **task))
    refused(memory(vm, **{**task, "pmem": False}), "conflict", "pmem is True and the task sets False")
    assert "pmem=on" in str(added["launch_args"])


def test_a_label_is_part_of_its_size(binary: Binary, make_vm: Callable[..., VM], tmp_path: Path) -> None:
    task: dict[str, Any] = {
        "id": "nv1",
        "type": "nvdimm",
        "size": "128M",
        "mem_path": str(tmp_path / "nv"),
        "properties": {"label-size": 128 << 10},
    }
    vm = make_vm(binary=binary, boot=False, extra=ON)
    added = memory(vm, **task)
    assert added.get("changed") and added["memory"]["size"] == 128 << 20, added
    again = memory(vm, **task)
    assert unchanged(again)
    vm.stop()
    assert unchanged(memory(make_vm(binary=binary, boot=False, extra=tuple(again["launch_args"])), **task))


def test_there_is_a_warning_about_an_nvdimm_of_the_launch_with_a_private_copy(
    binary: Binary, make_vm: Callable[..., VM], tmp_path: Path
) -> None:
    vm = make_vm(
        binary=binary,
        boot=False,
        extra=(
            *ON,
            "-object",
            f"memory-backend-file,id=mem1,size=128M,mem-path={tmp_path}/nv",
            "-device",
            "nvdimm,id=nv1,memdev=mem1",
        ),
    )
    result = memory(vm, id="nv1", type="nvdimm", size="128M", mem_path=str(tmp_path / "nv"))
    assert unchanged(result) and "lost" in str(result["warnings"]) and "mem1" in str(result["warnings"]), result
    vm.stop()
    again = memory(make_vm(binary=binary, boot=False, extra=tuple(result["launch_args"])), id="nv1")
    assert unchanged(again) and not again.get("warnings"), again


def test_a_vm_without_support_for_nvdimms_is_refused_in_check_mode(bare_vm: VM, tmp_path: Path) -> None:
    for check in (True, False):
        refused(
            memory(bare_vm, check, id="nv1", type="nvdimm", size="128M", mem_path=str(tmp_path / "nv")),
            "unsupported",
            "-machine nvdimm=on",
        )
    assert not (tmp_path / "nv").exists()
