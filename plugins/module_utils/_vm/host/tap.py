# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tap interfaces of this host: opened here and passed to QEMU, which then needs no permission to open them.

See Documentation/networking/tuntap.rst of Linux for the flags and the ioctl.
"""

from __future__ import annotations

import fcntl
import os
import re
import shlex
import struct

from ..errors import InvalidOption, Unsupported

_TUN = "/dev/net/tun"
_INTERFACES = "/sys/class/net"
_DEVICES = "/dev"
VHOST_NET = "/dev/vhost-net"
_TUNSETIFF = 0x400454CA
_IFF_TAP, _IFF_NO_PI, _IFF_VNET_HDR, _IFF_MULTI_QUEUE = 0x0002, 0x1000, 0x4000, 0x0100
_NAME = re.compile(r"[!-.0-9;-~]{1,15}\Z")


def check_name(ifname: str) -> None:
    """Raise InvalidOption for a name that an interface cannot have. QEMU would cut a long name and use another interface."""
    if not _NAME.match(ifname) or ifname in (".", ".."):
        raise InvalidOption(
            f"ifname {ifname!r} is not the name of an interface: set 1 to 15 ASCII characters without blank, slash and colon."
        )


def is_macvtap(ifname: str) -> bool:
    """Whether the interface is a macvtap, of which each queue is an opened ``/dev/tapN``, N being its index."""
    return bool(_NAME.match(ifname)) and any(os.path.isdir(f"{_INTERFACES}/{ifname}/{kind}") for kind in ("macvtap", "ipvtap"))


def _device_of(ifname: str) -> str:
    if not is_macvtap(ifname):
        return _TUN
    with open(f"{_INTERFACES}/{ifname}/ifindex", encoding="ascii") as file:
        return f"{_DEVICES}/tap{int(file.read())}"


def check_tap(ifname: str, queues: int) -> None:
    """Raise InvalidOption unless *ifname* is a tap of this host that can have so many queues.

    A tap that does not exist is not created: it would not be connected to anything. A macvtap can have any number of queues.
    """
    check_name(ifname)
    if is_macvtap(ifname):
        if not os.path.exists(_device_of(ifname)):
            raise Unsupported(
                f"ifname {ifname} is a macvtap, and its device {_device_of(ifname)} does not exist. Start udev, which creates it."
            )
        return
    create = f"ip tuntap add dev {shlex.quote(ifname)} mode tap{' multi_queue' if queues > 1 else ''}"
    try:
        with open(f"{_INTERFACES}/{ifname}/tun_flags", encoding="ascii") as file:
            flags = int(file.read(), 16)
    except OSError:
        exists = os.path.exists(f"{_INTERFACES}/{ifname}")
        problem = "is not a tap interface" if exists else "does not exist on this host"
        raise InvalidOption(f"ifname {ifname} {problem}. Create a tap first: {create}") from None
    if not flags & _IFF_TAP:
        raise InvalidOption(f"ifname {ifname} is a tun, not a tap. Create a tap: {create}")
    if bool(flags & _IFF_MULTI_QUEUE) != (queues > 1):
        problem = "without multi_queue" if queues > 1 else "with multi_queue, which needs queues: 2 or more"
        raise InvalidOption(f"The tap {ifname} was created {problem}. To create it for queues: {queues}: {create}")


def open_tap(ifname: str, queues: int) -> int:
    """Open one queue of a tap and return its descriptor, which the caller closes. Raises Unsupported, with the reason."""
    flags = _IFF_TAP | _IFF_NO_PI | _IFF_VNET_HDR | (_IFF_MULTI_QUEUE if queues > 1 else 0)
    descriptor = -1
    try:
        descriptor = os.open(_device_of(ifname), os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
        fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH22x", ifname.encode(), flags))
    except OSError as error:
        if descriptor >= 0:
            os.close(descriptor)
        raise Unsupported(f"Tap {ifname} cannot be opened: {error.strerror}. {_remedy(error)}") from error
    return descriptor


def _remedy(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "Run this task as root, or create the tap for this user (ip tuntap add … user NAME)."
    return "Another process, such as another VM, may hold it. Choose another tap."


def check_vhost() -> None:
    """Raise Unsupported if this host has no vhost-net: QEMU before 10 would abort, and the VM with it."""
    if not os.path.exists(VHOST_NET):
        raise Unsupported(
            f"vhost needs {VHOST_NET}, which this host does not have. Load it (modprobe vhost_net) or set vhost: false."
        )


def open_vhost() -> int:
    """Open vhost-net for one queue and return its descriptor, which the caller closes."""
    return os.open(VHOST_NET, os.O_RDWR | os.O_CLOEXEC)


def interfaces_of(pid: int | None) -> list[str]:
    """The tap behind each descriptor of process *pid* that is one of a tap; none if this host does not report it."""
    try:
        descriptors = os.listdir(f"/proc/{pid}/fdinfo")
    except OSError:
        return []
    found = (interface_of(pid, descriptor) for descriptor in descriptors)
    return [name for name in found if name]


def interface_of(pid: int | None, descriptor: str) -> str | None:
    """The name of the tap behind a descriptor of process *pid*; None if this host does not report it."""
    try:
        with open(f"/proc/{pid}/fdinfo/{int(descriptor)}", encoding="utf-8") as file:
            name = next((line.split()[1] for line in file if line.startswith("iff:")), None)
        return name or _macvtap_of(os.readlink(f"/proc/{pid}/fd/{int(descriptor)}"))
    except (OSError, ValueError, IndexError):
        return None


def _macvtap_of(path: str) -> str | None:
    """The macvtap whose ``/dev/tapN`` is at *path*; None for any other path."""
    index = re.match(rf"{re.escape(_DEVICES)}/tap(\d+)\Z", path)
    if not index:
        return None
    for name in os.listdir(_INTERFACES):
        if is_macvtap(name) and _device_of(name) == path:
            return name
    return None
