# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rulebook of the collection as docs/eda.md shows it: ansible-rulebook lets a real VM heal itself."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import Iterator

import pytest
import yaml

from ansible_collections.vmops.qemu.plugins.module_utils.qmp import UnixAddress
from ansible_collections.vmops.qemu.tests.eda.rulebook import Rulebook
from ansible_collections.vmops.qemu.tests.support.scripted_monitor import ScriptedMonitor, event, expect, hang_up, send
from ansible_collections.vmops.qemu.tests.vm.machine import VM

COLLECTION = Path(__file__).parents[2]
PAGE = (COLLECTION / "docs/eda.md").read_text(encoding="utf-8")
RULEBOOK = (COLLECTION / "extensions/eda/rulebooks/heal.yml").read_text(encoding="utf-8")
BLOCKS: list[tuple[str, str]] = re.findall(r"```(yaml|console)\n(.*?)```", PAGE, re.DOTALL)
MiB = 1 << 20
PVPANIC_PORT = 0x505


@pytest.fixture
def small_storage(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    path = tmp_path / "small"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", path], check=True)
    yield path
    subprocess.run(["umount", path], check=True)


def disk(name: str, path: Path, bus: str) -> list[str]:
    """Arguments of a virtio disk with a raw image of 16 MiB."""
    with path.open("wb") as image:
        image.truncate(16 * MiB)
    node = f"driver=raw,node-name={name},file.driver=file,file.filename={path}"
    return ["-blockdev", node, "-device", f"virtio-blk-pci,id={name},drive={name},bus={bus}"]


def block(start: str) -> str:
    """The part of the page that begins with *start*."""
    return next(text for _language, text in BLOCKS if text.startswith(start))


def refusal(name: str, device: str) -> str:
    return f"{name}: the guest refused to release {device}, which is still there."


def test_the_page_shows_the_rules_of_the_rulebook() -> None:
    shown = "".join(text for language, text in BLOCKS if language == "yaml" and text.startswith("    - name: "))
    names = [rule["name"] for rule in yaml.safe_load(RULEBOOK)[0]["rules"]]
    assert [rule["name"] for rule in yaml.safe_load(shown)] == names
    for rule in re.split(r"\n*(?=    - name: )", shown.strip("\n"))[1:]:
        assert rule in RULEBOOK


def test_a_vm_heals_itself(tmp_path: Path, small_storage: Path) -> None:
    vm = VM(
        tmp_path / "vm",
        extra=(
            *("-qmp", f"unix:{tmp_path}/vm/events.sock,server=on,wait=off"),
            *disk("data1", tmp_path / "data1.raw", "rp0"),
            *disk("full1", small_storage / "full1.raw", "rp1"),
            *("-device", "pvpanic", "-action", "panic=pause"),
        ),
    )
    (tmp_path / "vm").mkdir()
    pid = vm.directory / "pid"
    start = f"setsid {shlex.join(vm.command_line())} </dev/null >/dev/null 2>&1 &\necho $! > {pid}.new && mv {pid}.new {pid}\n"
    (tmp_path / "start").write_text(start)
    # QEMU for x86 does not send this event for anything that a guest does
    kept = event("DEVICE_UNPLUG_GUEST_ERROR", {"device": "rp2", "path": "/machine/peripheral/rp2"})
    other = ScriptedMonitor(
        [
            expect("qom-list-types", {"implements": "monitor-qmp"}, reply=[]),
            expect("query-status", reply={"status": "running"}),
            expect("query-uuid", reply={"UUID": "00000000-0000-0000-0000-000000000002"}),
            send(kept),
            hang_up(),
        ]
    )
    assert isinstance(other.address, UnixAddress)
    inventory, variables = (
        yaml.safe_load(block(first).replace("/run/vm1", str(vm.directory)).replace("/srv/vm1", str(tmp_path)))
        for first in ("all:", "qmp_monitors:")
    )
    inventory["all"]["hosts"]["other"] = {"qmp_socket": str(vm.qmp_socket)}
    variables["qmp_monitors"].append({"name": "other", "socket": other.address.path})
    (tmp_path / "inventory.yml").write_text(yaml.safe_dump(inventory))
    (tmp_path / "variables.yml").write_text(yaml.safe_dump(variables))
    words = shlex.split(block("# ansible-rulebook"))[2:]
    with vm, other, Rulebook(tmp_path, *words) as rulebook:
        rulebook.wait(lambda: rulebook.output.count("'event': 'qmp_gap'") == 2)
        rulebook.wait(lambda: refusal("other", "rp2") in rulebook.output)

        vm.query("block-set-write-threshold", node_name="data1", write_threshold=12 * MiB)
        vm.guest("dd if=/dev/zero of=/dev/vda bs=1M seek=13 count=1 conv=fsync")
        rulebook.wait(lambda: any(disk["size"] == 20 * MiB for disk in vm.report()["disks"]))

        vm.guest("(dd if=/dev/zero of=/dev/vdb bs=1M count=8 conv=fsync; echo $? > /written) >/dev/null 2>&1 &")
        rulebook.wait(lambda: bool(vm.query("query-status")["status"] == "io-error"))
        rulebook.wait(lambda: bool(vm.query("query-status")["status"] == "running"))
        vm.wait_command('test "$(cat /written)" = 0')

        vm.guest("echo online_kernel > /sys/devices/system/memory/auto_online_blocks")
        vm.query("object-add", qom_type="memory-backend-ram", id="m1.mem", size=128 * MiB)
        vm.query("device_add", driver="pc-dimm", id="m1", memdev="m1.mem")
        vm.wait_command("for n in $(seq 300); do mkdir -p /dev/d$n; done")
        vm.query("device_del", id="m1")
        rulebook.wait(lambda: refusal("vm1", "m1") in rulebook.output)

        vm.query("human-monitor-command", command_line=f"o /b {PVPANIC_PORT} 1")  # as the guest's driver does
        rulebook.wait(lambda: any(path.stat().st_size > 256 * MiB for path in tmp_path.glob("vm1-*.elf")))
        rulebook.wait(lambda: rulebook.output.count("failed=0") == 5)

        before = vm.pid
        vm.query("cont")
        vm.guest("(sleep 0.2; poweroff -f) &")
        rulebook.wait(lambda: vm.pid != before)
        rulebook.wait(lambda: "'reason': 'reconnect'" in rulebook.output and rulebook.output.count("failed=0") == 6)
        assert vm.query("query-status")["running"] is True
        assert "failed=1" not in rulebook.output and " - ERROR - " not in rulebook.output, rulebook.output
