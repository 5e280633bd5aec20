# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The diagrams of the filter topology, parsed and drawn by the real Mermaid in a real browser."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from ansible_collections.vmops.qemu.plugins.filter.topology import topology

ROOT = Path(__file__).parents[2]
MERMAID = ROOT / ".cache" / "mermaid" / "mermaid.min.js"
NAMES = [
    'quote " and \\',
    "]) end",
    "<script>window.pwned = 1</script>",
    "<img src=x onerror='window.pwned = 1'>",
    "&lt; &amp; #35; #quot;",
    "`code` *bold* _under_ ~~gone~~",
    "1. list",
    "- list",
    "%% comment",
    "%%{init: {'securityLevel': 'loose'}}%%",
    "subgraph x",
    "click n0 call alert()",
    "$$x^2$$ $$$$",
    "---",
    "Büro 数 😀",
    "fa:fa-car",
]
DRAW = """async text => {
    mermaid.initialize({startOnLoad: false});
    await mermaid.parse(text);
    const {svg} = await mermaid.render('drawing', text);
    document.body.innerHTML = svg;
    return [...document.querySelectorAll('.node .nodeLabel')].map(one => one.textContent.replace(/\\u200b/g, ''));
}"""


@pytest.fixture
def mermaid(page: Page) -> Page:
    page.goto("about:blank")
    page.add_script_tag(path=MERMAID)
    return page


def disk(name: str, bus: str) -> dict[str, Any]:
    return {"id": name, "driver": "scsi-hd", "bus": bus, "file": name, "format": "raw", "size": 1 << 20}


def test_mermaid_draws_any_name_as_it_is(mermaid: Page) -> None:
    for name in NAMES:
        added = {"diff": {"before": {}, "after": disk(name, f"on {name}")}, "disk": {}, "changed": True}
        vm = {"vm": {"name": name, "qemu_version": "1", "machine": name, "status": "running"}}
        drawn = mermaid.evaluate(DRAW, topology(vm, added, format="mermaid"))
        assert drawn == [
            f"VM {name}QEMU 1, {name}, running",
            f"on {name}bus",
            f"{name}scsi-hdadded",
            f"image{name}, raw, 1 MiBadded",
        ]
        assert mermaid.evaluate("window.pwned") is None


def test_mermaid_draws_the_diagram_of_the_page(mermaid: Page) -> None:
    page = (ROOT / "docs" / "topology.md").read_text(encoding="utf-8")
    diagrams = re.findall(r"(?m)^```mermaid\n((?:.*\n)*?)^```$", page)
    assert diagrams
    for diagram in diagrams:
        drawn = mermaid.evaluate(DRAW, diagram)
        assert drawn[0].startswith("VM vm1") and len(drawn) == diagram.count('"') / 2
