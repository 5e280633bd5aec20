# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What to do about the errors of QEMU whose texts do not say it themselves (the texts are those of 7.2 to 10.0)."""

from __future__ import annotations

_HINTS = (
    ('Failed to get "write" lock', "Another process, or another disk of this VM, has the image open; fuser FILE tells."),
    ('Failed to get shared "write" lock', "Another process has the image open for writing; fuser FILE tells."),
    ("Image is not in", "The option format must name the format the image really has; qemu-img info FILE tells."),
    ("No such file or directory", "QEMU opens the path itself, as its own user and in its own root folder."),
    ("Permission denied", "QEMU opens the path itself, so the user it runs as needs the right to."),
    ("it requires cache.direct=on", "Set cache.direct: true beside aio: native."),
    ("does not support hotplugging", "Plug it where the VM takes devices while it runs; vmops.qemu.qmp_info lists the places."),
)


def hint(desc: str) -> str:
    """A sentence to put after QEMU's own, with a space before it; empty where there is nothing to add."""
    return next((f" {advice}" for text, advice in _HINTS if text in desc), "")
