# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hardware: what one running VM has now, read lazily, in few round trips.

Devices and buses come from QEMU's object model (``qom-list``, ``qom-get``), for no query lists them all;
``/machine/peripheral`` holds every device that was given an id.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from functools import cached_property
from typing import AbstractSet, Any, Iterable, Mapping, NamedTuple

from ...qmp import Address, CommandError, Monitor, ProtocolError, Request, Schema, UnixAddress, Version, is_a
from ..errors import Conflict, InvalidOption, Unsupported
from ..host import qemu_process as launched
from .qtree import scsi_devices
from .query_cache import QueryCache

PERIPHERAL = "/machine/peripheral"

_ANONYMOUS = "/machine/peripheral-anon"
_IN_MODULES = re.compile(r"(virtio|vhost-user)-(gpu|vga)-(gl|rutabaga)\b")
_OUTSIDE = re.compile(r"-(pci|ccw)\Z")

_DEVICE_PROPERTIES: dict[str, type] = {
    "type": str,
    "parent_bus": str,
    "hotplugged": bool,
    "addr": int,
    "drive": str,
    "netdev": str,
    "mac": str,
    "serial": str,
    "bootindex": int,
    "scsi-id": int,
    "lun": int,
    "dev_id": str,
    "iothread": str,
    "chardev": str,
    "memdev": str,
    "iothread-vq-mapping": list,
}
"""What is read of every device that has it, with the JSON type that it has where it means what it does here."""
_SLOT_PROPERTIES = {"PCI": ("addr",), "SCSI": ("scsi-id", "lun")}
"""The properties that say which slot of a bus a device occupies, by the type of the bus; other buses have no numbered slots."""
_WITHOUT_BUSES = {
    f"child<{driver}>"
    for driver in (
        "scsi-hd",
        "scsi-cd",
        "scsi-block",
        "scsi-generic",
        "virtio-blk-pci",
        "virtio-net-pci",
        "virtserialport",
        "virtconsole",
        "pc-dimm",
        "nvdimm",
        "e1000",
        "e1000e",
        "vfio-pci",
    )
}
"""Frequent devices that have no buses for other devices."""
_BUS_TYPES = {"child<PCI>", "child<PCIE>", "child<SCSI>", "child<virtual-css-bus>", "child<virtio-serial-bus>"}
_BUS_OWNERS_BELOW = {"child<virtio-scsi-device>", "child<vhost-scsi>", "child<virtio-serial-device>"}
_HOST_BRIDGE = re.compile(r"child<.*(pci-?host|pci-host-bridge|css-bridge)>\Z", re.IGNORECASE)
_MONITOR_OBJECT = "monitor-"
_MONITOR_CHARDEV = re.compile(r"compat_monitor\d+\Z")
_ASKS_SAFELY = (11, 1)
"""From this version on, block nodes can be queried while a stream has concluded."""
_MANY = 64
"""So many SCSI devices are looked for in one text, instead of with questions for each."""
_CHILD_LINK = re.compile(r"child\[\d+\]\Z")


class Device(NamedTuple):
    """A device on a bus. ``properties`` holds those of _DEVICE_PROPERTIES that it has, ``types`` all, by QOM type."""

    path: str
    id: str | None
    driver: str
    properties: dict[str, Any]
    types: dict[str, str]

    @property
    def bus(self) -> str | None:
        """The name of the bus it sits on, as ``device_add`` takes it."""
        path = self.properties.get("parent_bus")
        return path.rsplit("/", 1)[-1] if path else None

    @property
    def addr(self) -> str | None:
        """The PCI slot (and function, unless 0) in QEMU's hexadecimal notation."""
        devfn = self.properties.get("addr")
        if not isinstance(devfn, int) or not 0 <= devfn < 256:  # that of a DIMM is where its memory is
            return None
        slot, function = divmod(devfn, 8)
        return f"{slot:x}.{function:x}" if function else f"{slot:x}"

    @property
    def at_launch(self) -> bool:
        """Whether QEMU was started with it."""
        return self.properties.get("hotplugged") is False


