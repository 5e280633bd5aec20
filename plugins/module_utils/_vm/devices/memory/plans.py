# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans for what a task specifies of memory: one memory device, or the total."""

from __future__ import annotations

from typing import Any

from ...errors import InvalidOption
from ...model.hardware import Hardware
from ...plan.plan import Plan
from . import device, total
from .present import describe as describe_device
from .present import memory_device
from .spec import Spec, TotalSpec


def plan_present(hardware: Hardware, spec: Spec) -> Plan:
    """Have the memory device, or the total."""
    if isinstance(spec, TotalSpec):
        return total.plan_total(hardware, spec.total, spec.kept)
    return device.plan_present(hardware, spec)


def plan_absent(hardware: Hardware, spec: Spec) -> Plan:
    """Have neither the memory device nor its backend. A total cannot be absent."""
    if isinstance(spec, TotalSpec):
        raise InvalidOption("state: absent requires id. To remove memory by total, set a smaller total with state: present.")
    return device.plan_absent(hardware, spec)


def describe(hardware: Hardware, spec: Spec) -> dict[str, Any] | None:
    """The memory device, None if it is absent; or the total and all memory devices."""
    if isinstance(spec, TotalSpec):
        return total.describe_total(hardware)
    present = memory_device(hardware, spec.id)
    return describe_device(present) if present else None
