# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of vmops.qemu.qmp_block_job, and what they mean to the domain."""

from __future__ import annotations

from typing import Any, Mapping, NamedTuple

from ..._vm.model.hardware import Hardware
from ..._vm.operations.block_job import plans
from ..._vm.operations.block_job.spec import JobSpec
from ..._vm.plan.plan import Plan
from ..run import Operation
from ..specs.common import size_in_bytes

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


class Request(NamedTuple):
    """The job, and the state that it shall have."""

    state: str
    job: JobSpec


def spec(params: Mapping[str, Any]) -> Request:
    """The domain's spec from the module's options."""
    values = {name: params[name] for name in OPTIONS if name != "state"}
    return Request(params["state"], JobSpec(**{**values, "speed": size_in_bytes(params["speed"], "speed")}))


def plan(hardware: Hardware, request: Request) -> Plan:
    if request.state == "cancelled":
        return plans.plan_cancelled(hardware, request.job)
    return plans.plan_present(hardware, request.job, request.state)


OPERATION = Operation(
    spec=spec,
    plan=plan,
    report=lambda hardware, request: {"job": plans.describe(hardware, request.job.id)},
    options=OPTIONS,
    result="job",
)
