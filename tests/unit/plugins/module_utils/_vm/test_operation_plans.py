# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans of the operations, over a recorded VM, and over the same VM with another status."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Callable

import pytest
import yaml

from ansible_collections.vmops.qemu.plugins.module_utils._vm.capacity import capacity
from ansible_collections.vmops.qemu.plugins.module_utils._vm.devices import generic
from ansible_collections.vmops.qemu.plugins.module_utils._vm.errors import (
    Conflict,
    HardwareError,
    InvalidOption,
    JobFailed,
    Unsupported,
)
from ansible_collections.vmops.qemu.plugins.module_utils._vm.facts import SUBSETS
from ansible_collections.vmops.qemu.plugins.module_utils._vm.model.hardware import Hardware
from ansible_collections.vmops.qemu.plugins.module_utils._vm.operations import power
from ansible_collections.vmops.qemu.plugins.module_utils._vm.operations.block_job import plans as block_job
from ansible_collections.vmops.qemu.plugins.module_utils.qmp import Request
from ansible_collections.vmops.qemu.tests.support import recordings
from ansible_collections.vmops.qemu.tests.support.recordings import Recording, key, plan

VM = Callable[..., Hardware]

RECORDED = "operations"


@pytest.fixture
def vm(recording: Recording) -> VM:
    """The recorded VM, in which the replies to some queries are others: ``vm(query_status={...})``."""

    def make(**replies: Any) -> Hardware:
        recorded = recordings.Recorded(recording)
        for command, value in replies.items():
            recorded.answers[key(Request(command.replace("_", "-"), None))] = {"return": value}
        monitor: Any = recorded
        return Hardware(monitor)

    return make


def sent(hardware: Hardware, module: str, **options: Any) -> list[str]:
    """The commands that a task would send."""
    return [command["execute"] for command in plan(hardware, module, **options).commands()]


def refused(error: type[HardwareError], words: str, hardware: Hardware, module: str, **options: Any) -> None:
    with pytest.raises(error, match=words):
        plan(hardware, module, **options)


# power


def status(name: str, running: bool = False) -> dict[str, Any]:
    return {"query_status": {"status": name, "running": running, "singlestep": False}}


def test_a_vm_that_has_not_started_is_run(hardware: Hardware) -> None:
    started = plan(hardware, "qmp_power", state="running")
    assert started.commands() == [{"execute": "cont"}]
    assert (started.before, started.after) == ({"status": "prelaunch"}, {"status": "running"})
    assert sent(hardware, "qmp_power", state="paused") == []
    assert power.describe(hardware) == {"status": "prelaunch"}


@pytest.mark.parametrize(
    ("now", "running", "state", "commands", "after"),
    [
        ("running", True, "running", [], "running"),
        ("running", True, "paused", ["stop"], "paused"),
        ("running", True, "wakeup", [], "running"),
        ("running", True, "reset", ["system_reset"], "running"),
        ("running", True, "shutdown", ["system_powerdown"], "shutdown"),
        ("running", True, "quit", ["quit"], "shutdown"),
        ("paused", False, "running", ["cont"], "running"),
        ("paused", False, "reset", ["system_reset"], "paused"),
        ("io-error", False, "running", ["cont"], "running"),
        ("suspended", False, "running", ["system_wakeup"], "running"),
        ("suspended", False, "wakeup", ["system_wakeup"], "running"),
        ("suspended", False, "paused", ["stop"], "paused"),
        ("suspended", False, "shutdown", ["system_wakeup", "system_powerdown"], "shutdown"),
        ("shutdown", False, "shutdown", [], "shutdown"),
    ],
)
def test_each_state_is_reached_by_its_commands(
    vm: VM, now: str, running: bool, state: str, commands: list[str], after: str
) -> None:
    planned = plan(vm(**status(now, running)), "qmp_power", state=state)
    assert [command["execute"] for command in planned.commands()] == commands
    assert planned.after == {"status": after} and planned.before == {"status": now}


@pytest.mark.parametrize(
    ("now", "state", "words"),
    [
        ("guest-panicked", "running", "Set state: reset"),
        ("shutdown", "running", "Set state: reset"),
        ("postmigrate", "running", "migrated to another host"),
        ("postmigrate", "reset", "migrated to another host"),
        ("postmigrate", "shutdown", "force: true"),
        ("inmigrate", "running", "qmp_migrate"),
        ("inmigrate", "shutdown", "not arrived"),
        ("finish-migrate", "running", "Complete or cancel"),
        ("paused", "shutdown", "state: running first"),
    ],
)
def test_a_state_that_the_guest_cannot_reach_is_refused(vm: VM, now: str, state: str, words: str) -> None:
    refused(Unsupported, words, vm(**status(now)), "qmp_power", state=state)


