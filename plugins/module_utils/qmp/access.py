# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who else may get at a monitor: links that others have planted, sockets that others may write to, addresses beyond this host."""

from __future__ import annotations

import ipaddress
import os
import socket
import stat
from pathlib import Path
from typing import Iterator

from .errors import ConnectError


def refuse_planted_links(path: str) -> None:
    """Raise ConnectError if the way to *path* leads over a symbolic link of another user.

    It might lead to a place that this user has prepared, and what we say there is often secret. Links of root, of our own
    and of the owner of what they lead to are none of that kind.
    """
    for link in _links(Path(os.path.abspath(path))):
        owner = os.lstat(link).st_uid
        try:
            trusted = {0, os.geteuid(), os.stat(path).st_uid}
        except OSError:  # it leads nowhere that we see
            trusted = {0, os.geteuid()}
        if owner not in trusted:
            raise ConnectError(f"{path}: {link} is a link of another user (uid {owner}), who could lead us anywhere; give the "
                               "path that it stands for, if you trust that.")


def others_may_write(path: str) -> bool:
    """Whether any user of this host may write to the socket at *path*, and so rule the VM."""
    try:
        if not os.stat(path).st_mode & stat.S_IWOTH:
            return False
        return all(os.stat(folder).st_mode & stat.S_IXOTH for folder in Path(os.path.realpath(path)).parents)
    except (OSError, ValueError):  # connecting will tell
        return False


def is_loopback(host: str) -> bool:
    """Whether all addresses of *host* are this very host's; False where it has none."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False
    return all(ipaddress.ip_address(str(place[0]).partition("%")[0]).is_loopback for *_rest, place in found)


def _links(path: Path) -> Iterator[Path]:
    """The symbolic links among the folders of *path* and itself, and those that they lead over."""
    seen: set[Path] = set()
    pending = [path]
    while pending:
        whole = pending.pop()
        for part in [*reversed(whole.parents), whole]:
            if os.path.islink(part) and part not in seen:
                seen.add(part)
                yield part
                pending.append(Path(os.path.normpath(part.parent / os.readlink(part))) / whole.relative_to(part))
                break
