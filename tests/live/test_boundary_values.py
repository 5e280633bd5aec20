# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each option at and beyond its limits, on real QEMU: what the run would refuse for a reason that can be known, check mode
refuses. A sample of it, or with TORTURE=all all."""

from __future__ import annotations

from typing import Any, Callable, Iterator

from ansible_collections.vmops.qemu.plugins.module_utils._vm.devices import generic as peripheral
from ansible_collections.vmops.qemu.plugins.module_utils._vm.devices.chardev import plans as chardev
from ansible_collections.vmops.qemu.plugins.module_utils._vm.devices.frontend import FrontendSpec
from ansible_collections.vmops.qemu.plugins.module_utils._vm.devices.objects import plans as objects
from ansible_collections.vmops.qemu.plugins.module_utils._vm.errors import HardwareError
from ansible_collections.vmops.qemu.plugins.module_utils._vm.model.hardware import Hardware
from ansible_collections.vmops.qemu.plugins.module_utils._vm.plan.plan import Plan, PlanFailed
from ansible_collections.vmops.qemu.plugins.module_utils.qmp import CommandError, Monitor, Schema, UnixAddress
from ansible_collections.vmops.qemu.tests.support import recordings
from ansible_collections.vmops.qemu.tests.support.values import ALL
from ansible_collections.vmops.qemu.tests.vm.binaries import Binary
from ansible_collections.vmops.qemu.tests.vm.machine import VM

STEP = 1 if ALL else 7
NUMBERS = [-1, 0, 1, 2, 4096, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32, 1 << 62, (1 << 63) - 1, 1 << 63, (1 << 64) - 1]
VALUES: dict[str, list[Any]] = {
    "int": [*NUMBERS, "4096", "-1", "x", ""],
    "string": ["", "nosuch", "é", "a,b", "x" * 300, 5],
    "enum": ["", "nosuch", 5, True],
    "boolean": [True, False, "yes", "maybe", 1],
    "array": [[], [0], ["x"], {}, "x"],
    "object": [{}, [], "x", {"nosuch": 1}],
}
OBJECTS: dict[str, dict[str, Any]] = {
    "iothread": {},
    "throttle-group": {},
    "memory-backend-ram": {"size": 4096},
    "memory-backend-memfd": {"size": 4096},
    "filter-buffer": {"netdev": "u1", "interval": 5},
    "filter-mirror": {"netdev": "u1", "outdev": "c1"},
    "cryptodev-backend-builtin": {},
    "rng-random": {},
    "rng-egd": {"chardev": "c1"},
    "authz-simple": {"identity": "x"},
    "authz-list": {},
    "tls-creds-anon": {},
    "thread-context": {},
    "can-bus": {},
    "colo-compare": {"primary_in": "c1", "secondary_in": "c2", "outdev": "c1", "iothread": "io1"},
}
CHARDEVS: dict[str, dict[str, Any]] = {
    "null": {},
    "ringbuf": {},
    "pty": {},
    "qemu-vdagent": {},
    "socket": {"addr": {"type": "inet", "data": {"host": "127.0.0.1", "port": "0"}}, "server": True},
    "udp": {"remote": {"type": "inet", "data": {"host": "127.0.0.1", "port": "9"}}},
}
DEVICES = {
    "virtio-rng-pci": ("rng",),
    "virtio-balloon-pci": ("deflate-on-oom",),
    "qemu-xhci": ("p2", "p3", "slots", "intrs"),
    "virtio-serial-pci": ("max_ports", "vectors"),
}
_NOT_HERE = ("logfile", "wait")  # with wait the whole VM stands still
DEPENDS_ON_THE_HOST = (
    "allocate memory",
    "No such file",
    "not found",
    "backing store",
    "page size",
    "memfd",
    "memory allocation",
    "not writable",
    "one queue",
    "credentials",
    "dir' property",
    "open",
    "can't find",
    "in use",
    "already",
    "Could not",
    "Failed to",
    "too large",
    "priority",
    "does not exist",
    "No space",
    "Unable to",
    "Invalid argument",
    "not supported",
    "Unknown",
    "mmap",
    "lookup",
    "Only one",
)
"""What QEMU finds out by trying, and what stands in the way of one thing because of another."""


def chardev_spec(kind: str, options: dict[str, Any]) -> Any:
    return recordings.work_of("qmp_chardev").spec(recordings.params("qmp_chardev", id="x1", type=kind, options=options))


def tasks(hardware: Hardware) -> Iterator[tuple[str, Callable[[Hardware, Any], Plan], Any]]:
    """Each of the options that QEMU's schema has for these, with each value, as (name, plan, spec)."""
    for qom_type, whole in OBJECTS.items():
        for name, member in hardware.schema.command_arguments("object-add", qom_type).items():
            for value in VALUES.get(member.type, ()) if name not in ("id", "qom-type") else ():
                yield (
                    f"{qom_type} {name}={value!r:.60}",
                    objects.plan_present,
                    objects.ObjectSpec("x1", qom_type, {**whole, name: value}),
                )
    backend = hardware.schema.member_types(str(hardware.schema.argument_type("chardev-add")))["backend"]
    for kind, data in CHARDEVS.items():
        data_type = hardware.schema.member_types(backend, kind).get("data")
        for name, type_name in hardware.schema.member_types(data_type).items() if data_type else ():
            entity = hardware.schema.type_named(type_name)
            member_type = str(entity.get("json-type", entity["meta-type"]))
            for value in VALUES.get(member_type, ()) if name not in _NOT_HERE else ():
                yield (
                    f"{kind} {name}={value!r:.60}",
                    chardev.plan_present,
                    chardev_spec(kind, {**data, name: value}),
                )
    for driver, names in DEVICES.items():
        for name in names:
            for value in (*NUMBERS, "", "x", True, None, 1.5, [], "é"):
                yield (
                    f"{driver} {name}={value!r:.60}",
                    peripheral.plan_present,
                    peripheral.DeviceSpec(FrontendSpec("x1", driver, properties={name: value})),
                )