@pytest.mark.parametrize("now", ["postmigrate", "inmigrate", "paused"])
def test_force_ends_a_guest_that_does_not_run(vm: VM, now: str) -> None:
    assert sent(vm(**status(now)), "qmp_power", state="shutdown", force=True) == ["quit"]


def test_force_runs_a_guest_that_has_migrated_away(vm: VM) -> None:
    assert sent(vm(**status("postmigrate")), "qmp_power", state="running", force=True) == ["cont"]
    reset = plan(vm(**status("postmigrate")), "qmp_power", state="reset", force=True)
    assert reset.after == {"status": "prelaunch"}


def test_a_vm_that_was_reset_after_its_guest_has_left_is_still_postmigrate(vm: VM) -> None:
    left = vm(**status("prelaunch"), query_migrate={"status": "completed", "total-time": 1})
    assert power.has_left(left)
    arrived = vm(**status("prelaunch"), query_migrate={"status": "completed"})
    assert not power.has_left(arrived)


def test_a_shutdown_without_wait_only_presses_the_button(vm: VM) -> None:
    spec = power.PowerSpec("shutdown", wait=False)
    assert power.preview(vm(**status("running", True)), spec) == {"vm": {"status": "running"}, "status": "shutdown_requested"}
    assert power.preview(vm(**status("shutdown")), spec) == {"vm": {"status": "shutdown"}}
    refused(InvalidOption, "Set only one", vm(), "qmp_power", state="shutdown", wait=False, force=True)


# migration


def test_a_migration_sets_what_differs_and_starts(hardware: Hardware) -> None:
    started = plan(
        hardware, "qmp_migrate", uri="tcp:h:1", capabilities={"xbzrle": True}, parameters={"max-bandwidth": "200M"}, wait=False
    )
    capabilities, parameters, migrate = started.commands()
    assert capabilities["arguments"] == {"capabilities": [{"capability": "xbzrle", "state": True}]}
    assert parameters["arguments"] == {"max-bandwidth": 200 << 20} and migrate["arguments"] == {"uri": "tcp:h:1"}
    assert started.after and started.after["status"] == "active" and started.after["capabilities"]["xbzrle"] is True
    assert started.unverified == ()
    undone = [undo.commands()[0]["arguments"] for undo in (step.undo() for step in started.steps) if undo]
    assert undone[0] == {"capabilities": [{"capability": "xbzrle", "state": False}]} and "max-bandwidth" in undone[1]
    assert sent(hardware, "qmp_migrate", state="status", capabilities={"xbzrle": False}) == []
    assert sent(hardware, "qmp_migrate", state="cancelled") == []


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({}, InvalidOption, "set uri or channels"),
        ({"uri": "x", "capabilities": {"xbzrel": True}}, InvalidOption, "'xbzrle'"),
        ({"uri": "x", "parameters": {"nosuch": 1}}, InvalidOption, "no migration parameter"),
        ({"state": "incoming", "uri": "x"}, Unsupported, "-incoming defer"),
        ({"state": "postcopy"}, Unsupported, "no active migration"),
    ],
)
def test_migrations_that_cannot_be(hardware: Hardware, options: dict[str, Any], error: type[HardwareError], words: str) -> None:
    refused(error, words, hardware, "qmp_migrate", **options)


def test_channels_need_a_qemu_that_has_them(hardware: Hardware, recording: Recording) -> None:
    channels = [{"channel-type": "main", "addr": {"transport": "socket", "type": "unix", "path": "/x"}}]
    if recording.qemu == "7.2":
        refused(Unsupported, "Set uri", hardware, "qmp_migrate", channels=channels)
    else:
        assert plan(hardware, "qmp_migrate", channels=channels).commands()[0]["arguments"] == {"channels": channels}


RUNNING = status("running", True)


