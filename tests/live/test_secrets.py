# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Encrypted images and passwords: the guest reads the disk, and the secret is nowhere to be read."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils.qmp import Monitor, UnixAddress
from ansible_collections.vmops.qemu.tests.support.modules import Modules, finish, refused, unchanged
from ansible_collections.vmops.qemu.tests.support.values import SECRET
from ansible_collections.vmops.qemu.tests.vm.images import make_encrypted
from ansible_collections.vmops.qemu.tests.vm.machine import VM

from .life import has_disk, plugged_and_unplugged
from .logged import run_logged


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Encrypted images, by format."""
    directory = tmp_path_factory.mktemp("encrypted")
    return {format: make_encrypted(directory / format, format, SECRET) for format in ("luks", "qcow2")}


@pytest.fixture
def encrypted(originals: dict[str, Path], tmp_path: Path) -> Callable[[str], str]:
    """A copy of an encrypted image: ``encrypted("luks")`` is its path."""
    return lambda format: str(shutil.copy(originals[format], tmp_path))


@pytest.fixture
def secret_nowhere() -> Iterator[list[Any]]:
    """Everything that a test puts here is searched for the secret afterwards."""
    produced: list[Any] = []
    yield produced
    assert produced and SECRET not in json.dumps(produced), produced


@pytest.mark.parametrize("format", ["luks", "qcow2"])
def test_an_encrypted_disk_comes_and_goes_with_its_secret(
    modules: Modules, vm: VM, encrypted: Callable[[str], str], format: str, secret_nowhere: list[Any]
) -> None:
    options = {"id": "safe1", "file": encrypted(format), "format": format, "passphrase": SECRET}
    added = plugged_and_unplugged(modules.blockdev, vm, options, has_disk(serial="safe1", size=16 << 20))
    secret_nowhere.append(added)
    assert [command["execute"] for command in added["commands"]] == ["object-add", "blockdev-add", "device_add"]
    assert added["commands"][0]["arguments"]["data"] == "********"
    assert "secret,id=safe1.secret,file=FILE_WITH_THE_SECRET" in added["launch_args"]


def test_a_wrong_passphrase_leaves_nothing_and_is_not_reported(
    modules: Modules, encrypted: Callable[[str], str], secret_nowhere: list[Any]
) -> None:
    path = encrypted("luks")
    result = modules.blockdev(id="safe1", file=path, format="luks", passphrase=f"{SECRET}2")
    secret_nowhere.append(result)
    refused(result, "command_failed", "nvalid password", "rolled back")


def test_no_passphrase_for_an_encrypted_image(modules: Modules, encrypted: Callable[[str], str]) -> None:
    refused(modules.blockdev(id="safe1", file=encrypted("luks"), format="luks"), "command_failed", "secret")


def test_a_passphrase_for_an_image_that_has_none(modules: Modules, image: Callable[..., str]) -> None:
    refused(modules.blockdev(id="d1", file=image("a"), passphrase=SECRET), "invalid_option", "luks and qcow2")


def test_a_disk_that_exists_is_the_same_whatever_the_passphrase_says(
    modules: Modules, encrypted: Callable[[str], str], secret_nowhere: list[Any]
) -> None:
    options = {"id": "safe1", "file": encrypted("luks"), "format": "luks"}
    assert modules.blockdev(passphrase=SECRET, **options)["changed"]
    again = modules.blockdev(passphrase=f"{SECRET}2", **options)
    secret_nowhere.append(again)
    assert unchanged(again) and "passphrase" in again["unverified"]
    assert modules.blockdev(id="safe1", state="absent")["changed"]


def test_the_password_of_a_backend_goes_the_same_way(
    modules: Modules, vm: VM, encrypted: Callable[[str], str], secret_nowhere: list[Any]
) -> None:
    backend = {"driver": "luks", "file": {"driver": "file", "filename": encrypted("luks")}}
    options = {"id": "w1", "backend": backend, "backend_secrets": {"key-secret": SECRET}}
    added = plugged_and_unplugged(modules.blockdev, vm, options, has_disk(serial="w1", size=16 << 20))
    secret_nowhere.append(added)
    assert added["commands"][0]["arguments"]["id"] == "w1.key-secret"
    wrong = modules.blockdev(**{**options, "backend_secrets": {"key-secret": f"{SECRET}2"}})
    secret_nowhere.append(wrong)
    refused(wrong, "command_failed", "nvalid password", "rolled back")
    assert wrong["details"]["undone"] == [{"execute": "object-del", "arguments": {"id": "w1.key-secret"}}]
    refused(modules.blockdev(**{**options, "backend_secrets": {"file": SECRET}}), "invalid_option", "password-secret")


def test_the_secret_of_another_disk_stays(modules: Modules, vm: VM, encrypted: Callable[[str], str]) -> None:
    path = encrypted("luks")
    assert modules.blockdev(id="a.key-secret", file=path, format="luks", passphrase=SECRET)["changed"]
    assert modules.blockdev(id="a", backend={"driver": "null-co", "size": 1 << 20}, driver="scsi-hd")["changed"]
    assert modules.blockdev(id="a", state="absent")["changed"]
    assert "a.key-secret.secret" in vm.hardware()["objects"]
    assert modules.blockdev(id="a.key-secret", state="absent")["changed"]


def left_secret(modules: Modules, vm: VM, path: str, passphrase: str) -> None:
    """The secret of a disk of which a killed run has added nothing else: QEMU deletes a node, and not what it was opened with."""
    assert modules.blockdev(id="safe1", file=path, format="luks", passphrase=passphrase, attach=False)["changed"]
    vm.query("blockdev-del", node_name="safe1")
    assert "safe1.secret" in vm.hardware()["objects"]


def test_a_secret_that_a_killed_run_left_is_used_replaced_or_removed(
    modules: Modules, vm: VM, encrypted: Callable[[str], str], tmp_path: Path
) -> None:
    path, other = encrypted("luks"), make_encrypted(tmp_path / "other", "luks", f"{SECRET}2")
    for secret, image, first in ((SECRET, path, ["blockdev-add"]), (f"{SECRET}2", str(other), ["object-del", "object-add"])):
        left_secret(modules, vm, path, SECRET)
        result = modules.blockdev(id="safe1", file=image, format="luks", passphrase=secret)
        assert [command["execute"] for command in result["commands"]][: len(first)] == first, result
        assert modules.blockdev(id="safe1", state="absent")["changed"]
    left_secret(modules, vm, path, SECRET)
    assert modules.blockdev(id="safe1", state="absent")["changed"]


def test_a_users_own_secret_with_the_name_of_a_disks_stays(
    modules: Modules, vm: VM, encrypted: Callable[[str], str], image: Callable[..., str]
) -> None:
    vm.query("object-add", qom_type="secret", id="safe1.secret", data="something else")
    assert modules.blockdev(id="safe1", file=image("plain"))["changed"]
    assert modules.blockdev(id="safe1", state="absent")["changed"]
    assert unchanged(modules.blockdev(id="safe1", state="absent"))
    for check in (True, False):
        refused(
            modules.blockdev(check=check, id="safe1", file=encrypted("luks"), format="luks", passphrase=SECRET),
            "conflict",
            "safe1.secret",
        )
    assert vm.query("qom-get", path="/objects/safe1.secret", property="data") == "something else"
    vm.query("object-del", id="safe1.secret")


def test_a_secret_object_by_itself(modules: Modules, vm: VM, secret_nowhere: list[Any]) -> None:
    options = {"id": "s1", "qom_type": "secret", "secret": SECRET}
    for check in (True, False, False):
        secret_nowhere.append(modules.run("qmp_object", check, **options))
    planned, added, again = secret_nowhere
    assert planned["changed"] and added["changed"] and unchanged(again) and again["unverified"] == ["secret"]
    secret_nowhere.append(modules.info())
    assert vm.query("qom-get", path="/objects/s1", property="data") == SECRET
    assert modules.run("qmp_object", id="s1", state="absent")["changed"]


def test_what_a_secret_object_holds_is_neither_read_nor_set_as_a_property(
    modules: Modules, vm: VM, secret_nowhere: list[Any]
) -> None:
    vm.query("object-add", qom_type="secret", id="s1", data=SECRET)
    for options in ({"property": "data"}, {"property": "data", "value": f"{SECRET}2"}):
        for check in (True, False):
            result = modules.run("qmp_qom", check, path="/objects/s1", **options)
            secret_nowhere.append(result)
            refused(result, "invalid_option", "qmp_object")
    secret_nowhere.append(modules.run("qmp_qom", path="/objects/s1"))
    result = modules.run("qmp_command", execute="qom-get", arguments={"path": "/objects/s1", "property": "data"})
    secret_nowhere.append(result)
    refused(result, "invalid_option", "qmp_object")
    assert vm.query("qom-get", path="/objects/s1", property="data") == SECRET
    vm.query("object-del", id="s1")


ADD = {"execute": "object-add", "arguments": {"qom-type": "secret", "id": "s1", "data": SECRET}}
SET = {"execute": "qom-set", "arguments": {"path": "/objects/s1", "property": "data", "value": SECRET}}


@pytest.mark.parametrize(
    ("module", "options"),
    [
        ("qmp_command", ADD),
        ("qmp_command", {"commands": [{"execute": "query-status"}, ADD]}),
        ("qmp_command", SET),
        ("qmp_command", {**ADD, "arguments": json.dumps(ADD["arguments"])}),
        ("qmp_command", {"commands": [ADD], **ADD}),
        ("qmp_command", {"execute": "set_password", "arguments": {"protocol": "vnc", "password": SECRET}}),
        (
            "qmp_command",
            {"execute": "set_password", "arguments": {"protocol": "vnc", "pasword": "x", "password": {"a": [SECRET]}}},
        ),
        ("qmp_command", {"execute": "human-monitor-command", "arguments": {"command-line": f"set_password vnc {SECRET}"}}),
        ("qmp_object", {"id": "s1", "qom_type": "secret", "properties": {"data": SECRET}}),
        ("qmp_object", {"id": "s1", "properties": {"data": SECRET}, "secret": "x"}),
        ("qmp_qom", {"path": "/objects/s1", "property": "data", "value": SECRET}),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else "-".join(map(str, value)),
)
def test_a_secret_in_an_option_that_is_not_one_for_secrets(
    bare_vm: VM, module: str, options: dict[str, Any], secret_nowhere: list[Any], tmp_path: Path
) -> None:
    """Neither the result, in which are the options that the module was called with, nor the log has it."""
    for check in (True, False):
        directory = tmp_path / f"check-{check}"
        directory.mkdir()
        (said,) = run_logged(directory, [(module, {**options, "socket": str(bare_vm.qmp_socket)})], check)
        assert said.result["invocation"]["module_args"], said.result
        secret_nowhere.append((said.out, said.err, said.log))
    if not said.result.get("failed"):
        assert "Invoked with" in said.log


def test_a_trace_has_no_secret(vm: VM, secret_nowhere: list[Any]) -> None:
    def keep(direction: str, message: dict[str, Any]) -> None:
        secret_nowhere.append((direction, message))

    with Monitor.connect(UnixAddress(str(vm.qmp_socket)), tracer=keep) as monitor:
        monitor.execute("object-add", {"qom-type": "secret", "id": "s1", "data": SECRET})
        assert monitor.execute("qom-get", {"path": "/objects/s1", "property": "data"}) == SECRET
        monitor.execute("object-del", {"id": "s1"})


def test_no_process_shows_a_secret_on_its_command_line(
    modules: Modules, encrypted: Callable[[str], str], secret_nowhere: list[Any]
) -> None:
    path = encrypted("luks")
    child = modules.start("qmp_blockdev", id="safe1", file=path, format="luks", passphrase=SECRET)
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            for process in Path("/proc").glob("[0-9]*"):
                try:
                    words = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
                except OSError:
                    continue
                if SECRET.encode() in words:
                    secret_nowhere.append(words.decode(errors="replace"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    secret_nowhere.append(finish(child))
    over.set()
    watcher.join()
    assert modules.blockdev(id="safe1", state="absent")["changed"]
