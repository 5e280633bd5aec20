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
  - Tells which QEMU system emulators run on a host, where their QMP monitors are, and who holds these.
  - Reads C(/proc). It speaks to no VM and changes nothing.
  - Works without privileges for what the user may see. Of another user's VM root is needed to learn the clients of a monitor,
    and the address of a monitor that was given as a descriptor (as libvirt does) or with a relative path.
author:
  - The vmops.qemu authors (@vmops)
attributes:
  check_mode:
    description: Can run in C(check_mode), where it does the same.
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
      - Only the VMs of this name, the one of QEMU's C(-name). By default all.
    type: str
notes:
  - A process is taken for a VM by the name of its program, which is C(qemu-system-*), C(qemu-kvm) or C(kvm). Any user can start a
    program of that name, with any command line. Where you do not trust all users, use only VMs whose RV(vms[].user) you trust,
    and only monitors that are RV(vms[].monitors[].listening).
  - A process cannot make another one look different. What a VM listens on is read from the kernel (C(sock_diag)), and a path is
    returned only if the file there is that socket.
seealso:
  - module: vmops.qemu.qmp_info
  - module: ansible.builtin.add_host
"""

EXAMPLES = r"""
- name: Find the VMs of a hypervisor
  hosts: hypervisor1
  tasks:
    - name: Look for QEMUs
      vmops.qemu.qmp_vms_info:
      register: found

    - name: Make a host of each that has a free monitor
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

- name: Look at each VM
  hosts: vms
  gather_facts: false
  tasks:
    - name: Read what it has
      vmops.qemu.qmp_info:
        socket: "{{ qmp_socket }}"
      delegate_to: "{{ hypervisor }}"
      register: vm
"""

RETURN = r"""
vms:
  description: The VMs, by process id.
  returned: always
  type: list
  elements: dict
  contains:
    pid:
      description: Process id.
      type: int
    name:
      description: Name, the one of C(-name); none where none was given.
      type: str
    uuid:
      description: UUID, the one of C(-uuid); none where none was given.
      type: str
    machine:
      description: Machine type, the one of C(-machine), which may be an alias; none where none was given.
      type: str
    binary:
      description: Path of its program, or the word by which it was called where that may not be seen.
      type: str
    user:
      description: Name of the user it runs as.
      type: str
    monitors:
      description:
        - Its QMP monitors on sockets. Those that nobody can connect to, such as C(stdio), are left out.
      type: list
      elements: dict
      contains:
        type:
          description: V(unix) or V(tcp).
          type: str
        path:
          description:
            - Absolute path of the socket. For a VM in a container it leads through C(/proc/PID/root). An abstract socket's name
              begins with V(@).
          returned: for type V(unix)
          type: str
        listening:
          description:
            - Whether QEMU takes connections there. It does not where it is itself the client of another program's socket.
          returned: for type V(unix)
          type: bool
        held_by:
          description:
            - The processes that are connected, and so keep others waiting; none for a free monitor.
            - Null where that may not be seen. C(pid) and C(command) of a process that may not be seen are null.
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
          description: Host that it listens on, as given; V(localhost) where none was.
          returned: for type V(tcp)
          type: str
        port:
          description: Port that it listens on.
          returned: for type V(tcp)
          type: int
        tls:
          description: Whether it wants TLS.
          returned: for type V(tcp)
          type: bool
    complete:
      description:
        - Whether RV(vms[].monitors) has all monitors. It may not where QEMU was given C(-readconfig), which is not followed,
          a socket whose address may not be seen, options that cannot be read, or where the socket's file is no longer the one
          that it listens on.
      type: bool
    notes:
      description: What could not be determined, or is suspicious, such as a program that is not named like QEMU.
      returned: when there is something to say
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