@pytest.mark.parametrize(
    ("replies", "options", "commands", "after"),
    [
        ({**RUNNING, "query_migrate": {"status": "active"}}, {"uri": "x"}, [], "completed"),
        ({**RUNNING, "query_migrate": {"status": "active"}}, {"uri": "x", "wait": False}, [], "active"),
        ({**RUNNING, "query_migrate": {"status": "pre-switchover"}}, {"uri": "x"}, ["migrate-continue"], "completed"),
        ({**RUNNING, "query_migrate": {"status": "active"}}, {"state": "cancelled"}, ["migrate_cancel"], "cancelled"),
        ({**RUNNING, "query_migrate": {"status": "postcopy-active"}}, {"state": "postcopy"}, [], "completed"),
        ({**status("postmigrate"), "query_migrate": {"status": "completed"}}, {"uri": "x"}, [], "completed"),
        ({**status("postmigrate"), "query_migrate": {"status": "completed"}}, {"state": "postcopy"}, [], "completed"),
        (
            {**status("postmigrate"), "query_migrate": {"status": "completed"}},
            {"uri": "x", "force": True},
            ["cont", "migrate"],
            "completed",
        ),
        ({**RUNNING, "query_migrate": {"status": "completed"}}, {"state": "incoming", "uri": "x"}, [], "completed"),
        ({**status("inmigrate"), "query_migrate": {}}, {"state": "incoming", "uri": "x"}, ["migrate-incoming"], "setup"),
        (
            {**status("inmigrate"), "query_migrate": {"socket-address": [{"type": "unix", "path": "/x"}]}},
            {"state": "incoming", "uri": "unix:/x"},
            [],
            "setup",
        ),
    ],
)
def test_what_a_migration_task_does_depends_on_the_status(
    vm: VM, replies: dict[str, Any], options: dict[str, Any], commands: list[str], after: str
) -> None:
    planned = plan(vm(**replies), "qmp_migrate", **options)
    assert [command["execute"] for command in planned.commands()] == commands
    assert planned.after and planned.after["status"] == after
    starts = {"migrate", "migrate-incoming", "migrate-continue"} & {*commands}
    assert planned.unverified == (("uri",) if "uri" in options and not starts else ())


def test_postcopy_starts_only_with_its_capability(vm: VM) -> None:
    active = {**RUNNING, "query_migrate": {"status": "active"}}
    refused(Unsupported, "postcopy-ram", vm(**active), "qmp_migrate", state="postcopy")
    able = vm(**active, query_migrate_capabilities=[{"capability": "postcopy-ram", "state": True}])
    planned = plan(able, "qmp_migrate", state="postcopy", wait=False)
    assert planned.commands() == [{"execute": "migrate-start-postcopy"}]
    assert planned.after and planned.after["status"] == "postcopy-active"


@pytest.mark.parametrize(
    ("replies", "options", "error", "words"),
    [
        (status("inmigrate"), {"uri": "x"}, Unsupported, "has no guest to send"),
        (status("inmigrate"), {"state": "cancelled"}, Unsupported, "where it comes from"),
        ({**RUNNING, "query_migrate": {"status": "cancelling"}}, {"uri": "x"}, Conflict, "is being cancelled"),
        (
            {**RUNNING, "query_migrate": {"status": "active"}},
            {"uri": "x", "capabilities": {"xbzrle": True}},
            Conflict,
            "cannot be changed while",
        ),
        ({**RUNNING, "query_migrate": {"status": "postcopy-active"}}, {"state": "cancelled"}, Unsupported, "already runs"),
        (
            {**status("inmigrate"), "query_migrate": {"socket-address": [{"type": "unix", "path": "/y"}]}},
            {"state": "incoming", "uri": "unix:/x"},
            Conflict,
            "already listens at unix:/y",
        ),
        (
            {**status("inmigrate"), "query_migrate": {"status": "setup"}},
            {"state": "incoming", "uri": "tcp:0:1"},
            Unsupported,
            "accepts no second one",
        ),
    ],
)
def test_migrations_that_another_status_prevents(
    vm: VM, replies: dict[str, Any], options: dict[str, Any], error: type[HardwareError], words: str
) -> None:
    refused(error, words, vm(**replies), "qmp_migrate", **options)


# block jobs


def test_a_snapshot_adds_an_image_once(hardware: Hardware) -> None:
    taken = plan(hardware, "qmp_block_job", id="snap2", type="snapshot", disk="d0", file="/srv/vm/snap2")
    assert taken.commands()[0]["arguments"] == {
        "node-name": "snap1",
        "snapshot-file": "/srv/vm/snap2",
        "format": "qcow2",
        "snapshot-node-name": "snap2",
    }
    assert taken.doubts == ()
    again = plan(hardware, "qmp_block_job", id="snap1", type="snapshot", disk="d0", file="/srv/vm/snap1")
    assert again.steps == () and again.after == {"id": "snap1", "type": "snapshot", "status": "concluded"}


