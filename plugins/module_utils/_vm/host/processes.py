# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The QEMU processes of this host and their QMP monitors, read from Linux's /proc. No connection to a VM is made.

See proc(5) for the files, sock_diag(7) for the peers of sockets, qemu(1) for -qmp, -mon and -chardev. Any user can start a
process that looks like a QEMU, with any command line. So the data of one process never describes or hides another process.
"""

from __future__ import annotations

import json
import os
import pwd
import re
from functools import cached_property
from pathlib import Path
from typing import Any, Callable, Dict, Iterator

from .unix_sockets import UnixSocket, by_netlink, by_text, is_file

_QEMU = re.compile(r"qemu-system-.+|qemu-kvm|kvm")
_GONE = " (deleted)"
_ON = ("on", "yes", "true", "y", True)
_LISTENING = 0x10000

_MOST_MONITORS = 64
"""Of one process; further monitors are not checked."""
_UNREADABLE = "not readable"

Options = Dict[str, Any]
"""The value of one option of a command line, by its keys."""
Peers = Callable[[], Dict[int, int]]


def virtual_machines(proc: Path = Path("/proc"), name: str | None = None, peers: Peers | None = None) -> list[dict[str, Any]]:
    """The QEMUs that are visible under *proc*, of the given *name* or all, sorted by pid.

    Each is a dict of ``pid``, ``name``, ``uuid``, ``machine``, ``binary``, ``user``, ``monitors``, ``complete`` and perhaps
    ``notes``; see RETURN of the module qmp_vms_info. If *proc* is not that of this system, *peers* replaces ``unix_peers``.
    """
    host = _Host(proc, by_netlink if peers is None else None, peers)
    found = []
    for pid in host.pids():
        try:
            process = _Process(host, pid)
            if not process.is_qemu():
                continue
        except OSError:  # it has ended, or is not visible
            continue
        try:
            if name in (None, process.name()):
                found.append(process.describe())
        except (FileNotFoundError, ProcessLookupError):
            continue
        except Exception as error:  # whatever it is, the other VMs are returned
            if name is None:
                found.append(process.unknown(error))
    return found


def unix_peers() -> dict[int, int]:
    """The inode of each connected unix socket of this network namespace, and that of its peer.

    A peer that no process has any more, or not yet, is 0. Raises OSError if Linux denies the query.
    """
    return _peers(by_netlink())


def _peers(sockets: dict[int, UnixSocket]) -> dict[int, int]:
    return {inode: unix.peer for inode, unix in sockets.items() if unix.peer is not None}


def printable(text: str) -> str:
    """A text of another process, with control characters and what JSON cannot contain escaped."""
    whole = text.encode("utf-8", "backslashreplace").decode()
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", lambda match: repr(match.group())[1:-1], whole)


class _Host:
    """Data about all processes. The expensive queries are made once, and only if they are needed."""

    def __init__(self, proc: Path, sockets: Callable[[], dict[int, UnixSocket]] | None, peers: Peers | None) -> None:
        self.proc = proc
        self._ask_sockets = sockets
        self._ask_peers = peers

    def pids(self) -> list[int]:
        return sorted(int(entry) for entry in os.listdir(self.proc) if entry.isdigit())

    @cached_property
    def peers(self) -> dict[int, int] | None:
        """As ``unix_peers``; None if Linux denies the query."""
        try:
            return self._ask_peers() if self._ask_peers else None if self.kernel is None else _peers(self.kernel)
        except OSError:
            return None

    @cached_property
    def kernel(self) -> dict[int, UnixSocket] | None:
        """The unix sockets of this network namespace, from the kernel itself; None if it denies the query."""
        try:
            return self._ask_sockets() if self._ask_sockets else None
        except OSError:
            return None

    @property
    def is_blind(self) -> bool:
        """Whether the kernel has denied the query for its sockets."""
        return self._ask_sockets is not None and self.kernel is None

    def holders(self, inode: int) -> list[dict[str, Any]]:
        """The processes that have the socket *inode* open; one unknown process if none is visible."""
        pids = self._owners.get(inode, [])
        return [{"pid": pid, "command": self._command(pid)} for pid in pids] or [{"pid": None, "command": None}]

    @cached_property
    def _owners(self) -> dict[int, list[int]]:
        owners: dict[int, list[int]] = {}
        for pid in self.pids():
            for inode in set((self.sockets_of(pid) or {}).values()):
                owners.setdefault(inode, []).append(pid)
        return owners

    def _command(self, pid: int) -> str | None:
        """The first 15 bytes of a process's name; None if it has ended."""
        try:
            return printable((self.proc / str(pid) / "comm").read_text(errors="replace").rstrip("\n"))
        except OSError:
            return None

    def sockets_of(self, pid: int) -> dict[int, int] | None:
        """The descriptors of a process that are sockets, and their inodes. None if they are not visible."""
        directory = self.proc / str(pid) / "fd"
        sockets = {}
        try:
            descriptors = os.listdir(directory)
        except OSError:
            return None
        for descriptor in descriptors:
            try:
                match = re.fullmatch(r"socket:\[([0-9]+)\]", os.readlink(directory / descriptor))
            except OSError:  # it was closed since
                continue
            if match:
                sockets[int(descriptor)] = int(match.group(1))
        return sockets

    def unix_sockets_of(self, pid: int) -> dict[int, UnixSocket]:
        """The unix sockets with a name, by inode: those of this network namespace and of that of the process.

        Both are needed, because QEMU's end of a connection is in the namespace of its client. The kernel reports only
        those of this namespace.
        """
        kernel = self.kernel
        homes = [*([self.proc] if kernel is None else []), *([] if self._is_in_ours(pid) else [self.proc / str(pid)])]
        found = {**by_text(table for table in map(_unix_table, homes)), **(kernel or {})}
        return {inode: unix for inode, unix in found.items() if unix.name}

    def _is_in_ours(self, pid: int) -> bool:
        """Whether a process is in this network namespace; False if that is not visible."""
        try:
            return os.path.samestat(os.stat(self.proc / str(pid) / "ns" / "net"), os.stat(self.proc / "self" / "ns" / "net"))
        except OSError:
            return False


