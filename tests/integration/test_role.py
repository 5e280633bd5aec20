# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role, through the playbook of the collection that job templates point at."""

from __future__ import annotations

import json
import socket
import subprocess
from pathlib import Path
from typing import Any, Iterator

import pytest

from ansible_collections.vmops.qemu.tests.support.playbooks import Playbooks, Played
from ansible_collections.vmops.qemu.tests.support.proxy import Fault, Proxy
from ansible_collections.vmops.qemu.tests.vm.images import make_encrypted
from ansible_collections.vmops.qemu.tests.vm.machine import VM

ROLE = "vmops.qemu.hotplug"
KEEP = """
- hosts: all
  gather_facts: false
  module_defaults:
    vmops.qemu.qmp_persist: {program: "{{ program }}", unit_directory: "{{ unit_directory }}"}
  roles: [vmops.qemu.hotplug]
"""
RUNS = """
- hosts: all
  gather_facts: false
  module_defaults:
    group/vmops.qemu.qmp: {host: 127.0.0.1, port: 1}
    vmops.qemu.qmp_blockdev: {file: /nosuch}
  tasks:
    - name: A run that succeeds
      ansible.builtin.import_role: {name: vmops.qemu.hotplug}
      vars: {hotplug_socket: "{{ sockets[0] }}", hotplug_blockdevs: "{{ one }}", hotplug_misspelt: true}
    - name: A run that fails at its second kind
      block:
        - ansible.builtin.include_role: {name: vmops.qemu.hotplug}
          vars: {hotplug_socket: "{{ sockets[0] }}", hotplug_blockdevs: "{{ two }}", hotplug_netdevs: "{{ failing }}"}
      rescue:
        - ansible.builtin.debug: {msg: "second {{ ansible_failed_result.msg }}"}
    - name: A run that fails as a transaction
      block:
        - ansible.builtin.include_role: {name: vmops.qemu.hotplug}
          vars: {hotplug_socket: "{{ sockets[0] }}", hotplug_netdevs: "{{ failing }}", hotplug_strategy: transaction}
      rescue:
        - ansible.builtin.debug: {msg: "third {{ ansible_failed_result.msg }}"}
    - name: A run for each VM
      ansible.builtin.include_role: {name: vmops.qemu.hotplug}
      vars: {hotplug_socket: "{{ item.0 }}", hotplug_blockdevs: "{{ item.1 }}", hotplug_timeout: "{{ 10 + 10 }}"}
      loop: "{{ sockets | zip([two, three]) }}"
      loop_control: {label: "{{ item.0 }}"}
    - name: A run without any list
      ansible.builtin.include_role: {name: vmops.qemu.hotplug}
      vars: {hotplug_socket: "{{ sockets[1] }}"}
"""
MAC = "52:54:00:00:00:01"


def disk(name: str, size: int = 1 << 20, **options: Any) -> dict[str, Any]:
    return {"id": name, "backend": {"driver": "null-co", "size": size}, **options}


def gone(*names: str) -> list[dict[str, Any]]:
    return [{"id": name, "state": "absent"} for name in names]


def nic_that_fails(port: int) -> dict[str, Any]:
    """A NIC that only QEMU can refuse, because another process listens on the port that is forwarded to it."""
    return {"id": "net1", "type": "user", "options": {"hostfwd": f"tcp:127.0.0.1:{port}-:22"}}


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield int(listener.getsockname()[1])


def hotplug(playbooks: Playbooks, vm: VM, *arguments: str, **desired: Any) -> Played:
    variables = {f"hotplug_{name}": value for name, value in desired.items()}
    return playbooks.run(ROLE, *arguments, hotplug_socket=str(vm.qmp_socket), **variables)


