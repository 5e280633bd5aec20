# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Listen on a socket as another user, speak QMP like a QEMU, and print what a client sends.

trap.py PATH UID
"""

from __future__ import annotations

import json
import os
import socket
import sys

VERSION = {"qemu": {"major": 10, "minor": 0, "micro": 0}, "package": ""}
GREETING = json.dumps({"QMP": {"version": VERSION, "capabilities": []}}).encode() + b"\n"


def main() -> None:
    path, user = sys.argv[1], int(sys.argv[2])
    os.setgid(user)
    os.setuid(user)
    trap = socket.socket(socket.AF_UNIX)
    trap.bind(path)
    os.chmod(path, 0o777)
    trap.listen(64)
    print("ready", flush=True)
    while True:
        client, _address = trap.accept()
        with client:
            client.settimeout(5)
            try:
                client.sendall(GREETING)
                print("received", client.recv(4096), flush=True)
            except OSError:
                print("received nothing", flush=True)


if __name__ == "__main__":
    main()
