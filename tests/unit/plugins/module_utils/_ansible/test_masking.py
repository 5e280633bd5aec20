# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets of a task are in no output: not in results, failures, warnings, tracebacks, nor in the log of the host."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from ansible.module_utils import basic

from ansible_collections.vmops.qemu.plugins.module_utils._ansible import module as glue
from ansible_collections.vmops.qemu.plugins.module_utils._ansible import run as task
from ansible_collections.vmops.qemu.plugins.module_utils._ansible.failure import of_fault
from ansible_collections.vmops.qemu.plugins.module_utils._ansible.masking import Masking, as_dict, as_list, no_secret_places
from ansible_collections.vmops.qemu.plugins.module_utils.qmp.secrets import HIDDEN
from ansible_collections.vmops.qemu.tests.support import recordings
from ansible_collections.vmops.qemu.tests.support.in_process import SOCKET, main

SECRET = 'correct "horse\n'
SPEC: dict[str, Any] = {
    "id": {"type": "str"},
    "passphrase": {"type": "str", "no_log": True},
    "data": {"type": "raw", "no_log": True},
    "backend": {"type": "dict"},
    "disks": {"type": "list", "elements": "dict", "options": {"id": {"type": "str"}, "key": {"type": "str", "no_log": True}}},
    "things": {"type": "list", "elements": "dict"},
    "limits": {"type": "dict", "options": {"bps": {"type": "str"}}},
}


def masking(**options: Any) -> Masking:
    return Masking(options, SPEC, {"pass": "passphrase"}, no_secret_places)


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ({"id": "d1", "passphrase": SECRET}, {"id": "d1", "passphrase": HIDDEN}),
        ({"pass": SECRET}, {"pass": HIDDEN}),
        ({"passfrase": SECRET}, {"passfrase": HIDDEN}),
        ({"passphrase": None, "data": ""}, {"passphrase": None, "data": ""}),
        ({"id": {"passphrase": SECRET}}, {"id": HIDDEN}),
        ({"backend": {"driver": "luks", "password": SECRET}}, {"backend": {"driver": "luks", "password": HIDDEN}}),
        ({"backend": json.dumps({"driver": "luks", "password": SECRET})}, {"backend": {"driver": "luks", "password": HIDDEN}}),
        ({"backend": "driver=luks password=hunter2"}, {"backend": {"driver": "luks", "password": HIDDEN}}),
        ({"backend": "{broken " + SECRET}, {"backend": HIDDEN}),
        ({"backend": [SECRET]}, {"backend": HIDDEN}),
        ({"disks": [{"id": "d1", "key": SECRET}]}, {"disks": [{"id": "d1", "key": HIDDEN}]}),
        ({"disks": [{"id": "d1", "kee": SECRET}, SECRET]}, {"disks": [{"id": "d1", "kee": HIDDEN}, HIDDEN]}),
        ({"disks": '[{"id": "d1", "key": "hunter2"}]'}, {"disks": [{"id": "d1", "key": HIDDEN}]}),
        ({"things": ["driver=x password=hunter2"]}, {"things": [{"driver": "x", "password": HIDDEN}]}),
        ({"limits": {"bps": "1M", "bbs": SECRET}}, {"limits": {"bps": "1M", "bbs": HIDDEN}}),
    ],
)
def test_options_are_shown_without_secrets(options: dict[str, Any], shown: dict[str, Any]) -> None:
    assert masking(**options).options == shown


@pytest.mark.parametrize(
    "text",
    [
        SECRET,
        repr(SECRET),
        json.dumps(SECRET),
        json.dumps(json.dumps(SECRET)),
        repr(repr(SECRET)),
        quote(SECRET),
        str([SECRET, "'"]),
    ],
)
def test_a_secret_is_found_in_a_text_however_it_is_escaped(text: str) -> None:
    hidden = masking(passphrase=SECRET).text(f"QEMU refused {text} there")
    assert "horse" not in hidden and hidden.startswith("QEMU refused") and hidden.endswith("there")


def test_a_secret_that_was_made_a_text_by_ansible_is_found_in_its_parts() -> None:
    assert "hunter2hunter2" not in masking(data="{'a': ['hunter2hunter2']}").text("no hunter2hunter2 here")
    assert masking(data="[broken").options == {"data": HIDDEN}


@pytest.mark.parametrize(
    ("secret", "text", "shown"),
    [
        ("disk", "the disk of disks", f"the {HIDDEN} of disks"),
        ("on", "on='on' off", f"on='{HIDDEN}' off"),
        ("", "nothing", "nothing"),
        ("hunter-2", "xhunter-2x", f"x{HIDDEN}x"),
    ],
)
def test_a_secret_that_may_be_an_ordinary_word_is_replaced_as_a_word(secret: str, text: str, shown: str) -> None:
    assert masking(passphrase=secret).text(text) == shown