def test_the_whole_workflow(playbooks: Playbooks, tmp_path: Path) -> None:
    desired = {
        "cpus": 2,
        "blockdevs": [disk("data1"), disk("data2", 2 << 20), disk("data3", 4 << 20, driver="scsi-hd")],
        "netdevs": [{"id": "net1", "type": "user", "mac": MAC}],
    }
    with VM(tmp_path / "vm") as vm:
        before = vm.hardware()
        checked = hotplug(playbooks, vm, "--check", "--diff", **desired)
        assert checked.recap["failed"] == 0 and vm.hardware() == before, checked.output
        assert "Would change: +data1, +data2, +data3, +net1, vCPUs 1 to 2" in checked.output
        for slot in ("bus: rp0", "bus: rp1", "bus: rp2", "bus: scsi0.0"):
            assert slot in checked.output, slot

        first = hotplug(playbooks, vm, **desired)
        assert first.recap["failed"] == 0 and first.recap["changed"] and checked.recap["changed"], first.output
        assert "Changed: +data1, +data2, +data3, +net1, vCPUs 1 to 2" in first.output
        vm.wait_guest(lambda guest: {one["size"] for one in guest["disks"]} == {1 << 20, 2 << 20, 4 << 20})
        vm.wait_guest(lambda guest: [nic["mac"] for nic in guest["nics"]] == [MAC] and guest["cpus"]["present"] == "0-1")

        again = hotplug(playbooks, vm, **desired)
        assert again.recap["failed"] == 0 and again.recap["changed"] == 0, again.output

        last = hotplug(playbooks, vm, cpus=1, blockdevs=gone("data1", "data2", "data3"), netdevs=gone("net1"))
        assert last.recap["failed"] == 0, last.output
        vm.wait_guest(lambda guest: guest["disks"] == guest["nics"] == [] and guest["cpus"]["present"] == "0")
        assert vm.hardware() == before


def everything(tmp_path: Path) -> dict[str, list[dict[str, Any]]]:
    """One of each kind, and things that need others: a disk its I/O thread, a port its controller."""
    return {
        "objects": [{"id": "io1", "qom_type": "iothread"}],
        "chardevs": [
            {"id": "port1", "type": "null", "driver": "virtserialport", "name": "org.test"},
            {"id": "line1", "type": "socket", "path": str(tmp_path / "line1.sock")},
        ],
        "devices": [{"id": "ctl1", "driver": "virtio-serial-pci"}, {"id": "rng1", "driver": "virtio-rng-pci"}],
        "memory": [{"id": "dimm1", "size": "128M"}],
        "blockdevs": [disk("data1", iothread="io1")],
        "netdevs": [{"id": "net1", "type": "user", "mac": MAC}],
    }


def test_every_kind_is_added_and_removed_in_the_order_of_dependencies(playbooks: Playbooks, vm: VM, tmp_path: Path) -> None:
    desired = everything(tmp_path)
    first = hotplug(playbooks, vm, **desired)
    assert first.recap["failed"] == 0, first.output
    assert "Changed: +io1, +line1, +dimm1, +ctl1, +rng1, +data1, +net1, +port1" in " ".join(first.output.split()), first.output
    again = hotplug(playbooks, vm, **desired)
    assert again.recap["failed"] == again.recap["changed"] == 0, again.output
    last = hotplug(playbooks, vm, **{kind: gone(*(one["id"] for one in specs)) for kind, specs in desired.items()})
    assert last.recap["failed"] == 0, last.output
    assert "Changed: -net1, -data1, -rng1, -dimm1, -line1, -port1, -io1, -ctl1" in " ".join(last.output.split()), last.output


def test_a_failure_rolls_back_every_kind(playbooks: Playbooks, vm: VM, tmp_path: Path, taken_port: int) -> None:
    desired = everything(tmp_path)
    desired["netdevs"] = [nic_that_fails(taken_port)]
    played = hotplug(playbooks, vm, **desired)
    assert played.recap["failed"] == 1
    assert "was rolled back: io1, line1, dimm1, ctl1, rng1, data1" in " ".join(played.output.split()), played.output


@pytest.mark.parametrize("strategy", ["modules", "transaction"])
def test_a_failure_rolls_back_the_additions_of_the_play_and_is_the_reported_error(
    playbooks: Playbooks, vm: VM, strategy: str, taken_port: int
) -> None:
    played = hotplug(
        playbooks,
        vm,
        strategy=strategy,
        blockdevs=[disk("data1"), disk("data2")],
        netdevs=[nic_that_fails(taken_port)],
    )
    shown = " ".join(played.output.split())
    assert played.recap["failed"] == 1 and "QEMU refused netdev_add: Could not set up host forwarding rule" in shown, (
        played.output
    )
    rolled_back = "was rolled back: data1, data2" if strategy == "modules" else "The changes of this run were rolled back."
    assert rolled_back in shown, played.output


