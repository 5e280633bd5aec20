# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hardware that lasts: a real systemd plugs it again into a real QEMU after each of its starts."""

from __future__ import annotations

import os
import shlex
import stat
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils._vm.launch import drop_in
from ansible_collections.vmops.qemu.tests.support.modules import Modules, refused, run, unchanged
from ansible_collections.vmops.qemu.tests.support.systemd import Systemd
from ansible_collections.vmops.qemu.tests.support.waiting import until
from ansible_collections.vmops.qemu.tests.vm.machine import VM

HARDWARE: dict[str, Any] = {
    "cpus": 2,
    "objects": [{"id": "io1", "qom_type": "iothread"}],
    "chardevs": [{"id": "port1", "type": "null", "driver": "virtserialport"}],
    "devices": [{"id": "ctl1", "driver": "virtio-serial-pci"}],
    "memory": [{"id": "dimm1", "size": "128M"}],
    "blockdevs": [{"id": "data1", "backend": {"driver": "null-co", "size": 1 << 20}, "iothread": "io1"}],
    "netdevs": [{"id": "net1", "type": "user", "options": {"hostname": "guest"}, "mac": "52:54:00:00:00:01"}],
}
UNIT = "vmops-qemu-hotplug@vm1.service"


def places(directory: Path) -> dict[str, str]:
    """The options of qmp_persist for files below *directory*."""
    units = directory / "units"
    units.mkdir(exist_ok=True)
    return {"path": f"{directory}/vm1.json", "program": f"{directory}/lib/hotplug.pyz", "unit_directory": str(units)}


def play(program: str, path: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program, *arguments, path], capture_output=True, text=True, timeout=60, check=False)


def test_systemd_plugs_the_hardware_again_after_qemu_was_killed(tmp_path: Path) -> None:
    vm = VM(tmp_path / "vm", boot=False, ports=6)
    vm.directory.mkdir()
    paths = places(tmp_path)
    options = {**paths, "hardware": {"socket": str(vm.qmp_socket), **HARDWARE}}
    checked = run("qmp_persist", options, check=True)
    assert checked["changed"] and not os.path.exists(paths["path"]), checked.get("msg")
    kept = run("qmp_persist", options)
    assert kept["changed"] and kept["unit"] == UNIT and kept["diff"] == checked["diff"], kept
    assert unchanged(run("qmp_persist", options)), "the same files again"

    units = tmp_path / "units"
    (vm.directory / "run").write_text(f"exec {shlex.join(vm.command_line())}\n")
    (units / "vm1.service").write_text(
        f"[Unit]\nDefaultDependencies=no\n[Service]\nRestart=always\nRestartSec=0\nExecStart=/bin/sh {vm.directory}/run\n"
    )
    environment = {**os.environ, "SYSTEMD_UNIT_PATH": f"{units}:"}
    verified = subprocess.run(["systemd-analyze", "verify", UNIT], env=environment, capture_output=True, text=True, check=False)
    assert verified.returncode == 0 and "hotplug" not in verified.stderr, verified.stderr

    def is_there() -> bool:
        with suppress(OSError):
            return "data1" in vm.hardware()["devices"]
        return False

    def is_done() -> bool:
        return systemd.show(UNIT, "ActiveState") == "inactive" and systemd.show(UNIT, "Result") == "success"

    with Systemd(units) as systemd:
        assert systemd.systemctl("is-enabled", UNIT) == "enabled\n"
        assert systemd.systemctl("start", "vm1.service") is not None, systemd.log()
        pids = ["0"]
        for attempt in ("first start", "killed"):
            until(is_there)
            until(is_done)
            again = Modules(vm).run("qmp_hotplug", **HARDWARE)
            assert unchanged(again) and again["commands"] == [], (attempt, again, systemd.log())
            pids.append(systemd.show("vm1.service", "MainPID"))
            assert systemd.systemctl("kill", "--signal=KILL", "vm1.service") is not None
            until(lambda: systemd.show("vm1.service", "MainPID") not in pids)
        assert systemd.systemctl("stop", "vm1.service") is not None
        assert systemd.show(UNIT, "ActiveState") == "inactive"

    gone = run("qmp_persist", {**options, "state": "absent"})
    assert gone["changed"] and not os.path.exists(paths["path"]) and not os.path.lexists(units / f"vm1.service.wants/{UNIT}")
    assert unchanged(run("qmp_persist", {**options, "state": "absent"}))


def test_systemd_makes_the_launch_arguments_of_the_drop_in(tmp_path: Path) -> None:
    words = ["-device", '{"driver": "x", "id": "a"}', "-chardev", "file,path=/a 'b' \"c\" 100%d $HOME ${HOME} \\n \\x41,,é\n\t."]
    (tmp_path / "vm1.service.d").mkdir()
    (tmp_path / "vm1.service.d" / "hotplug.conf").write_text(drop_in(words))
    (tmp_path / "print").write_text(f'printf "%s\\0" "$@" > {tmp_path}/words\n')
    (tmp_path / "vm1.service").write_text(
        "[Unit]\nDefaultDependencies=no\n[Service]\nType=oneshot\n"
        f"ExecStart=/bin/sh {tmp_path}/print -machine q35 $QEMU_HOTPLUG_ARGS\n"
    )
    with Systemd(tmp_path) as systemd:
        assert systemd.systemctl("start", "vm1.service") is not None, systemd.log()
    assert (tmp_path / "words").read_text().split("\0")[:-1] == ["-machine", "q35", *words]


