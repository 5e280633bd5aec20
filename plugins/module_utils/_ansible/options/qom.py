# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of vmops.qemu.qmp_qom, and what they mean to the domain."""

from __future__ import annotations

from typing import Any, Mapping

from ..._vm.model.hardware import Hardware
from ..._vm.operations import qom
from ..._vm.plan.plan import Plan
from ...qmp.secrets import Redactor
from ..run import Operation

OPTIONS = {
    "path": {"type": "str", "required": True},
    "property": {"type": "str"},
    "value": {"type": "raw"},
}


def plan(hardware: Hardware, params: Mapping[str, Any]) -> Plan:
    """Set the property, if there is a value for it."""
    if params["value"] is None:
        return Plan()
    return qom.plan_set(hardware, params["path"], params["property"], params["value"])


def secret_places(params: Mapping[str, Any], redactor: Redactor) -> dict[str, Any]:
    """The value, if it is not that of a property that holds a secret."""
    arguments = {name: params[name] for name in ("path", "property", "value") if params.get(name) is not None}
    shown = redactor.request({"execute": "qom-set", "arguments": arguments})["arguments"]
    return {"value": shown["value"]} if "value" in shown else {}


OPERATION = Operation(
    plan=plan,
    report=lambda hardware, params: {"qom": qom.read(hardware, params["path"], params["property"])},
    options=OPTIONS,
    secret_places=secret_places,
    rules={"required_by": {"value": ("property",)}},
)
