# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which monitor the options of the connection lead to, and which options lead to none."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils._ansible import connection
from ansible_collections.vmops.qemu.plugins.module_utils._vm.errors import InvalidOption
from ansible_collections.vmops.qemu.plugins.module_utils.qmp import Address, TcpAddress, TlsAddress, UnixAddress
from ansible_collections.vmops.qemu.tests.support.scripted_monitor import ScriptedMonitor

TLS = {"ca_file": "/ca.pem", "cert_file": "/cert.pem", "key_file": "/key.pem", "server_name": "vm1"}


def params(**options: Any) -> dict[str, Any]:
    return {
        "socket": None,
        "host": None,
        "port": None,
        "tls": None,
        "allow_plaintext": False,
        "connect_timeout": 5.0,
        "timeout": 5.0,
        **options,
    }


@pytest.mark.parametrize(
    ("options", "address"),
    [
        ({"socket": "/run/vm1"}, UnixAddress("/run/vm1")),
        ({"host": "127.0.0.1", "port": 4444}, TcpAddress("127.0.0.1", 4444)),
        ({"host": "localhost", "port": 4444}, TcpAddress("localhost", 4444)),
        ({"host": "192.0.2.1", "port": 4444, "allow_plaintext": True}, TcpAddress("192.0.2.1", 4444)),
        (
            {"host": "192.0.2.1", "port": 4444, "tls": TLS},
            TlsAddress("192.0.2.1", 4444, "/ca.pem", "/cert.pem", "/key.pem", "vm1"),
        ),
    ],
)
def test_options_lead_to_an_address(options: dict[str, Any], address: Address) -> None:
    assert connection.address(params(**options)) == address


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"socket": ""}, "socket is empty: set it to the path"),
        ({"host": "", "port": 1}, "host is empty"),
        ({"host": "h", "port": 1, "tls": {**TLS, "ca_file": ""}}, "tls.ca_file is empty"),
        ({"host": "h", "port": 1, "tls": {**TLS, "server_name": ""}}, "tls.server_name is empty"),
        ({"host": "192.0.2.1", "port": 4444}, "host 192.0.2.1 is another machine"),
    ],
)
def test_unsafe_and_empty_addresses_are_rejected(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidOption, match=said):
        connection.address(params(**options))


def test_a_host_without_an_address_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "has_address", lambda host: False)
    monkeypatch.setattr(connection, "is_loopback", lambda host: False)
    with pytest.raises(InvalidOption, match="check its spelling"):
        connection.address(params(host="h", port=1))


def test_a_socket_that_any_user_can_write_to_is_warned_about(monkeypatch: pytest.MonkeyPatch) -> None:
    warnings: list[str] = []
    monkeypatch.setattr(connection, "others_may_write", lambda path: True)
    with ScriptedMonitor([]) as server:
        assert isinstance(server.address, UnixAddress)
        connection.connect(params(socket=server.address.path), warnings.append).close()
    assert len(warnings) == 1 and "Run chmod o-w" in warnings[0]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"timeout": -1.0}, "timeout -1.0 is not a valid time"),
        ({"connect_timeout": float("nan")}, "connect_timeout nan is not a valid time"),
        ({"properties": {"a": {"b": float("inf")}}}, "properties.a.b contains inf"),
        ({"properties": {"x" * 40: [float("-inf")]}}, "^properties contains -inf"),
        ({"commands": [{"a\0": 1}]}, "commands contains a NUL byte"),
        ({"id": "\ud800"}, r"id contains U\+D800"),
    ],
)
def test_values_that_qemu_does_not_accept_are_named(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidOption, match=said):
        connection.check_values(params(**options))


def test_ordinary_values_are_accepted() -> None:
    connection.check_values(params(id="d1", properties={"a": [1, 2.5, None, True, {"b": "Ünïcode 🙂"}]}))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"count": True}, "count is true, and not a number"),
        ({"limits": {"iops": False}}, "limits.iops is false, and not a number"),
        ({"disks": [{"lun": 1}, {"lun": True}]}, "disks[1].lun is true, and not a number"),
    ],
)
def test_a_boolean_is_not_taken_for_the_number_1(options: dict[str, Any], said: str) -> None:
    number: dict[str, Any] = {"type": "int"}
    spec = {
        "count": number,
        "limits": {"type": "dict", "options": {"iops": number}},
        "disks": {"type": "list", "elements": "dict", "options": {"lun": number}},
    }
    connection.check_numbers({"count": 1, "limits": None, "disks": None}, spec)
    with pytest.raises(InvalidOption) as refusal:
        connection.check_numbers(options, spec)
    assert said in str(refusal.value)
