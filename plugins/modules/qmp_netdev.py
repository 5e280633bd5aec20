#!/usr/bin/python
# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: qmp_netdev
short_description: Add, change and remove NICs of a running QEMU VM
version_added: 0.1.0
description:
  - Plugs a NIC into a running VM (C(netdev_add), C(device_add)), sets its link, and unplugs it again (C(device_del),
    C(netdev_del)), waiting for the guest to let go.
  - A tap is opened by this module and handed to QEMU as a descriptor, so QEMU needs no rights for it.
  - A NIC whose network backend a filter or a hub uses, or that shares a PCI slot with other devices, is removed only with
    O(force), as those would lose it or go with it.
  - Nothing of it outlives the VM's QEMU process. RV(launch_args) is what gives the VM the same NIC at its next start.
author:
  - The vmops.qemu authors (@vmops)
extends_documentation_fragment:
  - vmops.qemu.qmp
  - vmops.qemu.qmp.state
  - vmops.qemu.qmp.frontend
  - vmops.qemu.attributes
attributes:
  diff_mode:
    support: full
  idempotent:
    support: partial
    details:
      - QEMU does not report the state of a link. A task that states O(link) for a NIC that is there already sets it each time
        and says changed.
options:
  id:
    description:
      - Name of the NIC in the VM, for its device and its network backend both. A letter, then letters, digits, V(.), V(_)
        and V(-).
    type: str
    required: true
  type:
    description:
      - What the NIC is connected to, as a network backend of QEMU. A new NIC needs it.
    type: str
    choices: [tap, user, bridge, socket, stream, dgram, hubport, vhost-user, vhost-vdpa, l2tpv3]
  options:
    description:
      - >-
        Options of the backend in QEMU's spelling, such as C({hostfwd: ["tcp:127.0.0.1:2222-:22"]}) for V(user),
        C({addr: {type: unix, path: /run/net0}, server: true}) for V(stream), C({br: br0}) for V(bridge).
      - Values are brought to the type that QEMU has for each.
    type: dict
    default: {}
  ifname:
    description:
      - For V(tap), the tap or macvtap interface. It must exist when this module opens it.
      - A macvtap is opened by its C(/dev/tapN), so it needs O(descriptors). Whatever starts QEMU has to open it as well,
        so RV(launch_args) is empty.
    type: str
  script:
    description:
      - For V(tap), the program that QEMU runs to bring the interface up; V(no) for none. QEMU then opens the tap itself.
    type: str
  downscript:
    description:
      - For V(tap), the program that QEMU runs to take the interface down; V(no) for none.
    type: str
  chardev:
    description:
      - For V(vhost-user), the id of the character device that leads to the back end. Its unix socket has to be connected by then.
    type: str
  vhostdev:
    description:
      - For V(vhost-vdpa), the path of the vDPA device.
    type: str
  vhost:
    description:
      - For V(tap), whether the host's kernel moves the packets (vhost-net).
    type: bool
  queues:
    description:
      - Number of queue pairs. More than 1 needs a tap made with C(multi_queue); the device gets C(mq=on) and
        2·O(queues)+2 interrupt vectors. From V(1) to V(256).
      - By default a new NIC has one, and that of a NIC which exists is not compared.
    type: int
  descriptors:
    description:
      - For V(tap), whether this module opens the tap and passes it as descriptors.
      - By default it does where the monitor is a unix socket and neither O(script) nor O(downscript) is given.
    type: bool
  mac:
    description:
      - MAC address. By default QEMU's choice, which starts anew for each VM; give one where VMs share a network.
      - A warning names the other NICs of the VM that have it.
    type: str
  link:
    description:
      - Whether the cable is in. Recreated without it, a NIC has its cable in.
    type: str
    choices: [up, down]
  bootindex:
    description:
      - Place in the order in which the firmware tries devices at the guest's next reset.
    type: int
"""

EXAMPLES = r"""
- name: Plug a NIC over a tap that is on a bridge of the host
  vmops.qemu.qmp_netdev:
    socket: /run/vm1/qmp.sock
    id: net1
    type: tap
    ifname: vm1-net1
    mac: "52:54:00:12:34:01"

- name: Plug a NIC of four queues
  vmops.qemu.qmp_netdev:
    socket: /run/vm1/qmp.sock
    id: net2
    type: tap
    ifname: vm1-net2
    queues: 4

- name: Plug a NIC with user-mode networking
  vmops.qemu.qmp_netdev:
    socket: /run/vm1/qmp.sock
    id: net3
    type: user
    options:
      restrict: true

- name: Pull its cable
  vmops.qemu.qmp_netdev:
    socket: /run/vm1/qmp.sock
    id: net3
    link: down

- name: Unplug it
  vmops.qemu.qmp_netdev:
    socket: /run/vm1/qmp.sock
    id: net3
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
    - execute: device_del
      arguments: {id: net1}
    - execute: netdev_del
      arguments: {id: net1}
launch_args:
  description:
    - Arguments for QEMU's command line that give the VM the same at its next start, with the MAC address that it has now.
    - Empty for a task that does not set O(type), for QEMU does not report the options of a network backend.
  returned: success
  type: list
  elements: str
  sample:
    - -netdev
    - tap,id=net1,ifname=vm1-net1,script=no,downscript=no
    - -device
    - '{"driver": "virtio-net-pci", "id": "net1", "netdev": "net1", "bus": "rp1", "addr": "0", "mac": "52:54:00:12:34:01"}'
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
error_code:
  description:
    - What went wrong, one of V(connect_failed), V(monitor_busy), V(protocol_error), V(command_failed), V(outcome_unknown),
      V(disconnected), V(unplug_pending), V(unplug_refused), V(no_free_slot), V(conflict), V(unsupported), V(invalid_option) and
      V(rollback_incomplete).
  returned: failure
  type: str
  sample: no_free_slot
details:
  description:
    - More about the failure. C(sent) are the commands up to it, C(undone) those that took back what this run had added, C(left)
      those that should have and failed, C(done) removals, which stay.
  returned: failure
  type: dict
nic:
  description: The NIC as it is after the run, or would be in check mode; null when there is none.
  returned: success
  type: dict
  contains:
    id:
      description: Its id.
      type: str
    attached:
      description: Whether it has a device, so that the guest sees it.
      type: bool
    driver:
      description: The device that the guest sees.
      type: str
    bus:
      description: Its bus.
      type: str
    addr:
      description: Its PCI address on the bus, hexadecimal.
      type: str
    mac:
      description: Its MAC address.
      type: str
    at_launch:
      description: Whether the VM was started with it.
      type: bool
    netdev:
      description: Its network backend.
      type: str
    type:
      description: The type of the backend.
      type: str
    ifname:
      description: The tap interface, where this host tells.
      type: str
  sample:
    id: net1
    attached: true
    driver: virtio-net-pci
    bus: rp1
    addr: "0"
    mac: "52:54:00:12:34:01"
    at_launch: false
    netdev: net1
    type: tap
    ifname: vm1-net1
"""

from ansible_collections.vmops.qemu.plugins.module_utils._ansible import module
from ansible_collections.vmops.qemu.plugins.module_utils._ansible.options.netdev import KIND


def main() -> None:
    module.main(KIND)


if __name__ == "__main__":
    main()
