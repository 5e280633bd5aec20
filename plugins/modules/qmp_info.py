#!/usr/bin/python
# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: qmp_info
short_description: Tell what a running QEMU VM has and what more it can take
version_added: 0.1.0
description:
  - Reads from a running VM what is attached to it, and for each kind of hardware how many more it can take while it runs. Where
    it can take none, says why and which argument of QEMU's command line would have allowed it.
  - Changes nothing.
author:
  - The vmops.qemu authors (@vmops)
extends_documentation_fragment:
  - vmops.qemu.qmp
  - vmops.qemu.attributes
attributes:
  diff_mode:
    support: N/A
  idempotent:
    support: full
options:
  gather_subset:
    description:
      - The parts to read. Each is returned under its own name; V(all) is all of them.
    type: list
    elements: str
    choices: [all, vm, disks, nics, cpus, memory, chardevs, objects, block_jobs, balloon, migration, devices, capacity]
    default: [all]
"""

EXAMPLES = r"""
- name: Look at a VM
  vmops.qemu.qmp_info:
    socket: /run/vm1/qmp.sock
  register: vm

- name: Make sure that it can take two more disks
  ansible.builtin.assert:
    that: vm.capacity.disk.count >= 2
    fail_msg: "{{ vm.capacity.disk.reason }} Start it with {{ vm.capacity.disk.launch_args | join(' ') }}"
"""

RETURN = r"""
vm:
  description: Name, UUID, status, QEMU's version, machine type, architecture and accelerator (V(kvm), V(tcg) or another).
  returned: when asked for
  type: dict
  sample:
    name: vm1
    uuid: 3f2f8a0e-6f0c-4f8e-9c58-0b1d2a3c4d5e
    status: running
    qemu_version: 7.2.22
    machine: pc-q35-7.2
    target: x86_64
    accelerator: kvm
disks:
  description: Its disks, each as M(vmops.qemu.qmp_blockdev) returns it.
  returned: when asked for
  type: list
  elements: dict
nics:
  description: Its NICs, each as M(vmops.qemu.qmp_netdev) returns it.
  returned: when asked for
  type: list
  elements: dict
cpus:
  description:
    - Its vCPUs, as M(vmops.qemu.qmp_cpu_hotplug) returns them. C(places) are the places for CPUs, C(vcpus) the vCPUs that there
      are.
  returned: when asked for
  type: dict
  contains:
    count:
      description: How many vCPUs the VM has.
      type: int
    maximum:
      description: How many it may have.
      type: int
    places:
      description: Each place for a CPU, with C(id), C(present), C(vcpus), C(topology), C(type), C(qom_path) and C(thread_id).
      type: list
      elements: dict
    vcpus:
      description: Each vCPU, with C(index), C(type), C(qom_path) and C(thread_id), its thread on the host.
      type: list
      elements: dict
  sample:
    count: 1
    maximum: 1
    places: []
    vcpus:
      - index: 0
        type: cortex-a57-arm-cpu
        qom_path: /machine/unattached/device[0]
        thread_id: 4711
memory:
  description:
    - Its RAM in bytes, at start and plugged, the maximum and the number of slots, and the memory devices. Without memory slots
      C(slots) is 0; it is null, like C(maximum), where QEMU does not tell (before 7.1).
  returned: when asked for
  type: dict
  sample: {base: 268435456, plugged: 0, maximum: 2147483648, slots: 4, devices: []}
chardevs:
  description: Its character devices and serial ports, each as M(vmops.qemu.qmp_chardev) returns it, but for those of monitors.
  returned: when asked for
  type: list
  elements: dict
objects:
  description: Its objects, each as M(vmops.qemu.qmp_object) returns it; without what secrets hold, and without monitors.
  returned: when asked for
  type: list
  elements: dict
block_jobs:
  description: Its block jobs and other jobs, each as M(vmops.qemu.qmp_block_job) returns it.
  returned: when asked for
  type: list
  elements: dict
balloon:
  description: What the guest has of its memory, as M(vmops.qemu.qmp_balloon) returns it; null where there is no balloon.
  returned: when asked for
  type: dict
  sample: {actual: 2147483648}
migration:
  description: How far a migration is, as M(vmops.qemu.qmp_migrate) returns it.
  returned: when asked for
  type: dict
devices:
  description: Every device that QEMU was given, with its place.
  returned: when asked for
  type: list
  elements: dict
  sample:
    - id: rp0
      path: /machine/peripheral/rp0
      driver: pcie-root-port
      bus: pcie.0
      addr: "1"
      at_launch: true
capacity:
  description:
    - For each kind of hardware (V(disk), V(scsi_disk), V(nic), V(cpu), V(memory), V(serial_port)) how many more the VM can
      take. Where that is none, the reason, and the arguments with which it would have to be started.
    - V(memory) counts DIMMs, and has in C(bytes) the room for them; a virtio-mem device needs room, and no slot.
    - Disks and NICs share the free places.
  returned: when asked for
  type: dict
  contains:
    disk:
      description: One of the kinds; the others look the same.
      type: dict
      contains:
        count:
          description: How many more.
          type: int
        places:
          description: The first 32 of the free places, each as other tasks take it (C(bus), C(addr) and so on).
          type: list
          elements: dict
        driver:
          description: The device that was counted for.
          type: str
        reason:
          description: Why none.
          type: str
        launch_args:
          description: What would allow it.
          type: list
          elements: str
"""

from ansible_collections.vmops.qemu.plugins.module_utils._ansible import module
from ansible_collections.vmops.qemu.plugins.module_utils._ansible.options.info import INFORMATION


def main() -> None:
    module.main(INFORMATION)


if __name__ == "__main__":
    main()
