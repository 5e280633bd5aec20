# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each place of a task that can hold a secret, with secrets of every kind: what a module says and logs does not depend on them.

A module runs several times, with other secrets in the same position. What it wrote to standard output, to standard error and
to the system's log must be the same, so that nothing of a secret is in it, in any spelling, and no secret garbles anything else.
"""

from __future__ import annotations

import json
import re
from typing import Any, Callable, Dict, Iterator, List, Tuple

import pytest

from ansible_collections.vmops.qemu.tests.support.error_codes import ERROR_CODES
from ansible_collections.vmops.qemu.tests.vm.machine import VM

from .logged import Said, run_logged

PLAIN = "correct-horse-battery-staple"
VALUES = {
    "backslash": r"pass\word\with\slashes",
    "newline": "two lines\nof a secret\tand a tab",
    "quotes": 'it\'s a "quoted" secret',
    "escapes": "a\\'b\"c\\\\d'e\\n",
    "non-ascii": "geheimnis-äöü-秘密-🔑",
    "comma": "a secret, with, commas and:colons",
    "percent": "per%cent&amp;per+plus?quest#ion",
    "present": "present",
    "common": "failed",
    "true": "true",
    "one": "1",
    "letter": "e",
}
WRONG_TYPES: dict[str, Callable[[str], Any]] = {
    "dict": lambda secret: {"x": secret},
    "list": lambda secret: [secret],
    "deep": lambda secret: [[{"x": [secret]}]],
}
OF_WRONG_TYPE = [PLAIN, VALUES["backslash"], VALUES["quotes"], VALUES["non-ascii"]]
Places = Dict[str, Tuple[str, Callable[[Any], Dict[str, Any]]]]
"""Modules and options with a secret somewhere."""
BLOCKDEV = {"id": "d1", "format": "luks", "file": "/nosuch/file"}


def add(arguments: Any) -> dict[str, Any]:
    return {"execute": "object-add", "arguments": arguments}


PLACES: Places = {
    # where a secret belongs
    "passphrase": ("qmp_blockdev", lambda s: {**BLOCKDEV, "passphrase": s}),
    "backend_secrets": (
        "qmp_blockdev",
        lambda s: {
            "id": "d1",
            "backend": {"driver": "luks", "file": {"driver": "file", "filename": "/nosuch"}},
            "backend_secrets": {"key-secret": s},
        },
    ),
    "secret": ("qmp_object", lambda s: {"id": "s1", "qom_type": "secret", "secret": s}),
    # where it does not belong
    "backend cookie": (
        "qmp_blockdev",
        lambda s: {"id": "d1", "backend": {"driver": "https", "url": "https://127.0.0.1:1/x", "cookie": s}},
    ),
    "backend password": ("qmp_blockdev", lambda s: {"id": "d1", "backend": {"driver": "iscsi", "password": s}}),
    "backend misspelt": ("qmp_blockdev", lambda s: {"id": "d1", "backend": {"driver": "https", "url": "https://h/", "cokie": s}}),
    "nested": ("qmp_blockdev", lambda s: {"id": "d1", "backend": {"driver": "raw", "file": {"driver": "https", "cookie": s}}}),
    "backend_secrets misspelt": ("qmp_blockdev", lambda s: {**BLOCKDEV, "backend_secret": {"key-secret": s}}),
    "backend_secrets text": ("qmp_blockdev", lambda s: {**BLOCKDEV, "backend_secrets": s}),
    "passphrase misspelt": ("qmp_blockdev", lambda s: {**BLOCKDEV, "passphras": s}),
    "passphrase in vain": ("qmp_blockdev", lambda s: {"id": "d1", "file": "/x", "passphrase": s}),
    "property": ("qmp_device", lambda s: {"id": "d1", "driver": "virtio-rng-pci", "properties": {"password": s}}),
    "object data": ("qmp_object", lambda s: {"id": "s1", "qom_type": "secret", "properties": {"data": s}}),
    "object data misspelt": ("qmp_object", lambda s: {"id": "s1", "qom_type": "secret", "properties": {"dta": s}}),
    "object type misspelt": ("qmp_object", lambda s: {"id": "s1", "qom_type": "secrt", "properties": {"data": s}}),
    "object properties text": ("qmp_object", lambda s: {"id": "s1", "qom_type": "secret", "properties": s}),
    "object option misspelt": ("qmp_object", lambda s: {"id": "s1", "qom_type": "secret", "sekret": s}),
    "object of no type": ("qmp_object", lambda s: {"id": "s1", "properties": {"data": s}}),
    "qom": ("qmp_qom", lambda s: {"path": "/objects/x", "property": "data", "value": s}),
    "qom misspelt": ("qmp_qom", lambda s: {"path": "/objects/x", "property": "dat", "value": s}),
    "qom option misspelt": ("qmp_qom", lambda s: {"path": "/objects/x", "property": "data", "valu": s}),
    "command": ("qmp_command", lambda s: add({"qom-type": "secret", "id": "s1", "data": s})),
    "command misspelt": ("qmp_command", lambda s: {"execute": "object_add", "arguments": {"qom-type": "secret", "data": s}}),
    "argument misspelt": ("qmp_command", lambda s: add({"qom-type": "secret", "id": "s1", "dat": s})),
    "type misspelt": ("qmp_command", lambda s: add({"qom-type": "secert", "id": "s1", "data": s})),
    "props": ("qmp_command", lambda s: add({"qom-type": "secret", "id": "s1", "props": {"data": s}})),
    "arguments text": ("qmp_command", add),
    "arguments list": ("qmp_command", lambda s: add([{"qom-type": "secret", "data": s}])),
    "arguments JSON": ("qmp_command", lambda s: add(json.dumps({"qom-type": "secret", "id": "s1", "data": s}))),
    "arguments JSON cut off": ("qmp_command", lambda s: add(json.dumps({"qom-type": "secret", "data": s})[:-1])),
    "commands": (
        "qmp_command",
        lambda s: {"commands": [add({"qom-type": "secret", "id": "s1", "data": s}), {"execute": "nosuch"}]},
    ),
    "argument": (
        "qmp_command",
        lambda s: {"commands": [{"execute": "object-add", "argument": {"qom-type": "secret", "data": s}}]},
    ),
    "excute": ("qmp_command", lambda s: {"commands": [{"excute": "object-add", "arguments": {"qom-type": "secret", "data": s}}]}),
    "object_add": ("qmp_command", lambda s: {"commands": [{"object-add": {"qom-type": "secret", "data": s}}]}),
    "commands text": ("qmp_command", lambda s: {"commands": [s]}),
    "commands dict": ("qmp_command", lambda s: {"commands": add({"qom-type": "secret", "data": s})}),
    "no command": ("qmp_command", lambda s: {"arguments": {"qom-type": "secret", "data": s}}),
    "option misspelt": ("qmp_command", lambda s: {"execute": "object-add", "argumets": {"qom-type": "secret", "data": s}}),
    "set_password": ("qmp_command", lambda s: {"execute": "set_password", "arguments": {"protocol": "vnc", "password": s}}),
    "set_password misspelt": ("qmp_command", lambda s: {"execute": "set_password", "arguments": {"protocol": "vnc", "pw": s}}),
    "qom-set": (
        "qmp_command",
        lambda s: {"execute": "qom-set", "arguments": {"path": "/objects/s1", "property": "data", "value": s}},
    ),
    "cookie of a command": (
        "qmp_command",
        lambda s: {
            "execute": "blockdev-add",
            "arguments": {"driver": "https", "node-name": "n", "url": "https://h/", "cookie": s},
        },
    ),
    "option of a reader": ("qmp_info", lambda s: {"password": s}),
    "option of the lister": ("qmp_vms_info", lambda s: {"name": "nosuch", "password": s}),
}
URLS: Places = {
    "https": ("qmp_blockdev", lambda s: {"id": "d1", "backend": {"driver": "https", "url": f"https://me:{s}@127.0.0.1:1/x"}}),
    "file": ("qmp_blockdev", lambda s: {"id": "d1", "file": f"https://me:{s}@127.0.0.1:1/x"}),
    "iscsi": ("qmp_blockdev", lambda s: {"id": "d1", "file": f"iscsi://me%{s}@127.0.0.1/target/0"}),
    "ssh": ("qmp_media", lambda s: {"id": "d1", "file": f"ssh://me:{s}@127.0.0.1/x"}),
    "json": (
        "qmp_blockdev",
        lambda s: {"id": "d1", "file": "json:" + json.dumps({"driver": "https", "cookie": s, "url": "https://h/"})},
    ),
    "json in json": (
        "qmp_blockdev",
        lambda s: {
            "id": "d1",
            "backend": {
                "driver": "qcow2",
                "file": {"driver": "file", "filename": "json:" + json.dumps({"driver": "https", "url": f"https://u:{s}@h/"})},
            },
        },
    ),
    "mirror": ("qmp_block_job", lambda s: {"id": "j", "type": "mirror", "disk": "d1", "file": f"nbd://me:{s}@127.0.0.1:1/x"}),
    "migrate": ("qmp_migrate", lambda s: {"uri": f"https://me:{s}@127.0.0.1:1/x"}),
    "command": (
        "qmp_command",
        lambda s: {
            "execute": "blockdev-add",
            "arguments": {"driver": "https", "node-name": "n", "url": f"https://me:{s}@127.0.0.1:1/"},
        },
    ),
}
IN_A_URL = [name for name in VALUES if name not in ("comma", "escapes", "quotes", "newline")]


@pytest.fixture(scope="module")
def idle_vm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VM]:
    with VM(tmp_path_factory.mktemp("vm"), boot=False, extra=("-device", "virtio-scsi-pci")) as vm:
        yield vm


Say = Callable[..., List[Said]]


@pytest.fixture(scope="module")
def say(idle_vm: VM, tmp_path_factory: pytest.TempPathFactory) -> Say:
    """Run modules, each with options, on one VM; what they add there is removed in between."""

    def run(*tasks: tuple[str, dict[str, Any]], check: bool = False) -> list[Said]:
        entries: list[tuple[str, dict[str, Any]]] = []
        asked: list[int] = []
        for module, options in tasks:
            where = {} if module == "qmp_vms_info" else {"socket": str(idle_vm.qmp_socket)}
            asked.append(len(entries))
            entries.append((module, {**where, **options}))
            if not check and module in ("qmp_object", "qmp_command"):
                entries.append(("qmp_object", {"id": "s1", "state": "absent", "socket": str(idle_vm.qmp_socket)}))
        said = run_logged(tmp_path_factory.mktemp("said"), entries, check)
        assert not any(said[number].result.get("failed") for number in set(range(len(said))) - set(asked))
        return [said[number] for number in asked]

    return run


def texts(value: Any) -> Any:
    """A result without its running texts, in which a word that is a secret is hidden wherever it stands."""
    if isinstance(value, dict):
        return {key: texts(one) for key, one in value.items() if key not in ("msg", "desc", "exception", "warnings")}
    return [texts(one) for one in value] if isinstance(value, list) else value


def requests(said: Said) -> set[str]:
    """The messages to QEMU, without times and ids. How often some are sent depends on QEMU's speed."""
    return {re.sub(r"^[\d.]+ |, id: \S+}$", "", line) for line in said.exchange if " -> " in line}


