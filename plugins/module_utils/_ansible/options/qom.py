# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of vmops.qemu.qmp_qom, and what they mean to the domain."""

from __future__ import annotations

from typing import Any, Mapping, NamedTuple

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


class Request(NamedTuple):
    """A property of the object at ``path``, and the value that it shall have. None for ``value`` only reads it, None for
    ``property`` reads all."""

    path: str
    property: str | None
    value: Any


def plan(hardware: Hardware, request: Request) -> Plan:
    """Set the property if the task sets a value."""
    if request.property is None or request.value is None:
        return Plan()
    return qom.plan_set(hardware, request.path, request.property, request.value)


def secret_places(params: Mapping[str, Any], redactor: Redactor) -> dict[str, Any]:
    """The value, masked if it is the secret of a secret object."""
    arguments = {name: params[name] for name in ("path", "property", "value") if params.get(name) is not None}
    shown = redactor.request({"execute": "qom-set", "arguments": arguments})["arguments"]
    return {"value": shown["value"]} if "value" in shown else {}


OPERATION = Operation(
    spec=lambda params: Request(*(params[name] for name in OPTIONS)),
    plan=plan,
    report=lambda hardware, request: {"qom": qom.read(hardware, request.path, request.property)},
    options=OPTIONS,
    secret_places=secret_places,
    rules={"required_by": {"value": ("property",)}},
)
