#!/usr/bin/python
# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: qmp_power
short_description: Run, pause, shut down, reset or wake up a QEMU VM
version_added: 0.1.0
description:
  - Brings a VM to the wanted state and waits until it is there.
  - It does not start VMs, for it speaks to a QEMU that runs.
author:
  - The vmops.qemu authors (@vmops)
extends_documentation_fragment:
  - vmops.qemu.qmp
  - vmops.qemu.attributes
attributes:
  diff_mode:
    support: full
  idempotent:
    support: partial
    details: The states V(reset) and V(quit) are acts, done each time.
options:
  state:
    description:
      - V(running) lets the guest run (C(cont)), and wakes it up where it sleeps.
      - V(paused) stops its vCPUs (C(stop)).
      - V(shutdown) presses the guest's power button (C(system_powerdown)) and waits until the guest has shut down, O(timeout)
        seconds at most. QEMU ends with it, unless it was started with C(-no-shutdown). See O(wait).
      - V(reset) is the reset button (C(system_reset)). What the guest has not written to its disks is lost.
      - V(wakeup) wakes up a guest that sleeps (C(system_wakeup)) and changes nothing otherwise.
      - V(quit) ends QEMU. What the guest has not written to its disks is lost.
    type: str
    choices: [running, paused, shutdown, reset, quit, wakeup]
    required: true
  force:
    description:
      - With O(state=shutdown), whether to end QEMU when the guest has not shut down within O(timeout), or cannot because it
        does not run.
      - With O(state=running) and O(state=reset), whether to let a guest run or boot that has migrated away. It must run
        nowhere else, because two that write to the same disks destroy them. A VM that a guest has come to needs no force.
    type: bool
    default: false
  wait:
    description:
      - With O(state=shutdown), whether to wait until the guest has shut down. If V(false), the power button is pressed and
        nothing more; RV(status) is then V(shutdown_requested), and RV(vm.status) says what the VM is at that moment.
      - Each run presses the button again while the guest still runs. O(force) cannot be combined with V(false).
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Shut the guest down, and pull the plug after two minutes
  vmops.qemu.qmp_power:
    socket: /run/vm1/qmp.sock
    state: shutdown
    timeout: 120
    force: true

- name: Press the power button and go on
  vmops.qemu.qmp_power:
    socket: /run/vm1/qmp.sock
    state: shutdown
    wait: false

- name: Pause it
  vmops.qemu.qmp_power:
    socket: /run/vm1/qmp.sock
    state: paused
"""

RETURN = r"""
status:
  description:
    - O(state) when the VM is there, V(shutdown_requested) when O(wait=false) and the button was pressed, V(failed) when it is
      not.
  returned: always
  type: str
  sample: shutdown_requested
commands:
  description: What was sent to QEMU to change the VM, or would be in check mode.
  returned: success
  type: list
  elements: dict
  sample:
    - execute: system_powerdown
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
vm:
  description: The VM after the run, or as it would be in check mode.
  returned: success
  type: dict
  contains:
    status:
      description: Its status by QEMU's name, such as V(running) or V(paused); V(shutdown) also where QEMU has ended.
      type: str
  sample:
    status: paused
"""

from ansible_collections.vmops.qemu.plugins.module_utils._ansible import module
from ansible_collections.vmops.qemu.plugins.module_utils._ansible.options.power import OPERATION


def main() -> None:
    module.main(OPERATION)


if __name__ == "__main__":
    main()
