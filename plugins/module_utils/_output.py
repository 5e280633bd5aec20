# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a module says: text, and no commands to the terminal that shows it."""

from __future__ import annotations

from typing import Any, NoReturn

from ansible.module_utils import basic
from ansible.module_utils.common.parameters import remove_values

from .qmp import make_printable, printable


class PrintableModule(basic.AnsibleModule):
    """Ansible's own, but that all it says is printable: results, failures and warnings have in them what a monitor, or a process
    of this host, has said. The one place for it, so that names go back to QEMU as they came."""

    def exit_json(self, **kwargs: Any) -> NoReturn:
        kwargs = self._without_secrets(kwargs)
        make_printable(kwargs)
        super().exit_json(**kwargs)

    def fail_json(self, msg: str, **kwargs: Any) -> NoReturn:
        kwargs = self._without_secrets({"msg": msg, **kwargs})
        make_printable(kwargs)
        super().fail_json(**kwargs)

    def warn(self, warning: str, **kwargs: Any) -> None:
        super().warn(printable(self._without_secrets(warning)), **kwargs)

    def _without_secrets(self, said: Any) -> Any:
        """*said* without the secrets that Ansible would not find in it once it is printable."""
        hidden = {secret for secret in self.no_log_values if printable(secret) != secret}
        return remove_values(said, hidden) if hidden else said
