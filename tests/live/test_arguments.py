# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The arguments of any command: what the check refuses QEMU refuses, and what QEMU's own reading refuses the check did."""

from __future__ import annotations

import copy
from typing import Any, Iterator

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils._vm.errors import InvalidOption
from ansible_collections.vmops.qemu.plugins.module_utils._vm.model.arguments import check_arguments
from ansible_collections.vmops.qemu.plugins.module_utils.qmp import CommandError, Monitor, Schema, UnixAddress
from ansible_collections.vmops.qemu.tests.support.modules import Modules, refused
from ansible_collections.vmops.qemu.tests.vm.machine import VM

INET = {"type": "inet", "host": "127.0.0.1", "port": "1"}
OLD_INET = {"type": "inet", "data": {"host": "127.0.0.1", "port": "1", "ipv4": True}}
FILE = {"driver": "file", "filename": "/nosuch/x"}
COMMANDS: list[tuple[str, dict[str, Any]]] = [
    ("blockdev-add", {"driver": "qcow2", "node-name": "a", "file": {**FILE, "aio": "threads", "cache": {"direct": True}}}),
    (
        "blockdev-add",
        {
            "driver": "qcow2",
            "node-name": "a",
            "file": "nosuch",
            "backing": None,
            "discard": "unmap",
            "overlap-check": {"template": "all", "inactive-l1": False},
            "encrypt": {"format": "luks", "key-secret": "s"},
        },
    ),
    ("blockdev-add", {"driver": "qcow2", "node-name": "a", "file": FILE, "overlap-check": "constant", "backing": "nosuch"}),
    ("blockdev-add", {"driver": "luks", "node-name": "a", "key-secret": "s", "file": FILE, "detect-zeroes": "on"}),
    ("blockdev-add", {"driver": "nbd", "node-name": "a", "server": INET, "export": "x", "reconnect-delay": 3}),
    ("blockdev-add", {"driver": "nbd", "node-name": "a", "server": {"type": "unix", "path": "/nosuch"}}),
    ("blockdev-add", {"driver": "quorum", "node-name": "a", "children": [FILE, "nosuch"], "vote-threshold": 2}),
    ("blockdev-add", {"driver": "throttle", "node-name": "a", "throttle-group": "g", "file": FILE}),
    (
        "blockdev-add",
        {"driver": "blkdebug", "node-name": "a", "image": "nosuch", "inject-error": [{"event": "read_aio", "errno": 5}]},
    ),
    ("blockdev-add", {"driver": "null-co", "node-name": "a", "size": 512, "latency-ns": 0, "read-zeroes": True}),
    ("blockdev-add", {"driver": "copy-on-read", "node-name": "a", "file": "nosuch", "cache": {"no-flush": False}}),
    ("blockdev-reopen", {"options": [{"driver": "raw", "node-name": "nosuch", "file": "x", "offset": 0}]}),
    ("blockdev-create", {"job-id": "j", "options": {"driver": "qcow2", "file": "nosuch", "size": 1 << 20, "version": "v3"}}),
    ("blockdev-backup", {"job-id": "j", "device": "nosuch", "target": "no", "sync": "full", "speed": 0}),
    ("blockdev-snapshot-sync", {"node-name": "nosuch", "snapshot-file": "/nosuch/x", "mode": "absolute-paths"}),
    ("chardev-add", {"id": "a", "backend": {"type": "socket", "data": {"addr": OLD_INET, "server": False, "nodelay": True}}}),
    ("chardev-add", {"id": "a", "backend": {"type": "socket", "data": {"addr": {"type": "unix", "data": {"path": "/no/x"}}}}}),
    ("chardev-add", {"id": "a", "backend": {"type": "socket", "data": {"addr": {"type": "fd", "data": {"str": "f"}}}}}),
    ("chardev-add", {"id": "a", "backend": {"type": "udp", "data": {"remote": OLD_INET, "local": OLD_INET}}}),
    ("chardev-add", {"id": "a", "backend": {"type": "file", "data": {"out": "/no/x", "append": True, "logfile": "/nosuch/y"}}}),
    ("chardev-add", {"id": "a", "backend": {"type": "mux", "data": {"chardev": "nosuch"}}}),
    ("chardev-add", {"id": "serial0", "backend": {"type": "ringbuf", "data": {"size": 64}}}),
    ("chardev-add", {"id": "serial0", "backend": {"type": "null", "data": {}}}),
    ("netdev_add", {"type": "user", "id": "a", "hostfwd": [{"str": "nonsense"}], "ipv6": False, "dns": "10.0.2.3"}),
    ("netdev_add", {"type": "tap", "id": "a", "ifname": "nosuch", "script": "/nosuch", "vhost": False, "queues": 1}),
    ("netdev_add", {"type": "stream", "id": "a", "server": False, "addr": {"type": "fd", "str": "nosuch"}}),
    ("netdev_add", {"type": "dgram", "id": "a", "local": {"type": "fd", "str": "nosuch"}, "remote": INET}),
    ("netdev_add", {"type": "vhost-user", "id": "a", "chardev": "nosuch", "vhostforce": True}),
    ("netdev_add", {"type": "hubport", "id": "a", "hubid": 1, "netdev": "nosuch"}),
    ("object-add", {"qom-type": "throttle-group", "id": "1", "limits": {"iops-total": 5, "bps-read-max-length": 1}}),
    (
        "object-add",
        {"qom-type": "authz-list", "id": "1", "policy": "deny", "rules": [{"match": "a", "policy": "allow", "format": "glob"}]},
    ),
    (
        "object-add",
        {
            "qom-type": "memory-backend-file",
            "id": "1",
            "size": 4096,
            "mem-path": "/nosuch/x",
            "host-nodes": [0],
            "policy": "default",
            "share": True,
        },
    ),
    ("object-add", {"qom-type": "tls-creds-x509", "id": "1", "endpoint": "server", "dir": "/nosuch", "verify-peer": True}),
    ("object-add", {"qom-type": "secret", "id": "1", "data": "x", "format": "raw"}),
    ("object-add", {"qom-type": "filter-buffer", "id": "1", "netdev": "n", "interval": 1000, "queue": "rx"}),
    ("migrate-set-parameters", {"max-bandwidth": 1000, "tls-creds": "", "downtime-limit": 300, "multifd-compression": "none"}),
    (
        "migrate-set-parameters",
        {"block-bitmap-mapping": [{"node-name": "n", "alias": "a", "bitmaps": [{"name": "b", "alias": "c"}]}]},
    ),
    ("migrate-set-capabilities", {"capabilities": [{"capability": "xbzrle", "state": False}]}),
    (
        "transaction",
        {
            "actions": [
                {"type": "blockdev-snapshot", "data": {"node": "nosuch", "overlay": "no"}},
                {"type": "block-dirty-bitmap-add", "data": {"node": "nosuch", "name": "b", "persistent": True}},
                {"type": "abort", "data": {}},
            ],
            "properties": {"completion-mode": "grouped"},
        },
    ),
    ("block-export-add", {"type": "nbd", "id": "1", "node-name": "nosuch", "name": "x", "bitmaps": ["b"], "writable": True}),
    ("block-export-add", {"type": "vhost-user-blk", "id": "1", "node-name": "nosuch", "addr": INET, "num-queues": 1}),
    ("block_set_io_throttle", {"id": "nosuch", "bps": 0, "bps_rd": 0, "bps_wr": 0, "iops": 0, "iops_rd": 0, "iops_wr": 0}),
    ("block_resize", {"node-name": "nosuch", "size": 512}),
    ("set_password", {"protocol": "vnc", "password": "x", "connected": "keep", "display": "x"}),
    ("expire_password", {"protocol": "vnc", "time": "now"}),
    ("send-key", {"keys": [{"type": "number", "data": 4000000000}, {"type": "qcode", "data": "shift"}], "hold-time": 1}),
    (
        "input-send-event",
        {
            "device": "nosuch",
            "events": [
                {"type": "key", "data": {"down": True, "key": {"type": "qcode", "data": "ctrl"}}},
                {"type": "abs", "data": {"axis": "x", "value": 20000}},
            ],
        },
    ),
    ("announce-self", {"initial": 50, "max": 550, "rounds": 5, "step": 100, "interfaces": ["nosuch"], "id": "x"}),
    ("set-numa-node", {"type": "dist", "src": 0, "dst": 1, "val": 20}),
    ("qom-set", {"path": "/nosuch", "property": "x", "value": {"any": [1, None, "thing"]}}),
    ("device_add", {"driver": "nosuch", "id": "a", "bus": "x", "anything": {"at": ["all"]}}),
    ("human-monitor-command", {"command-line": "info version", "cpu-index": 0}),
    ("trace-event-set-state", {"name": "nosuch", "enable": True, "ignore-unavailable": True}),
]
INSTEAD: list[Any] = [None, True, 7, -1, 1.5, 1 << 64, "", "nosuch", {}, {"nosuch": 1}, [], ["nosuch"], [{}]]
READING_FAILS = ("is missing", "is unexpected", "does not accept value", "Invalid parameter type", "Invalid parameter '")


