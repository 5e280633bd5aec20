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
    C(netdev_del)). To unplug it, the module waits until the guest has released it.
  - The module opens a tap itself and passes it to QEMU as a descriptor. So QEMU needs no permission to open it.
  - A NIC whose network backend is used by a filter or a hub, or that shares a PCI slot with other devices, is removed only with
    O(force). The filters, the hub or the other devices would lose it or be removed with it.
  - The NIC exists until the VM's QEMU process ends. RV(launch_args) give the VM the same NIC at its next start.
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
      - QEMU does not report the state of a link. A task that sets O(link) of a present NIC sets it each time and returns
        changed.
options:
  id:
    description:
      - Id of the NIC, both of its device and of its network backend. It starts with a letter and goes on with letters, digits,
        V(.), V(_) and V(-).
    type: str
    required: true
  type:
    description:
      - Type of the network backend. Required for a new NIC. By default the type that the present NIC has.
      - QEMU reports V(bridge) as V(tap). Both are equal.
    type: str
    choices: [tap, user, bridge, socket, stream, dgram, hubport, vhost-user, vhost-vdpa, l2tpv3]
  options:
    description:
      - >-
        Other options of the network backend in QEMU's spelling, such as C({hostfwd: ["tcp:127.0.0.1:2222-:22"]}) for V(user),
        C({addr: {type: unix, path: /run/net0}, server: true}) for V(stream), C({br: br0}) for V(bridge).
      - Text is converted to the type that QEMU has for each option.
      - An option that this module has itself, such as O(ifname), is set either there or here.
    type: dict
    default: {}
  ifname:
    description:
      - For type V(tap), the tap or macvtap interface of the host. Required if this module opens it. It must exist then.
      - A macvtap is opened by its C(/dev/tapN), so it needs O(descriptors). The process that starts QEMU has to open it too, so
        RV(launch_args) are empty.
    type: str
  script:
    description:
      - For type V(tap), the program that QEMU runs to bring the interface up; V(no) for none. QEMU then opens the tap itself.
      - By default this module opens the tap, and no program is run.
    type: str
  downscript:
    description:
      - For type V(tap), the program that QEMU runs to take the interface down; V(no) for none. QEMU then opens the tap itself.
      - By default this module opens the tap, and no program is run.
    type: str
  chardev:
    description:
      - For type V(vhost-user), the id of the character device that leads to the vhost-user server, see
        M(vmops.qemu.qmp_chardev). It is a unix socket, and the server must be connected.
    type: str
  vhostdev:
    description:
      - For type V(vhost-vdpa), the path of the vDPA device.
    type: str
  vhost:
    description:
      - For type V(tap), whether the kernel of the host forwards the packets (vhost-net). By default V(false).
    type: bool
  queues:
    description:
      - Number of queue pairs, from V(1) to V(256). By default V(1) for a new NIC; a present NIC is not compared.
      - More than 1 needs a tap that was created with C(multi_queue). The device gets C(mq=on) and 2·O(queues)+2 interrupt
        vectors.
    type: int
  descriptors:
    description:
      - For type V(tap), whether this module opens the tap and passes it as descriptors.
      - By default V(true) if the monitor is a unix socket and neither O(script) nor O(downscript) is set, else V(false).
    type: bool
  mac:
    description:
      - MAC address, as six pairs of hexadecimal digits. By default QEMU chooses one. It chooses the same addresses for each VM,
        so set one if VMs share a network.
      - A warning names the other NICs of the VM that have the same address.
    type: str
  link:
    description:
      - State of the link, as of a network cable. By default a new or recreated NIC has its link up, and the link of a present NIC
        is not changed.
    type: str
    choices: [up, down]
  bootindex:
    description:
      - Position in the order in which the firmware tries devices at the next reset of the guest, V(0) being the first. By
        default the firmware does not boot from the NIC.
    type: int
"""

EXAMPLES = r"""
- name: Plug a NIC that uses a tap interface of the host
  vmops.qemu.qmp_netdev:
    socket: /run/vm1/qmp.sock
    id: net1
    type: tap
    ifname: vm1-net1
    mac: "52:54:00:12:34:01"

- name: Plug a NIC with four queue pairs
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

- name: Set its link down
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
# BEGIN GENERATED by nox -s generate: shared results
status:
  description: The value of O(state), or V(unplug_pending) if the guest has not released a device yet.
  returned: always
  type: str
  sample: present
unverified:
  description: Options that were not compared with the VM, because QEMU does not report their present value.
  returned: success
  type: list
  elements: str
  sample: []
