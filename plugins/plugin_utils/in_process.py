# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a task in Ansible's own worker process if it can reach the monitor from there, instead of in a module's process.

A module costs a Python process and the transfer of its code for each task, which is most of the time of a small change. Both call
the same function; this class, ``QmpModule`` and the program of ``persist`` are thin adapters to it.
"""

from __future__ import annotations

from typing import Any, Mapping

from ansible import constants as C
from ansible.errors import AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.vmops.qemu.plugins.module_utils._ansible.perform import perform
from ansible_collections.vmops.qemu.plugins.module_utils._ansible.run import Work
from ansible_collections.vmops.qemu.plugins.plugin_utils.plain import plain

VARIABLE = "vmops_qemu_in_process"
"""A variable of Ansible that turns it off with the value false."""


class InProcess(ActionBase):
    """The action of a module. ``work`` is what the module does."""

    work: Work
    _supports_check_mode = True
    _supports_async = True
    _requires_connection = True

    def __init_subclass__(cls) -> None:
        cls.work.load()  # Ansible loads the class before it forks its workers, so it is done once for all of them

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        task_vars = task_vars or {}
        result: dict[str, Any] = super().run(tmp, task_vars)
        if self._is_near(task_vars):
            result.update(self._work())
            if not _has_invocation(task_vars):
                result.pop("invocation", None)
            return result
        wrap_async = self._task.async_val and not self._connection.has_native_async
        result.update(self._execute_module(task_vars=task_vars, wrap_async=wrap_async))
        if not wrap_async:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        return result

    def _is_near(self, task_vars: Mapping[str, Any]) -> bool:
        """Whether a module would run on this host, as this user, and with this environment."""
        if self._task.async_val or any(self._task.environment or ()) or self._connection.transport != "local":
            return False
        if self._play_context.become or getattr(self._connection, "become", None):
            return False
        return bool(boolean(self._templar.template(task_vars.get(VARIABLE, True)), strict=False))

    def _work(self) -> dict[str, Any]:
        """What the module would return."""
        given = {str(name): plain(value) for name, value in self._task.args.items()}
        name = str(self._task.resolved_action)
        return perform(self.work, given, name, self._task.check_mode, Display().verbosity >= 3)


def _has_invocation(task_vars: Mapping[str, Any]) -> bool:
    """Whether the results of modules have their options. It is a setting from ansible-core 2.20 on; before, they always have."""
    try:
        return bool(C.config.get_config_value("INJECT_INVOCATION", variables=task_vars))
    except AnsibleError:
        return True
