# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""vCPUs: how many the VM has, in the CPU slots that ``query-hotpluggable-cpus`` reports.

A slot can hold several vCPUs (a core with its threads on ppc64), which are plugged and unplugged together. Its ``props`` are sent
to QEMU as they were reported: the keys of the topology depend on the machine.
"""

from __future__ import annotations

from itertools import takewhile
from typing import Any, Iterable, Mapping

from ...qmp import is_a
from ..errors import Conflict, InvalidOption, NoFreeSlot, Unsupported
from ..lazy import dataclass
from ..model.hardware import PERIPHERAL, CpuSlot, Hardware
from ..model.values import nearest
from ..plan.command_line import device_argument, key_values
from ..plan.hotplug import Unplug, plug
from ..plan.plan import Plan, Step

_TOPOLOGY = ("drawer-id", "book-id", "socket-id", "die-id", "cluster-id", "module-id", "core-id", "thread-id")
_ONLINE_HINT = (
    "A Linux guest without a udev rule for it does not bring a new CPU online by itself: "
    "echo 1 > /sys/devices/system/cpu/cpuN/online does."
)


@dataclass(frozen=True)
class CpuSpec:
    """What a task specifies of the vCPUs: how many the VM has, or one CPU slot by its topology ids, as the user wrote them."""

    count: int | None = None
    topology: dict[str, Any] | None = None


def plan_present(hardware: Hardware, spec: CpuSpec) -> Plan:
    """Have ``count`` vCPUs, by plugging or unplugging; or have a CPU in the slot of ``topology``."""
    slots = _slots(hardware)
    if spec.topology is not None:
        slot = _find(slots, spec.topology)
        return _plan(hardware, slots, [] if slot.path else [slot], [])
    return _plan(hardware, slots, *_to_reach(hardware, slots, spec.count or 0))


def plan_absent(hardware: Hardware, spec: CpuSpec) -> Plan:
    """Have no CPU in the slot of ``topology``."""
    slots = _slots(hardware)
    slot = _find(slots, spec.topology or {})
    if slot.path and slot == _boot_cpu(slots):
        topology = ", ".join(f"{key} {slot.props[key]}" for key in _keys(slot))
        raise Unsupported(f"The guest booted on the CPU at {topology}. QEMU cannot remove this CPU.")
    return _plan(hardware, slots, [], [slot] if slot.path else [])


def describe(hardware: Hardware, _spec: CpuSpec | None = None) -> dict[str, Any]:
    """How many vCPUs there are and how many are possible, each CPU slot, and each vCPU with its thread on the host."""
    slots = hardware.cpu_slots
    if not slots:
        vcpus = _vcpus(hardware, ())
        return {"count": len(vcpus), "maximum": len(vcpus), "slots": [], "vcpus": vcpus}
    return _description(hardware, slots, {slot_id(slot): slot.path is not None for slot in slots})


def _vcpus(hardware: Hardware, slots: Iterable[CpuSlot]) -> list[dict[str, Any]]:
    """Every present vCPU with its type, QOM path and thread on the host, in the order of their indices."""
    types: dict[str, Any] = {slot.path: slot.type for slot in slots if slot.path}
    found = sorted(hardware.cache.ask("query-cpus-fast"), key=lambda one: int(one["cpu-index"]))
    paths = [one["qom-path"] for one in found]
    unknown = [path for path in paths if path not in types]
    types.update(zip(unknown, hardware.cache.qom_get(((path, "type") for path in unknown), str)))
    return [
        {"index": one["cpu-index"], "type": types[one["qom-path"]], "qom_path": one["qom-path"], "thread_id": one["thread-id"]}
        for one in found
    ]


def slot_id(slot: CpuSlot) -> str:
    """The id of the CPU in a slot; of a free slot, or for a CPU without an id, the one that this module makes of the topology."""
    return slot.id or "-".join(["cpu", *(str(slot.props[key]) for key in _keys(slot))])


def _keys(slot: CpuSlot) -> list[str]:
    """The keys of the topology that the slot has, outermost first."""
    return [key for key in _TOPOLOGY if key in slot.props]


def launch_argument(hardware: Hardware, count: int) -> list[str]:
    """``-smp`` with this many vCPUs at start, in the topology that the VM has.

    QEMU reports every level of the topology but accepts only those that the machine has, so a level of 1 is left out.
    """
    known = hardware.cache.qom_get([("/machine", "smp")], dict)[0] or {}
    levels = {
        name: value
        for name, value in sorted(known.items())
        if is_a(value, int) and (name in ("sockets", "cores", "threads") or value > 1)
    }
    return ["-smp", ",".join(key_values({**levels, "cpus": count, "maxcpus": total(hardware.cpu_slots)}))]


def total(slots: Iterable[CpuSlot]) -> int:
    """How many vCPUs the slots can hold."""
    return sum(slot.vcpus for slot in slots)


def _slots(hardware: Hardware) -> list[CpuSlot]:
    if not hardware.cpu_slots:
        raise Unsupported(f"The machine {hardware.machine} of QEMU {hardware.version_text} has no CPU hotplug.")
    return hardware.cpu_slots


def _boot_cpu(slots: list[CpuSlot]) -> CpuSlot:
    return next(slot for slot in slots if slot.path)


def _find(slots: list[CpuSlot], topology: Mapping[str, Any]) -> CpuSlot:
    """The only slot that has these topology ids. Raises InvalidOption."""
    known = list(slots[0].props)
    ids = {key: _topology_id(known, key, value) for key, value in topology.items()}
    found = [slot for slot in slots if ids.items() <= slot.props.items()]
    if len(found) == 1:
        return found[0]
    matches = f"{len(found)} CPU slots" if found else "no CPU slot"
    raise InvalidOption(
        f"topology {topology} matches {matches} of this VM. Set {', '.join(_keys(slots[0]))} as qmp_info returns them for one.",
        slots=[slot.props for slot in slots],
    )


def _topology_id(known: list[str], key: str, value: Any) -> int:
    """A topology id, which can be text, for example from a survey. Raises InvalidOption."""
    if key not in known:
        raise InvalidOption(
            f"topology has the key {key!r}, which the CPU slots of this VM do not have{nearest(key, known)}. "
            f"They have {', '.join(known)}."
        )
    text = str(value)
    if isinstance(value, (bool, float)) or not (text.isascii() and text.isdigit()):
        raise InvalidOption(f"topology: {key} is {value!r}. Set a whole number from 0.")
    return int(text)


def _to_reach(hardware: Hardware, slots: list[CpuSlot], count: int) -> tuple[list[CpuSlot], list[CpuSlot]]:
    """The slots to fill, lowest first, or to empty, highest first, to have *count* vCPUs."""
    present = [slot for slot in slots if slot.path]
    free = [slot for slot in slots if not slot.path]
    missing = count - total(present)
    if count < 1:
        raise InvalidOption(f"count {count} is too few: the CPU that the guest booted on cannot be removed. Set 1 or more.")
    if missing > total(free):
        raise NoFreeSlot(
            f"count {count} is more than the {total(slots)} vCPUs that this VM can have. Start it with "
            f"{' '.join(launch_argument(hardware, total(present)))}, with maxcpus={count} or more.",
            maximum=total(slots),
        )
    candidates = free if missing > 0 else [slot for slot in reversed(present) if slot != _boot_cpu(slots)]
    chosen: list[CpuSlot] = []
    while total(chosen) < abs(missing) and candidates:
        chosen.append(candidates.pop(0))
    if total(chosen) != abs(missing):
        step = slots[0].vcpus
        raise InvalidOption(
            f"count {count} is not possible: this VM plugs and unplugs {step} vCPUs together. Set a multiple of {step}.",
            vcpus_per_slot=step,
        )
    return (chosen, []) if missing > 0 else ([], chosen)


def _plan(hardware: Hardware, slots: list[CpuSlot], added: list[CpuSlot], removed: list[CpuSlot]) -> Plan:
    steps: list[Step] = []
    if added:
        refuse_readd(hardware)
    for slot in added:
        if slot_id(slot) in hardware.ids:
            raise Conflict(f"The new CPU needs the id {slot_id(slot)}, but another device has it. Remove that device first.")
        steps += plug(_arguments(slot))
    if removed:
        _refuse_removal(hardware)
    steps += [Unplug(slot.id or str(slot.path), by_scan=True) for slot in removed]
    before = {slot_id(slot): slot.path is not None for slot in slots}
    after = {**before, **{slot_id(slot): True for slot in added}, **{slot_id(slot): False for slot in removed}}
    return Plan(
        tuple(steps),
        _description(hardware, slots, before),
        _description(hardware, slots, after),
        launch_args=_launch_args(hardware, slots, after),
        warnings=(_ONLINE_HINT,) if added else (),
    )


def _arguments(slot: CpuSlot) -> dict[str, Any]:
    """The arguments of ``device_add`` that fill the slot."""
    return {"driver": slot.type, "id": slot_id(slot), **slot.props}


def _launch_args(hardware: Hardware, slots: list[CpuSlot], present: Mapping[str, bool]) -> tuple[str, ...]:
    """``-smp`` with as many vCPUs as fill the slots from the lowest on, and ``-device`` for each CPU beyond a free slot."""
    first = list(takewhile(lambda slot: present[slot_id(slot)], slots))
    others = [slot for slot in slots if present[slot_id(slot)] and slot not in first]
    return (
        *launch_argument(hardware, total(first)),
        *(word for slot in others for word in ("-device", device_argument(_arguments(slot), hardware.version))),
    )


def _refuse_removal(hardware: Hardware) -> None:
    """Raise Unsupported if QEMU would end: with TCG it does so when a CPU of the machine type pseries is removed."""
    if hardware.machine.startswith("pseries") and hardware.accelerator == "tcg":
        raise Unsupported(
            "vCPUs of this VM cannot be removed: QEMU without KVM (TCG) ends when a vCPU of the machine type pseries is removed. "
            "Stop the VM, and start it again with fewer vCPUs."
        )


def refuse_readd(hardware: Hardware) -> None:
    """Raise Unsupported if QEMU would abort: with TCG it does so when a CPU is added after one was removed.

    The guest's last report on each CPU shows a removal: source 3 (eject) with status 0 (done). A reset of the guest clears it, so
    that a removal before the reset is not seen.
    """
    if hardware.accelerator != "tcg":
        return
    reports = hardware.cache.ask_or([], "query-acpi-ospm-status")
    if any((one["slot-type"], one["source"], one["status"]) == ("CPU", 3, 0) for one in reports):
        raise Unsupported(
            "A vCPU was removed from this VM since it booted. QEMU without KVM (TCG) aborts when a vCPU is added after that. "
            "Start the VM again with as many vCPUs as it needs."
        )


def _description(hardware: Hardware, slots: list[CpuSlot], present: Mapping[str, bool]) -> dict[str, Any]:
    """What there is, or will be: of a new CPU the path is known, and the thread is not."""
    vcpus = _vcpus(hardware, slots)
    filled = [slot for slot in slots if present[slot_id(slot)]]
    return {
        "count": total(filled),
        "maximum": total(slots),
        "slots": [_slot(slot, present[slot_id(slot)], vcpus) for slot in slots],
        "vcpus": [one for one in vcpus if any(slot.path and _within(one["qom_path"], slot.path) for slot in filled)],
    }


def _slot(slot: CpuSlot, present: bool, vcpus: list[dict[str, Any]]) -> dict[str, Any]:
    path = slot.path or f"{PERIPHERAL}/{slot_id(slot)}"
    threads = [one["thread_id"] for one in vcpus if present and _within(one["qom_path"], path)]
    return {
        "id": slot_id(slot),
        "present": present,
        "vcpus": slot.vcpus,
        "topology": slot.props,
        "type": slot.type,
        "qom_path": path if present else None,
        "thread_id": threads[0] if threads else None,
    }


def _within(path: str, cpu: str) -> bool:
    """Whether the vCPU at *path* is the CPU at the other path, or a thread of the core there."""
    return path == cpu or path.startswith(f"{cpu}/")
