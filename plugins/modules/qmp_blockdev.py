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
  - Plugs a disk into a running VM (C(blockdev-add), C(device_add)), grows it in place, and unplugs it again
    (C(device_del), C(blockdev-del)), waiting for the guest to let go.
  - Nothing of it outlives the VM's QEMU process. RV(launch_args) is what gives the VM the same disk at its next start.
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
      - Name of the disk in the VM, for its device and its block node both. A letter, then letters, digits, V(.), V(_)
        and V(-), 31 characters at most.
    type: str
    required: true
  file:
    description:
      - Path of the image or of the host's block device, as QEMU sees it. It must exist.
      - A new disk needs O(file) or O(backend).
    type: str
  backend:
    description:
      - >-
        Where the data is when it is not a file, as a protocol driver with its options in QEMU's spelling, such as
        C({driver: nbd, server: {type: unix, path: /run/nbd}, export: vol1}).
    type: dict
  format:
    description:
      - Format of the image. It is never guessed from the content, which the guest can write.
      - When it is not set, a new disk is V(raw), and a disk that exists keeps the format that it has. A warning is given if the
        header of the file shows another format.
    type: str
  read_only:
    description:
      - Whether the guest may only read. By default V(false), but V(true) for a CD.
    type: bool
  cache:
    description:
      - How the host caches.
    type: dict
    suboptions:
      direct:
        description: Whether to bypass the host's page cache (O_DIRECT).
        type: bool
      no_flush:
        description: Whether to ignore the guest's flushes. Data is lost when the host fails.
        type: bool
  aio:
    description:
      - How QEMU reads and writes O(file). V(native) needs O(cache.direct=true).
    type: str
    choices: [threads, native, io_uring]
  discard:
    description:
      - What to do with the guest's discards (trim).
    type: str
    choices: [ignore, unmap]
  detect_zeroes:
    description:
      - What to do with writes of zeroes.
    type: str
    choices: ['off', 'on', unmap]
  size:
    description:
      - Size of the disk in bytes, or with K, M, G or T. A smaller disk is grown, while the guest uses it.
    type: str
  limits:
    description:
      - The most that the guest may read and write in a second. Those that are not given are no limits; C({}) lifts all.
      - Changed in place. Left as it is when not given at all.
    type: dict
    suboptions:
      bps:
        description: Bytes a second, read and written together; a number or with K, M, G.
        type: str
      bps_rd:
        description: Bytes a second read; a number or with K, M, G.
        type: str
      bps_wr:
        description: Bytes a second written; a number or with K, M, G.
        type: str
      iops:
        description: Operations a second, reads and writes together.
        type: int
      iops_rd:
        description: Reads a second.
        type: int
      iops_wr:
        description: Writes a second.
        type: int
      bps_max:
        description: Bytes a second, read and written together, in bursts; a number or with K, M, G.
        type: str
      bps_rd_max:
        description: Bytes a second read, in bursts; a number or with K, M, G.
        type: str
      bps_wr_max:
        description: Bytes a second written, in bursts; a number or with K, M, G.
        type: str
      iops_max:
        description: Operations a second, reads and writes together, in bursts.
        type: int
      iops_rd_max:
        description: Reads a second, in bursts.
        type: int
      iops_wr_max:
        description: Writes a second, in bursts.
        type: int
      bps_max_length:
        description: Seconds that a burst of O(limits.bps_max) may last.
        type: int
      bps_rd_max_length:
        description: Seconds that a burst of O(limits.bps_rd_max) may last.
        type: int
      bps_wr_max_length:
        description: Seconds that a burst of O(limits.bps_wr_max) may last.
        type: int
      iops_max_length:
        description: Seconds that a burst of O(limits.iops_max) may last.
        type: int
      iops_rd_max_length:
        description: Seconds that a burst of O(limits.iops_rd_max) may last.
        type: int
      iops_wr_max_length:
        description: Seconds that a burst of O(limits.iops_wr_max) may last.
        type: int
      iops_size:
        description: Bytes that count as one operation; a larger one counts as several.
        type: int
  passphrase:
    description:
      - Passphrase of an encrypted image, for O(format=luks), or O(format=qcow2) with LUKS inside.
      - QEMU gets it in a secret object that comes and goes with the disk. It is shown nowhere and not compared.
    type: str
  backend_secrets:
    description:
      - Passwords for O(backend), each under the driver's option for it, such as C(password-secret) of V(https) and V(iscsi) or
        C(key-secret) of V(rbd). They are carried as O(passphrase) is.
    type: dict
  allow_shrink:
    description:
      - Whether O(size) may cut off the end of the disk.
    type: bool
    default: false
  attach:
    description:
      - V(false) adds the block node without a device, for other uses in QEMU, and unplugs a device that it has.
    type: bool
    default: true
  scsi_id:
    description:
      - SCSI target of a V(scsi-hd) or V(scsi-cd). By default the first that is free.
    type: int
  lun:
    description:
      - Logical unit of O(scsi_id). By default V(0).
    type: int
  serial:
    description:
      - Serial number that the guest sees and names the disk by, 20 bytes at most for virtio and NVMe.
      - By default O(id), where it fits.
    type: str
  queues:
    description:
      - Number of request queues of a virtio disk.
    type: int
  share_rw:
    description:
      - Whether other users of the image may write at the same time, as with a cluster file system.
    type: bool
  bootindex:
    description:
      - Place in the order in which the firmware tries devices at the guest's next reset.
    type: int
  iothread:
    description:
      - Id of the I/O thread that serves the disk.
    type: str
