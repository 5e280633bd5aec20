# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task specifies of memory, and the checks of it before the first command."""

from __future__ import annotations

import re
from dataclasses import field, replace
from typing import Any, Mapping, Union

from ...errors import InvalidOption, NoFreeSlot, Unsupported
from ...lazy import dataclass
from ...model.hardware import Device, Hardware
from ...model.slots import SlotRequest, default_driver
from ..frontend import FrontendSpec
from ..option_table import Values
from .backend import alignment, check_file, check_host_nodes, check_options, check_size, object_properties
from .capacity import X86, numa_nodes, region, room_beside
from .present import BACKEND, MemoryDevice

MOST = 1 << 63
"""All sizes in bytes are less. QEMU aborts at 2^64 - 1."""
_BLOCK = 2 << 20
"""The default block size of virtio-mem, if the host has transparent huge pages of this size."""
_LEAST_BLOCK = 1 << 20
_ADDRESS = re.compile(r"(0[xX][0-9A-Fa-f]+|[0-9]+)\Z")


@dataclass(frozen=True)
class TotalSpec:
    """A task that specifies how many bytes of memory the VM has in total. ``kept``: ids of memory devices that the same task
    lists, so that the total is reached without them."""

    total: int
    kept: frozenset[str] = frozenset()


@dataclass(frozen=True)
class MemorySpec:
    """What a task specifies of a memory device. Sizes are in bytes; None means not set.

    ``type`` is pc-dimm, nvdimm or virtio-mem; by default that of the present device, or pc-dimm. ``backend`` is ram, file or
    memfd; by default that of the present device, or file for an NVDIMM and ram for others. ``properties`` are those of the
    backend object, by QEMU's names.
    """

    frontend: FrontendSpec
    type: str | None = None
    size: int | None = None
    requested_size: int | None = None
    backend: str | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)
    recreate: bool = False

    @property
    def id(self) -> str:
        return self.frontend.id

    @property
    def backend_id(self) -> str:
        return f"{self.id}.mem"

    @property
    def compared(self) -> Values:
        """The options that must have this value, by name. ``requested_size`` is not among them: it can be changed in place."""
        return {
            "size": self.size,
            "backend": self.backend,
            **{row.name: self.properties[row.qemu] for row in BACKEND if row.qemu in self.properties},
        }


Spec = Union[MemorySpec, TotalSpec]
"""What a task specifies: one memory device, or the total."""


def completed(spec: MemorySpec, kind: str, present: MemoryDevice | None) -> MemorySpec:
    """The spec with the values that follow from the type of memory, *kind*. Raises InvalidOption for options that contradict."""
    for option, value in (("size", spec.size), ("requested_size", spec.requested_size)):
        if value is not None and not 0 <= value < MOST:
            raise InvalidOption(f"{option} {value} is not a size. Set bytes, or a number with K, M, G or T, below 8E.")
    if spec.size == 0:
        raise InvalidOption("size 0 is too small. To have a virtio-mem device give the guest no memory, set requested_size: 0.")
    if spec.requested_size is not None and kind != "virtio-mem":
        raise InvalidOption(f"requested_size requires type: virtio-mem, but the type is {kind}. Leave out requested_size.")
    node, slot = (spec.frontend.options.get(name) for name in ("node", "slot"))
    if node is not None and node < 0:
        raise InvalidOption(f"node {node} is not a NUMA node of the guest. They are numbered from 0.")
    if slot is not None and kind == "virtio-mem":
        raise InvalidOption("slot is an option of DIMMs. A virtio-mem device has none: use bus and addr instead.")
    if slot is not None and slot < 0:
        raise InvalidOption(
            f"slot {slot} is not a memory slot. They are numbered from 0. Leave out slot to use the first free one."
        )
    frontend = spec.frontend if kind == "virtio-mem" else _with_address(spec.frontend, kind)
    backend = spec.backend or (present.backend if present else "") or "ram"
    if kind == "nvdimm":
        backend = _file_of_nvdimm(spec, present)
    return replace(spec, frontend=frontend, type=kind, backend=backend)


def _file_of_nvdimm(spec: MemorySpec, present: MemoryDevice | None) -> str:
    """The kind of backend of an NVDIMM. Raises InvalidOption for an NVDIMM that would lose its content."""
    was_nvdimm = present is not None and present.type == "nvdimm"
    if spec.backend not in (None, "file"):
        raise InvalidOption(
            f"An NVDIMM keeps its content in a file, which backend: {spec.backend} does not have. Set backend: file, and "
            "mem_path to the file."
        )
    if present is None and not spec.properties.get("mem-path"):
        raise InvalidOption("An NVDIMM keeps its content in a file. Set mem_path to the file.")
    private = was_nvdimm and present is not None and present.backend_properties.get("share") is False
    if spec.properties.get("share") is False and not private:
        raise InvalidOption(
            "share: false gives an NVDIMM a private copy of its file, so that everything the guest writes is lost. "
            "Leave out share, or set it to true."
        )
    return present.backend if present and was_nvdimm and not spec.backend else "file"


