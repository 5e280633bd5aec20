# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans for one memory device, a DIMM, an NVDIMM or a virtio-mem device, and for its backend object."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Mapping

from ...errors import Conflict, InvalidOption, StillInProgress, Unsupported
from ...model.hardware import PERIPHERAL, Device, Hardware
from ...model.query_cache import QueryCache
from ...model.slots import default_driver, slot_options
from ...model.users import users_of_object
from ...model.values import check_id
from ...plan.command_line import device_argument
from ...plan.hotplug import Plug, Unplug, plug
from ...plan.plan import Await, Execute, Plan, Run, Step
from ...plan.progress import Progress
from ..current import current_arguments
from ..frontend import FrontendSpec, device_arguments, device_differences, recreated_arguments, refuse
from ..objects.plans import launch_argument
from ..objects.steps import add_object
from ..option_table import Difference, compare
from .backend import (
    carried_properties,
    check_kind,
    default_properties,
    delete_backend,
    have_backend,
    object_properties,
    present_properties,
    users_of_backend,
)
from .capacity import refuse_lack, room_beside
from .present import OPTIONS, PREFIX, MemoryDevice, describe, is_memory, memory_device
from .spec import MemorySpec, check_new, check_range, check_requested, completed

GUEST_BLOCK = 128 << 20
"""Bytes that a Linux guest on x86 adds at once; it ignores the remainder."""
_VIRTIO_UNPLUG_SINCE = (8, 1)


def plan_present(hardware: Hardware, spec: MemorySpec) -> Plan:
    """Have the memory device. Raises for a present one that differs, unless it can be changed in place or recreated."""
    check_id(spec.id)
    device = _device(hardware, spec.id)
    present = memory_device(hardware, spec.id)
    kind = spec.type or (present.type if present else "pc-dimm")
    spec = completed(spec, kind, present)
    driver = default_driver(hardware, "virtio-mem") if kind == "virtio-mem" else kind
    if device is None and spec.size is None:
        raise InvalidOption(f"Memory {spec.id} does not exist yet. Set size to add it.")
    check_kind(str(spec.backend), spec.properties)
    object_properties(hardware, str(spec.backend), 0, spec.properties)
    if device and present:
        differences, unverified = _differences(hardware, spec, device, present)
        if differences and spec.recreate:
            return _recreated(hardware, spec, device, present, driver)
        refuse(f"Memory {spec.id}", differences)
        check_requested(hardware, spec, present.size, device)
        specified = {**spec.frontend.specified(hardware, driver), **_requested(spec.requested_size)}
        steps = requested_steps(hardware, present, spec.requested_size)
        return Plan(
            tuple(steps),
            describe(present),
            describe(with_requested_size(present, spec.requested_size) if steps else present),
            tuple(unverified),
            launch_args(hardware, device, specified),
            _private(hardware, device),
        )
    size = int(spec.size or 0)
    properties = check_new(hardware, spec, size, None)
    refuse_lack(hardware, spec.id, size, kind == "virtio-mem")
    frontend = _frontend(spec, size)
    arguments = device_arguments(hardware, frontend, driver, {"memdev": spec.backend_id})
    check_range(hardware, spec, size)
    steps = [*have_backend(hardware, spec.backend_id, str(spec.backend), properties), *plug(arguments)]
    return _plugged(hardware, spec, steps, properties, arguments, None)


def _frontend(spec: MemorySpec, size: int) -> FrontendSpec:
    """The frontend of a new device of this size."""
    if spec.type != "virtio-mem":
        return spec.frontend
    requested = size if spec.requested_size is None else spec.requested_size
    return replace(spec.frontend, driver=None, options={**spec.frontend.options, **_requested(requested)})


def _plugged(
    hardware: Hardware,
    spec: MemorySpec,
    steps: list[Step],
    properties: Mapping[str, Any],
    arguments: dict[str, Any],
    before: dict[str, Any] | None,
) -> Plan:
    """The plan that ends with a new device: *properties* are those of its backend, *arguments* those of ``device_add``."""
    if spec.type == "virtio-mem" and runs(hardware):
        steps = [*steps, _reached(spec.id, int(arguments["requested-size"]))]
    planned = _planned(hardware, spec, properties, arguments)
    odd = planned.size % GUEST_BLOCK != 0 and spec.type == "pc-dimm"
    warnings = (
        f"size {planned.size} is not a multiple of 128 MiB. A Linux guest on x86 does not use the remainder, or the whole DIMM.",
    )
    return Plan(
        tuple(steps),
        before,
        describe(planned),
        (),
        _words(hardware, str(spec.type), PREFIX + str(spec.backend), spec.backend_id, properties, arguments),
        warnings if odd else (),
    )


