#!/usr/bin/python
# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: qmp_migrate
short_description: Migrate a running QEMU VM to another QEMU
version_added: 0.1.0
description:
  - Sends a running guest to another QEMU, which was started with the same devices and C(-incoming defer) and told by
    O(state=incoming) where to listen; waits for it and tells how it went.
  - A migration that fails leaves the guest where it was. The failure says why, and whether it runs.
author:
  - The vmops.qemu authors (@vmops)
extends_documentation_fragment:
  - vmops.qemu.qmp
  - vmops.qemu.attributes
attributes:
  diff_mode:
    support: full
  idempotent:
    support: full
    details: QEMU does not tell where a migration goes, so one that goes on, or has taken the guest away, is taken for the one
      asked for.
options:
  state:
    description:
      - V(started) sends the guest away. One that goes on is waited for, and one that was completed is not done again.
      - V(incoming) has a VM that was started with C(-incoming defer) listen for the guest. It does not wait for it.
      - V(postcopy) lets the guest run at the other side at once and fetch its memory as it needs it. The capability
        C(postcopy-ram) has to be set on both sides before the migration starts.
      - V(cancelled) stops a migration; the guest runs on here. It cannot be stopped in postcopy.
      - V(status) sends nothing but O(capabilities) and O(parameters), and tells how far it is.
    type: str
    choices: [started, incoming, postcopy, cancelled, status]
    default: started
  uri:
    description:
      - Where the guest goes to, or comes from, as QEMU writes it, such as V(tcp:host2:4444), V(unix:/run/vm1/migrate.sock) or
        V(exec:cat > /srv/vm1.state). C(exec) is run by QEMU, as its user.
    type: str
  channels:
    description:
      - The same as a list of channels, by QEMU's C(MigrationChannel). Since QEMU 8.2.
    type: list
    elements: dict
  capabilities:
    description:
      - Capabilities by QEMU's names, each V(true) or V(false), such as C(auto-converge), C(postcopy-ram), C(multifd), C(xbzrle).
      - Those not named stay as they are. While a migration goes on they cannot be changed.
    type: dict
    default: {}
  parameters:
    description:
      - Parameters by QEMU's names, such as C(max-bandwidth) in bytes in a second (or with K, M, G) and C(downtime-limit) in
        milliseconds.
      - Those not named stay as they are. They can be changed while a migration goes on.
    type: dict
    default: {}
  wait:
    description:
      - Whether to wait, O(timeout) seconds at most, until the migration has ended, or only until it is connected.
      - With the capability C(pause-before-switchover) it waits until the guest stands before the switch; run it again to have it
        switch.
    type: bool
    default: true
  force:
    description:
      - Whether to let a guest that was sent away run here again, and send it once more.
      - Only for when it runs nowhere else. A guest that runs twice destroys its disks.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Have the new QEMU listen
  vmops.qemu.qmp_migrate:
    socket: /run/vm1-new/qmp.sock
    state: incoming
    uri: tcp:0.0.0.0:4444

- name: Send the guest there, at 200 MiB in a second at most
  vmops.qemu.qmp_migrate:
    socket: /run/vm1/qmp.sock
    uri: tcp:host2.example.com:4444
    capabilities:
      auto-converge: true
    parameters:
      max-bandwidth: 200M
      downtime-limit: 500
    timeout: 600

- name: See how far it is
  vmops.qemu.qmp_migrate:
    socket: /run/vm1/qmp.sock
    state: status
  register: migration
  until: migration.migration.status in ["completed", "failed", "cancelled"]
  retries: 60
"""

RETURN = r"""
commands:
  description: What was sent to QEMU to change the VM, or would be in check mode.
  returned: success
  type: list
  elements: dict
  sample:
    - execute: migrate
      arguments: {uri: "tcp:host2.example.com:4444"}
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
migration:
  description:
    - The migration after the run, as C(query-migrate) tells it. Times are in milliseconds, amounts in bytes.
    - In check mode only RV(migration.status) and the settings, as they would be.
  returned: success
  type: dict
  contains:
    status:
      description: V(none), V(setup), V(active), V(completed), V(failed), V(cancelled) and so on, by QEMU's names.
      type: str
    total-time:
      description: How long it has lasted.
      type: int
    downtime:
      description: How long the guest stood still for the switch.
      type: int
    ram:
      description: How much of its memory was C(transferred) and is C(remaining) of the C(total), and more.
      type: dict
    disk:
      description: The same of its disks, where they are migrated too.
      type: dict
    xbzrle-cache:
      description: How well the compression of changes does, where the capability C(xbzrle) is set.
      type: dict
    capabilities:
      description: All capabilities, by name.
      type: dict
    parameters:
      description: All parameters, by name.
      type: dict
  sample:
    status: completed
    total-time: 128
    downtime: 3
    setup-time: 1
    ram: {total: 268967936, remaining: 0, transferred: 799931, duplicate: 65615, normal: 51, dirty-sync-count: 3, page-size: 4096}
    capabilities: {auto-converge: true, xbzrle: false}
    parameters: {max-bandwidth: 209715200, downtime-limit: 500}
vm:
  description: The VM after the run.
  returned: success, but not in check mode
  type: dict
  contains:
    status:
      description: Its status by QEMU's name; V(postmigrate) where the guest has left, V(inmigrate) where it is yet to come.
      type: str
  sample:
    status: postmigrate
"""

from ansible_collections.vmops.qemu.plugins.module_utils._ansible import module
from ansible_collections.vmops.qemu.plugins.module_utils._ansible.options.migrate import OPERATION


def main() -> None:
    module.main(OPERATION)


if __name__ == "__main__":
    main()