def test_the_guest_gets_its_hardware_while_it_boots(make_vm: Callable[..., VM], tmp_path: Path) -> None:
    vm = make_vm(paused=True)
    hardware = {name: HARDWARE[name] for name in ("cpus", "objects", "blockdevs", "netdevs")}
    options = places(tmp_path)
    assert run("qmp_persist", {**options, "hardware": {"socket": str(vm.qmp_socket), **hardware}})["changed"]
    vm.execute("cont", {})
    played = play(options["program"], options["path"])
    assert played.returncode == 0 and played.stdout == "Changed: +io1, +data1, +net1, ~cpus\n", played
    vm.wait_boot()
    vm.wait_guest(lambda guest: len(guest["disks"]) == len(guest["nics"]) == 1 and guest["cpus"]["present"] == "0-1")
    again = play(options["program"], options["path"])
    assert (again.returncode, again.stdout, again.stderr) == (0, "Changed: nothing\n", "")


def test_the_file_keeps_its_owner_and_mode_and_has_no_secret(tmp_path: Path) -> None:
    options = places(tmp_path)
    disk = {"id": "data1", "file": "/srv/data1", "format": "luks"}
    assert run("qmp_persist", {**options, "hardware": {"socket": "/run/vm1", "blockdevs": [disk]}})["changed"]
    os.chmod(options["path"], 0o640)
    os.chown(options["path"], 65534, 65534)
    assert run("qmp_persist", {**options, "hardware": {"socket": "/run/vm1", "cpus": 2}})["changed"]
    about = os.stat(options["path"])
    assert (about.st_uid, about.st_gid, stat.S_IMODE(about.st_mode)) == (65534, 65534, 0o640)
    for kind, item, place in (
        ("blockdevs", {**disk, "passphrase": "correct-horse"}, "blockdevs[0].passphrase"),
        (
            "blockdevs",
            {"id": "d", "backend": {"driver": "ftp", "url": "ftp://me:correct-horse@x/"}},
            "blockdevs[0].backend.url",
        ),
        ("objects", {"id": "s1", "qom_type": "secret", "secret": "correct-horse"}, "objects[0].secret"),
        ("objects", {"id": "s1", "qom_type": "secret", "properties": {"data": "correct-horse"}}, "objects[0].properties.data"),
    ):
        result = run("qmp_persist", {**options, "hardware": {"socket": "/run/vm1", kind: [item]}})
        refused(result, "invalid_option", place)
        assert "correct-horse" not in str(result)
    assert "correct-horse" not in Path(options["path"]).read_text()


@pytest.mark.parametrize(
    "change, words",
    [
        ({"hardware": {"blockdevs": []}}, "one of the following is required"),
        ({"hardware": {"socket": "/run/vm1", "disks": []}}, "disks"),
        ({"hardware": {"socket": "/run/vm1", "netdevs": [{"id": "a"}, {"id": "a"}]}}, "same id"),
        ({"path": "/etc/vm1"}, "/etc/vmops-qemu/vm1.json"),
        ({"path": "vm1.json"}, "absolute"),
        ({"path": "/etc/a b/vm1.json"}, "space"),
        ({"program": "/opt/$x"}, "program"),
        ({"path": "/elsewhere/vm1.json"}, "one directory"),
    ],
)
def test_what_could_not_work_is_refused(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    options = {**places(tmp_path), "hardware": {"socket": "/run/vm1", "cpus": 2}}
    if "one directory" in words:
        assert run("qmp_persist", options)["changed"]
    before = sorted(tmp_path.rglob("*"))
    refused(run("qmp_persist", {**options, **change}), "invalid_option", words)
    assert sorted(tmp_path.rglob("*")) == before


def test_the_program_says_why_it_fails(tmp_path: Path) -> None:
    options = places(tmp_path)
    program, path = options["program"], options["path"]
    assert run("qmp_persist", {**options, "hardware": {"socket": f"{tmp_path}/no.sock", "cpus": 2}})["changed"]
    later = play(program, path, "--wait", "0")
    assert later.returncode == 1 and "no.sock" in later.stderr and "Traceback" not in later.stderr
    os.chmod(path, 0o664)
    assert play(program, path).returncode == 2 and "other users can write" in play(program, path).stderr
    os.chmod(path, 0o644)
    Path(path).write_text("[1")
    broken = play(program, path)
    assert broken.returncode == 2 and "not JSON" in broken.stderr
    Path(path).write_text('{"socket": "/x", "cpu": 2}')
    assert play(program, path).returncode == 2
