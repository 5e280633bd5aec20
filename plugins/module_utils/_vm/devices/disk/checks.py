# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task may set for a disk: a specification is completed by what the VM has, and checked before anything is sent."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from ...errors import HardwareError, InvalidOption, Unsupported
from ...host.image import NO_FILE, probe
from ...model.arguments import check_arguments, refuse_negative_sizes
from ...model.block_graph import Disk
from ...model.hardware import Device, Hardware, natural
from ..property_limits import block_size_problem
from . import throttle
from .backend import file_backend
from .resize import check_shrink
from .spec import READ_ONLY_DRIVERS, DiskSpec, blockdev_arguments, encryption_arguments

_SECRET_OPTION = re.compile(r"[a-z-]*-secret\Z")
_SERIAL_MAX = {"virtio-blk-pci": 20, "virtio-blk-ccw": 20, "virtio-blk-device": 20, "nvme": 20, "scsi-hd": 36}
"""Bytes of a serial number that the guest sees; QEMU cuts or refuses longer ones."""
_NEEDS_SERIAL = {"nvme"}
_SECTOR = 512
_MOST_QUEUES = {"virtio-blk": 1024}
_MOST_BYTES = 2**63 - 1


class CannotOpen(HardwareError):
    """As far as this host sees, QEMU will refuse to open an image."""

    error_code = "command_failed"


def completed(hardware: Hardware, spec: DiskSpec, driver: str, disk: Disk) -> tuple[DiskSpec, tuple[str, ...]]:
    """*spec* with what follows from the VM and its host: the protocol driver of a file, the format of the disk that exists, and
    for a new disk its id as serial number, so that the guest can find it by a stable name. With warnings for the operator."""
    pid = hardware.cache.monitor.peer_pid
    warnings: tuple[str, ...] = ()
    if spec.file is not None:
        spec = replace(spec, backend=file_backend(spec.file, pid))
    if disk.original:
        spec = replace(spec, present_format=disk.original.driver)
    elif spec.node.get("format") is None and spec.path is not None:
        found = probe(spec.path, pid).format
        if found and spec.recreate:  # a killed run has removed a disk whose format is no longer known
            raise InvalidOption(
                f"{spec.path} is a {found} image, format is not set, and the VM does not have a disk {spec.id} whose format "
                "could be kept. Set format."
            )
        if found:
            warnings = (
                f"{spec.path} is a {found} image. Because format is not set, the guest gets the file as a raw disk, with the "
                f"header of the image in it. Set format: {found}, or format: raw if that is intended.",
            )
    return _with_serial(hardware, spec, driver, disk.device), warnings


def _with_serial(hardware: Hardware, spec: DiskSpec, driver: str, device: Device | None) -> DiskSpec:
    """Check the serial number; give a new disk its id."""
    options = dict(spec.frontend.options)
    serial = options.get("serial")
    serial = spec.frontend.properties.get("serial") if serial is None else serial
    longest = _SERIAL_MAX.get(driver, 20)
    length = 0 if serial is None else len(str(serial).encode("utf-8", "surrogatepass"))
    if length > longest:
        raise InvalidOption(f"serial {serial!r} has {length} bytes, and a {driver} shows the guest {longest}. Shorten it.")
    is_missing = serial is None and device is None and driver and len(spec.id) <= longest
    if is_missing and "serial" in hardware.device_properties(driver):
        options["serial"] = spec.id
    elif driver in _NEEDS_SERIAL and not serial and (device is None or serial == ""):
        raise InvalidOption(
            f"A {driver} needs a serial number, and the id {spec.id} is too long for one. Set serial, with 1 to {longest} bytes."
        )
    return replace(spec, frontend=replace(spec.frontend, options=options))


def check_values(hardware: Hardware, spec: DiskSpec, driver: str, disk: Disk) -> None:
    """Raise InvalidOption for values that QEMU refuses, or accepts to its own damage."""
    for option, secret in spec.backend_secrets.items():
        if not isinstance(secret, str):
            raise InvalidOption(f"backend_secrets.{option} is not a string. Put it in quotes.")
        if not _SECRET_OPTION.match(option):
            raise InvalidOption(
                f"backend_secrets has {option!r}, which is not the name of a secret. In QEMU's spelling these names end in "
                "-secret, such as password-secret."
            )
    encryption_arguments(spec)
    refuse_negative_sizes("backend", spec.backend or {})
    if driver and "drive" not in hardware.device_properties(driver):
        raise InvalidOption(
            f"A {driver} is not a disk: it has no property drive. Set driver to one that has it, such as virtio-blk-pci or "
            "scsi-hd."
        )
    if spec.node.get("detect_zeroes") == "unmap" and spec.node.get("discard") != "unmap" and disk.original is None:
        raise InvalidOption("detect_zeroes: unmap needs discard: unmap. Set both, or set detect_zeroes: on.")
    if spec.limits is not None:
        throttle.check(spec.limits)
        if spec.limits and driver == "nvme":
            raise throttle.no_nvme_limits(spec.id)
    size = spec.size
    if size is not None and (not 0 < size <= _MOST_BYTES or size % _SECTOR):
        raise InvalidOption(f"size {size} is not possible. Set a positive number of bytes that is a multiple of {_SECTOR}.")
    _check_properties(hardware, spec, driver)


