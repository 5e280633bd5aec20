# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start a test VM, ask what it has, and stop it, from a playbook or a shell."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from .binaries import binaries, own
from .machine import VM


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    start = verbs.add_parser("start", help="boot the test guest and return when it answers")
    start.add_argument("--machine", default="q35", choices=["q35", "pc"])
    start.add_argument("--ports", type=int, default=4, help="PCIe root ports of a q35")
    start.add_argument("--qemu", help="version of QEMU, such as 10.0, in place of the distribution's")
    start.add_argument("--no-guest", action="store_true", help="no guest: the VM is paused before its first instruction")
    start.add_argument("--native", action="store_true", help="native PCIe hotplug in place of ACPI's")
    start.add_argument("arguments", nargs="*", help="further arguments of QEMU, after --")
    verbs.add_parser("report", help="print what the guest sees, as JSON")
    verbs.add_parser("hardware", help="print what QEMU has, as JSON")
    ask = verbs.add_parser("guest", help="run a shell command in the guest")
    ask.add_argument("command")
    verbs.add_parser("stop", help="stop QEMU")
    for verb in verbs.choices.values():
        verb.add_argument("--dir", type=Path, required=True, help="directory of the VM's sockets")
    options = parser.parse_args()

    if options.verb == "start":
        binary = next((one for one in binaries() if one.version == options.qemu), None) if options.qemu else own()
        if binary is None:
            parser.error(f"no QEMU {options.qemu}; there is {', '.join(one.version for one in binaries())}")
        boot, extra = not options.no_guest, tuple(options.arguments)
        vm = VM(options.dir, binary, options.machine, options.ports, options.native, boot, extra=extra)
        vm.start()
        print(vm.qmp_socket)
        return
    vm = VM(options.dir)
    if options.verb == "stop":
        vm.stop()
    elif options.verb == "guest":
        print(vm.guest(options.command), end="")
    else:
        print(json.dumps(vm.report() if options.verb == "report" else vm.hardware(), indent=2))


if __name__ == "__main__":
    main()
