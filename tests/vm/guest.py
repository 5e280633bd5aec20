# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The test guest: a kernel of the distribution and a busybox initramfs. Both are made once and kept in the user's cache."""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vmops-qemu"
_INIT = Path(__file__).parent / "init"
_DRIVERS = (
    "virtio_pci",
    "virtio_blk",
    "virtio_net",
    "virtio_scsi",
    "sd_mod",
    "sr_mod",
    "nvme",
    "virtio_balloon",
    "virtio_console",
    "virtio_mem",
    "virtio_rng",
    "button",
    "evdev",
    "nfit",
    "nd_pmem",
)


class Guest(NamedTuple):
    kernel: Path
    initramfs: Path


@functools.cache
def guest() -> Guest:
    """The guest's kernel and initramfs. They are made if the cache does not have them."""
    package = _kernel_package()
    kernel_dir = CACHE / "kernels" / package
    if not kernel_dir.exists():
        _unpack(package, kernel_dir)
    version = next((kernel_dir / "lib/modules").iterdir()).name
    digest = hashlib.sha256(_INIT.read_bytes() + Path(__file__).read_bytes()).hexdigest()[:16]
    initramfs = CACHE / "initramfs" / f"{version}-{digest}.gz"
    if not initramfs.exists():
        _make_initramfs(kernel_dir, version, initramfs)
    return Guest(next((kernel_dir / "boot").glob("vmlinuz-*")), initramfs)


def _kernel_package() -> str:
    """The package that holds the newest kernel: Debian's cloud kernel, or Ubuntu's."""
    have = sorted(path.name for path in (CACHE / "kernels").glob("linux-*"))
    if have:
        return have[-1]
    for name in ("linux-image-cloud-amd64", "linux-image-virtual"):
        output = subprocess.run(["apt-cache", "depends", name], capture_output=True, text=True, check=False).stdout
        for line in output.splitlines():
            if "Depends: linux-image" in line:
                return line.split()[-1]
    raise SystemExit("No kernel package was found. Run apt-get update. The tests need Debian or Ubuntu for amd64.")


def _unpack(package: str, directory: Path) -> None:
    """Download a kernel package with its modules and unpack it, without installing it."""
    work = directory.with_name(f"{directory.name}.{os.getpid()}")
    work.mkdir(parents=True)
    packages = [package]
    if "cloud" not in package:  # Ubuntu has the modules in another package
        packages.append(package.replace("linux-image-", "linux-modules-"))
    subprocess.run(["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", *packages], cwd=work, check=True)
    for deb in work.glob("*.deb"):
        subprocess.run(["dpkg", "-x", deb, work], check=True)
        deb.unlink()
    version = next((work / "lib/modules").iterdir()).name
    subprocess.run(["depmod", "-b", work, version], check=True)
    work.rename(directory)


def _make_initramfs(kernel_dir: Path, version: str, target: Path) -> None:
    root = target.with_suffix(f".{os.getpid()}")
    shutil.rmtree(root, ignore_errors=True)
    for name in ("bin", "dev", "modules", "proc", "sys", "tmp"):
        (root / name).mkdir(parents=True)
    shutil.copy(_INIT, root / "init")
    shutil.copy("/bin/busybox", root / "bin/busybox")
    (root / "bin/sh").symlink_to("busybox")
    order = _modules(kernel_dir / "lib/modules" / version)
    for module in order:
        shutil.copy(module, root / "modules" / module.name)
    (root / "modules/order").write_text("".join(f"{module.name}\n" for module in order))
    archive = target.with_suffix(f".{os.getpid()}.cpio")
    files = "\0".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
    with archive.open("wb") as out:
        subprocess.run(
            ["cpio", "--null", "--create", "--format=newc", "--reproducible", "--quiet"],
            cwd=root,
            stdout=out,
            input=files.encode(),
            check=True,
        )
    subprocess.run(["gzip", "-1", "--no-name", archive], check=True)
    archive.with_suffix(".cpio.gz").rename(target)
    shutil.rmtree(root)


def _modules(directory: Path) -> list[Path]:
    """The files of the drivers and of the modules that they depend on, in the order in which they must be loaded."""
    depends = {}
    for line in (directory / "modules.dep").read_text().splitlines():
        module, _colon, needs = line.partition(":")
        depends[module] = needs.split()
    order: list[str] = []

    def add(module: str) -> None:
        for need in reversed(depends[module]):
            add(need)
        if module not in order:
            order.append(module)

    for driver in _DRIVERS:
        for module in depends:
            if Path(module).name.split(".")[0].replace("-", "_") == driver:
                add(module)
    return [directory / module for module in order]