def test_members_of_a_result_are_masked_by_their_names_and_for_secrets() -> None:
    result = {
        "id": "disk",
        "msg": "the disk is full",
        "file": "/a/disk",
        "list": [{"password": "x", "note": "s3cr3t-word", "status": "s3cr3t-word"}],
    }
    assert masking(passphrase="disk", data="s3cr3t-word").result(result) == {
        "id": "disk",
        "msg": f"the {HIDDEN} is full",
        "file": "/a/disk",
        "list": [{"password": HIDDEN, "note": HIDDEN, "status": "s3cr3t-word"}],
    }


@pytest.mark.parametrize(
    ("value", "read"), [("a=1", {"a": "1"}), ('{"a": 1}', {"a": 1}), ("a b", "a b"), (5, 5), ({"a": 1}, {"a": 1})]
)
def test_a_dict_in_the_notations_of_ansible(value: Any, read: Any) -> None:
    assert as_dict(value) == read


@pytest.mark.parametrize(("value", "read"), [("a,b", ["a", "b"]), ('["a"]', ["a"]), ('{"a": 1}', [{"a": 1}]), (5, 5)])
def test_a_list_in_the_notations_of_ansible(value: Any, read: Any) -> None:
    assert as_list(value) == read


# Through a module


@pytest.mark.parametrize(
    ("module", "options"),
    [
        ("qmp_object", {"id": "s1", "qom_type": "secret", "secret": "hunter2hunter2"}),
        ("qmp_object", {"id": "s1", "qom_type": "secret", "properties": {"data": "hunter2hunter2"}}),
        ("qmp_object", {"id": "s1", "qom_type": "secret", "properties": "not a dict hunter2hunter2"}),
        ("qmp_command", {"execute": "object-add", "arguments": {"qom-type": "secret", "id": "s", "data": "hunter2hunter2"}}),
        ("qmp_command", {"commands": [{"execute": "set_password", "arguments": {"password": "hunter2hunter2"}}]}),
        ("qmp_command", {"commands": "hunter2hunter2"}),
        ("qmp_qom", {"path": "/objects/s", "property": "data", "value": "hunter2hunter2"}),
        ("qmp_blockdev", {"id": "d1", "pasphrase": "hunter2hunter2"}),
    ],
)
def test_a_secret_is_in_no_output_and_not_in_the_log(module: str, options: dict[str, Any]) -> None:
    log: list[str] = []
    result = main(module, log=log, socket="/nosuch", _ansible_verbosity=3, **options)
    assert result["failed"] and "hunter2" not in json.dumps(result) and "hunter2" not in str(log)
    assert HIDDEN in json.dumps(result["invocation"]) or result["invocation"]["module_args"]["commands"] == []


def test_a_defect_shows_no_secret_in_its_message_and_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def defect(work: Any, params: Any, check_mode: bool, warn: Any, tracer: Any) -> dict[str, Any]:
        warn(f"about {params['secret']}")
        try:
            raise KeyError(params["secret"])
        except KeyError as error:
            raise of_fault(error) from error

    monkeypatch.setattr(glue, "run", defect)
    result = main("qmp_object", socket=SOCKET, id="s1", secret="hunter2hunter2", _ansible_verbosity=3)
    assert result["error_code"] == "outcome_unknown" and "KeyError" in result["msg"] and "Traceback" in result["exception"]
    assert "hunter2" not in json.dumps(result) and len(result["warnings"]) == 1


@pytest.mark.parametrize("recording", recordings.of("mixed")[-1:], ids=str)
def test_a_warning_is_shown_once_and_is_printable(recording: recordings.Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    really = task.run

    def warned(work: Any, params: Any, check_mode: bool, warn: Any, tracer: Any) -> dict[str, Any]:
        warn("beware \x1b[31m of this")
        return really(work, params, check_mode, warn, tracer=tracer)

    monkeypatch.setattr(glue, "run", warned)
    result = main("qmp_info", recordings.monitor(recording), socket=SOCKET, gather_subset=["balloon"])
    assert len(result["warnings"]) == 1 and "\x1b" not in result["warnings"][0]


def test_options_that_ansible_cannot_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Older ones stop at half of a surrogate pair when they log the options."""

    def log(*_words: Any, **_options: Any) -> None:
        raise UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed")

    monkeypatch.setattr(basic.AnsibleModule, "log", log)
    result = main("qmp_info", socket=SOCKET)
    assert result["failed"] and "invalid Unicode" in result["msg"] and result["error_code"] == "invalid_option"
