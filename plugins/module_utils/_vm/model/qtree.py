# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of ``info qtree``: the bus, the target and the LUN of all SCSI devices in one reply.

A text is less than a structured reply, because the values in it are not escaped: a serial number with line ends in it looks like
lines of any content. But such lines only add to the true ones, and it is known without the text which SCSI devices there are. If
there are as many targets and LUNs as devices, each below the id of its device, no such line was added.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Collection, NamedTuple

_LINE = re.compile(
    r'^( *)(?:bus: (?P<bus>.*)|dev: .*, id "(?P<id>.*)"'
    r"|(?P<name>scsi-id|lun) = (?P<number>[0-9]+) .*|share-rw = (?P<shared>true|false))$",
    re.MULTILINE,
)
_STEP = 2
"""Blanks before a device more than before its bus, and before a property more than before its device."""


class ScsiDevice(NamedTuple):
    """The name of the bus of a SCSI device, its target (``scsi-id``), its LUN, and ``share-rw``, None if that is not certain."""

    bus: str
    target: int
    lun: int
    share_rw: bool | None


def scsi_devices(text: str, expected: Collection[str]) -> dict[str, ScsiDevice]:
    """The SCSI devices in the text by id; none if they are not just those of which *expected* has the ids."""
    found: dict[str, dict[str, str]] = {}
    buses: list[str] = []
    bus_at: dict[int, str] = {}  # by indentation
    ids: list[str] = []
    inside = -1  # the indentation of the properties of the last device
    numbers = 0
    shared: dict[str, list[bool]] = {}  # QEMU prints it before the slot: no line between the id and the slot is lost
    for line in _LINE.finditer(text.replace("\r\n", "\n")):
        indent = len(line[1])
        if line["bus"] is not None:
            buses.append(line["bus"])
            bus_at[indent] = buses[-1]
        elif line["id"] is not None:
            ids.append(line["id"])
            found[ids[-1]] = {"bus": bus_at.get(indent - _STEP, "")}
            inside = indent + _STEP
        elif line["shared"]:
            if indent == inside and "scsi-id" not in found[ids[-1]]:
                shared.setdefault(ids[-1], []).append(line["shared"] == "true")
        else:
            numbers += 1
            if indent == inside:
                found[ids[-1]][line["name"]] = line["number"]
    devices = {
        name: ScsiDevice(one["bus"], int(one["scsi-id"]), int(one["lun"]), _only(shared.get(name, [])))
        for name, one in found.items()
        if name in expected and "scsi-id" in one and "lun" in one
    }
    times, bus_times = Counter(ids), Counter(buses)
    all_once = all(times[name] == bus_times[one.bus] == 1 for name, one in devices.items())
    return devices if 2 * len(devices) == 2 * len(expected) == numbers and all_once else {}


def _only(values: list[bool]) -> bool | None:
    return values[0] if len(values) == 1 else None
