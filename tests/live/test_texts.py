# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts that QEMU does not read are refused before the first command; what QEMU says is printable."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.vmops.qemu.tests.support.modules import Modules, unchanged
from ansible_collections.vmops.qemu.tests.support.values import NULL
from ansible_collections.vmops.qemu.tests.vm.binaries import Binary
from ansible_collections.vmops.qemu.tests.vm.machine import VM

NOT_READ = {
    "U+0000": "\0",
    "U+FDD0": "\ufdd0",
    "U+FFFE": "\ufffe",
    "U+FFFF": "\uffff",
    "U+3FFFF": "\U0003ffff",
    "U+10FFFE": "\U0010fffe",
}
PLACES: dict[str, tuple[str, Callable[[str], dict[str, Any]]]] = {
    "file": ("qmp_blockdev", lambda text: {"id": "d1", "file": f"/x{text}"}),
    "serial": ("qmp_blockdev", lambda text: {"id": "d1", "backend": NULL, "serial": f"a{text}"}),
    "romfile": ("qmp_blockdev", lambda text: {"id": "d1", "backend": NULL, "romfile": f"{text}.rom"}),
    "properties.write-cache": ("qmp_blockdev", lambda text: {"id": "d1", "backend": NULL, "properties": {"write-cache": text}}),
    "properties": ("qmp_blockdev", lambda text: {"id": "d1", "backend": NULL, "properties": {f"x{text}": 1}}),
    "backend.size": ("qmp_blockdev", lambda text: {"id": "d1", "backend": {**NULL, "size": [{"deep": text}]}}),
    "passphrase": ("qmp_blockdev", lambda text: {"id": "d1", "file": "/x", "format": "luks", "passphrase": f"secretly{text}"}),
    "secret": ("qmp_object", lambda text: {"id": "s1", "qom_type": "secret", "secret": f"secretly{text}"}),
    "options.hostname": ("qmp_netdev", lambda text: {"id": "n1", "type": "user", "options": {"hostname": text}}),
    "options.out": ("qmp_chardev", lambda text: {"id": "c1", "type": "file", "options": {"out": f"/x{text}"}}),
    "commands": ("qmp_command", lambda text: {"commands": [{"execute": f"query{text}"}]}),
}


def refused(vm: VM, place: str, code: str) -> None:
    module, options = PLACES[place]
    for check in (True, False):
        result = Modules(vm).run(module, check, **options(NOT_READ[code]))
        assert result.get("error_code") == "invalid_option" and not result["changed"], result
        assert place in result["msg"] and (code in result["msg"] or code == "U+0000" and "NUL" in result["msg"]), result["msg"]
        assert "secretly" not in result["msg"], result["msg"]


def test_a_text_that_qemu_does_not_read_is_refused_wherever_it_stands(make_vm: Callable[..., VM]) -> None:
    vm = make_vm(boot=False)
    before = vm.hardware()
    for place, code in zip(PLACES, itertools.cycle(NOT_READ)):
        refused(vm, place, code)
    assert vm.hardware() == before


@pytest.mark.parametrize("code", NOT_READ)
def test_each_character_that_qemu_does_not_read_is_refused_before_the_first_command(bare_vm: VM, code: str) -> None:
    before = bare_vm.hardware()
    refused(bare_vm, "file", code)
    assert bare_vm.hardware() == before


CONTROLS = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for pair in value.items() for one in pair for text in texts(one)]
    if isinstance(value, list):
        return [text for one in value for text in texts(one)]
    return [value] if isinstance(value, str) else []


def assert_printable(result: dict[str, Any]) -> None:
    said = {name: value for name, value in result.items() if name != "invocation"}  # which is what the task itself says
    assert not [text for text in texts(said) if CONTROLS.search(text)]


@pytest.mark.parametrize("name", ["\x1b[31mred", "a\rb", "bell\x07", "\x9b31m", "turned\u202etxt", "del\x7f"], ids=ascii)
def test_names_of_qemus_command_line_are_reported_in_printable_text(
    binary: Binary, make_vm: Callable[..., VM], tmp_path: Path, name: str
) -> None:
    image = tmp_path / f"disk{name}"
    image.write_bytes(bytes(1 << 20))
    disk = json.dumps({"driver": "file", "node-name": "base", "filename": str(image)})
    vm = make_vm(
        binary=binary,
        boot=False,
        extra=(
            "-name",
            name,
            "-blockdev",
            disk,
            "-device",
            "virtio-blk-pci,id=d9,drive=base,bus=rp0",
            "-device",
            "virtio-serial-pci,id=vs1,bus=rp1",
            "-chardev",
            "null,id=c1",
            "-device",
            f"virtserialport,id=p1,chardev=c1,name={name}",
        ),
    )
    modules = Modules(vm)
    facts = modules.info()
    assert not facts.get("failed"), facts
    assert_printable(facts)
    visible = ascii(name)[1:-1].replace("\\r", "\\x0d")
    assert facts["vm"]["name"] == visible
    assert visible in str([disk["file"] for disk in facts["disks"]]).replace("\\\\", "\\")


def test_what_stands_in_errors_of_qemu_is_printable_and_goes_back_to_it_as_it_was(bare_vm: VM, tmp_path: Path) -> None:
    modules = Modules(bare_vm)
    failed = modules.blockdev(id="d1", file=str(tmp_path / "no\x1b[2Jsuch\r\u202efile"))
    assert failed["error_code"] == "command_failed" and "no\\x1b[2Jsuch\\x0d\\u202efile" in failed["msg"], failed
    assert_printable(failed)
    image = tmp_path / "odd\x1b[2J\rname"
    image.write_bytes(bytes(1 << 20))
    added = modules.blockdev(id="d1", file=str(image), format="raw")
    assert added["changed"], added
    assert_printable(added)
    assert unchanged(modules.blockdev(id="d1", file=str(image), format="raw"))
    reported = {"execute": "human-monitor-command", "arguments": {"command-line": "info block"}}
    answered = modules.run("qmp_command", commands=[reported])
    assert_printable(answered)
    assert "odd\\x1b[2J\\x0dname" in answered["replies"][0] and "\n" in answered["replies"][0], answered