def test_a_snapshot_overwrites_no_file(hardware: Hardware, tmp_path: Path) -> None:
    file = tmp_path / "mine"
    file.write_text("mine")
    options = {"id": "s2", "type": "snapshot", "disk": "d0", "file": str(file)}
    refused(InvalidOption, "would be overwritten", hardware, "qmp_block_job", **options)
    taken = plan(hardware, "qmp_block_job", **options, options={"mode": "existing"})
    assert taken.commands()[0]["arguments"]["mode"] == "existing"


def test_a_commit_ends_at_the_image_of_the_disk(hardware: Hardware) -> None:
    committed = plan(hardware, "qmp_block_job", id="j1", type="commit", disk="d0", speed="1M")
    start, *rest = committed.commands()
    assert start == {
        "execute": "block-commit",
        "arguments": {"job-id": "j1", "device": "snap1", "auto-dismiss": False, "base-node": "d0", "speed": 1 << 20},
    }
    assert [command["execute"] for command in rest] == ["job-complete", "job-dismiss"]
    assert plan(hardware, "qmp_block_job", id="j1", type="commit", disk="d1").steps == ()
    by_node = plan(hardware, "qmp_block_job", id="j1", type="commit", disk="snap1")
    assert by_node.commands()[0]["arguments"]["base-node"] == "d0"


def test_a_stream_flushes_and_is_dismissed_by_qemu(hardware: Hardware) -> None:
    streamed = plan(hardware, "qmp_block_job", id="j1", type="stream", disk="d0")
    assert [command["execute"] for command in streamed.commands()] == ["block-stream", "human-monitor-command", "job-finalize"]
    assert 'qemu-io -d d0 "flush"' in streamed.commands()[1]["arguments"]["command-line"]
    assert plan(hardware, "qmp_block_job", id="j1", type="stream", disk="d0", base="d0").steps == ()


def test_a_backup_is_made_each_time_and_a_mirror_warns_of_the_old_node(hardware: Hardware) -> None:
    backup = {"id": "j1", "type": "backup", "disk": "d0", "target": "target1", "state": "started"}
    assert sent(hardware, "qmp_block_job", **backup) == ["blockdev-backup"]
    mirrored = plan(hardware, "qmp_block_job", **{**backup, "type": "mirror", "state": "completed"})
    assert [command["execute"] for command in mirrored.commands()] == ["blockdev-mirror", "job-complete", "job-dismiss"]
    assert "target1" in mirrored.warnings[0]
    held = plan(hardware, "qmp_block_job", **{**backup, "state": "completed"}, options={"auto-finalize": False})
    assert [command["execute"] for command in held.commands()] == ["blockdev-backup", "job-finalize", "job-dismiss"]
    ready = plan(hardware, "qmp_block_job", **{**backup, "type": "mirror", "state": "ready"})
    assert [command["execute"] for command in ready.commands()] == ["blockdev-mirror"] and len(ready.steps) == 2


def test_a_job_that_runs_is_followed_and_cancelled(hardware: Hardware) -> None:
    assert [job["id"] for job in block_job.describe_all(hardware)] == ["m1"]
    running = plan(hardware, "qmp_block_job", id="m1", type="mirror", disk="d1", target="target2")
    assert [command["execute"] for command in running.commands()] == ["job-complete", "job-dismiss"]
    assert running.before and running.before["status"] == "ready"
    assert (
        sent(hardware, "qmp_block_job", id="m1", state="ready") == sent(hardware, "qmp_block_job", id="m1", state="started") == []
    )
    assert sent(hardware, "qmp_block_job", id="m1", state="cancelled") == ["job-cancel", "job-dismiss"]
    assert sent(hardware, "qmp_block_job", id="nosuch", state="cancelled") == []
    refused(Conflict, "another target", hardware, "qmp_block_job", id="m1", type="mirror", disk="d1", target="target1")
    refused(Conflict, "is a mirror, not a backup", hardware, "qmp_block_job", id="m1", type="backup", disk="d1", target="target1")


