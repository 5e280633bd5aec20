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
import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from .guest import CACHE

_LIBRARIES = Path(f"/usr/lib/{platform.machine()}-linux-gnu")
_MODULES = _LIBRARIES / "qemu"
"""Where every QEMU of the distribution looks for its modules, also one of another version, which then aborts."""
_NEWEST_SUITE = "sid"
_STRICT = ("-compat", "deprecated-input=reject,deprecated-output=hide")
"""Has QEMU refuse and hide what is deprecated: a judge of what is sent and read."""


class Binary(NamedTuple):
    """A QEMU to run: its version, such as 7.2, and the words of the command line up to its own options."""

    version: str
    command: tuple[str, ...]


@functools.cache
def binaries() -> tuple[Binary, ...]:
    """The distribution's QEMU, the one of its backports, and the newest there is, oldest first; of the latter two those whose
    suites can be reached. The newest refuses what is deprecated."""
    found: dict[str, Binary] = {}
    for make in (_own, _backported, _newest):
        try:
            binary = make()
            found.setdefault(binary.version, binary)
        except (subprocess.SubprocessError, LookupError, OSError) as error:
            if make is _own:
                raise
            print(f"One QEMU less to test against: {error}", file=sys.stderr)
    return tuple(found.values())


def _own() -> Binary:
    return _binary("qemu-system-x86_64")


def _backported() -> Binary:
    """QEMU alone, which runs with this distribution's libraries; the modules of the distribution's QEMU are hidden from it."""
    directory = _cached(
        "qemu-backports",
        _backports_suite(),
        ["download", "qemu-system-x86", "qemu-system-common", "qemu-system-data", "qemu-utils"],
    )
    empty = directory / "empty"
    empty.mkdir(exist_ok=True)
    firmware = ("-L", str(directory / "usr/share/qemu"), "-L", "/usr/share/seabios", "-L", "/usr/lib/ipxe/qemu")
    return _binary(*_with_mount(empty, _MODULES), str(directory / "usr/bin/qemu-system-x86_64"), *firmware)


def _newest() -> Binary:
    """QEMU with all that it depends on, in its own libraries' place as long as it runs: they bring its loader too."""
    fetch = ["install", "--download-only", "--no-install-recommends", "qemu-system-x86"]
    directory = _cached("qemu-newest", _NEWEST_SUITE, fetch)
    folders = [directory / "usr" / name for name in ("share/qemu", "share/seabios", "lib/ipxe/qemu")]
    firmware = [word for folder in folders for word in ("-L", str(folder))]
    return _binary(
        *_with_mount(directory / _LIBRARIES.relative_to("/"), _LIBRARIES),
        str(directory / "usr/bin/qemu-system-x86_64"),
        *firmware,
        *_STRICT,
    )


def _with_mount(source: Path, target: Path) -> tuple[str, ...]:
    """The words before a command that is to see *source* at *target*."""
    return "unshare", "-m", "sh", "-c", f'mount --bind "{source}" "{target}"; exec "$0" "$@"'


def _binary(*command: str) -> Binary:
    told = subprocess.run([*command, "-version"], capture_output=True, text=True, check=True).stdout
    match = re.search(r"version (\d+\.\d+)", told)
    assert match, told
    return Binary(match.group(1), command)


def _cached(name: str, suite: str, fetch: list[str]) -> Path:
    """The folder of the user's cache with the packages that ``apt-get`` *fetch* brings from *suite*, unpacked."""
    directory = CACHE / name
    if not directory.exists():
        work = directory.with_name(f"{name}.{os.getpid()}")
        work.mkdir(parents=True)
        try:
            _download(work, suite, fetch)
            with suppress(OSError):  # another process was faster
                work.rename(directory)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return directory


def _download(work: Path, suite: str, fetch: list[str]) -> None:
    """Fetch with an apt of its own, which knows of no installed package, leaving the machine's as it is, and unpack."""
    apt = work / "apt"
    for name in ("lists", "cache/archives"):
        (apt / name / "partial").mkdir(parents=True)
    source, status = apt / "sources.list", apt / "status"
    source.write_text(_source(suite))
    status.touch()
    settings = {
        "Dir::Etc::SourceList": source,
        "Dir::Etc::SourceParts": "-",
        "Dir::State": apt,
        "Dir::State::Lists": apt / "lists",
        "Dir::State::status": status,
        "Dir::Cache": apt / "cache",
        "APT::Sandbox::User": "root",
        "APT::Update::Error-Mode": "any",
    }
    options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
    subprocess.run(["apt-get", "-qq", *options, "update"], check=True)
    subprocess.run(["apt-get", "-qq", *options, *fetch], cwd=work, check=True, stdout=subprocess.DEVNULL)
    for deb in [*work.glob("*.deb"), *apt.glob("cache/archives/*.deb")]:
        subprocess.run(["dpkg", "-x", deb, work], check=True)
        deb.unlink()
    shutil.rmtree(apt)


def _backports_suite() -> str:
    return f"{platform.freedesktop_os_release()['VERSION_CODENAME']}-backports"


def _source(suite: str) -> str:
    """An apt source for *suite*, made from the entry that the machine has for its own one."""
    codename = platform.freedesktop_os_release()["VERSION_CODENAME"]
    etc = Path("/etc/apt")
    for path in [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*"))]:
        text = path.read_text() if path.is_file() else ""
        for block in re.split(r"\n\s*\n", text) if path.suffix == ".sources" else text.splitlines():
            entry = _uri_and_key(block, codename)
            if entry:
                uri, key = entry
                signed = f"[signed-by={key}] " if key else ""
                return f"deb {signed}{uri} {suite} main\n"
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
