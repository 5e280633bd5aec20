# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The QEMUs to test against: the distribution's, and newer ones that are unpacked beside it."""

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
"""Where every QEMU of the distribution looks for its modules. A QEMU of another version aborts if it finds them."""
_NEWEST_SUITE = "sid"
_STRICT = ("-compat", "deprecated-input=reject,deprecated-output=hide")
"""QEMU refuses deprecated input and hides deprecated output, so that the tests find what uses it."""
_WITH_MOUNT = Path(__file__).with_name("with_mount")


class Binary(NamedTuple):
    """A QEMU to run: its version, such as 7.2, and the words of the command line up to its own options."""

    version: str
    command: tuple[str, ...]


@functools.cache
def binaries() -> tuple[Binary, ...]:
    """The QEMUs of this machine, oldest first.

    They are the distribution's, the one of its backports and the newest. The latter two are left out if their package suites
    cannot be reached. The newest one refuses deprecated input.
    """
    found: dict[str, Binary] = {}
    for find in (own, _backported, _newest):
        try:
            binary = find()
            found.setdefault(binary.version, binary)
        except (subprocess.SubprocessError, LookupError, OSError) as error:
            if find is own:
                raise
            print(f"One QEMU is missing from the tests: {error}", file=sys.stderr)
    return tuple(found.values())


@functools.cache
def own() -> Binary:
    """The distribution's QEMU. Unlike the others, it needs no download."""
    return _binary("qemu-system-x86_64")


def _backported() -> Binary:
    """QEMU alone, which runs with this distribution's libraries. It does not see the modules of the distribution's QEMU."""
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
    """QEMU with all packages that it depends on. It sees their libraries, with their loader, in place of the distribution's."""
    fetch = ["install", "--download-only", "--no-install-recommends", "qemu-system-x86"]
    directory = _cached("qemu-newest", _NEWEST_SUITE, fetch)
    directories = [directory / "usr" / name for name in ("share/qemu", "share/seabios", "lib/ipxe/qemu")]
    firmware = [word for one in directories for word in ("-L", str(one))]
    return _binary(
        *_with_mount(directory / _LIBRARIES.relative_to("/"), _LIBRARIES),
        str(directory / "usr/bin/qemu-system-x86_64"),
        *firmware,
        *_STRICT,
    )


def _with_mount(source: Path, target: Path) -> tuple[str, ...]:
    """The words before a command that make it see *source* at *target*."""
    return str(_WITH_MOUNT), str(source), str(target)


def _binary(*command: str) -> Binary:
    output = subprocess.run([*command, "-version"], capture_output=True, text=True, check=True).stdout
    match = re.search(r"version (\d+\.\d+)", output)
    assert match, output
    return Binary(match.group(1), command)


def _cached(name: str, suite: str, fetch: list[str]) -> Path:
    """The directory of the user's cache with the unpacked packages that ``apt-get`` *fetch* downloads from *suite*."""
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
    """Fetch packages and unpack them. This apt has its own state, without installed packages. It does not use the machine's."""
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
    """An apt source for *suite*, made from this machine's entry for its own suite."""
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
