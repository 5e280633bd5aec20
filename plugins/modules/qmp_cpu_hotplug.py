#!/usr/bin/python
# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: qmp_cpu_hotplug
short_description: Add and remove vCPUs of a running QEMU VM
version_added: 0.1.0
description:
  - Brings a running VM to a number of vCPUs (C(device_add), C(device_del)), within the maximum it was started with
    (C(-smp N,maxcpus=M)), waiting for the guest to let go of those that are taken away.
  - CPUs are filled from the lowest place of the topology up and emptied from the highest down. The CPU that the guest booted
    on stays.
  - A Linux guest takes a new CPU into use only when a udev rule or somebody in the guest brings it online.
  - Nothing of it outlives the VM's QEMU process. RV(launch_args) is what gives the VM as many at its next start.
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
  count:
    description:
      - How many vCPUs the VM is to have. More are plugged, or the surplus unplugged.
      - One of O(count) and O(topology) is required. O(count) goes with O(state=present) only.
    type: int
  topology:
    description:
      - >-
        One place for a CPU by the ids that C(query-hotpluggable-cpus) has for it, such as
        C({socket-id: 0, core-id: 1, thread-id: 0}). M(vmops.qemu.qmp_info) lists them.
    type: dict
"""

EXAMPLES = r"""
- name: Have 4 vCPUs
  vmops.qemu.qmp_cpu_hotplug:
    socket: /run/vm1/qmp.sock
    count: 4

- name: Take one away again, the highest first
  vmops.qemu.qmp_cpu_hotplug:
    socket: /run/vm1/qmp.sock
    count: 3

- name: Fill one place of the topology
  vmops.qemu.qmp_cpu_hotplug:
    socket: /run/vm1/qmp.sock
    topology:
      socket-id: 1
      core-id: 0
      thread-id: 0
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
      arguments: {id: cpu-0-3-0}
launch_args:
  description:
    - Arguments for QEMU's command line that give the VM the same at its next start. A CPU beyond a place that is free has a
      C(-device) of its own.
  returned: success
  type: list
  elements: str
  sample:
    - -smp
    - cpus=3,maxcpus=4,sockets=1,dies=1,cores=4,threads=1
unverified:
  description: Options whose present value QEMU does not report, so that they were not compared.
  returned: success
  type: list
  elements: str
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
cpus:
  description: The vCPUs as they are after the run, or would be in check mode.
  returned: success
  type: dict
  contains:
    count:
      description: How many vCPUs the VM has.
      type: int
    maximum:
      description: How many it may have.
      type: int
    places:
      description: Each place for a CPU, lowest first.
      type: list
      elements: dict
      contains:
        id:
          description: Id of the CPU that is there or would be.
          type: str
        present:
          description: Whether there is a CPU.
          type: bool
        vcpus:
          description: How many vCPUs come and go with it.
          type: int
        topology:
          description: Its topology ids.
          type: dict
        type:
          description: The type of CPU that is there or fits there, as C(device_add) takes it for C(driver).
          type: str
        qom_path:
          description: QOM path of the CPU; null where there is none.
          type: str
        thread_id:
          description: Thread on the host that runs the first vCPU of the place; null where there is none, and in check mode.
          type: int
    vcpus:
      description: Each vCPU that is there, also where the machine has no CPU hotplug and so no places.
      type: list
      elements: dict
      contains:
        index:
          description: Its number.
          type: int
        type:
          description: Its type.
          type: str
        qom_path:
          description: Its QOM path.
          type: str
        thread_id:
          description: Thread on the host that runs it.
          type: int
  sample:
    count: 1
    maximum: 4
    places:
      - id: cpu-0-0-0
        present: true
        vcpus: 1
        topology: {socket-id: 0, core-id: 0, thread-id: 0}
        type: qemu64-x86_64-cpu
        qom_path: /machine/unattached/device[0]
        thread_id: 4711
    vcpus:
      - index: 0
        type: qemu64-x86_64-cpu
        qom_path: /machine/unattached/device[0]
        thread_id: 4711
"""

from ansible_collections.vmops.qemu.plugins.module_utils._ansible import module
from ansible_collections.vmops.qemu.plugins.module_utils._ansible.options.cpu_hotplug import KIND


def main() -> None:
    module.main(KIND)


if __name__ == "__main__":
    main()
