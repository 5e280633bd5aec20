# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Links, sockets and files that another user could have put at a path: nothing is said to what they lead to."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils.qmp import ConnectError, Monitor, UnixAddress
from ansible_collections.vmops.qemu.tests.support.modules import refused, run
from ansible_collections.vmops.qemu.tests.support.tls import over_tls
from ansible_collections.vmops.qemu.tests.support.values import NOBODY, SECRET
from ansible_collections.vmops.qemu.tests.vm.binaries import Binary
from ansible_collections.vmops.qemu.tests.vm.machine import VM

OTHER = 65533
PROGRAMS = Path(__file__).parent / "programs"


@pytest.fixture
def shared(public_directory: Path) -> Path:
    """A directory such as /tmp, where every user may put things and take away only its own."""
    directory = public_directory / "shared"
    directory.mkdir()
    directory.chmod(0o1777)
    return directory


@pytest.fixture
def own(public_directory: Path) -> Path:
    """A directory of nobody's own."""
    directory = public_directory / "own"
    directory.mkdir()
    os.chown(directory, NOBODY, NOBODY)
    return directory


@pytest.fixture
def program() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Run a program until the test ends."""
    children: list[subprocess.Popen[bytes]] = []

    def run(name: str, *words: object) -> subprocess.Popen[bytes]:
        child = subprocess.Popen([sys.executable, str(PROGRAMS / name), *map(str, words)], stdout=subprocess.PIPE)
        children.append(child)
        assert child.stdout and child.stdout.readline() == b"ready\n"
        return child

    yield run
    for child in children:
        child.kill()
        child.wait()
        assert child.stdout
        child.stdout.close()


Program = Callable[..., "subprocess.Popen[bytes]"]


def heard(trap: subprocess.Popen[bytes]) -> bytes:
    trap.kill()
    return trap.communicate()[0]


def send_secret(path: Path) -> dict[str, Any]:
    return run("qmp_object", {"socket": str(path), "id": "s1", "qom_type": "secret", "secret": SECRET})


def test_a_socket_of_another_user_in_a_shared_directory_is_not_spoken_to(shared: Path, program: Program) -> None:
    trap = program("trap.py", shared / "qmp.sock", NOBODY)
    refused(send_secret(shared / "qmp.sock"), "connect_failed", "any user may write", "nobody (uid 65534)", str(shared))
    assert heard(trap) == b""


@pytest.mark.parametrize("mode", [0o1777, 0o777], ids=oct)
def test_a_link_of_another_user_to_its_own_socket_is_not_followed(shared: Path, own: Path, program: Program, mode: int) -> None:
    shared.chmod(mode)
    trap = program("trap.py", own / "qmp.sock", NOBODY)
    link = shared / "link"
    link.symlink_to(own / "qmp.sock")
    os.lchown(link, NOBODY, NOBODY)
    refused(send_secret(link), "connect_failed", "any user may write", "nobody (uid 65534)", str(link))
    (shared / "directory").symlink_to(own)
    os.lchown(shared / "directory", NOBODY, NOBODY)
    refused(send_secret(shared / "directory" / "qmp.sock"), "connect_failed", "nobody (uid 65534)", str(shared / "directory"))
    assert heard(trap) == b""


def test_a_directory_of_another_user_in_a_shared_directory_is_not_entered(shared: Path, program: Program) -> None:
    (shared / "vm").mkdir()
    trap = program("trap.py", shared / "qmp.sock", NOBODY)
    (shared / "qmp.sock").rename(shared / "vm" / "qmp.sock")
    os.chown(shared / "vm", NOBODY, NOBODY)
    refused(send_secret(shared / "vm" / "qmp.sock"), "connect_failed", "any user may write", str(shared / "vm"))
    assert heard(trap) == b""


def test_a_link_of_another_user_to_a_vm_of_root_is_not_followed(make_vm: Callable[..., VM], own: Path) -> None:
    vm = make_vm(boot=False)
    (own / "qmp.sock").symlink_to(vm.qmp_socket)
    os.lchown(own / "qmp.sock", NOBODY, NOBODY)
    refused(send_secret(own / "qmp.sock"), "connect_failed", "link of another user (uid 65534)", str(own / "qmp.sock"))


def test_a_socket_that_another_user_listens_on_is_not_spoken_to_whoever_owns_its_file(
    public_directory: Path, shared: Path, program: Program
) -> None:
    trap = program("trap.py", shared / "qmp.sock", NOBODY)
    for owner in (0, OTHER):
        os.chown(shared / "qmp.sock", owner, owner)
        (shared / "qmp.sock").rename(public_directory / "qmp.sock")
        refused(
            send_secret(public_directory / "qmp.sock"), "connect_failed", "nobody (uid 65534)", f"uid {owner}", f"pid {trap.pid}"
        )
        (public_directory / "qmp.sock").rename(shared / "qmp.sock")
    assert b"object-add" not in heard(trap)


def test_a_vm_of_another_user_in_its_own_directory_is_spoken_to(own: Path) -> None:
    as_nobody = Binary("", ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "qemu-system-x86_64"))
    with VM(own, binary=as_nobody, boot=False) as vm:
        assert os.stat(f"/proc/{vm.pid}").st_uid == NOBODY and vm.qmp_socket.stat().st_uid == NOBODY
        assert send_secret(vm.qmp_socket)["changed"]
        (own / "link").symlink_to("qmp.sock")
        os.lchown(own / "link", NOBODY, NOBODY)
        assert not send_secret(own / "link")["changed"]


def test_a_vm_whose_socket_was_given_to_another_user_is_spoken_to(make_vm: Callable[..., VM]) -> None:
    vm = make_vm(boot=False)
    os.chown(vm.qmp_socket, NOBODY, NOBODY)  # as libvirt does it
    assert send_secret(vm.qmp_socket)["changed"]


def test_a_vm_of_root_in_a_shared_directory_is_spoken_to(shared: Path) -> None:
    with VM(shared / "vm", boot=False) as vm:
        (shared / "link").symlink_to(vm.qmp_socket)
        assert send_secret(shared / "link")["changed"]


def test_a_socket_in_a_container_is_reached_through_its_process(make_vm: Callable[..., VM]) -> None:
    vm = make_vm(boot=False)
    assert send_secret(Path(f"/proc/{vm.pid}/root{vm.qmp_socket}"))["changed"]
    assert not send_secret(Path(f"/proc/{vm.pid}/cwd/{os.path.relpath(vm.qmp_socket, os.getcwd())}"))["changed"]


@pytest.mark.parametrize("kind", ["socket", "link"])
def test_what_is_exchanged_while_it_is_looked_at_is_never_spoken_to(
    public_directory: Path, own: Path, program: Program, make_vm: Callable[..., VM], kind: str
) -> None:
    vm = make_vm(boot=False)
    place = public_directory / "anybody"
    place.mkdir()
    place.chmod(0o777)
    real = place / "qmp.sock"
    vm.qmp_socket.rename(real)
    trap = program("trap.py", (place if kind == "socket" else own) / "trap", NOBODY)
    if kind == "link":
        (place / "trap").symlink_to(own / "trap")
        os.lchown(place / "trap", NOBODY, NOBODY)
    swapper = program("swap.py", real, place / "trap", place / "aside", NOBODY)
    met, missed = 0, 0
    deadline = time.monotonic() + 60
    while (met + missed < 400 or not met or not missed) and time.monotonic() < deadline:
        try:
            with Monitor.connect(UnixAddress(str(real)), timeout=5.0) as monitor:
                assert monitor.peer_pid == vm.pid
                met += 1
        except ConnectError:
            missed += 1
    swapper.send_signal(signal.SIGKILL)
    swapper.wait()
    assert met and missed, (met, missed)
    assert heard(trap) == b""


@pytest.mark.parametrize("option", ["ca_file", "cert_file", "key_file"])
def test_a_file_for_tls_that_another_user_could_have_put_there_is_not_read(
    port: int, tls: dict[str, str], shared: Path, option: str
) -> None:
    file = shared / "file.pem"
    shutil.copy(tls[option], file)
    assert over_tls("qmp_info", port, {**tls, option: str(file)})["vm"]["status"] == "prelaunch"
    file.chmod(0o666)
    refused(over_tls("qmp_info", port, {**tls, option: str(file)}), "connect_failed", "any user may write", str(file))
    file.chmod(0o600)
    os.chown(file, NOBODY, NOBODY)
    refused(over_tls("qmp_info", port, {**tls, option: str(file)}), "connect_failed", "any user may write", "nobody", str(file))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"socket": ""}, ("socket is empty",)),
        ({"socket": "relative/qmp.sock"}, ("relative/qmp.sock", "does not exist")),
        ({"socket": "/" + "x" * 107}, ("108 bytes", "107")),
        ({"socket": "/tmp/" + "ä" * 60}, ("125 bytes", "107")),
        ({"socket": "/nosuch/ä/秘.sock"}, ("/nosuch/ä/秘.sock", "does not exist")),
        ({"socket": "4444"}, ("4444", "does not exist")),
        ({"socket": "/"}, ("not a stream socket",)),
        ({"host": "", "port": 4444}, ("host is empty",)),
        ({"host": "localhost", "port": "0"}, ("1 to 65535",)),
        ({"host": "localhost", "port": 70000}, ("1 to 65535",)),
        ({"host": "localhost", "port": "text"}, ("port", "int")),
        ({"host": "no.such.host.invalid", "port": 4444}, ("no.such.host.invalid", "no address")),
        ({"host": "ä" * 70, "port": 4444}, ("host",)),
        ({"host": "192.0.2.1", "port": 4444}, ("allow_plaintext",)),
        ({"host": "localhost", "port": 4444, "tls": {"ca_file": ""}}, ("tls.ca_file is empty",)),
        ({"host": "localhost", "port": 4444, "tls": {"ca_file": "/nosuch/ca.pem"}}, ("/nosuch/ca.pem",)),
        (
            {"host": "localhost", "port": 4444, "tls": {"ca_file": "/x", "cert_file": "", "key_file": ""}},
            ("tls.cert_file is empty",),
        ),
        ({"host": "localhost", "port": 4444, "tls": {"ca_file": "/x", "server_name": ""}}, ("tls.server_name is empty",)),
    ],
    ids=str,
)
def test_a_bad_address_is_refused_by_its_own_name(options: dict[str, Any], words: tuple[str, ...]) -> None:
    result = run("qmp_info", options)
    assert result["failed"] and result["error_code"] in ("invalid_option", "connect_failed"), result
    assert all(word in result["msg"] for word in words), result["msg"]
