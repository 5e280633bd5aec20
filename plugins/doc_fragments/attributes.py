# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """Attributes of the modules."""

    DOCUMENTATION = r"""
attributes:
  check_mode:
    description: In check mode the task returns what a run would send and change. The VM is not changed.
    support: full
  diff_mode:
    description: Returns the difference between the state before and after the task.
  idempotent:
    description: A second run with the same options changes nothing.
  action_group:
    description: The connection options can be set once for all modules, in C(module_defaults) of this group.
    support: full
    membership: [vmops.qemu.qmp]
"""
