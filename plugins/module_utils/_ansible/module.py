# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The adapter to Ansible: a task as an AnsibleModule. Its output is printable and contains no secret."""

from __future__ import annotations

import inspect
import sys
import traceback
from typing import Any, Mapping, NoReturn

from ansible.module_utils import basic

from ..qmp import make_printable, printable
from .exchange import Exchange
from .failure import Failure, invalid
from .masking import Masking, SecretPlaces, no_secret_places
from .run import Work, arguments, run


def main(work: Work) -> None:
    """Run a module: the body of every ``main()``."""
    module = QmpModule(work.secret_places, supports_check_mode=True, **arguments(work))
    try:
        result = run(work, module.params, module.check_mode, module.warn, tracer=module.trace())
    except Failure as failure:
        module.fail_json(**failure.result)
    module.exit_json(**result)


class QmpModule(basic.AnsibleModule):
    """An AnsibleModule that masks the secrets of a task by their place, and whose output is printable.

    Ansible replaces each occurrence of the value of a secret option in all output. Here secrets are masked by their place
    instead, before control characters are escaped: afterwards a secret with a control character is not recognised. Only
    documented methods are overridden.
    """

    def __init__(self, secret_places: SecretPlaces = no_secret_places, **arguments: Any) -> None:
        self._secret_places = secret_places
        self._exchange: Exchange | None = None
        try:
            super().__init__(**arguments)
        except UnicodeEncodeError:  # Ansible cannot log such options
            self.fail_json("An option contains invalid Unicode (half of a surrogate pair): remove it.")

    def trace(self) -> Exchange | None:
        """A tracer for the exchange with QEMU, which the result then has; None below -vvv."""
        if self._verbosity >= 3:
            self._exchange = Exchange(self._mask().result)
        return self._exchange

    def log(self, msg: str, log_args: dict[str, Any] | None = None) -> None:
        masking = self._mask()
        self.no_log_values = set()  # Ansible has nothing to replace
        if log_args is None and not str(msg).startswith("Invoked"):
            super().log(masking.text(str(msg)))
        else:  # Ansible would log the options escaped, and would not recognise secrets in that form
            shown = {name: str(value) for name, value in masking.options.items()}
            super().log(" ".join(["Invoked with", *(f"{name}={value}" for name, value in shown.items())]), log_args=shown)

    def warn(self, warning: str, **more: Any) -> None:
        super().warn(printable(self._mask().text(warning)), **more)

    def exit_json(self, **result: Any) -> NoReturn:
        super().exit_json(**self._masked(result))
        raise AssertionError("exit_json returned")

    def fail_json(self, msg: str, **result: Any) -> NoReturn:
        """Also called by Ansible for options that it rejects, before they are logged."""
        masked = self._masked({**invalid(str(msg)).result, **result, **self._exception()})
        super().fail_json(**masked)
        raise AssertionError("fail_json returned")

    def _mask(self) -> Masking:
        """The masking for the present options: as they were written or, after Ansible has checked them, with their types."""
        return Masking(self.params, self.argument_spec, self.aliases, self._secret_places)

    def _exception(self) -> dict[str, str]:
        """The traceback, if Ansible was asked for it. It is added here, to be masked, because its text may contain a secret."""
        if sys.exc_info()[1] is None:
            return {}
        asked = self._verbosity >= 3 or "exception" in inspect.signature(basic.AnsibleModule.fail_json).parameters
        return {"exception": traceback.format_exc()} if asked else {}

    def _masked(self, result: Mapping[str, Any]) -> dict[str, Any]:
        masking = self._mask()
        self.no_log_values = set()
        exchange = self._exchange.result() if self._exchange else {}
        masked = {**masking.result(result), **exchange, "invocation": {"module_args": masking.options}}
        make_printable(masked)
        return masked
