# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The launch arguments of everything that was plugged into a VM since its QEMU was started.

A QEMU that is started with its present command line and these arguments has the same hardware. They are read from the VM, so an
option that QEMU does not report back is not among them. The tasks that added the hardware know these options.
"""

from __future__ import annotations

import shlex
from dataclasses import replace
from functools import partial
from typing import Any, Callable, Iterable, Iterator, Mapping, NamedTuple

from ..qmp import is_a
from . import desired
from .desired import KINDS, Item, Part, Position
from .devices import cpu, generic
from .devices.chardev import plans as chardevs
from .devices.chardev.spec import ChardevSpec
from .devices.disk import plans as disks
from .devices.disk.spec import DiskSpec
from .devices.frontend import FrontendSpec
from .devices.memory import plans as memory
from .devices.memory.spec import MemorySpec
from .devices.nic import plans as nics
from .devices.nic.restore import known_backends
from .devices.nic.spec import find as find_nic
from .devices.objects import plans as objects
from .errors import HardwareError, Unsupported
from .host.qemu_process import IMPLIED, parse
from .model.hardware import Hardware
from .plan.command_line import SECRET_FILE
from .plan.plan import Plan
from .plugged import plugged

VARIABLE = "QEMU_HOTPLUG_ARGS"
"""The environment variable that the systemd drop-in sets."""
_UNREPORTED_NETDEVS = "QEMU does not report all options of its network backend, and those that it does not report are missing."


class _Found(NamedTuple):
    """One thing that was plugged: its launch arguments, and why these do not have all of it; None if they have."""

    part: Part
    incomplete: str | None


def describe(hardware: Hardware) -> dict[str, Any]:
    """The launch arguments as a list (``launch_args``), as a line for a shell and as a drop-in for a systemd unit; ``hardware``
    with the kind, id and arguments of each thing, and ``incomplete`` with the reason for each of which they do not have all."""
    hardware.read_devices()
    found = list(_find(hardware))
    ordered = desired.in_order([one.part.item for one in found])
    parts = {one.part.item.position: one.part for one in found}
    words = desired.launch_args([parts[item.position] for item in ordered])
    return {
        "launch_args": list(words),
        "shell": " ".join(map(shlex.quote, words)),
        "systemd": drop_in(words),
        "hardware": [
            {"kind": item.kind, "id": item.id, "launch_args": [*parts[item.position].plan.launch_args]} for item in ordered
        ],
        "incomplete": [
            {"kind": one.part.item.kind, "id": one.part.item.id, "reason": one.incomplete} for one in found if one.incomplete
        ],
    }


def drop_in(words: Iterable[str]) -> str:
    """A drop-in that sets VARIABLE to these *words*. systemd makes words of it again where a unit has ``$QEMU_HOTPLUG_ARGS``."""
    value = " ".join(f"'{_escaped(word)}'" for word in words)
    line = _escaped(value).replace("%", "%%").replace("\n", "\\n").replace("\t", "\\t")
    return f'[Service]\nEnvironment="{VARIABLE}={line}"\n'


def _escaped(text: str) -> str:
    """*text* for inside of quotes, single or double, as systemd reads them."""
    for special in "\\'\"":
        text = text.replace(special, f"\\{special}")
    return text


def _find(hardware: Hardware) -> Iterator[_Found]:
    """All that was plugged, kind by kind."""
    there = plugged(hardware, KINDS)
    there.known["blockdevs"] |= _nodes_alone(hardware)
    has_smp = {"cpus"} if there.known["cpus"] or _cpus_differ(hardware) else set()
    for kind in (kind for kind in KINDS if kind != "cpus" or kind in has_smp):
        for name in sorted(there.known[kind]) if kind != "cpus" else [None]:
            yield _read(hardware, Position(kind, None, name), partial(_PLANS[kind], hardware, name or ""))
        for name in sorted(there.unclear.get(kind, ())):
            reason = (
                "It may have been plugged or not: QEMU does not report whether the VM was started with it, and its command "
                "line is not visible from here."
            )
            yield _Found(_part(Position(kind, None, name), Plan()), reason)


def _read(hardware: Hardware, position: Position, plan: Callable[[], Plan]) -> _Found:
    try:
        planned = plan()
    except HardwareError as error:
        return _Found(_part(position, Plan()), str(error))
    found = replace(planned, launch_args=tuple(_not_launched(hardware, planned.launch_args)))
    return _Found(_part(position, found), _lack(hardware, position, planned))


def _lack(hardware: Hardware, position: Position, planned: Plan) -> str | None:
    """What the launch arguments of a thing do not have."""
    if not planned.launch_args:
        about = [warning for warning in planned.warnings if "launch_args" in warning]
        return about[0] if about else "QEMU does not report enough of it."
    if any(SECRET_FILE in word for word in planned.launch_args):
        return f"Instead of {SECRET_FILE}, write the path of a file that has the secret: QEMU does not report where it is."
    if position.kind == "netdevs":
        nic = find_nic(hardware, str(position.id))
        if nic.netdev and not known_backends(hardware, nic.netdev, None)[0].complete:
            return _UNREPORTED_NETDEVS
    return None


def _part(position: Position, plan: Plan) -> Part:
    """A thing with its plan, as part of a whole. By the texts in its arguments it comes after what it refers to."""
    words = [parse(value, IMPLIED.get(option[1:], "")) for option, value in _pairs(plan.launch_args)]
    item = Item(position, lambda _hardware: plan, lambda _hardware: None, texts=frozenset(_texts(words)))
    return Part(item, plan)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _texts(one)


def _pairs(words: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    return zip(words[::2], words[1::2])


def _not_launched(hardware: Hardware, words: tuple[str, ...]) -> Iterator[str]:
    """Those arguments that QEMU's command line does not have already, as for a disk that was unplugged and plugged again."""
    line = hardware.command_line
    launched: dict[str, tuple[str, Mapping[str, Any]]] = {
        "-blockdev": ("node-name", line.nodes),
        "-netdev": ("id", line.netdevs),
        "-object": ("id", line.objects),
        "-chardev": ("id", line.chardevs),
        "-device": ("id", line.devices),
    }
    for option, value in _pairs(words):
        key, present = launched.get(option, ("", {}))
        if str(parse(value, IMPLIED.get(option[1:], "")).get(key)) not in present:
            yield from (option, value)


