# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module qmp_persist: has the files of ``files.py`` on this host, each replaced at once."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
import uuid
from typing import Any

from ..._vm.errors import HardwareError, InvalidOption
from .. import failure
from ..module import QmpModule
from .files import TEMPLATE, File, content, files, secret_places, unit_of

_BOOTED = "/run/systemd/system"
"""A directory that exists if systemd is the init system: sd_booted(3)."""
OPTIONS: dict[str, Any] = {
    "path": {"type": "path", "required": True},
    "hardware": {"type": "dict"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "program": {"type": "path", "default": "/usr/local/lib/vmops-qemu/hotplug.pyz"},
    "unit_directory": {"type": "path", "default": "/etc/systemd/system"},
}


def main() -> None:
    module = QmpModule(
        secret_places,
        argument_spec=OPTIONS,
        required_if=[("state", "present", ("hardware",))],
        supports_check_mode=True,
    )
    try:
        result = _keep(module)
    except HardwareError as error:
        module.fail_json(**failure.of_error(error).result)
    except OSError as error:
        path = error.filename2 or error.filename or module.params["path"]
        module.fail_json(f"{path}: {error.strerror}.", error_code="command_failed")
    module.exit_json(**result)


def _keep(module: QmpModule) -> dict[str, Any]:
    params = module.params
    present = params["state"] == "present"
    path = params["path"]
    unit = unit_of(path)
    text = content(params["hardware"]) if present else b""
    desired = list(files(path, text, params["program"], params["unit_directory"].rstrip("/"), sys.executable))
    if present:
        _refuse_other_directory(desired[2])
        changed = [file for file in desired if not _is_there(file)]
    else:
        changed = [file for file in (desired[0], desired[-1]) if os.path.lexists(file.path)]
    before = {file.path: _text(file.path) for file in changed if os.path.lexists(file.path)}
    after = {file.path: _shown(file) for file in changed} if present else {}
    if not module.check_mode:
        for file in changed:
            if present:
                _write(file)
            else:
                os.unlink(file.path)
        if any(file in changed for file in desired[2:]) and os.path.isdir(_BOOTED):
            module.run_command(["systemctl", "daemon-reload"])
    return {"changed": bool(changed), "path": path, "unit": unit, "diff": {"before": before, "after": after}}


def _refuse_other_directory(unit: File) -> None:
    """Raise InvalidOption if the present unit is for files in another directory: then it would no longer find these."""
    present = _text(unit.path)
    lines = [[one for one in text.splitlines() if one.startswith("ExecStart=")] for text in (present, unit.content.decode())]
    directories = [os.path.dirname(found[0].split()[-1]) for found in lines if found]
    if len(set(directories)) > 1:
        raise InvalidOption(
            f"path is in {directories[1]}, and {unit.path} is for files in {directories[0]}. Put the files of all VMs of this "
            f"host into one directory, or remove {TEMPLATE} first."
        )


def _is_there(file: File) -> bool:
    try:
        if file.link is not None:
            return os.readlink(file.path) == file.link
        with open(file.path, "rb") as present:
            return present.read() == file.content
    except OSError:
        return False


def _write(file: File) -> None:
    """Replace the file at once. A present one keeps its owner and mode."""
    path = file.path if file.link else os.path.realpath(file.path)
    directory = os.path.dirname(path)
    os.makedirs(directory, 0o755, exist_ok=True)
    if file.link is not None:
        temporary = os.path.join(directory, f".vmops-{uuid.uuid4().hex}")
        os.symlink(file.link, temporary)
        os.rename(temporary, path)
        return
    descriptor, temporary = tempfile.mkstemp(prefix=".vmops-", dir=directory)
    try:
        with os.fdopen(descriptor, "wb") as written:
            written.write(file.content)
            written.flush()
            os.fsync(written.fileno())
        if os.path.exists(path):
            present = os.stat(path)
            os.chown(temporary, present.st_uid, present.st_gid)
            os.chmod(temporary, stat.S_IMODE(present.st_mode))
        else:
            os.chmod(temporary, file.mode)
        os.rename(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)


def _text(path: str) -> str:
    if os.path.islink(path):
        return f"link to {os.readlink(path)}"
    try:
        with open(path, "rb") as file:
            return _readable(file.read())
    except OSError:
        return ""


def _shown(file: File) -> str:
    return _readable(file.content) if file.link is None else f"link to {file.link}"


def _readable(data: bytes) -> str:
    return f"a program of {len(data)} bytes" if data.startswith(b"#!") else data.decode("utf-8", "replace")
