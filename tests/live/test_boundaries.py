# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check mode against the run, at the ends of what the options of memory, vCPUs and balloon take: what the run refuses, check mode
refused; what check mode planned, the run sent. A sample of the values, or with TORTURE=all each of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.vmops.qemu.tests.support.modules import Modules
from ansible_collections.vmops.qemu.tests.support.values import ALL, MiB
from ansible_collections.vmops.qemu.tests.vm.binaries import Binary
from ansible_collections.vmops.qemu.tests.vm.machine import VM

EVERY = 1 if ALL else 16
SIZES = [
    "0",
    "-1",
    "1",
    "4095",
    "4096",
    str(2 * MiB - 1),
    "2M",
    str(2 * MiB + 1),
    "2.5M",
    "100M",
    "129M",
    "1G",
    "3G",
    "1T",
    "4E",
    "8E",
    "16E",
    str((1 << 63) - 1),
    str((1 << 64) - 1),
    str(1 << 64),
    "1e3",
    "inf",
    "NaN",
    "lots",
    "0x200000",
    "",
    " ",
    "128 M",
    "128MB",
    "128Mb",
    "１２８M",
    "2\n",
    True,
    2 * MiB,
    2.5,
    -2.0,
]
WHOLE = [-1, 0, 1, 3, 4, 31, 32, 255, (1 << 31) - 1, 1 << 31, 1 << 32, 1 << 64, "2", "-1", "x", "", 1.5, True]
ADDRESSES = [
    "0",
    "1",
    "4294967296",
    "0x100000000",
    "0x180000000",
    "0x180100000",
    "0x7ffffffffffff000",
    "0xffffffffffffffff",
    "-1",
    "4G",
    "x",
    "",
    "0x",
    "5.1",
    "fe.0.0001",
    str(1 << 64),
    4294967296 * 2,
]
PATHS = [
    "{dir}",
    "{dir}/",
    "{dir}/new",
    "{dir}/new/",
    "{dir}/small",
    "{dir}/empty",
    "{dir}/large",
    "{dir}/a,b",
    "{dir}/ä b",
    "nv",
    "./nv",
    "",
    " ",
    "/",
    "/nosuch/x",
    "/dev/null",
    "/dev/zero",
    "{dir}/" + "x" * 255,
    "{dir}/" + "x" * 256,
    "{dir}/small/x",
    "{dir}/loop",
    "{dir}/a\nb",
    "{dir}/dangling",
]
DIMM = {"size": "128M"}
VIRTIO = {"size": "128M", "type": "virtio-mem"}
NVDIMM = {"size": "128M", "type": "nvdimm"}


def _with(common: dict[str, Any], option: str, values: list[Any]) -> list[dict[str, Any]]:
    return [{**common, option: value} for value in values]


MEMORY = [
    *_with({}, "size", SIZES),
    *_with({"backend": "memfd"}, "size", SIZES),
    *_with({"type": "virtio-mem"}, "size", SIZES),
    *_with({"backend": "file", "mem_path": "{dir}/sized"}, "size", SIZES),
    *_with({"type": "nvdimm", "mem_path": "{dir}/sized"}, "size", SIZES),
    *_with(VIRTIO, "requested_size", SIZES),
    *_with(DIMM, "requested_size", ["0", "2M"]),
    *(one for kind in (DIMM, VIRTIO) for option in ("slot", "node") for one in _with(kind, option, WHOLE)),
    *(one for kind in (DIMM, VIRTIO) for one in _with(kind, "addr", ADDRESSES)),
    *(one for kind in (DIMM, VIRTIO) for one in _with(kind, "bus", ["rp3", "pcie.0", "nosuch", "", "scsi0.0"])),
    *_with({**DIMM, "backend": "file"}, "mem_path", PATHS),
    *_with(NVDIMM, "mem_path", PATHS),
    *_with(DIMM, "mem_path", PATHS[:2]),
    *_with({**DIMM, "backend": "memfd", "hugetlb": False}, "hugetlbsize", SIZES),
    *_with(DIMM, "hugetlb", [True, False]),
    *(
        one
        for policy in ("default", "preferred", "bind", "interleave", "")
        for one in _with(
            {**DIMM, "policy": policy}, "host_nodes", [[], [0], [-1], [1], [127], [128], [1 << 32], ["0"], ["x"], "0"]
        )
    ),
    *_with(DIMM, "host_nodes", [[0], []]),
    *_with(
        VIRTIO, "properties", [{"block-size": size} for size in (0, 1, MiB, 2 * MiB, 3 * MiB, 256 * MiB, "4M", "x", -1, 1 << 64)]
    ),
    *_with(
        DIMM, "properties", [{"addr": 1 << 33}, {"memdev": "x"}, {"slot": 1}, {"nosuch": 1}, {"id": "x"}, {"size": 1}, {"": 1}]
    ),
    *_with(
        {**NVDIMM, "mem_path": "{dir}/labelled"},
        "properties",
        [{"label-size": size} for size in (0, 1, 131071, 131072, 131073, 128 * MiB, "x", -1)],
    ),
    *_with({**NVDIMM, "mem_path": "{dir}/nv2"}, "properties", [{"uuid": "x"}, {"unarmed": "on"}, {"unarmed": "maybe"}]),
    *(
        {**DIMM, "backend": backend, "type": kind, "mem_path": "{dir}/both"}
        for backend in ("ram", "file", "memfd")
        for kind in ("pc-dimm", "nvdimm", "virtio-mem")
    ),
    *(
        {**DIMM, "backend": backend, option: value}
        for backend in ("ram", "file", "memfd")
        for option in ("share", "prealloc", "pmem")
        for value in (True, False)
    ),
    *_with({}, "total", ["0", "1", "256M", "257M", "258M", "3G", "128G", "16E", "x", "", str((1 << 63) - 1)]),
]
CPUS = [
    *_with({}, "count", WHOLE),
    *_with(
        {},
        "topology",
        [
            {},
            {"socket-id": 1},
            {"socket-id": 0, "core-id": 1, "thread-id": 0},
            {"socket-id": 1, "core-id": 1},
            {"socket_id": 1},
            {"socket-id": 2, "core-id": 0},
            {"socket-id": -1, "core-id": 0},
            {"socket-id": "1", "core-id": "0"},
            {"socket-id": "x", "core-id": 0},
            {"socket-id": True, "core-id": 1},
            {"socket-id": 1.0, "core-id": 1},
            {"nosuch": 1},
            {"socket-id": [1], "core-id": 1},
            {"socket-id": None, "core-id": 1},
            {"socket-id": 1 << 64, "core-id": 0},
            {"": 0},
            {"socket-id": "١", "core-id": 0},
        ],
    ),
]
UNKNOWABLE = ("Cannot allocate memory",)
"""What only the host knows when it is asked: whether it has so much memory."""


