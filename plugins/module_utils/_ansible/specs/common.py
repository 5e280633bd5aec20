# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Specs of options that several kinds share."""

from __future__ import annotations

from typing import Any, Iterable, Mapping

from ansible.module_utils.common.text.formatters import human_to_bytes

from ..._vm.devices.frontend import PROPERTIES, FrontendSpec
from ..._vm.devices.option_table import Option, values_of
from ..._vm.errors import InvalidOption
from ..._vm.model.slots import SlotRequest


def frontend_spec(params: Mapping[str, Any], rows: Iterable[Option] = ()) -> FrontendSpec:
    """The spec of a device's frontend from the options of FRONTEND, and from *rows*, which are properties of this kind only."""
    rows = (*PROPERTIES, *rows)
    return FrontendSpec(
        id=params["id"],
        driver=params.get("driver"),
        slot=SlotRequest(params["bus"], params.get("addr"), params.get("scsi_id"), params.get("lun"), tuple(params["reserved"])),
        options={row.qemu: params.get(row.name) for row in rows},
        properties=params["properties"],
        names={row.qemu: row.name for row in rows},
    )


def option_values(rows: Iterable[Option], params: Mapping[str, Any]) -> dict[str, Any]:
    """The options of *rows* that a task sets, by name; sizes in bytes. Raises InvalidOption."""
    rows = list(rows)
    values = values_of(rows, params)
    return {**values, **{row.name: size_in_bytes(values[row.name], row.name) for row in rows if row.size and row.name in values}}


def size_in_bytes(value: str | None, option: str = "size") -> int | None:
    """Bytes of a size such as ``10G`` (powers of 1024). Raises InvalidOption, which names the *option*."""
    try:
        return None if value is None else int(human_to_bytes(value))
    except (ValueError, OverflowError):
        raise InvalidOption(
            f"{option} {value!r} is not a size: write a number of bytes, or a number with K, M, G or T, such as 10G."
        ) from None
