#!/usr/bin/python
# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: qmp_blockdev
short_description: Add, change and remove disks of a running QEMU VM
version_added: 0.1.0
description:
  - Adds a disk to a running VM (C(blockdev-add), C(device_add)) and removes it (C(device_del), C(blockdev-del)). A removal waits
    until the guest has released the disk.
  - Changes O(size) and O(limits) of an existing disk while the guest uses it. Other options can only be changed with O(recreate).
  - A change lasts as long as the QEMU process of the VM. RV(launch_args) are the arguments that give the VM the same disk at its
    next start.
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
    support: full
options:
  id:
    description:
      - Name of the disk in the VM, for its device and for its block node.
      - A letter, then letters, digits, V(.), V(_) and V(-), 31 characters at most.
    type: str
    required: true
  file:
    description:
      - Path of an image, or of a block device of the host, as QEMU sees it. It must exist.
      - A new disk needs O(file) or O(backend).
    type: str
  backend:
    description:
      - Where the data is if it is not a file, as a protocol driver with its options in QEMU's spelling.
    type: dict
  format:
    description:
      - Format of the image, such as V(raw) or V(qcow2). It is never detected from the content, which the guest can write.
      - The default is V(raw) for a new disk, and the present format for an existing one. If the header of the file shows another
        format, there is a warning.
    type: str
  read_only:
    description:
      - Do not let the guest write. The default is V(false), for a CD V(true).
    type: bool
  cache:
    description:
      - How the host caches the data.
    type: dict
    suboptions:
      direct:
        description: Bypass the page cache of the host (O_DIRECT). QEMU's default is V(false).
        type: bool
      no_flush:
        description: Ignore the flushes of the guest. If the host fails, data is lost. QEMU's default is V(false).
        type: bool
  aio:
    description:
      - How QEMU reads and writes O(file). QEMU's default is V(threads). V(native) needs O(cache.direct=true).
    type: str
    choices: [threads, native, io_uring]
  discard:
    description:
      - What to do with the discards (trim) of the guest. QEMU's default is V(ignore).
    type: str
    choices: [ignore, unmap]
  detect_zeroes:
    description:
      - What to do if the guest writes zeroes. QEMU's default is V(off). V(unmap) needs O(discard=unmap).
    type: str
    choices: ['off', 'on', unmap]
  size:
    description:
      - Size of the disk in bytes, or a number with K, M, G or T, which are powers of 1024. A smaller disk is grown while the
        guest uses it.
      - If it is not set, the disk keeps the size of the image.
    type: str
  limits:
    description:
      - The most that the guest may read and write per second. Omitted suboptions mean unlimited; C({}) removes all limits.
      - Limits are changed in place. If O(limits) is not set, an existing disk keeps its limits, and a new one has none.
    type: dict
    suboptions:
      bps:
        description: Bytes per second for reads and writes together, or a number with K, M, G or T.
        type: str
      bps_rd:
        description: Bytes per second for reads, or a number with K, M, G or T.
        type: str
      bps_wr:
        description: Bytes per second for writes, or a number with K, M, G or T.
        type: str
      iops:
        description: Operations per second for reads and writes together.
        type: int
      iops_rd:
        description: Operations per second for reads.
        type: int
      iops_wr:
        description: Operations per second for writes.
        type: int
      bps_max:
        description: Bytes per second for reads and writes together, in bursts, or a number with K, M, G or T.
        type: str
      bps_rd_max:
        description: Bytes per second for reads, in bursts, or a number with K, M, G or T.
        type: str
      bps_wr_max:
        description: Bytes per second for writes, in bursts, or a number with K, M, G or T.
        type: str
      iops_max:
        description: Operations per second for reads and writes together, in bursts.
        type: int
      iops_rd_max:
        description: Operations per second for reads, in bursts.
        type: int
      iops_wr_max:
        description: Operations per second for writes, in bursts.
        type: int
      bps_max_length:
        description: Seconds that a burst of O(limits.bps_max) may last. QEMU's default is V(1).
        type: int
      bps_rd_max_length:
        description: Seconds that a burst of O(limits.bps_rd_max) may last. QEMU's default is V(1).
        type: int
      bps_wr_max_length:
        description: Seconds that a burst of O(limits.bps_wr_max) may last. QEMU's default is V(1).
        type: int
      iops_max_length:
        description: Seconds that a burst of O(limits.iops_max) may last. QEMU's default is V(1).
        type: int
      iops_rd_max_length:
        description: Seconds that a burst of O(limits.iops_rd_max) may last. QEMU's default is V(1).
        type: int
      iops_wr_max_length:
        description: Seconds that a burst of O(limits.iops_wr_max) may last. QEMU's default is V(1).
        type: int
      iops_size:
        description:
          - Bytes that count as one operation. A larger operation counts as several. By default each operation counts as one.
        type: int
  passphrase:
    description:
      - Passphrase of an encrypted image with O(format=luks), or with O(format=qcow2) and LUKS inside.
      - QEMU gets it in a secret object that is added and removed with the disk. It is never shown, and not compared.
    type: str
  backend_secrets:
    description:
      - Passwords for O(backend), each under the option that the driver has for it, such as C(password-secret) of V(https) and
        V(iscsi), or C(key-secret) of V(rbd). QEMU gets them in the same way as O(passphrase).
    type: dict
  allow_shrink:
    description:
      - Let O(size) cut off the end of the disk. Without this, such a task fails with the error code V(invalid_option).
    type: bool
    default: false
  attach:
    description:
      - V(true) adds the block node and a device, so that the guest sees the disk. V(false) adds the block node alone, for other
        uses in QEMU, and removes the device of an existing disk.
    type: bool
    default: true
  scsi_id:
    description:
      - SCSI target of a V(scsi-hd) or V(scsi-cd). The default for a new device is the first free target.
    type: int
  lun:
    description:
      - Logical unit of O(scsi_id). The default for a new device is V(0).
    type: int
  serial:
    description:
      - Serial number by which the guest identifies the disk. It has 36 bytes at most for V(scsi-hd), else 20.
      - The default for a new device is O(id), if that is short enough.
    type: str
  queues:
    description:
      - Number of request queues of a virtio disk. By default QEMU chooses it, one for each vCPU at launch.
    type: int
  share_rw:
    description:
      - Let other users of the image write at the same time, as a cluster file system needs it. QEMU's default is V(false).
    type: bool
  bootindex:
    description:
      - Position of the disk in the order in which the firmware tries devices at the next reset of the guest, from V(0). By
        default the disk has no position.
    type: int
  iothread:
    description:
      - Id of the I/O thread that serves the disk. By default QEMU's main thread does that.
    type: str
