# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What to do about errors of QEMU whose texts do not say it (the texts of QEMU 7.2 to 10.0)."""

from __future__ import annotations

_HINTS = (
    ('Failed to get "write" lock', "Another process, or another disk of this VM, has the image open. Find it with fuser FILE."),
    ('Failed to get shared "write" lock', "Another process has the image open for writing. Find it with fuser FILE."),
    ("Image is not in", "Set format to the format of the image, which qemu-img info FILE shows."),
    ("No such file or directory", "QEMU opens the path itself, as its own user and in its own root directory."),
    ("Permission denied", "QEMU opens the path itself: allow it for the user that QEMU runs as."),
    ("it requires cache.direct=on", "Set cache.direct: true together with aio: native."),
    (
        "does not support hotplugging",
        "Use a bus that accepts devices while the VM runs. vmops.qemu.qmp_info lists the free slots (capacity).",
    ),
)


def hint(desc: str) -> str:
    """A sentence to put after QEMU's error *desc*, with a space before it; empty if there is nothing to add."""
    return next((f" {advice}" for text, advice in _HINTS if text in desc), "")
