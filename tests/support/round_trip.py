# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a module returns for an object, as options for the same module."""

from __future__ import annotations

import importlib
from typing import Any, Mapping

PACKAGE = "ansible_collections.vmops.qemu.plugins.module_utils._ansible.options"


def options_of(module: str) -> dict[str, Any]:
    """The argument spec of a module of this collection, without the connection options."""
    options: dict[str, Any] = importlib.import_module(f"{PACKAGE}.{module[len('qmp_') :]}").KIND.options
    return options


def returned_options(module: str, returned: Mapping[str, Any]) -> dict[str, Any]:
    """Those members of a returned object that are options of its module: fed back, they must change nothing."""
    return {name: value for name, value in returned.items() if name in options_of(module) and value is not None}
