# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hardware of a VM as a tree: its buses, their devices, what is behind these, and what results of tasks change."""

from __future__ import annotations

from typing import Any, Iterable, Iterator, Mapping, NamedTuple

from ansible_collections.vmops.qemu.plugins.module_utils._ansible.options.hotplug import KINDS
from ansible_collections.vmops.qemu.plugins.plugin_utils.drawing import Node

Facts = Mapping[str, Any]
_FACTS = {"blockdevs": "disks", "netdevs": "nics", "chardevs": "chardevs", "objects": "objects"}
"""The parts of the facts that have the objects of a kind."""
_BUSES = {
    "PCIE": "PCI Express bus",
    "PCI": "PCI bus",
    "SCSI": "SCSI bus",
    "virtio-serial-bus": "virtio serial bus",
    "virtual-css-bus": "channel",
}
_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")


class Change(NamedTuple):
    """What a task does to one object. ``before`` and ``after`` are the object, empty if it does not exist."""

    kind: str
    id: str
    before: Facts
    after: Facts

    @property
    def mark(self) -> str:
        return _mark(bool(self.before), bool(self.after), self.before != self.after)


class Item(NamedTuple):
    """An object with what happens to it, and to its device."""

    facts: Facts
    mark: str = ""
    device_mark: str = ""


def is_result(value: Facts) -> bool:
    """Whether *value* is the result of a task that changes a VM, and not facts."""
    return "diff" in value or "error_code" in value


def topology(vm: Facts, results: Iterable[Facts]) -> Node:
    """The picture of a VM with these facts, and with what the tasks of these *results* do."""
    results = list(results)
    changes = [change for result in results for change in changes_of(result)]
    pending = {name for result in results for name in _pending(result)}
    items = {kind: _items(kind, vm, changes) for kind in (*_FACTS, "devices", "memory")}
    machine = vm.get("vm", {})
    title = f"VM {machine['name']}" if machine.get("name") else "VM"
    known = [f"QEMU {machine['qemu_version']}", str(machine["machine"]), str(machine["status"])] if machine else []
    root = Node(title, ", ".join(known))
    root.children += [*_cpus(vm, changes), *_memory(vm, items["memory"], pending)]
    root.children += _Devices(vm, items, pending).tree()
    root.children += _loose("objects", (_object(one) for one in items["objects"].values()))
    return root


# -- results of tasks


def changes_of(result: Facts) -> Iterator[Change]:
    """What a task changes, or would change in check mode."""
    diff = result.get("diff")
    if not isinstance(diff, Mapping):
        return
    before, after = (dict(diff.get(name) or {}) for name in ("before", "after"))
    if "order" not in result:  # a module for one kind
        kind = next((kind for kind, one in KINDS.items() if one.result in result), None)
        if kind is None:
            return
        before, after = ({kind: _by_id(kind, one)} for one in (before, after))
    for kind in KINDS:
        if kind == "cpus":
            if before.get(kind) != after.get(kind):
                yield Change(kind, "", before.get(kind) or {}, after.get(kind) or {})
            continue
        old, new = (_expanded(one.get(kind) or {}) for one in (before, after))
        for name in dict.fromkeys([*old, *new]):
            yield Change(kind, name, old.get(name) or {}, new.get(name) or {})


def _by_id(kind: str, one: Facts) -> Facts:
    """The object of a module for one kind, as qmp_hotplug has it."""
    return one if kind == "cpus" or not one else {str(one.get("id", "memory")): one}


def _expanded(objects: Facts) -> dict[str, Facts]:
    """The objects by id, with those of a total of memory."""
    found: dict[str, Facts] = {}
    for name, one in objects.items():
        if isinstance(one, Mapping) and isinstance(one.get("devices"), list):
            found.update({str(device["id"]): device for device in one["devices"] if device.get("id")})
        elif isinstance(one, Mapping):
            found[str(name)] = one
    return found


def _pending(result: Facts) -> Iterator[str]:
    """The ids of the devices whose unplugging the guest has not acknowledged."""
    details = result.get("details") or {}
    if result.get("error_code") == "unplug_pending" and details.get("device"):
        yield str(details["device"])
    for kind in KINDS if "order" in result else ():
        entries = result.get(kind) or []
        for entry in entries if isinstance(entries, list) else [entries]:
            if entry.get("status") == "unplug_pending":
                yield str(entry["id"])
    if "order" not in result and result.get("status") == "unplug_pending" and "error_code" not in result:
        yield from (change.id for change in changes_of(result))


