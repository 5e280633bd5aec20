# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory: DIMMs, NVDIMMs and virtio-mem devices, each over a backend object that comes and goes with it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Mapping

from ...errors import Conflict, InvalidOption, StillInProgress, Unsupported
from ...model.hardware import PERIPHERAL, Device, Hardware
from ...model.query_cache import QueryCache
from ...model.slots import default_driver, slot_of, slot_options
from ...model.users import users_of_object
from ...model.values import check_id
from ...plan.command_line import device_argument
from ...plan.hotplug import Plug, Unplug, plug
from ...plan.plan import Await, Execute, Plan, Run, Step
from ..current import current_arguments
from ..frontend import FrontendSpec, device_arguments, device_differences, recreated_arguments, refuse
from ..objects.plans import add_object, launch_argument
from ..option_table import Difference
from .backend import (
    PREFIX,
    carried_properties,
    check_kind,
    delete_backend,
    have_backend,
    kind_of,
    object_properties,
    present_properties,
    size_of,
    users_of_backend,
)
from .capacity import refuse_lack
from .spec import MemorySpec, check_new, check_range, check_requested, completed

GUEST_BLOCK = 128 << 20
"""Bytes that a Linux guest on x86 adds at once; it leaves out what is no multiple of it."""
_VIRTIO_UNPLUG_SINCE = (8, 1)
_COMPARED = ("share", "prealloc", "mem-path", "pmem", "policy", "host-nodes", "hugetlb", "hugetlbsize")


def plan_present(hardware: Hardware, piece: MemorySpec) -> Plan:
    check_id(piece.id)
    device = _device(hardware, piece.id)
    before = describe(hardware, piece.id)
    kind = piece.type or (str(before["type"]) if before else "pc-dimm")
    piece = completed(piece, kind, before)
    driver = default_driver(hardware, "virtio-mem") if kind == "virtio-mem" else kind
    if device is None and piece.size is None:
        raise InvalidOption(f"Memory {piece.id} does not exist yet: say with size how much it is to be.")
    check_kind(str(piece.backend), piece.properties)
    object_properties(hardware, str(piece.backend), 0, piece.properties)
    if device and before:
        differences, unverified = _differences(hardware, piece, device, before)
        if differences and piece.recreate:
            return _recreated(hardware, piece, device, before, driver)
        refuse(f"Memory {piece.id}", differences)
        check_requested(hardware, piece, int(before["size"]), device)
        return Plan(
            tuple(requested_steps(hardware, piece.id, piece.requested, before)),
            before,
            _after(piece, before, {}),
            tuple(unverified),
            launch_args(hardware, device, _stated(hardware, piece, driver)),
            _private(hardware, device),
        )
    size = int(piece.size or 0)
    properties = check_new(hardware, piece, size, None)
    refuse_lack(hardware, piece.id, size, kind == "virtio-mem")
    frontend = _front(piece, size)
    arguments = device_arguments(hardware, frontend, driver, {"memdev": piece.backend_id})
    check_range(hardware, piece, size)
    steps = [*have_backend(hardware, piece.backend_id, str(piece.backend), properties), *plug(arguments)]
    return _plugged(hardware, piece, size, steps, properties, arguments, None)


def _front(piece: MemorySpec, size: int) -> FrontendSpec:
    if piece.type != "virtio-mem":
        return piece.frontend
    requested = size if piece.requested is None else piece.requested
    return replace(piece.frontend, driver=None, options={**piece.frontend.options, "requested-size": requested})


def _plugged(
    hardware: Hardware,
    piece: MemorySpec,
    size: int,
    steps: list[Step],
    properties: Mapping[str, Any],
    arguments: dict[str, Any],
    before: dict[str, Any] | None,
) -> Plan:
    if piece.type == "virtio-mem" and runs(hardware):
        steps = [*steps, _reached(piece.id, int(arguments["requested-size"]))]
    warnings = (
        ()
        if size % GUEST_BLOCK == 0 or piece.type != "pc-dimm"
        else (f"{size} bytes are no multiple of 128 MiB: a Linux guest on x86 leaves out what is beyond, or all of it.",)
    )
    requested = arguments.get("requested-size")
    return Plan(
        tuple(steps),
        before,
        _after(replace(piece, size=size, requested=requested), None, arguments),
        (),
        _words(hardware, str(piece.type), PREFIX + str(piece.backend), piece.backend_id, properties, arguments),
        warnings,
    )