@pytest.mark.parametrize(
    ("job", "state", "commands"),
    [
        ({"type": "backup", "status": "concluded"}, "started", ["job-dismiss"]),
        ({"type": "backup", "status": "concluded"}, "cancelled", ["job-dismiss"]),
        ({"type": "backup", "status": "pending"}, "completed", ["job-finalize", "job-dismiss"]),
        ({"type": "backup", "status": "running"}, "completed", ["job-dismiss"]),
        ({"type": "backup", "status": "pending"}, "ready", []),
    ],
)
def test_what_is_left_to_do_of_a_job(vm: VM, job: dict[str, Any], state: str, commands: list[str]) -> None:
    jobs = [{"id": "b1", "current-progress": 1, "total-progress": 2, **job}]
    assert sent(vm(query_jobs=jobs), "qmp_block_job", id="b1", state=state) == commands


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({}, InvalidOption, "Set type and disk"),
        ({"type": "mirror", "target": "target1"}, InvalidOption, "needs disk"),
        ({"type": "mirror", "disk": "nosuch", "target": "target1"}, InvalidOption, "neither a disk nor"),
        ({"type": "backup", "disk": "d0"}, InvalidOption, "needs target"),
        ({"type": "backup", "disk": "d0", "target": "nosuch"}, InvalidOption, "attach: false"),
        ({"type": "backup", "disk": "d0", "target": "d0"}, InvalidOption, "belongs to the disk"),
        ({"type": "backup", "disk": "d0", "target": "d1"}, Conflict, "is used by"),
        ({"type": "backup", "disk": "d0", "target": "fixed"}, InvalidOption, "read-only"),
        ({"type": "backup", "disk": "d0", "target": "small"}, InvalidOption, "as large as"),
        ({"type": "backup", "disk": "d0", "target": "target1", "options": {"device": "x"}}, InvalidOption, "sets itself"),
        ({"type": "mirror", "disk": "d0", "target": "target1", "sync": "none"}, InvalidOption, "cannot replace the disk"),
        ({"type": "mirror", "disk": "d0", "target": "target1", "sync": "top"}, InvalidOption, "overlay"),
        ({"type": "commit", "disk": "d0", "base": "nosuch"}, InvalidOption, "not a block node"),
        ({"type": "snapshot", "disk": "d0"}, InvalidOption, "absolute path"),
        ({"type": "snapshot", "disk": "d0", "file": "relative"}, InvalidOption, "absolute path"),
        ({"id": "target1", "type": "snapshot", "disk": "d0", "file": "/x"}, Conflict, "does not belong"),
    ],
)
def test_block_jobs_that_cannot_be(hardware: Hardware, options: dict[str, Any], error: type[HardwareError], words: str) -> None:
    refused(error, words, hardware, "qmp_block_job", **{"id": "j1", **options})


def test_what_qemu_will_reject_is_a_doubt(hardware: Hardware) -> None:
    doubts = plan(hardware, "qmp_block_job", id="j1", type="commit", disk="d0", state="started", base="target1").doubts
    assert isinstance(doubts[0], JobFailed) and "Set one of: snap1, d0" in str(doubts[0])


# dump, balloon


def test_a_dump_is_written_in_the_background(hardware: Hardware, tmp_path: Path) -> None:
    file = str(tmp_path / "dump")
    written = plan(hardware, "qmp_dump", path=file, begin="0x0", length="4K", format="elf")
    assert written.commands()[0]["arguments"] == {
        "protocol": f"file:{file}",
        "paging": False,
        "detach": True,
        "format": "elf",
        "begin": 0,
        "length": 4096,
    }
    assert written.after == {"status": "completed", "format": "elf", "file": file} and written.doubts == ()
    by_name = plan(hardware, "qmp_dump", protocol="fd:x").after
    assert by_name and by_name["file"] is None
    assert "does not have the directory" in str(plan(hardware, "qmp_dump", path="/nosuch/dump").doubts[0])
    assert "not supported" in str(plan(hardware, "qmp_dump", protocol="tcp:x").doubts[0])


def test_a_compressed_dump_has_all_memory(hardware: Hardware) -> None:
    for options, named in (({"paging": True}, "paging"), ({"begin": "0", "length": "1"}, "begin and length")):
        doubts = plan(hardware, "qmp_dump", protocol="fd:x", format="kdump-zlib", **options).doubts
        assert f"sets {named}" in str(doubts[0])


