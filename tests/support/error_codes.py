# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The values of error_code. The documentation of the modules, and the page of the errors, have to have each."""

from __future__ import annotations

ERROR_CODES = (
    "connect_failed",
    "monitor_busy",
    "protocol_error",
    "command_failed",
    "outcome_unknown",
    "disconnected",
    "unplug_pending",
    "unplug_refused",
    "no_free_slot",
    "conflict",
    "unsupported",
    "invalid_option",
    "rollback_incomplete",
)
