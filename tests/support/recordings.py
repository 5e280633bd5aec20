# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real QEMUs in unit tests, without a QEMU: their answers were recorded.

A recording has the answers of one VM of ``tests/vm/recorded_vms`` on one QEMU. The unit tests themselves are what is recorded:
``make record`` runs them with the real VM in place of its recording, and writes down each question that a test asks.

To add a case, write a test:

    @pytest.fixture(params=recordings.of("devices"), ids=str)
    def hardware(request):
        return recordings.hardware(request.param)

    def test_a_device_that_the_vm_has_is_not_added_again(hardware):
        assert recordings.plan(hardware, "qmp_device", id="rng0", driver="virtio-rng-pci").steps == ()

and record it as root with ``nox -s record``, or for one VM with ``nox -s record -- devices``, which is ``RECORD=devices pytest
tests/unit``. All tests that use the VM must run then, because a recording is written as a whole. To add a VM, see
``tests/vm/recorded_vms``.

All paths of a recorded VM are below DIRECTORY, for the test as for the recording, whatever directory it really ran in. There is
no such directory where tests run, so a plan that looks at files of this host finds none: replace what it looks with by
monkeypatch (``probe``, ``check_tap`` …).
"""

from __future__ import annotations

import gzip
import importlib
import json
import os
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, Mapping, NamedTuple
from unittest import mock

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.vmops.qemu.plugins.module_utils._ansible import run as task
from ansible_collections.vmops.qemu.plugins.module_utils._vm.host import qemu_process as launched
from ansible_collections.vmops.qemu.plugins.module_utils._vm.model.hardware import Hardware
from ansible_collections.vmops.qemu.plugins.module_utils._vm.plan.plan import Plan
from ansible_collections.vmops.qemu.plugins.module_utils.qmp import CommandError, Request, UnixAddress, Version

ROOT = Path(__file__).resolve().parents[2]
RECORDED = ROOT / "tests/unit/recorded"
DIRECTORY = "/srv/vm"
"""Where each recorded VM has its files."""
OF_QEMU = frozenset(("query-qmp-schema", "device-list-properties", "qom-list-types", "query-commands"))
"""Commands whose answers are the same for each VM of one QEMU. They are kept once, in a file for each."""
RECORD = os.environ.get("RECORD", "")
"""The name of the VM that is recorded by this run of the tests, ``all`` for all; empty where recordings are used."""

Answer = Dict[str, Any]
"""``{"return": …}`` or ``{"error": [class, desc]}``."""
Answers = Dict[str, Answer]
"""By request, see key."""
Phase = Dict[str, Any]
"""Of a run, from one change of the VM to the next: the ``change`` and its ``answer``, which the first phase has not; the
``events`` that came since; and by request the ``answers`` in turn, without those that are as before."""
Run = Dict[str, Any]
"""``tasks`` that ran one after another in a VM, the number of ``changes`` at the end of each, and the ``phases`` of all."""


ANONYMOUS: Answers = {
    '["query-name", {}]': {"return": {}},
    '["query-uuid", {}]': {"return": {"UUID": "00000000-0000-0000-0000-000000000000"}},
}
"""Each task asks a VM who it is. The recorded ones were all started without a name and a UUID."""


class Recording(NamedTuple):
    """The VM ``name`` on the QEMU of one version, such as 7.2."""

    name: str
    qemu: str

    def __str__(self) -> str:
        return f"{self.name}-{self.qemu}"

    @property
    def path(self) -> Path:
        return RECORDED / f"{self}.json"


def of(name: str) -> list[Recording]:
    """The recordings of one VM, one for each QEMU."""
    if RECORD in (name, "all"):
        from ansible_collections.vmops.qemu.tests.vm.binaries import binaries

        return [Recording(name, binary.version) for binary in binaries()]
    found = [Recording(name, path.stem[len(name) + 1 :]) for path in RECORDED.glob(f"{name}-*.json")]
    assert found, f"there is no recording of {name}; make record makes one"
    return sorted(found, key=lambda one: [*map(int, one.qemu.split("."))])


def key(request: Request) -> str:
    """A request as it is written in a recording."""
    return json.dumps([request.command, request.arguments or {}], sort_keys=True)


_READS = ("query-", "qom-list", "qom-get", "device-list-properties", "x-debug-query-")


def is_read(request: Request) -> bool:
    """Whether a request changes nothing."""
    line = (request.arguments or {}).get("command-line", "")
    return request.command.startswith(_READS) or (request.command == "human-monitor-command" and line.startswith("info "))


class Answering:
    """The shape of a Monitor, above ``execute_many``."""

    version: Version
    command_line: list[str]
    passes_fds = True
    peer_pid = None
    address = UnixAddress(f"{DIRECTORY}/qmp.sock")

    def execute_many(self, requests: Iterable[Request], **_options: Any) -> list[Any]:
        raise NotImplementedError

    def poll_events(self, timeout: float) -> None:
        """No event comes, and nobody waits."""

    def execute(self, command: str, arguments: dict[str, Any] | None = None, **_options: Any) -> Any:
        (answer,) = self.execute_many([Request(command, arguments)])
        if isinstance(answer, CommandError):
            raise answer
        return answer

    def keep(self, owner: object, kept: Any) -> None:
        """A recorded VM has no such limit."""

    def read_again(self, seconds: float) -> None:
        """A recorded VM has no such limit."""

    def acting(self) -> Any:
        """A recorded VM has no such limit."""
        return nullcontext()

    def __enter__(self) -> Answering:
        return self

    def __exit__(self, *_exception: object) -> None:
        pass


class Recorded(Answering):
    """Gives the recorded answer to each request. One that was not recorded, as any change, fails the test."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        written = json.loads(recording.path.read_text(encoding="utf-8"))
        self.version = Version(*written["version"])
        self.command_line = written["command_line"]
        self.answers: Answers = {**ANONYMOUS, **of_qemu(recording.qemu), **unpacked(written)}
        self.runs: list[Run] = written["runs"]

    def execute_many(self, requests: Iterable[Request], **_options: Any) -> list[Any]:
        return [reply(self.answer(key(request)), request) for request in requests]

    def answer(self, asked: str) -> Answer:
        if asked not in self.answers:
            pytest.fail(f"{self.recording} was not asked {asked} when it was recorded; make record asks it")
        return self.answers[asked]


