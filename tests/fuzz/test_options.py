# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options from a survey's user: no text of theirs becomes a command, an argument or a word of a command line."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ansible_collections.vmops.qemu.plugins.module_utils._vm.errors import InvalidOption
from ansible_collections.vmops.qemu.plugins.module_utils._vm.host.tap import check_tap
from ansible_collections.vmops.qemu.plugins.module_utils.qmp import ConnectError, Monitor, UnixAddress

from .peer import Peer, line
from .truth import READING, Truth, run
from .values import EVIL, anything, texts

CHANGING = {
    "blockdev-add": {"driver", "node-name", "read-only", "file", "cache", "discard", "detect-zeroes", "key-secret", "encrypt"},
    "blockdev-del": {"node-name"},
    "block_resize": {"node-name", "size"},
    "netdev_del": {"id"},
    "object-del": {"id"},
    "device_del": {"id"},
    "set_link": {"name", "up"},
    "chardev-add": {"id", "backend"},
    "chardev-remove": {"id"},
    "blockdev-open-tray": {"id", "force"},
    "blockdev-close-tray": {"id"},
    "blockdev-insert-medium": {"id", "node-name"},
    "blockdev-remove-medium": {"id"},
    "job-complete": {"id"},
    "job-cancel": {"id"},
    "job-dismiss": {"id"},
    "job-finalize": {"id"},
    "qmp_capabilities": set(),
}
"""Commands to which no option adds arguments, with all arguments that are sent."""
OPEN = {"device_add", "netdev_add", "object-add", "blockdev-mirror"}
"""Commands to which an option adds arguments. Their names must be known to QEMU."""
FIXED = {"driver", "id", "drive", "netdev", "type", "qom-type", "bus", "addr", "scsi-id", "lun", "data"}
IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9._-]*")
HMP = {"info network", "info jit"}


GOOD: dict[str, dict[str, Any]] = {
    "qmp_blockdev": {
        "id": "x1",
        "file": "/x",
        "serial": "one",
        "driver": "virtio-blk-pci",
        "bus": "rp3",
        "addr": "0",
        "iothread": "io1",
        "format": "luks",
        "passphrase": "correct-horse",
        "romfile": "",
        "bootindex": 1,
        "queues": 1,
        "size": "1M",
    },
    "qmp_netdev": {
        "id": "x1",
        "type": "user",
        "mac": "52:54:00:00:00:01",
        "driver": "virtio-net-pci",
        "bus": "rp3",
        "addr": "0",
        "options": {"hostname": "x", "dnssearch": ["x"]},
        "bootindex": 1,
        "link": "down",
    },
    "qmp_object": {"id": "x1", "qom_type": "secret", "secret": "correct-horse"},
    "qmp_cpu_hotplug": {"count": 3},
    "qmp_chardev": {"id": "x1", "type": "socket", "path": "/x", "driver": "virtserialport", "name": "port", "bus": "vs1.0"},
    "qmp_device": {"id": "x1", "driver": "virtio-rng-pci", "bus": "rp3", "addr": "0"},
    "qmp_media": {"id": "cd1", "file": "/x", "format": "raw"},
    "qmp_block_job": {"id": "x1", "type": "mirror", "disk": "d2", "target": "t2", "sync": "full", "speed": "1M"},
}
"""Options that a survey may have, with good values."""
MORE = {
    "qmp_blockdev": ["backend", "backend_secrets", "properties", "scsi_id", "lun"],
    "qmp_netdev": ["properties", "ifname", "script", "downscript", "chardev", "vhostdev", "queues"],
    "qmp_object": ["properties"],
    "qmp_cpu_hotplug": ["topology"],
    "qmp_chardev": ["options", "properties", "address"],
    "qmp_device": ["properties"],
    "qmp_media": [],
    "qmp_block_job": ["options", "base"],
}
"""Other options that a survey may have."""
DICTS = {"properties", "options", "backend", "topology", "backend_secrets"}
SECRETS = {"passphrase", "secret", "backend_secrets"}
"""Options whose value Ansible masks in the result, with everything that looks like it, even a comma."""
KEYS = {
    "qmp_blockdev": "filename",
    "qmp_netdev": "hostname",
    "qmp_object": "format",
    "qmp_cpu_hotplug": "core-id",
    "qmp_chardev": "name",
    "qmp_device": "rng",
    "qmp_block_job": "granularity",
}
"""A valid key for the dicts of each module."""
common = st.sampled_from(["id", "driver", "hostfwd", "addr", "serial", "execute", "device", "job-id", "backend"])
dicts = st.dictionaries(st.one_of(common, texts), anything, max_size=3)


def survey(module: str, hostile: dict[str, Any]) -> dict[str, Any]:
    """Good options of *module* with the *hostile* ones in their place."""
    options = {**GOOD[module], **hostile}
    for one, other in (("backend", "file"), ("topology", "count")):
        if one in options:
            options.pop(other, None)
    return options


def check_sent(truth: Truth, peer: Peer) -> None:
    """Assert that each line that was sent is one request, also for a reader of the stream, and that nothing was added to it."""
    lines = b"".join(peer.received).split(b"\n")
    assert lines.pop() == b""
    assert [json.loads(one) for one in lines] == peer.requests()
    for request in peer.requests():
        assert request.keys() <= {"execute", "arguments", "id"}
        command, arguments = request["execute"], request.get("arguments", {})
        if command == "human-monitor-command":
            assert arguments in [{"command-line": text} for text in HMP]
        elif command == "blockdev-mirror":
            assert arguments["auto-dismiss"] is False and isinstance(arguments["device"], str)
            assert IDENTIFIER.fullmatch(arguments["job-id"])
        elif command in OPEN:
            assert IDENTIFIER.fullmatch(arguments["id"])
            assert arguments.keys() <= FIXED | known_names(truth, command, arguments)
        elif not command.startswith(READING):
            assert arguments.keys() <= CHANGING[command]


