# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The backend object of a memory device: where the host has the memory (``memory-backend-ram``, ``-file``, ``-memfd``)."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any, Iterable, Mapping

from ....qmp import UnixAddress
from ...errors import Conflict, HardwareError, InvalidOption
from ...model.hardware import Hardware
from ...model.users import users_of_object
from ...model.values import typed
from ...plan.plan import Delete, Step
from ..objects.plans import add_object

PREFIX = "memory-backend-"
_ONLY_FOR = {"mem-path": "file", "pmem": "file", "hugetlb": "memfd", "hugetlbsize": "memfd"}
_DEFAULTS: Mapping[str, Any] = {
    "share": False,
    "prealloc": False,
    "prealloc-threads": 1,
    "policy": "default",
    "host-nodes": [],
    "reserve": True,
    "pmem": False,
    "readonly": False,
    "align": 0,
    "offset": 0,
    "discard-data": False,
    "hugetlb": False,
    "hugetlbsize": 0,
    "seal": True,
}
"""What a backend has by itself. ``dump`` and ``merge`` follow the machine; memfd is shared."""
_OF_MACHINE = {"dump": "dump-guest-core", "merge": "mem-merge"}
_NOT_CARRIED = ("type", "size", "rom", "prealloc-context")
_OWN = {"file": ("mem-path", "pmem", "readonly", "align", "offset", "discard-data"), "memfd": ("hugetlb", "hugetlbsize", "seal")}
"""Properties that only one type has."""
_MOST_HOST_NODES = 128
_HOST_NODES = Path("/sys/devices/system/node")
_PAGE = 4096
_RAM_ALIGNMENT = 2 << 20
"""QEMU on x86 and Arm maps anonymous memory at multiples of a transparent huge page, and wants sizes to match."""


def kind_of(hardware: Hardware, backend_id: str) -> str:
    """``ram``, ``file``, ``memfd`` and so on; empty where there is no such object."""
    qom_type = hardware.objects.get(backend_id, "")
    return qom_type[len(PREFIX) :] if qom_type.startswith(PREFIX) else qom_type


def check_kind(kind: str, properties: Mapping[str, Any]) -> None:
    """Raise InvalidOption for options that this *kind* of backend does not have."""
    for name, only in _ONLY_FOR.items():
        if name in properties and kind != only:
            option = name.replace("-", "_")
            raise InvalidOption(f"{option} is for backend: {only}, not {kind}. Set backend: {only}, or leave {option} out.")


def check_options(kind: str, properties: Mapping[str, Any]) -> None:
    """Raise InvalidOption for options of a new backend that QEMU would refuse."""
    check_kind(kind, properties)
    path = properties.get("mem-path")
    if kind == "file" and not path:
        raise InvalidOption("backend: file needs mem_path, the file or the directory for it.")
    if path and not str(path).startswith("/"):
        raise InvalidOption(f"mem_path {path!r} is not a whole path: QEMU would look for it in its own working directory.")
    nodes, policy = properties.get("host-nodes"), properties.get("policy")
    bad = [node for node in nodes or () if not 0 <= node < _MOST_HOST_NODES]
    if bad:
        raise InvalidOption(f"host_nodes has {bad[0]}, which is not a NUMA node: give numbers from 0 to {_MOST_HOST_NODES - 1}.")
    if nodes and policy in (None, "default"):
        raise InvalidOption("host_nodes needs policy: bind, preferred or interleave, which says how to take memory from them.")
    if policy not in (None, "default") and not nodes:
        raise InvalidOption(f"policy: {policy} needs host_nodes, the NUMA nodes of the host to take the memory from.")
    pages = properties.get("hugetlbsize")
    if pages is not None and (pages < _PAGE or pages & (pages - 1)):
        raise InvalidOption(f"hugetlbsize {pages} is not the size of a page: give a power of two, such as 2M.")


