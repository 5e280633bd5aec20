# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """The options of every module that uses a monitor (DOCUMENTATION), of every kind of hardware (STATE), and of every device
    that the guest sees (FRONTEND)."""

    DOCUMENTATION = r"""
options:
  socket:
    description:
      - Path of the VM's QMP socket, the one in QEMU's C(-qmp unix:PATH,server=on,wait=off).
      - One of O(socket) and O(host) is required.
    type: path
  host:
    description:
      - Host on which the VM's QMP monitor listens, the one in QEMU's C(-qmp tcp:HOST:PORT,server=on,wait=off).
      - Everybody who can reach that port controls the VM, unless it is protected by O(tls).
    type: str
  port:
    description:
      - TCP port on O(host). Required with O(host).
    type: int
  tls:
    description:
      - Use TLS with O(host). The counterpart is QEMU's C(-object tls-creds-x509) with C(-chardev socket,tls-creds=ID).
      - QEMU's certificate must be signed by O(tls.ca_file) and be issued for O(tls.server_name). The files are on the machine
        on which the task runs.
    type: dict
    suboptions:
      ca_file:
        description: File with the authorities that may have signed QEMU's certificate, in PEM format.
        type: path
        required: true
      cert_file:
        description: File with the client certificate, in PEM format. QEMU asks for it if it has C(verify-peer=yes).
        type: path
      key_file:
        description: File with the key of O(tls.cert_file), in PEM format. Required with O(tls.cert_file).
        type: path
      server_name:
        description: The name in QEMU's certificate. By default O(host).
        type: str
  allow_plaintext:
    description:
      - Allow a O(host) that is not this machine without O(tls). Everybody on the network path can then read and send commands.
    type: bool
    default: false
  connect_timeout:
    description:
      - Seconds to wait for the monitor, because it serves one client at a time.
    type: float
    default: 10.0
  timeout:
    description:
      - Seconds to wait for work that takes time. For devices this is the guest, which has to release each device that is
        unplugged.
      - An ordinary guest releases a device within 1 second, with native PCIe hotplug within 6 to 18 seconds.
      - The time applies to each step that changes the VM, and to each step that undoes one. It also applies to all reading of
        the VM's state together, from the moment at which the monitor is ready. QEMU needs more time to answer for larger VMs.
      - QEMU itself always has 1 second to answer. So a task with V(0) does not wait for the guest, and works.
    type: float
    default: 30.0
"""

    STATE = r"""
options:
  state:
    description:
      - V(present) adds the object to the running VM or changes it, V(absent) removes it.
    type: str
    choices: [present, absent]
    default: present
  on_pending:
    description:
      - What to do if the guest has not released a device within O(timeout).
      - V(fail) fails with the error code V(unplug_pending). V(report) succeeds with V(unplug_pending) in RV(status).
      - In both cases the unplug request remains in force, the guest may still follow it, and what is behind the device is not
        touched.
    type: str
    choices: [fail, report]
    default: fail
"""

    FRONTEND = r"""
options:
  driver:
    description:
      - The device that the guest sees, by QEMU's name. The default for a new device is the virtio device that fits the machine.
      - If it is not set, an existing device may have any driver.
    type: str
  bus:
    description:
      - The bus to plug the device into. The default for a new device is the first bus that accepts devices while the VM runs
        and has a free slot.
    type: str
  addr:
    description:
      - The address on O(bus), in QEMU's hexadecimal notation. For PCI this is slot or slot.function, such as V(0x5). For a
        channel device (s390x) it is cssid.ssid.devno, such as V(fe.0.0001).
      - The default for a new device is the first free address.
    type: str
  romfile:
    description:
      - Option ROM of a PCI device. V("") means no option ROM. By default QEMU chooses the file.
    type: str
  disable_modern:
    description:
      - Restrict a virtio PCI device to the legacy protocol. By default QEMU decides.
    type: bool
  properties:
    description:
      - Any other properties of the device, by QEMU's names. Values are converted to the type that QEMU has for each property.
    type: dict
    default: {}
  reserved:
    description:
      - Slots to leave free, each in the form that a task returns (C(bus), C(addr), C(scsi_id), C(lun)). In check mode, a task
        does not know which slots earlier tasks would occupy. This option passes them on. RV(reserved) returns them with the
        slot of this task.
    type: list
    elements: dict
    default: []
  recreate:
    description:
      - If the object exists with other options than the task sets, and QEMU cannot change them in place, remove it and add it
        again. Without this, such a task fails with the error code V(conflict).
      - Options that the task does not set are carried over. An option that cannot be carried over is an error before anything
        is removed.
    type: bool
    default: false
  force:
    description:
      - Also remove a device that the VM was launched with and depends on, such as the disk that it boots from or its only NIC.
    type: bool
    default: false
"""