class Bus(NamedTuple):
    """A bus; ``kind`` is its QOM type (PCI, PCIE, SCSI, …), ``owner`` the QOM path of its controller or bridge.

    Of the properties of its ``devices`` only those are read that say which slot of the bus a device occupies.
    """

    name: str
    path: str
    kind: str
    owner: str
    hotpluggable: bool
    devices: tuple[Device, ...]


class Node(NamedTuple):
    """A block node; ``children`` are its nodes by role. ``users`` are what uses it besides other nodes: devices by their id or
    QOM path, drives by name, ``job NAME``, and ``block-backend`` for what has no name, such as an export."""

    name: str
    driver: str
    filename: str
    read_only: bool
    size: int
    details: dict[str, Any]
    children: dict[str, str]
    users: tuple[str, ...]


class Netdev(NamedTuple):
    """A network backend as ``info network`` reports it; no QMP command does. ``nic`` is the id of the NIC on it, ``queues`` the
    number of its queue pairs."""

    id: str
    type: str
    info: dict[str, str]
    nic: str | None
    queues: int = 1


class Chardev(NamedTuple):
    """A character device. ``type`` is as in ``chardev-add``; ``filename`` is the text that ``query-chardev`` has for it.

    ``addr`` is the address of a socket: of a client as it was set, of a server as it was resolved. In ``filename`` it is the
    address of the present connection.
    """

    id: str
    type: str
    filename: str
    open: bool
    addr: dict[str, Any]


class CpuSlot(NamedTuple):
    """A CPU slot from ``query-hotpluggable-cpus``. ``props`` are sent to QEMU unchanged; a free slot has no ``path``."""

    type: str
    props: dict[str, int]
    vcpus: int
    path: str | None

    @property
    def id(self) -> str | None:
        """The id it was plugged with; None for one the VM was started with by ``-smp``."""
        return _id_of(self.path or "")