def _recreated(hardware: Hardware, piece: MemorySpec, device: Device, before: dict[str, Any], driver: str) -> Plan:
    """Have it made anew, with what the task does not specify as it is. All of the new one is checked before the old one goes, and
    where adding it fails, the old one is put back."""
    gone = _unplug_steps(hardware, device, undo=True)
    old = _memdev(device)
    size = piece.size or int(before["size"])
    if piece.type == "virtio-mem" == before["type"] and piece.requested is None:
        piece = replace(piece, requested=min(int(before["requested_size"]), size))
    kept = carried_properties(hardware, old, str(piece.backend), piece.properties) if old in hardware.objects else {}
    piece = replace(piece, properties={**kept, **piece.properties})
    options = dict(piece.frontend.options)
    if device.driver != driver:  # what is on a bus has no slot, and neither has what the other kind of memory has
        for name in ("node", *(() if "virtio-mem" in (piece.type, before["type"]) else ("slot",))):
            options[name] = options[name] if options.get(name) is not None else before.get(name) or None
    piece = replace(piece, frontend=replace(piece.frontend, options=options))
    properties = check_new(hardware, piece, size, device if device.driver == driver else None)
    refuse_lack(hardware, piece.id, size, piece.type == "virtio-mem")
    check_range(hardware, piece, size)
    arguments = recreated_arguments(hardware, _front(piece, size), driver, {"memdev": piece.backend_id}, device)
    steps = [*gone]
    if old in hardware.objects:
        steps.append(delete_backend(hardware, old, undo=True))
    if old != piece.backend_id:
        steps += have_backend(hardware, piece.backend_id, str(piece.backend), properties)
    else:
        steps.append(add_object(hardware, PREFIX + str(piece.backend), old, properties))
    steps += plug(arguments)
    return _plugged(hardware, piece, size, steps, properties, arguments, before)


def plan_absent(hardware: Hardware, piece: MemorySpec) -> Plan:
    """Have neither the device nor its backend. Raises Unsupported for what QEMU never takes away."""
    check_id(piece.id)
    device = _device(hardware, piece.id)
    steps = _unplug_steps(hardware, device) if device else []
    backend = _memdev(device) if device else _left_behind(hardware, piece)
    if backend in hardware.objects and not set(users_of_object(hardware, backend)) - {piece.id}:
        steps.append(delete_backend(hardware, backend))
    return Plan(tuple(steps), describe(hardware, piece.id), None)


def _unplug_steps(hardware: Hardware, device: Device, undo: bool = False) -> list[Step]:
    """The steps to unplug a memory device; with *undo*, taken back by plugging it again as it is."""
    name = str(device.id)
    if device.driver == "nvdimm":
        raise Unsupported(f"{name} is an NVDIMM, which QEMU cannot take away from a running VM.")
    steps: list[Step] = []
    if device.driver.startswith("virtio-mem"):
        if tuple(hardware.version) < _VIRTIO_UNPLUG_SINCE:
            raise Unsupported(
                f"QEMU {hardware.version_text} cannot take a virtio-mem device away; set requested_size: 0 to have "
                "all of its memory back."
            )
        now = describe(hardware, name) or {}
        if now.get("requested_size") or now.get("plugged"):
            steps += [_request(name, 0, now.get("requested_size") if undo else None), _reached(name, 0)]
    again = Plug({**current_arguments(hardware, device), "memdev": _memdev(device)}) if undo else None
    return [*steps, Unplug(name, again, by_scan=not device.driver.startswith("virtio"))]


def _left_behind(hardware: Hardware, piece: MemorySpec) -> str:
    """The backend of a device that is gone: of the id that it gets here, or that QEMU's command line gave it. Empty where there
    is none, where it is not a memory backend, and where others use it."""
    launched: Mapping[str, Mapping[str, Any]] = getattr(hardware, "launched", {})
    for name in (str(launched.get(piece.id, {}).get("memdev", "")), piece.backend_id):
        if hardware.objects.get(name, "").startswith(PREFIX) and not users_of_backend(hardware, name):
            return name
    return ""


def _stated(hardware: Hardware, piece: MemorySpec, driver: str) -> dict[str, Any]:
    """The device's properties that the task specifies."""
    requested = {} if piece.requested is None else {"requested-size": piece.requested}
    return {**piece.frontend.specified(hardware, driver), **requested}


def launch_args(hardware: Hardware, device: Device, stated: Mapping[str, Any]) -> tuple[str, ...]:
    """What gives the VM at its next start the memory device that is there, with the properties that a task specifies."""
    backend = _memdev(device)
    properties = present_properties(hardware, backend)
    if device.driver == "nvdimm":
        properties["share"] = True
    arguments = {**current_arguments(hardware, device), "memdev": backend, **stated}
    return _words(hardware, device.driver, hardware.objects[backend], backend, properties, arguments)


def _words(
    hardware: Hardware, kind: str, qom_type: str, backend_id: str, properties: Mapping[str, Any], arguments: Mapping[str, Any]
) -> tuple[str, ...]:
    machine = ("-machine", "nvdimm=on") if kind == "nvdimm" else ()
    return (
        *machine,
        "-object",
        launch_argument(qom_type, backend_id, properties),
        "-device",
        device_argument(arguments, hardware.version),
    )


def _private(hardware: Hardware, device: Device) -> tuple[str, ...]:
    """A warning for an NVDIMM that forgets, as one that the VM was started with may."""
    if device.driver != "nvdimm" or hardware.cache.qom_get([(str(device.properties["memdev"]), "share")])[0] is not False:
        return ()
    return (
        f"{device.id} has a private copy of its file: what the guest writes to it is lost with this QEMU. Start the VM with "
        f"share=on for the object {_memdev(device)}, as launch_args have it.",
    )


