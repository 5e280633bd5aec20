# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory plugin with real QEMUs, and with monitors that never answer."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest
import yaml

from ansible_collections.vmops.qemu.tests.support.fixtures import image, make_vm
from ansible_collections.vmops.qemu.tests.support.scripted_monitor import greeting
from ansible_collections.vmops.qemu.tests.support.tls import authority, port, tls
from ansible_collections.vmops.qemu.tests.vm.machine import VM

__all__ = ["authority", "image", "make_vm", "port", "tls"]

SILENT = 200
SECONDS = 2.0
"""For each VM to accept the connection, and again to answer."""
MOST_SECONDS = 2 * SECONDS + 8.0
"""For the inventory, and for ansible-inventory itself on a busy machine."""
RUN_SECONDS = 120
TEMPLATE = "{{ 6*7 }}"
PLAY = """
- hosts: qmp:!qmp_error
  gather_facts: false
  module_defaults:
    group/vmops.qemu.qmp:
      socket: "{{ qmp_socket }}"
  tasks:
    - vmops.qemu.qmp_blockdev:
        id: data1
        file: "{{ playbook_dir }}/{{ inventory_hostname }}.img"
    - vmops.qemu.qmp_info:
        gather_subset: [vm, disks]
      register: vm
      vars:
        vmops_qemu_in_process: "{{ inventory_hostname != 'vm-all' }}"
    - ansible.builtin.copy:
        dest: "{{ playbook_dir }}/seen.json"
        content: "{{ dict(ansible_play_hosts | zip(seen)) | to_json }}"
      vars:
        names: "{{ ansible_play_hosts | map('extract', hostvars, 'qmp_name') }}"
        copies: "{{ ansible_play_hosts | map('extract', hostvars, 'copy') }}"
        sockets: "{{ ansible_play_hosts | map('extract', hostvars, 'qmp_socket') }}"
        vms: "{{ ansible_play_hosts | map('extract', hostvars, 'vm') }}"
        seen: "{{ names | zip(copies, sockets, vms) }}"
      run_once: true
- hosts: vm-all
  gather_facts: false
  roles:
    - role: vmops.qemu.hotplug
      vars:
        hotplug_blockdevs:
          - id: data1
            file: "{{ playbook_dir }}/{{ inventory_hostname }}.img"
"""