class Boundaries:
    """One VM after the other, each until it is full. ``wrong`` are the cases in which check mode and the run were not of one
    mind."""

    def __init__(self, make_vm: Callable[..., VM], binary: Binary) -> None:
        self._make: Callable[[], VM] = lambda: make_vm(
            binary=binary,
            boot=False,
            ports=24,
            extra=("-machine", "nvdimm=on", "-m", "256M,slots=64,maxmem=32G", "-device", "virtio-balloon-pci,id=balloon0"),
        )
        self.wrong: list[str] = []
        self._start()

    def _start(self) -> None:
        self.vm = self._make()
        self._used = 0
        self._before = self.vm.hardware()

    def compare(self, module: str, options: dict[str, Any]) -> None:
        if self._used == 16:
            self.vm.stop()
            self._start()
        modules = Modules(self.vm)
        planned, result = modules.run(module, True, **options), modules.run(module, **options)
        begun = result.get("error_code") in ("outcome_unknown", "unplug_pending", "unplug_refused")  # there is no guest to answer
        if result.get("failed") and not begun:
            unknowable = any(text in result["msg"] for text in UNKNOWABLE)
            fine = unknowable or planned.get("failed") and planned["msg"] == result["msg"]
            fine = fine and self.vm.hardware() == self._before
        else:
            sent = result["details"]["sent"] if begun else result["commands"]
            fine = not planned.get("failed") and planned["commands"] == sent
            self._used += bool(sent)
            self._before = self.vm.hardware() if sent else self._before
        if not fine:
            self.wrong.append(f"{module} {options}: check mode {_reported(planned)}; run {_reported(result)}")


def _reported(result: dict[str, Any]) -> str:
    return str(result.get("msg") or result.get("commands"))


@pytest.fixture
def boundaries(make_vm: Callable[..., VM], binary: Binary) -> Boundaries:
    return Boundaries(make_vm, binary)


def sample(values: list[dict[str, Any]], binary: Binary) -> list[dict[str, Any]]:
    """Each QEMU gets others of the values."""
    return values[sum(binary.version.encode()) % EVERY :: EVERY]


def test_memory(boundaries: Boundaries, binary: Binary, tmp_path: Path) -> None:
    (tmp_path / "small").write_bytes(b"x" * MiB)
    (tmp_path / "empty").touch()
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dangling").symlink_to(tmp_path / "nosuch")
    with (tmp_path / "large").open("wb") as large:
        large.truncate(256 * MiB)
    for number, options in enumerate(sample(MEMORY, binary)):
        options = {name: value.format(dir=tmp_path) if name == "mem_path" else value for name, value in options.items()}
        name = {} if "total" in options else {"id": f"m{number}"}
        boundaries.compare("qmp_memory_hotplug", {**name, **options})
        (tmp_path / "sized").unlink(missing_ok=True)
    assert not boundaries.wrong, "\n".join(boundaries.wrong)


def test_vcpus(boundaries: Boundaries, binary: Binary) -> None:
    for options in sample(CPUS, binary):
        boundaries.compare("qmp_cpu_hotplug", {**options, "timeout": 1})
    assert not boundaries.wrong, "\n".join(boundaries.wrong)


def test_balloon(boundaries: Boundaries, binary: Binary) -> None:
    for size in sample(_with({}, "size", [*SIZES, "256M", str(256 * MiB - 1), str(256 * MiB + 1), "255M"]), binary):
        boundaries.compare("qmp_balloon", {**size, "timeout": 0})
    assert not boundaries.wrong, "\n".join(boundaries.wrong)
