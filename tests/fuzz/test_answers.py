# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules against a QEMU that answers wrongly: each ends with one result and one sentence, and never with a traceback."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.vmops.qemu.plugins.module_utils._vm.model.hardware import natural, parse_netdevs
from ansible_collections.vmops.qemu.plugins.module_utils._vm.model.query_cache import _REPLIES
from ansible_collections.vmops.qemu.plugins.module_utils.qmp import printable
from ansible_collections.vmops.qemu.tests.support.error_codes import ERROR_CODES

from .peer import Peer, line
from .truth import READING, Truth, run
from .values import EVIL, HALF, anything, paths_in, replaced, texts

RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    "facts": ("qmp_info", {"gather_subset": ["all"]}),
    "plugged hardware": ("qmp_info", {"gather_subset": ["plugged"]}),
    "disk as it is": ("qmp_blockdev", {"id": "d1", "backend": {"driver": "raw"}, "bus": "rp0", "serial": "one", "size": "2M"}),
    "new disk": ("qmp_blockdev", {"id": "x1", "file": "/x", "size": "2M", "passphrase": "x", "format": "luks"}),
    "SCSI disk": ("qmp_blockdev", {"id": "x1", "file": "/x", "driver": "scsi-hd"}),
    "disk recreated": ("qmp_blockdev", {"id": "d2", "file": "/x", "recreate": True, "force": True}),
    "no disk": ("qmp_blockdev", {"id": "d1", "state": "absent", "force": True}),
    "NIC as it is": ("qmp_netdev", {"id": "n1", "type": "user"}),
    "new NIC": ("qmp_netdev", {"id": "x1", "type": "user", "options": {"hostfwd": ["tcp::1-:1"]}}),
    "no NIC": ("qmp_netdev", {"id": "n1", "state": "absent"}),
    "more CPUs": ("qmp_cpu_hotplug", {"count": 3}),
    "too many CPUs": ("qmp_cpu_hotplug", {"count": 30}),
    "a CPU": ("qmp_cpu_hotplug", {"topology": {"socket-id": 1, "core-id": 0, "thread-id": 0}}),
    "object as it is": ("qmp_object", {"id": "io1", "properties": {"poll-max-ns": 1}, "recreate": True}),
    "new object": ("qmp_object", {"id": "x1", "qom_type": "secret", "secret": "x"}),
    "no object": ("qmp_object", {"id": "io1", "state": "absent"}),
    "disk with limits": ("qmp_blockdev", {"id": "d1", "limits": {"iops": 100}}),
    "new character device": ("qmp_chardev", {"id": "x1", "type": "null", "driver": "virtserialport"}),
    "no character device": ("qmp_chardev", {"id": "c1", "state": "absent"}),
    "new device": ("qmp_device", {"id": "x1", "driver": "virtio-rng-pci"}),
    "no device": ("qmp_device", {"id": "rng1", "state": "absent"}),
    "job as it is": ("qmp_block_job", {"id": "j1"}),
    "new job": ("qmp_block_job", {"id": "x1", "type": "mirror", "disk": "d2", "target": "t2"}),
    "snapshot": ("qmp_block_job", {"id": "x1", "type": "snapshot", "disk": "d2", "file": "/x"}),
    "no job": ("qmp_block_job", {"id": "j1", "state": "cancelled"}),
    "new medium": ("qmp_media", {"id": "cd1", "file": "/x"}),
    "no medium": ("qmp_media", {"id": "cd1", "state": "absent"}),
    "object's property": ("qmp_qom", {"path": "/objects/io1", "property": "poll-max-ns", "value": 1}),
    "object's properties": ("qmp_qom", {"path": "/objects/io1"}),
    "command": ("qmp_command", {"execute": "set_link", "arguments": {"name": "n1", "up": True}}),
    "new memory": ("qmp_memory_hotplug", {"id": "x1", "size": "128M"}),
    "total of memory": ("qmp_memory_hotplug", {"total": "512M"}),
    "balloon": ("qmp_balloon", {"size": "128M"}),
    "migration": ("qmp_migrate", {"state": "status", "capabilities": {"xbzrle": True}, "parameters": {"max-bandwidth": 1}}),
    "dump": ("qmp_dump", {"path": "/x"}),
    "paused": ("qmp_power", {"state": "paused"}),
    "running": ("qmp_power", {"state": "running"}),
}


