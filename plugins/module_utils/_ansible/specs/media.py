# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the options of vmops.qemu.qmp_media mean to the domain, and what that does with them."""

from __future__ import annotations

from typing import Any, Mapping

from ..._vm.devices.disk import media
from ..options.media import OPTIONS
from ..run import Functions


def medium(params: Mapping[str, Any]) -> media.MediumSpec:
    """The domain's spec from the module's options."""
    return media.MediumSpec(**{name: params[name] for name in OPTIONS if params[name] != ""})


FUNCTIONS = Functions(
    spec=medium,
    present=media.plan_present,
    absent=media.plan_absent,
    describe=lambda hardware, spec: media.describe(hardware, spec.id),
)
