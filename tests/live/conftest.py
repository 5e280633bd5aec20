# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the live tests."""

from __future__ import annotations

from ansible_collections.vmops.qemu.tests.support.fixtures import (
    bare_vm,
    binary,
    free_port,
    image,
    make_tap,
    make_vm,
    modules,
    public_directory,
    session_vm,
    vm,
)
from ansible_collections.vmops.qemu.tests.support.tls import authority, port, tls

from .other_machines import make_other

__all__ = [
    "authority",
    "bare_vm",
    "binary",
    "free_port",
    "image",
    "make_other",
    "make_tap",
    "make_vm",
    "modules",
    "port",
    "public_directory",
    "session_vm",
    "tls",
    "vm",
]
