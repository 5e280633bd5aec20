# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of vmops.qemu.qmp_object, and what they mean to the domain."""

from __future__ import annotations

from typing import Any, Mapping

from ..._vm.devices.objects import plans as objects
from ..._vm.devices.option_table import values_of
from ...qmp.secrets import Redactor
from ..masking import as_dict
from ..run import Kind

OPTIONS = {
    "id": {"type": "str", "required": True},
    "qom_type": {"type": "str"},
    "properties": {"type": "dict", "default": {}},
    "secret": {"type": "str", "no_log": True},
    "recreate": {"type": "bool", "default": False},
    "force": {"type": "bool", "default": False},
}


def spec(params: Mapping[str, Any]) -> objects.ObjectSpec:
    """The domain's spec from the module's options."""
    return objects.ObjectSpec(
        id=params["id"],
        qom_type=params["qom_type"],
        properties=params["properties"],
        values=values_of(objects.OPTIONS, params),
        recreate=params["recreate"],
        force=params["force"],
    )


def secret_places(params: Mapping[str, Any], redactor: Redactor) -> dict[str, Any]:
    """The properties without a secret that stands there instead of in C(secret)."""
    properties = as_dict(params.get("properties"))
    if isinstance(properties, dict):
        return {"properties": redactor.object({"qom-type": params.get("qom_type"), "props": properties})["props"]}
    return {"properties": redactor.hide(properties)}


KIND = Kind(
    result="object",
    spec=spec,
    present=objects.plan_present,
    absent=objects.plan_absent,
    describe=lambda hardware, spec: objects.describe(hardware, spec.id),
    own_options=OPTIONS,
    secret_places=secret_places,
)
