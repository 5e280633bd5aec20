# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A task without an AnsibleModule: its options are checked, it is done, and its result is what the module would return."""

from __future__ import annotations

import traceback
from typing import Any, Mapping

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.errors import AnsibleValidationErrorMultiple, UnsupportedError

from ..qmp import make_printable
from . import failure
from .exchange import Exchange
from .masking import Masking
from .run import ReportOf, Work, arguments, ignore, run


def perform(
    work: Work,
    given: Mapping[str, Any],
    name: str,
    check_mode: bool,
    in_detail: bool = False,
    report: ReportOf = ignore,
) -> dict[str, Any]:
    """The result of the module *name*, with ``failed`` if it failed. *given* are the options as a user wrote them. *in_detail*:
    with the exchange with QEMU, and the traceback of a failure. *report* is called by steps that wait."""
    rules = arguments(work)
    spec = rules.pop("argument_spec")
    checked = ArgumentSpecValidator(spec, **rules).validate(dict(given))
    masking = Masking(checked.validated_parameters, spec, {}, work.secret_places)  # no option has an alias
    exchange = Exchange(masking.result) if in_detail else None
    warnings: list[str] = []
    try:
        if checked.error_messages:
            raise failure.invalid(_message_of(checked.errors, name))
        result = run(work, checked.validated_parameters, check_mode, warnings.append, report, exchange)
    except failure.Failure as error:
        result = {**error.result, "failed": True}
        if in_detail:
            result["exception"] = traceback.format_exc()
    result = {**masking.result(result), **(exchange.result() if exchange else {}), "invocation": {"module_args": masking.options}}
    if warnings:
        result["warnings"] = [masking.text(warning) for warning in warnings]
    if "msg" in result:
        result["msg"] = masking.text(str(result["msg"]))
    make_printable(result)
    return result


def _message_of(errors: AnsibleValidationErrorMultiple, name: str) -> str:
    """The message of a module for options that Ansible rejects."""
    if isinstance(errors[0], UnsupportedError):
        return f"Unsupported parameters for ({name}) module: {errors.msg}"
    return str(errors.msg)
