#!/usr/bin/python
# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: qmp_vms_info
short_description: Find the QEMU VMs of a host and their QMP monitors
version_added: 0.1.0
description:
  - Lists the QEMU system emulators that run on a host, the addresses of their QMP monitors, and the clients of these monitors.
  - It reads C(/proc). It connects to no VM and changes nothing.
  - It needs no privileges for the VMs of its own user. For VMs of other users, root is needed to see the clients of a monitor,
    and the address of a monitor that was passed as a descriptor (as libvirt does) or with a relative path.
author:
  - The vmops.qemu authors (@vmops)
attributes:
  check_mode:
    description: Can run in C(check_mode), with the same result.
    support: full
  diff_mode:
    description: Returns what has changed, or would change, when in diff mode.
    support: N/A
  idempotent:
    description: Running it again in the same state changes nothing.
    support: full
options:
  name:
    description:
      - List only the VMs with this name, which is that of QEMU's C(-name). By default all VMs are listed.
    type: str
notes:
  - The module connects to no monitor, so it has no connection options and is not in the action group C(vmops.qemu.qmp). A default
    such as C(socket) that is set for the group would be an unknown option for it.
  - A process is listed as a VM if the name of its program is C(qemu-system-*), C(qemu-kvm) or C(kvm). Any user can start a
    program with such a name and any command line. If you do not trust all users, use only VMs whose RV(vms[].user) you trust,
    and only monitors that are RV(vms[].monitors[].listening).
  - A process cannot change the result for another process. The sockets of a VM are read from the kernel (C(sock_diag)), and a
    path is returned only if the file there is that socket.
seealso:
  - module: vmops.qemu.qmp_info
  - module: ansible.builtin.add_host
"""

EXAMPLES = r"""
- name: Find the VMs of a hypervisor
  hosts: hypervisor1
  tasks:
    - name: Find the QEMU processes
      vmops.qemu.qmp_vms_info:
      register: found

    - name: Add a host for each VM with a free monitor
      ansible.builtin.add_host:
        name: "{{ item.name or 'qemu-' ~ item.pid }}"
        groups: vms
        hypervisor: "{{ inventory_hostname }}"
        qmp_socket: "{{ free[0].path }}"
      loop: "{{ found.vms }}"
      loop_control:
        label: "{{ item.name }}"
      vars:
        sockets: "{{ item.monitors | selectattr('type', 'equalto', 'unix') | selectattr('listening') }}"
        free: "{{ sockets | selectattr('held_by', 'equalto', []) }}"
      when: item.user in ['root', 'libvirt-qemu'] and free | length > 0

- name: Read the hardware of each VM
  hosts: vms
  gather_facts: false
  tasks:
    - name: Read the hardware
      vmops.qemu.qmp_info:
        socket: "{{ qmp_socket }}"
      delegate_to: "{{ hypervisor }}"
      register: vm
"""

RETURN = r"""
vms:
  description: The VMs, sorted by process id.
  returned: always
  type: list
  elements: dict
  contains:
    pid:
      description: Process id.
      type: int
    name:
      description: Name of the VM (C(-name)); null if none was set.
      type: str
    uuid:
      description: UUID of the VM (C(-uuid)); null if none was set.
      type: str
    machine:
      description: Machine type (C(-machine)), which may be an alias; null if none was set.
      type: str
    binary:
      description: Path of its program; if that is not readable, the name by which it was started.
      type: str
    user:
      description: Name of the user it runs as.
      type: str
    monitors:
      description:
        - Its QMP monitors on sockets. Monitors to which no client can connect, such as C(stdio), are omitted.
      type: list
      elements: dict
      contains:
        type:
          description: V(unix) or V(tcp).
          type: str
        path:
          description:
            - Absolute path of the socket. For a VM in a container it leads through C(/proc/PID/root). The name of an abstract
              socket begins with V(@).
          returned: for type V(unix)
          type: str
        listening:
          description:
            - Whether QEMU accepts connections on it. It does not if QEMU itself is the client of another program's socket.
          returned: for type V(unix)
          type: bool
        held_by:
          description:
            - The processes that are connected, so that other clients must wait. Empty for a free monitor.
            - Null if this is not visible. C(pid) and C(command) are null for a process that is not visible.
          returned: for type V(unix)
          type: list
          elements: dict
          contains:
            pid:
              description: Process id.
              type: int
            command:
              description: Its name, at most 15 bytes.
              type: str
        host:
          description: Host that it listens on; V(localhost) if none was set.
          returned: for type V(tcp)
          type: str
        port:
          description: Port that it listens on.
          returned: for type V(tcp)
          type: int
        tls:
          description: Whether it requires TLS.
          returned: for type V(tcp)
          type: bool
    complete:
      description:
        - Whether RV(vms[].monitors) has all monitors. Monitors may be missing if QEMU was started with C(-readconfig), which
          is not read, if the address of a socket is not visible, if options cannot be parsed, or if the file of a socket was
          replaced.
      type: bool
    notes:
      description: Facts that could not be determined, or that are suspicious, such as a program that is not called like QEMU.
      returned: if there are any
      type: list
      elements: str
  sample:
    - pid: 4242
      name: vm1
      uuid: 3f2f8a0e-6f0c-4f8e-9c58-0b1d2a3c4d5e
      machine: q35
      binary: /usr/bin/qemu-system-x86_64
      user: root
      monitors:
        - type: unix
          path: /run/vm1/qmp.sock
          listening: true
          held_by: [{pid: 4711, command: socat}]
        - type: tcp
          host: 127.0.0.1
          port: 4444
          tls: false
      complete: true
"""

from ansible_collections.vmops.qemu.plugins.module_utils._ansible.module import QmpModule
from ansible_collections.vmops.qemu.plugins.module_utils._vm.host.processes import virtual_machines


def main() -> None:
    # no VM is connected to, so there are none of the options and failures that the other modules share
    module = QmpModule(argument_spec={"name": {"type": "str"}}, supports_check_mode=True)
    module.exit_json(changed=False, vms=virtual_machines(name=module.params["name"]))


if __name__ == "__main__":
    main()
