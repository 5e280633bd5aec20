# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The errors of a monitor, in one tree. Each text says what to do next."""

from __future__ import annotations

from .text import printable


class QMPError(Exception):
    """The root of all errors that this package raises on purpose."""


class ConnectError(QMPError):
    """The address has no usable QMP monitor. No command was sent to the VM, except for the negotiation."""


class MonitorBusy(ConnectError):
    """The monitor exists, but serves another client: it serves one at a time, and did not serve us in time."""


class ProtocolError(QMPError):
    """The monitor sent something that is not QMP. ``command`` is the command that awaited its reply, or None."""

    def __init__(self, reason: str, command: str | None = None) -> None:
        super().__init__(reason, command)
        self.reason = reason
        self.command = command

    def __str__(self) -> str:
        return printable(self.reason if self.command is None else f"{self.command}: {self.reason}")


class CommandError(QMPError):
    """QEMU's error reply: its ``class`` member as ``qmp_class``, its ``desc`` unchanged, and the command that it answers."""

    def __init__(self, qmp_class: str, desc: str, command: str) -> None:
        super().__init__(qmp_class, desc, command)
        self.qmp_class = qmp_class
        self.desc = desc
        self.command = command

    def __str__(self) -> str:
        return printable(f"{self.command}: {self.desc}")


class InvalidArguments(QMPError):
    """Arguments that JSON cannot carry or QEMU cannot read, for the given *reason*. Nothing was sent; the connection can still be
    used."""

    def __init__(self, command: str, reason: str) -> None:
        super().__init__(command, reason)
        self.command = command
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.command}: its arguments cannot be sent ({self.reason}); give JSON types, finite numbers and proper text."


class OutcomeUnknown(QMPError):
    """A command was sent and its time passed without a reply: QEMU may have executed it, or may execute it later."""

    def __init__(self, command: str) -> None:
        super().__init__(command)
        self.command = command

    def __str__(self) -> str:
        return (
            f"{self.command}: QEMU did not reply in time, so it may or may not have executed the command; connect again and read "
            "the VM's state before repeating it."
        )


class ReadTimeout(OutcomeUnknown):
    """The *seconds* for reading the VM's state have passed; at the end *command* awaited its reply."""

    def __init__(self, command: str, seconds: float) -> None:
        super().__init__(command)
        self.seconds = seconds

    def __str__(self) -> str:
        return (
            f"Reading the VM's state took longer than the timeout of {self.seconds:g} s; the last command was {self.command}. "
            "QEMU hangs, or its host is overloaded, or the VM is so large that it needs a longer timeout."
        )


class Disconnected(QMPError):
    """The connection is closed. ``command`` is the first one left without reply, its outcome unknown; or None."""

    def __init__(self, command: str | None = None) -> None:
        super().__init__(command)
        self.command = command

    def __str__(self) -> str:
        if self.command is None:
            return "The connection to QEMU is closed; connect again to continue."
        return (
            f"{self.command}: the connection broke before the reply, so QEMU may or may not have executed the command; connect "
            "again and read the VM's state before repeating it."
        )


class EventTimeout(QMPError):
    """The awaited event did not come in time. The connection can still be used."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds

    def __str__(self) -> str:
        return f"The awaited event did not come within {self.seconds:g} s; read the VM's state to see what happened."
