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
from ansible_collections.vmops.qemu.plugins.module_utils._ansible.run import ReportOf, Work, ignore
from ansible_collections.vmops.qemu.plugins.plugin_utils.plain import plain
from ansible_collections.vmops.qemu.plugins.plugin_utils.progress import FIRST_SECONDS, ProgressLines

VARIABLE = "vmops_qemu_in_process"
"""A variable of Ansible that turns it off with the value false."""
PROGRESS = "vmops_qemu_progress"
"""A variable of Ansible: seconds after which a task that still runs shows how far it is. 0 or false: it never does."""


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
            result.update(self._work(task_vars))
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

    def _work(self, task_vars: Mapping[str, Any]) -> dict[str, Any]:
        """What the module would return."""
        given = {str(name): plain(value) for name, value in self._task.args.items()}
        name = str(self._task.resolved_action)
        return perform(self.work, given, name, self._task.check_mode, Display().verbosity >= 3, self._report(task_vars))

    def _report(self, task_vars: Mapping[str, Any]) -> ReportOf:
        """What shows how far the task is."""
        first = _seconds(self._templar.template(task_vars.get(PROGRESS, FIRST_SECONDS)))
        if not first or self._task.no_log:
            return ignore
        return ProgressLines(_show, str(task_vars.get("inventory_hostname", "")), first)


def _show(line: str) -> None:
    Display().display(line, color=C.config.get_config_value("COLOR_VERBOSE"))


def _seconds(value: Any) -> float:
    """The value of PROGRESS as seconds; 0 if nothing is to be shown."""
    try:
        if isinstance(value, bool):
            raise ValueError
        seconds = float(value)
    except (TypeError, ValueError):
        try:
            seconds = FIRST_SECONDS if boolean(value, strict=True) else 0.0
        except TypeError:
            seconds = float("nan")
    if not seconds >= 0:
        raise AnsibleError(f"{PROGRESS} is {value!r}. Set a number of seconds, or false.")
    return seconds


def _has_invocation(task_vars: Mapping[str, Any]) -> bool:
    """Whether the results of modules have their options. It is a setting from ansible-core 2.20 on; before, they always have."""
    try:
        return bool(C.config.get_config_value("INJECT_INVOCATION", variables=task_vars))
    except AnsibleError:
        return True