def test_dumps_that_cannot_be(hardware: Hardware, vm: VM, tmp_path: Path) -> None:
    file = tmp_path / "dump"
    file.write_text("mine")
    refused(Conflict, "would overwrite", hardware, "qmp_dump", path=str(file))
    assert sent(hardware, "qmp_dump", path=str(file), force=True) == ["dump-guest-memory"]
    refused(InvalidOption, "Set one of elf", hardware, "qmp_dump", path="/x", format="efl")
    refused(InvalidOption, "absolute path", hardware, "qmp_dump", protocol="file:x")
    refused(InvalidOption, "length 0 is not valid", hardware, "qmp_dump", path="/x", begin="0", length="0")
    active = {"status": "active", "completed": 1, "total": 2}
    refused(Conflict, "being written .1 of 2", vm(query_dump=active), "qmp_dump", path="/x")


def test_a_named_pipe_is_not_dumped_to(hardware: Hardware, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    refused(InvalidOption, "named pipe", hardware, "qmp_dump", path=str(tmp_path / "pipe"))


def test_a_balloon_is_inflated_by_whole_pages(hardware: Hardware) -> None:
    inflated = plan(hardware, "qmp_balloon", size="128M")
    assert inflated.commands() == [{"execute": "balloon", "arguments": {"value": 128 << 20}}]
    assert plan(hardware, "qmp_balloon", size=str((128 << 20) - 1)).after == {"actual": 128 << 20}
    assert plan(hardware, "qmp_balloon", size=str((inflated.before or {})["actual"])).steps == ()
    refused(InvalidOption, "Set a size from 1 to", hardware, "qmp_balloon", size="1T")
    refused(InvalidOption, "is not a size", hardware, "qmp_balloon", size="much")


def test_a_vm_without_a_balloon_says_how_to_add_one(recording: Recording) -> None:
    bare = recordings.Recorded(recording)
    bare.answers[key(Request("query-balloon", None))] = {"error": ["DeviceNotActive", "No balloon device has been activated"]}
    monitor: Any = bare
    refused(Unsupported, "driver: virtio-balloon-pci", Hardware(monitor), "qmp_balloon", size="1M")


# QOM, commands


def test_a_property_is_set_if_it_differs(hardware: Hardware) -> None:
    value = {"path": "/objects/io1", "property": "poll-max-ns"}
    changed = plan(hardware, "qmp_qom", **value, value="1000")
    assert changed.commands() == [{"execute": "qom-set", "arguments": {**value, "value": 1000}}]
    undo = changed.steps[0].undo()
    assert undo and undo.commands()[0]["arguments"]["value"] == 32768
    assert plan(hardware, "qmp_qom", **value, value=32768).steps == ()
    assert plan(hardware, "qmp_qom", path="/objects/io1").steps == ()


def test_properties_are_read(recording: Recording) -> None:
    one = recordings.check(recording, "qmp_qom", path="/objects/io1", property="poll-max-ns")["qom"]
    assert one == {"path": "/objects/io1", "property": "poll-max-ns", "type": "int", "value": 32768}
    every = recordings.check(recording, "qmp_qom", path="/objects/sec0")["qom"]["properties"]
    assert every["data"]["value"] is None and every["type"]["value"] == "secret"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"path": "/nosuch", "property": "x", "value": 1}, "not an object of the VM"),
        ({"path": "/objects/io1", "property": "poll-max-n", "value": 1}, "'poll-max-ns'"),
        ({"path": "/objects/sec0", "property": "data", "value": "x"}, "contains a secret"),
    ],
)
def test_properties_that_cannot_be_set(hardware: Hardware, options: dict[str, Any], words: str) -> None:
    refused(InvalidOption, words, hardware, "qmp_qom", **options)


def test_commands_are_checked_and_sent_in_order(recording: Recording) -> None:
    commands = [
        {"execute": "query-status"},
        {"execute": "stop"},
        {"execute": "qom-list-get", "arguments": {"paths": ["/objects"]}},
    ]
    result = recordings.check(recording, "qmp_command", commands=commands[:2])
    assert result["changed"] and [one["execute"] for one in result["commands"]] == ["query-status", "stop"]
    assert result["replies"][0]["status"] == "prelaunch" and result["replies"][1] is None
    assert not recordings.check(recording, "qmp_command", execute="query-status")["changed"]
    assert recordings.check(recording, "qmp_command", execute="query-status", changed=True)["changed"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"commands": [{"run": "stop"}]}, "write it as"),
        ({"commands": [{"execute": "stop", "arguments": [1]}]}, "not a dictionary"),
        ({"execute": "stpo"}, "'stop'"),
        ({"execute": "qom-get", "arguments": {"path": "/objects/sec0", "property": "data"}}, "contains a secret"),
        (
            {"execute": "human-monitor-command", "arguments": {"command-line": "qom-get /objects/sec0 data"}},
            "could show a secret",
        ),
    ],
)
def test_commands_that_are_rejected(hardware: Hardware, options: dict[str, Any], words: str) -> None:
    refused(InvalidOption, words, hardware, "qmp_command", **options)


