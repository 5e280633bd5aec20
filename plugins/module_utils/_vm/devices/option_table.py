# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of a kind's options: what the user writes, what QEMU calls it, and how its present value is read back.

A row is the one place that knows this. The arguments of a command, the comparison with what exists, ``unverified`` and the result
are all made from the rows, so that all of them use the option's name as the user wrote it.
"""

from __future__ import annotations

from typing import Any, Callable, Iterable, Mapping, NamedTuple


class Option(NamedTuple):
    """One row.

    ``name`` is the option as written in a task, ``cache.direct`` for a suboption. ``qemu`` is its place in QEMU's arguments,
    with dots for nested ones. ``read`` returns the present value of a subject (a block node, an object, a device) as the option
    has it, and None where this subject does not report it; no ``read`` means that QEMU never reports it.
    """

    name: str
    qemu: str
    read: Callable[[Any], Any] | None = None


class Difference(NamedTuple):
    """An option that has another value than the task sets."""

    option: str
    present: Any
    wanted: Any


Values = Mapping[str, Any]
"""The options of a task by the names of their rows; None, or no entry, means not set."""


def values_of(rows: Iterable[Option], params: Mapping[str, Any]) -> dict[str, Any]:
    """The options that a task sets, by the names of the rows; ``a.b`` is looked up in the dictionary ``a``."""
    found = {row.name: _member(params, row.name) for row in rows}
    return {name: value for name, value in found.items() if value is not None}


def arguments(rows: Iterable[Option], values: Values) -> dict[str, Any]:
    """The values that are set, as arguments of a QMP command."""
    result: dict[str, Any] = {}
    for row in rows:
        if values.get(row.name) is not None:
            _put(result, row.qemu, values[row.name])
    return result


def compare(rows: Iterable[Option], values: Values, subject: Any) -> tuple[list[Difference], list[str]]:
    """How *subject* differs from the values that are set, and which of these QEMU does not report."""
    different: list[Difference] = []
    unverified: list[str] = []
    for row in rows:
        value = values.get(row.name)
        if value is None:
            continue
        present = row.read(subject) if row.read else None
        if present is None:
            unverified.append(row.name)
        elif present != value:
            different.append(Difference(row.name, present, value))
    return different, unverified


def results(rows: Iterable[Option], subject: Any) -> dict[str, Any]:
    """The present values of *subject*, as far as QEMU reports them, in the form that a task has them."""
    result: dict[str, Any] = {}
    for row in rows:
        present = row.read(subject) if row.read else None
        if present is not None:
            _put(result, row.name, present)
    return result


def _member(params: Mapping[str, Any], name: str) -> Any:
    value: Any = params
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _put(result: dict[str, Any], name: str, value: Any) -> None:
    *parents, last = name.split(".")
    for parent in parents:
        result = result.setdefault(parent, {})
    result[last] = value