def known_names(truth: Truth, command: str, arguments: dict[str, Any]) -> set[str]:
    """The arguments that QEMU knows for a command of OPEN."""
    if command == "device_add":
        answer = truth({"execute": "device-list-properties", "arguments": {"typename": arguments["driver"]}})
        return {entry["name"] for entry in answer["return"]}
    entities = truth({"execute": "query-qmp-schema"})["return"]
    return {member["name"] for entity in entities if entity["meta-type"] == "object" for member in entity["members"]}


def check_run(truth: Truth, module: str, hostile: dict[str, Any], check: bool = False) -> list[str]:
    """Run a module with *hostile* options, assert that nothing was injected, and return the commands that were sent."""
    peer = Peer(lambda request: [line({"id": request["id"], **truth(request)})])
    result = run(module, survey(module, hostile), peer, check)
    check_sent(truth, peer)
    assert "exception" not in result
    assert not result.get("failed") or result["msg"]
    for command in result.get("commands", ()):
        assert command["execute"] in CHANGING.keys() | OPEN
    for word in [] if SECRETS & hostile.keys() else result.get("launch_args", ())[1::2]:
        if word.startswith("{"):
            assert isinstance(json.loads(word), dict)
        else:
            assert all(re.match(r"[A-Za-z0-9_.-]+(=|\Z)", part) for part in unescaped(word))
    return [request["execute"] for request in peer.requests()]


@pytest.mark.parametrize("module", GOOD)
def test_good_values_lead_to_a_change(truth: Truth, module: str) -> None:
    """Otherwise the other tests would prove little."""
    sent = check_run(truth, module, {})
    assert {"device_add", "object-add", "blockdev-open-tray", "blockdev-mirror"} & set(sent), sent


@pytest.mark.parametrize("module, option", [(module, option) for module in GOOD for option in (*GOOD[module], *MORE[module])])
def test_no_text_in_any_option_injects_a_command_or_an_argument(truth: Truth, module: str, option: str) -> None:
    for evil in EVIL:
        if option not in DICTS:
            check_run(truth, module, {option: evil})
        else:
            check_run(truth, module, {option: {evil: "x"}}, check=True)
            check_run(truth, module, {option: {KEYS[module]: evil}}, check=True)
            check_run(truth, module, {option: evil}, check=True)


@pytest.mark.parametrize("module", GOOD)
@given(data=st.data())
def test_several_hostile_options_inject_nothing(truth: Truth, module: str, data: st.DataObject) -> None:
    names = data.draw(st.sets(st.sampled_from([*GOOD[module], *MORE[module]]), max_size=3))
    hostile = {name: data.draw(dicts if name in DICTS else st.one_of(texts, anything)) for name in sorted(names - {"id"})}
    hostile["state"] = data.draw(st.sampled_from(["present", "absent"]))
    check_run(truth, module, hostile, data.draw(st.booleans()))


def unescaped(word: str) -> list[str]:
    """The parts of a value on QEMU's command line. A comma ends a part; two commas stand for one inside a part."""
    return [part.replace("\0,", ",") for part in re.split(r"(?<!\0),", word.replace(",,", "\0,"))]


@pytest.mark.parametrize(
    "module, options",
    [
        ("qmp_blockdev", {"id": "x1", "file": "/a\0b"}),
        ("qmp_blockdev", {"id": "d1", "file": "/a\0b"}),
        ("qmp_blockdev", {"id": "x1", "file": "/x", "properties": {"num-queues": "9" * 5000}}),
        ("qmp_blockdev", {"id": "x1", "file": "/x", "bootindex": 10**30}),
        ("qmp_netdev", {"id": "x1", "type": "stream", "options": {"addr": {"type": "unix", "path": "x", "a,script=/tmp/x": 1}}}),
        ("qmp_netdev", {"id": "x1", "type": "tap", "ifname": "a\0b"}),
        ("qmp_netdev", {"id": "x1", "type": "tap", "ifname": ";reboot"}),
        ("qmp_cpu_hotplug", {"count": 10**30}),
    ],
)
def test_values_that_once_broke_a_module_are_refused_in_one_sentence(truth: Truth, module: str, options: dict[str, Any]) -> None:
    result = run(module, options, Peer(lambda request: [line({"id": request["id"], **truth(request)})]))
    assert result["failed"] and result["msg"]
    assert result["error_code"] in ("invalid_option", "no_free_slot", "command_failed", "conflict")


@given(texts, st.integers(1, 2))
@example(";reboot", 1)
def test_a_hint_to_make_a_tap_is_safe_to_paste_into_a_shell(name: str, queues: int) -> None:
    with pytest.raises(InvalidOption) as caught:
        check_tap(name, queues)
    hint = str(caught.value).partition("Create a tap first: ")[2]
    words = hint.replace("ip tuntap add dev ", "").replace(" mode tap", "").replace(" multi_queue", "")
    assert re.fullmatch(r"[A-Za-z0-9_@%+=:,./-]*|'.*'", words, re.DOTALL)


@pytest.mark.parametrize("path", EVIL, ids=lambda path: ascii(path)[:20])
def test_a_socket_of_any_name_is_refused_with_a_connect_error(path: str) -> None:
    with pytest.raises(ConnectError):
        Monitor.connect(UnixAddress(path), timeout=0.1)
