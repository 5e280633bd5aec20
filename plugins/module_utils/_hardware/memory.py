# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory: DIMMs, NVDIMMs and virtio-mem devices, each over a backend object that comes and goes with it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Mapping, NamedTuple

from .device import Difference, Front, device_arguments, device_differences, refuse
from .errors import Conflict, InvalidOption, NoFreeSlot, NotYet, Unsupported
from .frontend import Unplug, plug
from .launch import device_argument
from .model import PERIPHERAL, Device, Hardware
from .objects import add_object, delete_object, launch_argument
from .plan import Await, Execute, Plan, Run, Step
from .slots import PLACE_KEYS, default_driver, place_of
from .snapshot import Snapshot
from .values import check_id, typed

GUEST_BLOCK = 128 << 20
"""Bytes that a Linux guest on x86 adds at once; it leaves out what is no multiple of it."""
_VIRTIO_UNPLUG_SINCE = (8, 1)
_MOST_SUMS = 10_000
_COMPARED = ("share", "prealloc", "mem-path", "pmem", "policy", "host-nodes", "hugetlb", "hugetlbsize")


@dataclass(frozen=True)
class Piece:
    """What a task says of a piece of memory, in bytes; None is not stated. ``type`` is pc-dimm, nvdimm or virtio-mem, and where
    not stated what is there, or pc-dimm; ``properties`` are those of its backend object in QEMU's spelling."""

    front: Front
    type: str | None = None
    size: int | None = None
    backend: str = "ram"
    properties: Mapping[str, Any] = field(default_factory=dict)
    requested: int | None = None
    recreate: bool = False

    @property
    def id(self) -> str:
        return self.front.id

    @property
    def backend_id(self) -> str:
        return f"{self.id}.mem"

    @property
    def backend_type(self) -> str:
        return f"memory-backend-{self.backend}"


def plan_present(hardware: Hardware, piece: Piece) -> Plan:
    check_id(piece.id)
    device = _device(hardware, piece.id)
    before = describe(hardware, piece.id)
    kind = piece.type or (str(before["type"]) if before else "pc-dimm")
    piece = replace(piece, type=kind)
    driver = default_driver(hardware, "virtio-mem") if kind == "virtio-mem" else kind
    if piece.size == 0:
        raise InvalidOption("size 0 is no memory. With requested_size: 0 a virtio-mem device gives the guest none of its size.")
    if device is None and piece.size is None:
        raise InvalidOption(f"Memory {piece.id} does not exist yet: say with size how much it is to be.")
    if piece.requested is not None and kind != "virtio-mem":
        raise InvalidOption(f"requested_size is for type virtio-mem, not {kind}.")
    differences, unverified = _differences(hardware, piece, device, before) if device and before else ([], [])
    steps: list[Step] = []
    if before and differences and piece.recreate:
        steps += plan_absent(hardware, piece).steps
    else:
        refuse(f"Memory {piece.id}", differences)
        if before:
            return Plan(tuple(_requested_steps(hardware, piece.id, piece.requested, before)), before,
                        _after(piece, before, {}), tuple(unverified))
    size = piece.size or int((before or {})["size"])
    _refuse_full(hardware, piece, size)
    front = piece.front
    if piece.type == "virtio-mem":
        requested = size if piece.requested is None else piece.requested
        front = Front(front.id, None, front.place, {**front.options, "requested-size": requested}, front.properties)
    backend = _backend_properties(hardware, piece, size)
    arguments = device_arguments(hardware, front, driver, {"memdev": piece.backend_id})
    if piece.backend_id in hardware.objects and not steps:  # a killed run left it
        steps.append(delete_object(piece.backend_id))
    steps += [add_object(hardware, piece.backend_type, piece.backend_id, backend), *plug(arguments)]
    if piece.type == "virtio-mem" and _runs(hardware):
        steps.append(_reached(piece.id, int(arguments["requested-size"])))
    launch = ("-object", launch_argument(piece.backend_type, piece.backend_id, backend),
              "-device", device_argument(arguments, hardware.version))
    warnings = () if size % GUEST_BLOCK == 0 or piece.type != "pc-dimm" else (
        f"{size} bytes are no multiple of 128 MiB: a Linux guest on x86 leaves out what is beyond, or all of it.",)
    return Plan(tuple(steps), before, _after(replace(piece, size=size), None, arguments), (), launch, warnings)


