# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A QEMU that is started with the launch arguments of a task has nothing to do for that task, whatever the task found."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils._vm.devices import generic as peripheral
from ansible_collections.vmops.qemu.plugins.module_utils._vm.devices.chardev import plans as chardev
from ansible_collections.vmops.qemu.plugins.module_utils._vm.devices.frontend import FrontendSpec
from ansible_collections.vmops.qemu.plugins.module_utils._vm.devices.objects import plans as objects
from ansible_collections.vmops.qemu.plugins.module_utils._vm.model.hardware import Hardware
from ansible_collections.vmops.qemu.plugins.module_utils._vm.plan.plan import Plan
from ansible_collections.vmops.qemu.plugins.module_utils.qmp import Monitor, UnixAddress
from ansible_collections.vmops.qemu.tests.support import recordings
from ansible_collections.vmops.qemu.tests.vm.binaries import Binary
from ansible_collections.vmops.qemu.tests.vm.machine import VM

Make = Callable[..., VM]
CONTROLLER = ("-device", "virtio-serial-pci,id=serial0")
ADDRESSES = ("-netdev", "user,id=u1", "-chardev", "null,id=mir")

OBJECTS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    # id: type, properties, and what they are changed to in place
    "io1": ("iothread", {}, {}),
    "io2": ("iothread", {"poll-max-ns": "100", "aio-max-batch": 7}, {}),
    "tg1": ("throttle-group", {"limits": {"iops-total": 500, "bps-total": "1048576"}}, {"limits": {"iops-total": 100}}),
    "tg2": (
        "throttle-group",
        {"limits": {"bps-read": 9, "bps-read-max": 90, "bps-read-max-length": 3}},
        {"limits": {"bps-read": 7}},
    ),
    "tg3": ("throttle-group", {}, {"limits": {"iops-write": 5}}),
    "mem1": ("memory-backend-ram", {"size": 2 << 20, "share": True, "merge": False}, {}),
    "mem2": ("memory-backend-memfd", {"size": 2 << 20, "share": False}, {}),
    "mem3": ("memory-backend-file", {"size": 2 << 20, "mem-path": "{dir}/mem,3", "discard-data": True}, {}),
    "al1": ("authz-list", {"policy": "deny", "rules": [{"match": "CN=a,*", "policy": "allow", "format": "glob"}]}, {}),
    "al2": ("authz-simple", {"identity": "CN=x,O=y"}, {}),
    "rng1": ("rng-random", {"filename": "/dev/urandom"}, {}),
    "cb1": ("can-bus", {}, {}),
    "tls1": ("tls-creds-anon", {"endpoint": "server", "verify-peer": False}, {}),
    "cr1": ("cryptodev-backend-builtin", {}, {}),
    "f1": ("filter-mirror", {"netdev": "u1", "outdev": "mir", "queue": "tx"}, {}),
    "f2": ("filter-buffer", {"netdev": "u1", "interval": 1000, "status": "off"}, {}),
}

Made = dict[str, Any]
CHARDEVS: dict[str, tuple[Made, Made]] = {
    # id: how a task makes it, and what it is changed to in place
    "c1": ({"type": "socket", "path": "{dir}/c,1"}, {"type": "socket", "path": "{dir}/c1b"}),
    "c2": ({"type": "socket", "address": "127.0.0.1", "address_port": 0}, {}),
    "c3": ({"type": "socket", "server": False, "path": "{dir}/c,1", "options": {"reconnect{ms}": 100}}, {}),
    "c4": (
        {
            "type": "socket",
            "options": {
                "telnet": True,
                "nodelay": True,
                "addr": {"type": "inet", "data": {"host": "127.0.0.1", "port": "0", "ipv4": True, "ipv6": False}},
            },
        },
        {},
    ),
    "c5": ({"type": "file", "path": "{dir}/out,5", "options": {"append": "yes", "logfile": "{dir}/log"}}, {}),
    "c6": (
        {
            "type": "udp",
            "options": {
                "remote": {"type": "inet", "data": {"host": "127.0.0.1", "port": "9"}},
                "local": {"type": "inet", "data": {"host": "127.0.0.1", "port": "0"}},
            },
        },
        {},
    ),
    "c7": ({"type": "pty"}, {"type": "null"}),
    "c8": ({"type": "pipe", "path": "{dir}/pipe"}, {}),
    "c9": ({"type": "ringbuf", "options": {"size": 1024}}, {}),
    "c10": ({"type": "mux", "options": {"chardev": "c9"}}, {}),
    "c11": ({"type": "null", "driver": "virtserialport", "name": "a,b"}, {}),
    "c12": ({"type": "socket", "path": "{dir}/c12", "driver": "virtconsole"}, {"type": "null", "driver": "virtconsole"}),
    "c13": ({"type": "qemu-vdagent", "options": {"clipboard": True, "mouse": False}}, {}),
    "c14": (
        {"type": "socket", "options": {"addr": {"type": "unix", "data": {"path": "c{pid}", "abstract": True, "tight": True}}}},
        {},
    ),
    "c15": ({"type": "hub", "options": {"chardevs": ["c7", "c14"]}}, {}),
}
TELL_ALL = {"c1", "c2", "c4", "c7", "c11", "c12", "c14"}
"""Those of which QEMU reports what they were made with, so that a task needs to say no more than the id."""