class Hardware:
    """What the VM behind *monitor* has. Each part is read on first use and then stays; make a new one to look again.

    ``gone``: the ids of devices that QEMU still reports, although planned commands remove them; see Forecast.
    """

    gone: AbstractSet[str] = frozenset()

    def __init__(self, monitor: Monitor) -> None:
        self.cache = QueryCache(monitor)
        self.schema = Schema(monitor)
        self.version: Version = monitor.version

    # The machine

    @cached_property
    def machine(self) -> str:
        """The machine type, such as ``pc-q35-7.2``."""
        name = str(self.cache.qom_get([("/machine", "type")])[0])
        return name[: -len("-machine")] if name.endswith("-machine") else name

    @cached_property
    def target(self) -> str:
        """The architecture of the guest, such as ``x86_64``."""
        return str(self.cache.ask("query-target")["arch"])

    @cached_property
    def accelerator(self) -> str:
        """The accelerator's name where QEMU reports it, as the newest do; else ``kvm``, ``tcg`` or ``other``.

        Older versions do not report TCG by name, but only with it they report translated blocks.
        """
        reported = self.cache.ask_or(None, "query-accelerators")
        if reported:
            return str(reported["enabled"])
        if self.cache.ask("query-kvm")["enabled"]:
            return "kvm"
        text = self.cache.ask_or("", "human-monitor-command", **{"command-line": "info jit"})
        return "tcg" if "TB count" in text else "other"

    @cached_property
    def command_line(self) -> launched.Launched:
        """What QEMU was started with, as far as this host shows its process."""
        return launched.read(self.cache.monitor.peer_pid)

    @property
    def launched(self) -> dict[str, launched.Options]:
        """The devices on QEMU's command line by id, each with its options there: what it was given, whatever it has now."""
        return self.command_line.devices

    # Devices

    @cached_property
    def ids(self) -> dict[str, str]:
        """Every device id in use, to its QOM path."""
        return {name: f"{PERIPHERAL}/{name}" for name in _children(self.cache.qom_list([PERIPHERAL])[0])}

    def device(self, device_id: str) -> Device | None:
        """The device with this id, reading no more than it."""
        path = self.ids.get(device_id)
        return self.device_at(path) if path else None

    def device_at(self, path: str) -> Device | None:
        """The device at this QOM path, which may be one without an id."""
        return next(iter(self._read_devices([path])), None)

    @cached_property
    def devices(self) -> list[Device]:
        """All devices that were given to QEMU, those without an id too, in the order of their ids."""
        anonymous = [f"{_ANONYMOUS}/{name}" for name in _children(self.cache.qom_list([_ANONYMOUS])[0])]
        return self._read_devices([*sorted(self.ids.values()), *sorted(anonymous)])

    def read_devices(self) -> list[Device]:
        """Read all devices in few round trips, before they are asked for one by one."""
        return self.devices

    def property_of(self, device: Device, name: str) -> Any:
        """The present value of one property, None where the device has none of that name."""
        return self.cache.qom_get([(device.path, name)])[0]

    def device_properties(self, driver: str) -> dict[str, str]:
        """The properties that ``device_add`` takes for *driver*, name to QOM type. Raises InvalidOption if unknown."""
        self.refuse_incomplete(driver)
        try:
            properties = self.schema.device_properties(driver)
        except CommandError as error:
            raise InvalidOption(f"This QEMU ({self.version_text}) has no device {driver!r}: {error.desc}.") from error
        return {name: str(info["type"]) for name, info in properties.items()}

    def refuse_incomplete(self, driver: str) -> None:
        """Raise Unsupported for a driver of which QEMU has a part alone: the mere question for its properties ends QEMU.

        Those for GL are in modules of QEMU, each half in one of its own, which a distribution packs apart.
        """
        if not _IN_MODULES.match(driver):
            return
        inner = _OUTSIDE.sub("", driver).replace("-vga", "-gpu")
        known = {entry["name"] for entry in self.cache.ask_or([], "qom-list-types")}
        if driver in known and not {inner, f"{inner}-device"} & known:
            raise Unsupported(
                f"This QEMU ({self.version_text}) has the driver {driver} without its other half, {inner}-device, "
                "and ends where it is used. Install QEMU's modules for it on the host, and start the VM again."
            )

    @property
    def version_text(self) -> str:
        return ".".join(map(str, self.version))

    def driver_is_a(self, driver: str, qom_class: str) -> bool:
        """Whether *driver* implements *qom_class* (``pci-device``, ``scsi-device``, ``virtio-ccw-device`` …)."""
        types = self.cache.ask_or([], "qom-list-types", implements=qom_class, abstract=False)
        return any(entry["name"] == driver for entry in types)

    def _read_devices(self, paths: Iterable[str]) -> list[Device]:
        paths = list(paths)
        if len(paths) > _MANY and not self.cache.read_whole(paths):
            _slots = self._many_scsi_devices  # which answer some of the questions below
        listed = self.cache.qom_list(paths)
        drivers = [self._driver(path) for path in paths]
        places = [
            (path, name)
            for path, known, driver in zip(paths, listed, drivers)
            for name in _DEVICE_PROPERTIES
            if name in known and not (driver and name == "type")
        ]
        values: dict[str, dict[str, Any]] = {path: {} for path in paths}
        for (path, name), value in zip(places, self.cache.qom_get(places)):
            if is_a(value, _DEVICE_PROPERTIES[name]):
                values[path][name] = value
        return [
            Device(path, _id_of(path), str(name), values[path], known)
            for path, known, driver in zip(paths, listed, drivers)
            for name in [values[path].pop("type", driver)]
            if name and (values[path].get("hotplugged") is not None or "hotplugged" not in known)  # else it has just gone
        ]

    def _driver(self, path: str) -> str | None:
        """The driver of a device, as far as the list of all devices has it."""
        kind = self.cache.child_type(path) or ""
        return kind[len("child<") : -1] if kind.startswith("child<") else None

    # Buses

    @cached_property
    def buses(self) -> list[Bus]:
        """All buses that devices can be put on by name, in natural order of their names.

        Whether a bus takes devices while the VM runs is what its ``hotplug-handler`` says, but for PCI Express: there
        the root complex and ports with ``hotplug=off`` may have one too, and only ports take devices. A name that
        two buses have is left out, for ``device_add`` would find only one of them.
        """
        found = self._bus_paths()
        names = [path.rsplit("/", 1)[-1] for path in found]
        devices = self._devices_on(found)
        handlers = self.cache.qom_get((path, "hotplug-handler") for path in found)
        ports = self.cache.qom_get((path.rsplit("/", 1)[0], "hotplug") for path in found)
        buses = [
            Bus(
                path.rsplit("/", 1)[-1],
                path,
                kind[len("child<") : -1],
                path.rsplit("/", 1)[0],
                _takes_devices(kind, handler, port),
                tuple(devices[path]),
            )
            for (path, kind), handler, port in zip(found.items(), handlers, ports)
            if names.count(path.rsplit("/", 1)[-1]) == 1
        ]
        return sorted(buses, key=lambda bus: natural(bus.name))

    def bus(self, name: str) -> Bus | None:
        return next((bus for bus in self.buses if bus.name == name), None)

    def is_fixed(self, device: Device) -> bool:
        """Whether *device* is on a bus that QEMU takes it from only when the VM is off."""
        path = device.properties.get("parent_bus")
        if not path:
            return False
        owner, _slash, name = path.rpartition("/")
        kind = self.cache.qom_list([owner])[0].get(name, "")
        handler, port = self.cache.qom_get(((path, "hotplug-handler"), (owner, "hotplug")))
        return handler is not None and not _takes_devices(kind, handler, port)

    def _devices_on(self, buses: Mapping[str, str]) -> dict[str, list[Device]]:
        """The devices on each of *buses* (QOM path to type), with the properties that say which slot they occupy.

        A bus has a link to each of its devices, and the type of the link names the driver.
        """
        occupants: list[tuple[str, str, str]] = []
        links: list[tuple[str, str, str]] = []
        for bus, types in zip(buses, self.cache.qom_list(buses)):
            many = self._many_scsi_devices.get(bus)
            if many:
                occupants += [(bus, path, str(self._driver(path))) for path in many]
            else:
                links += [(bus, name, kind[len("link<") : -1]) for name, kind in types.items() if _CHILD_LINK.match(name)]
        targets = self.cache.qom_get(((bus, name) for bus, name, _driver in links), str)
        occupants += [(bus, path, driver) for (bus, _name, driver), path in zip(links, targets) if path]
        places = [
            (path, name) for bus, path, _driver in occupants for name in _SLOT_PROPERTIES.get(buses[bus][len("child<") : -1], ())
        ]
        values: dict[str, dict[str, Any]] = {path: {} for _bus, path, _driver in occupants}
        for (path, name), value in zip(places, self.cache.qom_get(places, int)):
            if value is not None:
                values[path][name] = value
        found: dict[str, list[Device]] = {bus: [] for bus in buses}
        for bus, path, driver in occupants:
            found[bus].append(Device(path, _id_of(path), driver, {"parent_bus": bus, **values[path]}, {}))
        return found

    @cached_property
    def _many_scsi_devices(self) -> dict[str, list[str]]:
        """The devices on each SCSI bus, all by QOM path, if there are many: one text has all their slots, and a question for each
        takes longer. Of each bus it is asked which one it is, and how many devices it has."""
        expected = [device_id for device_id, path in self.ids.items() if str(self._driver(path)).startswith("scsi-")]
        if len(expected) <= _MANY:
            return {}
        text = self.cache.ask_or("", "human-monitor-command", **{"command-line": "info qtree"})
        together: dict[str, list[str]] = {}  # by the name of the bus in the text
        for device_id, one in scsi_devices(text, expected).items():
            shared = {} if one.share_rw is None else {"share-rw": one.share_rw}
            self.cache.learn(self.ids[device_id], {"scsi-id": one.target, "lun": one.lun, **shared})
            together.setdefault(one.bus, []).append(self.ids[device_id])
        buses = self.cache.qom_get(((paths[0], "parent_bus") for paths in together.values()), str)
        found = {}
        for bus, paths, types in zip(buses, together.values(), self.cache.qom_list(map(str, buses))):
            if sum(bool(_CHILD_LINK.match(name)) for name in types) == len(paths):
                found[bus] = paths
                for path in paths:
                    self.cache.learn(path, {"parent_bus": bus})
        return found

    def _bus_paths(self) -> dict[str, str]:
        """The QOM path of every bus, to its ``child<…>`` type."""
        named, unnamed = self.cache.qom_list([PERIPHERAL, _ANONYMOUS])
        paths = [path for name, path in self.ids.items() if named.get(name) not in _WITHOUT_BUSES]
        paths += [f"{_ANONYMOUS}/{name}" for name in _children(unnamed) if unnamed[name] not in _WITHOUT_BUSES]
        paths.sort()
        known = dict(zip(paths, self.cache.qom_list(paths)))
        below = [f"{path}/{name}" for path, types in known.items() for name, kind in types.items() if kind in _BUS_OWNERS_BELOW]
        bridges: list[str] = []
        for parent in ("/machine", "/machine/unattached"):
            types = self.cache.qom_list([parent])[0]
            bridges += [f"{parent}/{name}" for name, kind in types.items() if _HOST_BRIDGE.match(kind)]
        known.update(zip(below + bridges, self.cache.qom_list(below + bridges)))
        return {f"{path}/{name}": kind for path, types in known.items() for name, kind in types.items() if kind in _BUS_TYPES}

    # Block nodes

    @cached_property
    def nodes(self) -> dict[str, Node]:
        """All block nodes by name, with the links between them as ``x-debug-query-block-graph`` gives them.

        Raises Conflict for a job that makes QEMU before 11.1 crash at this question.
        """
        if tuple(self.version) < _ASKS_SAFELY:
            for job in self.cache.ask_or([], "query-jobs"):
                if job["type"] == "stream" and job["status"] == "concluded":
                    raise Conflict(
                        f"The stream {job['id']} has ended and was not dismissed. This QEMU ({self.version_text}) "
                        "would crash if it "
                        f"was asked for its block nodes now. Dismiss the job first: qmp_block_job with id: "
                        f"{job['id']}."
                    )
        listing, graph = self.cache.ask_many(
            [Request("query-named-block-nodes", {"flat": True}), Request("x-debug-query-block-graph", None)]
        )
        if isinstance(listing, CommandError):  # QEMU before 5.0 has no "flat"
            listing = self.cache.ask("query-named-block-nodes")
        children, users = _graph(None if isinstance(graph, CommandError) else graph)
        return {
            entry["node-name"]: Node(
                entry["node-name"],
                entry["drv"],
                entry["file"],
                entry["ro"],
                entry["image"]["virtual-size"],
                entry,
                children.get(entry["node-name"], {}),
                tuple(users.get(entry["node-name"], ())),
            )
            for entry in listing
        }

    @cached_property
    def block_devices(self) -> list[dict[str, Any]]:
        """The answer to ``query-block``: each drive of the launch, and each device with a node."""
        return list(self.cache.ask("query-block"))

    def drive_of(self, device: Device) -> Node | None:
        """The node on top of a disk's stack: by its name, or by that of the ``-drive`` that the VM was launched with."""
        name = device.properties.get("drive") or ""
        if not name or name in self.nodes:
            return self.nodes.get(name)
        drives = {entry["device"]: entry.get("inserted", {}).get("node-name") for entry in self.block_devices}
        return self.nodes.get(drives.get(name) or "")

    # Objects

    @cached_property
    def objects(self) -> dict[str, str]:
        """The user-creatable objects by id, each with its QOM type (secret, iothread, memory-backend-ram …), but monitors."""
        return {name: kind for name, kind in self._all_objects.items() if name not in self.monitors}

    @cached_property
    def monitors(self) -> frozenset[str]:
        """The ids of monitors, which are objects since QEMU 11.1: never a task's, for it speaks through one of them."""
        return frozenset(name for name, kind in self._all_objects.items() if kind.startswith(_MONITOR_OBJECT))

    @cached_property
    def _all_objects(self) -> dict[str, str]:
        types = self.cache.qom_list(["/objects"])[0]
        return {name: kind[len("child<") : -1] for name, kind in types.items() if kind.startswith("child<")}

    @cached_property
    def chardevs(self) -> dict[str, Chardev]:
        """All character devices by id, but those of monitors."""
        return {name: one for name, one in self._all_chardevs.items() if name not in self.monitor_chardevs}

    @cached_property
    def monitor_chardevs(self) -> frozenset[str]:
        """The ids of the character devices of monitors: those that monitor objects name. Before QEMU 11.1, which reports none,
        those that QEMU itself made for ``-qmp`` and ``-monitor``, and the one that is spoken through here."""
        objects = self.cache.qom_get(((f"/objects/{name}", "chardev") for name in sorted(self.monitors)), str)
        return frozenset(
            name
            for name, one in self._all_chardevs.items()
            if name in objects or _MONITOR_CHARDEV.match(name) or is_at(one, self.cache.monitor.address)
        )

    @cached_property
    def _all_chardevs(self) -> dict[str, Chardev]:
        listed = self.cache.ask("query-chardev")
        kinds = self.cache.qom_list(["/chardevs"])[0]
        types = {one["label"]: kinds.get(one["label"], "")[len("child<chardev-") : -1] for one in listed}
        sockets = [name for name, kind in types.items() if kind == "socket"]
        addresses = dict(zip(sockets, self.cache.qom_get(((f"/chardevs/{name}", "addr") for name in sockets), dict)))
        return {
            one["label"]: Chardev(
                one["label"], types[one["label"]], one["filename"], one["frontend-open"], addresses.get(one["label"]) or {}
            )
            for one in listed
        }

    # Network backends

    @cached_property
    def netdevs(self) -> dict[str, Netdev]:
        text = self.cache.ask("human-monitor-command", **{"command-line": "info network"})
        return parse_netdevs(text)

    # Memory and CPUs

    @cached_property
    def memory_devices(self) -> list[dict[str, Any]]:
        """The answer to ``query-memory-devices``; empty where this QEMU does not have it."""
        return list(self.cache.ask_or([], "query-memory-devices"))

    @cached_property
    def cpu_slots(self) -> list[CpuSlot]:
        """All CPU slots, lowest topology first; empty if the machine has no CPU hotplug."""
        entries = self.cache.ask_or([], "query-hotpluggable-cpus")
        slots = [CpuSlot(entry["type"], entry["props"], entry["vcpus-count"], entry.get("qom-path")) for entry in entries]
        return slots[::-1]


