# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values that many tests use."""

from __future__ import annotations

import os

MiB = 1 << 20
NULL = {"driver": "null-co", "size": MiB}
"""The backend of a disk without a file."""
SECRET = "correct-horse-battery-staple"
NOBODY = 65534
"""The uid and gid of the user nobody."""
ALL = os.environ.get("TORTURE") == "all"
"""Whether the run takes every case. Without ``TORTURE=all`` it takes a sample where cases are many."""