def _mark(before: bool, after: bool, differs: bool) -> str:
    if before and after:
        return "~" if differs else ""
    return "+" if after else "-" if before else ""


def _items(kind: str, vm: Facts, changes: Iterable[Change]) -> dict[str, Item]:
    """The objects of a kind by id, those of the VM and those of the results."""
    memory = vm.get("memory") or {}
    listed = memory.get("devices", []) if kind == "memory" else vm.get(_FACTS.get(kind, ""), [])
    items = {str(one["id"]): Item(one) for one in listed or [] if one.get("id")}
    for change in changes:
        if change.kind == kind:
            facts = change.after or change.before
            device = _mark("driver" in change.before, "driver" in change.after, change.before != change.after)
            if facts:
                if "driver" in change.before and "driver" not in facts:
                    facts = {**change.before, **facts}
                items[change.id] = Item(facts, change.mark, device)
    return items


# -- parts of the picture


def _cpus(vm: Facts, changes: Iterable[Change]) -> Iterator[Node]:
    now = vm.get("cpus") or {}
    for change in changes:
        if change.kind == "cpus" and change.after.get("count") != change.before.get("count"):
            now = change.after
            detail = f"{now.get('count')} of {now.get('maximum')}, {change.before.get('count', 0)} before"
            yield Node("vCPUs", detail, "~")
            return
    if now:
        yield Node("vCPUs", f"{now.get('count')} of {now.get('maximum')}")


def _memory(vm: Facts, devices: Mapping[str, Item], pending: set[str]) -> Iterator[Node]:
    facts = vm.get("memory") or {}
    if not facts and not devices:
        return
    sizes = [facts.get("base", 0) + facts.get("plugged", 0), facts.get("maximum")] if facts else []
    node = Node("memory", " of ".join(size(one) for one in sizes if one))
    for name, item in devices.items():
        detail = f"{item.facts.get('type', 'memory device')}, {size(item.facts.get('size', 0))}"
        node.children.append(Node(name, detail, "?" if name in pending else item.mark))
    slots = facts.get("slots")
    free = (slots or 0) - sum(item.mark != "-" for item in devices.values())
    if free > 0:
        node.children.append(Node("free", f"{free} slots", shape="free"))
    yield node


def _object(item: Item) -> Node:
    return Node(str(item.facts.get("id")), str(item.facts.get("qom_type", "object")), item.mark)


def _loose(title: str, nodes: Iterable[Node]) -> list[Node]:
    """A node with these children, if there are any."""
    children = list(nodes)
    return [Node(title, children=children)] if children else []


