# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real VM for tests: it is asked over a second monitor, and its guest reports what it sees."""

from __future__ import annotations

import base64
import functools
import json
import os
import re
import signal
import socket
import subprocess
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable

from .binaries import Binary, own
from .guest import guest

BOOT_SECONDS = 90.0
ANSWER_SECONDS = 30.0

_REPORT = Path(__file__).with_name("report.sh")


@functools.cache
def _report() -> str:
    """The script that prints what the guest sees, without its comments, because the serial port is slow."""
    return "\n".join(line for line in _REPORT.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))


@dataclass
class VM:
    """A QEMU process with its sockets in *directory*. As a context manager it starts and stops QEMU.

    ``machine`` is q35 (with ``ports`` root ports rp0, rp1 …) or pc. Both have the SCSI bus scsi0.0. ``native`` gives q35
    native PCIe hotplug in place of ACPI's. Without ``boot`` there is no guest, only firmware. ``paused``: whether the VM is
    paused before its first instruction. The default is yes for a VM without a guest.
    """

    directory: Path
    binary: Binary = field(default_factory=own)
    machine: str = "q35"
    ports: int = 4
    native: bool = False
    boot: bool = True
    paused: bool | None = None
    smp: str = "1,maxcpus=4,sockets=2,cores=2,threads=1"
    extra: tuple[str, ...] = ()

    def __enter__(self) -> VM:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    @property
    def qmp_socket(self) -> Path:
        """The monitor for the code under test."""
        return self.directory / "qmp.sock"

    @property
    def pid(self) -> int:
        return int((self.directory / "pid").read_text())

    def start(self) -> None:
        """Start QEMU. Return when it accepts commands and its guest, if it has one, answers."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with (self.directory / "stderr").open("wb") as stderr:
            process = subprocess.Popen(
                self.command_line(), stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr, start_new_session=True
            )
        (self.directory / "pid").write_text(str(process.pid))
        try:
            self._wait(lambda: self.query("query-status"), process.poll)
            if self.boot and not self.paused:
                self.wait_boot()
        except BaseException:
            self.stop()
            raise

    def wait_boot(self) -> None:
        """Return when the guest answers."""
        self._wait(lambda: self.guest("true", 0.3), lambda: not Path(f"/proc/{self.pid}/exe").exists() or None)

    def stop(self) -> None:
        """Kill QEMU by its pid and wait until it is gone."""
        with suppress(ProcessLookupError, FileNotFoundError):
            os.kill(self.pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(self.pid, 0)
            deadline = time.monotonic() + ANSWER_SECONDS
            while Path(f"/proc/{self.pid}").exists() and time.monotonic() < deadline:
                time.sleep(0.01)
        (self.directory / "pid").unlink(missing_ok=True)

    def command_line(self) -> list[str]:
        directory = self.directory
        ports = range(self.ports) if self.machine == "q35" else ()
        devices = [*(f"pcie-root-port,id=rp{port},chassis={port + 1}" for port in ports), "virtio-scsi-pci,id=scsi0"]
        boot = ["-S"] if self.paused or (self.paused is None and not self.boot) else []
        if self.boot:
            kernel, initramfs = guest()
            boot += ["-kernel", str(kernel), "-initrd", str(initramfs), "-append", "console=ttyS1 quiet loglevel=3 panic=-1"]
        native = ["-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off"] if self.native else []
        return [
            *self.binary.command,
            "-accel",
            "tcg",
            "-machine",
            self.machine,
            "-smp",
            self.smp,
            "-m",
            "256,slots=4,maxmem=2G",
            "-nodefaults",
            "-display",
            "none",
            *boot,
            *native,
            "-qmp",
            f"unix:{self.qmp_socket},server=on,wait=off",
            "-qmp",
            f"unix:{directory}/watch.sock,server=on,wait=off",
            "-serial",
            f"unix:{directory}/agent.sock,server=on,wait=off",
            "-serial",
            f"file:{directory}/console",
            *(word for device in devices for word in ("-device", device)),
            *self.extra,
        ]

    def query(self, command: str, /, over: str = "watch", **arguments: Any) -> Any:
        """Send a command and return QEMU's reply. In the names of *arguments* underscores stand for dashes.

        It goes over the second monitor, which the code under test does not use. With ``over="qmp"`` it goes over the first one:
        a descriptor from ``getfd`` belongs to the monitor that received it.
        """
        return self.execute(command, {key.replace("_", "-"): value for key, value in arguments.items()}, over)

    def execute(self, command: str, arguments: dict[str, Any], over: str = "watch") -> Any:
        """Send a command with arguments as QMP has them, and return QEMU's reply. RuntimeError if QEMU refuses it."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(ANSWER_SECONDS)
            connection.connect(str(self.directory / f"{over}.sock"))
            with connection.makefile("rw") as stream:
                stream.readline()
                for name, values in (("qmp_capabilities", {}), (command, arguments)):
                    stream.write(json.dumps({"execute": name, "arguments": values, "id": name}) + "\n")
                    stream.flush()
                    while (reply := json.loads(stream.readline())).get("id") != name:
                        pass
        if "error" in reply:
            raise RuntimeError(f"{command}: {reply['error']['desc']}")
        return reply["return"]

    def guest(self, command: str, timeout: float = ANSWER_SECONDS) -> str:
        """Run a shell command in the guest and return what it printed. RuntimeError if it fails, TimeoutError without answer."""
        token = uuid.uuid4().hex[:12]
        request = f"\n{token} {base64.b64encode(command.encode()).decode()}\n"
        answer = re.compile(rf"<{token}\r?\n(.*?){token}> (\d+)\r?\n", re.DOTALL)
        deadline = time.monotonic() + timeout
        received = ""
        with socket.socket(socket.AF_UNIX) as serial:
            serial.connect(str(self.directory / "agent.sock"))
            serial.sendall(request.encode())
            while not (match := answer.search(received)):
                serial.settimeout(max(0.001, deadline - time.monotonic()))
                received += serial.recv(65536).decode(errors="replace")
        if match.group(2) != "0":
            raise RuntimeError(f"guest: {command}: status {match.group(2)}: {match.group(1)}")
        return match.group(1).replace("\r\n", "\n")

    def wait_command(self, command: str, timeout: float = ANSWER_SECONDS) -> None:
        """Return when a shell command succeeds in the guest. TimeoutError if it does not in time."""
        deadline = time.monotonic() + timeout
        while True:
            with suppress(RuntimeError):
                self.guest(command)
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"the guest: {command}")
            time.sleep(0.1)

    def report(self) -> dict[str, Any]:
        """What the guest sees: disks (sizes in bytes), NICs, CPUs present and online as Linux lists them, MemTotal in kB."""
        seen: dict[str, Any] = {"disks": [], "nics": []}
        for line in self.guest(_report()).splitlines():
            kind, *values = line.split("|")
            if kind == "disk":
                name, sectors, read_only, serial, scsi = values
                seen["disks"].append(
                    {"name": name, "size": int(sectors) * 512, "read_only": read_only == "1", "serial": serial, "scsi": scsi}
                )
            elif kind == "nic":
                name, mac, carrier, queues = values
                seen["nics"].append({"name": name, "mac": mac, "carrier": carrier == "1", "queues": int(queues)})
            elif kind == "cpus":
                seen["cpus"] = {"present": values[0], "online": values[1]}
            elif kind == "memory":
                seen["memory"] = int(values[0])
        return seen

    def wait_guest(self, holds: Callable[[dict[str, Any]], bool], timeout: float = ANSWER_SECONDS) -> dict[str, Any]:
        """Wait until *holds* is true of the guest's report and return the report. TimeoutError shows the last one."""
        deadline = time.monotonic() + timeout
        while not holds(report := self.report()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"the guest sees {report}")
            time.sleep(0.1)
        return report

    def hardware(self) -> dict[str, Any]:
        """What can be left behind in QEMU, for comparison: nodes, backends, devices, objects, chardevs, descriptor sets, CPUs."""
        network = self.query("human-monitor-command", command_line="info network")
        return {
            "nodes": sorted(node["node-name"] for node in self.query("query-named-block-nodes")),
            # an empty hub cannot be deleted
            "netdevs": sorted(line.lstrip("\\ ").split(":")[0] for line in network.splitlines() if ":" in line),
            "devices": self._children("/machine/peripheral"),
            "objects": self._children("/objects"),
            "chardevs": sorted(chardev["label"] for chardev in self.query("query-chardev")),
            "fdsets": self.query("query-fdsets"),
            "cpus": len(self.query("query-cpus-fast")),
        }

    def _children(self, path: str) -> list[str]:
        return sorted(entry["name"] for entry in self.query("qom-list", path=path) if entry["type"].startswith("child<"))

    def _wait(self, ask: Callable[[], Any], ended: Callable[[], Any]) -> None:
        """Repeat *ask* until it answers. RuntimeError if QEMU has *ended* or BOOT_SECONDS have passed."""
        deadline = time.monotonic() + BOOT_SECONDS
        while True:
            try:
                ask()
                return
            except (OSError, ValueError) as error:
                if ended() is not None or time.monotonic() > deadline:
                    log = (self.directory / "stderr").read_text(errors="replace")
                    raise RuntimeError(f"QEMU {self.binary.version} did not start: {error!r}\n{log}") from error
            time.sleep(0.05)
