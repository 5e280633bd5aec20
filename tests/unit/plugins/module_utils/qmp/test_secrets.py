# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where secrets are found, and where not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils.qmp.secrets import HIDDEN, Redactor, is_secret_name, is_secret_property


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "pasword",
        "passwort",
        "Password",
        "pass_word",
        "http-password",
        "passphrase",
        "passhprase",
        "secret",
        "secrets",
        "sekret",
        "cookie",
        "cokie",
        "txcookie",
        "pwd",
        "api_key",
        "access-token",
        "credentials",
    ],
)
def test_names_of_secrets_are_recognised_and_their_misspellings(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "key-secret",
        "password-secret",
        "cookie-secret",
        "encrypt.key-secret",
        "passwordid",
        "keyid",
        "sectors",
        "section",
        "passthrough",
        "id",
        "data",
        "driver",
        "key",
        "keys",
        "host-key-check",
        "compressed",
        "",
        "x" * 100,
        "秘密",
    ],
)
def test_names_that_hold_no_secret_are_not_taken_for_such(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("data", True),
        ("dat", True),
        ("dta", True),
        ("rawdata", True),
        (None, True),
        ({}, True),
        ("size", False),
        ("metadata", False),
    ],
)
def test_properties_that_hold_a_secret(name: str, expected: bool) -> None:
    assert is_secret_property(name) is expected


@pytest.mark.parametrize(
    ("text", "shown", "found"),
    [
        ("https://me:pw@host/x", f"https://me:{HIDDEN}@host/x", {"pw"}),
        ("https://me:p@w:/x@host/x", f"https://me:{HIDDEN}@host/x", {"p@w:/x"}),
        ("https://:pw@host/x", f"https://:{HIDDEN}@host/x", {"pw"}),
        ("ssh://me:a%20b@host", f"ssh://me:{HIDDEN}@host", {"a%20b", "a b"}),
        ("iscsi://me%pw@host/iqn/0", f"iscsi://me%{HIDDEN}@host/iqn/0", {"pw"}),
        ("https://host/x?token=abc&v=1", f"https://host/x?token={HIDDEN}&v=1", {"abc"}),
        ("https://host/x?X-Amz-Signature=abc", f"https://host/x?X-Amz-Signature={HIDDEN}", {"abc"}),
        ("rbd:pool/image:id=me:key=AQ==:conf=/x", f"rbd:pool/image:id=me:key={HIDDEN}:conf=/x", {"AQ=="}),
        ("driver=https,cookie=a,,b,url=https://h/", f"driver=https,cookie={HIDDEN},url=https://h/", {"a,,b", "a,b"}),
        ("driver=luks,key-secret=s", "driver=luks,key-secret=s", set()),
        ("ssh://me@host/x", "ssh://me@host/x", set()),
        ("nbd://host:10809/disk@1", "nbd://host:10809/disk@1", set()),
        ("https://[::1]:80/x", "https://[::1]:80/x", set()),
        ("/srv/a:b@c", "/srv/a:b@c", set()),
        ("virtio-blk-pci,id=d1,serial=key=x", "virtio-blk-pci,id=d1,serial=key=x", set()),
    ],
)
def test_texts_with_secrets_in_them(text: str, shown: str, found: set[str]) -> None:
    redactor = Redactor()
    assert (redactor.text(text), redactor.found) == (shown, found)


@pytest.mark.parametrize("prefix", ["json:", ""])
def test_json_in_a_text_is_looked_into(prefix: str) -> None:
    text = prefix + json.dumps({"driver": "https", "cookie": "c", "file": {"filename": "https://u:p@h/"}})
    shown = prefix + json.dumps({"driver": "https", "cookie": HIDDEN, "file": {"filename": f"https://u:{HIDDEN}@h/"}})
    assert Redactor().text(text) == shown
    assert Redactor().text(prefix + '{"driver":"file"}') == prefix + '{"driver":"file"}'
    assert "cc" not in Redactor().text(prefix + '{"cookie": "cc"')
    assert Redactor().text(prefix + '{"cookie":' * 100000) == prefix + HIDDEN


def test_a_message_shows_no_secret_that_it_quotes() -> None:
    text = """Could not open 'https://u:p@h/x': {'cookie': 'it\\'s', "password": "x\\"y"} 'size': '1'"""
    assert Redactor().text(text, within=True) == (
        f"""Could not open 'https://u:{HIDDEN}@h/x': {{'cookie': '{HIDDEN}', "password": "{HIDDEN}"}} 'size': '1'"""
    )


@pytest.mark.parametrize(
    "request_",
    [
        {"execute": "object-add", "arguments": {"qom-type": "secret", "dta": "x"}},
        {"execute": "object_add", "arguments": {"qom-type": "secret", "data": "x"}},
        {"execute": "object-ad", "arguments": {"qom-type": "secrt", "data": "x"}},
        {"execute": "object-add", "arguments": {"qom-type": {"a": "x"}, "data": "x"}},
        {"execute": "object-add", "arguments": "x"},
        {"execute": "object-add", "arguments": ["x"]},
        {"execute": "object-add", "argument": {"data": "x"}},
        {"excute": "object-add", "arguments": {"data": "x"}},
        {"execute": {"object-add": "x"}},
        {"execute": "set_password vnc x"},
        {"execute": "set_pasword", "arguments": {"protocol": "vnc", "pw": "x"}},
        {"execute": "qom-set", "arguments": {"path": "/objects/s", "value": "x"}},
        {"execute": "qom-set", "arguments": {"path": "/objects/s", "property": ["data"], "value": "x"}},
        {"object-add": {"data": "x"}},
        "x",
        ["x"],
    ],
    ids=str,
)
@pytest.mark.parametrize("strict", [True, False])
def test_a_request_that_is_not_well_formed_shows_no_secret(request_: Any, strict: bool) -> None:
    redactor = Redactor(strict)
    shown = json.dumps(redactor.request(request_))
    assert '"x"' not in shown and "vnc x" not in shown
    assert redactor.found


def test_what_is_not_known_to_be_harmless_is_not_shown_of_free_options() -> None:
    value = {"driver": "https", "kooky": "x", "n": 1, "file": {"x": ["y", True]}, "path": ["z"], "none": None}
    shown = {"driver": "https", "kooky": HIDDEN, "n": HIDDEN, "file": {"x": [HIDDEN, HIDDEN]}, "path": ["z"], "none": None}
    redactor = Redactor(strict=True)
    assert (redactor.value(value), redactor.found) == (shown, set())
    assert Redactor().value(value) == value
