# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Launch arguments have the same values after a real QEMU has parsed them."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.vmops.qemu.plugins.module_utils._vm.plan.command_line import (
    blockdev_argument,
    device_argument,
    netdev_argument,
    object_argument,
)
from ansible_collections.vmops.qemu.plugins.module_utils.qmp import Version
from ansible_collections.vmops.qemu.tests.vm.machine import VM

from .values import EVIL

WORDS = [text for text in EVIL if text and len(text) < 40 and "\0" not in text]
"""Texts that a command line can have."""
SERIALS = [text for text in WORDS if len(text.encode()) <= 20][:10]


def test_values_with_commas_quotes_and_line_ends_survive_qemus_parser_of_the_command_line(tmp_path: Path) -> None:
    files = {f"f{number}": str(tmp_path / word) for number, word in enumerate(WORDS) if "/" not in word}
    for path in files.values():
        Path(path).write_bytes(b"\0" * 512)
    extra: list[str] = []
    for number, word in enumerate(WORDS):
        extra += ["-object", object_argument("secret", f"s{number}", {"data": word})]
    for node, path in files.items():
        extra += ["-blockdev", blockdev_argument({"driver": "file", "node-name": node, "filename": path})]
    for form, version in (("old", Version(6, 0, 0)), ("new", Version(7, 2, 0))):
        for number, word in enumerate(SERIALS):
            node = f"{form}{number}"
            disk = {"driver": "scsi-hd", "id": node, "drive": node, "bus": "scsi0.0", "serial": word}
            extra += ["-blockdev", blockdev_argument({"driver": "null-co", "node-name": node, "size": 512})]
            extra += ["-device", device_argument(disk, version)]
    for number, word in enumerate(["a,restrict=on", ",restrict=on", "a,,restrict=on"]):
        extra += ["-netdev", netdev_argument({"type": "user", "id": f"u{number}", "hostname": word})]

    with VM(tmp_path / "vm", boot=False, extra=tuple(extra)) as vm:
        for number, word in enumerate(WORDS):
            assert vm.query("qom-get", path=f"/objects/s{number}", property="data") == word
        nodes = {node["node-name"]: node["file"] for node in vm.query("query-named-block-nodes")}
        assert {node: nodes[node] for node in files} == files
        for form in ("old", "new"):
            for number, word in enumerate(SERIALS):
                assert vm.query("qom-get", path=f"/machine/peripheral/{form}{number}", property="serial") == word
        assert "restrict=on" not in vm.query("human-monitor-command", command_line="info network")
