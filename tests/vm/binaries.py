# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The QEMUs to test against: the distribution's, and newer ones unpacked beside it."""

from __future__ import annotations

import functools
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from .guest import CACHE

_MODULES = Path(f"/usr/lib/{platform.machine()}-linux-gnu/qemu")
"""Where every QEMU of the distribution looks for its modules, also one of another version, which then aborts."""


class Binary(NamedTuple):
    """A QEMU to run: its version, such as 7.2, and the words of the command line up to its own options."""

    version: str
    command: tuple[str, ...]


@functools.cache
def binaries() -> tuple[Binary, ...]:
    """The distribution's QEMU, and the one of its backports where there is such a suite."""
    own = Binary(_version("qemu-system-x86_64"), ("qemu-system-x86_64",))
    newer = _backported()
    return (own, newer) if newer and newer.version != own.version else (own,)


def _version(program: str) -> str:
    told = subprocess.run([program, "-version"], capture_output=True, text=True, check=True).stdout
    match = re.search(r"version (\d+\.\d+)", told)
    assert match, told
    return match.group(1)


def _backported() -> Binary | None:
    directory = CACHE / "qemu-backports"
    if not directory.exists():
        work = directory.with_name(f"{directory.name}.{os.getpid()}")
        work.mkdir(parents=True)
        try:
            _download(work)
        except (subprocess.CalledProcessError, LookupError) as error:
            print(f"No newer QEMU to test against: {error}")
            shutil.rmtree(work)
            return None
        work.rename(directory)
    program = directory / "usr/bin/qemu-system-x86_64"
    empty = directory / "empty"
    empty.mkdir(exist_ok=True)
    hide = f'mount --bind "{empty}" "{_MODULES}"; exec "$0" "$@"'
    firmware = ("-L", str(directory / "usr/share/qemu"), "-L", "/usr/share/seabios", "-L", "/usr/lib/ipxe/qemu")
    return Binary(_version(str(program)), ("unshare", "-m", "sh", "-c", hide, str(program), *firmware))


def _download(work: Path) -> None:
    """Unpack QEMU from the backports suite of this distribution, leaving the machine's own apt as it is."""
    source = work / "backports.list"
    source.write_text(_backports_source())
    lists = work / "lists"
    lists.mkdir()
    options = ["-qq", "-o", f"Dir::Etc::SourceList={source}", "-o", "Dir::Etc::SourceParts=-", "-o", f"Dir::State::Lists={lists}",
               "-o", "APT::Sandbox::User=root"]
    subprocess.run(["apt-get", *options, "update"], check=True)
    packages = ("qemu-system-x86", "qemu-system-common", "qemu-system-data", "qemu-utils")
    subprocess.run(["apt-get", *options, "download", *packages], cwd=work, check=True)
    for deb in work.glob("*.deb"):
        subprocess.run(["dpkg", "-x", deb, work], check=True)
        deb.unlink()
    shutil.rmtree(lists)


def _backports_source() -> str:
    """An apt source for the backports suite, made from the entry that the machine has for its own suite."""
    codename = platform.freedesktop_os_release()["VERSION_CODENAME"]
    etc = Path("/etc/apt")
    for path in [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*"))]:
        text = path.read_text() if path.is_file() else ""
        for block in re.split(r"\n\s*\n", text) if path.suffix == ".sources" else text.splitlines():
            entry = _uri_and_key(block, codename)
            if entry:
                uri, key = entry
                signed = f"[signed-by={key}] " if key else ""
                return f"deb {signed}{uri} {codename}-backports main\n"
    raise LookupError(f"this machine has no apt source for {codename}")


def _uri_and_key(entry: str, codename: str) -> tuple[str, str | None] | None:
    """URI and signing key of an apt source entry of either form, if it is for the suite *codename*."""
    if entry.startswith("deb "):
        match = re.match(rf"deb\s+(?:\[([^]]*)\]\s+)?(\S+)\s+{codename}\s", entry)
        key = re.search(r"signed-by=(\S+)", match.group(1) or "") if match else None
        return (match.group(2), key.group(1) if key else None) if match else None
    fields = dict(re.findall(r"^([\w-]+):[ \t]*(.*)$", entry, re.MULTILINE))
    if codename not in fields.get("Suites", "").split():
        return None
    return fields["URIs"].split()[0], fields.get("Signed-By")
