# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands and properties for which there is no module."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.vmops.qemu.tests.support.modules import Modules, refused, unchanged
from ansible_collections.vmops.qemu.tests.vm.machine import VM


def command(vm: VM, *names: str, check: bool = False, **options: Any) -> dict[str, Any]:
    return Modules(vm).run("qmp_command", check, **({"commands": [{"execute": name} for name in names]} if names else options))


def qom(vm: VM, path: str, check: bool = False, **options: Any) -> dict[str, Any]:
    return Modules(vm).run("qmp_qom", check, path=path, **options)


def test_queries_change_nothing_and_reply_in_order(bare_vm: VM) -> None:
    result = command(bare_vm, "query-status", "query-name")
    assert unchanged(result) and result["replies"][0]["status"] == "prelaunch" and result["replies"][1] == {}, result
    assert command(bare_vm, "query-status", "query-name", check=True)["replies"] == result["replies"]


def test_check_mode_sends_queries_alone(bare_vm: VM) -> None:
    planned = command(bare_vm, "query-status", "cont", check=True)
    assert planned["changed"] and planned["replies"][1] is None and planned["replies"][0]["status"] == "prelaunch"
    assert bare_vm.query("query-status")["status"] == "prelaunch"
    done = command(bare_vm, "cont")
    assert done["changed"] and done["replies"] == [{}]
    assert bare_vm.query("query-status")["status"] == "running"


def test_whether_it_changed_can_be_set(bare_vm: VM) -> None:
    assert unchanged(Modules(bare_vm).run("qmp_command", execute="stop", changed=False))
    assert Modules(bare_vm).run("qmp_command", execute="query-status", changed=True)["changed"] is True


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"execute": "query-statu"}, ["'query-status'"]),
        ({"execute": "device_del", "arguments": {"ident": "a"}}, ["'id'"]),
        ({"execute": "device_del"}, ["'id'"]),
        ({"execute": "balloon", "arguments": {"value": "1G"}}, ["value", "int"]),
        ({"execute": "blockdev-add", "arguments": {"driver": "null-co", "node-nam": "x"}}, ["'node-name'"]),
        ({"commands": [{"execute": "query-status"}, {"exec": "stop"}]}, ["execute"]),
        ({"execute": "stop", "arguments": {"now": True}}, ["'now'", "none"]),
    ],
    ids=str,
)
def test_slips_are_reported_before_anything_is_sent(vm: VM, options: dict[str, Any], words: list[str]) -> None:
    refused(command(vm, **options), "invalid_option", *words)
    assert vm.query("query-status")["status"] == "running"


def test_what_qemu_refuses_is_reported_and_what_was_done_before_too(vm: VM) -> None:
    result = Modules(vm).run(
        "qmp_command",
        commands=[
            {"execute": "object-add", "arguments": {"qom-type": "iothread", "id": "io1"}},
            {"execute": "device_del", "arguments": {"id": "nosuch"}},
        ],
    )
    assert result["error_code"] == "command_failed" and "nosuch" in result["msg"] and result["changed"], result
    assert [sent["execute"] for sent in result["details"]["sent"]] == ["object-add", "device_del"]
    assert Modules(vm).run("qmp_object", id="io1", state="absent")["changed"]


def test_a_secret_among_the_arguments_is_not_reported(vm: VM) -> None:
    arguments = {"qom-type": "secret", "id": "s1", "data": "correct-horse-battery-staple"}
    result = Modules(vm).run("qmp_command", execute="object-add", arguments=arguments)
    assert result["commands"][0]["arguments"]["data"] == "********"
    refused(command(vm, execute="qom-get", arguments={"path": "/objects/s1", "property": "data"}), "invalid_option", "secret")
    assert Modules(vm).run("qmp_object", id="s1", state="absent")["changed"]


def test_a_human_command_of_one_word_leaves_the_result_readable(bare_vm: VM) -> None:
    result = command(bare_vm, execute="human-monitor-command", arguments={"command-line": "s"})
    assert result["invocation"]["module_args"]["socket"] == str(bare_vm.qmp_socket) and result["status"] is None, result