def assert_same(one: Said, other: Said, secret: str, short: bool) -> None:
    assert one.err == other.err == "", one.err
    assert texts(one.result) == texts(other.result)
    assert requests(one) == requests(other)
    assert one.log == other.log
    if not short:
        first, second = json.dumps(one.result), json.dumps(other.result)
        assert first == second or re.sub(r"[\\'\"]", "", first) == re.sub(r"[\\'\"]", "", second)
    if one.result.get("failed"):
        assert one.result["error_code"] in ERROR_CODES and one.result["status"] in ("failed", "unplug_pending")
        assert repr(secret) not in one.result["msg"] and f'"{secret}"' not in one.result["msg"]
    for text in (one.out, one.log):
        if not short:
            assert secret not in text and repr(secret)[1:-1] not in text and json.dumps(secret)[1:-1] not in text


def in_each_place(say: Say, places: Places, secrets: list[Any], check: bool = False) -> dict[str, list[Said]]:
    """What was said of each of *secrets* in each place, in one go."""
    said = say(*((module, options(secret)) for module, options in places.values() for secret in secrets), check=check)
    count = len(secrets)
    return {place: said[number * count : (number + 1) * count] for number, place in enumerate(places)}


@pytest.fixture(scope="module", params=[True, False], ids=["check", "run"])
def in_places(request: pytest.FixtureRequest, say: Say) -> dict[str, list[Said]]:
    return in_each_place(say, PLACES, [PLAIN, *secrets_for(request.param).values()], request.param)