def describe(hardware: Hardware, piece_id: str) -> dict[str, Any] | None:
    """The piece as it is now; sizes in bytes. ``plugged`` is what the guest has of a virtio-mem device."""
    return next((one for one in describe_all(hardware) if one["id"] == piece_id), None)


def describe_all(hardware: Hardware) -> list[dict[str, Any]]:
    """All memory devices that have an id."""
    found = []
    for entry in hardware.memory_devices:
        data = entry["data"]
        if not data.get("id"):
            continue
        backend = str(data.get("memdev", "")).rsplit("/", 1)[-1]
        device = hardware.device(data["id"])
        labelled = size_of(hardware, backend) if entry["type"] == "nvdimm" else None  # its label is no part of what it reports
        one = {
            "id": data["id"],
            "type": {"dimm": "pc-dimm"}.get(entry["type"], entry["type"]),
            "size": labelled or data.get("max-size", data.get("size", 0)),
            "backend": kind_of(hardware, backend),
            "node": data.get("node"),
            "at_launch": bool(device and device.at_launch),
        }
        if "requested-size" in data:
            one.update(requested_size=data["requested-size"], plugged=data.get("size", 0), **(slot_of(device) if device else {}))
        else:
            one.update(slot=data.get("slot"))
        found.append(one)
    return found


def is_memory(device: Device) -> bool:
    """Whether *device* gives the guest RAM; others too have a memory backend, such as ivshmem-plain."""
    return "memdev" in device.properties and device.driver.startswith(("pc-dimm", "nvdimm", "virtio-mem"))


def _device(hardware: Hardware, piece_id: str) -> Device | None:
    device = hardware.device(piece_id)
    if device and not is_memory(device):
        raise Conflict(f"The id {piece_id} belongs to a {device.driver}, which is no memory. Take another id.")
    return device


def _differences(
    hardware: Hardware, piece: MemorySpec, device: Device, now: Mapping[str, Any]
) -> tuple[list[Difference], list[str]]:
    """How the piece and its backend differ from the spec, and which properties QEMU does not report back."""
    if now["type"] != piece.type:
        return [Difference("type", now["type"], piece.type)], []
    different, unverified = device_differences(hardware, piece.frontend, device)
    pairs: list[tuple[str, Any, Any]] = [("size", now["size"], piece.size), ("backend", now["backend"], piece.backend)]
    path = str(device.properties["memdev"])
    wanted = {name: value for name, value in piece.properties.items() if name in _COMPARED}
    values = hardware.cache.qom_get((path, name) for name in wanted)
    for name, value in zip(wanted, values):
        if value is None:
            unverified.append(name.replace("-", "_"))
        else:
            present, stated = (sorted(one) if isinstance(one, list) else one for one in (value, wanted[name]))
            pairs.append((name.replace("-", "_"), present, stated))
    return different + [Difference(*pair) for pair in pairs if pair[2] is not None and pair[1] != pair[2]], unverified


def _memdev(device: Device) -> str:
    """The id of the backend behind a memory device."""
    return str(device.properties["memdev"]).rsplit("/", 1)[-1]


def requested_steps(hardware: Hardware, piece_id: str, wanted: int | None, now: Mapping[str, Any]) -> list[Step]:
    """Grow or shrink a virtio-mem device, or wait for a guest that has not done so yet; one that stands still cannot."""
    if wanted is None:
        return []
    steps: list[Step] = [_request(piece_id, wanted, now["requested_size"])] if wanted != now["requested_size"] else []
    if (steps or now["plugged"] != wanted) and runs(hardware):
        steps.append(_reached(piece_id, wanted))
    return steps


def _request(piece_id: str, size: int, was: int | None = None) -> Execute:
    path = f"{PERIPHERAL}/{piece_id}"
    back = None if was is None else Execute("qom-set", {"path": path, "property": "requested-size", "value": was})
    return Execute("qom-set", {"path": path, "property": "requested-size", "value": size}, back)


def _reached(piece_id: str, wanted: int) -> Await:
    """Wait until the guest has what was requested; QEMU's events tell of it late or not at all."""

    def size(run: Run) -> int:
        return QueryCache(run.monitor).qom_get([(f"{PERIPHERAL}/{piece_id}", "size")], int)[0] or 0

    def late(run: Run) -> StillInProgress:
        now = size(run)
        left = abs(now - wanted)
        return StillInProgress(
            f"The guest has {now} bytes of {piece_id} after {run.timeout:g} s, and {wanted} are wanted: {left} bytes "
            "are left. The request stands; run this again to wait on.",
            size=now,
            remainder=left,
        )

    return Await(lambda run: size(run) == wanted, late)


def runs(hardware: Hardware) -> bool:
    return bool(hardware.cache.ask("query-status")["running"])


def _after(piece: MemorySpec, before: Mapping[str, Any] | None, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What the description will say, as far as it is known beforehand."""
    after = dict(before or {"id": piece.id, "type": piece.type, "size": piece.size, "backend": piece.backend, "at_launch": False})
    if piece.type == "virtio-mem":
        after.update(slot_options(arguments))
        requested = piece.requested if piece.requested is not None else after.get("requested_size", piece.size)
        after.update(requested_size=requested, plugged=requested)
    return after
