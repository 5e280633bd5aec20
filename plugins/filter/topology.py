# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A picture of the hardware of a VM."""

from __future__ import annotations

DOCUMENTATION = r"""
name: topology
short_description: Draw the hardware of a VM as a tree or as a Mermaid diagram
version_added: 1.0.0
author:
  - The vmops.qemu authors
description:
  - Draws the facts of M(vmops.qemu.qmp_info), which are vCPUs, memory, buses, devices, what is behind them on the
    host, free slots, and objects.
  - With the result of a task that changes hardware, it also marks what is added, removed and changed. In check mode this is what
    a run would do. Devices whose unplugging the guest has not acknowledged are marked as well.
  - Names that come from a VM can contain any characters. They are shown so that they control neither a terminal nor a diagram.
positional: _input
options:
  _input:
    description:
      - The result of M(vmops.qemu.qmp_info). Parts that were not gathered are not drawn.
      - Or the result of a task that changes hardware. Only what it changes is drawn then.
    type: dict
    required: true
  changes:
    description:
      - The result of M(vmops.qemu.qmp_hotplug), or of a module for one kind, or a list of such results. Results of a loop work as
        well.
    type: raw
  format:
    description:
      - V(tree) is text for a terminal. Every line begins with C(+) (added), C(-) (removed), C(~) (changed), C(?) (unplug pending)
        or a space, if there is any change.
      - V(mermaid) is a flowchart for L(Mermaid, https://mermaid.js.org/), which GitHub, GitLab and many wikis show.
    type: str
    choices: [tree, mermaid]
    default: tree
"""

EXAMPLES = r"""
- name: Read the hardware of a VM
  vmops.qemu.qmp_info:
    socket: /run/vm1/qmp.sock
  register: vm

- name: Draw it
  ansible.builtin.debug:
    msg: "{{ (vm | vmops.qemu.topology).splitlines() }}"

- name: Plan a change
  vmops.qemu.qmp_hotplug:
    socket: /run/vm1/qmp.sock
    blockdevs:
      - id: data1
        file: /srv/vm1/data1.qcow2
        format: qcow2
  check_mode: true
  register: plan

- name: Draw what it would do
  ansible.builtin.debug:
    msg: "{{ (vm | vmops.qemu.topology(changes=plan)).splitlines() }}"

- name: Write a page for the wiki
  ansible.builtin.copy:
    dest: /srv/wiki/vm1.md
    content: |
      ```mermaid
      {{ vm | vmops.qemu.topology(changes=plan, format='mermaid') }}
      ```
"""

RETURN = r"""
_value:
  description: The picture, in lines.
  type: str
"""

from typing import Any, Callable, Iterator, Mapping

from ansible_collections.vmops.qemu.plugins.plugin_utils.drawing import as_mermaid, as_tree
from ansible_collections.vmops.qemu.plugins.plugin_utils.plain import plain
from ansible_collections.vmops.qemu.plugins.plugin_utils.vm_topology import is_result
from ansible_collections.vmops.qemu.plugins.plugin_utils.vm_topology import topology as drawn

_FORMATS = {"tree": as_tree, "mermaid": as_mermaid}


class _Mistake(RuntimeError):
    """What the playbook has to change. Ansible adds the name of the filter."""


def topology(value: Any, changes: Any = None, format: str = "tree") -> str:
    """See DOCUMENTATION."""
    if not isinstance(format, str) or format not in _FORMATS:
        raise _Mistake(f"topology: format is {format!r}. It can be {' or '.join(_FORMATS)}.")
    if not isinstance(value, Mapping):
        raise _Mistake("topology: the input is not a dictionary. Give the result of a task with vmops.qemu.qmp_info.")
    vm = plain(value)
    if vm.get("failed") and "diff" not in vm:
        raise _Mistake(f"topology: the task of the input failed, so there is nothing to draw: {vm.get('msg', '')}")
    results = list(_results(plain(changes))) if changes is not None else []
    if is_result(vm):
        vm, results = {}, [vm, *results]
    try:
        return _FORMATS[format](drawn(vm, results))
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise _Mistake(
            f"topology: the input does not have the form of a result of vmops.qemu.qmp_info ({type(error).__name__}: {error})."
        ) from error


def _results(changes: Any) -> Iterator[dict[str, Any]]:
    """Single results, from one, from a list, and from the result of a loop."""
    if isinstance(changes, dict) and isinstance(changes.get("results"), list):
        changes = changes["results"]
    for one in changes if isinstance(changes, list) else [changes]:
        if not isinstance(one, dict):
            raise _Mistake("topology: changes is not the result of a task, or a list of them.")
        yield one


class FilterModule:
    """What Ansible looks for in the file of a filter."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"topology": topology}