def check_size(hardware: Hardware, kind: str, properties: Mapping[str, Any], size: int, option: str = "size") -> None:
    """Raise InvalidOption for a size that QEMU does not take for memory on this kind of backend."""
    step = alignment(hardware, kind, properties)
    if size % step:
        near = [one for one in (size // step * step, -(-size // step) * step) if one]
        raise InvalidOption(
            f"{option} {size} is not a multiple of {step} bytes, which memory on backend: {kind} comes in. "
            f"The nearest is {' or '.join(map(str, near))}.",
            nearest=near,
        )


def alignment(hardware: Hardware, kind: str, properties: Mapping[str, Any]) -> int:
    """Bytes that the size of a DIMM on such a backend is a multiple of, as far as it is known from here."""
    if properties.get("hugetlb"):
        return int(properties.get("hugetlbsize") or _RAM_ALIGNMENT)
    known = hardware.target in ("x86_64", "i386", "aarch64")
    return _RAM_ALIGNMENT if kind == "ram" and known else _PAGE


def check_file(hardware: Hardware, path: str, size: int, keeps: bool) -> None:
    """Raise for a file that QEMU, where it can be looked at with its eyes, has no use for; *keeps*: whether its content is to
    stay."""
    root = _root(hardware)
    if root is None:
        return
    seen = root / path.lstrip("/")
    try:
        os.stat(root / ".")
        try:
            os.lstat(seen)
            there = True
        except FileNotFoundError:
            there = False
        found = os.stat(seen if there else seen.parent)
    except PermissionError:
        return
    except OSError as error:
        if not root.exists():
            return
        raise HardwareError(
            f"mem_path {path}: {os.strerror(error.errno or 0)}. QEMU opens the path itself, as its own user and "
            "in its own root directory."
        ) from error
    if path.endswith("/") and not (there and stat.S_ISDIR(found.st_mode)) and seen != root:
        raise HardwareError(
            f"mem_path {path}: No such directory. Make it first, or leave out the slash at its end to have QEMU make a file."
        )
    if not there:
        return
    if stat.S_ISDIR(found.st_mode) and keeps:
        raise InvalidOption(
            f"mem_path {path} is a directory, in which QEMU would keep the content in a file that goes with it. "
            "An NVDIMM needs a file of its own."
        )
    if stat.S_ISCHR(found.st_mode) and not os.path.basename(os.path.realpath(seen)).startswith("dax"):
        raise InvalidOption(f"mem_path {path} is a character device that is not memory. Take a file, a directory or /dev/daxX.Y.")
    if stat.S_ISREG(found.st_mode) and 0 < found.st_size < size:
        raise InvalidOption(
            f"mem_path {path} has {found.st_size} bytes, fewer than size {size}. Take another file, or enlarge "
            f"it first (truncate -s {size})."
        )


def check_host_nodes(hardware: Hardware, nodes: Iterable[int]) -> None:
    """Raise InvalidOption for NUMA nodes that this host, if it is QEMU's, does not have."""
    if _root(hardware) is None or not _HOST_NODES.is_dir():
        return
    known = sorted(int(one.name[len("node") :]) for one in _HOST_NODES.glob("node[0-9]*"))
    unknown = [node for node in nodes if node not in known]
    if unknown and known:
        raise InvalidOption(f"host_nodes has {unknown[0]}, and this host has the NUMA nodes {', '.join(map(str, known))}.")


def _root(hardware: Hardware) -> Path | None:
    """QEMU's root directory as it is seen from here; None where QEMU is on another host, or unknown."""
    monitor = hardware.cache.monitor
    if not isinstance(monitor.address, UnixAddress) or monitor.peer_pid is None:
        return None
    return Path(f"/proc/{monitor.peer_pid}/root")


def present_properties(hardware: Hardware, backend_id: str) -> dict[str, Any]:
    """What ``object-add`` needs to make the same backend again: its size, and what differs from a new one."""
    path = f"/objects/{backend_id}"
    names = [
        name
        for name, kind in hardware.cache.qom_list([path])[0].items()
        if name not in _NOT_CARRIED and not name.startswith("x-") and not kind.startswith(("child<", "link<"))
    ]
    values = dict(zip(names, hardware.cache.qom_get((path, name) for name in names)))
    values = {name: value for name, value in values.items() if value is not None}
    defaults = _defaults(hardware, kind_of(hardware, backend_id))
    return {
        "size": size_of(hardware, backend_id),
        **{name: value for name, value in values.items() if name not in defaults or value != defaults[name]},
    }


def size_of(hardware: Hardware, backend_id: str) -> int | None:
    value: int | None = hardware.cache.qom_get([(f"/objects/{backend_id}", "size")], int)[0]
    return value


def carried_properties(hardware: Hardware, backend_id: str, kind: str, specified: Mapping[str, Any]) -> dict[str, Any]:
    """What a new backend of this *kind* takes over from the one that is there: all that the task does not specify."""
    foreign = [name for other, names in _OWN.items() if other != kind for name in names]
    if "policy" in specified or "host-nodes" in specified:
        foreign += ["policy"] if "policy" in specified else []
        foreign += ["host-nodes"] if specified.get("policy") == "default" or "host-nodes" in specified else []
    if specified.get("hugetlb") is False:
        foreign += ["hugetlbsize"]
    if kind_of(hardware, backend_id) == "memfd" != kind:
        foreign += ["share"]  # which memfd has by itself
    return {
        name: value
        for name, value in present_properties(hardware, backend_id).items()
        if name != "size" and name not in foreign and name not in specified
    }


def object_properties(hardware: Hardware, kind: str, size: int, properties: Mapping[str, Any]) -> dict[str, Any]:
    """The properties of a new backend in the types that QEMU's schema has for them. Raises InvalidOption for unknown ones."""
    known = {name: member.type for name, member in hardware.schema.command_arguments("object-add", PREFIX + kind).items()}
    if not known or hardware.schema.has_member("object-add", "props"):
        return {"size": size, **properties}
    return {"size": size, **typed(f"object {PREFIX}{kind}", properties, known)}


def have_backend(hardware: Hardware, backend_id: str, kind: str, properties: Mapping[str, Any]) -> list[Step]:
    """The steps to have this backend, which is to be nobody else's: none where there is one just like it that nothing uses, as
    a killed run leaves it. Raises Conflict where another object has its id."""
    if backend_id not in hardware.objects:
        return [add_object(hardware, PREFIX + kind, backend_id, properties)]
    present = hardware.objects[backend_id]
    if present != PREFIX + kind:
        raise Conflict(
            f"The object {backend_id} is a {present}; the backend of this memory, a {PREFIX}{kind}, is to have that "
            f"id. Take another id, or remove {backend_id} (qmp_object, state: absent)."
        )
    users = users_of_backend(hardware, backend_id)
    if users:
        raise Conflict(
            f"The object {backend_id} is used by {', '.join(users)}; the backend of this memory is to have that id. "
            "Take another id.",
            users=users,
        )
    defaults = _defaults(hardware, kind)
    now, wanted = ({**defaults, **one} for one in (present_properties(hardware, backend_id), properties))
    different = [name for name in sorted({*now, *wanted}) if now.get(name) != wanted.get(name)]
    if different:
        told = "; ".join(f"{name} is {now.get(name)!r}, wanted {wanted.get(name)!r}" for name in different)
        raise Conflict(
            f"The object {backend_id}, which is to be the backend of this memory, exists with other properties: "
            f"{told}. Take another id, or remove {backend_id} (qmp_object, state: absent)."
        )
    return []


def users_of_backend(hardware: Hardware, backend_id: str) -> list[str]:
    """Who uses a memory backend: devices, the machine, or its address space, as that of a NUMA node does."""
    found = users_of_object(hardware, backend_id)
    path = f"/objects/{backend_id}"
    parts = [name for name, kind in hardware.cache.qom_list([path])[0].items() if kind == "child<memory-region>"]
    mapped = any(hardware.cache.qom_get(((f"{path}/{name}", "container") for name in parts), str))
    return found or (["the machine's address space"] if mapped else [])


def delete_backend(hardware: Hardware, backend_id: str, undo: bool = False) -> Delete:
    """``object-del``; with *undo*, taken back by making it as it was."""
    now = present_properties(hardware, backend_id)
    back = add_object(hardware, hardware.objects[backend_id], backend_id, now) if undo else None
    return Delete("object-del", {"id": backend_id}, back)


def _defaults(hardware: Hardware, kind: str) -> dict[str, Any]:
    machine = dict(zip(_OF_MACHINE, hardware.cache.qom_get([("/machine", name) for name in _OF_MACHINE.values()], bool)))
    return {**_DEFAULTS, **{name: True if value is None else value for name, value in machine.items()}, "share": kind == "memfd"}
