# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a VM will have when planned commands are done, so that further plans can be made for it before anything is sent."""

from __future__ import annotations

import json
from typing import Any, Callable, Iterable, Mapping

from .block_graph import subtree
from .dependents import removed_with
from .hardware import PERIPHERAL, Bus, Chardev, Device, Hardware, Netdev, Node, natural
from .slots import parse_addr

_OBJECTS = "/objects"
_SCSI_CONTROLLERS = ("virtio-scsi", "megasas", "mptsas", "pvscsi", "lsi53c", "am53c974")
_BRIDGES = ("pci-bridge", "pcie-pci-bridge")
_PORTS = ("pcie-root-port", "ioh3420", "xio3130-downstream")
_MEMORY = {"pc-dimm": "dimm", "nvdimm": "nvdimm", "virtio-mem-pci": "virtio-mem"}

Arguments = Mapping[str, Any]


def planned_chardev(name: str, backend: Mapping[str, Any]) -> Chardev:
    """A character device as QEMU will report it, given the *backend* of its ``chardev-add``."""
    data = backend.get("data") or {}
    legacy = data.get("addr") if isinstance(data.get("addr"), dict) else {}
    addr = {**legacy.get("data", {}), "type": legacy["type"]} if legacy else {}
    waits = backend["type"] == "socket" and data.get("server", True)
    protocol = next((one for one in ("telnet", "websocket") if data.get(one)), str(backend["type"]))
    filename = f"{'disconnected:' if waits else ''}{protocol}:{',server=on' if waits else ''}"
    return Chardev(name, str(backend["type"]), filename, False, addr)


