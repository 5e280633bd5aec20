# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options on the command line of a QEMU process."""

from __future__ import annotations

import os

from ansible_collections.vmops.qemu.plugins.module_utils._vm.host import qemu_process


def test_options_are_found_by_their_ids() -> None:
    words = ["qemu", "-device", "scsi-hd,id=d0,drive=n0,share-rw", "--drive", "a,,b.img,id=x", "-blockdev", '{"node-name": "n0"}']
    found = qemu_process.of_words(
        [*words, "-netdev", "user,id=u,hostfwd=a,hostfwd=b,hostfwd=c", "-device", "{bad", "-device", "[1]"]
    )
    assert found.devices == {"d0": {"driver": "scsi-hd", "id": "d0", "drive": "n0", "share-rw": "on"}}
    assert found.drives == {"x": {"file": "a,b.img", "id": "x"}} and found.nodes == {"n0": {"node-name": "n0"}}
    assert found.netdevs["u"]["hostfwd"] == ["a", "b", "c"]


def test_the_image_of_a_node_is_found_through_other_nodes() -> None:
    nodes = {"fmt": {"file": "proto"}, "proto": {"filename": "/x"}, "loop": {"file": "loop"}}
    assert qemu_process.filename(nodes["fmt"], nodes) == "/x"
    assert qemu_process.filename({"file": {"driver": "file", "filename": "/y"}}, {}) == "/y"
    assert qemu_process.filename({"file.filename": "/z"}, {}) == qemu_process.filename({"file": "/z"}, {}) == "/z"
    assert qemu_process.filename({"file": "loop"}, nodes) == "loop" and qemu_process.filename({"driver": "null-co"}, {}) is None


def test_a_process_that_is_not_visible_has_no_options() -> None:
    assert qemu_process.read(None).devices == {} and qemu_process.read(os.getpid()).devices == {}