def _takes_devices(kind: str, handler: Any, port: Any) -> bool:
    """Whether a bus takes devices while the VM runs, by its ``hotplug-handler``, and by ``hotplug`` of its owner, of which it is
    the *kind* of child."""
    return bool(handler) and (port is True or kind != "child<PCIE>")


def is_at(chardev: Chardev, address: Address) -> bool:
    """Whether *chardev* is the connected socket at *address*, by its path, or on the network by its port."""
    if chardev.type != "socket" or chardev.filename.startswith("disconnected:"):
        return False
    path = chardev.addr.get("path")
    if isinstance(address, UnixAddress) and isinstance(path, str):
        with suppress(OSError, ValueError):
            return os.path.samefile(path, address.path)
        return path == address.path
    return not isinstance(address, UnixAddress) and str(address.port) == chardev.addr.get("port")


def natural(name: str) -> list[tuple[int, str]]:
    """A sort key by which rp2 comes before rp10."""
    parts = re.split(r"0*([0-9]+)", name)  # of two numbers that do not begin with 0, the longer one is the greater
    return [(len(part), part) if number % 2 else (-1, part) for number, part in enumerate(parts)]


def parse_netdevs(text: str) -> dict[str, Netdev]:
    r"""Read the text of ``info network``.

    A NIC's line is followed by that of its backend, which starts with a backslash; a backend without a NIC stands alone.
    Below a ``hub`` line stand its ports, each with the NIC or backend that it leads to. Each further queue pair has lines of its
    own with the same names.
    """
    found: dict[str, Netdev] = {}
    hub = nic = None
    for line in text.splitlines():
        below = line.lstrip().startswith("\\")
        name, _colon, rest = line.strip("\\ \r").partition(": ")
        if not below:
            hub = name[len("hub ") :] if name.startswith("hub ") and not rest else None
        peer = ""
        if hub is not None and not rest.startswith("index="):
            peer, _colon, rest = rest.partition(": ")
        info = dict(part.partition("=")[::2] for part in rest.split(","))
        kind = info.get("type")
        if hub is not None and below:
            found[name] = Netdev(name, "hubport", {"hubid": hub}, peer if kind == "nic" else None)
            name = peer
        if kind not in (None, "nic") and name in found:
            found[name] = found[name]._replace(queues=found[name].queues + 1)
        elif kind not in (None, "nic"):
            found[name] = Netdev(name, kind, info, nic if below and hub is None else None)
        if not below:
            nic = name if kind == "nic" else None
    return found