def plan_absent(hardware: Hardware, piece: Piece) -> Plan:
    """Have neither the device nor its backend. Raises Unsupported for what QEMU never takes away."""
    check_id(piece.id)
    device = _device(hardware, piece.id)
    steps: list[Step] = []
    if device and device.driver == "nvdimm":
        raise Unsupported(f"{piece.id} is an NVDIMM, which QEMU cannot take away from a running VM.")
    if device and device.driver.startswith("virtio-mem"):
        if tuple(hardware.version) < _VIRTIO_UNPLUG_SINCE:
            raise Unsupported(f"QEMU {hardware.version_text} cannot take a virtio-mem device away; set requested_size: 0 to have "
                              "all of its memory back.")
        now = describe(hardware, piece.id) or {}
        if now.get("requested_size") or now.get("plugged"):
            steps += [_request(piece.id, 0), _reached(piece.id, 0)]
    if device:
        steps.append(Unplug(piece.id, by_scan=not device.driver.startswith("virtio")))
    backend = _backend_of(hardware, device, piece)
    if backend:
        steps.append(delete_object(backend))
    return Plan(tuple(steps), describe(hardware, piece.id), None)


def plan_total(hardware: Hardware, total: int) -> Plan:
    """Have *total* bytes in all, in the way that this VM allows: a virtio-mem device grows and shrinks; otherwise a DIMM comes,
    or those go that make up the difference."""
    before = describe_total(hardware)
    missing = total - before["total"]
    after = {**before, "total": total, "plugged": total - before["base"]}
    elastic = next((one for one in describe_all(hardware) if one["type"] == "virtio-mem"), None)
    if missing == 0:
        steps = _requested_steps(hardware, elastic["id"], elastic["requested_size"], elastic) if elastic else []
        return Plan(tuple(steps), before, before)
    if total < before["base"]:
        raise InvalidOption(f"total {total} is less than the {before['base']} bytes that the VM was started with.")
    if elastic:
        wanted = elastic["requested_size"] + missing
        if not 0 <= wanted <= elastic["size"]:
            least = before["total"] - elastic["requested_size"]
            raise InvalidOption(f"{elastic['id']} has {elastic['requested_size']} of at most {elastic['size']} bytes: the total "
                                f"can be {least} to {least + elastic['size']}.")
        return Plan(tuple(_requested_steps(hardware, elastic["id"], wanted, elastic)), before, after)
    if missing > 0:
        name = next(name for name in (f"dimm{number}" for number in range(1, 1000))
                    if name not in hardware.ids and f"{name}.mem" not in hardware.objects)
        made = plan_present(hardware, Piece(Front(name), size=missing))
        return Plan(made.steps, before, after, (), made.launch_args, made.warnings)
    dimms = [one for one in describe_all(hardware) if one["type"] == "pc-dimm" and not one["at_launch"]]
    sums = _sums(dimms)
    if -missing not in sums:
        sizes = [one["size"] for one in dimms]
        totals = sorted(before["total"] - size for size in sums)
        near = [*[one for one in totals if one < total][-1:], next(one for one in totals if one > total)]
        raise InvalidOption(f"No plugged DIMMs make up the {-missing} bytes that are too many; they have {sizes or 'nothing'}. "
                            f"The nearest total that can be is {' or '.join(map(str, near))}.", sizes=sizes, totals=near)
    steps = [step for name in sums[-missing] for step in plan_absent(hardware, Piece(Front(name))).steps]
    return Plan(tuple(steps), before, after)


def describe(hardware: Hardware, piece_id: str) -> dict[str, Any] | None:
    """The piece as it is now; sizes in bytes. ``plugged`` is what the guest has of a virtio-mem device."""
    return next((one for one in describe_all(hardware) if one["id"] == piece_id), None)


