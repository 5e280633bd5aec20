#!/usr/bin/python
# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: qmp_memory_hotplug
short_description: Add, change and remove memory of a running QEMU VM
version_added: 0.1.0
description:
  - Plugs a DIMM, an NVDIMM or a virtio-mem device over a backend object (C(object-add), C(device_add)), grows and shrinks a
    virtio-mem device, and unplugs them again with their backend.
  - Or brings the VM to a total, in the way that it allows.
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
    description:
      - Name of the memory in the VM. Its backend object is this name with C(.mem).
      - An object that has that name already, such as one that a killed run left, is used if it is just what is needed and nothing
        uses it; otherwise the task fails with V(conflict).
    type: str
  total:
    description:
      - How much memory the VM is to have in all, instead of O(id), in bytes or with K, M, G or T.
      - A virtio-mem device grows or shrinks. Without one, a DIMM of what is missing is plugged under a free name, or plugged
        DIMMs are removed that make up what is too much.
    type: str
  type:
    description:
      - V(pc-dimm) comes and goes as a whole. V(nvdimm) keeps its content in the file O(mem_path) and cannot be removed; the VM
        must have been started with C(-machine nvdimm=on). V(virtio-mem) gives the guest O(requested_size) of its O(size).
      - By default what is there, and V(pc-dimm) for new memory.
    type: str
    choices: [pc-dimm, nvdimm, virtio-mem]
  size:
    description:
      - Size in bytes, or with K, M, G or T. QEMU takes multiples of 2M for O(backend=ram), and of 4K for others.
      - A Linux guest on x86 uses multiples of 128M.
    type: str
  requested_size:
    description:
      - How much of a V(virtio-mem) device the guest is to have. By default all of it when it is plugged.
      - At most O(size), and a multiple of the device's blocks, which are of 2M unless O(properties) has another C(block-size).
      - Waited for until O(timeout). A guest may not be able to give back all.
    type: str
  backend:
    description:
      - Where the host has the memory.
      - By default what is there, and for new memory V(file) with O(type=nvdimm), V(ram) with others.
    type: str
    choices: [ram, file, memfd]
  mem_path:
    description: File, or folder for a file, of O(backend=file). A folder on hugetlbfs gives huge pages.
    type: str
  share:
    description:
      - Whether other processes may map the memory too, as vhost-user needs it.
      - With O(backend=file), whether what the guest writes goes to the file. An NVDIMM is always shared, because it would lose
        its content otherwise; V(false) is refused.
    type: bool
  prealloc:
    description: Whether to take all of it from the host at once.
    type: bool
  pmem:
    description: Whether O(mem_path) is on persistent memory. QEMU must have been built with libpmem.
    type: bool
  hugetlb:
    description: Whether a O(backend=memfd) takes huge pages.
    type: bool
  hugetlbsize:
    description: Size of the huge pages, such as V(2M).
    type: str
  host_nodes:
    description: NUMA nodes of the host to take it from.
    type: list
    elements: int
  policy:
    description: How to take it from O(host_nodes).
    type: str
    choices: [default, preferred, bind, interleave]
  node:
    description: NUMA node of the guest.
    type: int
  slot:
    description: Memory slot of a DIMM, from 0. By default the first that is free.
    type: int
  bus:
    description: Bus of a V(virtio-mem) device. By default the first that has a free place. A DIMM sits on no bus.
    type: str
  addr:
    description:
      - With O(type=virtio-mem), address on O(bus), in QEMU's notation.
      - Of a DIMM, the address in the guest's memory, such as V(0x140000000). By default QEMU chooses.
    type: str
  properties:
    description: Any other properties of the device, by QEMU's names.
    type: dict
    default: {}
  reserved:
    description: Places to leave free, each as the result of another task has it.
    type: list
    elements: dict
    default: []
  recreate:
    description:
      - Whether to unplug what is there with other properties and recreate it, instead of failing with V(conflict).
      - What the task does not specify is as it was. If the new memory cannot be added, the old is put back.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Two GiB more
  vmops.qemu.qmp_memory_hotplug:
    socket: /run/vm1/qmp.sock
    id: dimm1
    size: 2G

- name: Eight GiB in all
  vmops.qemu.qmp_memory_hotplug:
    socket: /run/vm1/qmp.sock
    total: 8G

- name: Persistent memory in a file
  vmops.qemu.qmp_memory_hotplug:
    socket: /run/vm1/qmp.sock
    id: nvdimm1
    type: nvdimm
    size: 1G
    mem_path: /var/lib/vms/vm1.nvdimm

- name: Memory that grows and shrinks
  vmops.qemu.qmp_memory_hotplug:
    socket: /run/vm1/qmp.sock
    id: elastic0
    type: virtio-mem
    size: 16G
    requested_size: 4G

- name: Huge pages of the host's first node
  vmops.qemu.qmp_memory_hotplug:
    socket: /run/vm1/qmp.sock
    id: dimm2
    size: 1G
    backend: file
    mem_path: /dev/hugepages
    prealloc: true
    host_nodes: [0]
    policy: bind
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
      arguments: {id: dimm1}
    - execute: object-del
      arguments: {id: dimm1.mem}
diff:
  description: The state before and after the change, in C(before) and C(after). Empty if there is none.
  returned: success
  type: dict
  sample: {before: {}, after: {}}
error_code:
  description:
    - The reason of the failure, one of V(connect_failed), V(monitor_busy), V(protocol_error), V(command_failed),
      V(outcome_unknown), V(disconnected), V(unplug_pending), V(unplug_refused), V(no_free_slot), V(conflict), V(unsupported),
      V(invalid_option) and V(rollback_incomplete).
  returned: failure
  type: str
  sample: outcome_unknown
details:
  description:
    - More about the failure.
    - After a change that failed it has C(sent), the commands up to the error; C(undone), the commands that rolled back what
      this task had added; C(left), the commands of the rollback that failed or were not sent; and C(done), removals, which stay
      in force.
  returned: failure
  type: dict
  sample: {}
# END GENERATED
launch_args:
  description:
    - Arguments for QEMU's command line that give the VM the same at its next start. With O(total), all memory devices that make
      it up.
  returned: success
  type: list
  elements: str
  sample:
    - -object
    - memory-backend-ram,id=dimm1.mem,size=2147483648
    - -device
    - '{"driver": "pc-dimm", "id": "dimm1", "memdev": "dimm1.mem"}'
memory:
  description:
    - The memory as it is after the run, or would be in check mode; null when there is none. Sizes are in bytes.
    - With O(total), C(base), C(plugged), C(total) and the C(devices), each as it is with O(id).
  returned: success
  type: dict
  contains:
    id:
      description: Its id.
      type: str
    type:
      description: What it is.
      type: str
    size:
      description: Its size, for V(virtio-mem) the most that the guest may have.
      type: int
    requested_size:
      description: What the guest is to have of a V(virtio-mem).
      type: int
    plugged:
      description: What the guest has of a V(virtio-mem).
      type: int
    backend:
      description: Where the host has it.
      type: str
    slot:
      description: Its memory slot.
      type: int
    node:
      description: NUMA node of the guest.
      type: int
    at_launch:
      description: Whether the VM was started with it.
      type: bool
  sample:
    id: dimm1
    type: pc-dimm
    size: 2147483648
    backend: ram
    slot: 0
    node: 0
    at_launch: false
"""

from ansible_collections.vmops.qemu.plugins.module_utils._ansible import module
from ansible_collections.vmops.qemu.plugins.module_utils._ansible.options.memory_hotplug import KIND


def main() -> None:
    module.main(KIND)


if __name__ == "__main__":
    main()