# -- the plan of a task that says no more than the id of a thing: it changes nothing, and has the launch arguments


def _nic(hardware: Hardware, name: str) -> Plan:
    """A task for a NIC needs its network backend, as far as QEMU reports it."""
    nic = find_nic(hardware, name)
    known = known_backends(hardware, nic.netdev, None) if nic.netdev else []
    if not known:
        raise Unsupported("QEMU does not report the options of its network backend.")
    return nics.plan_present(hardware, replace(known[0].spec, frontend=FrontendSpec(name)))


def _chardev(hardware: Hardware, name: str) -> Plan:
    device = hardware.device(name)
    driver = device.driver if device and device.properties.get("chardev") == name else None
    return chardevs.plan_present(hardware, ChardevSpec(FrontendSpec(name, driver)))


_PLANS: dict[str, Callable[[Hardware, str], Plan]] = {
    "objects": lambda hardware, name: objects.plan_present(hardware, objects.ObjectSpec(name)),
    "memory": lambda hardware, name: memory.plan_present(hardware, MemorySpec(FrontendSpec(name))),
    "chardevs": _chardev,
    "devices": lambda hardware, name: generic.plan_present(hardware, generic.DeviceSpec(FrontendSpec(name))),
    "blockdevs": lambda hardware, name: disks.plan_present(
        hardware, DiskSpec(FrontendSpec(name), attach=name in hardware.ids or name not in hardware.nodes)
    ),
    "netdevs": _nic,
    "cpus": lambda hardware, _name: cpu.plan_present(hardware, cpu.CpuSpec(count=cpu.describe(hardware)["count"])),
}


def _nodes_alone(hardware: Hardware) -> set[str]:
    """Nodes that were added without a device (``attach: false``), and that nothing uses."""
    if not hardware.command_line.complete:
        return set()
    below = {name for node in hardware.nodes.values() for name in node.children.values()}
    return {
        name
        for name, node in hardware.nodes.items()
        if not name.startswith("#") and name not in below and not node.users and name not in hardware.command_line.nodes
    }


def _cpus_differ(hardware: Hardware) -> bool:
    """Whether the VM has another number of vCPUs than it was started with."""
    started = (hardware.cache.qom_get([("/machine", "smp")], dict)[0] or {}).get("cpus")
    return bool(hardware.cpu_slots) and is_a(started, int) and started != cpu.describe(hardware)["count"]
