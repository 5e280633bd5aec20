# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tap interfaces of this host: opened here and handed to QEMU, which then needs no rights of its own.

See Documentation/networking/tuntap.rst of Linux for the flags and the ioctl.
"""

from __future__ import annotations

import fcntl
import os
import re
import shlex
import struct

from .errors import InvalidOption, Unsupported

_TUN = "/dev/net/tun"
VHOST_NET = "/dev/vhost-net"
_TUNSETIFF = 0x400454CA
_IFF_TAP, _IFF_NO_PI, _IFF_VNET_HDR, _IFF_MULTI_QUEUE = 0x0002, 0x1000, 0x4000, 0x0100
_NAME = re.compile(r"[!-.0-9;-~]{1,15}\Z")


def check_tap(ifname: str, queues: int) -> None:
    """Raise InvalidOption unless *ifname* is a tap of this host that takes so many queues.

    A tap that does not exist is not made here: it would be an interface that leads nowhere.
    """
    if not _NAME.match(ifname):
        raise InvalidOption(f"ifname {ifname!r} is no interface name: 1 to 15 ASCII characters without blank, slash and colon.")
    create = f"ip tuntap add dev {shlex.quote(ifname)} mode tap{' multi_queue' if queues > 1 else ''}"
    try:
        with open(f"/sys/class/net/{ifname}/tun_flags", encoding="ascii") as file:
            flags = int(file.read(), 16)
    except OSError:
        exists = os.path.exists(f"/sys/class/net/{ifname}")
        what = "is no tap interface" if exists else "does not exist on this host"
        raise InvalidOption(f"Interface {ifname} {what}. Make one first: {create}") from None
    if not flags & _IFF_TAP:
        raise InvalidOption(f"Interface {ifname} is a tun, not a tap. Make a tap: {create}")
    if bool(flags & _IFF_MULTI_QUEUE) != (queues > 1):
        needs = "was not made with multi_queue" if queues > 1 else "was made with multi_queue; set queues to 2 or more"
        raise InvalidOption(f"Tap {ifname} {needs}. To make it anew: {create}")


def open_tap(ifname: str, queues: int) -> int:
    """Open one queue of a tap and return its descriptor, which the caller closes. Raises Unsupported, with the reason."""
    flags = _IFF_TAP | _IFF_NO_PI | _IFF_VNET_HDR | (_IFF_MULTI_QUEUE if queues > 1 else 0)
    descriptor = -1
    try:
        descriptor = os.open(_TUN, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
        fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH22x", ifname.encode(), flags))
    except OSError as error:
        if descriptor >= 0:
            os.close(descriptor)
        raise Unsupported(f"Tap {ifname} cannot be opened: {error.strerror}. {_remedy(error)}") from error
    return descriptor


def _remedy(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "Run this task as root, or make the tap for this user (ip tuntap add … user NAME)."
    return "Another process, such as another VM, may hold it."


def check_vhost() -> None:
    """Raise Unsupported where this host has no vhost-net: QEMU before 10 would abort, and the VM with it."""
    if not os.path.exists(VHOST_NET):
        raise Unsupported(f"vhost needs {VHOST_NET}, which this host does not have. Load it (modprobe vhost_net) or set "
                          "vhost: false.")


def open_vhost() -> int:
    """Open vhost-net for one queue and return its descriptor, which the caller closes."""
    return os.open(VHOST_NET, os.O_RDWR | os.O_CLOEXEC)


def interfaces_of(pid: int | None) -> list[str]:
    """The tap behind each descriptor that process *pid* has on one; none where this host does not tell."""
    try:
        descriptors = os.listdir(f"/proc/{pid}/fdinfo")
    except OSError:
        return []
    found = (interface_of(pid, descriptor) for descriptor in descriptors)
    return [name for name in found if name]


def interface_of(pid: int | None, descriptor: str) -> str | None:
    """The name of the tap behind a descriptor of process *pid*, None where this host does not tell."""
    try:
        with open(f"/proc/{pid}/fdinfo/{int(descriptor)}", encoding="utf-8") as file:
            return next((line.split()[1] for line in file if line.startswith("iff:")), None)
    except (OSError, ValueError, IndexError):
        return None
