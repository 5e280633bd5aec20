# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk as a task specifies it and as the VM has it, and what of it cannot be."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any, Mapping

from ...errors import HardwareError, InvalidOption, Unsupported
from ...host.image import NO_FILE, probe
from ...model.arguments import check_arguments, refuse_negative_sizes
from ...model.block_graph import Stack, find
from ...model.hardware import Device, Hardware, Node, natural
from ...model.slots import slot_of
from ..frontend import FrontendSpec
from ..option_table import Option
from ..property_limits import block_size_problem
from . import throttle
from .backend import protocol_options

_SECRET_OPTION = re.compile(r"[a-z-]*-secret\Z")
_READ_ONLY_DRIVERS = {"scsi-cd", "ide-cd"}
_SERIAL_MAX = {"virtio-blk-pci": 20, "virtio-blk-ccw": 20, "virtio-blk-device": 20, "nvme": 20, "scsi-hd": 36}
"""Bytes of a serial number that the guest gets to see; QEMU cuts or refuses longer ones."""
_NEEDS_SERIAL = {"nvme"}
_GUEST_PATHS = {
    "virtio-blk": "/dev/disk/by-id/virtio-{serial}",
    "scsi-hd": "/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_{serial}",
    "scsi-cd": "/dev/disk/by-id/scsi-0QEMU_QEMU_CD-ROM_{serial}",
    "nvme": "/dev/disk/by-id/nvme-QEMU_NVMe_Ctrl_{serial}",
}
_SECTOR = 512
_MOST_QUEUES = {"virtio-blk": 1024}
_MOST_BYTES = 2**63 - 1


class CannotOpen(HardwareError):
    """As far as it is seen from this host, QEMU will refuse to open an image."""

    error_code = "command_failed"


PROPERTIES = (
    Option("serial", "serial"),
    Option("queues", "num-queues"),
    Option("share_rw", "share-rw"),
    Option("bootindex", "bootindex"),
    Option("iothread", "iothread"),
)
"""The options that are properties of the device."""


@dataclass(frozen=True)
class DiskSpec:
    """What a task says of a disk; None is not set. ``backend`` is a blockdev protocol driver with its options,
    as ``blockdev-add`` takes it; ``size`` in bytes; ``limits`` as in throttle.py, 0 for none. ``passphrase`` opens an encrypted
    image, ``backend_secrets`` are passwords by the option of *backend* that names a secret object (``password-secret`` …).
    ``key_secret`` is a secret object that is there already and opens the image."""

    frontend: FrontendSpec
    backend: dict[str, Any] | None = None
    stated_format: str | None = None
    read_only: bool | None = None
    cache_direct: bool | None = None
    cache_no_flush: bool | None = None
    discard: str | None = None
    detect_zeroes: str | None = None
    size: int | None = None
    limits: Mapping[str, int] | None = None
    passphrase: str | None = None
    backend_secrets: Mapping[str, str] = field(default_factory=dict)
    allow_shrink: bool = False
    attach: bool = True
    recreate: bool = False
    force: bool = False
    assumed_format: str = "raw"
    key_secret: str | None = None

    @property
    def id(self) -> str:
        return self.frontend.id

    @property
    def format(self) -> str:
        """The format that the task sets; else the one that the disk has; else raw."""
        return self.stated_format or self.assumed_format

    @property
    def secrets(self) -> dict[str, str]:
        """The data of the secret objects that come and go with the disk, by id. No two disks share one: what follows the last
        dot is no id of a disk."""
        image = {} if self.passphrase is None else {f"{self.id}.secret": self.passphrase}
        return {**image, **{f"{self.id}.{option}": value for option, value in self.backend_secrets.items()}}

    def is_read_only(self, driver: str) -> bool:
        return self.read_only if self.read_only is not None else driver in _READ_ONLY_DRIVERS