CONTROLS = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def texts_of(value: Any) -> list[str]:
    """All texts in *value*."""
    if isinstance(value, dict):
        return [text for pair in value.items() for one in pair for text in texts_of(one)]
    if isinstance(value, list):
        return [text for one in value for text in texts_of(one)]
    return [value] if isinstance(value, str) else []


def check(result: dict[str, Any]) -> None:
    """Assert a success, or a failure with a sentence and a code of the closed list. Nothing in it controls a terminal."""
    assert "exception" not in result
    shown = texts_of({name: value for name, value in result.items() if name != "invocation"})
    assert not [text for text in shown if CONTROLS.search(text)]
    if result.get("failed"):
        assert result["error_code"] in ERROR_CODES
        assert isinstance(result["msg"], str) and result["msg"]


class Liar:
    """Answers as *truth* does. Only the request *victim* gets the *lie*. ``returned``: the return values, by request."""

    def __init__(self, truth: Truth, victim: str = "", lie: Any = None) -> None:
        self.returned: dict[str, Any] = {}
        self._truth, self._victim, self._lie = truth, victim, lie

    def __call__(self, request: dict[str, Any]) -> Iterable[bytes]:
        answer = self._truth(request)
        key = json.dumps([request["execute"], request.get("arguments")])
        if "return" in answer:
            self.returned[key] = answer["return"]
        return [line({"id": request["id"], **({"return": self._lie} if key == self._victim else answer)})]

    def asked(self) -> dict[str, list[str]]:
        """The requests that got a value, by command."""
        return {
            command: [key for key in self.returned if json.loads(key)[0] == command]
            for command in sorted({json.loads(key)[0] for key in self.returned})
        }


@functools.cache
def true_answers(truth: Truth, name: str) -> Liar:
    """The answers to a run from a peer that does not lie."""
    module, options = RUNS[name]
    honest = Liar(truth)
    run(module, options, Peer(honest))
    return honest


@pytest.mark.parametrize("name", RUNS)
def test_the_runs_succeed_or_fail_truthfully_without_lies(truth: Truth, name: str) -> None:
    """Otherwise the other tests would prove little."""
    module, options = RUNS[name]
    result = run(module, options, Peer(Liar(truth)))
    check(result)
    assert result.get("error_code") not in ("protocol_error", "invalid_option", "connect_failed")


@pytest.mark.parametrize("name", RUNS)
@given(data=st.data())
def test_one_wrong_value_in_one_answer_ends_a_run_in_one_result(truth: Truth, name: str, data: st.DataObject) -> None:
    module, options = RUNS[name]
    returned = true_answers(truth, name).returned
    asked = true_answers(truth, name).asked()
    victim = data.draw(st.sampled_from(asked[data.draw(st.sampled_from(list(asked)))]))
    path = data.draw(st.sampled_from(paths_in(returned[victim])))
    lie = replaced(returned[victim], path, data.draw(st.one_of(st.sampled_from([..., HALF]), anything)))
    check(run(module, options, Peer(Liar(truth, victim, lie))))


@pytest.mark.parametrize("name", RUNS)
@given(values=st.lists(anything, min_size=1, max_size=5))
def test_answers_of_any_shape_end_a_run_in_one_result(name: str, values: list[Any]) -> None:
    module, options = RUNS[name]

    def reply(request: dict[str, Any]) -> Iterable[bytes]:
        return [line({"return": values[len(request["execute"]) % len(values)], "id": request["id"]})]

    check(run(module, options, Peer(reply)))


@given(st.lists(texts, max_size=6).map("\r\n".join), st.integers(0, 3))
def test_any_text_is_read_as_network_backends(text: str, indent: int) -> None:
    below = f"hub 1\r\n \\ {text}: nic: {text}", f"a: index=0,type=nic\r\n \\ {text}: type=user"
    for lines in (text, " " * indent + "\\ " + text, *below):
        for name, netdev in parse_netdevs(lines).items():
            assert netdev.id == name and isinstance(netdev.type, str)


