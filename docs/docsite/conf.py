# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The website of the documentation, built by ``nox -s docs`` from ``docs/*.md``, the modules and the engine's docstrings."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from docutils import nodes

COLLECTION = Path(__file__).parents[2]

project = "vmops.qemu"
author = "The vmops.qemu authors"
copyright = f"2026 {author}"
release = version = re.findall(r"(?m)^version: (\S+)$", (COLLECTION / "galaxy.yml").read_text(encoding="utf-8"))[0]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_antsibull_ext", "sphinxcontrib.mermaid"]
exclude_patterns = ["docsite", "modules/environment_variables.rst"]
nitpicky = True
nitpick_ignore_regex = [  # of Python and of ansible-core, whose inventories are not fetched
    (r"py:.*", r"(?!ansible_collections\.).*"),
    (r"envvar", r"ANSIBLE_.*"),
]

myst_fence_as_directive = ["mermaid"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
add_module_names = False

html_theme = "furo"
html_title = "vmops.qemu"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_theme_options = {
    "source_repository": "https://github.com/vmops/vmops.qemu/",
    "source_branch": "main",
    "source_directory": "docs/",
}
html_show_sphinx = False
html_copy_source = False

ANSIBLE = "https://docs.ansible.com/ansible/latest"
ANSIBLE_PAGES = {
    "action_plugins": "plugins/action.html",
    "common_return_values": "reference_appendices/common_return_values.html",
}


def page_of_ansible(label: str) -> str | None:
    """The page of Ansible's own documentation that has this label."""
    plugin = re.match(r"ansible_collections\.(\w+)\.(\w+)\.(\w+_[a-z]+)$", label)
    return "collections/{}/{}/{}.html".format(*plugin.groups()) if plugin else ANSIBLE_PAGES.get(label)


def link_to_ansible(_app: Any, _env: Any, node: Any, content: nodes.Element) -> nodes.Element | None:
    """A link for a label that is not on this site. Sphinx could fetch Ansible's inventory, but a build uses no network."""
    page = page_of_ansible(node["reftarget"]) if node["reftype"] == "ref" else None
    return nodes.reference("", "", content, refuri=f"{ANSIBLE}/{page}", internal=False) if page else None


def drop_contents(_app: Any, doctree: nodes.document) -> None:
    """Remove the table of contents that antsibull-docs puts into each page, because the theme has its own."""
    for topic in [topic for topic in doctree.findall(nodes.topic) if "contents" in topic["classes"]]:
        topic.parent.remove(topic)


def shorten_titles(_app: Any, env: Any) -> None:
    """Show a plugin in the sidebar by its name alone, not by the whole title of its page."""
    for name, title in env.titles.items():
        plugin = re.match(r"vmops\.qemu\.(\w+) (\w+)", title.astext())
        if name.startswith("modules/") and plugin:
            kind = "" if plugin[2] == "module" else f" ({plugin[2]})"
            reference = next(env.tocs[name].findall(nodes.reference))
            reference.children = [nodes.Text(plugin[1] + kind)]


def skip_field(_app: Any, _what: str, _name: str, member: Any, _skip: bool, _options: Any) -> bool | None:
    """Leave out the fields of a named tuple: its signature and its docstring describe them."""
    return True if str(member.__doc__).startswith("Alias for field number") else None


def drop_docstring_of_module(_app: Any, what: str, _name: str, _member: Any, _options: Any, lines: list[str]) -> None:
    """The page has its own introduction."""
    if what == "module":
        lines.clear()


def setup(app: Any) -> None:
    app.connect("autodoc-process-docstring", drop_docstring_of_module)
    app.connect("autodoc-skip-member", skip_field)
    app.connect("doctree-read", drop_contents)
    app.connect("env-updated", shorten_titles)
    app.connect("missing-reference", link_to_ansible)