def _check_properties(hardware: Hardware, spec: DiskSpec, driver: str) -> None:
    """Raise InvalidOption for properties of the device that QEMU refuses late."""
    queues = spec.frontend.options.get("num-queues")
    most = next((most for name, most in _MOST_QUEUES.items() if driver.startswith(name)), 65535)
    if queues is not None and not 1 <= queues <= most:
        raise InvalidOption(f"queues {queues} is out of range. A {driver} has 1 to {most}.")
    bootindex = spec.frontend.options.get("bootindex")
    if bootindex is not None and not 0 <= bootindex < 2**31:
        raise InvalidOption(f"bootindex {bootindex} is out of range. Set 0 to {2**31 - 1}, or leave it out.")
    iothread = spec.frontend.options.get("iothread")
    if iothread is not None and hardware.objects.get(iothread) != "iothread":
        raise InvalidOption(
            f"iothread {iothread!r} is not an I/O thread of the VM. Add it first: qmp_object with qom_type: iothread."
        )


def refuse_boot_disk(hardware: Hardware, device: Device, force: bool) -> None:
    """Raise Unsupported for a disk that the VM may have been started from.

    Of the disks of the launch that is the one with the lowest bootindex, and the first that is not a CD, because firmware skips
    an empty drive and a disc that does not boot. If no disk has a bootindex, the firmware chooses: it may be the first of each
    driver.
    """
    if force or not device.at_launch:
        return
    drives = [one for one in hardware.devices if one.at_launch and "drive" in one.types]
    disks = [one for one in drives if one.driver not in READ_ONLY_DRIVERS]
    firsts = [_lowest(drives), _lowest(disks)]
    if firsts[1] is None:
        same = [one for one in drives if one.driver == device.driver]
        if device.driver not in READ_ONLY_DRIVERS or not disks:
            firsts.append(min(same, key=_boot_order, default=None))
    if device.path in [one.path for one in firsts if one]:
        raise Unsupported(
            f"{device.id or device.path} is the disk that the VM boots from, or may be that disk. Set force: true to remove it."
        )


def _lowest(devices: list[Device]) -> Device | None:
    indexed = [one for one in devices if one.properties.get("bootindex", -1) >= 0]
    return min(indexed, key=lambda one: int(one.properties["bootindex"]), default=None)


def _boot_order(device: Device) -> tuple[Any, ...]:
    """A sort key: the order in which firmware finds disks."""
    address = (device.properties.get(name, 0) for name in ("addr", "scsi-id", "lun"))
    return (natural(str(device.bus)), *address)


# -- reasons for which QEMU will refuse a step, as far as this host sees them


def doubts(hardware: Hardware, spec: DiskSpec, driver: str, disk: Disk) -> tuple[HardwareError, ...]:
    """Why QEMU will not open a new image, not give it the size, or not accept the device, as far as this host sees."""
    is_new_node = spec.backend is not None and (disk.original is None or spec.recreate)
    found: list[HardwareError] = []
    if spec.attach and (disk.device is None or spec.recreate):
        problem = block_size_problem(spec.frontend.specified(hardware, driver))
        found += [CannotOpen(f"QEMU will not accept the {driver}: {problem}")] if problem else []
    if is_new_node:
        try:
            check_arguments(hardware.schema, "blockdev-add", blockdev_arguments(spec, driver))
        except InvalidOption as error:
            found.append(CannotOpen(str(error)))
    rom = str(spec.frontend.options.get("romfile") or "")
    if disk.device is None and rom.startswith("/") and probe(rom, hardware.cache.monitor.peer_pid).problem == NO_FILE:
        found.append(CannotOpen(f"QEMU will not find romfile {rom}. Check it, or set romfile: '' for no ROM."))
    if is_new_node and (spec.backend or {}).get("driver") == "file" and spec.path is not None:  # devices come and go
        found += _image_doubts(hardware, spec, spec.path)
    else:
        found += _resize_doubts(spec, disk)
    return tuple(found)


def _image_doubts(hardware: Hardware, spec: DiskSpec, path: str) -> list[HardwareError]:
    """Why QEMU will not open the image, or not give it the size."""
    found: list[HardwareError] = []
    image = probe(path, hardware.cache.monitor.peer_pid)
    desired = spec.node.get("format")
    if image.problem:
        found.append(CannotOpen(f"QEMU will not open {path}: {image.problem}. Check file."))
    elif image.size is not None and desired not in (None, "raw") and image.format != desired:
        found.append(
            CannotOpen(
                f"{path} has the format {image.format or 'raw'}, not {desired}. Check format; qemu-img info {path} shows it."
            )
        )
    elif spec.size is not None and image.size is not None:
        try:
            size = image.size if spec.format in ("raw", image.format) else 0
            check_shrink(spec.id, size, spec.size, spec.allow_shrink)
        except InvalidOption as error:
            found.append(error)
    if (spec.node.get("aio") or (spec.backend or {}).get("aio")) == "native" and not spec.node.get("cache.direct"):
        found.append(CannotOpen("aio: native needs cache.direct: true. Set it, or set another aio."))
    return found


def _resize_doubts(spec: DiskSpec, disk: Disk) -> list[HardwareError]:
    """A new disk whose storage cannot get the size."""
    backend = spec.backend or {}
    if spec.size is None or disk.original is not None or backend.get("driver") not in ("null-co", "null-aio"):
        return []
    if backend.get("size", 1 << 30) == spec.size:
        return []
    return [CannotOpen(f"The storage of the disk {spec.id} ({backend['driver']}) cannot be resized. Leave size out.")]
