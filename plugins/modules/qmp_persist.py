#!/usr/bin/python
# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: qmp_persist
short_description: Plug the hardware of a QEMU VM again after each of its starts
version_added: 1.0.0
description:
  - Hotplugged hardware is gone when the QEMU process ends. This module writes the desired hardware of a VM to a file on its host,
    and has systemd plug it again after each start of the VM, without Ansible.
  - It connects to no VM, and changes none. Plug the hardware with M(vmops.qemu.qmp_hotplug) or the role
    P(vmops.qemu.hotplug#role). With C(hotplug_persist) the role does both.
  - It also writes a program to O(program), a unit template C(vmops-qemu-hotplug@.service) to O(unit_directory), and a link there,
    the one that C(systemctl enable) makes. The program needs Python and its standard library only.
  - It does not start the unit. If systemd is running and a unit was changed, it has systemd read its units again.
author:
  - The vmops.qemu authors (@vmops)
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying the target.
    support: full
  diff_mode:
    description: Returns what has changed, or would change, when in diff mode.
    support: full
    details: The content of the program is not shown.
  idempotent:
    description: Running it again in the same state changes nothing.
    support: full
options:
  path:
    description:
      - The file. Its name is that of the VM's systemd unit, with C(.json) instead of C(.service), such as
        C(/etc/vmops-qemu/vm1.json) for C(vm1.service). All files of a host have to be in one directory.
      - It is replaced at once. The owner and the mode of a present file are kept. A new one has the mode 0644.
      - If other users can write to it, the program does not use it.
    type: path
    required: true
  hardware:
    description:
      - The options of M(vmops.qemu.qmp_hotplug), those of its connection among them.
      - Secrets are not written to a file, so options that hold one are refused. An object of type C(secret) can have
        C(properties.file) instead.
      - Required if O(state=present).
    type: dict
  state:
    description:
      - With V(absent), the file and the link are removed. The program and the unit template remain, because other VMs may need
        them.
    type: str
    choices: [present, absent]
    default: present
  program:
    description: Where the program is written to.
    type: path
    default: /usr/local/lib/vmops-qemu/hotplug.pyz
  unit_directory:
    description: Where the unit template is written to.
    type: path
    default: /etc/systemd/system
notes:
  - The program waits up to a minute for the monitor of the VM. If it fails, systemd starts it again every 10 seconds as long as
    the unit of the VM is active. An error in the file ends that.
  - The hardware is plugged while the guest boots. What the guest must have to boot belongs on QEMU's command line.
seealso:
  - module: vmops.qemu.qmp_hotplug
  - module: vmops.qemu.qmp_info
    description: O(vmops.qemu.qmp_info#module:gather_subset=plugged) returns launch arguments for what was plugged.
"""

EXAMPLES = r"""
- name: Plug a disk and a NIC, now and after each start of the VM
  hosts: hypervisor
  become: true
  vars:
    vm1:
      socket: /run/vm1/qmp.sock
      blockdevs:
        - id: data1
          file: /srv/vm1/data1.qcow2
          format: qcow2
      netdevs:
        - id: net1
          type: tap
          ifname: vm1-net1
  tasks:
    - name: Plug them now
      vmops.qemu.qmp_hotplug: "{{ vm1 }}"

    - name: Plug them again after each start of vm1.service
      vmops.qemu.qmp_persist:
        path: /etc/vmops-qemu/vm1.json
        hardware: "{{ vm1 }}"
"""

RETURN = r"""
path:
  description: The file.
  returned: success
  type: str
  sample: /etc/vmops-qemu/vm1.json
unit:
  description: The systemd unit that plugs the hardware after each start of the VM.
  returned: success
  type: str
  sample: vmops-qemu-hotplug@vm1.service
diff:
  description: The files before and after the change, in C(before) and C(after), without those that did not change.
  returned: success
  type: dict
  sample: {before: {}, after: {}}
error_code:
  description: V(invalid_option), or V(command_failed) if a file cannot be written.
  returned: failure
  type: str
  sample: invalid_option
details:
  description: More about the failure.
  returned: failure
  type: dict
  sample: {}
"""

from ansible_collections.vmops.qemu.plugins.module_utils._ansible.persist import keep


def main() -> None:
    keep.main()


if __name__ == "__main__":
    main()
