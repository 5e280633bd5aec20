# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""As another user, listen on an abstract socket of any name until standard input ends.

listen.py NAME UID
"""

from __future__ import annotations

import os
import socket
import sys


def main() -> None:
    name, user = sys.argv[1], int(sys.argv[2])
    os.setgid(user)
    os.setuid(user)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("\0" + name)
    listener.listen()
    print("ready", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
