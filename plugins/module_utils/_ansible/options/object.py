# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of vmops.qemu.qmp_object."""

from __future__ import annotations

from typing import Any, Mapping

from ...qmp.secrets import Redactor
from ..masking import as_dict
from ..run import Functions, Kind

OPTIONS = {
    "id": {"type": "str", "required": True},
    "qom_type": {"type": "str"},
    "properties": {"type": "dict", "default": {}},
    "secret": {"type": "str", "no_log": True},
    "recreate": {"type": "bool", "default": False},
    "force": {"type": "bool", "default": False},
}


def secret_places(params: Mapping[str, Any], redactor: Redactor) -> dict[str, Any]:
    """The properties without a secret that stands there instead of in C(secret)."""
    properties = as_dict(params.get("properties"))
    if isinstance(properties, dict):
        return {"properties": redactor.object({"qom-type": params.get("qom_type"), "props": properties})["props"]}
    return {"properties": redactor.hide(properties)}


def _functions() -> Functions:
    from ..specs.object import FUNCTIONS  # only here: few tasks have items of all kinds

    return FUNCTIONS


KIND = Kind(
    result="object",
    functions=_functions,
    own_options=OPTIONS,
    secret_places=secret_places,
)
