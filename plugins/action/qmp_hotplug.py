# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Written by nox -s generate."""

from __future__ import annotations

from ansible_collections.vmops.qemu.plugins.module_utils._ansible.options.hotplug import OPERATION
from ansible_collections.vmops.qemu.plugins.plugin_utils.in_process import InProcess


class ActionModule(InProcess):
    """vmops.qemu.qmp_hotplug, in Ansible's own process if possible."""

    work = OPERATION
