# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Block nodes as arguments of ``blockdev-add``: what QEMU reports of those that are there, and how it differs from a task."""

from __future__ import annotations

import json
import os
import re
import stat
from typing import Any, Mapping
from urllib.parse import unquote

from ...errors import InvalidOption
from ...model.hardware import Hardware, Node
from ..option_table import Difference

_FILES = ("file", "host_device", "host_cdrom")
_CURL = ("http", "https", "ftp", "ftps")
_PLAIN_SIZE = re.compile(r"(\d+)([KMGTPE]?)\Z")
_NO_RESIZE = ("null-co", "null-aio", *_CURL)


def file_backend(path: str, aio: str | None = None) -> dict[str, Any]:
    """The protocol node of an image file or a host's block device. Raises InvalidOption for a relative path."""
    if not path.startswith("/"):
        if "://" in path:
            raise InvalidOption(
                f"file {path!r} is a URL; give it as backend, with the driver and its options as blockdev-add "
                "takes "
                f"them, such as driver: {path.partition(':')[0]}."
            )
        raise InvalidOption(f"file {path!r} is relative, and QEMU's working folder is not known: write the whole path.")
    backend = {"driver": "host_device" if _is_block_device(path) else "file", "filename": path}
    return {**backend, **({"aio": aio} if aio else {})}


def _is_block_device(path: str) -> bool:
    try:
        return stat.S_ISBLK(os.stat(path).st_mode)
    except ValueError:
        raise InvalidOption(f"file {path!r} is no path.") from None
    except OSError:  # not visible from here, as when the VM is on another host
        return path.startswith("/dev/")


def same_file(one: Any, other: Any) -> bool:
    """Whether two paths lead to one file."""
    try:
        return bool(os.path.realpath(one) == os.path.realpath(other))
    except (TypeError, ValueError):  # at least one is no path
        return False


def can_resize(hardware: Hardware, node: Node) -> bool:
    """Whether the storage of *node* can have another size at all, as far as its driver tells."""
    protocol = hardware.nodes.get(node.children.get("file", ""), node)
    return protocol.driver not in _NO_RESIZE


# -- nodes that are there


def node_arguments(
    hardware: Hardware, node: Node, key_secret: str | None = None, named: Mapping[str, str] | None = None
) -> dict[str, Any] | None:
    """The arguments of ``blockdev-add`` that would make *node* again over what is below it, as far as QEMU reports them (not
    ``discard`` nor ``aio``); None where it does not report what the node is over.

    *key_secret* opens an encrypted one. *named* has other names that nodes are to have, by their present ones.
    """
    named = named or {}
    options = _options(hardware, node, named)
    encrypted = node.driver == "luks" or bool(node.driver == "qcow2" and node.details.get("encrypted"))
    if options is None or (encrypted and not key_secret):
        return None
    cache = node.details.get("cache", {})
    flags = {name: True for name in ("direct", "no-flush") if cache.get(name)}
    zeroes = node.details.get("detect_zeroes", "off")
    encryption: dict[str, Any] = {}
    if node.driver == "luks" and key_secret:
        encryption = {"key-secret": key_secret}
    elif node.driver == "qcow2" and node.details.get("encrypted") and key_secret:
        encryption = {"encrypt": {"format": "luks", "key-secret": key_secret}}
    return {
        "driver": node.driver,
        "node-name": named.get(node.name, node.name),
        "read-only": node.read_only,
        **options,
        **({"cache": flags} if flags else {}),
        **({"detect-zeroes": zeroes} if zeroes != "off" else {}),
        **({"discard": "unmap"} if zeroes == "unmap" else {}),
        **encryption,
    }


def backend_of(hardware: Hardware, node: Node) -> dict[str, Any] | None:
    """What an image is on, as a task's ``backend`` has it: its protocol node with its options, whatever name that has."""
    protocol = hardware.nodes.get(node.children.get("file", ""))
    return _inline(hardware, protocol, {}) if protocol else None


def _options(hardware: Hardware, node: Node, named: Mapping[str, str]) -> dict[str, Any] | None:
    """What the node is over, and its own options: named nodes by name, others inline."""
    options: dict[str, Any] = {}
    for role in ("file", "backing"):
        child = hardware.nodes.get(node.children.get(role, ""))
        if child is None:
            continue
        name = named.get(child.name, child.name)
        if role == "backing" and name.startswith("#"):  # QEMU opens it by the image's own header
            continue
        inline = _inline(hardware, child, named) if name.startswith("#") else name
        if inline is None:
            return None
        options[role] = inline
    if "file" not in options:
        return protocol_options(node)
    own = own_options(node)
    return None if own is None else {**own, **options}


