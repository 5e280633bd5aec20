# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every error becomes a failure with ``msg``, ``error_code``, ``status``, ``changed`` and ``details``, as modules return it."""

from __future__ import annotations

from typing import Any

from .._vm.errors import StillInProgress
from .._vm.hints import hint
from .._vm.plan.plan import PlanFailed, redacted
from ..qmp import (
    CommandError,
    Disconnected,
    InvalidArguments,
    MonitorBusy,
    OutcomeUnknown,
    ProtocolError,
    QMPError,
)

_CODES = (
    (MonitorBusy, "monitor_busy"),
    (ProtocolError, "protocol_error"),
    (CommandError, "command_failed"),
    (InvalidArguments, "invalid_option"),
    (OutcomeUnknown, "outcome_unknown"),
    (Disconnected, "disconnected"),
    (QMPError, "connect_failed"),
)
_RESTORING = ("device_add", "object-add", "chardev-add")
"""Commands of a rollback that restore an object."""


class Failure(Exception):
    """A task that failed. ``result`` is what the module returns, with ``msg``."""

    def __init__(self, **result: Any) -> None:
        super().__init__(result["msg"])
        self.result = result


def invalid(message: str) -> Failure:
    """The failure for options that Ansible rejects."""
    return Failure(msg=message, error_code="invalid_option", status="failed", changed=False, details={})


def of_error(error: Exception, code: str | None = None, changed: bool = False, more: str = "", **details: Any) -> Failure:
    """The failure that reports *error*. *more* is added to its text. *changed*: whether the VM is or may be changed."""
    details.update(getattr(error, "details", {}))
    if isinstance(error, CommandError):
        details.update(command=error.command, qmp_class=error.qmp_class, desc=error.desc)
        text = f"QEMU refused {error.command}: {error.desc.rstrip('.')}.{hint(error.desc)}"
    else:
        text = str(error)
    code = code or getattr(error, "error_code", None)
    code = code or next((code for kind, code in _CODES if isinstance(error, kind)), "command_failed")
    status = "unplug_pending" if code == "unplug_pending" else "failed"
    return Failure(msg=f"{text} {more}".strip(), error_code=code, details=details, changed=changed, status=status)


def of_plan(failure: PlanFailed) -> Failure:
    """The failure that reports the first error of a plan, and which commands of the plan remain in force."""
    cause = failure.cause
    unclear = isinstance(cause, (OutcomeUnknown, Disconnected, ProtocolError, StillInProgress))
    more = ""
    if failure.left:
        more = (
            "The rollback is incomplete. When the cause of the error is removed, these commands undo the rest: "
            f"{[redacted(one) for one in failure.left]}"
        )
    elif unclear and not isinstance(cause, StillInProgress):
        more = "Run the task again: it reads the present state of the VM and continues from there."
    elif failure.undone:
        more = "The changes of this run were rolled back."
        restored = [one["arguments"]["id"] for one in failure.undone if one["execute"] in _RESTORING]
        more += f" Restored: {', '.join(dict.fromkeys(restored))}." if restored else ""
    removed = [] if unclear else [one["arguments"]["id"] for one in failure.done if one["execute"] == "device_del"]
    if removed:
        more += f" Unplugged before the error, and not restored: {', '.join(removed)}."
    code = "rollback_incomplete" if failure.left else None
    commands = {name: [redacted(one) for one in getattr(failure, name)] for name in ("sent", "undone", "left", "done")}
    return of_error(cause, code, failure.changed, more.strip(), **commands)


def of_fault(error: Exception) -> Failure:
    """The failure that reports a defect of this collection."""
    return Failure(
        msg=f"This is a defect of the collection vmops.qemu ({type(error).__name__}: {error}). The state of the VM is unknown: "
        "read it with vmops.qemu.qmp_info. Please report this with its traceback (ANSIBLE_DISPLAY_TRACEBACK=error, or -vvv).",
        error_code="outcome_unknown",
        changed=True,
        status="failed",
        details={},
    )
