# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which device, which nodes, over the recorded block graphs of real QEMUs."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils._vm.errors import Conflict, Unsupported
from ansible_collections.vmops.qemu.plugins.module_utils._vm.host import qemu_process as launched
from ansible_collections.vmops.qemu.plugins.module_utils._vm.model.block_graph import find_disk, find_leftover
from ansible_collections.vmops.qemu.plugins.module_utils._vm.model.hardware import Hardware
from ansible_collections.vmops.qemu.tests.support import recordings

RECORDED = "disks"


def shown(name: str | None) -> str | None:
    """A node's name, without the number of one that QEMU named itself."""
    return "#" if name and name.startswith("#") else name


@pytest.mark.parametrize(
    ("disk", "drive", "top", "original", "own_nodes"),
    [
        ("plain", "drv1", "#", "#", ()),
        ("named", "drv2", "foo", "foo", ("foo",)),
        ("anon", "anon", "#", "#", ()),
        ("bydrive", "drv3", "#", "#", ()),
        ("byblockdev", None, "fmt", "fmt", ("fmt", "proto")),
        ("shared1", None, "ov1", "ov1", ("ov1",)),
        ("usb1", None, "usb1", "usb1", ("usb1",)),
        ("snapped", None, "snap2", "snapped", ("snap2", "snap1", "snapped")),
        ("launchsnapped", None, "snap3", "launch", ("snap3", "launch")),
        ("drivesnapped", "drv4", "snap4", "#", ("snap4",)),
        ("pivoted", None, "target1", "target1", ("target1", "pivoted")),
        ("kept", None, "kept", "kept", ("kept",)),
        ("foreign", None, "somebody-fmt", "somebody-fmt", ("somebody-fmt",)),
        ("empty", None, None, None, ()),
        ("nobody", None, None, None, ()),
    ],
)
def test_a_disk_and_what_goes_with_it(
    hardware: Hardware, disk: str, drive: str | None, top: str | None, original: str | None, own_nodes: tuple[str, ...]
) -> None:
    found = find_disk(hardware, disk)
    assert (found.device is None) == (disk in ("kept", "nobody"))
    assert found.drive == drive
    assert shown(found.top.name if found.top else None) == top
    assert shown(found.original.name if found.original else None) == original
    assert found.own_nodes == own_nodes
    assert found.users == () and found.certain


@pytest.mark.parametrize(("disk", "users"), [("mirroring", ["job m2"]), ("exported", ["export e1"]), ("fmt", ["byblockdev"])])
def test_who_else_uses_it(hardware: Hardware, disk: str, users: list[str]) -> None:
    with pytest.raises(Conflict) as refusal:
        find_disk(hardware, disk).refuse_users()
    assert set(users) <= set(refusal.value.details["users"])


def test_a_template_is_below_and_not_on_top(hardware: Hardware) -> None:
    for disk in ("launchsnapped", "drivesnapped"):
        found = find_disk(hardware, disk)
        assert found.snapshots and found.original
        assert found.chain.index(found.original.name) == 1 and len(found.chain) == 3
    assert find_disk(hardware, "plain").snapshots == ()


def test_a_disk_of_unknown_origin_under_a_snapshot_is_uncertain(hardware: Hardware) -> None:
    """Without the command line nobody knows which image a disk of the launch had first."""
    hardware.__dict__["command_line"] = launched.of_words([])
    assert not find_disk(hardware, "launchsnapped").certain
    assert find_disk(hardware, "drivesnapped").certain  # QEMU named the node of the -drive itself


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [("drv3", Conflict, "bydrive"), ("lone", Unsupported, "drive_del lone"), ("xhci", Conflict, "not a disk")],
)
def test_names_of_other_things(hardware: Hardware, name: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        find_disk(hardware, name)


def test_what_a_device_of_the_launch_has_left_is_found_by_the_command_line(hardware: Hardware) -> None:
    """As if the guest had released the device meanwhile."""
    del hardware.ids["byblockdev"]
    node = hardware.nodes["fmt"]
    hardware.nodes["fmt"] = node._replace(users=())
    assert find_leftover(hardware, "byblockdev").own_nodes == ("fmt", "proto")
    hardware.nodes["fmt"] = node._replace(users=("another",))
    assert find_leftover(hardware, "byblockdev").own_nodes == ()
    hardware.nodes["fmt"] = node._replace(users=("block-backend",))
    with pytest.raises(Conflict, match="byblockdev is gone, but QEMU still uses its node fmt"):
        find_leftover(hardware, "byblockdev")


def test_another_node_of_the_name_is_not_what_is_left(hardware: Hardware) -> None:
    del hardware.ids["launchsnapped"]
    node = hardware.nodes["launch"]
    hardware.nodes["launch"] = node._replace(users=(), filename="/srv/other")
    assert find_leftover(hardware, "launchsnapped").own_nodes == ()


def test_recordings_say_of_which_qemu_and_day_they_are() -> None:
    for recording in recordings.of("disks"):
        text = recording.path.read_text(encoding="utf-8")
        assert '"qemu": "' in text and '"date": "20' in text and str(Path.home()) not in text
