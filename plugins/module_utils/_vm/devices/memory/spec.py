# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task says of memory, and all that can be known to be wrong with it before the first command."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any, Mapping

from ...errors import InvalidOption, NoFreeSlot, Unsupported
from ...model.hardware import Device, Hardware
from ...model.slots import SlotRequest, default_driver
from ..frontend import FrontendSpec
from ..option_table import Option
from .backend import alignment, check_file, check_host_nodes, check_options, check_size, object_properties
from .capacity import X86, numa_nodes, region, room_beside

MOST = 1 << 63
"""No size in bytes reaches it. QEMU aborts at 2^64 - 1."""
_BLOCK = 2 << 20
"""Steps in which virtio-mem gives memory by default, where the host has transparent huge pages of this size."""
_LEAST_BLOCK = 1 << 20
_ADDRESS = re.compile(r"(0[xX][0-9A-Fa-f]+|[0-9]+)\Z")


PROPERTIES = (
    Option("node", "node"),
    Option("slot", "slot"),
)
"""The options that are properties of the device."""


@dataclass(frozen=True)
class MemorySpec:
    """What a task says of a piece of memory, in bytes; None is not stated. ``type`` is pc-dimm, nvdimm or virtio-mem, and where
    not stated what is there, or pc-dimm; ``backend`` where not stated what is there, or file for an NVDIMM, ram for others;
    ``properties`` are those of its backend object in QEMU's spelling."""

    frontend: FrontendSpec
    type: str | None = None
    size: int | None = None
    backend: str | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)
    requested: int | None = None
    recreate: bool = False

    @property
    def id(self) -> str:
        return self.frontend.id

    @property
    def backend_id(self) -> str:
        return f"{self.id}.mem"


def completed(piece: MemorySpec, kind: str, before: Mapping[str, Any] | None) -> MemorySpec:
    """What the task specifies, checked for itself, with what follows from the kind of memory. Raises InvalidOption."""
    for option, value in (("size", piece.size), ("requested_size", piece.requested)):
        if value is not None and not 0 <= value < MOST:
            raise InvalidOption(f"{option} {value} is not a size: give bytes, or a number with K, M, G or T, below 8E.")
    if piece.size == 0:
        raise InvalidOption("size 0 is no memory. With requested_size: 0 a virtio-mem device gives the guest none of its size.")
    if piece.requested is not None and kind != "virtio-mem":
        raise InvalidOption(f"requested_size is for type virtio-mem, not {kind}.")
    frontend = piece.frontend
    if frontend.options.get("node") is not None and frontend.options["node"] < 0:
        raise InvalidOption(f"node {frontend.options['node']} is not a NUMA node of the guest: they are numbered from 0.")
    slot = frontend.options.get("slot")
    if slot is not None and kind == "virtio-mem":
        raise InvalidOption("slot is for DIMMs; a virtio-mem device takes none. Say with bus and addr where it goes.")
    if slot is not None and slot < 0:
        raise InvalidOption(
            f"slot {slot} is not a memory slot: they are numbered from 0. Leave slot out to have the first free one."
        )
    if kind != "virtio-mem":
        frontend = _placed(frontend, kind)
    backend, properties = piece.backend or (before or {}).get("backend") or "ram", piece.properties
    if kind == "nvdimm":
        backend = piece.backend or ("file" if before is None or before["type"] != kind else backend)
        if piece.backend not in (None, "file"):
            raise InvalidOption(
                f"An NVDIMM keeps its content in a file, and backend: {piece.backend} has none. Set backend: "
                "file, and mem_path to the file."
            )
        if before is None and not properties.get("mem-path"):
            raise InvalidOption("An NVDIMM keeps its content in a file: say with mem_path in which.")
        if properties.get("share") is False:
            raise InvalidOption(
                "share: false gives an NVDIMM a private copy of its file: what the guest writes would be lost. "
                "Leave share out, or set it to true."
            )
    return replace(piece, frontend=frontend, type=kind, backend=backend)


def _placed(frontend: FrontendSpec, kind: str) -> FrontendSpec:
    """A DIMM sits on no bus: its ``addr`` is the address that the guest finds it at, a property like others."""
    if frontend.slot.bus is not None:
        raise InvalidOption(
            f"bus is for type virtio-mem. A {kind} sits on no bus: say with slot, node and addr, its address in "
            "the guest's memory, where it goes."
        )
    addr = frontend.slot.addr
    if addr is None:
        return frontend
    if not _ADDRESS.match(addr) or not 0 < int(addr, 0 if addr[:2].lower() == "0x" else 10) < MOST:
        raise InvalidOption(
            f"addr {addr!r} is not an address: for a {kind} it is where the guest finds the memory, such as "
            "0x140000000. Leave it out to have QEMU choose."
        )
    number = int(addr, 0 if addr[:2].lower() == "0x" else 10)
    return replace(frontend, slot=SlotRequest(reserved=frontend.slot.reserved), options={**frontend.options, "addr": number})


