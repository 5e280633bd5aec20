# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a guest writes to its disk, compared with what it reads past its cache, or with the image after QEMU's death."""

from __future__ import annotations

import hashlib
import subprocess
import time
from pathlib import Path

from ansible_collections.vmops.qemu.tests.vm.machine import VM

SIZE = 4 << 20
_BLOCK = 256 << 10
_SECONDS = 30.0


class Data:
    """The expected content of the disk with the id ``disk``, the guest's /dev/vda: zeros, and one block for each ``write``."""

    def __init__(self, disk: str) -> None:
        self.disk = disk
        self._bytes = bytearray(SIZE)
        self._written = 0

    @property
    def content(self) -> bytes:
        return bytes(self._bytes)

    def write(self, vm: VM) -> None:
        """Let the guest write another block, and wait until it is on the disk."""
        block = self._written * 5 % (SIZE // _BLOCK)
        word = f"block {self._written} of {self.disk}\n"
        vm.guest("while [ ! -b /dev/vda ]; do sleep 0.05; done")
        vm.guest(
            f"yes '{word.strip()}' | head -c {_BLOCK} | dd of=/dev/vda bs={_BLOCK} iflag=fullblock seek={block} count=1 "
            "oflag=direct conv=fsync 2>/dev/null"
        )
        self._bytes[block * _BLOCK : (block + 1) * _BLOCK] = (word.encode() * (_BLOCK // len(word) + 1))[:_BLOCK]
        self._written += 1

    def read_by(self, vm: VM) -> bool:
        """Whether the guest reads exactly this content, past its cache."""
        read = vm.guest(f"dd if=/dev/vda bs={_BLOCK} iflag=direct 2>/dev/null | md5sum").split()[0]
        return read == hashlib.md5(self._bytes).hexdigest()

    def active(self, vm: VM) -> Path:
        """The image that the disk uses now."""
        (file,) = (
            one["inserted"]["image"]["filename"]
            for one in vm.query("query-block")
            if f"/{self.disk}/" in one.get("qdev", "") and "inserted" in one
        )
        return Path(file)

    def is_in(self, image: Path) -> bool:
        """Whether an image, with its backing files, has exactly this content. No QEMU may use it any more."""
        raw = image.with_suffix(".raw")
        deadline = time.monotonic() + _SECONDS
        command = ["qemu-img", "convert", "-f", _format(image), "-O", "raw", str(image), str(raw)]
        while (made := subprocess.run(command, capture_output=True, text=True, check=False)).returncode:
            # the lock of a killed QEMU may remain for a moment
            assert "lock" in made.stderr and time.monotonic() < deadline, made
        try:
            return raw.read_bytes() == self._bytes
        finally:
            raw.unlink()


def _format(image: Path) -> str:
    with image.open("rb") as file:
        return "qcow2" if file.read(4) == b"QFI\xfb" else "raw"


def is_whole_core(path: Path, word: str) -> bool:
    """Whether an ELF dump has everything that its headers promise, and *word*, which is in the guest's memory."""
    data = path.read_bytes()
    offset = int.from_bytes(data[32:40], "little")
    size, count = (int.from_bytes(data[at : at + 2], "little") for at in (54, 56))
    ends = []
    for number in range(count):
        header = data[offset + number * size : offset + (number + 1) * size]
        ends.append(int.from_bytes(header[8:16], "little") + int.from_bytes(header[32:40], "little"))
    return data.startswith(b"\x7fELF") and bool(ends) and max(ends) <= len(data) and word.encode() in data