def test_an_hmp_command_without_a_secret_is_sent(hardware: Hardware) -> None:
    arguments = {"command-line": "qom-get /objects/io1 poll-max-ns"}
    assert sent(hardware, "qmp_command", execute="human-monitor-command", arguments=arguments) == ["human-monitor-command"]
    assert sent(hardware, "qmp_command", execute="device_add", arguments={"driver": "virtio-rng-pci"}) == ["device_add"]


# facts


def test_facts_of_a_vm(recording: Recording) -> None:
    facts = recordings.check(recording, "qmp_info")
    assert [job["id"] for job in facts["block_jobs"]] == ["m1"] and facts["balloon"]["actual"] > 0
    assert {"id": "kbd0", "driver": "usb-kbd", "bus": "usb0.0", "at_launch": True}.items() <= {
        name: value for one in facts["devices"] if one["id"] == "kbd0" for name, value in one.items()
    }.items()
    capacity = facts["capacity"]
    assert capacity["disk"]["slots"] == [{"bus": f"rp{number}", "addr": "0"} for number in (2, 3)]
    assert capacity["disk"] == {**capacity["nic"], "driver": capacity["disk"]["driver"]}
    assert len(capacity["scsi_disk"]["slots"]) == 32 < capacity["scsi_disk"]["count"]
    assert {"bus", "scsi_id", "lun"} == {*capacity["scsi_disk"]["slots"][0]}
    port = capacity["serial_port"]
    assert port["count"] == 0 and port["driver"] == "virtserialport" and "-device" in port["launch_args"]
    assert "no free slot" in port["reason"]


def test_the_documentation_of_the_facts_names_every_part() -> None:
    from ansible_collections.vmops.qemu.plugins.modules import qmp_info

    documented = yaml.safe_load(qmp_info.DOCUMENTATION)["options"]["gather_subset"]["choices"]
    assert documented == ["all", *SUBSETS] and {*SUBSETS} <= {*yaml.safe_load(qmp_info.RETURN)}


def test_no_more_cpus_and_no_room_for_memory_have_a_reason(vm: VM) -> None:
    none = vm(query_hotpluggable_cpus=[])
    assert "no CPU hotplug" in capacity(none)["cpu"]["reason"]
    cpus = [{"type": "t", "props": {"socket-id": 0}, "vcpus-count": 1, "qom-path": "/machine/unattached/device[0]"}]
    full = capacity(vm(query_hotpluggable_cpus=cpus))["cpu"]
    assert full["launch_args"] == ["-smp", "1,maxcpus=2"] and "all of its 1 vCPUs" in full["reason"]


# any device


def device(hardware: Hardware, **options: Any) -> Any:
    return plan(hardware, "qmp_device", **options)


def test_devices_are_described_by_their_options(recording: Recording) -> None:
    for name, driver in (("serial0", "usb-serial"), ("hub0", "usb-hub"), ("usb0", "qemu-xhci")):
        returned = recordings.check(recording, "qmp_device", id=name)["device"]
        assert returned["id"] == name and returned["driver"] == driver and returned["at_launch"] is True
        options = {option: value for option, value in returned.items() if option != "at_launch"}
        again = recordings.check(recording, "qmp_device", **options)
        assert not again["changed"] and again["device"] == returned and again["unverified"] == []
        assert returned.get("chardev") == ("c0" if name == "serial0" else None)


def test_devices_that_would_go_with_another_protect_it(hardware: Hardware, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Hardware, "is_fixed", lambda *_device: False)  # as if none was on the root bus
    for name, words in (("hub0", "also remove kbd0"), ("usb0", "also remove hub0, kbd0, serial0")):
        refused(Conflict, words, hardware, "qmp_device", id=name, state="absent")
        assert device(hardware, id=name, state="absent", force=True).commands()[0]["arguments"] == {"id": name}
    assert device(hardware, id="nosuch", state="absent").steps == ()


