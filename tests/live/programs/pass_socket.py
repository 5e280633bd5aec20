# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a command with a listening socket as descriptor 9, as libvirt starts QEMU.

pass_socket.py PATH COMMAND [ARGUMENT ...]
"""

from __future__ import annotations

import os
import socket
import sys


def main() -> None:
    path, *command = sys.argv[1:]
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    os.dup2(listener.fileno(), 9)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