def packed(answers: Answers) -> dict[str, Any]:
    """Answers as a recording has them: those of QEMU's object model, which are most of them, by path and property."""
    rest: Answers = {}
    lists: dict[str, dict[str, str]] = {}
    values: dict[str, dict[str, Any]] = {}
    for asked, answer in sorted(answers.items()):
        command, arguments = json.loads(asked)
        given = answer.get("return")
        if command == "qom-list" and given is not None and all(entry.keys() == {"name", "type"} for entry in given):
            lists[arguments["path"]] = {entry["name"]: entry["type"] for entry in given}
        elif command == "qom-get" and "return" in answer:
            values.setdefault(arguments["path"], {})[arguments["property"]] = given
        else:
            rest[asked] = answer
    return {"answers": rest, "qom-list": lists, "qom-get": values}


def unpacked(written: dict[str, Any]) -> Answers:
    """The answers of a recording by request."""
    answers: Answers = dict(written["answers"])
    for path, types in written.get("qom-list", {}).items():
        listing = [{"name": name, "type": kind} for name, kind in types.items()]
        answers[key(Request("qom-list", {"path": path}))] = {"return": listing}
    for path, values in written.get("qom-get", {}).items():
        for name, value in values.items():
            answers[key(Request("qom-get", {"path": path, "property": name}))] = {"return": value}
    return answers


def reply(answer: Answer, request: Request) -> Any:
    """A recorded answer as execute_many returns it."""
    if "error" in answer:
        qmp_class, desc = answer["error"]
        return CommandError(qmp_class, desc, request.command)
    return json.loads(json.dumps(answer["return"]))


