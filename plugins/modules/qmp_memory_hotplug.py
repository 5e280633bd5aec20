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
  - Plugs a memory device, which is a DIMM, an NVDIMM or a virtio-mem device, with its backend object (C(object-add),
    C(device_add)), changes the size of a virtio-mem device, and unplugs a memory device with its backend object.
  - Or brings the memory of the VM to O(total), in the way that the VM allows.
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
      - Id of the memory device. Its backend object has this id with C(.mem) added.
      - If an object with that id exists, for example because a task was killed, it is used if it is equal and nothing uses it.
        Otherwise the task fails with V(conflict).
      - One of O(id) and O(total) is required. O(state=absent) requires O(id).
    type: str
  total:
    description:
      - Memory that the VM has in total after the task, in bytes or as a number with K, M, G or T. This is the memory that it was
        started with and that of all memory devices.
      - If the VM has a virtio-mem device, that device grows or shrinks. Otherwise a DIMM of the missing size is plugged under a
        free id, or plugged DIMMs are removed that have the surplus size together.
    type: str
  type:
    description:
      - V(pc-dimm) is plugged and unplugged as a whole.
      - V(nvdimm) keeps its content in the file O(mem_path), and cannot be removed. The VM must have been started with
        C(-machine nvdimm=on).
      - V(virtio-mem) gives the guest O(requested_size) of its O(size), which can change at any time.
      - By default the type of the present device, and V(pc-dimm) for a new one.
    type: str
    choices: [pc-dimm, nvdimm, virtio-mem]
  size:
    description:
      - Size of the memory device, in bytes or as a number with K, M, G or T. Required for a new device.
      - With O(backend=ram) it must be a multiple of 2M, with other backends of 4K.
      - A Linux guest on x86 uses multiples of 128M only.
    type: str
  requested_size:
    description:
      - Part of the O(size) of a V(virtio-mem) device that the guest gets, in bytes or as a number with K, M, G or T. By default
        the present one, and O(size) for a new device.
      - It must be a multiple of the block size of the device, which is 2M unless O(properties) sets another C(block-size).
      - The module waits for the guest until O(timeout). A guest may be unable to release all of its memory.
    type: str
  backend:
    description:
      - Kind of the backend object, which has the memory on the host.
      - By default the kind of the present device. For a new device V(file) with O(type=nvdimm), and V(ram) with other types.
    type: str
    choices: [ram, file, memfd]
  mem_path:
    description:
      - File that has the memory, or directory for a temporary file. Required with O(backend=file). A directory on hugetlbfs gives
        huge pages.
    type: str
  share:
    description:
      - Whether other processes can map the memory too, which vhost-user requires. For a new backend QEMU's default is V(true)
        with O(backend=memfd), and V(false) otherwise.
      - With O(backend=file), whether what the guest writes is written to the file. An NVDIMM is always shared, because it would
        lose its content otherwise; V(false) is refused.
    type: bool
  prealloc:
    description: Whether the host provides all of the memory at once. For a new backend QEMU's default is V(false).
    type: bool
  pmem:
    description:
      - Whether O(mem_path) is on persistent memory. For a new backend QEMU's default is V(false). QEMU must have been built with
        libpmem.
    type: bool
  hugetlb:
    description: Whether a O(backend=memfd) consists of huge pages. For a new backend QEMU's default is V(false).
    type: bool
  hugetlbsize:
    description:
      - Size of the huge pages with O(hugetlb=true), in bytes or as a number with K, M or G, such as V(2M). By default the one
        of the host.
    type: str
  host_nodes:
    description: Numbers of the NUMA nodes of the host that O(policy) applies to. By default none.
    type: list
    elements: int
  policy:
    description:
      - How the host allocates the memory from O(host_nodes). All values except V(default) require O(host_nodes). For a new
        backend QEMU's default is V(default).
    type: str
    choices: [default, preferred, bind, interleave]
  node:
    description: Number of the NUMA node of the guest. For a new device QEMU's default is V(0).
    type: int
  slot:
    description: Number of the memory slot of a DIMM or an NVDIMM, from 0. By default the first free one.
    type: int
  bus:
    description:
      - Bus of a V(virtio-mem) device. By default the first one with a free slot. DIMMs and NVDIMMs are not on a bus.
    type: str
  addr:
    description:
      - With O(type=virtio-mem) the address on O(bus), in QEMU's notation. By default the first free one.
      - With other types the address in the guest's memory, such as V(0x140000000). By default QEMU chooses it.
    type: str
  properties:
    description:
      - Further properties of the device, by QEMU's names. Properties that are not set have QEMU's defaults, and are not compared.
    type: dict
    default: {}
  reserved:
    description: Slots that are left free, each as the result of another task has it.
    type: list
    elements: dict
    default: []
  recreate:
    description:
      - Whether to unplug a present device with other properties and plug it again, instead of failing with V(conflict).
      - Properties that the task does not set stay as they are. If the new device cannot be added, the old one is restored.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Plug a DIMM of 2 GiB
  vmops.qemu.qmp_memory_hotplug:
    socket: /run/vm1/qmp.sock
    id: dimm1
    size: 2G

