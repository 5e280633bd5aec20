# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of vmops.qemu.qmp_info, and what they mean to the domain."""

from __future__ import annotations

from ..._vm.facts import SLOW, SUBSETS
from ..run import Information

INFORMATION = Information(
    options={"gather_subset": {"type": "list", "elements": "str", "choices": ["all", *SUBSETS], "default": ["all"]}},
    subsets=SUBSETS,
    slow=SLOW,
)
