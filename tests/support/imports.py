# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The imports of Python source code."""

from __future__ import annotations

import ast
from typing import Iterator


def imports(source: str, package: str) -> Iterator[str]:
    """The absolute dotted names that the *source* of a file in *package* imports, anywhere in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            base = ".".join(parents + ([node.module] if node.module else []))
            yield from (f"{base}.{alias.name}" for alias in node.names)