reserved:
  description: The option O(reserved), and the slot that this task would take. Use it as O(reserved) of the next task.
  returned: check mode
  type: list
  elements: dict
  sample: []
commands:
  description: The commands that were sent to QEMU to change the VM, or would be sent in check mode.
  returned: success
  type: list
  elements: dict
  sample:
    - execute: device_del
      arguments: {id: net1}
    - execute: netdev_del
      arguments: {id: net1}
diff:
  description: The state before and after the change, in C(before) and C(after). Empty if there is none.
  returned: success
  type: dict
  sample: {before: {}, after: {}}
vm:
  description: Which VM it is, C(name) from QEMU's C(-name) and C(uuid) from C(-uuid). Null if it was started without.
  returned: success
  type: dict
  sample: {name: vm1, uuid: 3f2f8a0e-6f0c-4f8e-9c58-0b1d2a3c4d5e}
error_code:
  description:
    - The reason of the failure, one of V(connect_failed), V(monitor_busy), V(protocol_error), V(command_failed),
      V(outcome_unknown), V(disconnected), V(unplug_pending), V(unplug_refused), V(no_free_slot), V(conflict), V(unsupported),
      V(invalid_option) and V(rollback_incomplete).
  returned: failure
  type: str
  sample: no_free_slot
details:
  description:
    - More about the failure.
    - After a change that failed it has C(sent), the commands up to the error; C(undone), the commands that rolled back what
      this task had added; C(left), the commands of the rollback that failed or were not sent; and C(done), removals, which stay
      in force.
  returned: failure
  type: dict
  sample: {}
exchange:
  description:
    - The messages between the task and QEMU without secrets, a line for each, with the seconds since the task began.
    - C(->) is a message to QEMU, C(<-) is one from QEMU, which is a reply or an event. Long messages are cut. Of many messages
      the first 300 and the last 300 are kept.
  returned: with -vvv
  type: list
  elements: str
  sample:
    - "0.004 -> {execute: query-status, id: 0}"
# END GENERATED
launch_args:
  description:
    - Arguments for QEMU's command line that give the VM the same at its next start, with the MAC address that it has now.
    - Empty if the task does not set O(type), because QEMU does not report all options of a network backend.
  returned: success
  type: list
  elements: str
  sample:
    - -netdev
    - tap,id=net1,ifname=vm1-net1,script=no,downscript=no
    - -device
    - '{"driver": "virtio-net-pci", "id": "net1", "netdev": "net1", "bus": "rp1", "addr": "0", "mac": "52:54:00:12:34:01"}'
nic:
  description:
    - The NIC after the run, or as planned in check mode; null if it does not exist.
    - Its members have the names and forms of the options. Used as options, they change nothing. An option that QEMU does not
      report is missing.
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
      description: The bus of the device.
      type: str
    addr:
      description: The address of the device on the bus, as in O(addr).
      type: str
    mac:
      description: Its MAC address.
      type: str
    bootindex:
      description: Its position in the boot order. Missing if it has none.
      type: int
    romfile:
      description: Its option ROM. Missing if it is QEMU's default.
      type: str
    disable_modern:
      description: Whether it has only the legacy virtio protocol. Missing if it is QEMU's default.
      type: bool
    at_launch:
      description: Whether the VM was launched with it.
      type: bool
    netdev:
      description: The id of its network backend, which of a NIC of the launch may be another id.
      type: str
    type:
      description: The type of the network backend.
      type: str
    ifname:
      description: The tap interface, if QEMU or this host reports it.
      type: str
    script:
      description: The program that brings the interface up, if QEMU has opened the tap.
      type: str
    downscript:
      description: The program that takes the interface down, if QEMU has opened the tap.
      type: str
    chardev:
      description: The character device of a V(vhost-user) network.
      type: str
    queues:
      description: Number of queue pairs.
      type: int
    options:
      description:
        - The other options that QEMU reports, which are C(restrict) of V(user), C(hubid) of V(hubport), and C(br) and C(helper)
          of V(bridge).
      type: dict
    link:
      description: The option O(link). QEMU does not report it, so it is not returned after the run.
      returned: check mode
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
    queues: 1
"""

from ansible_collections.vmops.qemu.plugins.module_utils._ansible import module
from ansible_collections.vmops.qemu.plugins.module_utils._ansible.options.netdev import KIND


def main() -> None:
    module.main(KIND)


if __name__ == "__main__":
    main()
