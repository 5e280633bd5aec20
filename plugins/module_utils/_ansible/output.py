# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a module says: text, and no commands to the terminal that shows it."""

from __future__ import annotations

from typing import Any, NoReturn

from ansible.module_utils import basic

from ..qmp import make_printable, printable


class PrintableModule(basic.AnsibleModule):
    """Ansible's own, but that all it says is printable: results, failures and warnings have in them what a monitor, or a process
    of this host, has said. The one place for it, so that names go back to QEMU as they came. Secrets have to be masked before,
    because one with a control character in it looks different afterwards."""

    def exit_json(self, **kwargs: Any) -> NoReturn:
        make_printable(kwargs)
        super().exit_json(**kwargs)

    def fail_json(self, msg: str, **kwargs: Any) -> NoReturn:
        make_printable(kwargs)
        super().fail_json(printable(msg), **kwargs)

    def warn(self, warning: str, **kwargs: Any) -> None:
        super().warn(printable(warning), **kwargs)
