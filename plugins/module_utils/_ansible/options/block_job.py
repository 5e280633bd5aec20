# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of vmops.qemu.qmp_block_job, and what they mean to the domain."""

from __future__ import annotations

from typing import Any, Mapping

from ..._vm.model.hardware import Hardware
from ..._vm.operations import block_job as blockjob
from ..._vm.plan.plan import Plan
from ..run import Operation
from .common import size_in_bytes

OPTIONS = {
    "id": {"type": "str", "required": True},
    "type": {"type": "str", "choices": ["snapshot", "mirror", "backup", "commit", "stream"]},
    "state": {"type": "str", "choices": ["completed", "ready", "started", "cancelled"], "default": "completed"},
    "disk": {"type": "str"},
    "target": {"type": "str"},
    "file": {"type": "str"},
    "format": {"type": "str", "default": "qcow2"},
    "sync": {"type": "str", "choices": ["full", "top", "none", "incremental", "bitmap"], "default": "full"},
    "base": {"type": "str"},
    "speed": {"type": "str"},
    "options": {"type": "dict", "default": {}},
}


def plan(hardware: Hardware, params: Mapping[str, Any]) -> Plan:
    """Bring the job to its wanted state."""
    job = blockjob.Job(
        **{**{name: params[name] for name in OPTIONS if name != "state"}, "speed": size_in_bytes(params["speed"], "speed")}
    )
    if params["state"] == "cancelled":
        return blockjob.plan_cancelled(hardware, job)
    return blockjob.plan_present(hardware, job, params["state"])


OPERATION = Operation(
    plan=plan,
    report=lambda hardware, params: {"job": blockjob.describe(hardware, params["id"])},
    options=OPTIONS,
    result="job",
)