def describe_all(hardware: Hardware) -> list[dict[str, Any]]:
    """All memory devices that have an id."""
    found = []
    for entry in hardware.snapshot.ask_or([], "query-memory-devices"):
        data = entry["data"]
        if not data.get("id"):
            continue
        backend = str(data.get("memdev", "")).rsplit("/", 1)[-1]
        device = hardware.device(data["id"])
        one = {"id": data["id"], "type": {"dimm": "pc-dimm"}.get(entry["type"], entry["type"]),
               "size": data.get("max-size", data.get("size", 0)),
               "backend": hardware.objects.get(backend, "")[len("memory-backend-"):],
               "node": data.get("node"), "at_launch": bool(device and device.at_launch)}
        if "requested-size" in data:
            one.update(requested_size=data["requested-size"], plugged=data.get("size", 0), **(place_of(device) if device else {}))
        else:
            one.update(slot=data.get("slot"))
        found.append(one)
    return found


def describe_total(hardware: Hardware) -> dict[str, Any]:
    """Bytes at start, plugged and in all, with what a virtio-mem device is to have rather than what its guest has taken yet."""
    summary = hardware.snapshot.ask("query-memory-size-summary")
    pieces = describe_all(hardware)
    plugged = sum(one.get("requested_size", one["size"]) for one in pieces)
    return {"base": summary["base-memory"], "plugged": plugged, "total": summary["base-memory"] + plugged, "devices": pieces}


def is_memory(device: Device) -> bool:
    """Whether *device* gives the guest RAM; others too have a memory backend, such as ivshmem-plain."""
    return "memdev" in device.properties and device.driver.startswith(("pc-dimm", "nvdimm", "virtio-mem"))


def _device(hardware: Hardware, piece_id: str) -> Device | None:
    device = hardware.device(piece_id)
    if device and not is_memory(device):
        raise Conflict(f"The id {piece_id} belongs to a {device.driver}, which is no memory. Take another id.")
    return device


def _backend_of(hardware: Hardware, device: Device | None, piece: Piece) -> str | None:
    """The object behind a device, or the one that a killed run left."""
    name = str(device.properties["memdev"]).rsplit("/", 1)[-1] if device else piece.backend_id
    return name if name in hardware.objects else None


def _backend_properties(hardware: Hardware, piece: Piece, size: int) -> dict[str, Any]:
    if piece.backend == "file" and not piece.properties.get("mem-path"):
        raise InvalidOption("backend file needs mem_path, the file or the folder for it.")
    known = {name: member.type for name, member in hardware.schema.command_arguments("object-add", piece.backend_type).items()}
    if not known or hardware.schema.has_member("object-add", "props"):
        return {"size": size, **piece.properties}
    return {"size": size, **typed(f"object {piece.backend_type}", piece.properties, known)}


def _differences(hardware: Hardware, piece: Piece, device: Device,
                 now: Mapping[str, Any]) -> tuple[list[Difference], list[str]]:
    """How the piece and its backend differ from the wish, and which properties QEMU does not report back."""
    if now["type"] != piece.type:
        return [Difference("type", now["type"], piece.type)], []
    different, unverified = device_differences(hardware, piece.front, device)
    pairs: list[tuple[str, Any, Any]] = [("size", now["size"], piece.size)]
    if piece.size is not None or piece.properties:  # a task that only asks for more or less says nothing of the backend
        pairs.append(("backend", now["backend"], piece.backend))
    path = str(device.properties["memdev"])
    wanted = {name: value for name, value in piece.properties.items() if name in _COMPARED}
    values = hardware.snapshot.qom_get((path, name) for name in wanted)
    for name, value in zip(wanted, values):
        if value is None:
            unverified.append(name.replace("-", "_"))
        else:
            pairs.append((name.replace("-", "_"), value, wanted[name]))
    return different + [Difference(*pair) for pair in pairs if pair[2] is not None and pair[1] != pair[2]], unverified


def _refuse_full(hardware: Hardware, piece: Piece, size: int) -> None:
    """Raise NoFreeSlot where the VM was started without a place for so much, beside what has other ids: what is made anew
    leaves its own place."""
    room = room_beside(hardware, piece.id)
    if room and (size > room.size or (piece.type != "virtio-mem" and not room.slots)):
        raise NoFreeSlot(f"The VM has {room.slots} free memory slots and room for {room.size} bytes, not for {size}. Start it "
                         f"with {' '.join(room.launch_args(size))}.", free=room.size)