def _unix_table(home: Path) -> bytes:
    try:
        return (home / "net" / "unix").read_bytes()
    except OSError:
        return b""


class _Process:
    """One process: its command line, and what Linux reports of it. FileNotFoundError or ProcessLookupError if it has ended."""

    def __init__(self, host: _Host, pid: int) -> None:
        self._host = host
        self._pid = pid
        self._home = host.proc / str(pid)
        self._words = os.fsdecode((self._home / "cmdline").read_bytes()).rstrip("\0").split("\0")
        self._notes: list[str] = []

    def is_qemu(self) -> bool:
        return any(_QEMU.fullmatch(os.path.basename(path)) for path in (self._words[0], self._binary()))

    def name(self) -> str | None:
        return self._last("guest", "name")

    def describe(self) -> dict[str, Any]:
        addresses, complete = self._addresses()
        monitors = [monitor for monitor in map(self._with_clients, addresses) if monitor]
        uuid = self._values("uuid")[-1:]
        name, machine, binary = self.name(), self._last("type", "machine", "M"), self._binary()
        if not _QEMU.fullmatch(os.path.basename(binary)):
            self._note("It has the name of a QEMU, but its program is another one.")
        if self._host.is_blind:
            self._note("Linux denied sock_diag. So it was not checked that the paths lead to this process.")
        return self._result(
            name=None if name is None else printable(name),
            uuid=printable(uuid[0].lower()) if uuid else None,
            machine=None if machine is None else printable(machine),
            binary=printable(binary),
            user=self._user(),
            monitors=monitors,
            complete=complete and len(monitors) == len(addresses),
        )

    def unknown(self, error: Exception) -> dict[str, Any]:
        """The result for a process that cannot be described."""
        self._note(f"It could not be read ({type(error).__name__}).")
        return self._result(
            name=None, uuid=None, machine=None, binary=printable(self._words[0]), user=None, monitors=[], complete=False
        )

    def _result(self, **facts: Any) -> dict[str, Any]:
        return {"pid": self._pid, **facts, **({"notes": self._notes} if self._notes else {})}

    def _note(self, text: str) -> None:
        if text not in self._notes:
            self._notes.append(text)

    def _values(self, *options: str) -> list[str]:
        """The values of options of the command line, in its order; ``-option`` and ``--option`` are the same to QEMU."""
        spellings = {dash + option for option in options for dash in ("-", "--")}
        return [value for word, value in zip(self._words[1:], self._words[2:]) if word in spellings]

    def _last(self, key: str, *options: str) -> str | None:
        """The last value of *key*, which is the one that QEMU uses. A first value without a key has this key."""
        values = [given[key] for given in (_parse(text, key) for text in self._values(*options)) if key in given]
        return str(values[-1]) if values else None

    def _link(self, name: str) -> str | None:
        """The target of a link of /proc/PID; None if it is not readable."""
        try:
            path = os.readlink(self._home / name)
        except PermissionError:
            return None
        return path[: -len(_GONE)] if path.endswith(_GONE) else path

    def _binary(self) -> str:
        """The path of the program; if that is not readable, the name by which it was started."""
        return self._link("exe") or self._words[0]

    def _user(self) -> str | None:
        """The user it runs as. This is not the owner of /proc/PID, which is root for a QEMU that has changed its user."""
        match = re.search(r"^Uid:\s+\d+\s+(\d+)", (self._home / "status").read_text(errors="replace"), re.MULTILINE)
        if not match:
            return None
        try:
            return pwd.getpwuid(int(match.group(1))).pw_name
        except KeyError:
            return match.group(1)

    def _addresses(self) -> tuple[list[Options], bool]:
        """The addresses of the monitors on the command line, and whether these are all."""
        given = [_chardev(text) for text in self._values("chardev")]
        chardevs = {str(chardev.get("id")): chardev for chardev in given}
        monitors = [_legacy_chardev(text, chardevs) for text in self._values("qmp", "qmp-pretty")]
        options = [_parse(text, "chardev") for text in self._values("mon")]
        for monitor in options:
            if monitor.get("mode") == "control":
                monitors.append(chardevs.get(str(monitor.get("chardev")), {}))
        reachable = [chardev for chardev in monitors if _can_be_reached(chardev)]
        read = not self._values("readconfig")
        if any(_UNREADABLE in one for one in [*given, *options, *monitors]):
            self._note("Some options of its command line cannot be parsed.")
            read = False
        if len(reachable) > _MOST_MONITORS:
            self._note(f"It has {len(reachable)} monitors. Only the first {_MOST_MONITORS} were checked.")
            read, reachable = False, reachable[:_MOST_MONITORS]
        addresses = [address for address in map(self._address, reachable) if address]
        return addresses, len(addresses) == len(reachable) and read

    def _address(self, chardev: Options) -> Options | None:
        """The address of a socket; None if it is unknown. ``bound`` is the name that the socket has in Linux."""
        if "fd" in chardev:
            inode = (self._sockets or {}).get(_number(chardev["fd"]), 0)
            bound = self._unix_sockets[inode].name if inode in self._unix_sockets else None
        elif "path" in chardev:
            bound = ("@" if chardev.get("abstract") in _ON else "") + str(chardev["path"])
        else:
            port = _number(chardev.get("port"))
            host = str(chardev.get("host") or "localhost")
            if not 0 < port < 1 << 16 or host != printable(host):
                return None
            return {"type": "tcp", "host": host, "port": port, "tls": bool(chardev.get("tls-creds"))}
        if not bound or bound != printable(bound):
            return None
        path = self._absolute(bound)
        return {"type": "unix", "path": path, "bound": bound} if path and path == printable(path) else None

    def _absolute(self, path: str) -> str | None:
        """A path of that process as a path of this one; None if it is unknown.

        With -daemonize and with a chroot, QEMU leaves the directory that it was started in, after it has created its sockets.
        For a process in a container the path leads through /proc/PID/root.
        """
        if path.startswith("@"):
            return path
        if not os.path.isabs(path):
            moved = {"-daemonize", "--daemonize", "-chroot", "--chroot"} & set(self._words) or any(
                "chroot" in _parse(text) for text in self._values("run-with")
            )
            directory = None if moved else self._link("cwd")
            if directory is None:
                return None
            path = os.path.normpath(os.path.join(directory, path))
        inside = f"{self._home}/root{path}"
        try:
            there = os.stat(inside)
        except OSError:
            return path
        try:
            return path if os.path.samestat(there, os.stat(path)) else inside
        except OSError:
            return inside

    def _with_clients(self, address: Options) -> Options | None:
        """The result for a monitor; None if its path does not lead to the socket on which this process listens."""
        if address["type"] != "unix":
            return address
        bound, names, path = address["bound"], self._unix_sockets, address["path"]
        named = {inode for inode, unix in names.items() if unix.name == bound}
        if self._sockets is not None:
            named &= set(self._sockets.values())
        listeners = {inode for inode in named if names[inode].listening}
        known = {inode for inode in listeners if names[inode].file}
        if known and not any(is_file(path, names[inode], self._mounts) for inode in known):
            if self._sockets is not None or os.path.exists(path):
                self._note(
                    f"The file {path} is not the socket on which this process listens: it was removed or replaced, or is in "
                    "another mount namespace."
                )
                return None
        return {"type": "unix", "path": path, "listening": bool(listeners), "held_by": self._clients(bound, named - listeners)}

    def _mounts(self) -> Iterator[str]:
        for mounts in (self._host.proc / "self" / "mountinfo", self._home / "mountinfo"):
            try:
                yield from mounts.read_text(errors="replace").split("\n")
            except OSError:
                continue

    def _clients(self, bound: str, connected: set[int]) -> list[dict[str, Any]] | None:
        """The processes that are the peers of this process's *connected* sockets, and of those that it has connected to *bound*.

        None if that is not visible.
        """
        peers, names = self._host.peers, self._unix_sockets
        if self._sockets is None or peers is None or not connected <= set(peers):
            return None
        own = {inode for inode in self._sockets.values() if inode in peers}
        ends = connected | {inode for inode in own if peers[inode] in names and names[peers[inode]].name == bound}
        return [holder for inode in sorted(ends) if peers[inode] for holder in self._host.holders(peers[inode])]

    @cached_property
    def _sockets(self) -> dict[int, int] | None:
        return self._host.sockets_of(self._pid)

    @cached_property
    def _unix_sockets(self) -> dict[int, UnixSocket]:
        return self._host.unix_sockets_of(self._pid)


