# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""As another user, connect to a monitor and print the error.

connect.py PATH UID
"""

from __future__ import annotations

import os
import sys

from ansible_collections.vmops.qemu.plugins.module_utils.qmp import ConnectError, Monitor, UnixAddress


def main() -> None:
    path, user = sys.argv[1], int(sys.argv[2])
    os.setuid(user)
    try:
        Monitor.connect(UnixAddress(path), 1)
    except ConnectError as error:
        print(error)


if __name__ == "__main__":
    main()