def check_new(hardware: Hardware, piece: MemorySpec, size: int, device: Device | None) -> dict[str, Any]:
    """The properties of the new backend, with all that can be known about the new memory checked beforehand."""
    if "size" in piece.frontend.properties:
        raise InvalidOption("properties has 'size', which the option 'size' is for.")
    kind = str(piece.backend)
    if piece.type == "nvdimm":
        piece = replace(piece, properties={**piece.properties, "share": True})
        if hardware.cache.qom_get([("/machine", "nvdimm")])[0] is not True:
            raise Unsupported("The VM was started without NVDIMMs. Start it with -machine nvdimm=on.")
    check_options(kind, piece.properties)
    properties = object_properties(hardware, kind, size, piece.properties)
    check_size(hardware, kind, properties, size)
    check_requested(hardware, piece, size, device)
    node = piece.frontend.options.get("node")
    nodes = numa_nodes(hardware) if node else None
    if node and nodes is not None and node >= max(nodes, 1):
        raise InvalidOption(f"node {node} is not a NUMA node of the guest, which has {max(nodes, 1)}, numbered from 0.")
    check_host_nodes(hardware, properties.get("host-nodes", ()))
    if "mem-path" in properties:
        check_file(hardware, str(properties["mem-path"]), size, piece.type == "nvdimm")
    return properties


def check_requested(hardware: Hardware, piece: MemorySpec, size: int, device: Device | None) -> None:
    """Raise InvalidOption for a requested size that the virtio-mem device cannot have."""
    if piece.type != "virtio-mem":
        return
    stated = piece.frontend.specified(hardware, default_driver(hardware, "virtio-mem")).get("block-size")
    present = hardware.property_of(device, "block-size") if device and stated is None else None
    default = max(_BLOCK, alignment(hardware, str(piece.backend), piece.properties)) if hardware.target in X86 else None
    block = next((value for value in (stated, present, default) if isinstance(value, int)), None)
    if block is None:
        return
    if block < _LEAST_BLOCK or block & (block - 1):
        raise InvalidOption(f"block-size {block} is not a block: a power of two from {_LEAST_BLOCK} on.")
    if size % block:
        raise InvalidOption(
            f"size {size} is not a multiple of {block} bytes, the blocks in which a virtio-mem device gives memory."
        )
    if piece.requested is None:
        return
    if piece.requested > size:
        raise InvalidOption(f"requested_size {piece.requested} is more than the size of {piece.id}, {size}.")
    if piece.requested % block:
        raise InvalidOption(
            f"requested_size {piece.requested} is not a multiple of {block} bytes, the blocks in which {piece.id} gives memory.",
            block_size=block,
        )


def check_range(hardware: Hardware, piece: MemorySpec, size: int) -> None:
    """Raise for a slot or an address of a DIMM that is taken, or that the VM does not have."""
    slot, addr = piece.frontend.options.get("slot"), piece.frontend.options.get("addr")
    room = room_beside(hardware, piece.id)
    if slot is not None and room is not None:
        if slot >= room.total_slots:
            raise InvalidOption(
                f"slot {slot} is beyond the {room.total_slots} memory slots that the VM was started with, which "
                "are numbered from 0."
            )
        if slot in room.taken:
            raise NoFreeSlot(f"Memory slot {slot} is taken. Name another, or none to have the first that is free.")
    if addr is None:
        return
    check_size(hardware, str(piece.backend), piece.properties, addr, "addr")
    limits = region(hardware)
    if limits and not limits[0] <= addr <= limits[1] - size:
        raise InvalidOption(
            f"addr {addr:#x} is outside of where memory devices go in this VM: with {size} bytes from "
            f"{limits[0]:#x} to {limits[1] - size:#x}."
        )
    for entry in hardware.memory_devices:
        data = entry["data"]
        start, length = data.get("addr", data.get("memaddr", 0)), data.get("max-size", data.get("size", 0))
        if data.get("id") != piece.id and start < addr + size and addr < start + length:
            raise NoFreeSlot(
                f"addr {addr:#x} is taken: {data.get('id')} is at {start:#x} with {length} bytes. Name another, or none."
            )
