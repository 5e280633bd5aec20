#!/usr/bin/python
# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: qmp_media
short_description: Insert, change and eject the medium of a CD drive of a running QEMU VM
version_added: 0.1.0
description:
  - Puts an image into a CD drive, changes it for another, or takes it out.
  - A tray that the guest has locked is not forced open. The guest is asked to let go and waited for.
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
    description: Id of the drive, a V(scsi-cd) for instance.
    type: str
    required: true
  file:
    description: Path of the image, as QEMU sees it. Needed for O(state=present).
    type: str
  format:
    description:
      - Format of the image.
      - When it is not set, a new medium is V(raw). A warning is given if the header of the file shows another format.
    type: str
  force:
    description: Whether to open the tray even if the guest has locked it.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Put in the installation disc
  vmops.qemu.qmp_media:
    socket: /run/vm1/qmp.sock
    id: cd0
    file: /srv/iso/debian.iso

- name: Take it out
  vmops.qemu.qmp_media:
    socket: /run/vm1/qmp.sock
    id: cd0
    state: absent
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
    - execute: blockdev-open-tray
      arguments: {id: cd0}
    - execute: blockdev-remove-medium
      arguments: {id: cd0}
launch_args:
  description: Arguments for QEMU's command line that give the VM the drive with this medium at its next start.
  returned: success
  type: list
  elements: str
  sample:
    - -blockdev
    - '{"driver": "raw", "node-name": "cd0-medium0", "read-only": true, "file": {"driver": "file", "filename": "/srv/d.iso"}}'
    - -device
    - '{"driver": "scsi-cd", "id": "cd0", "bus": "scsi0.0", "scsi-id": 0, "lun": 0, "drive": "cd0-medium0"}'
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
medium:
  description: What is in the drive after the run, or would be in check mode.
  returned: success
  type: dict
  contains:
    id:
      description: The drive.
      type: str
    file:
      description: The image, null for none.
      type: str
    format:
      description: Its format.
      type: str
    tray_open:
      description: Whether the tray is open.
      type: bool
    locked:
      description: Whether the guest has locked it.
      type: bool
  sample:
    id: cd0
    file: /srv/iso/debian.iso
    format: raw
    tray_open: false
    locked: false
"""

from ansible_collections.vmops.qemu.plugins.module_utils._ansible import module
from ansible_collections.vmops.qemu.plugins.module_utils._ansible.options.media import KIND


def main() -> None:
    module.main(KIND)


if __name__ == "__main__":
    main()
