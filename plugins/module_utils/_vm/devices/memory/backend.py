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
from ..objects.steps import add_object
from .present import BACKEND, PREFIX, kind_of

_OWN = {"file": ("mem-path", "pmem", "readonly", "align", "offset", "discard-data"), "memfd": ("hugetlb", "hugetlbsize", "seal")}
"""Properties that only one kind of backend has."""
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
"""The values that QEMU gives a new backend. Those of ``dump`` and ``merge`` depend on the machine; a memfd is shared."""
_OF_MACHINE = {"dump": "dump-guest-core", "merge": "mem-merge"}
_NOT_CARRIED = ("type", "size", "rom", "prealloc-context")
_MOST_HOST_NODES = 128
_HOST_NODES = Path("/sys/devices/system/node")
_PAGE = 4096
_RAM_ALIGNMENT = 2 << 20
"""QEMU on x86 and Arm maps anonymous memory at multiples of a transparent huge page, and requires such sizes."""
_OPTION_OF = {row.qemu: row.name for row in BACKEND}


def check_kind(kind: str, properties: Mapping[str, Any]) -> None:
    """Raise InvalidOption for options that this *kind* of backend does not have."""
    for other, names in _OWN.items():
        for name in names:
            if name in properties and kind != other:
                option = _OPTION_OF.get(name, name)
                raise InvalidOption(
                    f"{option} requires backend: {other}, but the backend is {kind}. Set backend: {other}, or leave out {option}."
                )


def check_options(kind: str, properties: Mapping[str, Any]) -> None:
    """Raise InvalidOption for options of a new backend that QEMU would refuse."""
    check_kind(kind, properties)
    path = properties.get("mem-path")
    if kind == "file" and not path:
        raise InvalidOption("backend: file requires mem_path. Set it to a file, or to a directory for a new file.")
    if path and not str(path).startswith("/"):
        raise InvalidOption(
            f"mem_path {path!r} is not an absolute path, and QEMU has a working directory of its own. Write the whole path."
        )
    nodes, policy = properties.get("host-nodes"), properties.get("policy")
    bad = [node for node in nodes or () if not 0 <= node < _MOST_HOST_NODES]
    if bad:
        raise InvalidOption(f"host_nodes contains {bad[0]}. The numbers of NUMA nodes are from 0 to {_MOST_HOST_NODES - 1}.")
    if nodes and policy in (None, "default"):
        raise InvalidOption("host_nodes requires a policy. Set policy to bind, preferred or interleave.")
    if policy not in (None, "default") and not nodes:
        raise InvalidOption(f"policy: {policy} requires host_nodes. Set it to the NUMA nodes of the host that have the memory.")
    pages = properties.get("hugetlbsize")
    if pages is not None and (pages < _PAGE or pages & (pages - 1)):
        raise InvalidOption(f"hugetlbsize {pages} is not the size of a page. Set a power of two, such as 2M.")