class _Devices:
    """The devices on their buses. A bus is below its device, or below the machine."""

    def __init__(self, vm: Facts, items: Mapping[str, Mapping[str, Item]], pending: set[str]) -> None:
        self._items = items
        self._pending = pending
        self._buses = {str(bus["name"]): bus for bus in vm.get("buses") or []}
        cpus = {slot.get("qom_path") for slot in (vm.get("cpus") or {}).get("slots") or []}
        self._devices: dict[str, Item] = {}
        for device in vm.get("devices") or []:
            if device.get("path") not in cpus and device.get("id") not in items["memory"]:
                self._devices[str(device.get("id") or device.get("path"))] = Item(device)
        for kind in (*_FACTS, "devices"):
            for name, item in items[kind].items():
                if "driver" in item.facts and (item.device_mark or not vm.get("devices")):
                    known = self._devices.get(name, Item({})).facts
                    self._devices[name] = Item({**known, **item.facts, "id": name}, item.mark, item.device_mark)
        self._on_bus: dict[str, list[str]] = {bus: [] for bus in self._buses}
        for name, item in self._devices.items():
            if item.facts.get("bus"):
                self._on_bus.setdefault(str(item.facts["bus"]), []).append(name)
        by_path = {item.facts["path"]: name for name, item in self._devices.items() if item.facts.get("path")}
        self._below: dict[str | None, list[str]] = {}
        for bus in self._on_bus:
            path = self._buses.get(bus, {}).get("device")
            owner = by_path.get(path) if path or bus in self._buses else bus.partition(".")[0]
            is_known = owner in self._devices and owner not in self._on_bus[bus]
            self._below.setdefault(owner if is_known else None, []).append(bus)

    def tree(self) -> Iterator[Node]:
        for bus in self._below.get(None, ()):
            yield Node(bus, self._kind(bus), children=self._on(bus))
        yield from (self._device(name, item) for name, item in self._devices.items() if not item.facts.get("bus"))
        for kind, title in (("blockdevs", "disks"), ("netdevs", "netdevs"), ("chardevs", "character devices")):
            alone = [self._backend(kind, item) for name, item in self._items[kind].items() if name not in self._devices]
            yield from _loose(f"{title} without a device", alone)

    def _kind(self, bus: str) -> str:
        return _BUSES.get(str(self._buses.get(bus, {}).get("type")), "bus")

    def _owner(self, bus: str) -> str | None:
        """The device that has the bus: as reported or, without facts, the one of that name."""
        path = self._buses.get(bus, {}).get("device")
        for name, item in self._devices.items():
            if item.facts.get("bus") == bus:
                continue
            if item.facts.get("path") == path if path else bus not in self._buses and bus.partition(".")[0] == name:
                return name
        return None

    def _on(self, bus: str) -> list[Node]:
        """What is on a bus: devices by their slots, and how much is free."""
        on = [(name, self._devices[name]) for name in self._on_bus[bus]]
        nodes = [self._device(name, item) for name, item in sorted(on, key=lambda one: _order(one[1]))]
        free = (self._buses.get(bus, {}).get("free") or 0) - sum(item.device_mark == "+" for _name, item in on)
        if free > 0:
            nodes.append(Node("free", f"{free} slots" if free > 1 else "", shape="free"))
        return nodes

    def _device(self, name: str, item: Item) -> Node:
        facts = item.facts
        mark = "?" if name in self._pending else item.device_mark
        slot = [f"{word} {facts[key]}" for key, word in _SLOTS.items() if facts.get(key) is not None]
        if self._buses.get(str(facts.get("bus")), {}).get("type") == "PCIE" and facts.get("addr") == "0":
            slot = []  # the only one of a root port
        node = Node(name, ", ".join([str(facts.get("driver")), *slot]), mark)
        for kind in ("blockdevs", "netdevs", "chardevs"):
            if name in self._items[kind]:
                node.children.append(self._backend(kind, self._items[kind][name]))
        for bus in self._below.get(name, ()):
            children = self._on(bus)
            node.children += children if bus == name else [Node(bus, self._kind(bus), children=children)]
        return node

    def _backend(self, kind: str, item: Item) -> Node:
        facts = item.facts
        details = _BACKENDS[kind](facts)
        mark = "" if item.mark == "~" and item.device_mark == "-" else item.mark
        return Node(_TITLES[kind].format(facts.get("id")), ", ".join(one for one in details if one), mark, "backend")


_SLOTS = {"addr": "addr", "scsi_id": "target", "lun": "LUN"}
_TITLES = {"blockdevs": "image", "netdevs": "netdev", "chardevs": "chardev {}"}


def _image(facts: Facts) -> list[str]:
    backend = facts.get("backend") or {}
    return [
        str(facts.get("file") or backend.get("filename") or backend.get("driver") or "no medium"),
        str(facts.get("format") or ""),
        size(facts["size"]) if facts.get("size") else "",
        *(["read-only"] if facts.get("read_only") else []),
    ]


def _netdev(facts: Facts) -> list[str]:
    return [str(facts.get("type") or "none"), str(facts.get("ifname") or ""), str(facts.get("mac") or "")]


def _chardev(facts: Facts) -> list[str]:
    place = facts.get("path") or facts.get("pty") or (f"{facts['host']}:{facts.get('port')}" if facts.get("host") else "")
    return [str(facts.get("type") or ""), str(place)]


_BACKENDS = {"blockdevs": _image, "netdevs": _netdev, "chardevs": _chardev}


def _order(item: Item) -> tuple[Any, ...]:
    """The order of devices on a bus: by slot, and in one slot what is added last."""
    facts = item.facts
    addr = str(facts.get("addr") or "")
    slot, _dot, function = addr.partition(".")
    try:
        number = (int(slot or "0", 16), int(function or "0", 16))
    except ValueError:
        number = (0, 0)
    scsi = facts.get("scsi_id") or 0, facts.get("lun") or 0
    return (*number, *scsi, addr, item.device_mark == "+", str(facts.get("id")))


def size(count: Any) -> str:
    """Bytes in the greatest unit that gives at least 1."""
    value = float(count)
    for unit in _UNITS:
        if value < 1024 or unit == _UNITS[-1]:
            break
        value /= 1024
    return f"{value:.0f} {unit}" if value == int(value) else f"{value:.1f} {unit}"
