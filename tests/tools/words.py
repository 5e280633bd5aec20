# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find words that this project does not use, because QEMU, Ansible or plain English has a better-known one.

Reads every file that git tracks, or those whose path starts with one of the arguments. Prints FILE:LINE: WORD: WHAT TO WRITE, and
ends with 1 if there is any.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Iterator

ROOT = Path(__file__).parents[2]
SUFFIXES = {".py", ".md", ".yml", ".yaml", ".sh", ".toml", ""}
NOT_OURS = ("COPYING", "CHANGELOG.md", "changelogs/changelog.yaml", "tests/tools/words.py", "tests/unit/recorded/")

WORDS = {
    r"wish(es|ed)?": "desired state, spec",
    r"wanted": "desired, requested; spec",
    r"t[ao]k(e|es|en|ing) (it |them |all |that |this )?back|takes back": "roll back, undo",
    r"goes? again": "is rolled back, is removed",
    r"put back": "restored",
    r"told|tells?": "reported, returned; report",
    r"stated": "specified, set",
    r"anew": "again; recreate",
    r"lets? go( of)?": "release",
    r"held against|holds? (the \w+|it) against": "verify, compare with",
    r"pieces?": "DIMM, memory device; part",
    r"folders?": "directory",
    r"Front|\.front": "frontend, FrontendSpec",
    r"NotYet": "StillInProgress",
    r"Snapshot\(": "QueryCache (a snapshot is a disk's)",
    r"(free|occupied|taken|same|its) places?": "slot, address",
    r"(?<!there )is no (?!longer\b|more\b|less\b)\w+": "is not a …",
    r"(?<!there )are no (?!longer\b|more\b|less\b)\w+": "are not …",
    r"(?<=[.:] )What (has|is|goes|was|comes)\b": "name the thing",
    r"all the same": "nevertheless, anyway",
    r"as (far as|much as) is known": "if known",
}
"""A regular expression for whole words, and what to write instead."""
PATTERNS = [(re.compile(rf"(?<![\w-])(?:{word})(?![\w-])"), instead) for word, instead in WORDS.items()]


def findings(text: str) -> Iterator[tuple[int, str, str]]:
    """Number of the line, the word, and what to write instead."""
    for number, line in enumerate(text.splitlines(), 1):
        for pattern, instead in PATTERNS:
            for match in pattern.finditer(line.replace("_", " ")):  # names in code, word by word
                yield number, match.group(), instead


def main() -> int:
    listing = subprocess.run(["git", "-c", "safe.directory=*", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    count = 0
    for name in filter(None, listing.stdout.decode().split("\0")):
        path = ROOT / name
        if sys.argv[1:] and not name.startswith(tuple(sys.argv[1:])):
            continue
        if name.startswith(NOT_OURS) or path.suffix not in SUFFIXES or not path.is_file():
            continue
        for number, word, instead in findings(path.read_text(encoding="utf-8")):
            print(f"{name}:{number}: {word!r}: write {instead}")
            count += 1
    print(f"{count} words to replace", file=sys.stderr)
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