DEVICES: dict[str, tuple[str, dict[str, Any]]] = {
    "d1": ("virtio-rng-pci", {"max-bytes": 1024, "period": 1000}),
    "d2": ("virtio-balloon-pci", {"deflate-on-oom": "on"}),
    "d3": ("qemu-xhci", {"p2": 8}),
    "d4": ("virtio-scsi-pci", {"num_queues": 2}),
    "d5": ("usb-kbd", {"port": "2"}),
}


def filled(value: Any, words: dict[str, str]) -> Any:
    """*value* with the names of this test's directory and version in its texts."""
    if isinstance(value, dict):
        return {filled(name, words): filled(one, words) for name, one in value.items()}
    if isinstance(value, list):
        return [filled(one, words) for one in value]
    return value.format(**words) if isinstance(value, str) else value


def chardev_spec(name: str, options: Made) -> Any:
    return recordings.work_of("qmp_chardev").spec(recordings.params("qmp_chardev", id=name, **options))


class Session:
    """Tasks on one VM, each on a new look at it."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor

    def do(self, plan_present: Callable[[Hardware, Any], Plan], spec: Any) -> Plan:
        plan = plan_present(Hardware(self._monitor), spec)
        plan.apply(self._monitor, 30)
        return plan


@pytest.fixture
def session(make_vm: Make) -> Iterator[Callable[..., tuple[VM, Session]]]:
    monitors: list[Monitor] = []

    def start(binary: Binary, *extra: str) -> tuple[VM, Session]:
        vm = make_vm(binary=binary, boot=False, native=True, ports=8, extra=extra)
        monitors.append(Monitor.connect(UnixAddress(str(vm.qmp_socket)), timeout=10))
        return vm, Session(monitors[-1])

    yield start
    for monitor in monitors:
        monitor.close()


def words_of(directory: Path, binary: Binary) -> dict[str, str]:
    (directory / "pipe").touch()
    (directory / "mem,3").write_bytes(bytes(2 << 20))
    return {"dir": str(directory), "ms": "-ms" if float(binary.version) >= 9.2 else "", "pid": f"{id(directory):x}"}


def launch_words(plans: dict[str, Plan]) -> list[str]:
    return [word for plan in plans.values() for word in plan.launch_args]


def test_objects(binary: Binary, session: Callable[..., Any], tmp_path: Path) -> None:
    words = words_of(tmp_path, binary)
    first, tasks = session(binary, *ADDRESSES)
    specs = {
        name: objects.ObjectSpec(name, kind, filled(properties, words)) for name, (kind, properties, _new) in OBJECTS.items()
    }
    made = {name: tasks.do(objects.plan_present, spec) for name, spec in specs.items()}
    unchanged = {name: tasks.do(objects.plan_present, objects.ObjectSpec(name)) for name in specs}
    assert all(plan.changed for plan in made.values()) and not any(plan.changed for plan in unchanged.values())
    for plans in (made, unchanged):
        first.stop()
        first, tasks = session(binary, *ADDRESSES, *launch_words(plans))
        assert [name for name, spec in specs.items() if tasks.do(objects.plan_present, spec).steps] == []

    changed = {name: objects.ObjectSpec(name, kind, new) for name, (kind, _old, new) in OBJECTS.items() if new}
    plans = {name: tasks.do(objects.plan_present, spec) for name, spec in changed.items()}
    assert all(plan.changed for plan in plans.values())
    limits = {name: first.query("qom-get", path=f"/objects/{name}", property="limits") for name in plans}
    first.stop()
    third, tasks = session(binary, *launch_words(plans))
    assert [name for name, spec in changed.items() if tasks.do(objects.plan_present, spec).steps] == []
    assert {name: third.query("qom-get", path=f"/objects/{name}", property="limits") for name in plans} == limits


def test_character_devices_and_ports(binary: Binary, session: Callable[..., Any], tmp_path: Path) -> None:
    words = words_of(tmp_path, binary)
    first, tasks = session(binary, *CONTROLLER)
    has_hub = "hub" in {one["name"] for one in first.query("query-chardev-backends")}
    desired = {name: filled(made, words) for name, (made, _new) in CHARDEVS.items() if made["type"] != "hub" or has_hub}
    made = {name: tasks.do(chardev.plan_present, chardev_spec(name, one)) for name, one in desired.items()}
    assert [name for name, plan in made.items() if not plan.changed or plan.warnings] == []
    unchanged = {name: tasks.do(chardev.plan_present, chardev_spec(name, one)) for name, one in desired.items()}
    assert [name for name, plan in unchanged.items() if plan.changed or plan.warnings] == []
    ids = {
        name: chardev_spec(name, {one: desired[name][one] for one in ("driver",) if one in desired[name]}) for name in TELL_ALL
    }
    reported = {name: tasks.do(chardev.plan_present, spec) for name, spec in ids.items()}
    assert [name for name, plan in reported.items() if plan.changed or plan.warnings] == []
    for plans in (made, unchanged, {**unchanged, **reported}):
        first.stop()
        first, tasks = session(binary, *CONTROLLER, *launch_words(plans))
        assert [name for name, one in desired.items() if tasks.do(chardev.plan_present, chardev_spec(name, one)).steps] == []


def test_character_devices_that_were_changed_in_place(binary: Binary, session: Callable[..., Any], tmp_path: Path) -> None:
    words = words_of(tmp_path, binary)
    first, tasks = session(binary, *CONTROLLER)
    both = {name: (filled(old, words), filled(new, words)) for name, (old, new) in CHARDEVS.items() if new}
    plans: dict[str, Plan] = {}
    for name, (old, new) in both.items():
        tasks.do(chardev.plan_present, chardev_spec(name, old))
        plans[name] = tasks.do(chardev.plan_present, chardev_spec(name, new))
        assert [command["execute"] for command in plans[name].commands()] == ["chardev-change"]
    first.stop()
    _vm, tasks = session(binary, *CONTROLLER, *launch_words(plans))
    assert [name for name, (_old, new) in both.items() if tasks.do(chardev.plan_present, chardev_spec(name, new)).steps] == []


def test_what_has_no_words_on_the_command_line_is_warned_of(bare_vm: VM, tmp_path: Path) -> None:
    with Monitor.connect(UnixAddress(str(bare_vm.qmp_socket)), timeout=10) as monitor:
        tasks = Session(monitor)
        file = {"type": "file", "path": str(tmp_path / "out")}
        assert tasks.do(chardev.plan_present, chardev_spec("c1", file)).launch_args == (
            "-chardev",
            f"file,id=c1,path={tmp_path}/out",
        )
        plan = tasks.do(chardev.plan_present, chardev_spec("c1", {}))
        assert plan.launch_args == () and not plan.changed and "c1" in plan.warnings[0]
        vsock = {"type": "socket", "options": {"addr": {"type": "vsock", "data": {"cid": "2", "port": "1"}}}}
        plan = chardev.plan_present(Hardware(monitor), chardev_spec("c2", vsock))
        assert plan.launch_args == () and plan.changed and "command line" in plan.warnings[0]


def test_devices(binary: Binary, session: Callable[..., Any]) -> None:
    first, tasks = session(binary)
    specs = {
        name: peripheral.DeviceSpec(FrontendSpec(name, driver, properties=properties))
        for name, (driver, properties) in DEVICES.items()
    }
    made = {name: tasks.do(peripheral.plan_present, spec) for name, spec in specs.items()}
    unchanged = {name: tasks.do(peripheral.plan_present, peripheral.DeviceSpec(FrontendSpec(name))) for name in specs}
    assert all(plan.changed for plan in made.values()) and not any(plan.changed for plan in unchanged.values())
    for plans in (made, unchanged):
        first.stop()
        first, tasks = session(binary, *launch_words(plans))
        assert [name for name, spec in specs.items() if tasks.do(peripheral.plan_present, spec).steps] == []
