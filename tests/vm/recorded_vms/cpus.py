# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A VM with two of four vCPUs at launch, and one plugged into the last slot."""

from __future__ import annotations

from . import RecordedVM

_CPU = {"driver": "qemu64-x86_64-cpu", "id": "last", "socket-id": 1, "core-id": 1, "thread-id": 0}

RECORDED_VM = RecordedVM(
    words=[],
    acts=[("device_add", _CPU)],
    machine={"boot": False, "native": True, "smp": "2,maxcpus=4,sockets=2,cores=2,threads=1"},
)