def _planned(hardware: Hardware, spec: MemorySpec, properties: Mapping[str, Any], arguments: Mapping[str, Any]) -> MemoryDevice:
    """The device that will be, except for the address that QEMU chooses for a DIMM."""
    kind, elastic = str(spec.backend), spec.type == "virtio-mem"
    requested = arguments.get("requested-size")
    room = room_beside(hardware, spec.id)
    free = {} if elastic or room is None else {"slot": min(set(range(room.total_slots)) - room.taken, default=None)}
    slot = slot_options(arguments) if elastic else {"addr": f"{arguments['addr']:#x}"} if "addr" in arguments else {}
    return MemoryDevice(
        id=spec.id,
        type=str(spec.type),
        size=properties["size"],
        requested_size=requested,
        plugged=requested,
        backend=kind,
        backend_id=spec.backend_id,
        slot=slot,
        properties={"node": 0, **free, **arguments},
        backend_properties={**default_properties(hardware, kind), **properties},
        at_launch=False,
    )


def _recreated(hardware: Hardware, spec: MemorySpec, device: Device, present: MemoryDevice, driver: str) -> Plan:
    """Remove the device and add it again. What the task does not specify stays as it is. The new device is checked completely
    before the old one is removed, and if it cannot be added, the old one is restored."""
    removal = _unplug_steps(hardware, device, undo=True)
    old = _memdev(device)
    size = spec.size or present.size
    if spec.type == "virtio-mem" == present.type and spec.requested_size is None:
        spec = replace(spec, requested_size=min(present.requested_size or 0, size))
    kept = carried_properties(hardware, old, str(spec.backend), spec.properties) if old in hardware.objects else {}
    spec = replace(spec, properties={**kept, **spec.properties})
    options = dict(spec.frontend.options)
    if device.driver != driver:  # a virtio-mem device is on a bus and has no memory slot
        for name in ("node", *(() if "virtio-mem" in (spec.type, present.type) else ("slot",))):
            options[name] = options[name] if options.get(name) is not None else present.properties.get(name) or None
    spec = replace(spec, frontend=replace(spec.frontend, options=options))
    properties = check_new(hardware, spec, size, device if device.driver == driver else None)
    refuse_lack(hardware, spec.id, size, spec.type == "virtio-mem")
    check_range(hardware, spec, size)
    arguments = recreated_arguments(hardware, _frontend(spec, size), driver, {"memdev": spec.backend_id}, device)
    steps = [*removal]
    if old in hardware.objects:
        steps.append(delete_backend(hardware, old, undo=True))
    if old != spec.backend_id:
        steps += have_backend(hardware, spec.backend_id, str(spec.backend), properties)
    else:
        steps.append(add_object(hardware, PREFIX + str(spec.backend), old, properties))
    steps += plug(arguments)
    return _plugged(hardware, spec, steps, properties, arguments, describe(present))


def plan_absent(hardware: Hardware, spec: MemorySpec) -> Plan:
    """Have neither the device nor its backend. Raises Unsupported for a device that QEMU cannot remove."""
    check_id(spec.id)
    device = _device(hardware, spec.id)
    present = memory_device(hardware, spec.id)
    steps = _unplug_steps(hardware, device) if device else []
    backend = _memdev(device) if device else _left_behind(hardware, spec)
    if backend in hardware.objects and not set(users_of_object(hardware, backend)) - {spec.id}:
        steps.append(delete_backend(hardware, backend))
    return Plan(tuple(steps), describe(present) if present else None, None)


def _unplug_steps(hardware: Hardware, device: Device, undo: bool = False) -> list[Step]:
    """The steps to unplug a memory device; with *undo*, a rollback plugs the same device again."""
    name = str(device.id)
    if device.driver == "nvdimm":
        raise Unsupported(f"{name} is an NVDIMM. QEMU cannot remove an NVDIMM from a running VM.")
    steps: list[Step] = []
    if device.driver.startswith("virtio-mem"):
        if tuple(hardware.version) < _VIRTIO_UNPLUG_SINCE:
            raise Unsupported(
                f"QEMU {hardware.version_text} cannot remove a virtio-mem device. Set requested_size: 0 to take all of its "
                "memory from the guest."
            )
        present = memory_device(hardware, name)
        if present and (present.requested_size or present.plugged):
            steps += [_request(name, 0, present.requested_size if undo else None), _reached(name, 0)]
    again = Plug({**current_arguments(hardware, device), "memdev": _memdev(device)}) if undo else None
    return [*steps, Unplug(name, again, by_scan=not device.driver.startswith("virtio"))]