- name: Unplug it
  vmops.qemu.qmp_memory_hotplug:
    socket: /run/vm1/qmp.sock
    id: dimm1
    state: absent

- name: Have 8 GiB in total
  vmops.qemu.qmp_memory_hotplug:
    socket: /run/vm1/qmp.sock
    total: 8G

- name: Plug persistent memory that is kept in a file
  vmops.qemu.qmp_memory_hotplug:
    socket: /run/vm1/qmp.sock
    id: nvdimm1
    type: nvdimm
    size: 1G
    mem_path: /var/lib/vms/vm1.nvdimm

- name: Plug memory that grows and shrinks
  vmops.qemu.qmp_memory_hotplug:
    socket: /run/vm1/qmp.sock
    id: elastic0
    type: virtio-mem
    size: 16G
    requested_size: 4G

- name: Give the guest more of it
  vmops.qemu.qmp_memory_hotplug:
    socket: /run/vm1/qmp.sock
    id: elastic0
    requested_size: 8G

- name: Plug huge pages of the first NUMA node of the host
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
    - Arguments for QEMU's command line that give the VM the same memory device at its next start. With O(total) those of all
      memory devices.
  returned: success
  type: list
  elements: str
  sample:
    - -object
    - memory-backend-ram,id=dimm1.mem,size=1073741824
    - -device
    - '{"driver": "pc-dimm", "id": "dimm1", "memdev": "dimm1.mem"}'
memory:
  description:
    - The memory device after the task, or as it will be in check mode; null if there is none. Sizes are in bytes.
    - With O(total) it has C(base), C(plugged), C(total) and C(devices) instead.
    - Members that have the name of an option can be fed back as options, and change nothing. Those that QEMU does not report are
      missing.
  returned: success
  type: dict
  contains:
    id:
      description: As O(id).
      type: str
    type:
      description: As O(type).
      type: str
    size:
      description: As O(size). Of a V(virtio-mem) device, the most that the guest can get.
      type: int
    requested_size:
      description: As O(requested_size). Only a V(virtio-mem) device has it.
      type: int
    plugged:
      description:
        - What the guest has of a V(virtio-mem) device now.
        - With O(total), the memory of all memory devices. A V(virtio-mem) device counts with its requested size.
      type: int
    backend:
      description: As O(backend).
      type: str
    mem_path:
      description: As O(mem_path).
      type: str
    share:
      description: As O(share).
      type: bool
    prealloc:
      description: As O(prealloc).
      type: bool
    pmem:
      description: As O(pmem).
      type: bool
    hugetlb:
      description: As O(hugetlb).
      type: bool
    hugetlbsize:
      description: As O(hugetlbsize). Missing if the size is the one of the host.
      type: int
    host_nodes:
      description: As O(host_nodes).
      type: list
      elements: int
    policy:
      description: As O(policy).
      type: str
    node:
      description: As O(node).
      type: int
    slot:
      description: As O(slot).
      type: int
    bus:
      description: As O(bus).
      type: str
    addr:
      description: As O(addr). Of a new DIMM or NVDIMM, missing in check mode unless it is set.
      type: str
    at_launch:
      description: Whether QEMU was started with the device.
      type: bool
    base:
      description: With O(total), the memory that the VM was started with.
      type: int
    total:
      description: As O(total).
      type: int
    devices:
      description:
        - With O(total), all memory devices, each as it is returned with O(id). C(id) is null for a device that was added without
          one.
      type: list
      elements: dict
  sample:
    id: dimm1
    type: pc-dimm
    size: 1073741824
    backend: ram
    share: false
    prealloc: false
    host_nodes: []
    policy: default
    node: 0
    slot: 0
    addr: "0x100000000"
    at_launch: false
"""

from ansible_collections.vmops.qemu.plugins.module_utils._ansible import module
from ansible_collections.vmops.qemu.plugins.module_utils._ansible.options.memory_hotplug import KIND


def main() -> None:
    module.main(KIND)


if __name__ == "__main__":
    main()