def tried(
    monitor: Monitor, schema: Schema, plan_present: Callable[[Hardware, Any], Plan], spec: Any
) -> tuple[str | None, str | None]:
    """What check mode refuses, or else what the run ends with; a good run is undone."""
    try:
        hardware = Hardware(monitor)
        hardware.schema = schema  # which does not change, and takes long to read
        plan = plan_present(hardware, spec)
    except HardwareError as refusal:
        return str(refusal), None
    try:
        run = plan.apply(monitor, 3)
    except PlanFailed as failure:
        assert isinstance(failure.cause, CommandError), failure
        return None, failure.cause.desc
    assert run.sent == plan.commands()
    for step in reversed(plan.steps):
        undo = step.undo()
        if undo and "can-bus" not in str(spec):
            Plan((undo,)).apply(monitor, 3)
    return None, None


def test_what_the_run_refuses_check_mode_refused(binary: Binary, make_vm: Callable[..., VM]) -> None:
    vm = make_vm(binary=binary, boot=False, native=True)
    vm.query("netdev_add", type="user", id="u1")
    for name in ("c1", "c2"):
        vm.query("chardev-add", id=name, backend={"type": "null", "data": {}})
    vm.query("object-add", qom_type="iothread", id="io1")
    missed: list[tuple[str, str]] = []
    count = refusals = 0
    with Monitor.connect(UnixAddress(str(vm.qmp_socket)), timeout=10) as monitor:
        known = Hardware(monitor)
        for name, plan_present, spec in list(tasks(known))[::STEP]:
            refusal, failure = tried(monitor, known.schema, plan_present, spec)
            count, refusals = count + 1, refusals + bool(refusal)
            if failure and not any(text in failure for text in DEPENDS_ON_THE_HOST):
                missed.append((name, failure))
    assert count * STEP > 800 and refusals > count // 5
    assert missed == []
    assert vm.query("query-status")
