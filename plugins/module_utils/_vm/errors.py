# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong with the hardware of a VM, each with the error_code that a module reports."""

from __future__ import annotations

from typing import Any


class HardwareError(Exception):
    """Base of all errors of this layer. ``details`` is data for the result, in native JSON types."""

    error_code = "command_failed"

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.details = details


class InvalidOption(HardwareError):
    """The task asks for something that cannot be; nothing was sent."""

    error_code = "invalid_option"


class Conflict(HardwareError):
    """The id exists with other properties than those asked for; nothing was sent."""

    error_code = "conflict"


class NoFreeSlot(HardwareError):
    """The VM has no place for one more device of this sort; nothing was sent."""

    error_code = "no_free_slot"


class Unsupported(HardwareError):
    """This VM, its QEMU or its host cannot do it; nothing was sent."""

    error_code = "unsupported"


class UnplugPending(HardwareError):
    """The guest has not let go of a device in time. It still may, and nothing can withdraw the request."""

    error_code = "unplug_pending"


class UnplugRefused(HardwareError):
    """The guest said no to an unplug request."""

    error_code = "unplug_refused"


class StillInProgress(HardwareError):
    """What was asked for has begun and is not done in time; it may still be."""

    error_code = "outcome_unknown"


class JobFailed(HardwareError):
    """Work that QEMU had taken on has failed, for the reason that it gave."""

    error_code = "command_failed"


class DeviceLost(HardwareError):
    """A device that was added is gone again before the run was over: the guest ejected it."""

    error_code = "command_failed"