def test_no_value_of_a_run_reaches_the_next_run_of_the_same_play(
    playbooks: Playbooks, vm: VM, tmp_path: Path, taken_port: int
) -> None:
    (playbooks.directory / "runs.yml").write_text(RUNS)
    disks = {name: [disk(name)] for name in ("one", "two", "three")}
    with VM(tmp_path / "vm2", boot=False) as other:
        sockets = [str(one.qmp_socket) for one in (vm, other)]
        played = playbooks.run("runs.yml", sockets=sockets, failing=[nic_that_fails(taken_port)], **disks)
        assert {"one", "two"} < set(vm.hardware()["devices"]) and "three" not in vm.hardware()["devices"], played.output
        assert "three" in other.hardware()["devices"] and "two" not in other.hardware()["devices"], played.output
    assert played.recap["failed"] == 0 and played.recap["rescued"] == 4, played.output
    shown = " ".join(played.output.split())
    second, third = shown.split("msg: 'second ")[1], shown.split("msg: 'third ")[1]
    assert "What this play added was rolled back: two." in second.split("PLAY RECAP")[0].split("third ")[0], played.output
    assert "What this play added" not in third and shown.count("hotplug_misspelt") == 1, played.output
    reports = [line.strip(" -") for line in played.output.splitlines() if "Changed: " in line]
    assert reports == ["'Changed: +one'", "'Changed: +two'", "'Changed: +three'", "'Changed: nothing'"], played.output
    assert hotplug(playbooks, vm, blockdevs=gone("one", "two")).recap["failed"] == 0


def test_what_can_be_known_to_fail_is_refused_before_anything_is_changed(playbooks: Playbooks, vm: VM) -> None:
    played = hotplug(playbooks, vm, blockdevs=[disk("data1")], netdevs=[{"id": "net1", "type": "tap", "ifname": "nosuchtap"}])
    assert played.recap["failed"] == 1 and played.recap["changed"] == 0
    assert "hotplug_netdevs[0] (net1): ifname nosuchtap does not exist" in " ".join(played.output.split()), played.output


def test_hardware_from_before_the_play_is_not_rolled_back(playbooks: Playbooks, vm: VM, taken_port: int) -> None:
    assert hotplug(playbooks, vm, blockdevs=[disk("old")]).recap["failed"] == 0
    assert hotplug(playbooks, vm, blockdevs=[disk("old"), disk("new")], netdevs=[nic_that_fails(taken_port)]).recap["failed"] == 1
    assert "old" in vm.hardware()["devices"] and "new" not in vm.hardware()["devices"]
    assert hotplug(playbooks, vm, blockdevs=gone("old")).recap["failed"] == 0


def test_a_passphrase_is_in_no_output(playbooks: Playbooks, vm: VM, tmp_path: Path) -> None:
    secret = "correct-horse-battery-staple"
    safe = {"id": "safe1", "file": str(make_encrypted(tmp_path / "a", "luks", secret)), "format": "luks", "passphrase": secret}
    played = [
        hotplug(playbooks, vm, *arguments, "-vvvv", "--diff", blockdevs=disks)
        for arguments, disks in (
            (["--check"], [safe]),
            ([], [{**safe, "passphrase": f"{secret}2"}]),
            ([], [{**safe, "fille": "x"}]),
            ([], [safe, {"id": "bad", "file": "/nosuch"}]),
            ([], [safe]),
            ([], [safe]),
            ([], gone("safe1")),
        )
    ]
    assert [one.recap["failed"] for one in played] == [0, 1, 1, 1, 0, 0, 0], [one.output for one in played if one.recap["failed"]]
    for one in played:
        lines = [line for line in one.output.splitlines() if secret in line]
        assert not lines, lines


def test_a_play_that_fails_in_check_mode_says_that_nothing_was_changed(playbooks: Playbooks, vm: VM) -> None:
    played = hotplug(playbooks, vm, "--check", blockdevs=[disk("a"), {"id": "b", "file": "relative.img"}])
    assert played.recap["failed"] == 1 and "so nothing was changed." in " ".join(played.output.split()), played.output
    assert "rolled back" not in played.output