def blockdev_arguments(disk: DiskSpec, driver: str) -> dict[str, Any]:
    """The arguments for ``blockdev-add``. Cache modes and read-only are inherited by the inline protocol node."""
    cache = {
        name: value for name, value in (("direct", disk.cache_direct), ("no-flush", disk.cache_no_flush)) if value is not None
    }
    optional = {"cache": cache or None, "discard": disk.discard, "detect-zeroes": disk.detect_zeroes}
    backend = {**(disk.backend or {}), **{option: f"{disk.id}.{option}" for option in disk.backend_secrets}}
    return {
        "driver": disk.format,
        "node-name": disk.id,
        "read-only": disk.is_read_only(driver),
        "file": backend,
        **_encryption(disk),
        **{name: value for name, value in optional.items() if value is not None},
    }


def _encryption(disk: DiskSpec) -> dict[str, Any]:
    """What names the secret of an encrypted image: LUKS itself, or the LUKS inside a qcow2."""
    if disk.passphrase is None and disk.key_secret is None:
        return {}
    secret = {"key-secret": disk.key_secret or f"{disk.id}.secret"}
    if disk.format == "luks":
        return secret
    if disk.format == "qcow2":
        return {"encrypt": {"format": "luks", **secret}}
    raise InvalidOption(f"passphrase is for the formats luks and qcow2, not {disk.format}.")


def guest_path(driver: str, serial: str | None) -> str | None:
    """Where udev in a Linux guest puts the disk, None where nothing stable is known."""
    form = next((path for name, path in _GUEST_PATHS.items() if driver.startswith(name)), None)
    if form is None or not serial:
        return None
    return form.format(serial=serial[:20] if driver.startswith("virtio") else serial)


# -- what is there


def describe(hardware: Hardware, disk_id: str) -> dict[str, Any] | None:
    """The disk as it is now: device, place, node and image; None when there is neither device nor node."""
    stack = find(hardware, disk_id)
    device, node = stack.device, stack.top
    if device is None and node is None:
        return None
    result: dict[str, Any] = {"id": disk_id, "attached": device is not None}
    if device:
        serial = device.properties.get("serial") or None
        result.update(
            {
                "driver": device.driver,
                **slot_of(device),
                "serial": serial,
                "guest_path": guest_path(device.driver, serial),
                "at_launch": device.at_launch,
                "limits": throttle.present(stack.entry),
            }
        )
    if node:
        result.update(
            {
                "node": node.name,
                "file": _file(hardware, node),
                "format": node.driver,
                "read_only": node.read_only,
                "size": node.size,
            }
        )
    return result


def _file(hardware: Hardware, node: Node) -> str:
    """The image by name, as QEMU reports it."""
    protocol = hardware.nodes.get(node.children.get("file", ""), node)
    options = protocol_options(protocol) or {}
    name = options.get("filename", node.filename)
    return name if isinstance(name, str) else node.filename


def describe_all(hardware: Hardware) -> list[dict[str, Any]]:
    """All disks of the VM that have an id."""
    found = (describe(hardware, device.id) for device in hardware.devices if device.id and "drive" in device.properties)
    return [disk for disk in found if disk]


def refuse_boot_disk(hardware: Hardware, device: Device, force: bool) -> None:
    """Raise Unsupported for a disk that the VM may have been started from: of those it was launched with, the one with the
    lowest bootindex, be it a CD, and the first that is no CD, for firmware passes over an empty drive and a disc that does not
    boot. Where no disk has a bootindex, the firmware chooses, and the first of each driver may be it."""
    if force or not device.at_launch:
        return
    drives = [one for one in hardware.devices if one.at_launch and "drive" in one.types]
    disks = [one for one in drives if one.driver not in _READ_ONLY_DRIVERS]
    firsts = [_lowest(drives), _lowest(disks)]
    if firsts[1] is None:
        same = [one for one in drives if one.driver == device.driver]
        if device.driver not in _READ_ONLY_DRIVERS or not disks:
            firsts.append(min(same, key=_boot_order, default=None))
    if device.path in [one.path for one in firsts if one]:
        raise Unsupported(
            f"{device.id or device.path} is the disk that the VM boots from, or may be. Set force: true to take "
            "it away "
            "all the same."
        )