def variants(value: Any) -> Iterator[Any]:
    """*value* with one thing in it, at any depth, left out, added or replaced by what it should not be."""
    yield from (copy.deepcopy(one) for one in INSTEAD)
    if isinstance(value, dict):
        yield {**value, "no-such-member": 1}
        for name in value:
            yield {other: inside for other, inside in value.items() if other != name}
            for one in variants(value[name]):
                yield {**value, name: one}
    elif isinstance(value, list):
        for number in range(len(value)):
            for one in variants(value[number]):
                yield [*value[:number], one, *value[number + 1 :]]


def verdict(schema: Schema, command: str, arguments: dict[str, Any]) -> str | None:
    try:
        check_arguments(schema, command, arguments)
    except InvalidOption as refusal:
        return str(refusal)
    return None


def test_the_check_and_qemus_own_reading_are_of_one_mind(bare_vm: VM) -> None:
    """QEMU's answer to arguments that it cannot read has few forms; what it refuses later, for other reasons, is its own."""
    wrong: list[tuple[str, Any, str | None, str]] = []
    tried = 0
    with Monitor.connect(UnixAddress(str(bare_vm.qmp_socket)), timeout=10) as monitor:
        schema = Schema(monitor)
        known = {one["name"] for one in monitor.execute("query-commands")}
        for command, whole in COMMANDS:
            if command not in known:
                continue
            for arguments in (whole, *(one for one in variants(whole) if isinstance(one, dict))):
                refusal, answer = verdict(schema, command, arguments), ""
                if refusal and "abort" in refusal:
                    continue
                try:
                    monitor.execute(command, arguments)
                except CommandError as error:
                    answer = error.desc
                tried += 1
                if (
                    refusal
                    and not answer
                    or not refusal
                    and answer.startswith("Parameter '")
                    and any(text in answer for text in READING_FAILS)
                ):
                    wrong.append((command, arguments, refusal, answer))
    assert tried > 5000
    assert not wrong, (len(wrong), wrong[:20])


