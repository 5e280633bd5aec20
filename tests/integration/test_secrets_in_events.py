# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No secret of the role's variables is in anything that a runner such as AWX keeps or shows."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Iterator
from urllib.parse import quote

import pytest

from ansible_collections.vmops.qemu.tests.support.runner import Run, run
from ansible_collections.vmops.qemu.tests.vm.images import make_encrypted
from ansible_collections.vmops.qemu.tests.vm.machine import VM

ROLE = "vmops.qemu.hotplug"
NO_LOG, MASK = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER", "********"
SHAPES = {
    "word": ["{}Zq"],
    "backslash": ["{}Zq", "\\", "n{}Zr"],
    "newline": ["{}Zq", "\n", "{}Zr"],
    "quotes": ["{}Zq", "'", "{}Zr", '"', "{}Zs"],
    "non-ASCII": ["gr\u00fc\u00df", "{}Zq", "\u20ac"],
    "structure": ["[", "{}Zq", "]"],
    "short": ["{}"],
}
"""How secrets are made: parts, of which those that are a word of their own must be in no output, however the rest is escaped."""
SHORT = {"disk": "jQ7", "secret": "qJ6", "refused": "Qj4"}


class Secret:
    def __init__(self, position: str, shape: str) -> None:
        name = SHORT[position] if shape == "short" else f"{position[:3]}{shape[:3]}"
        parts = [part.format(name) for part in SHAPES[shape]]
        self.text = "".join(parts)
        self.words = [part for part in parts if name in part]


@pytest.fixture(scope="module")
def vm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VM]:
    with VM(tmp_path_factory.mktemp("vm"), boot=False) as vm:
        yield vm


SECRETS = {(position, shape): Secret(position, shape) for position in SHORT for shape in SHAPES}


