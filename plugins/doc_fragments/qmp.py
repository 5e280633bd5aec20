# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """What every module that speaks QMP takes, and what those have in common that plug devices."""

    DOCUMENTATION = r"""
options:
  socket:
    description:
      - Path of the VM's QMP socket, the one of QEMU's C(-qmp unix:PATH,server=on,wait=off).
      - One of O(socket) and O(host) is required.
    type: path
  host:
    description:
      - Host on which the VM's QMP monitor listens, the one of QEMU's C(-qmp tcp:HOST:PORT,server=on,wait=off).
      - Whoever reaches that port rules the VM, unless it is behind O(tls).
    type: str
  port:
    description:
      - TCP port of O(host).
    type: int
  tls:
    description:
      - How to speak TLS to O(host), the counterpart of QEMU's C(-object tls-creds-x509) with C(-chardev socket,tls-creds=ID).
      - QEMU's certificate must be signed by O(tls.ca_file) and be for O(tls.server_name). The files are on the machine that the
        task runs on.
    type: dict
    suboptions:
      ca_file:
        description: The authorities that may have signed QEMU's certificate, as PEM.
        type: path
        required: true
      cert_file:
        description: The client certificate, as PEM, which QEMU asks for where it has C(verify-peer=yes).
        type: path
      key_file:
        description: The key of O(tls.cert_file), as PEM.
        type: path
      server_name:
        description: The name that QEMU's certificate is for. By default O(host).
        type: str
  allow_plaintext:
    description:
      - Whether to speak to a O(host) that is not this very machine without O(tls). Whoever is in between can then read along and
        rule the VM.
    type: bool
    default: false
  connect_timeout:
    description:
      - Seconds to wait for the monitor, which serves one client at a time.
    type: float
    default: 10.0
  timeout:
    description:
      - Seconds to wait for what takes time. With devices that is the guest, which has to let go of each of them.
      - An ordinary guest lets go within 1 second, with native PCIe hotplug within 6 to 18.
      - Each step that changes the VM has so many seconds, and so has each that undoes one. All reading of the VM's state
        together has so many seconds, counted from when the monitor is ready; what QEMU takes to answer depends on the size of
        the VM, some 10 seconds for 1000 disks.
      - QEMU itself has at least 1 second to answer, so with V(0) a task does not wait for the guest, and works.
    type: float
    default: 30.0
"""

    STATE = r"""
options:
  state:
    description:
      - V(present) has it in the running VM, V(absent) removes it.
    type: str
    choices: [present, absent]
    default: present
  on_pending:
    description:
      - What to do when the guest has not let go of a device within O(timeout).
      - V(fail) fails with V(unplug_pending). V(report) succeeds with a RV(status) of V(unplug_pending).
      - Either way the request stands, the guest may still follow it, and what backs the device is left alone.
    type: str
    choices: [fail, report]
    default: fail
"""

    FRONT = r"""
options:
  driver:
    description:
      - The device that the guest sees, by QEMU's name. By default the virtio device that fits the machine.
      - Not compared with what is there when not given.
    type: str
  bus:
    description:
      - The bus to plug it into. By default the first that has a free place and takes devices while the VM runs.
    type: str
  addr:
    description:
      - The address on O(bus) in QEMU's notation, which is hexadecimal. For PCI slot or slot.function, such as V(0x5), for a
        channel device (s390x) cssid.ssid.devno, such as V(fe.0.0001).
      - By default the first that is free.
    type: str
  romfile:
    description:
      - Option ROM of a PCI device; V("") is none.
    type: str
  disable_modern:
    description:
      - Whether a virtio PCI device speaks only the legacy protocol.
    type: bool
  properties:
    description:
      - Any other properties of the device, by QEMU's names. Values are brought to the type that QEMU has for each.
    type: dict
    default: {}
  reserved:
    description:
      - Slots to leave free, each as the result of another task has it (C(bus), C(addr), C(scsi_id), C(lun)). A task in check mode
        does not know what the tasks before it would have plugged; with this option it does.
    type: list
    elements: dict
    default: []
  recreate:
    description:
      - Whether to remove and plug anew what is there with other properties than those asked for, instead of failing with
        V(conflict).
      - What the task does not set is carried over from what is there; what cannot be is refused.
    type: bool
    default: false
  force:
    description:
      - Whether to take away even what the VM was launched with and needs, which is the disk it booted from and its only
        NIC.
    type: bool
    default: false
"""
