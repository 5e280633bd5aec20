# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""As another user, exchange two files again and again.

swap.py FILE OTHER-FILE PATH-FOR-THE-EXCHANGE UID
"""

from __future__ import annotations

import os
import sys


def main() -> None:
    one, other, aside = sys.argv[1:4]
    user = int(sys.argv[4])
    os.setgid(user)
    os.setuid(user)
    print("ready", flush=True)
    while True:
        os.rename(one, aside)
        os.rename(other, one)
        os.rename(one, other)
        os.rename(aside, one)


if __name__ == "__main__":
    main()
