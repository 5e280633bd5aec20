# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The memory devices of a VM as QEMU reports them, and the table of the options that describe one."""

from __future__ import annotations

from typing import Any, Mapping, NamedTuple

from ...model.hardware import Device, Hardware
from ...model.slots import slot_of
from ..option_table import UNSET, Option, results

PREFIX = "memory-backend-"
_TYPES = {"dimm": "pc-dimm"}
"""The types of ``query-memory-devices`` that have another name as option."""


class MemoryDevice(NamedTuple):
    """A memory device, present or planned. Sizes are in bytes.

    ``id`` is empty for a device without one. ``size`` of a virtio-mem device is the most that the guest can have,
    ``requested_size`` what it is to have, and ``plugged`` what it has now; for others both are None. ``backend`` is the kind of
    the backend, such as ram. ``slot`` has those of ``bus`` and ``addr`` that are known. ``properties`` are those of the device,
    and ``backend_properties`` those of the backend, that have an option, by QEMU's names.
    """

    id: str
    type: str
    size: int
    requested_size: int | None
    plugged: int | None
    backend: str
    backend_id: str
    slot: Mapping[str, Any]
    properties: Mapping[str, Any]
    backend_properties: Mapping[str, Any]
    at_launch: bool


def _of_device(name: str, qemu: str) -> Option:
    return Option(name, qemu, lambda memory: memory.properties.get(qemu))


def _of_backend(name: str, qemu: str) -> Option:
    return Option(name, qemu, lambda memory: memory.backend_properties.get(qemu))


PROPERTIES = (
    _of_device("node", "node"),
    _of_device("slot", "slot"),
)
"""The options that are properties of the device."""

BACKEND = (
    _of_backend("mem_path", "mem-path"),
    _of_backend("share", "share"),
    _of_backend("prealloc", "prealloc"),
    _of_backend("pmem", "pmem"),
    _of_backend("hugetlb", "hugetlb"),
    Option("hugetlbsize", "hugetlbsize", lambda memory: _size(memory.backend_properties.get("hugetlbsize")), size=True),
    _of_backend("host_nodes", "host-nodes")._replace(
        same=lambda memory, nodes: {*map(str, memory.backend_properties["host-nodes"])} == {*map(str, nodes)}
    ),
    _of_backend("policy", "policy"),
)
"""The options that are properties of the backend object."""

OPTIONS = (
    Option("type", "driver", lambda memory: memory.type),
    Option("size", "size", lambda memory: memory.size, size=True),
    Option("requested_size", "requested-size", lambda memory: memory.requested_size, size=True),
    Option("backend", "qom-type", lambda memory: memory.backend or None),
    *BACKEND,
    *PROPERTIES,
    Option("bus", "bus", lambda memory: memory.slot.get("bus")),
    Option("addr", "addr", lambda memory: memory.slot.get("addr")),
)
"""All options that describe a memory device."""


def _size(value: Any) -> Any:
    """The size of huge pages, for which 0 means not set."""
    return UNSET if value == 0 else value


def memory_devices(hardware: Hardware) -> list[MemoryDevice]:
    """All memory devices."""
    entries = hardware.memory_devices
    backends = [str(one["data"].get("memdev", "")).rsplit("/", 1)[-1] for one in entries]
    names = ["size", *(row.qemu for row in BACKEND)]
    values = iter(hardware.cache.qom_get((f"/objects/{backend}", name) for backend in backends for name in names))
    return [
        _memory_device(hardware, entry["type"], entry["data"], backend, {name: next(values) for name in names})
        for entry, backend in zip(entries, backends)
    ]


def memory_device(hardware: Hardware, memory_id: str) -> MemoryDevice | None:
    """The memory device with this id."""
    return next((one for one in memory_devices(hardware) if one.id == memory_id), None)


def _memory_device(
    hardware: Hardware, kind: str, data: Mapping[str, Any], backend_id: str, backend_properties: Mapping[str, Any]
) -> MemoryDevice:
    name = data.get("id", "")
    device = hardware.device(name) if name else None
    elastic = "requested-size" in data
    # the size of an NVDIMM is reported without its label
    whole = backend_properties["size"] if kind == "nvdimm" and isinstance(backend_properties["size"], int) else None
    if "addr" in data:  # of a DIMM or an NVDIMM, in the guest's memory; others are on a bus
        slot = {"addr": f"{data['addr']:#x}"}
    else:
        slot = slot_of(device) if device else {}
    return MemoryDevice(
        id=name,
        type=_TYPES.get(kind, kind),
        size=whole or data.get("max-size", data.get("size", 0)),
        requested_size=data["requested-size"] if elastic else None,
        plugged=data.get("size", 0) if elastic else None,
        backend=kind_of(hardware, backend_id),
        backend_id=backend_id,
        slot=slot,
        properties=_properties(hardware, device, data) if device else data,
        backend_properties=backend_properties,
        at_launch=device.at_launch if device else not data.get("hotplugged", False),
    )


def _properties(hardware: Hardware, device: Device, data: Mapping[str, Any]) -> dict[str, Any]:
    """The properties that have an option. Those in *data* are the ones that QEMU has chosen, if it has chosen."""
    names = [row.qemu for row in PROPERTIES if row.qemu in device.types]
    return {**dict(zip(names, hardware.cache.qom_get((device.path, name) for name in names))), **data}


def describe(memory: MemoryDevice) -> dict[str, Any]:
    """A memory device as the options that would create it, with what else QEMU reports of it."""
    plugged = {} if memory.plugged is None else {"plugged": memory.plugged}
    return {"id": memory.id or None, **results(OPTIONS, memory), **plugged, "at_launch": memory.at_launch}


def is_memory(device: Device) -> bool:
    """Whether *device* gives the guest RAM. Other devices can have a memory backend too, such as ivshmem-plain."""
    return "memdev" in device.properties and device.driver.startswith(("pc-dimm", "nvdimm", "virtio-mem"))


def kind_of(hardware: Hardware, backend_id: str) -> str:
    """``ram``, ``file``, ``memfd`` and so on; another type of object by its whole name; empty if there is no such object."""
    qom_type = hardware.objects.get(backend_id, "")
    return qom_type[len(PREFIX) :] if qom_type.startswith(PREFIX) else qom_type