def _parse(text: str, implied: str | None = None) -> Options:
    """QEMU's ``key=value,…``. ``,,`` is a comma; a first value without a key is that of *implied*; a later key alone is on."""
    if text.startswith("{"):
        try:
            given = json.loads(text)
        except (ValueError, RecursionError):
            return {_UNREADABLE: True}
        return given if isinstance(given, dict) else {}
    options: Options = {}
    for number, word in enumerate(re.findall(r"(?:[^,]|,,)+", text)):
        key, equals, value = word.replace(",,", ",").partition("=")
        if equals:
            options[key] = value
        elif number == 0 and implied is not None:
            options[implied] = key
        else:
            options[key] = "on"
    return options


def _chardev(text: str) -> Options:
    """The value of -chardev, flat. In JSON it is nested like the arguments of ``chardev-add``."""
    options = _parse(text, "backend")
    backend = options.get("backend")
    if not isinstance(backend, dict):
        return options
    data = backend.get("data")
    try:
        flat = _flat(data if isinstance(data, dict) else backend)
    except RecursionError:
        return {_UNREADABLE: True}
    if "str" in flat:
        flat["fd"] = flat.pop("str")
    return {"server": True, **flat, "id": options.get("id"), "backend": backend.get("type")}


def _flat(nested: Options) -> Options:
    flat: Options = {}
    for key, value in nested.items():
        flat.update(_flat(value) if isinstance(value, dict) else {key: value})
    return flat


def _legacy_chardev(text: str, chardevs: dict[str, Options]) -> Options:
    """The value of -qmp, in the terms of -chardev."""
    kind, _colon, rest = text.partition(":")
    if kind == "chardev":
        return chardevs.get(rest, {})
    if kind == "unix":
        return {**_parse(rest, "path"), "backend": "socket"}
    if kind == "tcp":
        place, _comma, options = rest.partition(",")
        host, _colon, port = place.rpartition(":")
        return {**_parse(options), "backend": "socket", "host": host.strip("[]"), "port": port}
    return {}


def _can_be_reached(chardev: Options) -> bool:
    """Whether it is a socket with plain QMP, and not a connection that QEMU itself has made to a TCP port."""
    wrapped = any(chardev.get(protocol) in _ON for protocol in ("telnet", "tn3270", "websocket"))
    client = "port" in chardev and chardev.get("server") not in _ON
    return chardev.get("backend") == "socket" and not wrapped and not client


def _number(value: object) -> int:
    """An integer of a command line; -1 for anything else."""
    return int(str(value)) if re.fullmatch(r"[0-9]{1,9}", str(value)) else -1
