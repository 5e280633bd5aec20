# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tracer: it sees the whole exchange and no secret."""

from __future__ import annotations

import contextlib
import os
from typing import Any

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils.qmp import CommandError
from ansible_collections.vmops.qemu.plugins.module_utils.qmp.secrets import HIDDEN
from ansible_collections.vmops.qemu.tests.support.scripted_monitor import (
    connected,
    event,
    expect,
    greeting,
)


def traced(command: str, arguments: Any = None, *, fds: int = 0, **script: Any) -> list[Any]:
    """What a tracer sees of one command, without the negotiation: [request, reply, ...]."""
    seen = []
    step = expect(command, arguments, fds=fds, **script)  # what is sent is not redacted
    with connected(step, tracer=lambda *traced: seen.append(traced)) as monitor, open(os.devnull) as null:
        with contextlib.suppress(CommandError):
            monitor.execute(command, arguments, fds=[null.fileno()] * fds)
    return seen[3:]


def test_the_tracer_sees_greeting_requests_replies_and_events_in_their_order() -> None:
    seen = []
    with connected(expect("stop", before=[event("STOP")]), tracer=lambda *traced: seen.append(traced)) as monitor:
        monitor.execute("stop")
    negotiation, stop = seen[1][1]["id"], seen[3][1]["id"]
    assert seen == [
        ("receive", greeting()),
        ("send", {"execute": "qmp_capabilities", "id": negotiation}),
        ("receive", {"return": {}, "id": negotiation}),
        ("send", {"execute": "stop", "id": stop}),
        ("receive", event("STOP")),
        ("receive", {"return": {}, "id": stop}),
    ]


def test_the_tracer_sees_error_replies() -> None:
    (_direction, _request), (direction, reply) = traced("stop", error=("GenericError", "no"))
    assert (direction, reply["error"]) == ("receive", {"class": "GenericError", "desc": "no"})


def test_descriptors_are_shown_as_their_number() -> None:
    assert traced("getfd", {"fdname": "tap0"}, fds=1)[0][1]["fds"] == 1
    assert "fds" not in traced("getfd", {"fdname": "tap0"})[0][1]


@pytest.mark.parametrize(
    "command, arguments, shown",
    [
        (
            "object-add",
            {"qom-type": "secret", "id": "s", "data": "x"},
            {"qom-type": "secret", "id": "s", "data": HIDDEN},
        ),
        (
            "object-add",
            {"qom-type": "secret_keyring", "props": {"data": "x", "format": "raw"}},
            {"qom-type": "secret_keyring", "props": {"data": HIDDEN, "format": "raw"}},
        ),
        ("object-add", {"qom-type": "rng", "data": "x"}, {"qom-type": "rng", "data": "x"}),
        ("set_password", {"protocol": "vnc", "password": "x"}, {"protocol": "vnc", "password": HIDDEN}),
        (
            "x",
            {"list": [{"passphrase": "x", "secret": ["x"]}, 1]},
            {"list": [{"passphrase": HIDDEN, "secret": HIDDEN}, 1]},
        ),
        ("blockdev-add", {"key-secret": "s", "password-secret": "t"}, {"key-secret": "s", "password-secret": "t"}),
        (
            "qom-set",
            {"path": "/objects/s", "property": "data", "value": "x"},
            {"path": "/objects/s", "property": "data", "value": HIDDEN},
        ),
        ("qom-set", {"path": "/m", "property": "size", "value": 1}, {"path": "/m", "property": "size", "value": 1}),
        ("human-monitor-command", {"command-line": "set_password vnc x"}, {"command-line": HIDDEN}),
        ("human-monitor-command", {"command-line": "info network"}, {"command-line": "info network"}),
    ],
)
def test_a_request_is_shown_without_its_secrets_and_with_all_else(command: str, arguments: Any, shown: Any) -> None:
    assert traced(command, arguments)[0][1]["arguments"] == shown


@pytest.mark.parametrize("name, shown", [("data", HIDDEN), ("password", HIDDEN), ("rawdata", HIDDEN), ("size", "value")])
def test_the_value_of_a_secret_property_is_not_shown(name: str, shown: Any) -> None:
    request, reply = traced("qom-get", {"path": "/objects/s", "property": name}, reply="value")
    assert request[1]["arguments"] == {"path": "/objects/s", "property": name}
    assert reply[1]["return"] == shown
    properties = [{"name": name, "type": "string", "value": "value"}, {"name": "type", "type": "string", "value": "secret"}]
    _request, reply = traced("qom-list-get", {"paths": ["/objects/s"]}, reply=[{"properties": properties}])
    assert [one["value"] for one in reply[1]["return"][0]["properties"]] == [shown, "secret"]
