# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The errors of the domain, each with the error_code that a module returns."""

from __future__ import annotations

from typing import Any


class HardwareError(Exception):
    """The base of all errors of the domain. ``details``: data for the result, in JSON types."""

    error_code = "command_failed"

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.details = details


class InvalidOption(HardwareError):
    """An option has a value that is not valid. Nothing was sent."""

    error_code = "invalid_option"


class Conflict(HardwareError):
    """The object exists with other properties than the task sets. Nothing was sent."""

    error_code = "conflict"


class NoFreeSlot(HardwareError):
    """The VM has no free slot for a device of this kind. Nothing was sent."""

    error_code = "no_free_slot"


class Unsupported(HardwareError):
    """The VM, its QEMU or its host does not support it. Nothing was sent."""

    error_code = "unsupported"


class UnplugPending(HardwareError):
    """The guest has not released a device in time. It may still do so: the request cannot be withdrawn."""

    error_code = "unplug_pending"


class UnplugRefused(HardwareError):
    """The guest refused to release a device."""

    error_code = "unplug_refused"


class StillInProgress(HardwareError):
    """The operation has started and was not completed in time. It continues."""

    error_code = "outcome_unknown"


class JobFailed(HardwareError):
    """A job of QEMU has failed, for the reason that QEMU reported."""

    error_code = "command_failed"


class DeviceLost(HardwareError):
    """The guest ejected a device during the run that added it."""

    error_code = "command_failed"
