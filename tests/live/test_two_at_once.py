# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two tasks for one id, over two monitors of one VM, at the same time."""

from __future__ import annotations

from typing import Any, Callable

import pytest

from ansible_collections.vmops.qemu.tests.support.modules import finish, run, start, unchanged
from ansible_collections.vmops.qemu.tests.support.values import NULL
from ansible_collections.vmops.qemu.tests.vm.binaries import Binary
from ansible_collections.vmops.qemu.tests.vm.machine import VM

MOST_ROUNDS = 12
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "disk": ("qmp_blockdev", {"id": "d1", "backend": NULL}),
    "node": ("qmp_blockdev", {"id": "d1", "backend": NULL, "attach": False}),
    "scsi": ("qmp_blockdev", {"id": "d1", "backend": NULL, "driver": "scsi-hd"}),
    "nic": ("qmp_netdev", {"id": "n1", "type": "user"}),
    "chardev": ("qmp_chardev", {"id": "c1", "type": "null"}),
    "object": ("qmp_object", {"id": "o1", "qom_type": "iothread"}),
    "device": ("qmp_device", {"id": "r1", "driver": "virtio-rng-pci"}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_loser_is_notified_of_a_conflict_and_leaves_the_winners_alone(
    binary: Binary, make_vm: Callable[..., VM], kind: str
) -> None:
    module, options = KINDS[kind]
    vm = make_vm(binary=binary, boot=False, ports=MOST_ROUNDS + 1)
    sockets = [str(vm.directory / name) for name in ("qmp.sock", "watch.sock")]
    lost: list[dict[str, Any]] = []
    for number in range(MOST_ROUNDS):
        one = {**options, "id": f"{options['id']}{number}"}
        children = [start(module, {"socket": socket, **one}) for socket in sockets]
        results = [finish(child) for child in children]
        lost += [result for result in results if result.get("failed")]
        assert all(result["error_code"] == "conflict" and "Run the task again" in result["msg"] for result in lost), results
        assert not any(result["details"]["left"] or result["changed"] for result in lost), results
        assert [result["changed"] for result in results if not result.get("failed")].count(True) == 1, results
        assert unchanged(run(module, {"socket": sockets[0], **one})), results
        if number > 2 and lost:
            break
    else:
        raise AssertionError("the two never met")


def test_a_place_that_is_really_taken_is_still_reported_as_such(make_vm: Callable[..., VM]) -> None:
    vm = make_vm(boot=False, ports=1)
    socket = str(vm.qmp_socket)
    assert run("qmp_device", {"socket": socket, "id": "a", "driver": "virtio-rng-pci"})["changed"]
    result = run("qmp_device", {"socket": socket, "id": "b", "driver": "virtio-rng-pci"})
    assert result["error_code"] == "no_free_slot", result
    raw = {"socket": socket, "execute": "object-add", "arguments": {"qom-type": "iothread", "id": "io"}}
    assert run("qmp_command", raw)["changed"]
    assert run("qmp_command", raw)["error_code"] == "command_failed"
