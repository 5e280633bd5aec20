# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real systemd for units in a directory, as the first process of its own namespaces. It ends with all that it has started."""

from __future__ import annotations

import os
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

from .waiting import until

UNITS = "/etc/systemd/system"
_TARGETS = ("sysinit", "basic", "shutdown", "default")
_BOOT = f"""
mount --make-rprivate /
umount --recursive /sys/fs/cgroup/* /sys/fs/cgroup 2> /dev/null
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system
mount --bind "$1" {UNITS}
export container=test SYSTEMD_UNIT_PATH={UNITS} SYSTEMD_LOG_TARGET=console
exec /lib/systemd/systemd --system --unit=default.target --log-level=info --show-status=no
"""
"""systemd mounts the control groups again, and sees of them no more than its own: see _Groups."""
_NAMESPACES = ("--mount", "--pid", "--uts", "--cgroup", "--fork", "--mount-proc", "--kill-child")


class _Groups:
    """A control group for one process and its children in each hierarchy of this host."""

    def __init__(self, name: str) -> None:
        mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
        self._paths = [Path(point) / name for _device, point, kind, *_rest in mounts if kind in ("cgroup", "cgroup2")]
        for path in self._paths:
            path.mkdir()
            for setting in ("cpuset.cpus", "cpuset.mems"):
                if (path / setting).exists() and (parent := (path.parent / setting)).exists():
                    (path / setting).write_text(parent.read_text())

    def enter(self) -> None:
        """Put this process into them."""
        for path in self._paths:
            (path / "cgroup.procs").write_text("0")

    def are_gone(self) -> bool:
        """Remove them. They are busy until the last process has ended."""
        for path in self._paths:
            with suppress(OSError):
                for group in sorted((one for one in path.rglob("*") if one.is_dir()), reverse=True):
                    group.rmdir()
                path.rmdir()
        return not any(path.exists() for path in self._paths)


class Systemd:
    """systemd with the units in *directory*, which it has as its own. As a context manager it starts and stops."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._log = tempfile.TemporaryFile(mode="w+")  # noqa: SIM115 - read after it has ended
        for name in _TARGETS:
            (directory / f"{name}.target").write_text("[Unit]\nDefaultDependencies=no\n")

    def __enter__(self) -> Systemd:
        self._groups = _Groups(f"vmops-{os.getpid()}")
        self._unshare = subprocess.Popen(
            ["unshare", *_NAMESPACES, "sh", "-c", _BOOT, "sh", str(self.directory)],
            stdout=self._log,
            stderr=self._log,
            preexec_fn=self._groups.enter,
        )
        try:
            until(lambda: self.systemctl("list-units") is not None)
        except BaseException:
            self.__exit__()
            raise AssertionError(self.log()) from None
        return self

    def __exit__(self, *_exception: object) -> None:
        self._unshare.kill()  # and with it the first process of the namespace, and all others
        self._unshare.wait()
        until(self._groups.are_gone)

    def systemctl(self, *arguments: str) -> str | None:
        """The output of a command, None if it failed."""
        if not (children := Path(f"/proc/{self._unshare.pid}/task/{self._unshare.pid}/children").read_text().split()):
            return None
        done = subprocess.run(
            ["nsenter", "--target", children[0], "--mount", "--pid", "systemctl", "--no-pager", *arguments],
            capture_output=True,
            check=False,
            text=True,
        )
        return done.stdout if done.returncode == 0 else None

    def show(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return (self.systemctl("show", "--value", f"--property={name}", unit) or "").strip()

    def log(self) -> str:
        """What systemd and its units have written."""
        self._log.seek(0)
        return self._log.read()