def test_any_device_property_goes_through(bare_vm: VM) -> None:
    arguments = {"driver": "virtio-rng-pci", "id": "r1", "bus": "rp0", "addr": "0", "max-bytes": 1024}
    assert command(bare_vm, execute="device_add", arguments=arguments)["changed"]


def test_a_property_is_compared_set_and_read(vm: VM) -> None:
    vm.query("object-add", qom_type="iothread", id="io1")
    path = "/objects/io1"
    before = qom(vm, path, property="poll-max-ns")["qom"]
    options: dict[str, Any] = {"property": "poll-max-ns", "value": "10000"}
    planned = qom(vm, path, check=True, **options)
    assert planned["changed"] and planned["diff"] == {"before": {"poll-max-ns": before["value"]}, "after": {"poll-max-ns": 10000}}
    assert qom(vm, path, property="poll-max-ns")["qom"] == before
    result = qom(vm, path, **options)
    assert result["changed"] and result["qom"] == {**before, "value": 10000}
    assert unchanged(qom(vm, path, **options))
    listed = qom(vm, path)["qom"]["properties"]
    assert listed["poll-max-ns"] == {"type": "int", "value": 10000}
    vm.query("object-del", id="io1")


def test_properties_of_any_type(vm: VM) -> None:
    vm.query("object-add", qom_type="throttle-group", id="t1")
    path, limits = "/objects/t1", vm.query("qom-get", path="/objects/t1", property="limits")
    desired = {**limits, "iops-total": 500}
    assert qom(vm, path, property="limits", value=desired)["qom"]["value"] == desired
    assert unchanged(qom(vm, path, property="limits", value=desired))
    assert unchanged(qom(vm, path, property="limits", value={"iops-total": 500}))
    vm.query("object-del", id="t1")
    before = qom(vm, "/machine", property="graphics")["qom"]["value"]
    assert unchanged(qom(vm, "/machine", property="graphics", value=str(before)))


def test_objects_and_properties_that_are_not_there(vm: VM) -> None:
    refused(qom(vm, "/machine/nosuch"), "invalid_option", "/machine/nosuch")
    refused(qom(vm, "/machine", property="graphic", value=True), "invalid_option", "'graphics'")
    refused(qom(vm, "/machine", property="graphic"), "invalid_option", "'graphics'")
    refused(qom(vm, "/machine", property="type", value="pc"), "command_failed", "type")


@pytest.mark.parametrize(
    "line",
    [
        "qom-get /objects/sec0 data",
        "  qom-get sec0 data",
        'qom-get /objects/sec0 "data"',
        "qom-get /objects/sec0 rawdata",
        '"qom-get" /objects/sec0 data',
    ],
)
def test_a_secret_is_not_shown_by_the_human_monitor(make_vm: Any, line: str) -> None:
    vm = make_vm(boot=False)
    vm.query("object-add", **{"qom-type": "secret", "id": "sec0", "data": "SECRET-TEXT"})
    result = command(vm, execute="human-monitor-command", arguments={"command-line": line})
    assert "SECRET-TEXT" not in str(result) and result.get("failed") or "unknown command" in str(result["replies"]), result
    known = command(vm, execute="human-monitor-command", arguments={"command-line": "qom-get /machine type"})
    assert "machine" in known["replies"][0], known


def test_a_secret_is_not_shown_among_the_properties_of_several_objects(binary: Any, make_vm: Any) -> None:
    vm = make_vm(binary=binary, boot=False)
    vm.query("object-add", **{"qom-type": "secret", "id": "sec0", "data": "SECRET-TEXT"})
    result = command(vm, execute="qom-list-get", arguments={"paths": ["/objects/sec0", "/machine"]})
    if "qom-list-get" not in {entry["name"] for entry in vm.query("query-commands")}:
        refused(result, "invalid_option", "qom-list-get")
        return
    assert "SECRET-TEXT" not in str(result), result
    first, second = (one["properties"] for one in result["replies"][0])
    assert {"name": "data", "type": "string"} in first and "format" in {entry["name"] for entry in first}, result
    assert any("value" in entry for entry in second)