"""

EXAMPLES = r"""
- name: Add a disk
  vmops.qemu.qmp_blockdev:
    socket: /run/vm1/qmp.sock
    id: data1
    file: /srv/vm1/data1.qcow2
    format: qcow2

- name: Grow the disk while the guest uses it
  vmops.qemu.qmp_blockdev:
    socket: /run/vm1/qmp.sock
    id: data1
    size: 20G

- name: Add a block device of the host as a SCSI disk, and bypass the page cache of the host
  vmops.qemu.qmp_blockdev:
    socket: /run/vm1/qmp.sock
    id: lun7
    file: /dev/vg0/vm1-lun7
    driver: scsi-hd
    cache:
      direct: true

- name: Add a disk that an NBD server exports
  vmops.qemu.qmp_blockdev:
    socket: /run/vm1/qmp.sock
    id: vol1
    backend:
      driver: nbd
      server:
        type: unix
        path: /run/nbd.sock
      export: vol1

- name: Limit a disk to 500 operations and 20 MiB of writes per second
  vmops.qemu.qmp_blockdev:
    socket: /run/vm1/qmp.sock
    id: data1
    limits:
      iops: 500
      bps_wr: 20M

- name: Add a disk with an encrypted image
  vmops.qemu.qmp_blockdev:
    socket: /run/vm1/qmp.sock
    id: safe1
    file: /srv/vm1/safe1.luks
    format: luks
    passphrase: "{{ vault_safe1_passphrase }}"

- name: Remove a disk
  vmops.qemu.qmp_blockdev:
    socket: /run/vm1/qmp.sock
    id: data1
    state: absent
"""

RETURN = r"""
# BEGIN GENERATED by nox -s generate: shared results
status:
  description: The value of O(state), or V(unplug_pending) if the guest has not released a device yet.
  returned: always
  type: str
  sample: present
