# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A VM whose monitor is behind TLS, and certificates for it."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.vmops.qemu.tests.support.modules import run
from ansible_collections.vmops.qemu.tests.vm.machine import VM


class Authority:
    """A certificate authority in *directory*, made by openssl."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self.directory = directory
        self.ca = directory / "ca-cert.pem"
        self._openssl(
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=test authority",
            "-addext",
            "keyUsage=critical,keyCertSign",
            "-keyout",
            directory / "ca-key.pem",
            "-out",
            self.ca,
        )

    def issue(self, name: str, use: str, subject: str) -> tuple[Path, Path]:
        """Certificate and key for a *use*, serverAuth or clientAuth, in the names of files that QEMU takes."""
        cert, key = self.directory / f"{name}-cert.pem", self.directory / f"{name}-key.pem"
        request, extensions = self.directory / "request.pem", self.directory / "extensions"
        extensions.write_text(
            f"subjectAltName=DNS:{subject}\nextendedKeyUsage={use}\nkeyUsage=digitalSignature,keyEncipherment\n"
        )
        self._openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={subject}", "-keyout", key, "-out", request)
        self._openssl(
            "x509",
            "-req",
            "-days",
            "2",
            "-in",
            request,
            "-CA",
            self.ca,
            "-CAkey",
            self.directory / "ca-key.pem",
            "-CAcreateserial",
            "-extfile",
            extensions,
            "-out",
            cert,
        )
        return cert, key

    @staticmethod
    def _openssl(*words: object) -> None:
        subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    authority = Authority(tmp_path_factory.mktemp("tls") / "good")
    authority.issue("server", "serverAuth", "localhost")
    authority.issue("client", "clientAuth", "operator")
    return authority


@pytest.fixture
def tls(authority: Authority) -> dict[str, str]:
    return {
        "ca_file": str(authority.ca),
        "cert_file": str(authority.directory / "client-cert.pem"),
        "key_file": str(authority.directory / "client-key.pem"),
    }


@pytest.fixture
def port(make_vm: Callable[..., VM], authority: Authority) -> int:
    """The TCP port of a VM's monitor behind TLS, which wants a client certificate."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number: int = free.getsockname()[1]
    make_vm(
        boot=False,
        extra=(
            "-object",
            f"tls-creds-x509,id=tls0,dir={authority.directory},endpoint=server,verify-peer=yes",
            "-chardev",
            f"socket,id=mon0,host=127.0.0.1,port={number},server=on,wait=off,tls-creds=tls0",
            "-mon",
            "chardev=mon0,mode=control",
        ),
    )
    return number


def over_tls(module: str, port: int, tls: dict[str, str] | None, **options: Any) -> dict[str, Any]:
    return run(module, {"host": "localhost", "port": port, "tls": tls, "connect_timeout": 5.0, **options})
