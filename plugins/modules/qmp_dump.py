#!/usr/bin/python
# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: qmp_dump
short_description: Write the memory of a running QEMU guest to a file
version_added: 0.1.0
description:
  - Has QEMU write the guest's memory and registers to a file, for a debugger (C(crash), C(gdb), WinDbg), waits until it is done
    and looks at the file where it is seen from here.
  - QEMU halts the guest while it writes, and then lets it go on.
author:
  - The vmops.qemu authors (@vmops)
extends_documentation_fragment:
  - vmops.qemu.qmp
  - vmops.qemu.attributes
attributes:
  diff_mode:
    support: full
  idempotent:
    support: none
    details: A dump is an act, done each time; a file that is there is not overwritten unless O(force=true).
options:
  path:
    description:
      - The whole path of the file. QEMU opens it, as its own user, and gives that user alone the right to read it.
      - One of O(path) and O(protocol) is required.
    type: str
  protocol:
    description:
      - Where to write in QEMU's own notation, V(file:PATH) or V(fd:NAME).
    type: str
  paging:
    description:
      - Whether to have the guest's page tables followed, so that C(gdb) can use virtual addresses. Only for the format V(elf),
        and only where the guest can be trusted; it may make QEMU need much memory.
    type: bool
    default: false
  format:
    description:
      - V(elf), or what else this VM has, such as V(kdump-zlib), V(kdump-lzo), V(kdump-snappy), V(win-dmp).
      - By default V(elf).
    type: str
  begin:
    description:
      - First address to write, of the guest's physical memory, in bytes (decimal, C(0x) and hexadecimal, or with K, M, G). Only
        for the format V(elf).
    type: str
  length:
    description:
      - How much to write from O(begin) on, 1 byte or more.
    type: str
  force:
    description:
      - Whether to overwrite a file that is there.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Dump a guest that hangs
  vmops.qemu.qmp_dump:
    socket: /run/vm1/qmp.sock
    path: /var/crash/vm1.elf
    timeout: 600

- name: Dump it compressed
  vmops.qemu.qmp_dump:
    socket: /run/vm1/qmp.sock
    path: /var/crash/vm1.kdump
    format: kdump-zlib
    timeout: 600
"""

RETURN = r"""
commands:
  description: What was sent to QEMU, or would be in check mode.
  returned: success
  type: list
  elements: dict
  sample:
    - execute: dump-guest-memory
      arguments: {protocol: "file:/var/crash/vm1.elf", paging: false, detach: true}
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
dump:
  description: The dump that was written, or would be in check mode.
  returned: success
  type: dict
  contains:
    status:
      description: V(completed).
      type: str
    completed:
      description: How much of the memory was written, in bytes.
      type: int
    total:
      description: How much there was to write, in bytes.
      type: int
    format:
      description: Its format.
      type: str
    file:
      description: Its path; null where QEMU has written to a descriptor.
      type: str
    size:
      description: Size of the file in bytes; null where it is not seen from here.
      type: int
  sample:
    status: completed
    completed: 268697600
    total: 268697600
    format: elf
    file: /var/crash/vm1.elf
    size: 268698988
vm:
  description: The VM after the run.
  returned: success, but not in check mode
  type: dict
  contains:
    status:
      description: Its status by QEMU's name.
      type: str
  sample:
    status: running
"""

from ansible_collections.vmops.qemu.plugins.module_utils._ansible import module
from ansible_collections.vmops.qemu.plugins.module_utils._ansible.options.dump import OPERATION


def main() -> None:
    module.main(OPERATION)


if __name__ == "__main__":
    main()