def _lowest(devices: list[Device]) -> Device | None:
    indexed = [one for one in devices if one.properties.get("bootindex", -1) >= 0]
    return min(indexed, key=lambda one: int(one.properties["bootindex"]), default=None)


def _boot_order(device: Device) -> tuple[Any, ...]:
    """A sort key: the order in which firmware comes upon disks."""
    places = (device.properties.get(name, 0) for name in ("addr", "scsi-id", "lun"))
    return (natural(str(device.bus)), *places)


# -- what a task may say


def resolved(hardware: Hardware, disk: DiskSpec, driver: str, stack: Stack) -> tuple[DiskSpec, tuple[str, ...]]:
    """The disk with what follows from what is there: its format, and for a new one its id as serial, so that the guest can find
    it by a stable name. With warnings for the operator."""
    node = stack.own
    warnings: tuple[str, ...] = ()
    if node:
        disk = replace(disk, assumed_format=node.driver)
    path = (disk.backend or {}).get("filename")
    if node is None and disk.stated_format is None and isinstance(path, str):
        found = probe(path, hardware.cache.monitor.peer_pid).format
        if found and disk.recreate:  # what a killed run has removed had a format that is not known any more
            raise InvalidOption(
                f"{path} is a {found} image, and there is no disk {disk.id} whose format could be kept. Set format."
            )
        if found:
            warnings = (
                f"{path} is a {found} image, and without format the guest gets the file as it is, as a raw disk. "
                f"Set format: {found}, or format: raw if that is meant.",
            )
    return _with_serial(hardware, disk, driver, stack.device), warnings


def _with_serial(hardware: Hardware, disk: DiskSpec, driver: str, device: Device | None) -> DiskSpec:
    """Check the serial; give a new disk its id."""
    options = dict(disk.frontend.options)
    serial = options.get("serial")
    stated = disk.frontend.properties.get("serial") if serial is None else serial
    longest = _SERIAL_MAX.get(driver, 20)
    length = 0 if stated is None else len(str(stated).encode("utf-8", "surrogatepass"))
    if length > longest:
        raise InvalidOption(f"serial {stated!r} has {length} bytes; a {driver} shows the guest {longest}.")
    if (
        stated is None
        and driver
        and device is None
        and len(disk.id) <= longest
        and "serial" in hardware.device_properties(driver)
    ):
        options["serial"] = disk.id
    elif driver in _NEEDS_SERIAL and not stated and (device is None or stated == ""):
        raise InvalidOption(
            f"A {driver} needs a serial, and the id {disk.id} is too long to be it. Set serial, 1 to {longest} characters."
        )
    return replace(disk, frontend=replace(disk.frontend, options=options))


def check_values(hardware: Hardware, disk: DiskSpec, driver: str, stack: Stack) -> None:
    """Raise InvalidOption for values that QEMU takes badly or refuses."""
    for option, secret in disk.backend_secrets.items():
        if not isinstance(secret, str):
            raise InvalidOption(f"backend_secrets.{option} is no text: put it in quotes.")
        if not _SECRET_OPTION.match(option):
            raise InvalidOption(
                f"backend_secrets has {option!r}, which names no secret; in QEMU's spelling they end in -secret, "
                "such as password-secret."
            )
    _encryption(disk)
    refuse_negative_sizes("backend", disk.backend or {})
    if driver and "drive" not in hardware.device_properties(driver):
        raise InvalidOption(
            f"A {driver} is not a disk: it has no drive. Set driver to one that has, such as virtio-blk-pci or scsi-hd."
        )
    if disk.detect_zeroes == "unmap" and disk.discard != "unmap" and stack.own is None:
        raise InvalidOption("detect_zeroes: unmap needs discard: unmap. Set both, or detect_zeroes: on.")
    if disk.limits is not None:
        throttle.check(disk.limits)
        if disk.limits and driver == "nvme":
            raise Unsupported("QEMU limits no NVMe disk this way; put a throttle filter below it, or take another driver.")
    if disk.size is not None and (not 0 < disk.size <= _MOST_BYTES or disk.size % _SECTOR):
        raise InvalidOption(f"size {disk.size} cannot be: a disk has a positive number of bytes that is a multiple of {_SECTOR}.")
    queues = disk.frontend.options.get("num-queues")
    most = next((most for name, most in _MOST_QUEUES.items() if driver.startswith(name)), 65535)
    if queues is not None and not 1 <= queues <= most:
        raise InvalidOption(f"queues {queues} is out of range: a {driver} has 1 to {most}.")
    bootindex = disk.frontend.options.get("bootindex")
    if bootindex is not None and not 0 <= bootindex < 2**31:
        raise InvalidOption(f"bootindex {bootindex} is out of range: give 0 to {2**31 - 1}, or leave it out.")
    iothread = disk.frontend.options.get("iothread")
    if iothread is not None and hardware.objects.get(iothread) != "iothread":
        raise InvalidOption(f"The VM has no I/O thread {iothread!r}. Add it first: qmp_object with qom_type: iothread.")