class Room(NamedTuple):
    """What memory a VM can still take: DIMM slots and bytes; ``base`` is what it was started with, ``used`` are taken slots."""

    slots: int
    size: int
    base: int
    used: int

    def launch_args(self, size: int) -> list[str]:
        """With which there would be slots, and room for several times *size* bytes more."""
        return ["-m", f"size={self.base},slots={self.slots + self.used + 4},maxmem={self.base + self.size + 8 * size}"]


def room_beside(hardware: Hardware, piece_id: str | None = None) -> Room | None:
    """The room beside all memory but the piece of this id; None where QEMU does not tell, as before 7.1."""
    machine = hardware.snapshot.qom_get([("/machine", "memory")], dict)[0] or {}
    maximum, slots = machine.get("max-size"), machine.get("slots")
    if not isinstance(maximum, int) or not isinstance(slots, int):
        return None
    base = hardware.snapshot.ask("query-memory-size-summary")["base-memory"]
    others = [entry["data"] for entry in hardware.snapshot.ask_or([], "query-memory-devices")
              if piece_id is None or entry["data"].get("id") != piece_id]
    used = sum("slot" in one for one in others)
    return Room(slots - used, maximum - base - sum(one.get("max-size", one.get("size", 0)) for one in others), base, used)


def _requested_steps(hardware: Hardware, piece_id: str, wanted: int | None, now: Mapping[str, Any]) -> list[Step]:
    """Grow or shrink a virtio-mem device, or wait for a guest that has not done so yet; one that stands still cannot."""
    if wanted is None:
        return []
    steps: list[Step] = [_request(piece_id, wanted, now["requested_size"])] if wanted != now["requested_size"] else []
    if (steps or now["plugged"] != wanted) and _runs(hardware):
        steps.append(_reached(piece_id, wanted))
    return steps


def _request(piece_id: str, size: int, was: int | None = None) -> Execute:
    path = f"{PERIPHERAL}/{piece_id}"
    back = None if was is None else Execute("qom-set", {"path": path, "property": "requested-size", "value": was})
    return Execute("qom-set", {"path": path, "property": "requested-size", "value": size}, back)


def _reached(piece_id: str, wanted: int) -> Await:
    """Wait until the guest has what was requested; QEMU's events tell of it late or not at all."""

    def size(run: Run) -> int:
        return Snapshot(run.monitor).qom_get([(f"{PERIPHERAL}/{piece_id}", "size")], int)[0] or 0

    def late(run: Run) -> NotYet:
        now = size(run)
        left = abs(now - wanted)
        return NotYet(f"The guest has {now} bytes of {piece_id} after {run.timeout:g} s, and {wanted} are wanted: {left} bytes "
                      "are left. The request stands; run this again to wait on.", size=now, remainder=left)

    return Await(lambda run: size(run) == wanted, late)


def _runs(hardware: Hardware) -> bool:
    return bool(hardware.snapshot.ask("query-status")["running"])


def _sums(pieces: list[dict[str, Any]]) -> dict[int, list[str]]:
    """The numbers of bytes that pieces make up together, _MOST_SUMS at most, with their ids; the newest slots first."""
    sums: dict[int, list[str]] = {0: []}
    for piece in sorted(pieces, key=lambda one: -(one["slot"] or 0)):
        for reached, names in list(sums.items())[:_MOST_SUMS - len(sums)]:
            sums.setdefault(reached + piece["size"], [*names, piece["id"]])
    return sums


def _after(piece: Piece, before: Mapping[str, Any] | None, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What the description will say, as far as it is known beforehand."""
    after = dict(before or {"id": piece.id, "type": piece.type, "size": piece.size, "backend": piece.backend, "at_launch": False})
    if arguments:
        after.update({name: arguments[name] for name in PLACE_KEYS if name in arguments and piece.type == "virtio-mem"})
    if piece.type == "virtio-mem":
        requested = piece.requested if piece.requested is not None else after.get("requested_size", piece.size)
        after.update(requested_size=requested, plugged=requested)
    return after