def ansible(program: str, source: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a program of Ansible with an inventory."""
    environment = {
        **os.environ,
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_INVENTORY_UNPARSED_FAILED": "1",
        "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "1",
        **variables,
    }
    command = [program, "-i", str(source), *words]
    return subprocess.run(command, env=environment, text=True, capture_output=True, check=False, timeout=RUN_SECONDS)


def listed(source: Path, *words: str, **variables: str) -> dict[str, Any]:
    """What ``ansible-inventory --list`` prints, without the marks of texts that are not templates."""
    run = ansible("ansible-inventory", source, "--list", *words, **variables)
    assert run.returncode == 0, run.stderr
    return dict(json.loads(run.stdout, object_hook=lambda one: one.get("__ansible_unsafe", one)))


def source(directory: Path, **options: Any) -> Path:
    """A source file for the plugin."""
    path = directory / "vms.qmp.yml"
    times = {"connect_timeout": SECONDS, "timeout": SECONDS}
    path.write_text(yaml.safe_dump({"plugin": "vmops.qemu.qmp", **times, **options}))
    return path


@pytest.fixture(scope="module")
def vms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, VM]]:
    """VMs without guests, by their directories, each with a monitor. Two have the same name, one has none."""
    names = {"one": "vm1", "two": None, TEMPLATE: "all", "path": "../\x1b[2Jx", "name": TEMPLATE, "db1": "db", "db2": "db"}
    root = tmp_path_factory.mktemp("vms")
    with contextlib.ExitStack() as stack:
        yield {
            directory: stack.enter_context(VM(root / directory, boot=False, extra=("-name", name) if name else ()))
            for directory, name in names.items()
        }


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[Path]:
    """A directory with sockets on which nobody answers. Every tenth of them greets first, as a QEMU that hangs later."""
    directory = tmp_path / "silent"
    directory.mkdir()
    with contextlib.ExitStack() as stack:
        for number in range(SILENT):
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(str(directory / f"vm{number}.sock"))
            listener.listen(1)
            if number % 10 == 0:
                threading.Thread(target=greet, args=(listener,), daemon=True).start()
        yield directory


def greet(listener: socket.socket) -> None:
    """Greet the clients, agree to the negotiation, and answer nothing else."""
    clients = []
    with contextlib.suppress(OSError):
        while True:
            client, _address = listener.accept()
            clients.append(client)
            client.sendall(json.dumps(greeting()).encode() + b"\r\n")
            ident = json.loads(client.recv(4096).partition(b"\n")[0])["id"]
            client.sendall(json.dumps({"return": {}, "id": ident}).encode() + b"\r\n")


@pytest.mark.newest_core
def test_each_vm_is_a_host_with_its_facts_and_groups(vms: dict[str, VM], tmp_path: Path, port: int, tls: dict[str, str]) -> None:
    root = vms["one"].directory.parent
    gone = tmp_path / "gone.sock"
    found = listed(
        source(
            tmp_path,
            sockets=[str(root / "*" / "qmp.sock"), str(gone)],
            addresses=[{"host": "localhost", "port": port, "tls": tls}, {"host": "192.0.2.1", "port": 4444}],
            keyed_groups=[{"key": "qmp_accelerator", "prefix": "accelerator"}],
            groups={"old": "qmp_qemu_version is version('100', '<')"},
            compose={"label": "qmp_machine ~ ' on ' ~ qmp_target"},
            strict=True,
        )
    )
    variables = found["_meta"]["hostvars"]
    assert "vm1" in variables and "two" in variables, "a VM without a name has that of the directory of its qmp.sock"
    status = vms["one"].query("query-status")["status"]
    version = vms["one"].query("query-version")["qemu"]
    text = "{major}.{minor}.{micro}".format(**version)
    connection = {"ansible_connection": "local", "ansible_python_interpreter": variables["vm1"]["ansible_python_interpreter"]}
    assert variables["vm1"] == {
        **connection,
        "qmp_socket": str(vms["one"].qmp_socket),
        "hotplug_socket": str(vms["one"].qmp_socket),
        "qmp_name": "vm1",
        "qmp_uuid": None,  # it was started without one
        "qmp_status": status,
        "qmp_qemu_version": text,
        "qmp_machine": variables["vm1"]["qmp_machine"],
        "qmp_target": "x86_64",
        "qmp_accelerator": "tcg",
        "label": f"{variables['vm1']['qmp_machine']} on x86_64",
    }
    over_tls = variables[f"vm-localhost_{port}"]
    assert over_tls["hotplug_tls"] == over_tls["qmp_tls"] == tls and over_tls["qmp_port"] == port
    answering = set(variables) - {"gone", "192.0.2.1_4444"}
    underlined = {name: str(value).replace(".", "_").replace("-", "_") for name, value in variables["vm1"].items()}
    assert set(found["qmp"]["hosts"]) == set(variables)
    for group in (
        f"qmp_status_{status}",
        f"qmp_machine_{underlined['qmp_machine']}",
        f"qmp_qemu_version_{underlined['qmp_qemu_version']}",
        "accelerator_tcg",
        "old",
    ):
        assert set(found[group]["hosts"]) == answering, group
    assert set(found["qmp_error"]["hosts"]) == {"gone", "192.0.2.1_4444"}
    assert variables["gone"]["qmp_error"]["error_code"] == "connect_failed"
    assert "qmp_status" not in variables["gone"] and variables["gone"]["hotplug_socket"] == str(gone)
    refused = variables["192.0.2.1_4444"]["qmp_error"]
    assert refused["error_code"] == "invalid_option" and "set tls" in refused["msg"]
    assert len(answering) == len(vms) + 1


def test_a_play_gives_each_vm_a_disk_whatever_the_vm_and_its_socket_are_called(vms: dict[str, VM], tmp_path: Path) -> None:
    """Names of VMs and of sockets are neither templates nor paths, nor do they mean anything to Ansible."""
    root = vms["one"].directory.parent
    hosts = {
        "vm1": vms["one"],
        "two": vms["two"],
        "vm-all": vms[TEMPLATE],
        "_x1b_2Jx": vms["path"],
        "_6_7_": vms["name"],
        **{f"db-{str(vms[name].qmp_socket).strip('/').replace('/', '_')}": vms[name] for name in ("db1", "db2")},
    }
    for host in hosts:
        subprocess.run(["truncate", "--size", "1M", tmp_path / f"{host}.img"], check=True)
    (tmp_path / "play.yml").write_text(PLAY)
    vms_of_all = source(tmp_path, sockets=[f"{root}/*/qmp.sock"], compose={"copy": "qmp_name"}, strict=True)
    run = ansible("ansible-playbook", vms_of_all, str(tmp_path / "play.yml"))
    assert run.returncode == 0, run.stdout + run.stderr
    assert "\x1b" not in run.stdout + run.stderr and "Changed: nothing" in run.stdout
    seen = json.loads((tmp_path / "seen.json").read_text())
    assert set(seen) == set(hosts)
    for host, vm in hosts.items():
        qmp_name, composed, path, found = seen[host]
        name = vm.query("query-name").get("name", "").replace("\x1b", "\\x1b")
        assert path == str(vm.qmp_socket)
        assert [qmp_name or "", composed or "", found["vm"]["name"] or ""] == [name] * 3
        assert [disk["file"] for disk in found["disks"]] == [str(tmp_path / f"{host}.img")]


@pytest.mark.newest_core
def test_two_hundred_monitors_of_which_most_hang_take_the_time_of_one(vms: dict[str, VM], silent: Path, tmp_path: Path) -> None:
    root = vms["one"].directory.parent
    path = source(tmp_path, sockets=[f"{silent}/*.sock", f"{root}/*/qmp.sock"], strict=True, compose={"label": "qmp_name"})
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(vms["one"].qmp_socket))  # QEMU serves one client
        began = time.monotonic()
        found = listed(path)
        took = time.monotonic() - began
    assert took < MOST_SECONDS, took
    variables = found["_meta"]["hostvars"]
    assert len(variables) == SILENT + len(vms)
    assert len(set(found["qmp"]["hosts"]) - set(found["qmp_error"]["hosts"])) == len(vms) - 1
    codes = [variables[name]["qmp_error"]["error_code"] for name in found["qmp_error"]["hosts"]]
    assert codes.count("monitor_busy") == SILENT * 9 // 10 + 1 and codes.count("outcome_unknown") == SILENT // 10
    assert variables["one"]["qmp_error"]["error_code"] == "monitor_busy", "its name is not known"


@pytest.mark.newest_core
def test_a_cache_answers_for_vms_that_have_ended(make_vm: Callable[..., VM], tmp_path: Path, vms: dict[str, VM]) -> None:
    vm = make_vm(boot=False, extra=("-name", TEMPLATE))
    cache = {"cache": True, "cache_plugin": "ansible.builtin.jsonfile", "cache_connection": str(tmp_path / "cache")}
    path = source(tmp_path, sockets=[str(vm.qmp_socket)], **cache)
    first = listed(path)
    assert first["_meta"]["hostvars"]["_6_7_"]["qmp_name"] == TEMPLATE
    vm.stop()
    assert listed(path) == first
    run = ansible("ansible-inventory", path, "--host", "_6_7_", "--yaml")
    assert run.returncode == 0 and "42" not in run.stdout, run.stdout
    assert "qmp_error" in listed(source(tmp_path, sockets=[str(vm.qmp_socket)]))
    other = source(tmp_path, sockets=[str(vms["one"].qmp_socket)], **cache)
    assert list(listed(other)["_meta"]["hostvars"]) == ["vm1"], "what is cached for other sockets does not count"


@pytest.mark.newest_core
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "names no monitor: set sockets"),
        ({"sockets": ["vm"], "timeout": -1}, "timeout -1.0 is not a valid time"),
        ({"addresses": [{"host": "h"}]}, "addresses[0]: missing required arguments: port"),
        ({"addresses": ["h:1"]}, "addresses[0] is not a dictionary"),
        ({"addresses": [{"host": "h", "port": 1, "password": "correct horse"}]}, "addresses[0]: password. Supported"),
        ({"sockets": ["SOCKET"], "strict": True, "compose": {"a": "no_such_variable"}}, "Could not set a for host vm1"),
    ],
    ids=["empty", "timeout", "port", "text", "unknown", "strict"],
)
def test_a_source_that_is_wrong_is_refused(vms: dict[str, VM], tmp_path: Path, options: dict[str, Any], message: str) -> None:
    if "SOCKET" in options.get("sockets", ()):
        options = {**options, "sockets": [str(vms["one"].qmp_socket)]}
        assert "vm1" in listed(source(tmp_path, **{**options, "strict": False}))["_meta"]["hostvars"]
    run = ansible("ansible-inventory", source(tmp_path, **options), "--list")
    assert run.returncode != 0
    assert message in " ".join(run.stderr.split()), run.stderr
    assert "correct horse" not in run.stdout + run.stderr