def own_options(node: Node) -> dict[str, Any] | None:
    """What a node has besides its children, which QEMU shows in a ``json:`` name where a plain one would not tell it: an offset,
    a throttle group, another backing file than that of the header. None where it cannot be read."""
    if not node.filename.startswith("json:"):
        return {}
    try:
        told = json.loads(node.filename[len("json:") :])
    except (ValueError, RecursionError):
        return None
    if not isinstance(told, dict) or told.get("driver") != node.driver:
        return {}  # the name is that of what is below
    plain = {name: value for name, value in told.items() if name == "backing" or not isinstance(value, (dict, list))}
    return {name: _native(value) for name, value in plain.items() if name not in ("driver", "file", "encrypt", "key-secret")}


def _inline(hardware: Hardware, node: Node, named: Mapping[str, str]) -> dict[str, Any] | None:
    options = _options(hardware, node, named)
    return None if options is None else {"driver": node.driver, **options}


def protocol_options(node: Node) -> dict[str, Any] | None:
    """The options of a protocol node, without its driver; None where QEMU reports them in no form that is known here."""
    if node.filename.startswith("json:"):
        try:
            told = json.loads(node.filename[len("json:") :])
        except (ValueError, RecursionError):  # as when it was cut off
            return None
        if not isinstance(told, dict) or told.get("driver") != node.driver:
            return None
        return {name: _native(value) for name, value in told.items() if name != "driver"}
    if node.driver in _FILES:
        return {"filename": node.filename}
    if node.driver in _CURL:
        return {"url": node.filename}
    if node.driver == "nbd":
        return _nbd_options(node.filename)
    return {} if node.filename == f"{node.driver}://" else None


def _native(value: Any) -> Any:
    """What was given as text on the command line, in the types of QMP: true or false, and sizes."""
    size = _PLAIN_SIZE.match(value) if isinstance(value, str) else None
    if size:
        return int(size.group(1)) << (10 * " KMGTPE".index(size.group(2) or " "))
    return {"on": True, "off": False}.get(value, value) if isinstance(value, str) else value


def _nbd_options(url: str) -> dict[str, Any] | None:
    """The server and the export in the URL that QEMU shows for an NBD client."""
    scheme, _slashes, rest = url.partition("://")
    if scheme == "nbd+unix":
        name, _socket, path = rest.rpartition("?socket=")
        server: dict[str, Any] = {"type": "unix", "path": path}
    elif scheme == "nbd":
        place, slash, name = rest.partition("/")
        host, _colon, port = place.rpartition(":")
        server = {"type": "inet", "host": host.strip("[]"), "port": port}
        name = slash + name
    else:
        return None
    export = name[1:] if name.startswith("/") else name
    return {"server": server, **({"export": export} if export else {})}


# -- comparing


def backend_differences(hardware: Hardware, node: Node, stated: Mapping[str, Any]) -> tuple[list[Difference], list[str]]:
    """How what *node* is over differs from the backend that a task states, and which of its options QEMU does not report."""
    protocol = hardware.nodes.get(node.children.get("file", ""))
    if protocol:
        present: dict[str, Any] = {"driver": protocol.driver, **(_options(hardware, protocol, {}) or {})}
    else:  # the node is a protocol node itself, or this QEMU does not report the block graph
        present = _below(node)
    return _compared(present, stated, "backend.")


def _below(node: Node) -> dict[str, Any]:
    options = protocol_options(node)
    if options is None and node.filename.startswith("json:"):
        try:
            told = json.loads(node.filename[len("json:") :])
        except (ValueError, RecursionError):
            told = None
        inner = told.get("file") if isinstance(told, dict) else None
        options = inner if isinstance(inner, dict) else None
    return {"filename": node.filename} if options is None else options


def _compared(present: Mapping[str, Any], stated: Mapping[str, Any], prefix: str) -> tuple[list[Difference], list[str]]:
    different: list[Difference] = []
    unverified: list[str] = []
    for name, value in stated.items():
        option = {"backend.filename": "file", "backend.aio": "aio"}.get(f"{prefix}{name}", f"{prefix}{name}")
        now = present.get(name)
        if name == "export" and now is None and "server" in present:
            now = ""
        if now is None:
            unverified.append(option)
        elif isinstance(value, dict) and isinstance(now, dict):
            more, unread = _compared(now, value, f"{option}.")
            different, unverified = different + more, unverified + unread
        elif not _equal(name, now, value):
            different.append(Difference(option, now, value))
    return different, unverified


def _equal(name: str, now: Any, value: Any) -> bool:
    if name in ("filename", "path"):
        return same_file(now, value) or now == value
    if name == "url":
        return unquote(str(now)) == unquote(str(value))
    return str(_native(now)) == str(_native(value))
