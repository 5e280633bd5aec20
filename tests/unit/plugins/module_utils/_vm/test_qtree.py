# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of ``info qtree``, and what a serial number in it can pretend."""

from __future__ import annotations

from typing import Iterator

from ansible_collections.vmops.qemu.plugins.module_utils._vm.model.qtree import ScsiDevice, scsi_devices

CONTROLLER = """\
      dev: virtio-scsi-pci, id "scsi{n}"
        addr = 05.0
        bus: virtio-bus{n}
          type virtio-pci-bus
          dev: virtio-scsi-device, id ""
            bus: scsi{n}.0
              type SCSI
"""
DISK = """\
              dev: scsi-hd, id "{id}"
                share-rw = false
                serial = "{serial}"
                channel = 0 (0x0)
                scsi-id = {target} (0x{target:x})
                lun = 0 (0x0)
"""
DISKS = "abcd"


def text(serial: str = "") -> str:
    """Two controllers with four disks: the disk b has the serial number."""
    disks = [DISK.format(id=name, serial=serial if name == "b" else "", target=target) for target, name in enumerate(DISKS)]
    return "".join([CONTROLLER.format(n=0), *disks[:3], CONTROLLER.format(n=1), disks[3]]).replace("\n", "\r\n")


TRUE = scsi_devices(text(), DISKS)


def test_each_scsi_device_is_found_with_its_bus_target_and_lun() -> None:
    assert TRUE == {
        "a": ScsiDevice("scsi0.0", 0, 0, False),
        "b": ScsiDevice("scsi0.0", 1, 0, False),
        "c": ScsiDevice("scsi0.0", 2, 0, False),
        "d": ScsiDevice("scsi1.0", 3, 0, False),
    }


def test_a_text_that_does_not_have_all_devices_is_not_used() -> None:
    assert scsi_devices(text(), [*DISKS, "e"]) == scsi_devices(text(), DISKS[:-1]) == {}
    assert scsi_devices("", DISKS) == scsi_devices("unknown command: 'info qtree'", DISKS) == {}
    assert scsi_devices(text().replace('"c"', '""'), DISKS) == {}


def lies() -> Iterator[str]:
    """Serial numbers that look like lines of the text: each part of it, as it is and with something changed."""
    changes = [
        ("", ""),
        (" 2 (0x2)", " 7 (0x7)"),
        ('"a"', '"c"'),
        ('"c"', '"new"'),
        ('"c"', '"dimm"'),
        ('"d"', '""'),
        ("scsi1.0", "other"),
    ]
    lines = text().splitlines()
    for old, new in changes:
        changed = [line.replace(old, new) for line in lines] if old else lines
        for start in range(len(lines)):
            for end in range(start + 1, len(lines) + 1):
                yield '"\n' + "\n".join(changed[start:end]) + '\n  end = "'


def test_a_serial_number_cannot_give_a_device_another_address() -> None:
    believed = 0
    for serial in lies():
        for name, device in scsi_devices(text(serial), DISKS).items():
            believed += 1
            known = TRUE[name]._replace(share_rw=device.share_rw)
            assert device in (known, known._replace(bus="other")) and device.share_rw is not True, (
                serial
            )  # no bus is called other
    assert believed
