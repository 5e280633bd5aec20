# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may speak to a VM: TLS with certificates on both sides, plaintext refused, sockets and links of others."""

from __future__ import annotations

import os
import pwd
import socket
import subprocess
from pathlib import Path
from typing import Callable

import pytest

from ansible_collections.vmops.qemu.tests.support.modules import Modules, refused, run, unchanged
from ansible_collections.vmops.qemu.tests.support.tls import Authority, over_tls
from ansible_collections.vmops.qemu.tests.support.values import NULL
from ansible_collections.vmops.qemu.tests.vm.machine import VM


def test_a_good_client_does_all_but_pass_descriptors(port: int, tls: dict[str, str], make_tap: Callable[..., str]) -> None:
    disk = {"id": "d1", "backend": NULL}
    facts = over_tls("qmp_info", port, tls, gather_subset=["vm"])
    assert not facts.get("failed"), facts
    assert over_tls("qmp_blockdev", port, tls, **disk)["changed"]
    assert unchanged(over_tls("qmp_blockdev", port, tls, **disk))
    # replies of hundreds of kilobytes, and many at once
    schema = over_tls("qmp_command", port, tls, execute="query-qmp-schema")
    assert len(schema["replies"][0]) > 500
    refused(
        over_tls("qmp_netdev", port, tls, id="n1", type="tap", ifname=make_tap(), descriptors=True),
        "unsupported",
        "unix socket",
    )


def test_a_server_of_another_authority(port: int, tls: dict[str, str], tmp_path: Path) -> None:
    other = Authority(tmp_path / "other")
    refused(over_tls("qmp_info", port, {**tls, "ca_file": str(other.ca)}), "connect_failed", "not trusted", "CA")


def test_a_server_of_another_name(port: int, tls: dict[str, str]) -> None:
    refused(over_tls("qmp_info", port, {**tls, "server_name": "elsewhere"}), "connect_failed", "not for elsewhere")


def test_a_client_without_a_certificate(port: int, tls: dict[str, str]) -> None:
    refused(over_tls("qmp_info", port, {"ca_file": tls["ca_file"]}), "connect_failed", "certificate")


def test_a_client_with_a_certificate_of_another_authority(port: int, tls: dict[str, str], tmp_path: Path) -> None:
    cert, key = Authority(tmp_path / "other").issue("client", "clientAuth", "operator")
    refused(over_tls("qmp_info", port, {**tls, "cert_file": str(cert), "key_file": str(key)}), "connect_failed", "certificate")


def test_files_that_are_not_there_or_none_such(port: int, tls: dict[str, str]) -> None:
    refused(over_tls("qmp_info", port, {**tls, "ca_file": "/nosuch"}), "connect_failed", "/nosuch")
    refused(over_tls("qmp_info", port, {**tls, "key_file": tls["cert_file"]}), "connect_failed", tls["cert_file"])


def test_a_key_with_a_passphrase_is_refused_and_asked_for_nowhere(port: int, tls: dict[str, str], tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "rsa", "-aes256", "-passout", "pass:secret", "-in", tls["key_file"], "-out", str(key)],
        check=True,
        capture_output=True,
    )
    refused(over_tls("qmp_info", port, {**tls, "key_file": str(key)}), "connect_failed", "encrypted", "without a passphrase")


def test_a_port_or_a_name_that_cannot_be(port: int, tls: dict[str, str]) -> None:
    for number in (-1, 0, port + 65536):
        refused(over_tls("qmp_info", number, tls), "connect_failed", "1 to 65535")
        refused(over_tls("qmp_info", number, None), "connect_failed", "1 to 65535")
    refused(over_tls("qmp_info", port, {**tls, "server_name": ".localhost"}), "connect_failed", "server_name")


def test_a_port_without_tls_and_a_client_without_tls(port: int, tls: dict[str, str], make_vm: Callable[..., VM]) -> None:
    with socket.socket() as plain:
        plain.bind(("127.0.0.1", 0))
        plain.listen(1)
        refused(over_tls("qmp_info", plain.getsockname()[1], tls, connect_timeout=1.0), "monitor_busy", "TLS")
    refused(over_tls("qmp_info", port, None, connect_timeout=2.0), "monitor_busy", "greeting")


def test_no_key_is_in_any_output(port: int, tls: dict[str, str]) -> None:
    key = Path(tls["key_file"]).read_text().splitlines()[1]
    for result in (over_tls("qmp_info", port, tls), over_tls("qmp_info", port, {**tls, "server_name": "elsewhere"})):
        assert key not in str(result)


def test_plaintext_beyond_this_host_is_refused_unless_allowed() -> None:
    refused(run("qmp_info", {"host": "192.0.2.1", "port": 4444}), "invalid_option", "tls", "allow_plaintext")
    allowed = run("qmp_info", {"host": "192.0.2.1", "port": 4444, "allow_plaintext": True, "connect_timeout": 0.5})
    refused(allowed, "connect_failed", "192.0.2.1")


def test_a_socket_that_others_may_write_to_is_warned_of(make_vm: Callable[..., VM]) -> None:
    vm = make_vm(boot=False)
    directories = [vm.directory, *vm.directory.parents]
    modes = {directory: directory.stat().st_mode & 0o7777 for directory in directories}
    try:
        os.chmod(vm.qmp_socket, 0o777)
        vm.directory.chmod(0o700)
        assert not Modules(vm).info().get("warnings")
        for directory in directories:
            directory.chmod(directory.stat().st_mode | 0o001)
        assert "chmod o-w" in str(Modules(vm).info()["warnings"])
        os.chmod(vm.qmp_socket, 0o770)
        assert not Modules(vm).info().get("warnings")
    finally:
        for directory, mode in modes.items():
            directory.chmod(mode)


def test_a_link_that_another_user_planted_is_not_followed(make_vm: Callable[..., VM], tmp_path: Path) -> None:
    vm = make_vm(boot=False)
    link = tmp_path / "link.sock"
    link.symlink_to(vm.qmp_socket)
    assert run("qmp_info", {"socket": str(link)})["vm"]["status"] == "prelaunch"
    os.lchown(link, pwd.getpwnam("nobody").pw_uid, -1)
    refused(run("qmp_info", {"socket": str(link)}), "connect_failed", "another user", str(link))


@pytest.mark.parametrize("option", ["ca_file", "cert_file", "key_file"])
def test_nor_one_to_a_file_of_tls(port: int, tls: dict[str, str], tmp_path: Path, option: str) -> None:
    link = tmp_path / "link.pem"
    link.symlink_to(tls[option])
    assert over_tls("qmp_info", port, {**tls, option: str(link)})["vm"]["status"] == "prelaunch"
    os.lchown(link, pwd.getpwnam("nobody").pw_uid, -1)
    refused(over_tls("qmp_info", port, {**tls, option: str(link)}), "connect_failed", "another user", str(link))
