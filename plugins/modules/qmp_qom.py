#!/usr/bin/python
# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: qmp_qom
short_description: Read and set properties of QEMU's object model
version_added: 0.1.0
description:
  - Reads one property or all properties of an object of a running QEMU (C(qom-get), C(qom-list)), or sets a property (C(qom-set))
    if it has another value.
  - QEMU checks what it is given only in part. Setting a property of a running machine is for those who know what it does.
author:
  - The vmops.qemu authors (@vmops)
extends_documentation_fragment:
  - vmops.qemu.qmp
  - vmops.qemu.attributes
attributes:
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  path:
    description: The object, such as V(/machine/peripheral/data1) for a device of that id, or V(/machine).
    type: str
    required: true
  property:
    description: The property. Without it all are read. What a secret object holds is neither read nor set; see
      M(vmops.qemu.qmp_object).
    type: str
  value:
    description:
      - What the property is to be, of any type. It is brought to the property's type where that is a number or a boolean. Without
        it the property is read.
    type: raw
"""

EXAMPLES = r"""
- name: See what a disk is like inside
  vmops.qemu.qmp_qom:
    socket: /run/vm1/qmp.sock
    path: /machine/peripheral/data1
  register: inside

- name: Poll no longer than 10 microseconds
  vmops.qemu.qmp_qom:
    socket: /run/vm1/qmp.sock
    path: /objects/io1
    property: poll-max-ns
    value: 10000
"""

RETURN = r"""
commands:
  description: What was sent to QEMU to change the VM, or would be in check mode.
  returned: success
  type: list
  elements: dict
  sample:
    - execute: qom-set
      arguments: {path: /objects/io1, property: poll-max-ns, value: 10000}
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
qom:
  description:
    - With O(property) its C(path), C(property), C(type) and C(value) after the run. Otherwise C(path), and C(properties) with the
      C(type) and C(value) of each. What a secret object holds is not among them.
  returned: success
  type: dict
  sample:
    path: /objects/io1
    property: poll-max-ns
    type: int
    value: 10000
"""

from ansible_collections.vmops.qemu.plugins.module_utils._ansible import module
from ansible_collections.vmops.qemu.plugins.module_utils._ansible.options.qom import OPERATION


def main() -> None:
    module.main(OPERATION)


if __name__ == "__main__":
    main()