@given(st.lists(texts, max_size=6))
def test_any_names_have_a_natural_order(names: list[str]) -> None:
    names += ["rp10", "rp2", "rp02", "rp" + "9" * 5000]
    order = sorted(names, key=natural)
    assert order == sorted(order, key=natural)
    assert [name for name in order if name in ("rp2", "rp10")] == ["rp2", "rp10"]
    assert natural("rp02") == natural("rp2") < natural("rp10") < natural("rp" + "9" * 5000)


@pytest.mark.parametrize("evil", [HALF, *filter(None, EVIL)], ids=lambda name: ascii(name)[:20])
def test_a_device_of_any_name_is_returned_in_printable_text(truth: Truth, evil: str) -> None:
    """QEMU 10 takes any id, so another tool may have plugged a device of this one."""

    def reply(request: dict[str, Any]) -> Iterable[bytes]:
        answer = truth(
            {
                **request,
                "arguments": {
                    name: value.replace(f"/{evil}", "/d1") if isinstance(value, str) else value
                    for name, value in request.get("arguments", {}).items()
                },
            }
            if "arguments" in request
            else request
        )
        if request["execute"] == "qom-list" and request["arguments"]["path"] == "/machine/peripheral":
            answer = {"return": [*answer["return"], {"name": evil, "type": "child<virtio-blk-pci>"}]}
        return [line({"id": request["id"], **answer})]

    result = run("qmp_info", {"gather_subset": ["devices", "disks", "capacity"]}, Peer(reply))
    check(result)
    assert not result.get("failed") or evil == HALF, result
    if evil != HALF:  # QEMU cannot be asked about it
        assert printable(evil) in [device["id"] for device in result["devices"]]


def test_the_shape_of_each_answer_is_checked(truth: Truth) -> None:
    """A command that a run reads must be in the table of shapes, or its answer is checked elsewhere."""
    free = {"qom-get", "query-qmp-schema", "device-list-properties"}
    for name in RUNS:
        assert {command for command in true_answers(truth, name).asked() if command.startswith(READING)} <= _REPLIES.keys() | free


@pytest.mark.parametrize("name", RUNS)
def test_the_words_of_a_monitor_are_printable_everywhere_in_a_result(truth: Truth, name: str) -> None:
    """Each text and each error of QEMU has control characters in it."""
    module, options = RUNS[name]
    for refused in (False, True):

        def reply(request: dict[str, Any], refused: bool = refused) -> Iterable[bytes]:
            answer = truth(request)
            if refused and not request["execute"].startswith(READING):
                answer = {"error": {"class": "GenericError", "desc": "no \x1b[2J\r\x9b\u202e\ud800 way"}}
            text = json.dumps({**answer, "id": request["id"]})
            for known in ("null-co", "prelaunch", "q35", "/dev/", "unix:"):
                text = text.replace(known, f"{known}\\u001b[2J\\u009b\\u202e")
            return [text.encode() + b"\n"]

        check(run(module, options, Peer(reply)))


SECRETS = ("top\rsecret", "top\x1b[2Jsecret", "top secret\r", "\u202etop secret", "top\r\nsecret")


@pytest.mark.parametrize("secret", SECRETS, ids=ascii)
@pytest.mark.parametrize("fails", [False, True], ids=["taken", "refused"])
def test_a_secret_with_control_characters_is_not_shown_in_any_form(truth: Truth, secret: str, fails: bool) -> None:
    """Not even if QEMU repeats it."""

    def reply(request: dict[str, Any]) -> Iterable[bytes]:
        answer = truth(request)
        if fails and request["execute"] == "object-add":
            answer = {"error": {"class": "GenericError", "desc": f"I do not like {secret}\r\nat all"}}
        elif request["execute"] == "qom-list" and request["arguments"]["path"] == "/objects":
            answer = {"return": [*answer["return"], {"name": f"{secret}\n", "type": "child<x>"}]}
        return [line({**answer, "id": request["id"]})]

    output = json.dumps(run("qmp_object", {"id": "s9", "qom_type": "secret", "secret": secret}, Peer(reply)))
    assert "secret" not in output.replace('"secret"', "").replace("secret,id=s9", ""), output
    assert ("do not like" in output) == fails
