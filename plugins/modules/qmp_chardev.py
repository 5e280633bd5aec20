#!/usr/bin/python
# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: qmp_chardev
short_description: Add, change and remove character devices and virtio serial ports of a running QEMU VM
version_added: 0.1.0
description:
  - Adds a character device such as a socket (C(chardev-add)) and, where asked for, the virtio serial port or console through
    which the guest sees it, and removes both again.
  - A character device without a port is for others to use, such as a vhost-user NIC.
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
    description: Name of the character device in the VM, and of its port.
    type: str
    required: true
  type:
    description:
      - What it is, by QEMU's name, such as V(socket), V(pty), V(file), V(ringbuf) or V(null). A new one needs it.
      - One that is there and of another type, or with another address, is changed in place (C(chardev-change)), which cuts its
        connection. By default it is of the type that it has.
    type: str
  path:
    description: Path of a unix V(socket) or of a V(file).
    type: path
  address:
    description: Host name or address of a TCP V(socket).
    type: str
  address_port:
    description: TCP port of O(address); V(0) is any that is free.
    type: int
  server:
    description: Whether QEMU listens on the V(socket), and does not connect to it.
    type: bool
    default: true
  wait:
    description:
      - Whether QEMU waits until somebody has connected. The whole VM stands still meanwhile.
    type: bool
    default: false
  options:
    description: Any other options of O(type) in QEMU's spelling, as the member C(data) of C(chardev-add) has them.
    type: dict
    default: {}
  driver:
    description:
      - The port that the guest sees. By default there is none.
    type: str
    choices: [virtserialport, virtconsole]
  name:
    description: Name of the port. A Linux guest finds a V(virtserialport) as V(/dev/virtio-ports/NAME).
    type: str
  bus:
    description: Bus of the virtio serial controller, such as V(serial0.0). By default the first.
    type: str
  properties:
    description: Any other properties of the port, by QEMU's names.
    type: dict
    default: {}
  reserved:
    description: Places to leave free, each as the result of another task has it.
    type: list
    elements: dict
    default: []
  recreate:
    description:
      - Whether to unplug and plug anew a port with other properties, instead of failing with V(conflict).
      - And whether to remove a character device that nothing is on, and of which QEMU does not report how it was made (such as
        V(file) or V(ringbuf)), to add one of another type. It cannot be put back if that fails.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: A channel to an agent in the guest
  vmops.qemu.qmp_chardev:
    socket: /run/vm1/qmp.sock
    id: agent0
    type: socket
    path: /run/vm1/agent.sock
    driver: virtserialport
    name: org.example.agent

- name: The socket of a vhost-user switch
  vmops.qemu.qmp_chardev:
    socket: /run/vm1/qmp.sock
    id: switch0
    type: socket
    path: /run/switch/vm1.sock
    server: false

- name: Remove the channel
  vmops.qemu.qmp_chardev:
    socket: /run/vm1/qmp.sock
    id: agent0
    state: absent
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
    - execute: chardev-remove
      arguments: {id: agent0}
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
reserved:
  description: The option O(reserved), and what this task would take. Give it to the next task as O(reserved).
  returned: check mode
  type: list
  elements: dict
  sample: []
chardev:
  description: The character device as it is after the run, or would be in check mode; null when there is none.
  returned: success
  type: dict
  contains:
    id:
      description: Its id.
      type: str
    type:
      description: What it is.
      type: str
    path:
      description: Path of a unix socket or of a pty.
      type: str
    address:
      description: Address of a TCP socket.
      type: str
    server:
      description: Whether QEMU listens.
      type: bool
    open:
      description: Whether the guest has it open, where QEMU knows.
      type: bool
    attached:
      description: Whether it has a port.
      type: bool
    driver:
      description: The port that the guest sees.
      type: str
    bus:
      description: Bus of the port.
      type: str
    name:
      description: Name of the port.
      type: str
    guest_path:
      description: Where a Linux guest with udev finds the port.
      type: str
    at_launch:
      description: Whether the VM was started with the port.
      type: bool
  sample:
    id: agent0
    type: socket
    path: /run/vm1/agent.sock
    server: true
    open: false
    attached: true
    driver: virtserialport
    bus: serial0.0
    name: org.example.agent
    guest_path: /dev/virtio-ports/org.example.agent
    at_launch: false
"""

from ansible_collections.vmops.qemu.plugins.module_utils._ansible import module
from ansible_collections.vmops.qemu.plugins.module_utils._ansible.options.chardev import KIND


def main() -> None:
    module.main(KIND)


if __name__ == "__main__":
    main()
