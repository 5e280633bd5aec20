# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""vCPUs: how many the VM has, in the places that ``query-hotpluggable-cpus`` tells.

A place may hold several vCPUs (a core with its threads on ppc64), which come and go together. Its ``props`` go back
to QEMU unchanged: which topology keys there are is the machine's affair.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Iterable, Mapping

from ...qmp import is_a
from ..errors import Conflict, InvalidOption, NoFreeSlot, Unsupported
from ..model.hardware import PERIPHERAL, Cpu, Hardware
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
class Cpus:
    """What a task says of the vCPUs: how many there are to be, or one place by its topology ids, as the user wrote them."""

    count: int | None = None
    topology: dict[str, Any] | None = None


def plan_present(hardware: Hardware, cpus: Cpus) -> Plan:
    """Have ``count`` vCPUs, by adding or removing; or have a CPU in the place of ``topology``."""
    places = _places(hardware)
    if cpus.topology is not None:
        place = _find(places, cpus.topology)
        return _plan(hardware, places, [] if place.path else [place], [])
    return _plan(hardware, places, *_to_reach(hardware, places, cpus.count or 0))


def plan_absent(hardware: Hardware, cpus: Cpus) -> Plan:
    """Have no CPU in the place of ``topology``."""
    places = _places(hardware)
    place = _find(places, cpus.topology or {})
    if place.path and place == _boot_cpu(places):
        raise Unsupported(f"The CPU at {_told(place)} is the one that the guest booted on; QEMU cannot take it away.")
    return _plan(hardware, places, [], [place] if place.path else [])


def describe(hardware: Hardware) -> dict[str, Any]:
    """How many vCPUs there are and may be, each place (id, topology, vCPUs, whether there is a CPU in it, and which), and each
    vCPU with its thread on the host."""
    places = hardware.cpus
    if not places:
        vcpus = _vcpus(hardware, ())
        return {"count": len(vcpus), "maximum": len(vcpus), "places": [], "vcpus": vcpus}
    return _description(hardware, places, {place_id(place): place.path is not None for place in places})


def _vcpus(hardware: Hardware, places: Iterable[Cpu]) -> list[dict[str, Any]]:
    """Every present vCPU with its type, QOM path and thread on the host, in the order of their indices."""
    types: dict[str, Any] = {place.path: place.type for place in places if place.path}
    found = sorted(hardware.cache.ask("query-cpus-fast"), key=lambda one: int(one["cpu-index"]))
    paths = [one["qom-path"] for one in found]
    unknown = [path for path in paths if path not in types]
    types.update(zip(unknown, hardware.cache.qom_get(((path, "type") for path in unknown), str)))
    return [
        {"index": one["cpu-index"], "type": types[one["qom-path"]], "qom_path": one["qom-path"], "thread_id": one["thread-id"]}
        for one in found
    ]


def place_id(place: Cpu) -> str:
    """The id of the CPU in a place: its own, or the one that it gets from us, made of its topology."""
    if place.id:
        return place.id
    return "-".join(["cpu", *(str(place.props[key]) for key in _TOPOLOGY if key in place.props)])


def launch_argument(hardware: Hardware, count: int) -> list[str]:
    """``-smp`` with this many vCPUs at start, in the topology that the VM has.

    QEMU tells every level of the topology, but takes only those that the machine has, so a level of 1 is left out.
    """
    known = hardware.cache.qom_get([("/machine", "smp")], dict)[0] or {}
    levels = {
        name: value
        for name, value in sorted(known.items())
        if is_a(value, int) and (name in ("sockets", "cores", "threads") or value > 1)
    }
    return ["-smp", ",".join(key_values({**levels, "cpus": count, "maxcpus": total(hardware.cpus)}))]


def total(places: Iterable[Cpu]) -> int:
    return sum(place.vcpus for place in places)


def _places(hardware: Hardware) -> list[Cpu]:
    if not hardware.cpus:
        raise Unsupported(f"The machine {hardware.machine} of QEMU {hardware.version_text} has no CPU hotplug.")
    return hardware.cpus


def _boot_cpu(places: list[Cpu]) -> Cpu:
    return next(place for place in places if place.path)


def _find(places: list[Cpu], topology: Mapping[str, Any]) -> Cpu:
    known = list(places[0].props)
    wanted = {key: _topology_id(known, key, value) for key, value in topology.items()}
    found = [place for place in places if wanted.items() <= place.props.items()]
    if len(found) == 1:
        return found[0]
    keys = ", ".join(key for key in _TOPOLOGY if key in places[0].props)
    what = "is no place for a CPU" if not found else f"fits {len(found)} places"
    raise InvalidOption(
        f"Topology {topology} {what} of this VM; give {keys} of one of them.", places=[place.props for place in places]
    )


def _topology_id(known: list[str], key: str, value: Any) -> int:
    """A topology id, which may come as text, as from a survey. Raises InvalidOption."""
    if key not in known:
        raise InvalidOption(
            f"topology has {key!r}, which this VM's CPUs do not have{nearest(key, known)}; they have {', '.join(known)}."
        )
    text = str(value)
    if isinstance(value, (bool, float)) or not (text.isascii() and text.isdigit()):
        raise InvalidOption(f"topology: {key} {value!r} is not a number from 0 on.")
    return int(text)


