# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of vmops.qemu.qmp_media, and what they mean to the domain."""

from __future__ import annotations

from typing import Any, Mapping

from ..._vm.devices.disk import media
from ..run import Kind

OPTIONS = {
    "id": {"type": "str", "required": True},
    "file": {"type": "str"},
    "format": {"type": "str"},
    "force": {"type": "bool", "default": False},
}


def medium(params: Mapping[str, Any]) -> media.MediumSpec:
    """The domain's spec from the module's options."""
    return media.MediumSpec(**{name: params[name] for name in OPTIONS if params[name] != ""})


KIND = Kind(
    result="medium",
    spec=medium,
    present=media.plan_present,
    absent=media.plan_absent,
    describe=lambda hardware, spec: media.describe(hardware, spec.id),
    own_options=OPTIONS,
    rules={"required_if": [("state", "present", ("file",))]},
)
