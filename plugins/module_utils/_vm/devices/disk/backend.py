# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Block nodes as arguments of ``blockdev-add``: those that the VM has, as far as QEMU reports them, and how they differ from a
task's ``file`` or ``backend``.
"""

from __future__ import annotations

import json
import os
import re
from typing import Any, Mapping
from urllib.parse import unquote

from ...errors import InvalidOption
from ...host.image import is_block_device
from ...model.hardware import Hardware, Node
from ..option_table import Difference, arguments, present_values, without_defaults
from .options import NODE

_FILES = ("file", "host_device", "host_cdrom")
_CURL = ("http", "https", "ftp", "ftps")
_PLAIN_SIZE = re.compile(r"(\d+)([KMGTPE]?)\Z")
_NO_RESIZE = ("null-co", "null-aio", *_CURL)


def check_path(path: str) -> None:
    """Raise InvalidOption for a ``file`` that is not an absolute path. This does not touch the file system."""
    if not path.startswith("/"):
        if "://" in path:
            raise InvalidOption(
                f"file {path!r} is a URL, not a path. Set backend instead, with the driver and its options as blockdev-add "
                f"takes them, such as driver: {path.partition(':')[0]}."
            )
        raise InvalidOption(f"file {path!r} is relative, and the working directory of QEMU is not known. Set an absolute path.")
    try:
        valid = b"\0" not in os.fsencode(path)
    except ValueError:
        valid = False
    if not valid:
        raise InvalidOption(f"file {path!r} is not a path of this host. Check it.")


def file_backend(path: str, pid: int | None) -> dict[str, Any]:
    """The protocol node of an image file or a block device of the host, as process *pid* sees it. Raises InvalidOption."""
    check_path(path)
    return {"driver": "host_device" if is_block_device(path, pid) else "file", "filename": path}


def same_file(one: Any, other: Any) -> bool:
    """Whether two paths lead to one file."""
    try:
        return bool(os.path.realpath(one) == os.path.realpath(other))
    except (TypeError, ValueError):  # at least one is not a path
        return False


def can_resize(hardware: Hardware, node: Node) -> bool:
    """Whether the storage of *node* can be resized at all, as far as its driver shows that."""
    protocol = hardware.nodes.get(node.children.get("file", ""), node)
    return protocol.driver not in _NO_RESIZE


# -- nodes that the VM has


def node_arguments(
    hardware: Hardware, node: Node, key_secret: str | None = None, named: Mapping[str, str] | None = None
) -> dict[str, Any] | None:
    """The arguments of ``blockdev-add`` that would add *node* again above its children, as far as QEMU reports them (it does not
    report ``discard`` and ``aio``); None if it does not report the children.

    *key_secret* opens an encrypted one. *named* has other names that nodes shall get, by their present names.
    """
    named = named or {}
    options = _options(hardware, node, named)
    encrypted = node.driver == "luks" or bool(node.driver == "qcow2" and node.details.get("encrypted"))
    if options is None or (encrypted and not key_secret):
        return None
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
        **arguments(NODE, with_discard(without_defaults(NODE, present_values(NODE, node)))),
        **encryption,
    }


def with_discard(values: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a node, with the ``discard`` that QEMU does not report where it follows from another one."""
    return {**({"discard": "unmap"} if values.get("detect_zeroes") == "unmap" else {}), **values}


def backend_of(hardware: Hardware, node: Node) -> dict[str, Any] | None:
    """The protocol node of an image with its options, as the option ``backend`` has it; None if QEMU does not report it."""
    protocol = hardware.nodes.get(node.children.get("file", ""))
    return _inline(hardware, protocol, {}) if protocol else None


def backend_results(hardware: Hardware, node: Node) -> dict[str, Any]:
    """Where the data of an image is, as the option ``file`` or ``backend`` has it; nothing if the node has no protocol node."""
    protocol = hardware.nodes.get(node.children.get("file", "")) or (node if node.driver in _FILES else None)
    if protocol is None:
        return {}
    options = _options(hardware, protocol, {}) or {}
    if protocol.driver in _FILES and options.keys() == {"filename"}:
        return {"file": options["filename"]}
    return {"backend": {"driver": protocol.driver, **options}}


