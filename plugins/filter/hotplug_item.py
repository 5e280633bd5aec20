# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of the module for one item of the role ``hotplug``, without a look at all other items."""

from __future__ import annotations

DOCUMENTATION = r"""
name: hotplug_item
short_description: Options of a module for one item of the role hotplug
version_added: 1.0.0
author:
  - The vmops.qemu authors
description:
  - Takes one item from the variables of the role P(vmops.qemu.hotplug#role), as P(vmops.qemu.hotplug_input#filter) converts it.
  - The role uses this filter itself, after it has checked all variables. Other items are neither checked nor templated.
positional: _input, entry
options:
  _input:
    description: The variables by name.
    type: dict
    required: true
  entry:
    description: An entry of RV(vmops.qemu.qmp_hotplug#module:order), of which C(kind) and C(index) are used.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Add the first disk alone
  vmops.qemu.qmp_blockdev:
    id: "{{ hotplug_blockdevs[0].id }}"
  module_defaults:
    vmops.qemu.qmp_blockdev: "{{ variables | vmops.qemu.hotplug_item({'kind': 'blockdevs', 'index': 0}) }}"
  vars:
    variables:
      hotplug_socket: /run/vm1/qmp.sock
      hotplug_blockdevs: "{{ hotplug_blockdevs }}"
"""

RETURN = r"""
_value:
  description: The options of the connection and of the item. Secrets can be among them, so do not show it.
  type: dict
"""

from typing import Any, Callable, Mapping

from ansible_collections.vmops.qemu.plugins.filter.hotplug_input import hotplug_input
from ansible_collections.vmops.qemu.plugins.module_utils._ansible.connection import OPTIONS as CONNECTION


def hotplug_item(variables: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
    """See DOCUMENTATION. TypeError or LookupError if there is no such item."""
    variable, index = f"hotplug_{entry['kind']}", entry["index"]
    given = variables[variable]
    if isinstance(given, (list, tuple)):  # and not text
        given, index = [given[index]], 0
    connection = {name: variables[name] for name in map("hotplug_{}".format, CONNECTION) if name in variables}
    found = hotplug_input({**connection, variable: given})
    value = found["data"][variable]
    return {**found["connection"], **({"count": value} if entry["kind"] == "cpus" else value[index])}


class FilterModule:
    """What Ansible looks for in the file of a filter."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"hotplug_item": hotplug_item}
