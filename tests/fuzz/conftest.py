# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of the property tests, and a real QEMU as the source of true answers."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from hypothesis import HealthCheck, configuration, settings

from ansible_collections.vmops.qemu.plugins.module_utils.qmp import CommandError, Monitor, ProtocolError, UnixAddress
from ansible_collections.vmops.qemu.tests.vm.machine import VM

from .peer import Peer, instead_of_a_socket

configuration.set_hypothesis_home_dir(Path(__file__).parents[2] / ".cache/hypothesis")
settings.register_profile(
    "hostile",
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)
settings.load_profile("hostile")

READING = ("query-", "qom-list", "qom-get", "device-list-", "human-", "x-debug-")


class Truth:
    """The answers of a real VM, each asked for once. Commands that would change it are taken and not passed on."""

    def __init__(self, address: UnixAddress) -> None:
        self._address = address
        self._monitor = Monitor.connect(address)
        self._known: dict[str, dict[str, Any]] = {}

    def __call__(self, request: dict[str, Any]) -> dict[str, Any]:
        """The reply to *request*, whole but, as a rule, for its ``id``."""
        if not request["execute"].startswith(READING):
            return {"return": {}}
        key = json.dumps([request["execute"], request.get("arguments")])
        if key not in self._known:
            try:
                reply = self._monitor.execute(request["execute"], request.get("arguments"))
                self._known[key] = {"return": _needed(request["execute"], reply)}
            except CommandError as error:
                self._known[key] = {"error": {"class": error.qmp_class, "desc": error.desc}}
            except ProtocolError as error:  # an error without id, for QEMU could not read the request
                self._known[key] = {"id": None, "error": {"class": "GenericError", "desc": error.reason}}
                self._monitor = Monitor.connect(self._address)
        return self._known[key]

    def close(self) -> None:
        self._monitor.close()


def _needed(command: str, reply: Any) -> Any:
    """Of the schema, the largest reply by far, only what the modules look up, so that each run takes less time."""
    if command != "query-qmp-schema":
        return reply
    entities = {entity["name"]: entity for entity in reply}
    pending = [
        "netdev_add",
        "object-add",
        "set_link",
        "chardev-add",
        "migrate-set-capabilities",
        "migrate-set-parameters",
        "migrate",
    ]
    for name in pending:
        inner = json.dumps({key: value for key, value in entities[name].items() if key != "name"})
        pending += [other for other in entities if f'"{other}"' in inner and other not in pending]
    return [entities[name] for name in pending]


@pytest.fixture(scope="session")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Truth]:
    disk = (
        "-blockdev",
        "null-co,node-name=base,size=1048576",
        "-blockdev",
        "raw,node-name=d1,file=base",
        "-device",
        "virtio-blk-pci,id=d1,drive=d1,bus=rp0,serial=one",
        "-device",
        "scsi-hd,id=d2,drive=d2,bus=scsi0.0",
        "-blockdev",
        "raw,node-name=d2,file.driver=null-co,file.size=1048576",
    )
    nic = ("-netdev", "user,id=n1", "-device", "virtio-net-pci,id=n1,netdev=n1,bus=rp1", "-netdev", "hubport,id=h1,hubid=1")
    more = (
        "-object",
        "iothread,id=io1",
        "-object",
        "secret,id=s1,data=x",
        "-chardev",
        "null,id=c1",
        "-device",
        "virtio-rng-pci,id=rng1,bus=rp2",
        "-blockdev",
        "null-co,node-name=m1,read-only=on",
        "-device",
        "scsi-cd,id=cd1,drive=m1,bus=scsi0.0",
        "-device",
        "virtio-serial-pci,id=vs1,bus=rp4",
        "-blockdev",
        "null-co,node-name=t1,size=1048576",
        "-blockdev",
        "null-co,node-name=t2,size=1048576",
    )
    with VM(tmp_path_factory.mktemp("vm"), boot=False, ports=5, extra=(*disk, *nic, *more)) as vm:
        vm.query("blockdev-mirror", job_id="j1", device="d1", target="t1", sync="full", auto_dismiss=False)
        truth = Truth(UnixAddress(str(vm.qmp_socket)))
        yield truth
        truth.close()


def run(module: str, options: dict[str, Any], peer: Peer, check: bool = False) -> dict[str, Any]:
    """Run a module in this process against *peer* and return its one result; whatever else ends it is raised."""
    main: Callable[[], None] = import_module(f"ansible_collections.vmops.qemu.plugins.modules.{module}").main
    arguments = {"socket": "/vm.qmp", "timeout": 0.01, "_ansible_check_mode": check, "_ansible_remote_tmp": "/tmp", **options}
    out = io.TextIOWrapper(io.BytesIO(), "utf-8")  # as strict as the pipe to Ansible
    with instead_of_a_socket(peer), patch_module_args(arguments), contextlib.redirect_stdout(out):
        with pytest.raises(SystemExit):
            main()
    out.seek(0)
    result: dict[str, Any] = json.loads(out.read())
    return result