def _with_address(frontend: FrontendSpec, kind: str) -> FrontendSpec:
    """A DIMM is not on a bus: its ``addr`` is an address in the guest's memory, and a property of the device."""
    if frontend.slot.bus is not None:
        raise InvalidOption(f"bus requires type: virtio-mem. A {kind} is not on a bus: use slot, node and addr instead.")
    addr = frontend.slot.addr
    if addr is None:
        return frontend
    number = int(addr, 0 if addr[:2].lower() == "0x" else 10) if _ADDRESS.match(addr) else 0
    if not 0 < number < MOST:
        raise InvalidOption(
            f"addr {addr!r} is not an address. For a {kind}, set the address in the guest's memory, such as 0x140000000, or "
            "leave out addr to have QEMU choose."
        )
    return replace(frontend, slot=SlotRequest(reserved=frontend.slot.reserved), options={**frontend.options, "addr": number})


def check_new(hardware: Hardware, spec: MemorySpec, size: int, device: Device | None) -> dict[str, Any]:
    """The properties of the new backend. Raises for new memory that QEMU would refuse, if that can be known before."""
    if "size" in spec.frontend.properties:
        raise InvalidOption("properties contains 'size'. Use the option 'size' instead.")
    kind = str(spec.backend)
    if spec.type == "nvdimm":
        spec = replace(spec, properties={**spec.properties, "share": True})
        if hardware.cache.qom_get([("/machine", "nvdimm")])[0] is not True:
            raise Unsupported("The VM was started without support for NVDIMMs. Start it with -machine nvdimm=on.")
    check_options(kind, spec.properties)
    properties = object_properties(hardware, kind, size, spec.properties)
    check_size(hardware, kind, properties, size)
    check_requested(hardware, spec, size, device)
    node = spec.frontend.options.get("node")
    nodes = numa_nodes(hardware) if node else None
    if node and nodes is not None and node >= max(nodes, 1):
        raise InvalidOption(f"node {node} is not a NUMA node of the guest, which has {max(nodes, 1)}, numbered from 0.")
    check_host_nodes(hardware, properties.get("host-nodes", ()))
    if "mem-path" in properties:
        check_file(hardware, str(properties["mem-path"]), size, spec.type == "nvdimm")
    return properties


def check_requested(hardware: Hardware, spec: MemorySpec, size: int, device: Device | None) -> None:
    """Raise InvalidOption for a requested size that the virtio-mem device, present or new, cannot have."""
    if spec.type != "virtio-mem":
        return
    specified = spec.frontend.specified(hardware, default_driver(hardware, "virtio-mem")).get("block-size")
    present = hardware.property_of(device, "block-size") if device and specified is None else None
    default = max(_BLOCK, alignment(hardware, str(spec.backend), spec.properties)) if hardware.target in X86 else None
    block = next((value for value in (specified, present, default) if isinstance(value, int)), None)
    if block is None:
        return
    if block < _LEAST_BLOCK or block & (block - 1):
        raise InvalidOption(f"block-size {block} is not a power of two, or less than {_LEAST_BLOCK}. Set another one.")
    if size % block:
        raise InvalidOption(f"size {size} is not a multiple of the block size of the virtio-mem device, {block} bytes.")
    requested = spec.requested_size
    if requested is None:
        return
    if requested > size:
        raise InvalidOption(f"requested_size {requested} is more than the size of {spec.id}, {size}.")
    if requested % block:
        raise InvalidOption(
            f"requested_size {requested} is not a multiple of the block size of {spec.id}, {block} bytes.", block_size=block
        )


def check_range(hardware: Hardware, spec: MemorySpec, size: int) -> None:
    """Raise for a slot or an address of a DIMM that is occupied, or that the VM does not have."""
    slot, addr = spec.frontend.options.get("slot"), spec.frontend.options.get("addr")
    room = room_beside(hardware, spec.id)
    if slot is not None and room is not None:
        if slot >= room.total_slots:
            raise InvalidOption(
                f"slot {slot} does not exist: the VM was started with {room.total_slots} memory slots, from 0 on."
            )
        if slot in room.taken:
            raise NoFreeSlot(f"Memory slot {slot} is occupied. Use another one, or leave out slot to use the first free one.")
    if addr is None:
        return
    check_size(hardware, str(spec.backend), spec.properties, addr, "addr")
    limits = region(hardware)
    if limits and not limits[0] <= addr <= limits[1] - size:
        raise InvalidOption(
            f"addr {addr:#x} is outside of the address range for memory devices. {size} bytes fit at addresses from "
            f"{limits[0]:#x} to {limits[1] - size:#x}."
        )
    for entry in hardware.memory_devices:
        data = entry["data"]
        start, length = data.get("addr", data.get("memaddr", 0)), data.get("max-size", data.get("size", 0))
        if data.get("id") != spec.id and start < addr + size and addr < start + length:
            raise NoFreeSlot(
                f"addr {addr:#x} is occupied: {data.get('id')} is at {start:#x} and has {length} bytes. Use another address, or "
                "leave out addr."
            )