def test_another_driver_in_the_slot_is_a_conflict_or_recreated(hardware: Hardware) -> None:
    options = {"id": "balloon0", "driver": "virtio-rng-pci"}
    refused(Conflict, "driver is 'virtio-balloon-pci' and the task sets 'virtio-rng-pci'", hardware, "qmp_device", **options)
    removed, added = device(hardware, **options, recreate=True).commands()
    assert removed["execute"] == "device_del"
    assert added["arguments"] == {"driver": "virtio-rng-pci", "id": "balloon0", "bus": "rp0", "addr": "0"}


def test_the_vhost_device_of_a_vsock_is_passed(hardware: Hardware, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"id": "v0", "driver": "vhost-vsock-pci", "guest_cid": 42}
    monkeypatch.setattr(generic, "VHOST_VSOCK", "/nosuch")
    refused(Unsupported, "modprobe vhost_vsock", hardware, "qmp_device", **options)
    monkeypatch.setattr(generic, "VHOST_VSOCK", "/dev/null")
    passed, added = device(hardware, **options).commands()
    assert passed["execute"] == "getfd" and added["arguments"]["vhostfd"] == passed["arguments"]["fdname"] == "v0-vhostfd"
    unpassed = device(hardware, **options, descriptors=False)
    assert unpassed.after["guest_cid"] == 42 and "vhostfd" not in unpassed.commands()[0]["arguments"]


def test_descriptors_do_not_travel_over_tcp(recording: Recording) -> None:
    over_tcp = recordings.Recorded(recording)
    over_tcp.passes_fds = False
    monitor: Any = over_tcp
    options = {"id": "v0", "driver": "vhost-vsock-pci", "guest_cid": 42}
    refused(Unsupported, "needs a unix socket", Hardware(monitor), "qmp_device", **options, descriptors=True)
    assert "vhostfd" not in device(Hardware(monitor), **options).commands()[0]["arguments"]


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({}, InvalidOption, "Set driver to add it"),
        ({"driver": "virtio-rgn-pci"}, InvalidOption, "'virtio-rng-pci'"),
        ({"driver": "rocker"}, Unsupported, "QEMU aborts"),
        ({"driver": "vfio-pci", "properties": {"host": "3b"}}, InvalidOption, "0000:3b:00.0"),
        ({"driver": "virtio-blk-pci", "properties": {"drive": "d0"}}, InvalidOption, "Use qmp_blockdev"),
        ({"driver": "vhost-vsock-pci"}, InvalidOption, "needs guest_cid"),
        ({"driver": "vhost-vsock-pci", "properties": {"guest-cid": "x"}}, InvalidOption, "needs guest_cid"),
        ({"driver": "vhost-user-blk-pci", "chardev": "c0"}, Conflict, "is a null"),
        ({"driver": "ivshmem-doorbell", "chardev": "nosuch"}, InvalidOption, "'nosuch'"),
        ({"driver": "virtio-rng-pci", "descriptors": True}, InvalidOption, "only for vhost-vsock"),
        ({"driver": "virtio-rng-pci", "properties": {"vectors": 65536}}, InvalidOption, "from 0 to 65535"),
        ({"driver": "virtio-rng-pci", "properties": {"rng": 5}}, InvalidOption, "id of an object"),
        ({"driver": "virtio-rng-pci", "properties": {"rng": "nosuch"}}, InvalidOption, "Add that first"),
        ({"driver": "virtio-rng-pci", "properties": {"bus": "rp2"}}, InvalidOption, "Use the option 'bus'"),
        ({"driver": "virtio-rng-pci", "chardev": "c0"}, InvalidOption, "no property 'chardev'"),
        ({"driver": "virtio-rng-pci", "romfile": "", "properties": {"romfile": ""}}, InvalidOption, "set twice"),
        ({"driver": "virtio-rng-pci", "disable_modern": True}, InvalidOption, "a PCI Express port"),
        ({"id": "d0"}, Conflict, "Use qmp_blockdev"),
    ],
)
def test_devices_that_cannot_be(hardware: Hardware, options: dict[str, Any], error: type[HardwareError], words: str) -> None:
    refused(error, words, hardware, "qmp_device", **{"id": "x0", **options})