def secrets_for(check: bool) -> dict[str, str]:
    """Check mode takes the same way up to the first command, so a part of them will do."""
    return {name: VALUES[name] for name in (("backslash", "quotes", "present", "letter") if check else VALUES)}


@pytest.fixture(scope="module", params=WRONG_TYPES)
def of_wrong_type(request: pytest.FixtureRequest, say: Say) -> dict[str, list[Said]]:
    wrong = WRONG_TYPES[request.param]
    return in_each_place(say, PLACES, [wrong(secret) for secret in OF_WRONG_TYPE])


@pytest.fixture(scope="module", params=[True, False], ids=["check", "run"])
def in_urls(request: pytest.FixtureRequest, say: Say) -> dict[str, list[Said]]:
    return in_each_place(say, URLS, [PLAIN, *(VALUES[name] for name in IN_A_URL)], request.param)


@pytest.mark.parametrize("place", PLACES)
def test_a_secret_is_not_shown_in_any_place(in_places: dict[str, list[Said]], place: str) -> None:
    first, *others = in_places[place]
    assert PLAIN not in first.out + first.log
    assert "Invoked" in first.log or first.result["error_code"] == "invalid_option"
    for other, secret in zip(others, secrets_for(len(others) < len(VALUES)).values()):
        assert_same(other, first, secret, len(secret) < 8)


