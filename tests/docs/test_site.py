# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every page of the website on a telephone and on a screen, in light and in dark."""

from __future__ import annotations

import itertools
from pathlib import Path

from playwright.sync_api import Page

SITE = Path(__file__).parents[2] / ".cache" / "site"
PAGES = sorted(path for path in SITE.rglob("*.html") if "_static" not in path.parts)
WIDTHS = (360, 1400)
WIDER_THAN_THE_PAGE = """() => [...document.querySelectorAll('body *')].filter(one => {
    const box = one.getBoundingClientRect();
    for (let outer = one; outer; outer = outer.parentElement)
        if (getComputedStyle(outer).overflowX !== 'visible' || getComputedStyle(outer).position === 'fixed') return false;
    return box.right > window.innerWidth + 1;
}).map(one => one.outerHTML.slice(0, 200))"""
COLOURS = """() => [getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]
    .map(colour => colour.match(/[0-9]+/g).slice(0, 3).reduce((sum, one) => sum + Number(one), 0))"""
"""How light background and text are, from 0 to 765."""


def test_the_site_has_pages_of_every_kind() -> None:
    names = {str(path.relative_to(SITE)) for path in PAGES}
    assert names >= {"index.html", "security.html", "modules/qmp_blockdev_module.html", "reference/engine-api.html"}


def test_no_page_is_wider_than_the_window(page: Page) -> None:
    for path, width in itertools.product(PAGES, WIDTHS):
        page.set_viewport_size({"width": width, "height": 800})
        if page.url != path.as_uri():
            page.goto(path.as_uri(), wait_until="domcontentloaded")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, (path, page.evaluate(WIDER_THAN_THE_PAGE))


def test_pages_follow_the_colour_scheme_of_the_reader(page: Page) -> None:
    for scheme, dark in (("light", False), ("dark", True)):
        page.emulate_media(color_scheme=scheme)
        for name in ("index.html", "security.html", "modules/qmp_blockdev_module.html"):
            page.goto((SITE / name).as_uri(), wait_until="domcontentloaded")
            background, text = page.evaluate(COLOURS)
            assert (background < text) is dark, (name, scheme, background, text)


def test_every_page_can_be_reached_from_the_first_one(page: Page) -> None:
    page.goto((SITE / "index.html").as_uri(), wait_until="domcontentloaded")
    linked = set(page.eval_on_selector_all("a[href]", "links => links.map(one => one.href.split('#')[0])"))
    for path in PAGES:
        if path.parent.name == "modules" and path.name != "index.html" or path.stem in ("genindex", "search", "py-modindex"):
            continue
        assert path.as_uri() in linked, path
