# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The errors: one tree, in sentences that say what to do."""

from __future__ import annotations

import copy

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils.qmp import (
    CommandError,
    ConnectError,
    Disconnected,
    EventTimeout,
    InvalidArguments,
    MonitorBusy,
    OutcomeUnknown,
    ProtocolError,
    QMPError,
)

ERRORS = [
    ConnectError("Start the VM."),
    MonitorBusy("Wait."),
    ProtocolError("The monitor sent something else."),
    ProtocolError("The monitor sent something else.", "stop"),
    CommandError("GenericError", "Device is busy.", "device_del"),
    InvalidArguments("device_add", "Circular reference detected"),
    OutcomeUnknown("device_del"),
    Disconnected(),
    Disconnected("device_del"),
    EventTimeout(30),
]


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_every_error_is_a_qmp_error_and_a_sentence_that_begins_with_its_command(error: Exception) -> None:
    assert isinstance(error, QMPError)
    command = getattr(error, "command", None)
    assert str(error).endswith(".")
    assert str(error).startswith(f"{command}: " if command else ("S", "W", "T"))


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_a_copy_of_an_error_says_the_same(error: Exception) -> None:
    assert (str(copy.copy(error)), vars(copy.copy(error))) == (str(error), vars(error))


def test_a_busy_monitor_is_a_failed_connection() -> None:
    assert issubclass(MonitorBusy, ConnectError)