@pytest.mark.parametrize("place", PLACES)
def test_nor_is_one_of_another_type(of_wrong_type: dict[str, list[Said]], place: str) -> None:
    first, *others = of_wrong_type[place]
    assert PLAIN not in first.out + first.log
    for other, secret in zip(others, OF_WRONG_TYPE[1:]):
        assert_same(other, first, secret, short=False)


@pytest.mark.parametrize("place", URLS)
def test_nor_is_a_password_in_a_url(in_urls: dict[str, list[Said]], place: str) -> None:
    first, *others = in_urls[place]
    assert PLAIN not in first.out + first.log and first.result["invocation"]["module_args"]
    for other, name in zip(others, IN_A_URL):
        assert_same(other, first, VALUES[name], len(VALUES[name]) < 8)


def test_a_run_that_succeeds_is_logged_with_all_else(say: Say, idle_vm: VM) -> None:
    (said,) = say(("qmp_object", {"id": "s1", "qom_type": "secret", "secret": "e"}))
    assert said.result["changed"] and said.result["status"] == "present"
    assert said.result["commands"] == [
        {"execute": "object-add", "arguments": {"qom-type": "secret", "id": "s1", "data": "********"}}
    ]
    assert said.log.startswith("Invoked with ") and f"socket={idle_vm.qmp_socket}" in said.log and "qom_type=secret" in said.log
    assert said.result["invocation"]["module_args"]["secret"] == "********"


def test_what_is_rolled_back_is_reported_without_the_secret(say: Say) -> None:
    for secret in ("present", "rollback_incomplete", "object-del", VALUES["escapes"]):
        (said,) = say(("qmp_blockdev", {**BLOCKDEV, "passphrase": secret}))
        assert said.result["error_code"] == "command_failed" and said.result["status"] == "failed"
        assert said.result["details"]["sent"][0] == {
            "execute": "object-add",
            "arguments": {"qom-type": "secret", "id": "d1.secret", "data": "********", "format": "base64"},
        }
        assert said.result["details"]["undone"] == [{"execute": "object-del", "arguments": {"id": "d1.secret"}}]


def test_a_secret_that_is_the_id_as_well_hides_only_itself(say: Say) -> None:
    (said,) = say(("qmp_object", {"id": "s1", "qom_type": "secret", "secret": "s1"}))
    assert said.result["commands"][0]["arguments"] == {"qom-type": "secret", "id": "s1", "data": "********"}
    assert said.result["object"]["id"] == "s1" and said.result["invocation"]["module_args"]["id"] == "s1"


@pytest.mark.parametrize("check", [True, False], ids=["check", "run"])
def test_a_password_in_an_hmp_command_is_not_shown_though_qemu_repeats_it(say: Say, check: bool) -> None:
    for said in say(
        *(
            ("qmp_command", {"execute": "human-monitor-command", "arguments": {"command-line": line}})
            for line in (f"set_password vnc {PLAIN}", f"set_password vnc a {PLAIN}")
        ),
        check=check,
    ):
        assert "replies" in said.result and PLAIN not in said.out + said.err + said.log
