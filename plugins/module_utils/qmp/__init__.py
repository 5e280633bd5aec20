# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client for QMP, the QEMU Machine Protocol. It needs Python 3.8 and nothing else, and works wherever it is copied.

with Monitor.connect(UnixAddress("/run/vm.qmp")) as monitor:
    print(monitor.execute("query-status"))
"""

from __future__ import annotations

from .access import has_address, is_loopback, others_may_write
from .errors import (
    CommandError,
    ConnectError,
    Disconnected,
    EventTimeout,
    InvalidArguments,
    MonitorBusy,
    OutcomeUnknown,
    ProtocolError,
    QMPError,
    ReadTimeout,
)
from .messages import Event, Request, Version
from .monitor import COMMAND_TIMEOUT, Monitor
from .schema import Member, Schema
from .shapes import check, is_a
from .text import make_printable, printable, unreadable
from .trace import Tracer, redact_request
from .transport import Address, TcpAddress, TlsAddress, UnixAddress

__all__ = [
    "COMMAND_TIMEOUT",
    "Address",
    "CommandError",
    "ConnectError",
    "Disconnected",
    "Event",
    "EventTimeout",
    "InvalidArguments",
    "Member",
    "Monitor",
    "MonitorBusy",
    "OutcomeUnknown",
    "ProtocolError",
    "QMPError",
    "ReadTimeout",
    "Request",
    "Schema",
    "TcpAddress",
    "TlsAddress",
    "Tracer",
    "UnixAddress",
    "Version",
    "check",
    "has_address",
    "is_a",
    "is_loopback",
    "make_printable",
    "others_may_write",
    "printable",
    "redact_request",
    "unreadable",
]
