#!/usr/bin/python
# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: qmp_object
short_description: Add and remove QEMU objects such as secrets and I/O threads
version_added: 0.1.0
description:
  - Adds an object to a running VM that other things refer to by its id (C(object-add)) and removes it again (C(object-del)).
  - These are secrets, I/O threads, throttle groups, TLS credentials, authorization lists, memory backends and others.
author:
  - The vmops.qemu authors (@vmops)
extends_documentation_fragment:
  - vmops.qemu.qmp
  - vmops.qemu.qmp.state
  - vmops.qemu.attributes
attributes:
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  id:
    description: Id of the object.
    type: str
    required: true
  qom_type:
    description:
      - Type of the object by QEMU's name, such as V(iothread), V(secret), V(throttle-group) or V(tls-creds-x509).
      - A new object needs it.
    type: str
  properties:
    description:
      - Its properties by QEMU's names. Values are brought to the type that QEMU has for each; sizes are bytes.
      - Of those that differ only the C(limits) of a V(throttle-group) are changed in place.
    type: dict
    default: {}
  secret:
    description:
      - What a V(secret) object holds. It is shown nowhere, and not compared with what is there.
    type: str
  recreate:
    description:
      - Whether to delete and recreate what is there with other properties, instead of failing with V(conflict).
      - Properties that the task does not set are carried over, the secret too. If QEMU refuses the new object, the old one is
        put back.
    type: bool
    default: false
  force:
    description:
      - Whether to delete even an object that is in use, or an I/O thread while there are block exports, of which QEMU does not
        report the I/O thread. What QEMU itself does not delete in use, such as memory and throttle groups, is refused anyway.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: An I/O thread
  vmops.qemu.qmp_object:
    socket: /run/vm1/qmp.sock
    id: io1
    qom_type: iothread

- name: A limit that several disks share
  vmops.qemu.qmp_object:
    socket: /run/vm1/qmp.sock
    id: slow
    qom_type: throttle-group
    properties:
      limits:
        iops-total: 500

- name: A secret
  vmops.qemu.qmp_object:
    socket: /run/vm1/qmp.sock
    id: sec0
    qom_type: secret
    secret: "{{ vault_passphrase }}"
"""

RETURN = r"""
status:
  description:
    - V(present) or V(absent), as asked for; V(unplug_pending) when the guest has not let go of a device yet.
  returned: always
  type: str
  sample: present
commands:
  description: What was sent to QEMU to change the VM, or would be in check mode.
  returned: success
  type: list
  elements: dict
  sample:
    - execute: object-add
      arguments: {qom-type: iothread, id: io1}
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
launch_args:
  description: Arguments for QEMU's command line that give the VM the same at its next start.
  returned: success
  type: list
  elements: str
  sample: []
unverified:
  description: Options whose present value QEMU does not report, so that they were not compared.
  returned: success
  type: list
  elements: str
  sample: []
object:
  description: The object as it is after the run, or would be in check mode, without any secret; null when there is none.
  returned: success
  type: dict
  contains:
    id:
      description: Its id.
      type: str
    qom_type:
      description: Its type.
      type: str
    properties:
      description: Its properties, as far as QEMU tells them.
      type: dict
  sample:
    id: io1
    qom_type: iothread
    properties: {poll-max-ns: 32768}
"""

from ansible_collections.vmops.qemu.plugins.module_utils._ansible import module
from ansible_collections.vmops.qemu.plugins.module_utils._ansible.options.object import KIND


def main() -> None:
    module.main(KIND)


if __name__ == "__main__":
    main()