class Forecast(Hardware):
    """A VM as planned commands will leave it. What they do not concern is as QEMU reports it.

    It knows as much of a planned thing as plans for other things need: ids, slots, buses, users and sizes; and what
    ``device_add`` or ``object-add`` set. A command that it does not know changes nothing here.
    """

    def __init__(self, hardware: Hardware) -> None:
        """Begin with *hardware*, which is not to be used any more: what was read of it changes with the forecast."""
        self.__dict__.update(hardware.__dict__)
        self.gone: set[str] = set()

    def expect(self, commands: Iterable[Mapping[str, Any]]) -> None:
        """Take *commands*, in the form of the wire, for done."""
        for command in commands:
            effect = _EFFECTS.get(command["execute"])
            if effect:
                effect(self, command.get("arguments", {}))

    # Devices

    def _device_add(self, arguments: Arguments) -> None:
        driver, name = str(arguments["driver"]), str(arguments["id"])
        path = f"{PERIPHERAL}/{name}"
        devices, buses = self.devices, self.buses
        bus = self.bus(str(arguments["bus"])) if "bus" in arguments else None
        known = self.schema.device_properties(driver)
        types = {**{one: str(about["type"]) for one, about in known.items()}, "type": "string", "hotplugged": "bool"}
        values = {one: about["default"] for one, about in known.items() if "default" in about}
        values.update({one: self._as_reported(types.get(one, ""), value) for one, value in arguments.items()})
        values.update(type=driver, hotplugged=True, **({"parent_bus": bus.path} if bus else {}))
        if isinstance(values.get("addr"), str):
            slot, function = parse_addr(values["addr"])
            values["addr"] = slot * 8 + function
        if "devno" in arguments:
            values["dev_id"] = str(arguments["devno"])
        self.cache.assume(path, types, values)
        self.ids[name] = path
        self.gone.discard(name)
        device = self.device_at(path)
        if device is None:
            return
        devices.append(device)
        if bus:
            buses[buses.index(bus)] = bus._replace(devices=(*bus.devices, device))
        buses += self._buses_of(device)
        buses.sort(key=lambda one: natural(one.name))
        self._connect(device)

    def _as_reported(self, kind: str, value: Any) -> Any:
        """The value of an argument as ``qom-get`` returns it: of a link the path that it leads to."""
        if not kind.startswith("link<") or not isinstance(value, str) or value.startswith("/"):
            return value
        return f"{_OBJECTS}/{value}" if value in self.objects else self.ids.get(value, value)

    def _buses_of(self, device: Device) -> list[Bus]:
        """The buses that come with a controller or bridge. QEMU names them by its id."""
        driver, path = device.driver, device.path
        inside = f"{path}/virtio-backend" if driver.startswith("virtio-") else path
        if driver.startswith(_SCSI_CONTROLLERS):
            bus = Bus(f"{device.id}.0", f"{inside}/{device.id}.0", "SCSI", inside, True, ())
        elif driver.startswith("virtio-serial"):
            bus = Bus(f"{device.id}.0", f"{inside}/{device.id}.0", "virtio-serial-bus", inside, True, ())
        elif driver in _BRIDGES:
            takes = driver == "pcie-pci-bridge" or self.property_of(device, "shpc") is True
            bus = Bus(str(device.id), f"{path}/{device.id}", "PCI", path, takes, ())
        elif driver in _PORTS:
            takes = self.property_of(device, "hotplug") is not False
            bus = Bus(str(device.id), f"{path}/{device.id}", "PCIE", path, takes, ())
        else:
            return []
        if inside != path:
            self.cache.assume(inside, {"type": "string"}, {"type": driver})
        self.cache.assume(bus.path, {"type": "string"}, {"type": bus.kind})
        return [bus]

    def _connect(self, device: Device) -> None:
        """Note the new *device* with what is behind it, and in the slot for a CPU or memory."""
        properties = device.properties
        netdev, node = self.netdevs.get(properties.get("netdev", "")), properties.get("drive", "")
        if netdev:
            self.netdevs[netdev.id] = netdev._replace(nic=device.id)
        if node in self.nodes:
            self.nodes[node] = self.nodes[node]._replace(users=(*self.nodes[node].users, str(device.id)))
        if device.driver in _MEMORY:
            self.memory_devices.append({"type": _MEMORY[device.driver], "data": self._memory_of(device)})
        for number, cpu in enumerate(self.cpu_slots if device.driver.endswith("-cpu") or "core-id" in device.types else ()):
            values = self.cache.qom_get(((device.path, name) for name in cpu.props), int)
            if cpu.type == device.driver and values == list(cpu.props.values()):
                self.cpu_slots[number] = cpu._replace(path=device.path)

    def _memory_of(self, device: Device) -> dict[str, Any]:
        """An entry of ``query-memory-devices``, as far as it can be known."""
        memdev = str(device.properties.get("memdev"))
        size = self.cache.qom_get([(memdev, "size")], int)[0] or 0
        slot, node, requested = self.cache.qom_get(((device.path, name) for name in ("slot", "node", "requested-size")), int)
        entry = {"id": device.id, "memdev": memdev, "node": node or 0}
        if device.driver not in ("pc-dimm", "nvdimm"):
            return {**entry, "max-size": size, "requested-size": requested or 0, "size": requested or 0}
        taken = {one["data"].get("slot") for one in self.memory_devices}
        free = next(number for number in range(len(taken) + 1) if number not in taken)
        return {**entry, "size": size, "slot": free if slot is None or slot < 0 else slot}

    def _device_del(self, arguments: Arguments) -> None:
        name = str(arguments["id"])
        path = self.ids.get(name, name)
        device = next((one for one in self.devices if one.path == path), None)
        for one in [device, *removed_with(self, device)] if device else []:
            self._remove(one)
        for number, cpu in enumerate(self.cpu_slots):
            if cpu.path == path:
                self.cpu_slots[number] = cpu._replace(path=None)

    def _remove(self, device: Device) -> None:
        buses = self.buses
        self.devices[:] = [one for one in self.devices if one.path != device.path]
        buses[:] = [bus for bus in buses if not bus.path.startswith(f"{device.path}/")]
        for number, bus in enumerate(buses):
            if bus.path == device.properties.get("parent_bus"):
                buses[number] = bus._replace(devices=tuple(one for one in bus.devices if one.path != device.path))
        self._delete_drive(device)
        self.block_devices[:] = [entry for entry in self.block_devices if not _is_part(entry.get("qdev"), device)]
        for name, node in list(self.nodes.items()):
            if any(_is_part(user, device) for user in node.users):
                self.nodes[name] = node._replace(users=tuple(user for user in node.users if not _is_part(user, device)))
        self.memory_devices[:] = [one for one in self.memory_devices if one["data"].get("id") != device.id]
        netdev = self.netdevs.get(device.properties.get("netdev", ""))
        if netdev:
            self.netdevs[netdev.id] = netdev._replace(nic=None)
        if device.id:
            self.ids.pop(device.id, None)
            self.gone.add(device.id)
        self.cache.assume(device.path, {}, {})

    def _delete_drive(self, device: Device) -> None:
        """The nodes of a ``-drive`` go with the device that is on it."""
        entry = next((one for one in self.block_devices if one["device"] and _is_part(one.get("qdev"), device)), None)
        top = self.nodes.get(((entry or {}).get("inserted") or {}).get("node-name", ""))
        for name in subtree(self, top):
            if not any(name in node.children.values() for node in self.nodes.values()):
                del self.nodes[name]

    # What is behind devices

    def _object_add(self, arguments: Arguments) -> None:
        name, kind = str(arguments["id"]), str(arguments["qom-type"])
        values = {key: value for key, value in arguments.items() if key not in ("id", "qom-type", "props")}
        values.update(arguments.get("props") or {})
        known = self.schema.command_arguments("object-add", kind)
        types = {**{one: member.type for one, member in known.items()}, **dict.fromkeys(values, ""), "type": "string"}
        self.objects[name] = kind
        self.cache.assume(f"{_OBJECTS}/{name}", types, {**values, "type": kind})

    def _object_del(self, arguments: Arguments) -> None:
        self.objects.pop(str(arguments["id"]), None)
        self.cache.assume(f"{_OBJECTS}/{arguments['id']}", {}, {})

    def _chardev_add(self, arguments: Arguments) -> None:
        name = str(arguments["id"])
        self.chardevs[name] = planned_chardev(name, arguments["backend"])

    def _chardev_remove(self, arguments: Arguments) -> None:
        self.chardevs.pop(str(arguments["id"]), None)

    def _netdev_add(self, arguments: Arguments) -> None:
        name, kind = str(arguments["id"]), str(arguments["type"])
        info = {key: str(arguments[key]) for key in ("ifname", "br", "hubid") if key in arguments}
        queues = int(arguments.get("queues", len(str(arguments.get("fds", "")).split(":"))))
        self.netdevs[name] = Netdev(name, kind, info, None, queues)

    def _netdev_del(self, arguments: Arguments) -> None:
        self.netdevs.pop(str(arguments["id"]), None)

    def _blockdev_add(self, arguments: Arguments) -> None:
        self._add_node(str(arguments["node-name"]), arguments)

    def _add_node(self, name: str, options: Arguments) -> None:
        """A node and those in it, which QEMU names."""
        children = {}
        for role, value in options.items():
            if isinstance(value, str) and value in self.nodes:
                children[role] = value
            elif isinstance(value, dict) and "driver" in value:
                children[role] = str(value.get("node-name", f"#{name}-{role}"))
                self._add_node(children[role], value)
        text = f"json:{json.dumps(options)}"
        self.nodes[name] = Node(name, str(options["driver"]), text, bool(options.get("read-only")), 0, {}, children, ())

    def _blockdev_del(self, arguments: Arguments) -> None:
        node = self.nodes.get(str(arguments.get("node-name")))
        for name in subtree(self, node):
            if name == (node and node.name) or name.startswith("#"):
                self.nodes.pop(name, None)

    def _block_resize(self, arguments: Arguments) -> None:
        node = self.nodes.get(str(arguments.get("node-name")))
        if node:
            self.nodes[node.name] = node._replace(size=int(arguments["size"]))

    def _qom_set(self, arguments: Arguments) -> None:
        """Only a virtio-mem device is of interest to others: how much it is to have."""
        for entry in self.memory_devices:
            if arguments["path"] == f"{PERIPHERAL}/{entry['data'].get('id')}" and arguments["property"] == "requested-size":
                entry["data"] = {**entry["data"], "requested-size": arguments["value"]}


_EFFECTS: dict[str, Callable[[Forecast, Arguments], None]] = {
    "device_add": Forecast._device_add,
    "device_del": Forecast._device_del,
    "object-add": Forecast._object_add,
    "object-del": Forecast._object_del,
    "chardev-add": Forecast._chardev_add,
    "chardev-change": Forecast._chardev_add,
    "chardev-remove": Forecast._chardev_remove,
    "netdev_add": Forecast._netdev_add,
    "netdev_del": Forecast._netdev_del,
    "blockdev-add": Forecast._blockdev_add,
    "blockdev-del": Forecast._blockdev_del,
    "block_resize": Forecast._block_resize,
    "qom-set": Forecast._qom_set,
}


def _is_part(name: Any, device: Device) -> bool:
    """Whether *name* is what QEMU calls the device, or a device inside of it, in the block layer."""
    return bool(name) and (name in (device.id, device.path) or str(name).startswith(f"{device.path}/"))
