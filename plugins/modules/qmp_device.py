#!/usr/bin/python
# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: qmp_device
short_description: Add and remove any device of a running QEMU VM
version_added: 0.1.0
description:
  - Plugs a device by its driver and properties (C(device_add)) and unplugs it again (C(device_del)), waiting for the guest to
    let go.
  - Properties are checked against those that this QEMU has for the driver and brought to their types, before anything is sent.
  - For disks, NICs, vCPUs, memory and serial ports there are modules of their own, which also take care of what is behind them.
  - Passthrough (vfio) and vhost-vsock are held to the form of their commands and to QEMU's own refusals by the tests of this
    collection, for these devices were not there to be tested.
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
    description: Name of the device in the VM.
    type: str
    required: true
  chardev:
    description: Id of the character device of a vhost-user device, which M(vmops.qemu.qmp_chardev) adds.
    type: str
  guest_cid:
    description:
      - Address of the guest on a C(vhost-vsock-pci) or C(vhost-vsock-ccw), V(3) or more, that no other VM of the host has.
    type: int
  descriptors:
    description:
      - Whether this host opens C(/dev/vhost-vsock) and passes it to QEMU, which then needs no right to. By default wherever the
        monitor is a unix socket.
    type: bool
"""

EXAMPLES = r"""
- name: Pass a PCI device of the host through
  vmops.qemu.qmp_device:
    socket: /run/vm1/qmp.sock
    id: gpu0
    driver: vfio-pci
    properties:
      host: "0000:3b:00.0"

- name: A mediated device
  vmops.qemu.qmp_device:
    socket: /run/vm1/qmp.sock
    id: vgpu0
    driver: vfio-pci
    properties:
      sysfsdev: /sys/bus/mdev/devices/83b8f4f2-509f-382f-3c1e-e6bfe0fa1001

- name: A subchannel, and the crypto adapters, of an s390x host
  vmops.qemu.qmp_device:
    socket: /run/vm1/qmp.sock
    id: "{{ item.id }}"
    driver: "{{ item.driver }}"
    properties:
      sysfsdev: "{{ item.sysfsdev }}"
  loop:
    - {id: dasd0, driver: vfio-ccw, sysfsdev: /sys/bus/mdev/devices/7e270a25-e163-4922-af60-757fc8ed48c6}
    - {id: ap0, driver: vfio-ap, sysfsdev: /sys/devices/vfio_ap/matrix/669d9b23-fe1b-4ecb-be08-a2fabca99b71}

- name: A disk that another process serves (vhost-user)
  vmops.qemu.qmp_device:
    socket: /run/vm1/qmp.sock
    id: vub0
    driver: vhost-user-blk-pci
    chardev: vub0-socket

- name: A socket between host and guest
  vmops.qemu.qmp_device:
    socket: /run/vm1/qmp.sock
    id: vsock0
    driver: vhost-vsock-pci
    guest_cid: 42

- name: Random numbers for the guest
  vmops.qemu.qmp_device:
    socket: /run/vm1/qmp.sock
    id: rng0
    driver: virtio-rng-pci

- name: A SCSI controller
  vmops.qemu.qmp_device:
    socket: /run/vm1/qmp.sock
    id: scsi1
    driver: virtio-scsi-pci

- name: A USB device of the host
  vmops.qemu.qmp_device:
    socket: /run/vm1/qmp.sock
    id: stick0
    driver: usb-host
    properties:
      vendorid: 0x0951
      productid: 0x1666
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
      arguments: {id: rng0}
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
device:
  description:
    - The device after the run, or as it would be in check mode; null if the VM does not have it. Its members that are options of
      this module can be given to it again, and then change nothing.
  returned: success
  type: dict
  contains:
    id:
      description: Name of the device.
      type: str
    driver:
      description: QEMU's name of the driver.
      type: str
    bus:
      description: The bus that the device is on.
      returned: if it is on a bus
      type: str
    addr:
      description: Its address on the bus, as in O(addr).
      returned: for PCI and channel devices
      type: str
    chardev:
      description: Id of its character device.
      returned: if it has one
      type: str
    guest_cid:
      description: Address of the guest.
      returned: for vhost-vsock devices
      type: int
    romfile:
      description: Its option ROM.
      returned: if it is not the default of the driver
      type: str
    disable_modern:
      description: Whether it uses only the legacy protocol of virtio.
      returned: if it is not the default of the driver
      type: bool
    at_launch:
      description: Whether the VM was started with it.
      type: bool
  sample:
    id: rng0
    driver: virtio-rng-pci
    bus: rp2
    addr: "0"
    at_launch: false
"""

from ansible_collections.vmops.qemu.plugins.module_utils._ansible import module
from ansible_collections.vmops.qemu.plugins.module_utils._ansible.options.device import KIND


def main() -> None:
    module.main(KIND)


if __name__ == "__main__":
    main()