@pytest.mark.parametrize(
    ("execute", "arguments", "words"),
    [
        (
            "chardev-add",
            {"id": "c", "backend": {"type": "socket", "data": {"addr": {"type": "unx", "data": {"path": "/x"}}}}},
            ["backend.data.addr.type", "'unix'"],
        ),
        (
            "chardev-add",
            {"id": "c", "backend": {"type": "socket", "data": {"addr": {"type": "unix", "data": {"pth": "/x"}}}}},
            ["backend.data.addr.data.pth", "'path'"],
        ),
        ("chardev-add", {"id": "c", "backend": {"type": "file", "data": {}}}, ["backend.data.out"]),
        (
            "blockdev-add",
            {"driver": "qcow2", "node-name": "n", "file": {"driver": "file", "filename": 5}},
            ["file.filename", "string"],
        ),
        (
            "blockdev-add",
            {"driver": "quorum", "node-name": "n", "vote-threshold": 1, "children": [{"driver": "file"}]},
            ["children[0].filename"],
        ),
        (
            "transaction",
            {"actions": [{"type": "abort", "data": {}}, {"type": "abrt", "data": {}}]},
            ["actions[1].type", "'abort'"],
        ),
        ("object-add", {"qom-type": "throttle-group", "id": "t", "limits": {"iops": 5}}, ["limits.iops"]),
        ("blockdev-reopen", {"options": []}, ["options", "abort"]),
        ("blockdev-add", {"driver": "raw", "node-name": "n", "file": {"driver": "null-co", "size": -1}}, ["file.size", "abort"]),
        (
            "migrate-set-capabilities",
            {"capabilities": [{"capability": "xbzrle", "state": "on"}]},
            ["capabilities[0].state", "boolean", "a string"],
        ),
    ],
    ids=str,
)
def test_what_is_wrong_is_named_by_its_path(bare_vm: VM, execute: str, arguments: dict[str, Any], words: list[str]) -> None:
    for check in (True, False):
        result = Modules(bare_vm).run("qmp_command", check, execute=execute, arguments=arguments)
        refused(result, "invalid_option", execute, *words)