def _to_reach(hardware: Hardware, places: list[Cpu], count: int) -> tuple[list[Cpu], list[Cpu]]:
    """The places to fill, lowest first, or to empty, highest first, to have *count* vCPUs."""
    present = [place for place in places if place.path]
    free = [place for place in places if not place.path]
    missing = count - total(present)
    if count < 1:
        raise InvalidOption(f"count {count} is too few: a VM keeps the CPU it booted on.")
    if missing > total(free):
        raise NoFreeSlot(
            f"count {count} is more than the {total(places)} vCPUs that this VM may have. Start it with "
            f"{' '.join(launch_argument(hardware, total(present)))}, with maxcpus={count} or more.",
            maximum=total(places),
        )
    candidates = free if missing > 0 else [place for place in reversed(present) if place != _boot_cpu(places)]
    chosen: list[Cpu] = []
    while total(chosen) < abs(missing) and candidates:
        chosen.append(candidates.pop(0))
    if total(chosen) != abs(missing):
        step = places[0].vcpus
        raise InvalidOption(
            f"count {count} cannot be: here {step} vCPUs come and go together, so take a multiple of {step}.",
            vcpus_per_place=step,
        )
    return (chosen, []) if missing > 0 else ([], chosen)


def _plan(hardware: Hardware, places: list[Cpu], added: list[Cpu], removed: list[Cpu]) -> Plan:
    steps: list[Step] = []
    if added:
        refuse_readd(hardware)
    for place in added:
        if place_id(place) in hardware.ids:
            raise Conflict(f"The id {place_id(place)} for the new CPU belongs to another device.")
        steps += plug({"driver": place.type, "id": place_id(place), **place.props})
    steps += [Unplug(place.id or str(place.path), by_scan=True) for place in removed]
    before = {place_id(place): place.path is not None for place in places}
    after = {**before, **{place_id(place): True for place in added}, **{place_id(place): False for place in removed}}
    return Plan(
        tuple(steps),
        _description(hardware, places, before),
        _description(hardware, places, after),
        launch_args=_launch_args(hardware, places, after),
        warnings=(_ONLINE_HINT,) if added else (),
    )


def _launch_args(hardware: Hardware, places: list[Cpu], present: Mapping[str, bool]) -> tuple[str, ...]:
    """``-smp`` with as many vCPUs as fill the places from the lowest on, and ``-device`` for each CPU beyond a place that is
    free."""
    first = list(takewhile(lambda place: present[place_id(place)], places))
    others = [place for place in places if present[place_id(place)] and place not in first]
    devices = ({"driver": place.type, "id": place_id(place), **place.props} for place in others)
    return (
        *launch_argument(hardware, total(first)),
        *(word for arguments in devices for word in ("-device", device_argument(arguments, hardware.version))),
    )


def refuse_readd(hardware: Hardware) -> None:
    """Raise Unsupported where QEMU would abort: TCG cannot stand a CPU that is added after one was removed.

    The guest's last word on each CPU's slot tells of a removal: source 3 (eject) with status 0 (done). A reset of the
    guest wipes it, so a removal before that is not seen.
    """
    if hardware.accelerator != "tcg":
        return
    slots = hardware.cache.ask_or([], "query-acpi-ospm-status")
    if any((slot["slot-type"], slot["source"], slot["status"]) == ("CPU", 3, 0) for slot in slots):
        raise Unsupported(
            "A vCPU was removed from this VM since it booted, and QEMU without KVM (TCG) aborts when one is "
            "added after that. Start the VM anew with as many as it needs."
        )


def _description(hardware: Hardware, places: list[Cpu], present: Mapping[str, bool]) -> dict[str, Any]:
    """What there is, or will be: of a CPU to come the path is known, its threads are not."""
    vcpus = _vcpus(hardware, places)
    count = sum(place.vcpus for place in places if present[place_id(place)])
    return {
        "count": count,
        "maximum": total(places),
        "places": [_place(place, present[place_id(place)], vcpus) for place in places],
        "vcpus": [
            one
            for one in vcpus
            if any(present[place_id(place)] and place.path and _within(one["qom_path"], place.path) for place in places)
        ],
    }


def _place(place: Cpu, present: bool, vcpus: list[dict[str, Any]]) -> dict[str, Any]:
    path = place.path or f"{PERIPHERAL}/{place_id(place)}"
    threads = [one["thread_id"] for one in vcpus if present and _within(one["qom_path"], path)]
    return {
        "id": place_id(place),
        "present": present,
        "vcpus": place.vcpus,
        "topology": place.props,
        "type": place.type,
        "qom_path": path if present else None,
        "thread_id": threads[0] if threads else None,
    }


def _within(path: str, place: str) -> bool:
    """Whether the vCPU at *path* is the one in a place, or a thread of the core there."""
    return path == place or path.startswith(f"{place}/")


def _told(place: Cpu) -> str:
    return ", ".join(f"{key} {place.props[key]}" for key in _TOPOLOGY if key in place.props)
