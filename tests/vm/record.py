# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The VMs that are recorded: ``make record`` starts them on each QEMU and writes what they answer."""

from __future__ import annotations

import datetime
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Iterable

from ansible_collections.vmops.qemu.plugins.module_utils._vm.errors import HardwareError
from ansible_collections.vmops.qemu.plugins.module_utils._vm.model import block_graph as stack
from ansible_collections.vmops.qemu.plugins.module_utils._vm.model.hardware import Hardware
from ansible_collections.vmops.qemu.plugins.module_utils.qmp import CommandError, Monitor, Request, UnixAddress
from ansible_collections.vmops.qemu.tests.unit.recordings import DIRECTORY, key

from .binaries import binaries
from .machine import VM

DISKS = (
    "plain",
    "named",
    "anon",
    "bydrive",
    "byblockdev",
    "usb1",
    "shared1",
    "shared2",
    "snapped",
    "launchsnapped",
    "drivesnapped",
    "pivoted",
    "mirroring",
    "exported",
    "empty",
    "kept",
    "nobody",
    "fmt",
    "drv3",
    "lone",
    "foreign",
    "xhci",
)
"""The ids that are asked for, most of them of disks."""


class Recorder:
    """A monitor that writes down what it is asked and answers."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self.version, self.peer_pid, self.passes_fds = monitor.version, monitor.peer_pid, monitor.passes_fds
        self.answers: dict[str, Any] = {}

    def keep(self, owner: object, kept: Any) -> None:
        """As Monitor has it; there is no limit here."""

    def execute(self, command: str, arguments: dict[str, Any] | None = None, **_options: Any) -> Any:
        (answer,) = self.execute_many([Request(command, arguments)])
        if isinstance(answer, CommandError):
            raise answer
        return answer

    def execute_many(self, requests: Iterable[Request], **_options: Any) -> list[Any]:
        requests = list(requests)
        answers = self._monitor.execute_many(requests)
        for request, answer in zip(requests, answers):
            error = isinstance(answer, CommandError)
            self.answers[key(request)] = {"error": [answer.qmp_class, answer.desc]} if error else {"return": answer}
        return answers


def disks(directory: Path) -> tuple[list[str], list[tuple[str, dict[str, Any]]]]:
    """A VM with disks of all sorts: its launch arguments, and what is done with it then."""

    def image(name: str, backing: str | None = None) -> str:
        words = ["-b", backing, "-F", "qcow2"] if backing else []
        path = str(directory / name)
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *words, path, *([] if backing else ["1M"])], check=True)
        return path

    template, shared = image("template"), image("shared")
    scsi = "scsi-hd,bus=scsi0.0"
    words = [
        "-drive",
        f"if=none,id=drv1,format=qcow2,file={image('plain', template)}",
        "-device",
        f"{scsi},id=plain,drive=drv1",
        "-drive",
        f"if=none,id=drv2,node-name=foo,format=qcow2,file={image('named')}",
        "-device",
        f"{scsi},id=named,drive=drv2",
        "-drive",
        f"if=none,id=anon,format=qcow2,file={image('anon')}",
        "-device",
        f"{scsi},drive=anon",
        "-drive",
        "if=none,id=drv3,driver=null-co,size=1M",
        "-device",
        f"{scsi},id=bydrive,drive=drv3",
        "-drive",
        "if=none,id=lone,driver=null-co,size=1M",
        "-blockdev",
        f"file,node-name=proto,filename={image('byblockdev')}",
        "-blockdev",
        "qcow2,node-name=fmt,file=proto",
        "-device",
        f"{scsi},id=byblockdev,drive=fmt",
        "-blockdev",
        f"file,node-name=bp,filename={shared}",
        "-blockdev",
        "qcow2,node-name=base,file=bp",
        "-blockdev",
        f"qcow2,node-name=launch,file.driver=file,file.filename={image('launch', template)}",
        "-device",
        f"{scsi},id=launchsnapped,drive=launch",
        "-drive",
        f"if=none,id=drv4,format=qcow2,file={image('drive', template)}",
        "-device",
        f"{scsi},id=drivesnapped,drive=drv4",
        "-device",
        "scsi-cd,bus=scsi0.0,id=empty",
        "-device",
        "qemu-xhci,id=xhci,bus=rp0",
    ]
    for number in (1, 2):
        path = image(f"o{number}", shared)
        words += [
            "-blockdev",
            f"qcow2,node-name=ov{number},file.driver=file,file.filename={path},backing=base",
            "-device",
            f"{scsi},id=shared{number},drive=ov{number}",
        ]
    acts: list[tuple[str, dict[str, Any]]] = []

    def plug(name: str, driver: str = "scsi-hd", node: str | None = None, attach: bool = True, **more: Any) -> None:
        node = node or name
        file = {"driver": "file", "filename": image(f"hot-{name}")}
        acts.append(("blockdev-add", {"driver": "qcow2", "node-name": node, "file": file}))
        if attach:
            place = {} if driver == "usb-storage" else {"bus": "scsi0.0"}
            acts.append(("device_add", {"driver": driver, "id": name, "drive": node, **place, **more}))

    def snapshot(node: str, name: str) -> None:
        acts.append(
            (
                "blockdev-snapshot-sync",
                {"node-name": node, "snapshot-file": str(directory / name), "format": "qcow2", "snapshot-node-name": name},
            )
        )

    plug("usb1", "usb-storage")
    plug("snapped")
    snapshot("snapped", "snap1")
    snapshot("snap1", "snap2")
    snapshot("launch", "snap3")
    snapshot("#drivesnapped", "snap4")
    plug("pivoted")
    plug("target1", attach=False)
    acts += [
        ("blockdev-mirror", {"job-id": "m1", "device": "pivoted", "target": "target1", "sync": "full"}),
        ("job-complete", {"id": "m1"}),
    ]
    plug("mirroring")
    plug("target2", attach=False)
    acts.append(("blockdev-mirror", {"job-id": "m2", "device": "mirroring", "target": "target2", "sync": "full"}))
    plug("exported")
    acts += [
        ("nbd-server-start", {"addr": {"type": "unix", "data": {"path": str(directory / "nbd")}}}),
        ("block-export-add", {"type": "nbd", "id": "e1", "node-name": "exported"}),
    ]
    plug("kept", attach=False)
    plug("foreign", node="somebody-fmt")
    return words, acts


def record(directory: Path) -> None:
    for binary in binaries():
        work = directory / binary.version
        work.mkdir()
        words, acts = disks(work)
        with VM(work / "vm", binary, boot=False, native=True, extra=tuple(words)) as vm:
            for command, arguments in acts:
                if arguments.get("node-name") == "#drivesnapped":
                    entry = next(one for one in vm.query("query-block") if one["device"] == "drv4")
                    arguments["node-name"] = entry["inserted"]["node-name"]
                if command == "job-complete":
                    while vm.query("query-jobs")[0]["status"] != "ready":
                        pass
                vm.execute(command, arguments)
                if command == "job-complete":
                    while vm.query("query-jobs"):
                        pass
            while [one["status"] for one in vm.query("query-jobs")] != ["ready"]:
                pass
            with Monitor.connect(UnixAddress(str(vm.qmp_socket))) as monitor:
                recorder: Any = Recorder(monitor)
                hardware = Hardware(recorder)
                for name in DISKS:
                    for look in (stack.find, stack.left_by):
                        try:
                            look(hardware, name)
                        except HardwareError as error:
                            print(f"{binary.version} {name}: {error}")
            recording = {
                "qemu": binary.version,
                "date": datetime.date.today().isoformat(),
                "version": list(recorder.version),
                "command_line": words,
                "answers": recorder.answers,
            }
            text = json.dumps(recording, indent=0, sort_keys=True).replace(str(work), "/srv/vm")
            (DIRECTORY / f"disks-{binary.version}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        record(Path(temporary))
