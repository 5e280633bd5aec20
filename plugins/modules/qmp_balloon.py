#!/usr/bin/python
# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: qmp_balloon
short_description: Set how much of its memory the guest of a QEMU VM has
version_added: 0.1.0
description:
  - Asks the guest to give memory back to the host, or to take it again (C(balloon)), and waits until it has.
  - Needs a balloon device in the VM, which M(vmops.qemu.qmp_device) can plug, and its driver in the guest.
author:
  - The vmops.qemu authors (@vmops)
extends_documentation_fragment:
  - vmops.qemu.qmp
  - vmops.qemu.attributes
notes:
  - QEMU tells what the guest has, and not what it was asked for. A request that a guest did not follow in time stands, so it may
    still follow it later, also after a run that found O(size) to be what the guest has at the moment and so asked for nothing.
attributes:
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  size:
    description:
      - How much the guest is to have, in bytes or with K, M, G or T, rounded up to whole pages of 4 KiB.
      - At most the memory that the VM was started with and its DIMMs; a virtio-mem device is no part of it.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Leave the guest two GiB
  vmops.qemu.qmp_balloon:
    socket: /run/vm1/qmp.sock
    size: 2G
    timeout: 60
"""

RETURN = r"""
commands:
  description: What was sent to QEMU to change the VM, or would be in check mode.
  returned: success
  type: list
  elements: dict
  sample:
    - execute: balloon
      arguments: {value: 2147483648}
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
balloon:
  description: What the guest has after the run, or would have in check mode.
  returned: success
  type: dict
  contains:
    actual:
      description: Bytes.
      type: int
  sample:
    actual: 2147483648
"""

from ansible_collections.vmops.qemu.plugins.module_utils._ansible import module
from ansible_collections.vmops.qemu.plugins.module_utils._ansible.options.balloon import OPERATION


def main() -> None:
    module.main(OPERATION)


if __name__ == "__main__":
    main()
