# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tap interfaces, on a host that is made of files."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils._vm.errors import InvalidOption, Unsupported
from ansible_collections.vmops.qemu.plugins.module_utils._vm.host import tap

IFF_TUN, IFF_TAP, IFF_MULTI_QUEUE = 0x0001, 0x0002, 0x0100


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with /sys/class/net as net/ and /dev as dev/."""
    for name in ("net", "dev"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(tap, "_INTERFACES", str(tmp_path / "net"))
    monkeypatch.setattr(tap, "_DEVICES", str(tmp_path / "dev"))
    monkeypatch.setattr(tap, "_TUN", str(tmp_path / "dev/tun"))
    monkeypatch.setattr(tap, "VHOST_NET", str(tmp_path / "dev/vhost-net"))
    return tmp_path


def make_interface(host: Path, name: str, flags: int | None = None, macvtap: int | None = None) -> None:
    (host / "net" / name).mkdir()
    if flags is not None:
        (host / "net" / name / "tun_flags").write_text(f"{flags:#x}\n")
    if macvtap is not None:
        (host / "net" / name / "macvtap").mkdir()
        (host / "net" / name / "ifindex").write_text(f"{macvtap}\n")


def test_a_tap_of_the_right_sort_is_accepted(host: Path) -> None:
    make_interface(host, "tap0", IFF_TAP)
    make_interface(host, "tap1", IFF_TAP | IFF_MULTI_QUEUE)
    tap.check_tap("tap0", 1)
    tap.check_tap("tap1", 2)
    make_interface(host, "mac0", macvtap=7)
    with pytest.raises(Unsupported, match="tap7"):
        tap.check_tap("mac0", 4)
    (host / "dev/tap7").touch()
    tap.check_tap("mac0", 4)


@pytest.mark.parametrize("name", ["", ".", "..", "a b", "a/b", "a:b", "sixteen-letters-", "ä"])
def test_a_name_that_no_interface_has(host: Path, name: str) -> None:
    with pytest.raises(InvalidOption, match="ifname"):
        tap.check_tap(name, 1)


@pytest.mark.parametrize(("flags", "queues"), [(IFF_TUN, 1), (IFF_TAP, 2), (IFF_TAP | IFF_MULTI_QUEUE, 1), (None, 1)])
def test_an_interface_of_another_sort(host: Path, flags: int | None, queues: int) -> None:
    make_interface(host, "tap0", flags)
    with pytest.raises(InvalidOption, match=r"ip tuntap add dev tap0 mode tap"):
        tap.check_tap("tap0", queues)


def test_an_interface_that_does_not_exist(host: Path) -> None:
    with pytest.raises(InvalidOption, match="does not exist on this host.*multi_queue"):
        tap.check_tap("tap9", 2)


def test_a_tap_is_opened_and_closed_again_if_it_is_busy(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (host / "dev/tun").touch()
    asked: list[bytes] = []
    monkeypatch.setattr(fcntl, "ioctl", lambda descriptor, code, data: asked.append(data))
    os.close(tap.open_tap("tap0", 1))
    os.close(tap.open_tap("tap0", 4))
    assert [data[:4] for data in asked] == [b"tap0", b"tap0"] and asked[0] != asked[1]

    def busy(*_words: object) -> None:
        raise OSError(16, "Device or resource busy")

    monkeypatch.setattr(fcntl, "ioctl", busy)
    before = os.listdir("/proc/self/fd")
    with pytest.raises(Unsupported, match="Device or resource busy.*another VM"):
        tap.open_tap("tap0", 1)
    assert os.listdir("/proc/self/fd") == before


def test_a_tap_that_may_not_be_opened(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_words: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", denied)
    with pytest.raises(Unsupported, match="Permission denied.*root"):
        tap.open_tap("tap0", 1)


def test_vhost_needs_its_device(host: Path) -> None:
    with pytest.raises(Unsupported, match="vhost: false"):
        tap.check_vhost()
    (host / "dev/vhost-net").touch()
    tap.check_vhost()
    os.close(tap.open_vhost())


def test_the_interfaces_of_a_process_are_read_from_its_descriptors(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tap.interfaces_of(os.getpid()) == [] and tap.interfaces_of(None) == []
    assert tap.interface_of(os.getpid(), "nosuch") is None and tap.interface_of(os.getpid(), "987654") is None
    make_interface(host, "mac0", macvtap=7)
    make_interface(host, "eth0")
    (host / "dev/tap7").touch()
    with (host / "dev/tap7").open() as file:
        assert tap.interfaces_of(os.getpid()) == ["mac0"]
        assert tap.interface_of(os.getpid(), str(file.fileno())) == "mac0"
    (host / "dev/tap8").touch()
    with (host / "dev/tap8").open() as file:
        assert tap.interface_of(os.getpid(), str(file.fileno())) is None
