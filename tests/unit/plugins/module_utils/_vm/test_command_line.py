# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""QEMU's command line: the launch arguments of what was plugged, and what the words of a running QEMU say."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils._vm.errors import InvalidOption
from ansible_collections.vmops.qemu.plugins.module_utils._vm.host import qemu_process
from ansible_collections.vmops.qemu.plugins.module_utils._vm.plan import command_line
from ansible_collections.vmops.qemu.plugins.module_utils.qmp import Version

OLD, NEW = Version(6, 1, 0), Version(10, 0, 0)


def test_a_device_is_json_where_qemu_accepts_it() -> None:
    device = {"driver": "virtio-rng-pci", "id": "a", "share-rw": True, "serial": "x,y"}
    assert command_line.device_argument(device, NEW) == (
        '{"driver": "virtio-rng-pci", "id": "a", "share-rw": true, "serial": "x,y"}'
    )
    assert command_line.device_argument(device, OLD) == "virtio-rng-pci,id=a,share-rw=on,serial=x,,y"


@pytest.mark.parametrize(
    ("netdev", "argument"),
    [
        ({"type": "user", "id": "n"}, "user,id=n"),
        (
            {"type": "user", "id": "n", "hostfwd": [{"str": "tcp::1-:2"}], "ipv6": False},
            "user,id=n,hostfwd=tcp::1-:2,ipv6=off",
        ),
        ({"type": "stream", "id": "n", "addr": {"type": "unix", "path": "/s"}}, "stream,id=n,addr.type=unix,addr.path=/s"),
        ({"type": "x", "id": "n", "list": [{"a": 1}]}, '{"type": "x", "id": "n", "list": [{"a": 1}]}'),
        ({"type": "x", "id": "n", "list": [[1]]}, '{"type": "x", "id": "n", "list": [[1]]}'),
    ],
)
def test_a_network_backend(netdev: dict[str, Any], argument: str) -> None:
    assert command_line.netdev_argument(netdev) == argument


def test_an_object_is_json_where_it_has_a_structure() -> None:
    assert command_line.object_argument("iothread", "io0", {"poll-max-ns": 0}) == "iothread,id=io0,poll-max-ns=0"
    assert command_line.object_argument("throttle-group", "t", {"limits": {"iops-total": 5}}) == (
        '{"qom-type": "throttle-group", "id": "t", "limits": {"iops-total": 5}}'
    )


@pytest.mark.parametrize(
    ("kind", "data", "argument"),
    [
        ("null", {}, "null,id=c"),
        ("file", {"out": "/log", "append": True}, "file,id=c,path=/log,append=on"),
        ("pipe", {"device": "/p"}, "pipe,id=c,path=/p"),
        ("spicevmc", {"type": "vdagent"}, "spicevmc,id=c,name=vdagent"),
        (
            "socket",
            {"addr": {"type": "unix", "data": {"path": "/s"}}},
            "socket,id=c,path=/s,server=on,wait=off",
        ),
        (
            "socket",
            {"addr": {"type": "inet", "data": {"host": "h", "port": "1"}}, "server": False},
            "socket,id=c,host=h,port=1,server=off",
        ),
        ("socket", {"addr": {"type": "vsock", "data": {"cid": "3", "port": "1"}}}, None),
        ("socket", {"addr": {"type": "fd", "data": {"str": "fd0"}}}, None),
        (
            "udp",
            {
                "remote": {"type": "inet", "data": {"host": "h", "port": "1"}},
                "local": {"data": {"host": "l", "port": "2"}},
            },
            "udp,id=c,host=h,port=1,localaddr=l,localport=2",
        ),
        ("udp", {"remote": {"type": "unix", "data": {"path": "/s"}}}, None),
        ("x", {"list": ["a", "b"]}, "x,id=c,list.0=a,list.1=b"),
    ],
)
def test_a_character_device(kind: str, data: dict[str, Any], argument: str | None) -> None:
    assert command_line.chardev_argument(kind, "c", data, NEW) == argument


def test_the_input_of_a_file_is_on_the_command_line_since_8_1() -> None:
    assert command_line.chardev_argument("file", "c", {"out": "/o", "in": "/i"}, OLD) is None
    assert command_line.chardev_argument("file", "c", {"out": "/o", "in": "/i"}, NEW) == "file,id=c,input-path=/i,path=/o"


def test_a_name_that_would_be_another_option_is_rejected() -> None:
    with pytest.raises(InvalidOption, match="'a,b'"):
        command_line.key_values({"a,b": 1})


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("virtio-rng-pci,id=a,x", {"driver": "virtio-rng-pci", "id": "a", "x": "on"}),
        ("driver=x,serial=a,,b", {"driver": "x", "serial": "a,b"}),
        ('{"driver": "x", "id": "a"}', {"driver": "x", "id": "a"}),
        ("{broken", {}),
        ("[1]", {"driver": "[1]"}),
        ('{"a": 1} and more', {}),
        ("x,,y,id=a", {"driver": "x,y", "id": "a"}),
        ("x,", {"driver": "x"}),
    ],
)
def test_the_value_of_an_option_is_read_as_qemu_reads_it(text: str, options: dict[str, Any]) -> None:
    assert qemu_process.parse(text, "driver") == options


def test_lists_of_a_network_backend_are_repeated_keys() -> None:
    assert qemu_process.parse("user,hostfwd=a,hostfwd=b,hostfwd=c", "type")["hostfwd"] == ["a", "b", "c"]


def test_the_launched_parts_are_found_by_id() -> None:
    words = [
        "qemu",
        "-device",
        "a,id=d1",
        "--device",
        "b",
        "-drive",
        "if=none,id=x,node-name=n1",
        "-blockdev",
        "raw,node-name=n2",
    ]
    launched = qemu_process.of_words([*words, "-blockdev", "raw,node-name=n2", "-netdev", "user,id=n0", "-device"])
    assert {*launched.devices} == {"d1"} and {*launched.drives} == {"x"}
    assert {*launched.nodes} == {"n1", "n2"} and {*launched.netdevs} == {"n0"}


def test_a_process_that_is_not_seen_has_an_empty_command_line() -> None:
    assert qemu_process.read(None).devices == {} and qemu_process.read(2**22 + 1).nodes == {}


def test_the_image_of_a_node_is_found_through_other_nodes() -> None:
    nodes: dict[str, dict[str, Any]] = {
        "a": {"driver": "qcow2", "file": "b"},
        "b": {"driver": "file", "filename": "/f"},
        "c": {"driver": "qcow2", "file.driver": "file", "file.filename": "/g"},
        "d": {"driver": "raw", "file": {"driver": "file", "filename": "/h"}},
        "e": {"driver": "x", "file": "e"},
        "f": {"driver": "null-co"},
    }
    found = [qemu_process.filename(nodes[name], nodes) for name in "abcdef"]
    assert found[:4] == ["/f", "/f", "/g", "/h"] and found[5] is None
    assert qemu_process.filename({"file": "/image"}, nodes) == "/image"
