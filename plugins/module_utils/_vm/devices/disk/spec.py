# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk as a task specifies it, and the arguments of ``blockdev-add`` for it."""

from __future__ import annotations

from dataclasses import field
from typing import Any, Mapping

from ...errors import InvalidOption
from ...lazy import dataclass
from ..frontend import FrontendSpec
from ..option_table import Values, arguments
from .options import NODE

READ_ONLY_DRIVERS = frozenset(("scsi-cd", "ide-cd"))
"""Drivers whose disks are read-only unless the task sets something else."""


@dataclass(frozen=True)
class DiskSpec:
    """A disk as a task specifies it; None is not set.

    ``file`` is the path of an image or a block device. ``backend`` is a blockdev protocol driver with its options, as
    ``blockdev-add`` takes it; planning works it out for a file. ``node`` are the options of the table NODE. ``size`` is in bytes,
    ``limits`` are as in throttle.py, without those that are unlimited. ``passphrase`` opens an encrypted image.
    ``backend_secrets`` are passwords, each by the option of *backend* that names a secret object (``password-secret`` …).

    The rest is filled in by planning: ``present_format`` is the format of the disk that the VM has, ``key_secret`` the id of a
    secret object of the VM that opens the image.
    """

    frontend: FrontendSpec
    file: str | None = None
    backend: dict[str, Any] | None = None
    node: Values = field(default_factory=dict)
    size: int | None = None
    limits: Mapping[str, int] | None = None
    passphrase: str | None = None
    backend_secrets: Mapping[str, str] = field(default_factory=dict)
    allow_shrink: bool = False
    attach: bool = True
    recreate: bool = False
    force: bool = False
    present_format: str | None = None
    key_secret: str | None = None

    @property
    def id(self) -> str:
        return self.frontend.id

    @property
    def format(self) -> str:
        """The format that the task sets; if it sets none, that of the disk that the VM has; else raw."""
        return str(self.node.get("format") or self.present_format or "raw")

    @property
    def path(self) -> str | None:
        """The path of the image, if it is a file of the host."""
        path = (self.backend or {}).get("filename")
        return path if isinstance(path, str) else None

    @property
    def secrets(self) -> dict[str, str]:
        """The data of the secret objects that are added and removed with the disk, by id. No two disks share one, because the
        part after the last dot is not an id of a disk."""
        image = {} if self.passphrase is None else {f"{self.id}.secret": self.passphrase}
        return {**image, **{f"{self.id}.{option}": value for option, value in self.backend_secrets.items()}}

    def is_read_only(self, driver: str) -> bool:
        return bool(self.node.get("read_only", driver in READ_ONLY_DRIVERS))


def blockdev_arguments(spec: DiskSpec, driver: str) -> dict[str, Any]:
    """The arguments of ``blockdev-add`` for a disk whose device is a *driver*. Raises InvalidOption."""
    node = arguments(NODE, spec.node)
    secrets = {option: f"{spec.id}.{option}" for option in spec.backend_secrets}
    return {
        "driver": spec.format,
        "node-name": spec.id,
        "read-only": spec.is_read_only(driver),
        "file": {**(spec.backend or {}), **node.pop("file", {}), **secrets},
        **encryption_arguments(spec),
        **node,
    }


def encryption_arguments(spec: DiskSpec) -> dict[str, Any]:
    """The arguments that name the secret of an encrypted image: LUKS itself, or the LUKS inside a qcow2. Raises InvalidOption."""
    if spec.passphrase is None and spec.key_secret is None:
        return {}
    secret = {"key-secret": spec.key_secret or f"{spec.id}.secret"}
    if spec.format == "luks":
        return secret
    if spec.format == "qcow2":
        return {"encrypt": {"format": "luks", **secret}}
    raise InvalidOption(
        f"The disk {spec.id} has the format {spec.format}, and passphrase is only for luks and qcow2. Set format, or leave "
        "passphrase out."
    )
