#!/usr/bin/python
# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: qmp_block_job
short_description: Snapshot, mirror, back up, commit and stream disks of a running QEMU VM
version_added: 0.1.0
description:
  - Starts a block job, waits for it, completes it, and tells how it ended; or cancels it. The guest goes on meanwhile.
  - What QEMU takes on it finishes even if the run is interrupted. Running the task again goes on waiting.
author:
  - The vmops.qemu authors (@vmops)
extends_documentation_fragment:
  - vmops.qemu.qmp
  - vmops.qemu.attributes
attributes:
  diff_mode:
    support: full
  idempotent:
    support: partial
    details: A backup is made each time.
options:
  id:
    description:
      - Name of the job. For O(type=snapshot) the name of the new block node, 31 characters at most.
    type: str
    required: true
  type:
    description:
      - V(snapshot) puts a new image on top of the disk, which takes all writes from then on. This is done at once.
      - V(mirror) copies the disk to O(target) and, when completed, has the VM use that one.
      - V(backup) copies the disk as it is at the start to O(target).
      - V(commit) writes what is on top of O(base) down into it, and drops it.
      - V(stream) copies what is below the top into it, down to O(base), and drops it.
      - Not needed for a job that is there.
    type: str
    choices: [snapshot, mirror, backup, commit, stream]
  state:
    description:
      - V(completed) waits until the job has ended, O(timeout) seconds at most, completing it when it is ready.
      - V(ready) waits until a V(mirror), or a V(commit) from the top, is in step, and leaves it so.
      - V(started) does not wait. V(cancelled) stops the job.
    type: str
    choices: [completed, ready, started, cancelled]
    default: completed
  disk:
    description: Id of the disk, or name of its block node.
    type: str
  target:
    description: Block node to copy to. M(vmops.qemu.qmp_blockdev) with C(attach=false) adds one.
    type: str
  file:
    description:
      - Path of the new image of a V(snapshot), which QEMU makes. A file that is there is not overwritten; with
        C(mode=existing) in O(options) it is taken as the overlay.
    type: str
  format:
    description: Format of the new image of a V(snapshot).
    type: str
    default: qcow2
  sync:
    description: How much to copy, for V(mirror) and V(backup).
    type: str
    choices: [full, top, none, incremental, bitmap]
    default: full
  base:
    description:
      - Block node to end at, for V(commit) and V(stream). By default V(commit) ends at the disk's own node, so that a template
        below it stays as it is, or at the lowest where none has the disk's name; and V(stream) takes all.
    type: str
  speed:
    description: The most that it may copy in a second, in bytes or with K, M, G. V(0) is no limit.
    type: str
  options:
    description: Any other arguments of the job's command, in QEMU's spelling.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Take a snapshot
  vmops.qemu.qmp_block_job:
    socket: /run/vm1/qmp.sock
    id: before-upgrade
    type: snapshot
    disk: data1
    file: /srv/vm1/data1-upgrade.qcow2

- name: Write it back down, and be rid of it
  vmops.qemu.qmp_block_job:
    socket: /run/vm1/qmp.sock
    id: commit1
    type: commit
    disk: data1
    timeout: 600

- name: Have a new place for a disk
  vmops.qemu.qmp_blockdev:
    socket: /run/vm1/qmp.sock
    id: data1-new
    file: /mnt/fast/data1.raw
    attach: false

- name: Move the disk there
  vmops.qemu.qmp_block_job:
    socket: /run/vm1/qmp.sock
    id: move1
    type: mirror
    disk: data1
    target: data1-new
    speed: 200M
    timeout: 3600
"""

RETURN = r"""
commands:
  description: What was sent to QEMU to change the VM, or would be in check mode.
  returned: success
  type: list
  elements: dict
  sample:
    - execute: block-commit
      arguments: {job-id: commit1, device: before-upgrade, auto-dismiss: false}
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
job:
  description: The job as it is after the run, or would be in check mode; null when it has ended and is gone.
  returned: success
  type: dict
  contains:
    id:
      description: Its name.
      type: str
    type:
      description: What it does.
      type: str
    status:
      description: Its status by QEMU's name.
      type: str
    progress:
      description: How far it is, C(current) of C(total) bytes.
      type: dict
  sample:
    id: move1
    type: mirror
    status: ready
    progress: {current: 1073741824, total: 1073741824}
progress:
  description: How far the job was when this run last looked, C(current) of C(total) bytes.
  returned: when it waited
  type: dict
  sample: {current: 1073741824, total: 1073741824}
"""

from ansible_collections.vmops.qemu.plugins.module_utils._ansible import module
from ansible_collections.vmops.qemu.plugins.module_utils._ansible.options.block_job import OPERATION


def main() -> None:
    module.main(OPERATION)


if __name__ == "__main__":
    main()
