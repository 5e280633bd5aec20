# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client that sends one command to the monitor at the path given and reads its reply behind many events."""

from __future__ import annotations

import json
import sys

from ansible_collections.vmops.qemu.plugins.module_utils.qmp import Monitor, UnixAddress


def main() -> None:
    """Print the reply, the number of events that came, the number of those that are kept, and the sequence number of the last."""
    monitor = Monitor.connect(UnixAddress(sys.argv[1]))
    since = monitor.mark()
    reply = monitor.execute("query-status", timeout=250)
    kept = monitor.events(since)
    print(json.dumps([reply, monitor.mark() - since, len(kept), kept[-1].seq]))


if __name__ == "__main__":
    main()
