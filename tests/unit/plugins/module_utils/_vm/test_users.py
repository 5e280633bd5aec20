# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who uses an object, a character device or a network backend of a recorded VM."""

from __future__ import annotations

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils._vm.errors import Conflict, Unsupported
from ansible_collections.vmops.qemu.plugins.module_utils._vm.model import users
from ansible_collections.vmops.qemu.plugins.module_utils._vm.model.hardware import Hardware
from ansible_collections.vmops.qemu.tests.support import recordings


@pytest.fixture(params=recordings.of("users"), ids=str)
def hardware(request: pytest.FixtureRequest) -> Hardware:
    return recordings.hardware(request.param)


@pytest.mark.parametrize(
    ("object_id", "found"),
    [
        ("io0", ["disk0"]),
        ("idle", []),
        ("random0", ["rng0"]),
        ("limits0", ["limited"]),
        ("tls0", ["the migration parameter tls-creds"]),
        ("ram0", ["dimm0"]),
        ("random1", []),
        ("dump0", []),
    ],
)
def test_users_of_an_object(hardware: Hardware, object_id: str, found: list[str]) -> None:
    assert users.users_of_object(hardware, object_id) == found


@pytest.mark.parametrize(("chardev", "found"), [("port0", ["vport0"]), ("egd0", ["random1"])])
def test_users_of_a_character_device(hardware: Hardware, chardev: str, found: list[str]) -> None:
    assert users.users_of_chardev(hardware, chardev) == found


def test_a_serial_port_of_the_board_uses_its_character_device(hardware: Hardware) -> None:
    (path,) = users.users_of_chardev(hardware, "board0")
    assert path.startswith("/machine/unattached/")


def test_monitors_are_protected(hardware: Hardware) -> None:
    chardev = sorted(hardware.monitor_chardevs)[0]
    assert "a monitor of this VM" in users.users_of_chardev(hardware, chardev)
    with pytest.raises(Conflict, match=chardev):
        users.refuse_monitor_chardev(hardware, chardev)
    users.refuse_monitor_chardev(hardware, "port0")
    for name in sorted(hardware.monitors)[:1]:  # objects since QEMU 11.1
        with pytest.raises(Conflict, match=name):
            users.refuse_monitor(hardware, name)
    users.refuse_monitor(hardware, "io0")


def test_users_of_a_network_backend(hardware: Hardware) -> None:
    assert users.users_of_netdev(hardware, "net0") == ["dump0", "nic0"]
    assert users.users_of_netdev(hardware, "net1") == users.users_of_netdev(hardware, "nosuch") == []


def test_an_object_in_use_is_not_removed_without_force(hardware: Hardware) -> None:
    with pytest.raises(Conflict, match="disk0") as conflict:
        users.refuse_users_of_object(hardware, "io0", force=False)
    assert conflict.value.details["users"] == ["disk0"]
    users.refuse_users_of_object(hardware, "io0", force=True)
    with pytest.raises(Conflict, match="limited"):
        users.refuse_users_of_object(hardware, "limits0", force=True)
    users.refuse_users_of_object(hardware, "random1", force=False)


def test_an_iothread_that_may_serve_an_export_is_not_removed_without_force(hardware: Hardware) -> None:
    with pytest.raises(Conflict, match="export0") as conflict:
        users.refuse_users_of_object(hardware, "idle", force=False)
    assert conflict.value.details["exports"] == ["export0"]
    users.refuse_users_of_object(hardware, "idle", force=True)


def test_an_object_that_qemu_never_deletes(hardware: Hardware) -> None:
    with pytest.raises(Unsupported, match="can0"):
        users.refuse_users_of_object(hardware, "can0", force=True)


@pytest.mark.parametrize(
    ("filename", "groups"),
    [
        ('json:{"throttle-group": "a", "file": {"throttle-group": "b", "x": [{"throttle-group": "c"}]}}', ["a", "b", "c"]),
        ('json:{"throttle-group": "a", "file": {"throttle-gr', ["a"]),
        ('json:{"throttle-group": 5}', []),
        ("/srv/vm/disk.qcow2", []),
    ],
)
def test_throttle_groups_in_a_file_name(filename: str, groups: list[str]) -> None:
    assert list(users._groups(filename)) == groups