def _options(hardware: Hardware, node: Node, named: Mapping[str, str]) -> dict[str, Any] | None:
    """The children of a node and its own options: named children by their names, others inline."""
    options: dict[str, Any] = {}
    for role in ("file", "backing"):
        child = hardware.nodes.get(node.children.get(role, ""))
        if child is None:
            continue
        name = named.get(child.name, child.name)
        if role == "backing" and name.startswith("#"):  # QEMU opens it by the header of the image
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
    """The options of a node besides its children, which QEMU shows in a ``json:`` name if a plain name would not contain them: an
    offset, a throttle group, another backing file than that of the header. None if they cannot be read."""
    if not node.filename.startswith("json:"):
        return {}
    reported = _json_name(node)
    if reported is None:
        return None
    if reported.get("driver") != node.driver:
        return {}  # the name is that of a node below
    plain = {name: value for name, value in reported.items() if name == "backing" or not isinstance(value, (dict, list))}
    return {name: _native(value) for name, value in plain.items() if name not in ("driver", "file", "encrypt", "key-secret")}


def _inline(hardware: Hardware, node: Node, named: Mapping[str, str]) -> dict[str, Any] | None:
    options = _options(hardware, node, named)
    return None if options is None else {"driver": node.driver, **options}


def protocol_options(node: Node) -> dict[str, Any] | None:
    """The options of a protocol node, without its driver; None if QEMU does not report them in a form that is known here."""
    if node.filename.startswith("json:"):
        reported = _json_name(node)
        if reported is None or reported.get("driver") != node.driver:
            return None
        return {name: _native(value) for name, value in reported.items() if name != "driver"}
    if node.driver in _FILES:
        return {"filename": node.filename}
    if node.driver in _CURL:
        return {"url": node.filename}
    if node.driver == "nbd":
        return _nbd_options(node.filename)
    return {} if node.filename == f"{node.driver}://" else None


def _json_name(node: Node) -> dict[str, Any] | None:
    """The options in a ``json:`` name; None if it cannot be read, as when QEMU has cut it off."""
    try:
        reported = json.loads(node.filename[len("json:") :])
    except (ValueError, RecursionError):
        return None
    return reported if isinstance(reported, dict) else None


def _native(value: Any) -> Any:
    """A value that was text on the command line, in the types of QMP: booleans, and sizes in bytes."""
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
        address, slash, name = rest.partition("/")
        host, _colon, port = address.rpartition(":")
        server = {"type": "inet", "host": host.strip("[]"), "port": port}
        name = slash + name
    else:
        return None
    export = name[1:] if name.startswith("/") else name
    return {"server": server, **({"export": export} if export else {})}


# -- comparing


def file_differences(hardware: Hardware, node: Node, path: str) -> tuple[list[Difference], list[str]]:
    """How the protocol node of *node* differs from the option ``file``; in the second list if QEMU does not report it."""
    present = _present_backend(hardware, node)
    if present.get("driver", "file") not in _FILES:
        return [Difference("file", present, path)], []
    filename = present.get("filename")
    if filename is None:
        return [], ["file"]
    return [] if _equal("filename", filename, path) else [Difference("file", filename, path)], []


def backend_differences(hardware: Hardware, node: Node, backend: Mapping[str, Any]) -> tuple[list[Difference], list[str]]:
    """How the protocol node of *node* differs from the option ``backend``, and which of its options QEMU does not report."""
    return _compared(_present_backend(hardware, node), backend, "backend.")


def _present_backend(hardware: Hardware, node: Node) -> dict[str, Any]:
    protocol = hardware.nodes.get(node.children.get("file", ""))
    if protocol:
        return {"driver": protocol.driver, **(_options(hardware, protocol, {}) or {})}
    # the node is a protocol node itself, or QEMU does not report the block graph
    options = protocol_options(node)
    if options is None and node.filename.startswith("json:"):
        inner = (_json_name(node) or {}).get("file")
        options = inner if isinstance(inner, dict) else None
    return {"filename": node.filename} if options is None else options


def _compared(present: Mapping[str, Any], desired: Mapping[str, Any], prefix: str) -> tuple[list[Difference], list[str]]:
    different: list[Difference] = []
    unverified: list[str] = []
    for name, value in desired.items():
        option = f"{prefix}{name}"
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
        return same_file(now, value) or bool(now == value)
    if name == "url":
        return unquote(str(now)) == unquote(str(value))
    return str(_native(now)) == str(_native(value))
