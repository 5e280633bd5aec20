# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the arguments of a command refer to by its id or name: it must exist when the command is sent.

QEMU refuses a reference to nothing, but only at that command, when a plan may already have removed other things for good. In a
plan of many items the VM is a Forecast, so that what an item before adds is there, and what it removes is not.
"""

from __future__ import annotations

from typing import Any, Collection, Iterator, Mapping

from ...qmp import Schema
from ..errors import InvalidOption
from .hardware import Hardware

_NODE = "blockdev-add"
_OBJECTS = ("tls-creds", "keyid", "passwordid")
"""Arguments that name an object, besides those whose names end in ``-secret``. QEMU looks up a ``tls-authz`` only later."""


def refuse_missing_chardev(hardware: Hardware, option: str, name: Any) -> None:
    """Raise InvalidOption unless the VM has the character device."""
    if name is not None and name not in hardware.chardevs:
        raise InvalidOption(f"{option} is {name!r}, but the VM has no such character device. Add it first, with qmp_chardev.")


def refuse_missing_netdev(hardware: Hardware, option: str, name: Any) -> None:
    """Raise InvalidOption unless the VM has the network backend."""
    if name is not None and name not in hardware.netdevs:
        raise InvalidOption(f"{option} is {name!r}, but the VM has no such network backend. Add it first.")


def refuse_missing_objects(hardware: Hardware, path: str, arguments: Mapping[str, Any], added: Collection[str] = ()) -> None:
    """Raise InvalidOption for an object that the VM does not have and that *arguments*, which a task has under the option *path*,
    name at any depth. *added*: ids of objects that earlier steps add."""
    for place, name, value in _texts(path, arguments):
        if (name in _OBJECTS or name.endswith("-secret")) and value and value not in hardware.objects and value not in added:
            raise InvalidOption(f"{place} is {value!r}, but the VM has no such object. Add it first, with qmp_object.")


def refuse_missing_nodes(hardware: Hardware, path: str, node: Mapping[str, Any]) -> None:
    """Raise InvalidOption for a block node or a throttle group that the arguments *node* of ``blockdev-add`` name, at any depth,
    and that the VM does not have."""
    groups = [(place, value) for place, name, value in _texts(path, node) if name == "throttle-group"]
    for place, group in groups:
        joined = {entry.get("inserted", {}).get("group") for entry in hardware.block_devices}
        if hardware.objects.get(group) != "throttle-group" and group not in joined:
            raise InvalidOption(f"{place} is {group!r}, but the VM has no such throttle group. Add it first, with qmp_object.")
    root = hardware.schema.argument_type(_NODE)
    if root is None or all(name == "driver" for _place, name, _value in _texts(path, node)):
        return
    for place, name in _nodes(hardware.schema, root, path, root, node):
        if name and name not in hardware.nodes and name not in {entry["device"] for entry in hardware.block_devices}:
            raise InvalidOption(
                f"{place} is {name!r}, but the VM has no such block node. Add it first: qmp_blockdev with attach: false."
            )


def _nodes(schema: Schema, root: str, path: str, type_name: str, value: Any) -> Iterator[tuple[str, str]]:
    """The path and the name of each node that *value* refers to. A reference is where the schema has either a text or the
    arguments of a new node, which are of the type *root*."""
    kind = schema.type_named(type_name)
    if kind["meta-type"] == "alternate" and root in [member["type"] for member in kind["members"]]:
        if isinstance(value, str):
            yield path, value
        elif isinstance(value, Mapping):
            yield from _nodes(schema, root, path, root, value)
    elif kind["meta-type"] == "array" and isinstance(value, (list, tuple)):
        for number, element in enumerate(value):
            yield from _nodes(schema, root, f"{path}[{number}]", kind["element-type"], element)
    elif kind["meta-type"] == "object" and isinstance(value, Mapping):
        case = value.get(kind.get("tag"))
        types = schema.member_types(type_name, case if isinstance(case, str) else None)
        for name, inside in value.items():
            if name in types:
                yield from _nodes(schema, root, f"{path}.{name}", types[name], inside)


def _texts(path: str, value: Any) -> Iterator[tuple[str, str, str]]:
    """The path, the name and the value of each text in *value*, at any depth."""
    pending = [(path, value)]
    while pending:
        place, one = pending.pop()
        if isinstance(one, Mapping):
            for name, inside in one.items():
                if isinstance(inside, str):
                    yield f"{place}.{name}", str(name), inside
                else:
                    pending.append((f"{place}.{name}", inside))
        elif isinstance(one, (list, tuple)):
            pending += [(f"{place}[{number}]", inside) for number, inside in enumerate(one)]
