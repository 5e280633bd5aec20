# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Encrypted disk images for tests."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path


def make_encrypted(path: Path, format: str, secret: str) -> Path:
    """Make an image of 16 MiB: LUKS itself for ``luks``, LUKS inside for ``qcow2``."""
    prefix, inside = ("encrypt.", ",encrypt.format=luks") if format == "qcow2" else ("", "")
    command = [
        "qemu-img",
        "create",
        "-q",
        "-f",
        format,
        "--object",
        f"secret,id=s,data={secret}",
        "-o",
        f"{prefix}key-secret=s,{prefix}iter-time=10{inside}",
        str(path),
        "16M",
    ]
    deadline = time.monotonic() + 60
    while (made := subprocess.run(command, capture_output=True, text=True, check=False)).returncode:
        # qemu-img's measurement of the CPU fails now and then
        assert "accurate CPU usage" in made.stderr and time.monotonic() < deadline, made
    return path
