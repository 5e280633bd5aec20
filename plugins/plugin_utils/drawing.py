# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A tree of things with names that others chose, as text for a terminal and as a Mermaid diagram."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Callable, Iterator

from ansible_collections.vmops.qemu.plugins.module_utils.qmp import printable

MARKS = {"+": "added", "-": "removed", "~": "changed", "?": "unplug pending"}
"""What happens to a node, and what that is called."""
_COLOURS = {
    "free": "fill:none,stroke-dasharray:4 3",
    "added": "fill:#dafbe1,stroke:#1a7f37,color:#1f2328",
    "removed": "fill:#ffebe9,stroke:#cf222e,color:#1f2328",
    "changed": "fill:#fff8c5,stroke:#9a6700,color:#1f2328",
    "unplug_pending": "fill:#fff1e5,stroke:#bc4c00,color:#1f2328,stroke-dasharray:4 3",
}
_SHAPES = {"free": ('(["', '"])'), "backend": ('[("', '")]'), "": ('["', '"]')}
_LONGEST = 200
"""Characters of a text that are shown."""
_PLAIN = re.compile(r"[^A-Za-z0-9 .,:/()=@_-]")
"""All others have a meaning in Mermaid, in its Markdown, or in HTML, or are not ASCII."""

_FORMULA_OR_ICON = re.compile(r"\$(?=\$)|:(?=fa-)")


@dataclass
class Node:
    """A thing. ``title`` is its name, ``detail`` what it is, ``mark`` a key of MARKS or empty, ``shape`` a key of _SHAPES."""

    title: str
    detail: str = ""
    mark: str = ""
    shape: str = ""
    children: list[Node] = field(default_factory=list)

    def text(self, separator: str, escape: Callable[[str], str]) -> str:
        """Name and detail, each of which *escape* has made harmless."""
        parts = [escape(shortened(part)) for part in (self.title, self.detail) if part]
        return separator.join(parts) + (f" ({MARKS[self.mark]})" if self.mark == "?" else "")


def shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def as_tree(root: Node) -> str:
    """The tree in lines. If anything has a mark, each line begins with its mark or with a space."""
    lines = list(_lines(root, "", ""))
    column = any(mark for mark, _line in lines)
    return "\n".join(f"{mark or ' '} {line}" if column else line for mark, line in lines)


def _lines(node: Node, first: str, rest: str) -> Iterator[tuple[str, str]]:
    yield node.mark, first + node.text(": ", _in_one_line)
    for number, child in enumerate(node.children, 1):
        last = number == len(node.children)
        yield from _lines(child, rest + ("└─ " if last else "├─ "), rest + ("   " if last else "│  "))


def _in_one_line(text: str) -> str:
    return printable(text.replace("\r", "\\r")).replace("\n", "\\n").replace("\t", "\\t")


def as_mermaid(root: Node) -> str:
    """The tree as a Mermaid flowchart. A mark is a colour and a word."""
    lines = ["flowchart LR"]
    classes: dict[str, list[str]] = {}
    count = 0

    def draw(node: Node, parent: str | None) -> None:
        nonlocal count
        name, count = f"n{count}", count + 1
        opening, closing = _SHAPES[node.shape]
        word = MARKS.get(node.mark, "")
        label = node.text("<br/>", _escaped) + (f"<br/>{word}" if word and node.mark != "?" else "")
        lines.append(f"  {name}{opening}{label}{closing}")
        if parent:
            lines.append(f"  {parent} --- {name}")
        style = word.replace(" ", "_") or (node.shape if node.shape in _COLOURS else "")
        if style:
            classes.setdefault(style, []).append(name)
        for child in node.children:
            draw(child, name)

    draw(root, None)
    for style, names in classes.items():
        lines += [f"  classDef {style} {_COLOURS[style]}", f"  class {','.join(names)} {style}"]
    return "\n".join(lines)


def _escaped(text: str) -> str:
    """*text* for a quoted label, with Mermaid's form of character references, and with a space of no width inside of what would
    still be a formula or an icon."""
    apart = _FORMULA_OR_ICON.sub(lambda found: f"{found.group()}\u200b", _in_one_line(text))
    return _PLAIN.sub(lambda found: f"#{ord(found.group())};", apart)
