# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host keeps of a VM's desired hardware: the file with the options, the program, the systemd unit, and the link that has
systemd run it after each start of the VM.
"""

from __future__ import annotations

import json
import os
import re
from typing import Any, Iterator, Mapping, NamedTuple

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ..._vm.desired import refuse_twice
from ..._vm.errors import InvalidOption
from ...qmp.secrets import Redactor
from .. import connection
from ..masking import as_dict, shown_options
from ..options import hotplug
from ..run import arguments
from . import runner
from .bundle import program

TEMPLATE = "vmops-qemu-hotplug@.service"
_NAME = re.compile(r"[A-Za-z0-9:_.\\@-]+\Z")
"""What the instance of a systemd unit can be called."""
_SUFFIX = ".json"
_UNIT = """\
# Written by vmops.qemu.qmp_persist.
[Unit]
Description=Plug the hardware of the VM %i again
Documentation=https://github.com/vmops/vmops.qemu/blob/main/docs/persistence.md
After=%i.service
PartOf=%i.service
StartLimitIntervalSec=0

[Service]
Type=oneshot
ExecStart={program} {directory}/%i{suffix}
Restart=on-failure
RestartSec=10
RestartPreventExitStatus={invalid}
SuccessExitStatus=SIGTERM

[Install]
WantedBy=%i.service
"""


class File(NamedTuple):
    """A file as it shall be. ``link``: it is a symbolic link to this target, and has no ``content``."""

    path: str
    content: bytes = b""
    mode: int = 0o644
    link: str | None = None


def unit_of(path: str) -> str:
    """The name of the systemd unit that plugs the hardware in the file at *path*. Raises InvalidOption."""
    directory, file = os.path.split(path)
    name = file[: -len(_SUFFIX)]
    if not (file.endswith(_SUFFIX) and _NAME.match(name) and directory.startswith("/")):
        raise InvalidOption(
            f"path {path!r} is not an absolute path that ends with NAME{_SUFFIX}, where NAME is that of the VM's systemd unit "
            "without .service: letters, digits and : _ . \\ @ -. Set path to such a one, as /etc/vmops-qemu/vm1.json."
        )
    return TEMPLATE.replace("@", f"@{name}")


def files(path: str, content: bytes, program_path: str, unit_directory: str, interpreter: str) -> Iterator[File]:
    """All files for the VM whose options are in *path*: these, the program, the unit template and the link. Raises
    InvalidOption."""
    for option, value in (("path", os.path.dirname(path)), ("program", program_path), ("unit_directory", unit_directory)):
        if not re.match(r"/[^\s%$\"'\\]*\Z", value):
            raise InvalidOption(
                f"{option}: {value!r} is not an absolute path, or it has a space or one of % $ \" ' \\, which have a meaning in "
                "a systemd unit. Use another one."
            )
    unit = unit_of(path)
    name = unit[len("vmops-qemu-hotplug@") : -len(".service")]
    yield File(path, content)
    yield File(program_path, program(runner.__name__, runner.main.__name__, interpreter), 0o755)
    yield File(f"{unit_directory}/{TEMPLATE}", unit_text(os.path.dirname(path), program_path).encode())
    yield File(f"{unit_directory}/{name}.service.wants/{unit}", link=f"../{TEMPLATE}")


def unit_text(directory: str, program_path: str) -> str:
    """The unit for all VMs whose options are in *directory*."""
    return _UNIT.format(program=program_path, directory=directory, suffix=_SUFFIX, invalid=runner.INVALID)


def content(hardware: Any) -> bytes:
    """The content of the file with these options of qmp_hotplug. Raises InvalidOption for options that it would reject, and for a
    secret."""
    known = {**connection.OPTIONS, **hotplug.OPTIONS}
    given = {name: value for name, value in hardware.items() if name not in known or value not in (None, [], {})}
    rules = arguments(hotplug.OPERATION)
    checked = ArgumentSpecValidator(rules.pop("argument_spec"), **rules).validate(given)
    if checked.error_messages:
        raise InvalidOption(
            f"hardware: {'. '.join(checked.error_messages)}. Set the options of qmp_hotplug and of its connection."
        )
    secret = next(_differences(given, shown(given, Redactor())), None)
    if secret:
        raise InvalidOption(
            f"hardware: {secret} is a secret, and secrets are not written to a file. {_remedy(secret)} Or leave out what "
            "needs it, and have a play add that after each start of the VM."
        )
    params = checked.validated_parameters
    connection.check_values(params)
    connection.check_numbers(params, known)
    refuse_twice(hotplug.desired_hardware(params).items)
    return (json.dumps(given, indent=2, sort_keys=True) + "\n").encode()


def _remedy(place: str) -> str:
    if place.startswith("objects"):
        return "Set properties.file to a file with the secret, which QEMU reads itself."
    if "backend_secrets" in place:
        return "Add an object of type secret with properties.file, and name it in backend (password-secret)."
    return "QEMU cannot read it from a file for this item."


def shown(hardware: Any, redactor: Redactor) -> Any:
    """The options without their secrets, whether or not they are valid."""
    options = as_dict(hardware)
    if not isinstance(options, dict):
        redactor.hide(hardware)
        return None
    return {
        **shown_options(options, {**connection.OPTIONS, **hotplug.OPTIONS}, redactor),
        **hotplug.secret_places(options, redactor),
    }


def secret_places(params: Mapping[str, Any], redactor: Redactor) -> dict[str, Any]:
    """The option ``hardware`` as it may be shown."""
    return {"hardware": shown(params["hardware"], redactor)} if params.get("hardware") is not None else {}


def _differences(given: Any, other: Any, where: str = "") -> Iterator[str]:
    """The places where *other* is not as *given*, as ``blockdevs[0].passphrase``."""
    if isinstance(given, dict) and isinstance(other, dict):
        for name in given:
            yield from _differences(given[name], other.get(name), f"{where}.{name}" if where else str(name))
    elif isinstance(given, list) and isinstance(other, list) and len(given) == len(other):
        for number, (one, two) in enumerate(zip(given, other)):
            yield from _differences(one, two, f"{where}[{number}]")
    elif given != other:
        yield where
