# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Galaxy and the certification require of the repository; docs/releases.md has the list."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SECTIONS = [
    "Requirements",
    "Installation",
    "Use cases",
    "Testing",
    "Support",
    "Communication",
    "Release notes",
    "License",
]
"""Those of the certification's template, in its order."""


def test_the_readme_has_the_sections_of_the_template() -> None:
    found = re.findall(r"(?m)^## (.+)$", README)
    assert [section for section in found if section in SECTIONS] == SECTIONS


def test_the_readme_has_full_addresses_because_galaxy_shows_it_elsewhere() -> None:
    links = re.findall(r"\]\(([^)]*)\)|(?:href|src)=\"([^\"]*)\"|^\[[^\]]+\]: (\S+)", README, re.MULTILINE)
    assert links
    assert [link for link in map("".join, links) if not link.startswith("https://")] == []


def test_no_rule_of_ansible_lint_is_skipped() -> None:
    settings = yaml.safe_load((ROOT / ".ansible-lint").read_text(encoding="utf-8"))
    assert settings["profile"] == "production" and not settings.keys() & {"skip_list", "warn_list", "skip_action_validation"}
    assert not (ROOT / ".ansible-lint-ignore").exists()
    pages = [path for part in ("roles", "playbooks", "extensions", "demo", "meta") for path in (ROOT / part).rglob("*.yml")]
    assert [path for path in pages if re.search(r"# noqa|skip_ansible_lint", path.read_text(encoding="utf-8"))] == []