@lru_cache(maxsize=None)
def of_qemu(version: str) -> Answers:
    """The answers that are the same for each VM of this QEMU."""
    files = (json.loads(gzip.decompress(path.read_bytes())) for path in sorted(qemu_directory(version).glob("*.json.gz")))
    return {asked: answer for file in files for asked, answer in file.items()}


def qemu_directory(version: str) -> Path:
    return RECORDED / f"qemu-{version}"


def monitor(recording: Recording) -> Any:
    """The recorded VM in place of a Monitor; while it is recorded, the real one."""
    if RECORD in (recording.name, "all"):
        from ansible_collections.vmops.qemu.tests.vm import record

        return record.recorder(recording)
    return Recorded(recording)


class Altered(Answering):
    """A recorded VM in another state: some requests, by key, have other answers than it gave."""

    def __init__(self, answering: Answering, answers: Answers) -> None:
        self._answering, self._answers = answering, answers
        self.version, self.command_line = answering.version, answering.command_line

    def execute_many(self, requests: Iterable[Request], **_options: Any) -> list[Any]:
        return [
            reply(self._answers[key(one)], one) if key(one) in self._answers else self._answering.execute_many([one])[0]
            for one in requests
        ]


def hardware(recording: Recording, others: Mapping[str | tuple[str, str], Any] | None = None) -> Hardware:
    """The recorded VM as the domain sees it, its command line included.

    *others* are values that it has in place of the recorded ones: by command, such as query-status, or by QOM path and property.
    An exception is raised as the error of that command.
    """
    answers: Answers = {}
    for one, value in (others or {}).items():
        request = Request(one, None) if isinstance(one, str) else Request("qom-get", {"path": one[0], "property": one[1]})
        error = isinstance(value, CommandError)
        answers[key(request)] = {"error": [value.qmp_class, value.desc]} if error else {"return": value}
    answering: Any = Altered(monitor(recording), answers) if answers else monitor(recording)
    vm = Hardware(answering)
    vm.__dict__["command_line"] = launched.of_words(answering.command_line)
    return vm


def work_of(module: str) -> Any:
    """What a module does, such as qmp_blockdev."""
    options = vars(importlib.import_module(f"{task.__package__}.options.{module[len('qmp_') :]}"))
    (work,) = (options[name] for name in ("KIND", "OPERATION", "INFORMATION") if name in options)
    return work


def params(module: str, **options: Any) -> dict[str, Any]:
    """A module's options with their types and defaults, as Ansible passes them. AssertionError for options that it rejects."""
    arguments = task.arguments(work_of(module))
    result = ArgumentSpecValidator(arguments.pop("argument_spec"), **arguments).validate({"socket": DIRECTORY, **options})
    assert not result.error_messages, result.error_messages
    validated: dict[str, Any] = result.validated_parameters
    return validated


def plan(hardware: Hardware, module: str, **options: Any) -> Plan:
    """The plan that a task makes for this VM."""
    work, checked = work_of(module), params(module, **options)
    make = getattr(work.functions(), checked["state"]) if isinstance(work, task.Kind) else work.plan
    made: Plan = make(hardware, work.spec(checked))
    return made


@contextmanager
def connected(answering: Answering) -> Iterator[None]:
    """Tasks that are run meanwhile connect to *answering*."""
    words = launched.of_words(answering.command_line)
    with mock.patch.object(task, "connect", lambda params, warn, tracer: answering), mock.patch.object(
        launched, "read", lambda pid: words
    ):
        yield


def check(recording: Recording, module: str, **options: Any) -> dict[str, Any]:
    """The result of a task in check mode, its warnings under ``warnings``. Raises Failure."""
    warnings: list[str] = []
    with connected(monitor(recording)):
        result = task.run(work_of(module), params(module, **options), True, warnings.append)
    return {**result, "warnings": warnings}
