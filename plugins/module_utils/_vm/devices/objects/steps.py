# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands that add and delete an object. Disks and memory have objects too, and load only this of their plans."""

from __future__ import annotations

from typing import Any, Mapping

from ...model.hardware import Hardware
from ...plan.plan import Delete, Execute, Step


def add_object(hardware: Hardware, qom_type: str, object_id: str, properties: Mapping[str, Any]) -> Execute:
    """``object-add``, in the form of this QEMU; a rollback sends ``object-del``."""
    nested = hardware.schema.has_member("object-add", "props")  # before QEMU 6.0
    values = {"qom-type": qom_type, "id": object_id, **({"props": properties} if nested else properties)}
    return Execute("object-add", values, delete_object(object_id))


def delete_object(object_id: str, undo_step: Step | None = None) -> Delete:
    return Delete("object-del", {"id": object_id}, undo_step)