def test_removals_of_a_failed_play_are_reported_as_not_rolled_back(playbooks: Playbooks, vm: VM, taken_port: int) -> None:
    assert hotplug(playbooks, vm, blockdevs=[disk("old")]).recap["failed"] == 0
    played = hotplug(playbooks, vm, blockdevs=gone("old"), netdevs=[nic_that_fails(taken_port)])
    assert "What it removed or changed was not rolled back: old." in " ".join(played.output.split()), played.output


def test_the_state_of_the_last_item_is_reported_as_unknown_where_the_connection_broke(
    playbooks: Playbooks, vm: VM, tmp_path: Path
) -> None:
    proxy = Proxy(tmp_path / "cut.sock", vm.qmp_socket, Fault.CUT_AFTER_REQUEST, {1}, lambda: None, clients=2)
    try:
        played = playbooks.run(ROLE, hotplug_socket=str(proxy.path), hotplug_blockdevs=[disk("lost")], hotplug_connect_timeout=2)
    finally:
        proxy.close()
    shown = " ".join(played.output.split())
    assert played.recap["failed"] == 1 and "The state of lost is unknown" in shown, played.output
    assert hotplug(playbooks, vm, blockdevs=gone("lost")).recap["failed"] == 0


@pytest.mark.parametrize(
    ("desired", "words"),
    [
        (
            {"blockdevs": [disk(name) for name in "abcde"]},
            ["hotplug_blockdevs[4] (e): All 4 buses that take a virtio-blk-pci", "-device pcie-root-port"],
        ),
        ({"blockdevs": [disk(name, attach="true") for name in "abcde"]}, ["hotplug_blockdevs[4] (e): All 4 buses"]),
        ({"cpus": 0, "blockdevs": [disk("a")]}, ["hotplug_cpus: count 0 is too few"]),
        (
            {"memory": [{"id": f"m{number}", "size": "128M"} for number in range(6)]},
            ["hotplug_memory[4] (m4): The VM has no free memory slot.", "slots="],
        ),
        (
            {"memory": [{"id": "m1", "type": "virtio-mem", "size": "128M"}], "blockdevs": [disk(name) for name in "abcd"]},
            ["hotplug_blockdevs[3] (d): All 4 buses"],
        ),
        (
            {"blockdevs": [disk(name) for name in "abcd"], "netdevs": [{"id": "net1", "type": "user"}]},
            ["hotplug_netdevs[0] (net1): All 4 buses"],
        ),
        ({"cpus": 5, "blockdevs": [disk("a")]}, ["hotplug_cpus: count 5 is more than the 4 vCPUs", "maxcpus=5"]),
        ({"cpus": "5"}, ["hotplug_cpus: count 5 is more than the 4 vCPUs"]),
        (
            {"blockdevs": [disk("a"), disk("a")]},
            ["The id a is used more than once, by hotplug_blockdevs[0] and hotplug_blockdevs[1]."],
        ),
    ],
    ids=[
        "disks",
        "disks that say so as text",
        "no vCPU",
        "DIMMs",
        "virtio-mem and disks",
        "disks and NICs",
        "vCPUs",
        "vCPUs as text",
        "an id twice",
    ],
)
def test_hardware_that_the_vm_cannot_take_is_refused_with_its_cause_before_anything_is_changed(
    playbooks: Playbooks, vm: VM, desired: dict[str, Any], words: list[str]
) -> None:
    played = hotplug(playbooks, vm, **desired)
    assert played.recap["failed"] == 1 and played.recap["changed"] == 0, played.output
    shown = " ".join(played.output.split())
    for word in [*words, "so nothing was changed"]:
        assert word in shown, played.output


