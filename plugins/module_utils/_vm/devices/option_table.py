# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of a kind's options: how the user writes an option, what QEMU calls it, and how its present value is read back.

Each row is the only declaration of its option in the domain. The arguments of a command, the comparison with what exists,
``unverified`` and the result are all made from the rows. So all of them use the option's name as the user wrote it.
"""

from __future__ import annotations

from typing import Any, Callable, Iterable, Mapping, NamedTuple

from ..errors import InvalidOption


class _Unset:
    def __repr__(self) -> str:
        return "UNSET"


UNSET: Any = _Unset()
"""What ``read`` returns if the subject is known to have no value: this differs from every value, and is not in results."""


class Option(NamedTuple):
    """One row.

    ``name`` is the option as written in a task, ``cache.direct`` for a suboption. ``qemu`` is the name of QEMU's argument, with
    dots for nested ones. ``read`` returns the present value of a subject (a block node, an object, a device) in the form of the
    option, and None if this subject does not report it. Without ``read`` QEMU never reports the value.

    ``same(subject, value)`` returns whether *value* is the present one, and None if that cannot be known; it is needed for values
    that can be written in several forms. ``partial``: ``read`` returns only a part of the value, enough to compare it but not to
    set it again. So it is not in results. ``default`` is what QEMU takes if the option is not set; None if that depends on more.
    ``size``: the value is a number of bytes, which a task can write with a unit.
    """

    name: str
    qemu: str
    read: Callable[[Any], Any] | None = None
    same: Callable[[Any, Any], bool | None] | None = None
    partial: bool = False
    default: Any = None
    size: bool = False


class Difference(NamedTuple):
    """An option whose ``present`` value is another one than the ``desired`` value, which the task sets."""

    option: str
    present: Any
    desired: Any


Values = Mapping[str, Any]
"""The options of a task by the names of their rows; None, or no entry, means not set."""


def values_of(rows: Iterable[Option], params: Mapping[str, Any], others: str = "") -> dict[str, Any]:
    """The options that a task sets, by the names of the rows; ``a.b`` is looked up in the dictionary ``a``.

    *others* is an option whose value is a dictionary of any other options in QEMU's spelling: each member of it is a value too,
    whether or not it has a row. See rows_for.
    """
    found = {row.name: _member(params, row.name) for row in rows}
    found.update({f"{others}.{name}": value for name, value in (params.get(others) or {}).items()})
    return {name: value for name, value in found.items() if value is not None}


def rows_for(rows: Iterable[Option], values: Values) -> list[Option]:
    """A row for each value. The row of an option in QEMU's spelling, ``options.NAME``, is the one with this name for QEMU. If
    there is none, QEMU does not report the option.

    Raises InvalidOption for two values of one row.
    """
    by_name, by_qemu = {row.name: row for row in rows}, {row.qemu: row for row in rows}
    found: dict[str, Option] = {}
    for name in values:
        qemu = name.partition(".")[2]
        row = by_name.get(name) or by_qemu.get(qemu, Option(name, qemu))
        if row.qemu in found:
            raise InvalidOption(f"{found[row.qemu].name} and {name} set the same option. Leave one of them out.")
        found[row.qemu] = row._replace(name=name)
    return list(found.values())


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
        same = None if present is None else row.same(subject, value) if row.same else present == value
        if same is None:
            unverified.append(row.name)
        elif not same:
            different.append(Difference(row.name, None if present is UNSET else present, value))
    return different, unverified


def results(rows: Iterable[Option], subject: Any) -> dict[str, Any]:
    """The present values of *subject*, as far as QEMU reports them, in the form that a task has them."""
    return _nested(present_values(rows, subject))


def present_values(rows: Iterable[Option], subject: Any) -> dict[str, Any]:
    """The same by the names of the rows."""
    found = {row.name: row.read(subject) for row in rows if row.read and not row.partial}
    return {name: value for name, value in found.items() if value is not None and value is not UNSET}


def planned(rows: Iterable[Option], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The results that will be read from a subject that *arguments* of a QMP command make, as far as they are arguments."""
    result: dict[str, Any] = {}
    for row in rows:
        value = _member(arguments, row.qemu) if row.read and not row.partial else None
        if value is not None:
            _put(result, row.name, value)
    return result


def planned_options(rows: Iterable[Option], values: Values) -> dict[str, Any]:
    """What ``results`` will return for a new subject with these values, as far as that is known beforehand."""
    found = {row.name: row.default if values.get(row.name) is None else values[row.name] for row in rows if row.read}
    return _nested({name: value for name, value in found.items() if value is not None})


def without_defaults(rows: Iterable[Option], values: Values) -> dict[str, Any]:
    """Those of *values* that QEMU would not take by itself."""
    defaults = {row.name: row.default for row in rows}
    return {name: value for name, value in values.items() if value != defaults[name]}


def _nested(values: Values) -> dict[str, Any]:
    """Values by the names of their rows, with a dictionary for the suboptions of an option."""
    result: dict[str, Any] = {}
    for name, value in values.items():
        _put(result, name, value)
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