@pytest.fixture(scope="module")
def desired(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """Every position of the role that holds a secret, with every shape: disks without devices, because slots are few."""
    images = tmp_path_factory.mktemp("images")
    disks, objects = [], []
    for number, shape in enumerate(SHAPES):
        secret = SECRETS["disk", shape].text
        encrypted = make_encrypted(images / f"p{number}", "luks", secret)
        other = shutil.copy(encrypted, images / f"b{number}")
        disks += [
            {"id": f"p{number}", "file": str(encrypted), "format": "luks", "passphrase": secret, "attach": False},
            {
                "id": f"b{number}",
                "format": "raw",
                "attach": False,
                "backend_secrets": {"key-secret": secret},
                "backend": {"driver": "luks", "file": {"driver": "file", "filename": str(other)}},
            },
        ]
        objects.append({"id": f"s{number}", "qom_type": "secret", "secret": SECRETS["secret", shape].text})
    return {"hotplug_blockdevs": disks, "hotplug_objects": objects}


def assert_no_secret(played: Run) -> None:
    for (position, shape), secret in SECRETS.items():
        for word in secret.words:
            found = {
                name: text[max(0, text.index(word) - 200) : text.index(word) + 80]
                for name, text in played.left.items()
                if word in text
            }
            assert not found, (position, shape, found)


SINGLE = {"qmp_blockdev": ("passphrase", "backend_secrets"), "qmp_object": ("secret",)}
WHOLE: dict[str, tuple[str, ...]] = {"qmp_hotplug": ()}
"""The modules that a role uses, and their options for secrets."""


def assert_marked(played: Run, modules: dict[str, tuple[str, ...]]) -> None:
    """That the results of these modules are in the events, with the markers instead of the secrets."""
    for action, options in modules.items():
        results = played.results(action)
        commands = [command for result in results for command in result.get("commands", [])]
        added = [command["arguments"] for command in commands if command["execute"] == "object-add"]
        assert added and {one["data"] for one in added} == {"********"}
        for result in results:
            arguments = result.get("invocation", {}).get("module_args", {})  # from ansible-core 2.21 on it is not in the events
            assert {arguments.get(option) for option in options} <= {None, NO_LOG, MASK}, arguments


def test_no_secret_is_in_what_a_runner_keeps(vm: VM, desired: dict[str, Any], tmp_path: Path) -> None:
    before = vm.hardware(), vm.query("query-named-block-nodes")
    socket = {"hotplug_socket": str(vm.qmp_socket)}
    as_text = {name: json.dumps(items) for name, items in desired.items()}
    checked = run(tmp_path / "checked", ROLE, "--check", "--diff", **socket, **as_text)
    bad = {"id": "bad", "file": "/nosuch.img", "passphrase": SECRETS["disk", "word"].text, "format": "luks", "attach": False}
    failed = run(
        tmp_path / "failed", ROLE, "--diff", **socket, **{**desired, "hotplug_blockdevs": [*desired["hotplug_blockdevs"], bad]}
    )
    assert (vm.hardware(), vm.query("query-named-block-nodes")) == before
    done = run(tmp_path / "done", ROLE, "--diff", **socket, **desired)
    gone = {name: [{**item, "state": "absent"} for item in items] for name, items in desired.items()}
    removed = run(tmp_path / "removed", ROLE, "--diff", **socket, **gone)
    assert (vm.hardware(), vm.query("query-named-block-nodes")) == before
    for played, succeeded in ((checked, True), (failed, False), (done, True), (removed, True)):
        assert played.succeeded is succeeded, played.left["what ansible-runner printed"][-3000:]
        assert_no_secret(played)
    assert_marked(done, SINGLE)
    assert_marked(checked, WHOLE)


POSITIONS = ["properties", "password", "cookie", "url"]


@pytest.mark.newest_core
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("position", POSITIONS)
def test_no_secret_of_a_place_that_is_refused_is_in_what_a_runner_keeps(
    vm: VM, tmp_path: Path, position: str, shape: str
) -> None:
    """What the modules refuse, or QEMU, because there is no such server."""
    secret = SECRETS["refused", shape]
    https = {"driver": "https", "url": "https://127.0.0.1:1/x"}
    variables: dict[str, dict[str, Any]] = {
        "properties": {"hotplug_objects": [{"id": "d", "qom_type": "secret", "properties": {"data": secret.text}}]},
        "cookie": {"hotplug_blockdevs": [{"id": "d", "attach": False, "backend": {**https, "cookie": secret.text}}]},
        "password": {"hotplug_blockdevs": [{"id": "d", "attach": False, "backend": {**https, "password": secret.text}}]},
        "url": {
            "hotplug_blockdevs": [
                {"id": "d", "attach": False, "backend": {**https, "url": f"https://me:{quote(secret.text)}@127.0.0.1:1/x"}}
            ]
        },
    }
    played = run(tmp_path / "run", ROLE, "--diff", hotplug_socket=str(vm.qmp_socket), **variables[position])
    assert not played.succeeded
    assert_no_secret(played)


WORDS = "wOrd7Zq"


@pytest.mark.newest_core
@pytest.mark.parametrize(
    "disks",
    [
        [{"id": "a", "passphrase": {WORDS: WORDS}}],
        [{"id": "a", "passphrase": [WORDS]}],
        [{"id": "a", "passphrase": WORDS, "fille": "x"}],
        [{"id": "a", f"passphrase:{WORDS}": None}],
        [{"id": "a", "backend_secrets": WORDS}],
        [f"passphrase={WORDS}"],
        f"- id: a\n  passphrase:{WORDS}",
        f"- id: a\n  passphrase: {WORDS}\n  file: [",
        f"- id: a\n   passphrase: {WORDS}",
        f"passphrase={WORDS}",
        {"id": "a", "passphrase": WORDS},
    ],
    ids=[
        "dictionary",
        "list",
        "unknown option",
        "no space in data",
        "text for secrets",
        "text for an item",
        "no space in text",
        "text that breaks off",
        "text that is indented wrongly",
        "text that is not a list",
        "dictionary for the list",
    ],
)
def test_a_secret_in_a_wrong_variable_is_in_nothing_that_a_runner_keeps(vm: VM, tmp_path: Path, disks: Any) -> None:
    played = run(tmp_path / "run", ROLE, hotplug_socket=str(vm.qmp_socket), hotplug_blockdevs=disks)
    assert not played.succeeded and "so nothing was changed" in played.left["what ansible-runner printed"]
    found = [name for name, text in played.left.items() if WORDS in text]
    assert not found, [(name, played.left[name]) for name in found]
