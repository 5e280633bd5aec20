# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wait for something that happens a moment later."""

from __future__ import annotations

import time
from typing import Callable

POLL_SECONDS = 0.05


def until(holds: Callable[[], bool], seconds: float = 30) -> None:
    """Return when *holds* returns true. Fails the test if it does not within these seconds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(POLL_SECONDS)