def check_size(hardware: Hardware, kind: str, properties: Mapping[str, Any], size: int, option: str = "size") -> None:
    """Raise InvalidOption for a size that QEMU refuses for memory on this kind of backend."""
    step = alignment(hardware, kind, properties)
    if size % step:
        near = [one for one in (size // step * step, -(-size // step) * step) if one]
        raise InvalidOption(
            f"{option} {size} is not a multiple of {step} bytes, which backend: {kind} requires. "
            f"The nearest is {' or '.join(map(str, near))}.",
            nearest=near,
        )


def alignment(hardware: Hardware, kind: str, properties: Mapping[str, Any]) -> int:
    """The number of bytes of which the size of a DIMM on such a backend must be a multiple, if it can be known."""
    if properties.get("hugetlb"):
        return int(properties.get("hugetlbsize") or _RAM_ALIGNMENT)
    known = hardware.target in ("x86_64", "i386", "aarch64")
    return _RAM_ALIGNMENT if kind == "ram" and known else _PAGE


def check_file(hardware: Hardware, path: str, size: int, keeps: bool) -> None:
    """Raise for a file that QEMU cannot use, if the file can be seen from here as QEMU sees it. *keeps*: the file must keep its
    content."""
    root = _root(hardware)
    if root is None:
        return
    seen = root / path.lstrip("/")
    try:
        os.stat(root / ".")
        try:
            os.lstat(seen)
            exists = True
        except FileNotFoundError:
            exists = False
        found = os.stat(seen if exists else seen.parent)
    except PermissionError:
        return
    except OSError as error:
        if not root.exists():
            return
        raise HardwareError(
            f"mem_path {path}: {os.strerror(error.errno or 0)}. QEMU opens the path itself, as its own user and "
            "in its own root directory."
        ) from error
    if path.endswith("/") and not (exists and stat.S_ISDIR(found.st_mode)) and seen != root:
        raise HardwareError(
            f"mem_path {path}: No such directory. Create it, or leave out the slash at the end to have QEMU create a file."
        )
    if not exists:
        return
    if stat.S_ISDIR(found.st_mode) and keeps:
        raise InvalidOption(
            f"mem_path {path} is a directory, where QEMU would keep the content of the NVDIMM in a temporary file. Set mem_path "
            "to a file."
        )
    if stat.S_ISCHR(found.st_mode) and not os.path.basename(os.path.realpath(seen)).startswith("dax"):
        raise InvalidOption(
            f"mem_path {path} is a character device without memory. Set a file, a directory or a device such as /dev/dax0.0."
        )
    if stat.S_ISREG(found.st_mode) and 0 < found.st_size < size:
        raise InvalidOption(
            f"mem_path {path} has {found.st_size} bytes, fewer than size {size}. Use another file, or enlarge "
            f"it first (truncate -s {size})."
        )


def check_host_nodes(hardware: Hardware, nodes: Iterable[int]) -> None:
    """Raise InvalidOption for NUMA nodes that this host does not have, if QEMU runs on it."""
    if _root(hardware) is None or not _HOST_NODES.is_dir():
        return
    known = sorted(int(one.name[len("node") :]) for one in _HOST_NODES.glob("node[0-9]*"))
    unknown = [node for node in nodes if node not in known]
    if unknown and known:
        raise InvalidOption(
            f"host_nodes contains {unknown[0]}, but the NUMA nodes of this host are {', '.join(map(str, known))}."
        )


def _root(hardware: Hardware) -> Path | None:
    """QEMU's root directory as it is seen from here; None if QEMU is on another host, or unknown."""
    monitor = hardware.cache.monitor
    if not isinstance(monitor.address, UnixAddress) or monitor.peer_pid is None:
        return None
    return Path(f"/proc/{monitor.peer_pid}/root")


def present_properties(hardware: Hardware, backend_id: str) -> dict[str, Any]:
    """The properties with which ``object-add`` creates the same backend again: its size, and those without their default."""
    path = f"/objects/{backend_id}"
    names = [
        name
        for name, kind in hardware.cache.qom_list([path])[0].items()
        if name not in _NOT_CARRIED and not name.startswith("x-") and not kind.startswith(("child<", "link<"))
    ]
    values = dict(zip(names, hardware.cache.qom_get((path, name) for name in names)))
    values = {name: value for name, value in values.items() if value is not None}
    defaults = default_properties(hardware, kind_of(hardware, backend_id))
    (size,) = hardware.cache.qom_get([(path, "size")], int)
    return {
        "size": size,
        **{name: value for name, value in values.items() if name not in defaults or value != defaults[name]},
    }


def carried_properties(hardware: Hardware, backend_id: str, kind: str, specified: Mapping[str, Any]) -> dict[str, Any]:
    """The properties that a new backend of this *kind* takes over from the present one: all that the task does not specify."""
    foreign = _foreign(kind)
    if "policy" in specified or "host-nodes" in specified:
        foreign += ["policy"] if "policy" in specified else []
        foreign += ["host-nodes"] if specified.get("policy") == "default" or "host-nodes" in specified else []
    if specified.get("hugetlb") is False:
        foreign += ["hugetlbsize"]
    if kind_of(hardware, backend_id) == "memfd" != kind:
        foreign += ["share"]  # the default of memfd
    return {
        name: value
        for name, value in present_properties(hardware, backend_id).items()
        if name != "size" and name not in foreign and name not in specified
    }


def object_properties(hardware: Hardware, kind: str, size: int, properties: Mapping[str, Any]) -> dict[str, Any]:
    """The properties of a new backend in the types of QEMU's schema. Raises InvalidOption for an unknown one."""
    known = {name: member.type for name, member in hardware.schema.command_arguments("object-add", PREFIX + kind).items()}
    if not known or hardware.schema.has_member("object-add", "props"):
        return {"size": size, **properties}
    return {"size": size, **typed(f"object {PREFIX}{kind}", properties, known, _OPTION_OF)}


def have_backend(hardware: Hardware, backend_id: str, kind: str, properties: Mapping[str, Any]) -> list[Step]:
    """The steps to have this backend for one memory device alone. There are none if the object exists, is equal and is not used,
    as a killed run leaves it. Raises Conflict if another object has its id."""
    if backend_id not in hardware.objects:
        return [add_object(hardware, PREFIX + kind, backend_id, properties)]
    present = hardware.objects[backend_id]
    needs = f"The memory needs a {PREFIX}{kind} with the id {backend_id}"
    if present != PREFIX + kind:
        raise Conflict(
            f"{needs}, but the object with this id is a {present}. Use another id, or remove it (qmp_object, state: absent)."
        )
    users = users_of_backend(hardware, backend_id)
    if users:
        raise Conflict(f"{needs}, but the object with this id is used by {', '.join(users)}. Use another id.", users=users)
    defaults = default_properties(hardware, kind)
    now, desired = ({**defaults, **one} for one in (present_properties(hardware, backend_id), properties))
    different = [name for name in sorted({*now, *desired}) if now.get(name) != desired.get(name)]
    if different:
        listed = "; ".join(
            f"{_OPTION_OF.get(name, name)} is {now.get(name)!r} and the task sets {desired.get(name)!r}" for name in different
        )
        raise Conflict(
            f"{needs}, but the object with this id has other properties: {listed}. Use another id, or remove it "
            "(qmp_object, state: absent)."
        )
    return []


def users_of_backend(hardware: Hardware, backend_id: str) -> list[str]:
    """The users of a memory backend: devices, the machine, or its address space, as for the backend of a NUMA node."""
    found = users_of_object(hardware, backend_id)
    path = f"/objects/{backend_id}"
    parts = [name for name, kind in hardware.cache.qom_list([path])[0].items() if kind == "child<memory-region>"]
    mapped = any(hardware.cache.qom_get(((f"{path}/{name}", "container") for name in parts), str))
    return found or (["the machine's address space"] if mapped else [])


def delete_backend(hardware: Hardware, backend_id: str, undo: bool = False) -> Delete:
    """``object-del``; with *undo*, a rollback adds the same object again."""
    now = present_properties(hardware, backend_id)
    again = add_object(hardware, hardware.objects[backend_id], backend_id, now) if undo else None
    return Delete("object-del", {"id": backend_id}, again)


def default_properties(hardware: Hardware, kind: str) -> dict[str, Any]:
    """The properties that QEMU gives a new backend of this *kind*, if the task does not set them."""
    machine = dict(zip(_OF_MACHINE, hardware.cache.qom_get([("/machine", name) for name in _OF_MACHINE.values()], bool)))
    defaults = {
        **_DEFAULTS,
        **{name: True if value is None else value for name, value in machine.items()},
        "share": kind == "memfd",
    }
    return {name: value for name, value in defaults.items() if name not in _foreign(kind)}


def _foreign(kind: str) -> list[str]:
    """The properties that other kinds of backend have, and this one does not."""
    return [name for other, names in _OWN.items() if other != kind for name in names]