def _left_behind(hardware: Hardware, spec: MemorySpec) -> str:
    """The backend of a device that is gone: the one with the id that this module gives it, or the one of QEMU's command line.
    Empty if there is none, if the object is not a memory backend, or if it is used by others."""
    launched: Mapping[str, Mapping[str, Any]] = getattr(hardware, "launched", {})
    for name in (str(launched.get(spec.id, {}).get("memdev", "")), spec.backend_id):
        if hardware.objects.get(name, "").startswith(PREFIX) and not users_of_backend(hardware, name):
            return name
    return ""


def _requested(size: int | None) -> dict[str, int]:
    return {} if size is None else {"requested-size": size}


def launch_args(hardware: Hardware, device: Device, specified: Mapping[str, Any]) -> tuple[str, ...]:
    """The arguments that give the VM the present memory device at its next start, with the properties that a task specifies."""
    backend = _memdev(device)
    properties = present_properties(hardware, backend)
    if device.driver == "nvdimm":
        properties["share"] = True
    arguments = {**current_arguments(hardware, device), "memdev": backend, **specified}
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
    """A warning for an NVDIMM that does not write to its file. The VM can have been started with such a one."""
    if device.driver != "nvdimm" or hardware.cache.qom_get([(str(device.properties["memdev"]), "share")])[0] is not False:
        return ()
    return (
        f"{device.id} has a private copy of its file, so that everything the guest writes is lost when this QEMU ends. Start the "
        f"VM with share=on for the object {_memdev(device)}, as in launch_args.",
    )


def _device(hardware: Hardware, memory_id: str) -> Device | None:
    device = hardware.device(memory_id)
    if device and not is_memory(device):
        raise Conflict(f"The device {memory_id} is a {device.driver}, which is not a memory device. Use another id.")
    return device


def _differences(
    hardware: Hardware, spec: MemorySpec, device: Device, present: MemoryDevice
) -> tuple[list[Difference], list[str]]:
    """How the memory device and its backend differ from the spec, and which options QEMU does not report."""
    if present.type != spec.type:
        return [Difference("type", present.type, spec.type)], []
    different, unverified = device_differences(hardware, spec.frontend, device)
    more, unknown = compare(OPTIONS, spec.compared, present)
    return different + more, unverified + unknown


def _memdev(device: Device) -> str:
    """The id of the backend of a memory device."""
    return str(device.properties["memdev"]).rsplit("/", 1)[-1]


def with_requested_size(present: MemoryDevice, requested: int | None) -> MemoryDevice:
    """The device after the guest has taken or released memory, if a size is requested."""
    return present if requested is None else present._replace(requested_size=requested, plugged=requested)


def requested_steps(hardware: Hardware, present: MemoryDevice, requested: int | None) -> list[Step]:
    """Grow or shrink a virtio-mem device, or wait for a guest that has not done so yet. A stopped guest is not waited for."""
    if requested is None:
        return []
    steps: list[Step] = []
    if requested != present.requested_size:
        steps.append(_request(present.id, requested, present.requested_size))
    if (steps or present.plugged != requested) and runs(hardware):
        steps.append(_reached(present.id, requested))
    return steps


def _request(memory_id: str, size: int, before: int | None = None) -> Execute:
    """Request a size of a virtio-mem device; a rollback requests the size *before*."""
    path = f"{PERIPHERAL}/{memory_id}"
    back = None if before is None else Execute("qom-set", {"path": path, "property": "requested-size", "value": before})
    return Execute("qom-set", {"path": path, "property": "requested-size", "value": size}, back)


def _reached(memory_id: str, requested: int) -> Await:
    """Wait until the guest has the requested size. QEMU's events report it late or not at all."""

    def size(run: Run) -> int:
        return QueryCache(run.monitor).qom_get([(f"{PERIPHERAL}/{memory_id}", "size")], int)[0] or 0

    def late(run: Run) -> StillInProgress:
        now = size(run)
        remainder = abs(now - requested)
        return StillInProgress(
            f"The guest has {now} bytes of {memory_id} after {run.timeout:g} s, and {requested} are requested: {remainder} bytes "
            "are missing or not released yet. The request stays. Run the task again to wait longer.",
            size=now,
            remainder=remainder,
        )

    begin: list[int] = []

    def look(run: Run) -> bool:
        now = size(run)
        begin[:] = begin or [now]
        run.report(Progress(f"memory {memory_id}", abs(now - begin[0]), abs(requested - begin[0])))
        return now == requested

    return Await(look, late)


def runs(hardware: Hardware) -> bool:
    """Whether the guest runs, and can act on a request."""
    return bool(hardware.cache.ask("query-status")["running"])