def test_removals_come_first_and_free_their_slots(playbooks: Playbooks, vm: VM) -> None:
    assert hotplug(playbooks, vm, blockdevs=[disk(name) for name in "abcd"]).recap["failed"] == 0
    swapped = hotplug(playbooks, vm, blockdevs=[disk("e"), *gone("a")])
    assert swapped.recap["failed"] == 0, swapped.output
    assert "Changed: -a, +e" in swapped.output
    assert hotplug(playbooks, vm, blockdevs=gone("b", "c", "d", "e")).recap["failed"] == 0


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"hotplug_blockdevs": [{"file": "/srv/a.img"}]}, "missing required arguments: id"),
        (
            {"hotplug_blockdevs": [{"id": "a", "fille": "/srv/a.img"}]},
            "hotplug_blockdevs[0] (a): fille is not an option. Did you mean file?",
        ),
        ({"hotplug_cpus": "many"}, "hotplug_cpus is 'many'. Give a whole number."),
        (
            {"hotplug_blockdevs": "- id: a\n  file: ["},
            "hotplug_blockdevs is text that is not YAML or JSON. It breaks off at line 2",
        ),
        ({"hotplug_blockdevs": {"id": "a"}}, "hotplug_blockdevs is a dictionary, not a list."),
        (
            {"hotplug_blockdevs": [disk("a", attach="perhaps")]},
            "hotplug_blockdevs[0] (a): attach is 'perhaps'. Give true or false.",
        ),
        (
            {"hotplug_nics": [], "hotplug_cpus": 99},
            "hotplug_nics is not a variable of this role and was ignored. Did you mean hotplug_netdevs?",
        ),
    ],
    ids=[
        "no id",
        "a misspelt option",
        "not a number",
        "text that is not YAML",
        "not a list",
        "not a boolean",
        "a misspelt variable",
    ],
)
def test_wrong_variables_are_reported_by_name(playbooks: Playbooks, vm: VM, variables: dict[str, Any], words: str) -> None:
    played = playbooks.run(ROLE, hotplug_socket=str(vm.qmp_socket), **variables)
    assert played.recap["failed"] == 1 and played.recap["changed"] == 0, played.output
    assert words in " ".join(played.output.replace("''", "'").split()), played.output


def test_everything_can_be_text_as_a_survey_sends_it(playbooks: Playbooks, vm: VM) -> None:
    empty = {f"hotplug_{name}": "" for name in ("host", "port", "tls", "allow_plaintext", "connect_timeout", "devices")}
    survey = {
        **empty,
        "hotplug_memory": None,
        "hotplug_timeout": "20",
        "hotplug_cpus": "1",
        "hotplug_netdevs": '[{"id": "n1", "type": "user", "mac": "", "queues": null}]',
        "hotplug_blockdevs": """
- id: d1
  backend: {driver: null-co, size: 1048576}
  queues: "2"
  share_rw: "yes"
  limits: {iops: "100", bps: ""}
- id: d2
  backend: '{"driver": "null-co", "size": 4096}'
  attach: "false"
  bootindex: ""
""",
    }
    first = playbooks.run(ROLE, hotplug_socket=str(vm.qmp_socket), **survey)
    assert first.recap["failed"] == 0 and "Changed: +d1, +d2, +n1" in first.output, first.output
    assert {"d1", "n1"} < set(vm.hardware()["devices"]) and "d2" not in vm.hardware()["devices"]
    again = hotplug(
        playbooks,
        vm,
        netdevs=[{"id": "n1", "type": "user"}],
        blockdevs=[disk("d1", queues=2, share_rw=True, limits={"iops": 100}), disk("d2", 4096, attach=False)],
    )
    assert again.recap["failed"] == again.recap["changed"] == 0, again.output
    gone_text = "[{id: d1, state: absent}, {id: d2, state: absent}]"
    assert hotplug(playbooks, vm, blockdevs=gone_text, netdevs=gone("n1")).recap["failed"] == 0


def test_a_misspelt_variable_is_warned_of_in_the_report(playbooks: Playbooks, vm: VM) -> None:
    played = playbooks.run(ROLE, hotplug_socket=str(vm.qmp_socket), hotplug_disks=[disk("a")], hotplug_cpu=2)
    shown = " ".join(played.output.split())
    assert played.recap["failed"] == 0 and "Changed: nothing" in shown, played.output
    assert "Warning: hotplug_cpu is not a variable of this role and was ignored. Did you mean hotplug_cpus?" in shown
    assert "hotplug_disks is not a variable of this role and was ignored. Did you mean hotplug_blockdevs?" in shown


