# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """Attributes of the modules."""

    DOCUMENTATION = r"""
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying the VM.
    support: full
  diff_mode:
    description: Returns what has changed, or would change, when in diff mode.
  idempotent:
    description: Running it again in the same state changes nothing.
  action_group:
    description: Takes its connection options from C(module_defaults) of the group.
    support: full
    membership: [vmops.qemu.qmp]
"""