launch_args:
  description: Arguments for QEMU's command line that give the VM the same at its next start.
  returned: success
  type: list
  elements: str
  sample:
    - -blockdev
    - >-
      {"driver": "qcow2", "node-name": "data1", "read-only": false, "file": {"driver": "file", "filename": "/srv/data1.qcow2"}}
    - -device
    - '{"driver": "virtio-blk-pci", "id": "data1", "drive": "data1", "bus": "rp0", "addr": "0", "serial": "data1"}'
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
      arguments: {id: data1}
    - execute: blockdev-del
      arguments: {node-name: data1}
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
disk:
  description:
    - The disk after the run, or as it would be in check mode; null if the VM does not have it. Its members that are options of
      this module can be given to it again, and then change nothing.
  returned: success
  type: dict
  contains:
    id:
      description: Name of the disk.
      type: str
    attach:
      description: Whether it has a device, so that the guest sees it.
      type: bool
    driver:
      description: QEMU's name of the driver.
      returned: if it has a device
      type: str
    bus:
      description: The bus that the device is on.
      returned: if it has a device on a bus
      type: str
    addr:
      description: Its address on the bus, as in O(addr).
      returned: for PCI and channel devices
      type: str
    scsi_id:
      description: Its SCSI target.
      returned: for SCSI devices
      type: int
    lun:
      description: Its logical unit.
      returned: for SCSI devices
      type: int
    serial:
      description: Serial number.
      returned: if it has one
      type: str
    queues:
      description: Number of request queues.
      returned: if it is not the one that QEMU chooses
      type: int
    share_rw:
      description: Whether other users of the image may write at the same time.
      returned: if it is true
      type: bool
    bootindex:
      description: Position in the boot order.
      returned: if it has one
      type: int
    iothread:
      description: Id of the I/O thread that serves the disk.
      returned: if there is one
      type: str
    romfile:
      description: Its option ROM.
      returned: if it is not the default of the driver
      type: str
    disable_modern:
      description: Whether it uses only the legacy protocol of virtio.
      returned: if it is not the default of the driver
      type: bool
    limits:
      description: The limits that are in force, in the units of O(limits); empty if there are none.
      returned: if it has a device
      type: dict
    guest_path:
      description: Path of the disk in a Linux guest with udev; null if no stable path is known.
      returned: if it has a device
      type: str
    at_launch:
      description: Whether the VM was started with the device.
      returned: if it has a device
      type: bool
    node:
      description: Name of the block node that the guest writes to.
      returned: unless the drive is empty
      type: str
    file:
      description: Path of the image or block device that the disk was added with. The guest may write to a snapshot on top of it.
      returned: if the data is in a file or block device of the host
      type: str
    backend:
      description: The protocol driver with its options, as far as QEMU reports them.
      returned: if the data is not in a file or block device of the host
      type: dict
    format:
      description: Format of the image.
      returned: unless the drive is empty
      type: str
    read_only:
      description: Whether the guest cannot write.
      returned: unless the drive is empty
      type: bool
    cache:
      description: How the host caches the data, with the members C(direct) and C(no_flush).
      returned: unless the drive is empty
      type: dict
    detect_zeroes:
      description: What QEMU does if the guest writes zeroes.
      returned: unless the drive is empty
      type: str
    size:
      description: Size in bytes.
      returned: unless the drive is empty
      type: int
    snapshots:
      description: Files of the snapshots on top of the image, the one that the guest writes to first.
      returned: unless the drive is empty
      type: list
      elements: str
  sample:
    id: data1
    attach: true
    driver: virtio-blk-pci
    bus: rp0
    addr: "0"
    serial: data1
    at_launch: false
    guest_path: /dev/disk/by-id/virtio-data1
    limits: {}
    node: data1
    file: /srv/vm1/data1.qcow2
    format: qcow2
    read_only: false
    cache:
      direct: false
      no_flush: false
    detect_zeroes: 'off'
    size: 1073741824
    snapshots: []
"""

from ansible_collections.vmops.qemu.plugins.module_utils._ansible import module
from ansible_collections.vmops.qemu.plugins.module_utils._ansible.options.blockdev import KIND


def main() -> None:
    module.main(KIND)


if __name__ == "__main__":
    main()