"""

EXAMPLES = r"""
- name: Plug a disk
  vmops.qemu.qmp_blockdev:
    socket: /run/vm1/qmp.sock
    id: data1
    file: /srv/vm1/data1.qcow2
    format: qcow2

- name: Grow it while the guest uses it
  vmops.qemu.qmp_blockdev:
    socket: /run/vm1/qmp.sock
    id: data1
    file: /srv/vm1/data1.qcow2
    format: qcow2
    size: 20G

- name: Plug a host's block device as a SCSI disk, past the page cache
  vmops.qemu.qmp_blockdev:
    socket: /run/vm1/qmp.sock
    id: lun7
    file: /dev/vg0/vm1-lun7
    driver: scsi-hd
    cache:
      direct: true

- name: Let it do 500 operations a second, and write no more than 20 MiB
  vmops.qemu.qmp_blockdev:
    socket: /run/vm1/qmp.sock
    id: data1
    limits:
      iops: 500
      bps_wr: 20M

- name: Plug an encrypted image
  vmops.qemu.qmp_blockdev:
    socket: /run/vm1/qmp.sock
    id: safe1
    file: /srv/vm1/safe1.luks
    format: luks
    passphrase: "{{ vault_safe1_passphrase }}"

- name: Unplug it
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
# END GENERATED
disk:
  description: The disk as it is after the run, or would be in check mode; null when there is none.
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
    serial:
      description: Its serial number.
      type: str
    guest_path:
      description: Where a Linux guest with udev finds it; null where it has no stable name.
      type: str
    at_launch:
      description: Whether the VM was started with it.
      type: bool
    node:
      description: Its block node.
      type: str
    file:
      description: The image.
      type: str
    format:
      description: Format of the image.
      type: str
    read_only:
      description: Whether the guest may only read.
      type: bool
    size:
      description: Size in bytes.
      type: int
    limits:
      description: The limits that are in force.
      type: dict
  sample:
    id: data1
    attached: true
    driver: virtio-blk-pci
    bus: rp0
    addr: "0"
    serial: data1
    guest_path: /dev/disk/by-id/virtio-data1
    at_launch: false
    node: data1
    file: /srv/vm1/data1.qcow2
    format: qcow2
    read_only: false
    size: 1073741824
    limits: {}
"""

from ansible_collections.vmops.qemu.plugins.module_utils._ansible import module
from ansible_collections.vmops.qemu.plugins.module_utils._ansible.options.blockdev import KIND


def main() -> None:
    module.main(KIND)


if __name__ == "__main__":
    main()