def test_text_that_looks_like_a_template_is_not_run(playbooks: Playbooks, vm: VM, tmp_path: Path) -> None:
    """A survey's answers come marked as unsafe; they stay so on their way through the role, in messages too."""
    template = f"{{{{ lookup('pipe', 'touch {tmp_path}/ran') }}}}"
    (tmp_path / "survey.yml").write_text(
        f'hotplug_blockdevs: !unsafe |\n  - id: x\n    file: "/nosuch/{template}"\nhotplug_misspelt: !unsafe "{template}"\n'
    )
    played = hotplug(playbooks, vm, "-e", "@survey.yml")
    assert played.recap["failed"] == 1 and "/nosuch/{{" in played.output, played.output
    assert not (tmp_path / "ran").exists()


def test_vcpus_are_added_last_so_that_a_failure_before_adds_none(playbooks: Playbooks, vm: VM, taken_port: int) -> None:
    played = hotplug(playbooks, vm, cpus=2, blockdevs=[disk("data1")], netdevs=[nic_that_fails(taken_port)])
    assert "What this play added was rolled back: data1." in " ".join(played.output.split()), played.output
    assert vm.hardware()["cpus"] == 1


def test_a_run_without_changes_is_short(playbooks: Playbooks, vm: VM) -> None:
    desired = {"blockdevs": [disk("data1"), disk("data2")], "netdevs": [{"id": "net1", "type": "user"}]}
    assert hotplug(playbooks, vm, **desired).recap["failed"] == 0
    again = hotplug(playbooks, vm, **desired)
    assert again.recap["changed"] == 0 and len(again.output.splitlines()) < 65, again.output
    assert hotplug(playbooks, vm, blockdevs=gone("data1", "data2"), netdevs=gone("net1")).recap["failed"] == 0


def test_a_list_can_be_long(playbooks: Playbooks, tmp_path: Path) -> None:
    names = [f"d{number}" for number in range(32)]
    with VM(tmp_path / "vm", boot=False) as vm:
        disks = [disk(name, driver="scsi-hd") for name in names]
        checked = hotplug(playbooks, vm, "--check", blockdevs=disks)
        first = hotplug(playbooks, vm, blockdevs=disks)
        assert checked.recap["failed"] == first.recap["failed"] == 0, checked.output + first.output
        assert set(names) < set(vm.hardware()["devices"])
        planned, done = ([one.output.count(f'"scsi-id": {number},') for number in range(32)] for one in (checked, first))
        assert planned == done == [1] * 32, first.output


def test_hardware_that_is_kept_is_plugged_again_after_qemu_was_killed(playbooks: Playbooks, tmp_path: Path) -> None:
    places = ["-e", json.dumps({"program": f"{tmp_path}/lib/hotplug.pyz", "unit_directory": f"{tmp_path}/units"})]
    play = playbooks.directory / "keep.yml"
    play.write_text(KEEP)
    kept = tmp_path / "vm1.json"
    vm = VM(tmp_path / "vm", boot=False)
    desired: dict[str, Any] = {
        "hotplug_socket": str(vm.qmp_socket),
        "hotplug_persist": str(kept),
        "hotplug_cpus": "2",
        "hotplug_blockdevs": [disk("data1")],
    }
    with vm:
        secret = {**desired, "hotplug_objects": [{"id": "s1", "qom_type": "secret", "secret": "correct-horse"}]}
        refused = playbooks.run("keep.yml", *places, **secret)
        assert refused.recap["failed"] == 1 and "hotplug_objects[0].secret is a secret" in " ".join(refused.output.split())
        assert "correct-horse" not in refused.output and "data1" not in vm.hardware()["devices"]
        checked = playbooks.run("keep.yml", "--check", *places, **desired)
        assert checked.recap["changed"] and not kept.exists(), checked.output
        first = playbooks.run("keep.yml", *places, **desired)
        assert first.recap["failed"] == 0 and "vmops-qemu-hotplug@vm1.service" in first.output, first.output
        vm.stop()
        vm.start()
        subprocess.run([f"{tmp_path}/lib/hotplug.pyz", kept], check=True)
        again = playbooks.run("keep.yml", *places, **desired)
        assert again.recap["failed"] == again.recap["changed"] == 0, again.output