def _id_of(path: str) -> str | None:
    """The id of the device at a QOM path; None if it has none."""
    return path[len(PERIPHERAL) + 1 :] if path.startswith(PERIPHERAL + "/") else None


def _children(types: dict[str, str]) -> list[str]:
    return [name for name, kind in types.items() if kind.startswith("child<")]


def _graph(graph: Any) -> tuple[dict[str, dict[str, str]], dict[str, list[str]]]:
    """The children (role to name) and the users of each block node, from ``x-debug-query-block-graph``."""
    children: dict[str, dict[str, str]] = {}
    users: dict[str, list[str]] = {}
    entries = {entry["id"]: entry for entry in (graph or {}).get("nodes", ())}
    for edge in (graph or {}).get("edges", ()):
        if not {edge["parent"], edge["child"]} <= entries.keys():
            raise ProtocolError(f"edge {edge['name']!r} leads to a node that is not there.", "x-debug-query-block-graph")
        parent, child = entries[edge["parent"]], entries[edge["child"]]
        if parent["type"] == "block-driver":
            children.setdefault(parent["name"], {})[edge["name"]] = child["name"]
        else:
            job = "job " if parent["type"] == "block-job" else ""
            users.setdefault(child["name"], []).append(f"{job}{parent['name'] or parent['type']}")
    _refuse_cycles(children)
    return children, users


def _refuse_cycles(children: dict[str, dict[str, str]]) -> None:
    """Raise ProtocolError if a node is below itself: who walks down from it would never come to an end."""
    above = {parent: set(below.values()) for parent, below in children.items()}
    while above:
        ends = [parent for parent, below in above.items() if not below & above.keys()]
        if not ends:
            raise ProtocolError(f"node {min(above)!r} is below itself.", "x-debug-query-block-graph")
        for parent in ends:
            del above[parent]
