# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Image files as this host sees them."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils._vm.host.image import NO_FILE, Image, probe


def qcow2(size: int) -> bytes:
    return b"QFI\xfb\x00\x00\x00\x03" + bytes(16) + struct.pack(">Q", size) + bytes(480)


@pytest.mark.parametrize(
    ("content", "image"),
    [
        (b"", Image(None, 0)),
        (b"x" * 513, Image(None, 1024)),
        (qcow2(1 << 30), Image("qcow2", 1 << 30)),
        (b"QFI\xfb\x00\x00\x00\x02", Image("qcow2", None)),
        (b"KDMV" + bytes(100), Image("vmdk", None)),
        (bytes(64) + b"\x7f\x10\xda\xbe", Image("vdi", None)),
    ],
)
@pytest.mark.parametrize("pid", [None, os.getpid()], ids=["no process", "this process"])
def test_format_and_size_are_read_from_the_header(tmp_path: Path, content: bytes, image: Image, pid: int | None) -> None:
    path = tmp_path / "image"
    path.write_bytes(content)
    assert probe(str(path), pid) == image


def test_what_qemu_will_not_open_is_a_problem(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert probe(str(tmp_path), None).problem == "Is a directory"
    assert probe(str(tmp_path / "pipe"), None).problem == "Not a regular file"
    assert probe(str(tmp_path / "nosuch"), os.getpid()).problem == NO_FILE
    assert probe(str(tmp_path / "nosuch"), None) == Image(), "it may be there where QEMU runs"
    assert probe("/bad\0name", None) == Image()
