#!/usr/bin/python
# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: qmp_command
short_description: Send any QMP commands to a running QEMU VM
version_added: 0.1.0
description:
  - Sends commands for which there is no module, in order, and returns their replies.
  - Each command and its arguments are checked against what this QEMU says of it, before the first is sent.
  - There is no undo. When a command fails, those before it stay done.
author:
  - The vmops.qemu authors (@vmops)
extends_documentation_fragment:
  - vmops.qemu.qmp
  - vmops.qemu.attributes
attributes:
  check_mode:
    description: Sends only those commands that read.
    support: partial
    details: The replies of the other commands are null.
  diff_mode:
    support: none
  idempotent:
    support: N/A
    details: What a command does is its own affair.
options:
  execute:
    description: The command.
    type: str
  arguments:
    description:
      - Its arguments, in QEMU's spelling and JSON types.
      - Passwords, the C(data) of a secret object and all of an HMP command but C(info) are shown nowhere. What a secret object
        holds is not read, is left out of what C(qom-list-get) returns, and an HMP command C(qom-get) for it is refused.
      - In the invocation and in the system's log only those members are shown that are known to be harmless.
    type: dict
  commands:
    description: Several commands instead, each with C(execute) and C(arguments).
    type: list
    elements: dict
  changed:
    description:
      - Whether this changes the VM. By default commands that read by their name (C(query-*), C(qom-get) and the like) do not and
        all others do.
    type: bool
"""

EXAMPLES = r"""
- name: Ask for the block jobs
  vmops.qemu.qmp_command:
    socket: /run/vm1/qmp.sock
    execute: query-block-jobs
  register: jobs

- name: Announce the guest on its networks again
  vmops.qemu.qmp_command:
    socket: /run/vm1/qmp.sock
    execute: announce-self
    arguments:
      initial: 50
      max: 550
      rounds: 5
      step: 100
"""

RETURN = r"""
commands:
  description: What was sent to QEMU to change the VM, or would be in check mode.
  returned: success
  type: list
  elements: dict
  sample:
    - execute: announce-self
      arguments: {initial: 50, max: 550, rounds: 5, step: 100}
error_code:
  description:
    - What went wrong, one of V(connect_failed), V(monitor_busy), V(protocol_error), V(command_failed), V(outcome_unknown),
      V(disconnected), V(unplug_pending), V(unplug_refused), V(no_free_slot), V(conflict), V(unsupported), V(invalid_option) and
      V(rollback_incomplete).
  returned: failure
  type: str
  sample: outcome_unknown
details:
  description:
    - More about the failure. C(sent) are the commands up to it, C(undone) those that took back what this run had added, C(left)
      those that should have and failed, C(done) removals, which stay.
  returned: failure
  type: dict
replies:
  description: What QEMU returned to each command, in order; in check mode null for those that were not sent.
  returned: success
  type: list
  elements: raw
  sample: [{}]
"""

from ansible_collections.vmops.qemu.plugins.module_utils._ansible import module
from ansible_collections.vmops.qemu.plugins.module_utils._ansible.options.command import OPERATION


def main() -> None:
    module.main(OPERATION)


if __name__ == "__main__":
    main()
