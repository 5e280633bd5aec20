# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A program in one file, as Python's zipapp makes one, from a function and all that it imports beyond the standard library.

The same files always give the same bytes, so that a task that installs the program again changes nothing.
"""

from __future__ import annotations

import ast
import importlib.util
import io
import zipfile
from functools import lru_cache
from importlib.machinery import ModuleSpec, PathFinder
from typing import Iterator

_PACKAGES = ("ansible", "ansible_collections")
"""The packages of which parts are included. All other imports have to be in the standard library."""
_DATE = (1980, 1, 1, 0, 0, 0)


def program(module: str, function: str, interpreter: str) -> bytes:
    """The program that calls *function* of *module*; what it returns is the exit status."""
    files = {"__main__.py": f"import sys\nfrom {module} import {function}\n\nsys.exit({function}())\n"}
    for name, source in _sources(module).items():
        parents = name.split(".")
        for length in range(1, len(parents)):
            files.setdefault("/".join([*parents[:length], "__init__.py"]), "")
        files[_file_of(name)] = source
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
        for path in sorted(files):
            zipped.writestr(zipfile.ZipInfo(path, _DATE), files[path].encode("utf-8"), zipfile.ZIP_DEFLATED)
    return f"#!{interpreter} -I\n".encode("utf-8", "surrogateescape") + archive.getvalue()


def _file_of(name: str) -> str:
    spec = _spec(name)
    package = bool(spec and spec.submodule_search_locations is not None)
    return f"{name.replace('.', '/')}{'/__init__' if package else ''}.py"


def _sources(module: str) -> dict[str, str]:
    """The source of *module* and of every module that it imports, directly or not, by name."""
    found: dict[str, str] = {}
    pending = [module]
    while pending:
        name = pending.pop()
        if name in found or name.partition(".")[0] not in _PACKAGES or name in _PACKAGES:
            continue
        source = _source(name)
        if source is None:
            continue
        found[name] = source
        pending += [name.rpartition(".")[0], *_imports(source, name)]
    return found


def _source(name: str) -> str | None:
    """The source of a module; None for a name that is not a module, but something in one."""
    spec = _spec(name)
    loader = spec.loader if spec else None
    if loader is None or not hasattr(loader, "get_source"):
        return None
    source = loader.get_source(name)
    return source if isinstance(source, str) else None


@lru_cache(maxsize=None)
def _spec(name: str) -> ModuleSpec | None:
    """Where a module is, as its package has it: a package can put something else into ``sys.modules``."""
    parent, _dot, _last = name.rpartition(".")
    if not parent:
        return importlib.util.find_spec(name)
    package = _spec(parent)
    if package is None or package.submodule_search_locations is None:
        return None
    return PathFinder.find_spec(name, package.submodule_search_locations)


def _imports(source: str, module: str) -> Iterator[str]:
    """The names that are imported anywhere in *source*: modules, and what may be a module in a package."""
    spec = _spec(module)
    package = module if spec and spec.submodule_search_locations is not None else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