def check_shrink(node: str, size: int, wanted: int, allow_shrink: bool) -> None:
    if wanted < size and not allow_shrink:
        raise InvalidOption(
            f"Disk {node} has {size} bytes; size {wanted} would cut off its end. Set allow_shrink: true "
            "if the guest has shrunk what is on it.",
            size=size,
            wanted=wanted,
        )


def doubts(hardware: Hardware, disk: DiskSpec, driver: str, stack: Stack) -> tuple[HardwareError, ...]:
    """Why QEMU will not open a new image, not give it the size, or not have such a device, as far as it is seen from here."""
    backend = disk.backend or {}
    path, pid = backend.get("filename"), hardware.cache.monitor.peer_pid
    is_file = backend.get("driver") == "file" and isinstance(path, str)  # devices come and go
    found: list[HardwareError] = []
    if disk.attach and (stack.device is None or disk.recreate):
        problem = block_size_problem(disk.frontend.specified(hardware, driver))
        found += [CannotOpen(f"QEMU will not have such a {driver}: {problem}")] if problem else []
    if disk.backend is not None and (stack.own is None or disk.recreate):
        try:
            check_arguments(hardware.schema, "blockdev-add", blockdev_arguments(disk, driver))
        except InvalidOption as error:
            found.append(CannotOpen(str(error)))
    rom = str(disk.frontend.options.get("romfile") or "")
    if stack.device is None and rom.startswith("/") and probe(rom, pid).problem == NO_FILE:
        found.append(CannotOpen(f"QEMU will not find romfile {rom}. Check it, or set romfile: '' for none."))
    if stack.own is not None and not disk.recreate or not is_file:
        return (*found, *_resize_doubts(hardware, disk, stack))
    image = probe(str(path), pid)
    if image.problem:
        found.append(CannotOpen(f"QEMU will not open {path}: {image.problem}. Check file."))
    elif image.size is not None and disk.stated_format not in (None, "raw") and image.format != disk.stated_format:
        found.append(
            CannotOpen(
                f"{path} is not in {disk.stated_format} format but {image.format or 'raw'}. Check format; "
                "qemu-img info "
                f"{path} tells."
            )
        )
    elif disk.size is not None and image.size is not None:
        size = image.size if disk.format in ("raw", image.format) else 0
        try:
            check_shrink(disk.id, size, disk.size, disk.allow_shrink)
        except InvalidOption as error:
            found.append(error)
    if backend.get("aio") == "native" and not disk.cache_direct:
        found.append(CannotOpen("aio: native needs cache.direct: true. Set it, or take another aio."))
    return tuple(found)


def _resize_doubts(hardware: Hardware, disk: DiskSpec, stack: Stack) -> tuple[HardwareError, ...]:
    """A new disk whose storage cannot be resized to the size."""
    driver = (disk.backend or {}).get("driver")
    if disk.size is None or stack.own is not None or driver not in ("null-co", "null-aio"):
        return ()
    if (disk.backend or {}).get("size", 1 << 30) == disk.size:
        return ()
    return (CannotOpen(f"The storage of disk {disk.id} ({driver}) cannot be resized. Leave size out."),)
